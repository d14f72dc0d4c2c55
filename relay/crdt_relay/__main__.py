"""`crdt-relay`, also as `python -m crdt_relay`."""

import sys

from crdt_sync.starting import start


def _run() -> int:
    from crdt_sync.cli import extras  # noqa: PLC0415 - an interrupt while it is imported is caught

    return extras.run("crdt-relay", "crdt_relay.cli", "relay")


def main() -> int:
    """Run the command; returns its exit code."""
    return start(_run)


if __name__ == "__main__":
    sys.exit(main())
