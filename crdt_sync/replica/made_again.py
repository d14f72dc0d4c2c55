"""Edits that were put aside are made again, here or by somebody else: as new ones, by the name of who makes them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crdt_sync import ids
from crdt_sync.errors import CrdtSyncError, EditForbidden, InvalidTable, InvalidValue, UnknownRecord
from crdt_sync.limits import REFUSED_EDITS_MAX
from crdt_sync.records.roots import DELETED, Layout
from crdt_sync.records.values import restore_value
from crdt_sync.replica.edits import EditedRecord
from crdt_sync.replica.refused import RefusedEdit
from crdt_sync.replica.replica import Replica
from crdt_sync.replica.withdrawing import write


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one edit: what the field showed `before` it, and why it was not made, empty where it was."""

    edit: RefusedEdit
    before: Any
    why: str = ""


class _NotStored(Exception):
    pass


def make_again(replica: Replica, edits: Sequence[RefusedEdit], *, dry_run: bool = False) -> list[Made]:
    """Make these edits, those of one record together; what cannot be made is left out, with the reason.

    A record that is not here is made where what is given is enough for one. A `dry_run` stores nothing, and does not
    ask the policy. Raises `StoreError`.
    """
    found: list[Made] = []
    for record in dict.fromkeys(edit.record for edit in edits):
        found += _in_one(replica, record, [edit for edit in edits if edit.record == record], dry_run=dry_run)
    return found


def _in_one(replica: Replica, record: str, edits: list[RefusedEdit], *, dry_run: bool) -> Iterator[Made]:
    before = _shown(replica, record)
    left = list(edits)
    while left:
        failed: dict[int, str] = {}
        try:
            with replica.edit(record, create=True) as editor:
                for at, edit in enumerate(left):
                    try:
                        _make(editor, replica, edit)
                    except CrdtSyncError as error:
                        failed[at] = _told(error)
                if dry_run or len(failed) == len(left):
                    raise _NotStored
        except _NotStored:
            pass
        except EditForbidden as error:
            named = [at for at, edit in enumerate(left) if edit.field == error.field]
            failed = {at: _told(error) for at in named or range(len(left))}
            yield from (Made(left[at], before.get(left[at].field), why) for at, why in failed.items())
            left = [edit for at, edit in enumerate(left) if at not in failed]
            continue
        except CrdtSyncError as error:
            failed = {at: _told(error) for at in range(len(left))}
        yield from (Made(edit, before.get(edit.field), failed.get(at, "")) for at, edit in enumerate(left))
        return


def _make(editor: EditedRecord, replica: Replica, edit: RefusedEdit) -> None:
    schema = replica.schemas[ids.collection_of(edit.record)]
    if edit.field == DELETED:
        editor.delete() if edit.value else editor.restore()
        return
    held = editor[edit.field]  # raises for a field that the schema does not know
    spec = schema.fields[edit.field]
    if spec.rules.layout is Layout.MEMBERS and isinstance(edit.value, list):
        for member in edit.value:  # and none is removed that somebody else added
            editor.add(edit.field, restore_value(spec, member))
    elif spec.rules.layout is Layout.TEXT and edit.unsent:
        if (text := str(edit.value)) not in str(held or ""):
            editor[edit.field] = f"{held}\n{text}" if held else text
    elif spec.rules.layout is Layout.LOG and not isinstance(edit.value, list):
        raise InvalidValue(edit.field, "the lines that were added are no list", "Export the edit again.")
    else:
        write(editor, schema, edit.field, edit.value)


def _shown(replica: Replica, record: str) -> Mapping[str, Any]:
    try:
        view = replica.get(record)
    except UnknownRecord:
        return {}
    return {**view.raw, DELETED: view.deleted}


def _told(error: CrdtSyncError) -> str:
    return f"{error.message}. {error.hint}" if error.hint else error.message


def parsed(rows: Sequence[object]) -> list[RefusedEdit]:
    """Edits as `RefusedEdit.told` has them, of a file that anybody may have written. Raises `InvalidTable`."""
    if len(rows) > REFUSED_EDITS_MAX:
        raise InvalidTable(f"more than {REFUSED_EDITS_MAX} edits", "Export fewer at once: refused export NUMBER ...")
    found = []
    for line, row in enumerate(rows, 1):
        told = row if isinstance(row, dict) else {}
        record, field, author = told.get("record"), told.get("field"), told.get("author")
        sound = isinstance(record, str) and ids.is_record(record) and isinstance(field, str)
        collection = ids.collection_of(str(record)) if sound else ""
        if not sound or "value" not in told or ids.is_reserved(str(record)) or ids.section_of(collection):
            raise InvalidTable(f"line {line} is no edit that 'crdt-sync refused export' wrote", "Export it again.")
        found.append(
            RefusedEdit(
                line, str(record), str(field), told["value"], str(author or ""), 0, "", int(bool(told.get("unsent")))
            )
        )
    return found
