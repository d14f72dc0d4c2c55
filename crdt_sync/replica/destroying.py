"""How a device destroys what it holds, once its space ordered that.

What it keeps of its membership stays, so that it can confirm; see `crdt_sync.membership.folder`. Deleted files may be
found on a disk again by whoever takes it apart: a store that is encrypted is gone with its key, which is to go first.
"""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from crdt_sync.files import sync_folder
from crdt_sync.storage.file_failures import failed

_FIRST = ("data.mdb", "lock.mdb", "data.mdb.*", "format-*", "exports")  # the records, and copies of them
_THEN = (
    "token",
    "token.before",
    "certificate.pem",
    "relay.toml",
    "transport.json",
    "sync-failed.json",
    "up.log",
    ".*.tmp",
)


def destroy(folder: Path) -> None:
    """Delete what a store holds and what is kept beside it, but for the membership. Raises `StoreError`."""
    try:
        for path in _found(folder):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                with suppress(FileNotFoundError):
                    path.unlink()
        sync_folder(folder)
    except OSError as error:
        raise failed(error, f"what is in {folder} cannot be destroyed", "It is tried again.") from error


def _found(folder: Path) -> Iterator[Path]:
    for pattern in (*_FIRST, *_THEN):
        yield from folder.glob(pattern)
