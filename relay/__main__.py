"""`crdt-relay`, also as `python -m relay`."""

import sys

from crdt_sync.cli import extras


def main() -> int:
    """Run the command; returns its exit code."""
    return extras.run("crdt-relay", "relay.cli", "relay")


if __name__ == "__main__":
    sys.exit(main())
