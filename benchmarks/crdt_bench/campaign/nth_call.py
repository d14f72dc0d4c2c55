"""The n-th call into a library raises, before it had its effect or after it.

The profiler hook of the interpreter sees every call of a compiled function, also those that our libraries make
into their own compiled half, so that no place needs to be prepared for it.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import lmdb
import pycrdt

_COMPILED: Any = pycrdt._pycrdt
_RELEASES = {"close", "abort", "drop", "__exit__", "__enter__"}  # giving something back does not fail
LIBRARIES: dict[str, frozenset[object]] = {
    "lmdb": frozenset({lmdb.Environment, lmdb.Transaction, lmdb.Cursor}),
    "pycrdt": frozenset(value for value in vars(_COMPILED).values() if callable(value)),
}
ERRORS: dict[str, tuple[Callable[[], BaseException], ...]] = {
    "lmdb": (
        lambda: lmdb.DiskError("mdb: No space left on device"),
        lambda: lmdb.Error("mdb: Input/output error"),
        lambda: MemoryError("out of memory"),
    ),
    "pycrdt": (lambda: RuntimeError("planted"), lambda: _panic("planted"), lambda: MemoryError("out of memory")),
}


def _panic(message: str) -> BaseException:
    """What a panic in Rust looks like: it is not an `Exception`."""
    panic: type[BaseException] = type("PanicException", (BaseException,), {})
    return panic(message)


class Hook:
    """Counts calls into `library` and raises at call `number`; 0 only counts."""

    def __init__(self, library: str, number: int, error: Callable[[], BaseException], after: bool) -> None:
        self._targets = LIBRARIES[library]
        self._number = number
        self._error = error
        self._event = "c_return" if after else "c_call"
        self.calls = 0
        self.raised = ""

    def __call__(self, frame: FrameType, event: str, function: Any) -> None:
        """See `sys.setprofile`."""
        if event != self._event or function.__name__ in _RELEASES:
            return
        if type(function.__self__) in self._targets or function in self._targets:
            self.calls += 1
            if self.calls == self._number:
                self.raised = f"{type(function.__self__).__name__}.{function.__name__}"
                raise self._error()


@contextmanager
def hooked(hook: Hook) -> Iterator[None]:
    """Have `hook` see this thread's calls, and those of threads started inside."""
    threading.setprofile(hook)
    sys.setprofile(hook)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
