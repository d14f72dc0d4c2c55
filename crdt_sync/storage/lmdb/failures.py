"""What LMDB and the operating system raise, as errors of ours."""

import errno
import os
from pathlib import Path

import lmdb

from crdt_sync.errors import StoreCorrupt, StoreError, StoreFailed, StoreForbidden, StoreFormat, StoreFull
from crdt_sync.storage.file_failures import FREE_SPACE, GIVE_ACCESS, READ_ONLY

PROBE_BYTES = 16 << 20  # larger than an ordinary commit
_FULL = ("No space left on device", "Disk quota exceeded", "File too large")
_DAMAGED = (lmdb.CorruptedError, lmdb.PageNotFoundError)
_FOREIGN = (lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.IncompatibleError)


def cause_of(error: lmdb.Error, data: Path) -> lmdb.Error | OSError:
    """What made a commit fail: LMDB calls it an I/O error when the disk took only a part of a write.

    The file must not be in use. It is asked to grow by `PROBE_BYTES`; an error of that is the answer.
    """
    if "Input/output error" not in str(error):
        return error
    try:
        with data.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            try:
                os.posix_fallocate(file.fileno(), size, PROBE_BYTES)
            finally:
                file.truncate(size)
    except OSError as found:
        return found
    return error


def translate(error: lmdb.Error | OSError, path: Path) -> StoreError:
    """The error to raise, `from` the one given."""
    text = str(error)
    if any(sign in text for sign in _FULL):
        return StoreFull(f"no room to write to {path}: {text}", FREE_SPACE)
    if "Cannot allocate memory" in text:
        return StoreFailed(
            f"no memory to map {path}: {text}",
            "Allow this process more address space ('ulimit -v', or the limit of its container or service): a store "
            "is mapped as a whole, which uses addresses rather than memory. Nothing stored so far is lost.",
        )
    if "Read-only file system" in text:
        return StoreForbidden(f"{path} cannot be written to: {text}", READ_ONLY)
    if "Permission denied" in text or "Operation not permitted" in text or isinstance(error, lmdb.ReadonlyError):
        return StoreForbidden(f"no permission to use {path}: {text}", GIVE_ACCESS)
    if isinstance(error, OSError) and error.errno == errno.ELOOP and os.path.islink(error.filename or path):
        # what it leads to would be written over
        return StoreForbidden(
            f"{error.filename or path} is a link, in the place of a file of the store",
            "Find out who made it, and remove it.",
        )
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        what = "is a file" if path.is_file() else "is a link to nothing" if path.is_symlink() else "lies in a file"
        return StoreFormat(f"{path} {what}, and a store is a directory", "Name the directory of a store, or a new one.")
    if isinstance(error, _DAMAGED):
        return StoreCorrupt(f"{path} is damaged: {text}", "Restore a copy, or join again and fetch from a partner.")
    if isinstance(error, _FOREIGN):
        return StoreFormat(f"{path} is not a store: {text}", "Name the directory of a store, or a new one.")
    return StoreFailed(
        f"writing to {path} failed: {text}",
        "Try again; if it stays so, check the disk. The write was refused but may be found after a restart.",
    )
