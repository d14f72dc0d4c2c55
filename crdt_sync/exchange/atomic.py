"""Files that appear whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from crdt_sync.errors import TableNotWritten, UsageError


@contextmanager
def atomic_file(path: Path, failure: type[UsageError] = TableNotWritten) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` when the block ends well; else `path` stays as it was.

    It is written beside `path` and synced before it is renamed, so that a crash leaves the old file or the new one.
    The permissions of a file that is replaced are kept. Raises `failure`.
    """
    target = path.resolve()  # a link keeps pointing where it points
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        with _created(temporary) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise failure(
            f"{str(path)!r} cannot be written: {error.strerror or error}",
            "Check the folder, its permissions and its space.",
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _created(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "wb")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
