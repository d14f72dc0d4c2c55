"""Destroying a store for good: its key first, so that what comes next may be cut short.

Called by whoever has closed the store, and by nobody else who has it open: by the command that wipes, and by a device
that was told to.
"""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from crdt_sync.errors import CrdtSyncError
from crdt_sync.files import destroy, sync_folder
from crdt_sync.storage.encryption import key_box, keyrings, unlocking
from crdt_sync.storage.lmdb.environment import DATA_NAME, READERS_NAME
from crdt_sync.storage.lmdb.failures import translate
from crdt_sync.storage.lmdb.lock import LOCK_NAME, StoreLock

_FILES = (
    DATA_NAME, f"{DATA_NAME}.*", "token", "token.before", "certificate.pem", "relay.toml", "sync-failed.json",
    "transport.json", "up.log", "up.log.before", "owner.port", "listening", ".*.tmp", READERS_NAME,
)  # fmt: skip
_FOLDERS = ("exports", "changing", "restoring", "format-*", "before-*", "awaited")


@dataclass(frozen=True, slots=True)
class Wiped:
    """What a wipe did: whether a `key` was destroyed, and which names are `left` in the directory, as no store's."""

    key: bool
    left: tuple[str, ...]


def wipe(path: Path) -> Wiped:
    """Destroy the closed store in a directory. Done again, it does what one that was cut short has left.

    When the key is gone nothing of an encrypted store can be read any more. Its data, and that of one that is not
    encrypted, is written over as well, which flash and copies of file systems may survive. Files that are no store's
    stay, and what the device is in a space: it has yet to confirm what it was told. Raises `StoreInUse`, `StoreFailed`.
    """
    lock = StoreLock(path)
    try:
        key = _destroy_key(path)
        for pattern in _FILES:
            for file in path.glob(pattern):
                if file.is_file() and not file.is_symlink():
                    destroy(file)
        for pattern in _FOLDERS:
            for folder in path.glob(pattern):
                for file in folder.rglob("*"):
                    if file.is_file() and not file.is_symlink():
                        destroy(file)
                shutil.rmtree(folder)
        (path / LOCK_NAME).unlink(missing_ok=True)
        sync_folder(path)
        left = tuple(sorted(each.name for each in path.iterdir()))
        if not left:
            path.rmdir()
            sync_folder(path.parent)
        return Wiped(key, left)
    except OSError as error:
        raise translate(error, path) from error
    finally:
        lock.release()


def _destroy_key(path: Path) -> bool:
    with suppress(CrdtSyncError, OSError):  # where it cannot be read, it is destroyed all the same
        box = key_box.read(path)
        unlocking.forget(box.id)
        if box.by == "keyring":
            keyrings.destroy(box.where)
    return key_box.destroy_key(path)
