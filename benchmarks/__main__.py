"""`crdt-bench`, also as `python -m benchmarks`."""

import sys

from crdt_sync.cli import extras


def main() -> int:
    """Run the command; returns its exit code."""
    return extras.run("crdt-bench", "benchmarks.cli", "bench")


if __name__ == "__main__":
    sys.exit(main())
