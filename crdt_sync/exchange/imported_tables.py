"""Which tables were imported on any device of the space, so that an old version takes nothing back wherever it comes.

A version of a source is known by a digest of its cells, whatever the order of its rows. For each there is the stamp at
which its first import began: what the source was heard to say later, here or elsewhere, is of a newer version. The book
of a source travels as a record, see `crdt_sync.records.import_book`; without it, an old version counts as news.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from crdt_sync import ids
from crdt_sync.errors import RecordTooLarge, StoreCorrupt, UnknownRecord
from crdt_sync.exchange.table import Row, Table
from crdt_sync.limits import STAMP_AHEAD_US_MAX, STAMP_MAX, VERSIONS_OF_SOURCE_MAX
from crdt_sync.records.import_book import SOURCE, VERSIONS, member, newest_versions, outdated, read_versions
from crdt_sync.records.memory.sources import account_of, earlier_edits_of, is_edits
from crdt_sync.replica import Replica

_log = logging.getLogger(__name__)
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


def _books(source: str) -> tuple[str, ...]:
    """The books that know the versions of a source: its own, and that of the rest of its account."""
    name = account_of(source)
    table, edits = (name,), () if is_edits(name) else (earlier_edits_of(name),)
    return edits + table if source != name else table + edits


class ImportedTables:
    """The versions that were imported into the space of `replica`.

    `folder` has the books of a store from before they travelled, one file for each source: what they know is written
    into the record at the next import of the source.
    """

    def __init__(self, replica: Replica, folder: Path | None = None) -> None:
        self._replica = replica
        self._folder = folder

    def collections(self, source: str) -> list[str]:
        """The collections that a table of this source, or what people edited in an export of that name, went into."""
        return [
            collection
            for collection in self._replica.schemas
            if any(
                self._members(collection, name) is not None or self._of_before(collection, name)
                for name in _books(source)
            )
        ]

    def begin(
        self, collection: str, source: str, digest: str, *, go_back: bool
    ) -> tuple[int | None, Callable[[], None]]:
        """An import of a version begins: its `first_import`, or None to `go_back`, and how to `note` that it began
        now, which is for as soon as a row of it is taken.
        """
        books = _books(source)
        found = [self.first_import(collection, book, digest) for book in books]
        first = None if go_back else min((stamp for stamp in found if stamp is not None), default=None)
        began = self._replica.clock.tick()
        return first, partial(self.note, collection, books[0], digest, go_back=go_back, began=began)

    def first_import(self, collection: str, source: str, digest: str) -> int | None:
        """The stamp (microseconds) at which a version was imported first, None for one that never was."""
        members = self._members(collection, source)
        return self._known(collection, source, members, self._until()).get(digest)

    def is_older(self, collection: str, source: str, stamp: int) -> bool:
        """Whether a table of this source may have been imported up to `stamp`."""
        known = self._known(collection, source, self._members(collection, source), self._until())
        return len(known) >= VERSIONS_OF_SOURCE_MAX or any(first <= stamp for first in known.values())

    def note(
        self, collection: str, source: str, digest: str, *, go_back: bool = False, began: int | None = None
    ) -> None:
        """A version is imported, since the stamp `began` or now: the first time it is taken down, with `go_back` as the
        newest.

        It is never older than a version that is known here already, whatever the clocks say. Raises `StoreError`.
        """
        members, until = self._members(collection, source), self._until()
        known = self._known(collection, source, members, until)
        newest = max(known.values(), default=0)
        self._replica.clock.observe(newest)
        if go_back or digest not in known:
            known[digest] = min(max(self._replica.clock.tick() if began is None else began, newest + 1), STAMP_MAX)
        kept = newest_versions(known)
        if read_versions(members, until) != kept:
            try:
                self._write(collection, source, kept, until, new=members is None)
            except RecordTooLarge as full:  # of what somebody else wrote there: it must not keep the table out
                _log.warning("that this version of %r was imported is not noted: %s", source, full.message)
            except StoreCorrupt as corrupt:
                book = ids.import_book(collection, source)
                self._replica.context.note_damage(book, corrupt.message)
                _log.warning("that this version of %r was imported is not noted: %s is damaged", source, book)
        if self._folder is not None:
            self._path(self._folder, collection, source).unlink(missing_ok=True)

    def _write(self, collection: str, source: str, kept: Mapping[str, int], until: int, *, new: bool) -> None:
        with self._replica.edit_reserved(ids.import_book(collection, source)) as book:
            if new or book[SOURCE] is None:  # it may have been cleared with what filled the book
                book[SOURCE] = f"{collection}: {source}"
            held = [each for each in book[VERSIONS] if isinstance(each, str)]  # none, where there was no room
            for old in outdated(held, kept, until):
                book.remove(VERSIONS, old)
            for each in {member(*version) for version in kept.items()}.difference(held):
                book.add(VERSIONS, each)

    def _until(self) -> int:
        return min(self._replica.clock.now() + STAMP_AHEAD_US_MAX, STAMP_MAX)

    def _known(self, collection: str, source: str, members: object, until: int) -> dict[str, int]:
        shared, own = read_versions(members, until), self._of_before(collection, source)
        return {digest: min(stamp, shared.get(digest, stamp)) for digest, stamp in {**shared, **own}.items()}

    def _members(self, collection: str, source: str) -> Sequence[str] | None:
        with suppress(UnknownRecord):
            found = self._replica.get(ids.import_book(collection, source)).raw.get(VERSIONS)
            return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
        return None

    def _of_before(self, collection: str, source: str) -> dict[str, int]:
        if self._folder is None:
            return {}
        with suppress(OSError, ValueError):
            found = json.loads(self._path(self._folder, collection, source).read_bytes())
            if isinstance(found, dict):
                return read_versions([member(digest, stamp) for digest, stamp in found.items() if type(stamp) is int])
        return {}

    @staticmethod
    def _path(folder: Path, collection: str, source: str) -> Path:
        name = hashlib.blake2b(f"{collection}/{source}".encode(), digest_size=8).hexdigest()
        return folder / f"{name}.json"
