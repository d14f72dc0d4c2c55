"""One process at a time: an advisory lock on a file in the store's directory that names its holder."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from crdt_sync.errors import StoreFailed, StoreForbidden, StoreInUse
from crdt_sync.storage.lmdb.failures import translate

LOCK_NAME = "lock"
_NAME_AT = 1  # Windows locks the byte at 0, and lets nobody else read it


def holder(directory: Path) -> int | None:
    """The process that holds the lock of a store, or was the last to hold it; None where that cannot be told."""
    try:
        found = (directory / LOCK_NAME).read_bytes()[_NAME_AT:256].split()
        return int(found[0])
    except (OSError, ValueError, IndexError):
        return None


def let_go(directory: Path, process: int) -> bool:
    """Whether a process that held the lock of a store does so no more: it is free, or another one's."""
    try:
        StoreLock(directory).release()
    except StoreInUse:
        return holder(directory) not in {process, None}
    return True


class StoreLock:
    """Held from construction to `release()`; the operating system releases it when the process dies.

    Raises `StoreInUse` naming the holder, also for a second opener in this process; `StoreForbidden`.
    """

    def __init__(self, directory: Path) -> None:
        from filelock import lock_descriptor  # noqa: PLC0415 - not needed beside an owner

        path = directory / LOCK_NAME
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        except PermissionError as error:
            raise StoreForbidden(
                f"no permission to open {path}", "Run as the user who owns the store, or give this user access."
            ) from error
        except OSError as error:
            raise translate(error, path) from error
        try:
            alone = lock_descriptor(self._file, blocking=False)
        except OSError as error:
            os.close(self._file)
            raise StoreFailed(f"cannot lock {path}: {error.strerror}", "Use a file system with flock.") from error
        if not alone:
            os.lseek(self._file, _NAME_AT, os.SEEK_SET)
            holder = os.read(self._file, 256).decode("utf-8", "replace").strip() or "unknown"
            os.close(self._file)
            raise StoreInUse(
                f"{directory} is in use by process {holder}", "Stop that program first, or wait until it has ended."
            )
        # Only the program's name: arguments may hold tokens.
        program = Path(sys.argv[0] or "python").name
        with suppress(OSError):  # the name is a courtesy: on a full disk the store can still be read
            os.ftruncate(self._file, 0)
            os.write(self._file, f"\n{os.getpid()} ({program})\n".encode("utf-8", "replace"))

    def release(self) -> None:
        """Let another process open the store; doing it twice is harmless."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
