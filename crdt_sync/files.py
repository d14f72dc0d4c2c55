"""Files that appear whole or not at all, on every system a device runs on."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PRIVATE = 0o600
"""Mode of a file that its owner alone may read. Windows has no such modes: there the folder's permissions count."""

_ZEROS_BYTES = 1 << 20
_FOLDERS_ARE_FILES = hasattr(os, "O_DIRECTORY")  # Windows cannot open a folder, and keeps names without being told


def created(path: Path, mode: int = PRIVATE) -> BinaryIO:
    """A new file to write. Raises `FileExistsError` and other `OSError`."""
    return open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode))


@contextmanager
def replaced(path: Path, mode: int = PRIVATE) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` when the block ends well; else `path` stays as it was.

    It is written beside `path` and synced before it is renamed, so that a crash leaves the old file or the new one.
    Where `path` exists its permissions are kept, unless `mode` is `PRIVATE`. Raises `OSError`.
    """
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        with created(temporary, mode) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if mode != PRIVATE and path.exists():
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


def sync_folder(folder: Path) -> None:
    """Bring the names in `folder` to the disk: a file whose name is not there is lost with the power.

    Raises `OSError`.
    """
    if not _FOLDERS_ARE_FILES:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def destroy(path: Path) -> None:
    """Write zeros over a file and remove its name, on the disk when this returns. Raises `OSError`.

    What a disk keeps of it elsewhere (flash that wears evenly, snapshots of a file system, backups) is out of reach.
    """
    with path.open("r+b", buffering=0) as file:
        left = os.fstat(file.fileno()).st_size
        while left > 0:
            left -= file.write(bytes(min(left, _ZEROS_BYTES)))
        os.fsync(file.fileno())
    path.unlink()
    sync_folder(path.parent)
