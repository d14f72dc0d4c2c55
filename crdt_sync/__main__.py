"""`crdt-sync`, also as `python -m crdt_sync`."""

import sys

from crdt_sync.starting import start


def _run() -> int:
    from crdt_sync.cli.main import main as command  # noqa: PLC0415 - an interrupt while it is imported is caught

    return command()


def main() -> int:
    """Run the command; returns its exit code."""
    return start(_run)


if __name__ == "__main__":
    sys.exit(main())
