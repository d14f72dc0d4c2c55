"""Memory that the process asked the system for: how much is in use, and back with what is not.

How much a loaded record takes does not follow from its bytes: a long text little more than them, many small items
thirty times as much. The GNU C library tells; elsewhere nothing is known, and nothing done.
"""

import ctypes
from typing import Final

_FREE_BYTES_MAX: Final = 8 << 20  # that it may keep: giving back takes milliseconds, and so does asking anew
_ARENA_MAX: Final = -8  # of `mallopt`


class Heap:
    """See the module."""

    def __init__(self) -> None:
        library = _library()
        self._figures = getattr(library, "mallinfo2", None)
        self._trim = getattr(library, "malloc_trim", None)
        self._adjust = getattr(library, "mallopt", None)
        if self._figures is not None:
            self._figures.restype = _Figures

    def be_one(self) -> None:
        """Have one heap for all threads, not one for each with holes of its own: Python runs one of them at a time.

        To be called before there are others.
        """
        if self._adjust is not None:
            self._adjust(_ARENA_MAX, 1)

    def give_back(self) -> int | None:
        """Give unused memory back to the system, if it is much. Returns the bytes in use, None where that is not known.

        It takes half a millisecond, and some where much is given back.
        """
        if self._figures is None or self._trim is None:
            return None
        figures = self._figures()
        if figures.free > _FREE_BYTES_MAX:
            self._trim(0)
        return int(figures.used + figures.hblkhd)


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
