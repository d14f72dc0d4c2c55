"""Edits that a partner had not taken when it said that their record may not be held here any more: kept aside.

The record goes, the edits stay: a diff of it against what the partner was known to have. They are shown by the status,
and never sent by themselves. A record that comes again and goes again has several of them. No more than
`UNSENT_RECORDS_MAX` of them and `UNSENT_KEPT_BYTES_MAX` bytes are kept; first those make room of which all is listed by
field, then the oldest, and how many of these there were is said until somebody has heard it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cbor2

from crdt_sync.errors import StoreCorrupt
from crdt_sync.limits import UNSENT_KEPT_BYTES_MAX, UNSENT_RECORDS_MAX
from crdt_sync.storage.port import Settings

_KEPT = "unsent/"
_NUMBER = "#"  # before the number of an edit: no record has it in its id
_SIZES = "unsent_sizes"  # what is known of those that are kept
_LOST = "unsent_lost"  # how many had to make room
_ALONE, _BESIDE, _LISTED = (), (1,), (2,)  # what follows in a row of the sizes


@dataclass(frozen=True, slots=True)
class Unsent:
    """Edits of one record: when they were set aside (µs since 1970), bytes of them, the number of the newest.

    `alone`: kept by a release that kept no others of the record. `listed`: refused edits say all of it.
    """

    record: str
    at: int
    size: int
    edit: int
    alone: bool = False
    listed: bool = False

    @property
    def key(self) -> str:
        """What they are kept under."""
        return _KEPT + self.record if self.alone else f"{_KEPT}{self.record}{_NUMBER}{self.edit}"


def known(store: Settings) -> list[Unsent]:
    """What is kept, the oldest first."""
    try:
        rows: list[list[Any]] = cbor2.loads(store.meta(_SIZES) or b"\x80")
    except StoreCorrupt:
        rows = [_row_of(key) for key in store.meta_keys(_KEPT)]
    return [
        Unsent(record, at, size, edit, alone=not rest, listed=tuple(rest) == _LISTED)
        for record, at, size, edit, *rest in rows
    ]


def update_of(store: Settings, kept: Unsent) -> bytes | None:
    """The edits themselves. Raises `StoreCorrupt`."""
    return store.meta(kept.key)


def lost(store: Settings) -> int:
    """How many had to make room before all of them was listed, and nobody said that they know."""
    try:
        return int.from_bytes(store.meta(_LOST) or b"", "big")
    except StoreCorrupt:
        return 0


def forget_lost() -> dict[str, bytes | None]:
    """The meta to commit once somebody knows."""
    return {_LOST: None}


def set_aside(
    store: Settings, edits: Sequence[tuple[str, bytes, int]], at: int, listed: Collection[str] = ()
) -> dict[str, bytes | None]:
    """The meta to commit with the drop of these records: of each its update, and the number of the newest edit.

    Of those in `listed` refused edits say all.
    """
    if not edits:
        return {}
    coming = [Unsent(record, at, len(update), edit, listed=record in listed) for record, update, edit in edits]
    kept = known(store) + coming
    meta: dict[str, bytes | None] = {each.key: update for each, (_, update, _) in zip(coming, edits, strict=True)}
    size = sum(each.size for each in kept)
    left, gone = len(kept), set[str]()
    for each in sorted(kept, key=lambda one: not one.listed):
        if left <= UNSENT_RECORDS_MAX and size <= UNSENT_KEPT_BYTES_MAX:
            break
        left, size = left - 1, size - each.size
        gone.add(each.key)
        meta[each.key] = None
    if more := sum(each.key in gone and not each.listed for each in kept):
        meta[_LOST] = (lost(store) + more).to_bytes(8, "big")
    meta[_SIZES] = _rows([each for each in kept if each.key not in gone])
    return meta


def forget(store: Settings, gone: Collection[Unsent]) -> dict[str, bytes | None]:
    """The meta to commit so that these are kept no more."""
    if not gone:
        return {}
    meta: dict[str, bytes | None] = {each.key: None for each in gone}
    return {**meta, _SIZES: _rows([each for each in known(store) if each.key not in meta])}


def stored_after_all(store: Settings, accepted: Mapping[str, int]) -> list[Unsent]:
    """Those whose newest edit is the one that the partner has stored: by record its number.

    A later one was made when the record had come again, without what is kept.
    """
    return [each for each in known(store) if accepted.get(each.record) == each.edit] if accepted else []


def _row_of(key: str) -> list[Any]:
    """What the key alone tells."""
    record, _, edit = key.removeprefix(_KEPT).partition(_NUMBER)
    return [record, 0, 0, int(edit), 1] if edit else [record, 0, 0, 0]


def _rows(kept: Sequence[Unsent]) -> bytes:
    """One with four values is of a release that kept one for each record."""
    return cbor2.dumps([[each.record, each.at, each.size, each.edit, *_rest(each)] for each in kept])


def _rest(each: Unsent) -> tuple[int, ...]:
    return _ALONE if each.alone else _LISTED if each.listed else _BESIDE
