"""`crdt-relay`, also as `python -m crdt_relay`."""

import sys

from crdt_sync.starting import start


def _run() -> int:
    from crdt_sync.cli import extras  # noqa: PLC0415 - an interrupt while it is imported is caught

    return extras.run("crdt-relay", "crdt_relay.cli", "relay")


def main() -> int:
    """Run the command; returns its exit code."""
    if "serve" in sys.argv[1:]:
        _hold_hangups()
    return start(_run)


def _hold_hangups() -> None:
    """SIGHUP, which has a relay read its settings again, waits until one runs: before, it would end the process."""
    import signal  # noqa: PLC0415 - other commands need none of it this early

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


if __name__ == "__main__":
    sys.exit(main())
