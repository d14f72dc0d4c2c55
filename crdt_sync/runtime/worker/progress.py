"""Sixteen bytes of memory that the worker and its parent share: what the worker is doing right now.

A worker that dies cannot say why, and one that hangs in native code answers nothing. So before each step it
writes where it is; whoever buries it reads the mark. Nothing else is shared, and the parent trusts nothing but
the range of the numbers.
"""

import mmap
import os
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROGRESS_BYTES: Final = 16
_NAME: Final = "crdt-worker-progress"
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


class Shared:
    """How a child process comes to the mark: by an inherited descriptor, or a file where memory has none."""

    def __init__(self) -> None:
        self._file: Path | None = None
        self.inherited: tuple[int, ...] = ()
        if hasattr(os, "memfd_create"):
            self._descriptor = os.memfd_create(_NAME, os.MFD_CLOEXEC)
            self.name = str(self._descriptor)
            self.inherited = (self._descriptor,)
        else:
            import tempfile  # noqa: PLC0415 - a worker never needs it

            self._descriptor, path = tempfile.mkstemp(prefix=_NAME)
            self.name, self._file = path, Path(path)
        os.write(self._descriptor, bytes(PROGRESS_BYTES))
        self.progress = Progress(self._descriptor)
        self.progress.rest()

    def close(self) -> None:
        """Nobody comes to the mark by its name any more; who has it mapped keeps it."""
        os.close(self._descriptor)
        if self._file is not None:
            with suppress(OSError):  # Windows keeps what is mapped; its folder of temporary files is emptied some time
                self._file.unlink()


def progress_of(name: str) -> Progress:
    """The child's end of the mark that its parent calls `name`. Raises `OSError`."""
    if name.isdecimal():
        return Progress(int(name))
    with Path(name).open("r+b") as file:
        return Progress(file.fileno())
