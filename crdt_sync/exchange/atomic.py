"""Tables and bundles appear whole or not at all, and say it where they cannot."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from crdt_sync.errors import TableNotWritten, UsageError
from crdt_sync.files import replaced


@contextmanager
def atomic_file(path: Path, failure: type[UsageError] = TableNotWritten) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` when the block ends well; else `path` stays as it was.

    It is written beside `path` and synced before it is renamed, so that a crash leaves the old file or the new one.
    The permissions of a file that is replaced are kept. Raises `failure`.
    """
    try:
        with replaced(path.resolve(), mode=0o666) as stream:  # a link keeps pointing where it points
            yield stream
    except OSError as error:
        raise failure(
            f"{str(path)!r} cannot be written: {error.strerror or error}",
            "Check the folder, its permissions and its space.",
        ) from error
