"""Refused edits: what a relay's policy did not allow, or was not sent before its record left, put aside.

Each is one field of one record, as it would have shown. They stay until somebody drops them, edits again or hands them
on. Where there is no more room nothing is put aside, and the record stays as it is here, refused.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from crdt_sync.errors import StoreCorrupt, UnknownRefusal
from crdt_sync.ids import whole_record
from crdt_sync.limits import REFUSED_EDITS_BYTES_MAX, REFUSED_EDITS_MAX
from crdt_sync.records.entries import well_formed
from crdt_sync.records.roots import Layout
from crdt_sync.records.values import canonical
from crdt_sync.replica import unsent
from crdt_sync.replica.context import Context
from crdt_sync.replica.unsent import Unsent
from crdt_sync.storage.port import Settings
from crdt_sync.storage.values import Batch

_PREFIX = "refused/"  # meta
_DIGITS = 12
_RECORD = b'"record": "'


@dataclass(frozen=True, slots=True)
class RefusedEdit:
    """One field that could not be shared.

    `field` is `_deleted` for a delete (`value` true) and a restore. `value` is the carrier that the field was to show;
    of a counter what was counted, of a log the lines that were added. `author` wrote it, `at` is when it was refused
    (µs since 1970), `reason` what the relay said, and `number` names it here, from 1. `unsent` is the number of the
    newest edit of those in which it was kept aside when its record left, see `unsent`; 0 for what was refused. Of
    such a one `value` is of a text what was put in, and of a set the members that were added.
    """

    number: int
    record: str
    field: str
    value: Any
    author: str
    at: int
    reason: str
    unsent: int = 0

    @property
    def told(self) -> dict[str, object]:
        """It as JSON has it, for programs and for whoever is to make the edit."""
        return asdict(self)


class HasContext(Protocol):
    """A replica."""

    @property
    def context(self) -> Context:
        """What its parts share."""


def refused_edits(store: Settings, of: Collection[str] | None = None) -> list[RefusedEdit]:
    """All that are kept, or those of these records, the oldest first. What is damaged is left out."""
    found, wanted = [], None if of is None else {record.encode() for record in of}
    for key in store.meta_keys(_PREFIX):
        with suppress(StoreCorrupt, ValueError, TypeError):
            row = store.meta(key) or b""
            if wanted is None or _record_of(row) in wanted:
                found.append(RefusedEdit(**json.loads(row)))
    return found


def _record_of(row: bytes) -> bytes:
    """Without parsing the row, which takes much longer: a session asks at whatever comes. Before its record a row has
    its number alone. Raises `ValueError`.
    """
    begin = row.index(_RECORD) + len(_RECORD)
    return row[begin : row.index(b'"', begin)]


def drop(replica: HasContext, numbers: Iterable[int]) -> None:
    """Forget these. Raises `UnknownRefusal`, with nothing dropped, where one of them is not kept."""
    context = replica.context
    with context.lock:
        context.store.commit([Batch(meta=dropped(context.store, numbers))])


def dropped(store: Settings, numbers: Iterable[int]) -> dict[str, bytes | None]:
    """The meta to commit for that. What was kept aside when its record left goes with the last edit that is listed of
    it, where they say all of it.
    """
    keys = [_key(number) for number in numbers]
    known = set(store.meta_keys(_PREFIX))
    if missing := [key for key in keys if key not in known]:
        number = int(missing[0].removeprefix(_PREFIX))
        raise UnknownRefusal(f"no refused edit has the number {number}", "See 'crdt-sync refused list'.")
    gone = set(numbers_of(keys))
    here = refused_edits(store)
    left = {_of_unsent(edit) for edit in here if edit.number not in gone}
    whole = {_of_unsent(edit) for edit in here if edit.unsent and edit.number in gone} - left
    done = [each for each in unsent.known(store) if each.listed and (whole_record(each.record), each.edit) in whole]
    return {**unsent.forget(store, done), **dict.fromkeys(keys)}


def come(edits: Iterable[RefusedEdit], record: str, contents: Mapping[str, object]) -> dict[str, bytes | None]:
    """The meta to commit once a relay has given a record, or a companion, with these contents: what was refused is kept
    no longer where the very value has come and stands alone, as whoever may write it has done so. Beside others it
    waits for a decision, and that may be what was refused.
    """
    gone: dict[str, bytes | None] = {}
    for edit in edits:
        held = contents.get(f"{Layout.ENTRIES}{edit.field}")
        if edit.unsent or edit.record != whole_record(record) or not isinstance(held, list):
            continue
        if {canonical(entry[0]) for entry in well_formed(held)} == {canonical(edit.value)}:
            gone[_key(edit.number)] = None
    return gone


def numbers_of(keys: Iterable[str]) -> list[int]:
    """The numbers of the edits that are kept under these keys of meta."""
    return [int(key.removeprefix(_PREFIX)) for key in keys]


def forget_unsent(store: Settings, gone: Collection[Unsent]) -> dict[str, bytes | None]:
    """The meta to commit so that what was kept aside is so no more, nor what is listed of it."""
    if not gone:
        return {}
    left = {(whole_record(each.record), each.edit) for each in gone}
    rows: dict[str, bytes | None] = {
        _key(edit.number): None for edit in refused_edits(store) if edit.unsent and _of_unsent(edit) in left
    }
    return {**unsent.forget(store, gone), **rows}


def _of_unsent(edit: RefusedEdit) -> tuple[str, int]:
    return edit.record, edit.unsent


def kept(store: Settings, edits: Sequence[RefusedEdit], gone: Collection[str] = ()) -> dict[str, bytes | None] | None:
    """The meta to commit to keep these, whose numbers are given here; None where there is no room for them.

    What is kept already, the same value of the same field from the same departure, is not kept twice; `gone` are keys
    that the same commit deletes.
    """
    there = [edit for edit in refused_edits(store) if _key(edit.number) not in gone]
    keys = store.meta_keys(_PREFIX)
    next_number = 1 + max((int(key.removeprefix(_PREFIX)) for key in keys), default=0)
    known: Collection[str] = {_same(edit) for edit in there}
    rows: dict[str, bytes | None] = {}
    for edit in edits:
        if _same(edit) not in known:
            number = next_number + len(rows)
            rows[_key(number)] = json.dumps({**edit.told, "number": number}, ensure_ascii=False).encode()
    size = sum(_size(store, key) for key in keys) + sum(len(row or b"") for row in rows.values())
    if len(keys) + len(rows) > REFUSED_EDITS_MAX or size > REFUSED_EDITS_BYTES_MAX:
        return None
    return rows


def _size(store: Settings, key: str) -> int:
    try:
        return len(store.meta(key) or b"")
    except StoreCorrupt:
        return 0  # and it does not hold up what is to be put aside


def _same(edit: RefusedEdit) -> str:
    return json.dumps([edit.record, edit.field, edit.value, edit.author, edit.unsent], sort_keys=True)


def _key(number: int) -> str:
    return f"{_PREFIX}{number:0{_DIGITS}}"
