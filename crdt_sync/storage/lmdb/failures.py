"""What LMDB and the operating system raise, as errors of ours."""

from pathlib import Path

import lmdb

from crdt_sync.errors import StoreCorrupt, StoreError, StoreFailed, StoreForbidden, StoreFormat, StoreFull

_FULL = ("No space left on device", "Disk quota exceeded", "File too large")
_DAMAGED = (lmdb.CorruptedError, lmdb.PageNotFoundError)
_FOREIGN = (lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.IncompatibleError)


def translate(error: lmdb.Error | OSError, path: Path) -> StoreError:
    """The error to raise, `from` the one given."""
    text = str(error)
    if any(sign in text for sign in _FULL):
        return StoreFull(
            f"no room to write to {path}: {text}", "Free some space on the disk; nothing stored so far is lost."
        )
    if "Permission denied" in text or "Read-only file system" in text or isinstance(error, lmdb.ReadonlyError):
        return StoreForbidden(
            f"no permission to use {path}: {text}", "Run as the user who owns the store, or give this user access."
        )
    if isinstance(error, _DAMAGED):
        return StoreCorrupt(f"{path} is damaged: {text}", "Restore a copy, or join again and fetch from a partner.")
    if isinstance(error, _FOREIGN):
        return StoreFormat(f"{path} is not a store: {text}", "Name the directory of a store, or a new one.")
    return StoreFailed(
        f"writing to {path} failed: {text}",
        "Try again; if it stays so, check the disk. The write was refused but may be found after a restart.",
    )
