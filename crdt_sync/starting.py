"""The first moment of a command: importing it takes up to a second, in which somebody may press Ctrl-C.

An exception that comes in the middle of an import is printed by whatever it hits. So until a command is `imported` an
interrupt ends the process at once; there is nothing yet that would have to be closed. Nothing is imported here, nor by
`crdt_sync` itself, that takes time: what comes before this module is the interpreter's own start.

Nor does the interpreter look for garbage meanwhile, nor at the end for what the operating system takes back at once:
both took a fifth of a short command.
"""

from __future__ import annotations

import gc
import sys

TYPE_CHECKING = False  # `typing` alone takes as long as all else here
if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED = 130
_former: list[object] = []  # what an interrupt does once the command is imported


def start(command: Callable[[], int]) -> int:
    """Import and run a command, which calls `imported` in between; returns its exit code, for the process to end with.

    An interrupt is no failure worth a traceback.
    """
    gc.disable()
    try:
        _end_at_interrupt()
        return command()
    except KeyboardInterrupt:
        _say()
        return INTERRUPTED
    finally:
        _end_at_interrupt()  # once more: what is left is the interpreter's own end
        _collect_garbage()


def imported() -> None:
    """From now on an interrupt is the `KeyboardInterrupt` that it was, and garbage is collected, save what is imported.

    Calling it twice is harmless.
    """
    if not gc.isenabled():
        _collect_garbage()
    if _former:
        import signal  # noqa: PLC0415 - imported already

        signal.signal(signal.SIGINT, _former.pop())  # type: ignore[arg-type]


def _collect_garbage() -> None:
    gc.freeze()  # what is there by now stays
    gc.enable()


def _end_at_interrupt() -> None:
    import os  # noqa: PLC0415 - an interrupt meanwhile is caught
    import signal  # noqa: PLC0415

    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return  # there already; or ignored by whoever started us, as a shell does for what runs in the background

    def end(_number: int, _frame: object) -> None:
        _say()
        os._exit(INTERRUPTED)

    _former.append(signal.signal(signal.SIGINT, end))


def _say() -> None:
    if sys.stderr is not None:
        sys.stderr.write("Interrupted.\n")
        sys.stderr.flush()
