"""Sixteen bytes of memory that the worker and its parent share: what the worker is doing right now.

A worker that dies cannot say why, and one that hangs in native code answers nothing. So before each step it
writes where it is; whoever buries it reads the mark. Nothing else is shared, and the parent trusts nothing but
the range of the numbers.
"""

import mmap
import os
import struct
from dataclasses import dataclass
from typing import Final

PROGRESS_BYTES: Final = 16
LOADING: Final = 0xFFFF_FFFF  # in place of an update's index: the record's own stored state is being loaded
_IDLE: Final = 0xFFFF_FFFF  # in place of an item's index
_MARK = struct.Struct("<QII")  # number of the request, index of the item, index of the update


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the worker was: item `item` of the request, and its update `update`, or `LOADING`."""

    item: int
    update: int


class Progress:
    """One end of the shared mark."""

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, PROGRESS_BYTES)

    def write(self, number: int, item: int, update: int) -> None:
        """Say that request `number` is at `update` of `item`."""
        _MARK.pack_into(self._memory, 0, number, item, update)

    def rest(self) -> None:
        """Say that no request is being worked on."""
        _MARK.pack_into(self._memory, 0, 0, _IDLE, 0)

    def read(self, number: int) -> Mark | None:
        """Where request `number` was left, or `None` if the worker was not at it (or the mark is closed)."""
        if self._memory.closed:
            return None
        marked, item, update = _MARK.unpack_from(self._memory)
        return Mark(item, update) if marked == number and item != _IDLE else None

    def close(self) -> None:
        """Unmap the memory."""
        self._memory.close()


def create_shared() -> tuple[Progress, int]:
    """A fresh mark and the file descriptor under which a child process may inherit it."""
    descriptor = os.memfd_create("crdt-worker-progress", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, PROGRESS_BYTES)
    progress = Progress(descriptor)
    progress.rest()
    return progress, descriptor
