"""Memory that the process asked the system for: how much is in use, and back with what is not.

How much a loaded record takes does not follow from its bytes: a long text little more than them, many small items
thirty times as much. The GNU C library tells; elsewhere nothing is known, and nothing done.
"""

import ctypes
import mmap
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

_FREE_BYTES_MAX: Final = 8 << 20  # that it may keep: giving back takes milliseconds, and so does asking anew
_LOOK_EVERY_S: Final = 10.0
_LARGE_BYTES: Final = 512 << 10  # a block from here on is asked of the system by itself, and goes back once it is free
_TRIM_THRESHOLD: Final = -1  # of `mallopt`, as the next two
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8


class Heap:
    """See the module."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        library = _library()
        self._figures = getattr(library, "mallinfo2", None)
        self._trim = getattr(library, "malloc_trim", None)
        self._adjust = getattr(library, "mallopt", None)
        if self._figures is not None:
            self._figures.restype = _Figures
        self._clock = clock
        self._pages = _Pages()
        self._least = 0  # bytes that the process had of the system, at the least since that was last looked for
        self._used = 0  # of it, at that time
        self._look_at = 0.0  # again, though it has not grown

    def be_one(self) -> None:
        """Have one heap for all threads, not one for each with holes of its own: Python runs one of them at a time.
        Frames and records of the largest sizes are kept out of it, as they would leave holes as large; honest batches
        are smaller, and take no longer.

        To be called before there are other threads.
        """
        if self._adjust is not None:
            self._adjust(_ARENA_MAX, 1)
            self._adjust(_MMAP_THRESHOLD, _LARGE_BYTES)  # by itself, it grows with the blocks that are freed
            self._adjust(_TRIM_THRESHOLD, _FREE_BYTES_MAX)

    def give_back(self) -> None:
        """Give unused memory back to the system, if there may be much.

        To look for it walks what is free, and to give it back all of the heap: 7 ms of processor time and more for each
        100 MiB where the two are mixed, and no other thread gets memory meanwhile. What was given back still counts as
        free. So it is looked for when the process has grown, and seldom otherwise.
        """
        if self._figures is None or self._trim is None:
            return
        has, now = self._pages.bytes(), self._clock()
        has_grown = has is None or has > self._least + _FREE_BYTES_MAX
        if not has_grown and now < self._look_at:
            self._least = min(self._least, has or 0)
            return
        figures = self._figures()
        if figures.free > _FREE_BYTES_MAX and (has_grown or figures.used < self._used - _FREE_BYTES_MAX):
            self._trim(0)
        self._least, self._used, self._look_at = self._pages.bytes() or 0, figures.used, now + _LOOK_EVERY_S

    def in_use(self) -> int | None:
        """Bytes in use, None where that is not known."""
        if self._figures is None:
            return None
        figures = self._figures()
        return int(figures.used + figures.hblkhd)


class _Pages:
    """What the process has of the system's memory for itself, where the system tells. The file stays open: a worker
    opens none.
    """

    def __init__(self) -> None:
        self._file = None
        with suppress(OSError):
            self._file = open("/proc/self/statm", "rb", buffering=0)  # noqa: SIM115

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def bytes(self) -> int | None:
        """So many, None where that is not known."""
        if self._file is None:
            return None
        try:
            self._file.seek(0)
            _, resident, shared, *_ = self._file.read(128).split()
        except (OSError, ValueError):
            return None
        return (int(resident) - int(shared)) * mmap.PAGESIZE


class _Figures(ctypes.Structure):
    """`struct mallinfo2`."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "used", "free", "keepcost")
    )


def _library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(None)
    except (OSError, TypeError):  # Windows
        return None
