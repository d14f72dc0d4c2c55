"""Edits that a partner had not taken when it said that their record may not be held here any more: kept aside.

The record goes, the edits stay: a diff of it against what the partner was known to have. They are shown by the status,
and never sent by themselves. No more than `UNSENT_RECORDS_MAX` records and `UNSENT_BYTES_MAX` bytes are kept; the
oldest make room.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cbor2

from crdt_sync.errors import StoreCorrupt
from crdt_sync.limits import UNSENT_BYTES_MAX, UNSENT_RECORDS_MAX
from crdt_sync.storage.port import Settings

_KEPT = "unsent/"
_SIZES = "unsent_sizes"  # what is known of those that are kept


@dataclass(frozen=True, slots=True)
class Unsent:
    """Edits of one record: when they were set aside (µs since 1970), bytes of them, the number of the newest."""

    record: str
    at: int
    size: int
    edit: int


def known(store: Settings) -> list[Unsent]:
    """What is kept, the oldest first."""
    try:
        rows: list[list[Any]] = cbor2.loads(store.meta(_SIZES) or b"\x80")
    except StoreCorrupt:
        rows = [[key.removeprefix(_KEPT), 0, 0, 0] for key in store.meta_keys(_KEPT)]
    return [Unsent(record, at, size, edit) for record, at, size, edit in rows]


def update_of(store: Settings, record: str) -> bytes | None:
    """The edits of one record. Raises `StoreCorrupt`."""
    return store.meta(_KEPT + record)


def set_aside(store: Settings, edits: Sequence[tuple[str, bytes, int]], at: int) -> dict[str, bytes | None]:
    """The meta to commit with the drop of these records: of each its update, and the number of the newest edit."""
    if not edits:
        return {}
    coming = {record for record, _, _ in edits}
    kept = [each for each in known(store) if each.record not in coming]
    kept += [Unsent(record, at, len(update), edit) for record, update, edit in edits]
    meta: dict[str, bytes | None] = {_KEPT + record: update for record, update, _ in edits}
    size = sum(each.size for each in kept)
    while len(kept) > UNSENT_RECORDS_MAX or size > UNSENT_BYTES_MAX:
        oldest = kept.pop(0)
        size -= oldest.size
        meta[_KEPT + oldest.record] = None
    meta[_SIZES] = _rows(kept)
    return meta


def forget(store: Settings, records: Collection[str]) -> dict[str, bytes | None]:
    """The meta to commit so that the edits of these records are kept no more."""
    if not records:
        return {}
    kept = [each for each in known(store) if each.record not in records]
    return {**{_KEPT + record: None for record in records}, _SIZES: _rows(kept)}


def stored_after_all(store: Settings, accepted: Mapping[str, int]) -> list[str]:
    """The records whose edits that are kept are no later than one that the partner has stored: by record its number."""
    if not any(store.meta(_KEPT + record) is not None for record in accepted):
        return []
    return [each.record for each in known(store) if accepted.get(each.record, -1) >= each.edit]


def _rows(kept: Sequence[Unsent]) -> bytes:
    return cbor2.dumps([[each.record, each.at, each.size, each.edit] for each in kept])
