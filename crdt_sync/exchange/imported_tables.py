"""Which tables this device has imported, so that an old version that is imported again takes nothing back.

A version of a source is known by a digest of its cells, whatever the order of its rows. For each there is the stamp at
which its first import began: what the source was heard to say later, here or elsewhere, is of a newer version. The book
is kept beside the store, one file for each source; without it, an old version counts as news.
"""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from crdt_sync.exchange.atomic import atomic_file
from crdt_sync.exchange.table import Row, Table
from crdt_sync.limits import VERSIONS_OF_SOURCE_MAX

_DIGEST_BYTES = 16
_MODULUS = 1 << (8 * _DIGEST_BYTES)


def version_digest(table: Table) -> str:
    """What two tables with equal headers and rows have in common, in whatever order and kind of file."""
    total = 0
    for row in table.rows():
        told = repr(row.cells) if isinstance(row, Row) else row.code
        digest = hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()
        total = (total + int.from_bytes(digest)) % _MODULUS  # a sum: rows that stand twice do not cancel out
    headers = repr(table.columns).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(headers + total.to_bytes(_DIGEST_BYTES), digest_size=_DIGEST_BYTES).hexdigest()


class ImportedTables:
    """The versions that were imported, in `folder`, which is made at the first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def first_import(self, collection: str, source: str, digest: str) -> int | None:
        """The stamp (microseconds) at which a version was imported first, None for one that never was."""
        return self._read(collection, source).get(digest)

    def note(self, collection: str, source: str, digest: str, stamp: int) -> None:
        """Take down that a version is imported now. Raises `TableNotWritten`."""
        versions = {**self._read(collection, source), digest: stamp}
        kept = sorted(versions.items(), key=lambda version: version[1])[-VERSIONS_OF_SOURCE_MAX:]
        with suppress(FileExistsError):
            self._folder.mkdir(mode=0o700)
        with atomic_file(self._path(collection, source)) as stream:
            stream.write(json.dumps(dict(kept)).encode())

    def _path(self, collection: str, source: str) -> Path:
        name = hashlib.blake2b(f"{collection}/{source}".encode(), digest_size=8).hexdigest()
        return self._folder / f"{name}.json"

    def _read(self, collection: str, source: str) -> dict[str, int]:
        with suppress(OSError, ValueError):
            found = json.loads(self._path(collection, source).read_bytes())
            if isinstance(found, dict):
                return {digest: stamp for digest, stamp in found.items() if type(stamp) is int}
        return {}
