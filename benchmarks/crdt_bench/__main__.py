"""`crdt-bench`, also as `python -m crdt_bench`."""

import sys

from crdt_sync.starting import start


def _run() -> int:
    from crdt_sync.cli import extras  # noqa: PLC0415 - an interrupt while it is imported is caught

    return extras.run("crdt-bench", "crdt_bench.cli", "bench")


def main() -> int:
    """Run the command; returns its exit code."""
    return start(_run)


if __name__ == "__main__":
    sys.exit(main())
