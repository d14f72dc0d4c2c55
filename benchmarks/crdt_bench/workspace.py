"""A directory for the files of one measurement."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def workspace() -> Iterator[Path]:
    """An empty directory, which is deleted with all that is in it when the block ends."""
    with tempfile.TemporaryDirectory(prefix="crdt-bench-") as name:
        yield Path(name)
