"""Which records have fields that are to be shown in part, and how far what masks show of them is up to date.

What is to be derived is read off the store: first all that there is, a page at a time, then whatever the log has
since. How far that came is kept with what was derived, in one commit, so it goes on there after a restart. Whatever way
a value came in, and whatever becomes of it, is in the log. Where other masks count than before, all is read anew. What
no mask shows any more is emptied and not taken away: whoever holds it is told to drop it, by its name.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

import cbor2

from crdt_sync import ids
from crdt_sync.errors import StoreCorrupt
from crdt_sync.storage.port import Store
from crdt_sync.strict_cbor import dumps

Masks = Mapping[str, Sequence[tuple[str, str, str]]]
"""By collection: section, field and mask of all that is shown in part."""

_KEY = "masks"
_PAGE = 64
_LAST = "\x7f"  # sorts after every character of a record id
_KEPT_EVERY = 4096  # changes of other records, after which it is kept that they were read


class Unit(NamedTuple):
    """A companion of a section of which masks show these fields. `shown`: or did, and nothing is to be shown."""

    record: str
    rows: tuple[tuple[str, str], ...]
    shown: bool


class Progress(NamedTuple):
    """By which masks, up to which record all that there is was read (None: all), and up to which number the log."""

    name: bytes
    through: str | None
    seq: int


class Page(NamedTuple):
    """What to derive next, and how far that brings it."""

    units: Sequence[Unit]
    progress: Progress


def name_of(masks: Masks) -> bytes:
    """A name for these masks."""
    rows = tuple((collection, tuple(map(tuple, rows))) for collection, rows in sorted(masks.items()) if rows)
    return blake2b(dumps(rows), digest_size=16, person=b"masks").digest()


def is_begun(store: Store) -> bool:
    """Whether anything was ever derived."""
    return _kept(store) is not None


class Masker:
    """See the module. Ask for a `page`, commit what was derived with its `meta`, then say `done`."""

    def __init__(self, store: Store, masks: Masks) -> None:
        self._store = store
        self._sections: dict[str, dict[str, list[tuple[str, str]]]] = {}
        self._section_of: dict[tuple[str, str, str], str] = {}
        for collection, rows in masks.items():
            for section, field, mask in rows:
                self._sections.setdefault(collection, {}).setdefault(section, []).append((field, mask))
                self._section_of[collection, field, mask] = section
        name, kept = name_of(masks), _kept(store)
        self._kept = kept if kept is not None and kept.name == name else Progress(name, "", store.head())
        self._progress = self._kept

    def concerns(self, record: str) -> bool:
        """Whether something of a record that was written is to be shown in part."""
        section = ids.section_of(record)
        return bool(section) and section in self._sections.get(ids.whole_collection(ids.collection_of(record)), ())

    def page(self) -> Page | None:
        """The next page; None where all is up to date."""
        return self._scanned() if self._progress.through is not None else self._followed()

    def meta(self, page: Page) -> Mapping[str, bytes | None]:
        """What is to be committed with what was derived of a page; nothing where it may as well be read again."""
        keeps = page.units or page.progress[:2] != self._kept[:2] or page.progress.seq - self._kept.seq >= _KEPT_EVERY
        return {_KEY: cbor2.dumps(list(page.progress))} if keeps else {}

    def done(self, page: Page) -> None:
        """It was committed."""
        if self.meta(page):
            self._kept = page.progress
        self._progress = page.progress

    def _scanned(self) -> Page:
        after = self._progress.through or ""
        while first := self._store.records(after, 1):
            collection = ids.collection_of(first[0])
            if ids.is_masked(collection) or self.concerns(first[0]):
                records = self._store.records(after, _PAGE, f"{collection}/")
                units = [unit for record in records if (unit := self._unit(record)) is not None]
                return Page(units, self._progress._replace(through=records[-1]))
            after = f"{collection}/{_LAST}"
        return Page((), self._progress._replace(through=None))

    def _unit(self, record: str) -> Unit | None:
        whole, section = ids.whole_record(record), ids.section_of(record)
        sections = self._sections.get(ids.collection_of(whole), {})
        if section in sections:
            return Unit(record, tuple(sections[section]), shown=True)
        field, mask = ids.mask_of(record)
        section = self._section_of.get((ids.collection_of(whole), field, mask), "")
        if section and self._is_here(ids.in_section(whole, section)):
            return None  # derived from there
        return Unit(whole, ((field, mask),), shown=False)

    def _is_here(self, record: str) -> bool:
        try:
            return self._store.record_head(record) is not None
        except StoreCorrupt:
            return True  # until it is mended

    def _followed(self) -> Page | None:
        entries = self._store.feed(self._progress.seq, _PAGE)
        if not entries:
            return None
        units = [self._unit(entry.record) for entry in entries if self.concerns(entry.record)]
        found = [unit for unit in units if unit is not None]
        return Page(found, self._progress._replace(seq=entries[-1].seq))


def _kept(store: Store) -> Progress | None:
    try:
        value = store.meta(_KEY)
    except StoreCorrupt:
        return None
    return None if value is None else Progress(*cbor2.loads(value))
