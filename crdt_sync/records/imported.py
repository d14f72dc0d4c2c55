"""What an import writes into a record: next to what people write, never over it unseen.

Entries of an import carry the stamp `IMPORTED`, which is before every person's, and are signed by its source, so that
the same import is the same operations on every device.
"""

import json
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from crdt_sync.errors import InvalidValue, RecordDeleted, UnknownField
from crdt_sync.limits import STAMP_MAX
from crdt_sync.records.deleted import is_deleted
from crdt_sync.records.document import Document
from crdt_sync.records.editor import check_actor
from crdt_sync.records.entries import Doubt, is_entry, well_formed
from crdt_sync.records.field_values import normalise
from crdt_sync.records.member_keys import is_imported, member_key, member_of, source_of
from crdt_sync.records.memory.beginnings import met
from crdt_sync.records.memory.memories import rewrite_beginnings
from crdt_sync.records.memory.memory_index import MemoryIndex
from crdt_sync.records.memory.sources import IMPORTED, account_of, actor_of, read_sources
from crdt_sync.records.reading import reading_of
from crdt_sync.records.replaced import Replaced, fourth, standing
from crdt_sync.records.roots import BEGUN_ROOT, SOURCES_ROOT, Layout
from crdt_sync.records.schema import FieldSpec, Schema
from crdt_sync.records.text_bringing import bring_text
from crdt_sync.records.values import Carrier, canonical
from crdt_sync.records.write_once import write_once

if TYPE_CHECKING:
    from crdt_sync.records.yrs import Transaction as YrsTransaction

Operation = Literal["write", "beside", "agree", "replace", "add", "remove", "drop", "append"]


@dataclass(frozen=True, slots=True)
class ImportedChange:
    """One edit of one field that an import makes.

    | operation | does |
    |---|---|
    | write | puts the value in the place of what is shown; beside whatever else people wrote |
    | beside | adds the value to those of people, as a conflict |
    | agree | takes back a value that the source has said before, and nothing else |
    | replace | makes a text show the value once the source says `said`, which waits beside it where it is `apart` |
    | add, remove | of a set; what a person added, and what the source is remembered to say, is never removed |
    | drop | of a set: the member, whoever added it, as a person removes it |
    | append | to a log; `at` (stamp) and `by` where the source says them, `count` of equal ones before it |
    """

    operation: Operation
    field: str
    value: object = None
    at: int | None = None
    by: str | None = None
    count: int = 0
    said: str | None = None
    edited_from: str | None = None  # of a text, where that is not what its source said before
    apart: bool = False
    replaced: Replaced | None = None  # what people edited in an export, where that may not have arrived yet
    doubt: Doubt = None  # of `beside`: nobody knows whether people edited it


def bring(document: Document, schema: Schema, source: str, changes: Sequence[ImportedChange]) -> None:
    """Write the changes of one row, each text by a writer of its own and the rest by one: see `write_once`.

    Raises `RecordDeleted`, `UnknownField`, `InvalidValue` and `InvalidTransition`; throw the document away then.
    """
    check_not_deleted(document)
    checked = [_checked(schema, change) for change in changes]
    rest = [change for change in checked if change.operation != "replace"]
    if rest:
        write_once(document, partial(_write, actor=actor_of(source), lines=actor_of(account_of(source)), changes=rest))
    for change in checked:
        if change.operation == "replace":
            account, shown = account_of(source), str(change.carrier)
            bring_text(document, account, change.field, shown, change.said, change.edited_from, apart=change.apart)


def check_not_deleted(document: Document) -> None:
    """Raise `RecordDeleted` where a record is deleted."""
    if is_deleted(document):
        raise RecordDeleted("the record is deleted", "Restore it first if it is still needed.")


@dataclass(frozen=True, slots=True)
class _Checked:
    """A change whose value is a carrier."""

    operation: Operation
    field: str
    spec: FieldSpec
    carrier: Carrier
    entry: tuple[object, ...]  # of a log: stamp, author and what makes equal entries differ
    said: str | None
    edited_from: str | None
    apart: bool
    replaced: tuple[Replaced, ...]
    doubt: Doubt


def _checked(schema: Schema, change: ImportedChange) -> _Checked:
    spec = schema.fields.get(change.field)
    if spec is None:
        raise UnknownField(f"{schema.collection} has no field {change.field[:60]!r}")
    if change.operation not in _OPERATIONS[spec.rules.layout]:
        raise InvalidValue(change.field, f"a {spec.kind} cannot be imported by {change.operation!r}")
    carrier = None if change.operation == "agree" else normalise(change.field, spec, change.value)
    entry: tuple[object, ...] = ()
    if change.at is not None and change.by is not None:
        if not 0 <= change.at <= STAMP_MAX:
            raise InvalidValue(change.field, "an entry has a time that cannot be", "Write microseconds since 1970.")
        entry = change.at, check_actor(change.by)
    elif change.count:
        entry = (change.count,)
    replaced = () if change.replaced is None else (change.replaced,)
    return _Checked(
        change.operation,
        change.field,
        spec,
        carrier,
        entry,
        change.said,
        change.edited_from,
        change.apart,
        replaced,
        change.doubt,
    )


def _write(document: Document, actor: str, lines: str, changes: Sequence[_Checked]) -> None:
    """`actor` signs the changes, and `lines` those of logs: two ways to take one file write the same."""
    assert document.writer is not None
    own = [IMPORTED, actor]
    with document.transaction() as transaction:
        for change in changes:
            field, carrier = change.field, change.carrier
            match change.operation:
                case "write" | "beside" | "agree":
                    _write_entry(document, transaction, change, own)
                case "append":
                    array = document.array(transaction, f"l.{field}")
                    entry = [*change.entry] if len(change.entry) == 2 else [IMPORTED, lines, *change.entry]
                    array.insert(transaction, array.len(transaction), [carrier, *entry])
                case "add":
                    key = member_key(canonical(carrier), document.writer, actor)
                    document.map(transaction, f"s.{field}").insert(transaction, key, carrier)
                case "remove" | "drop":
                    members = document.map(transaction, f"s.{field}")
                    member = canonical(carrier)
                    for key in sorted(json.loads(members.to_json(transaction))):
                        ours = is_imported(key) and source_of(key) is None
                        if member_of(key) == member and (ours or change.operation == "drop"):
                            members.remove(transaction, key)


def _write_entry(document: Document, transaction: "YrsTransaction", change: _Checked, own: list[object]) -> None:
    array = document.array(transaction, f"c.{change.field}")
    length = array.len(transaction)
    raw = json.loads(array.to_json(transaction)) if length else []
    entries = well_formed(raw)
    replaced: set[str] = set()
    if change.operation == "write" and entries:  # a new record has none, in none of its fields
        memories = MemoryIndex(read_sources(json.loads(document.array(transaction, SOURCES_ROOT).to_json(transaction))))
        age = partial(memories.age, field=change.field)
        shown = change.spec.rules.ordered(standing(entries, age), change.spec, age)[0][0]
        change.spec.rules.check_move(change.field, change.spec, shown, change.carrier)
        # What else stands there is something that the cell was not compared with.
        replaced = {canonical(shown)}
    superseded = []
    for index in reversed(range(length)):
        entry = raw[index]
        if entry[1:3] == own or canonical(entry[0]) in replaced if is_entry(entry) else replaced:
            array.remove_range(transaction, index, 1)
            superseded += well_formed([entry])
    if change.operation != "agree":
        more = [change.doubt] if change.doubt else fourth(change.carrier, superseded, change.replaced)
        array.insert(transaction, array.len(transaction), [change.carrier, *own, *more])


def meet_beginnings(document: Document, fields: Set[str]) -> None:
    """An import that knows what the record holds says something of these fields: it has seen what people began."""
    with document.transaction() as transaction:
        if BEGUN_ROOT not in document.root_names(transaction):
            return
    disputed = {conflict.field for conflict in reading_of(document).conflicts}
    rewrite_beginnings(document, lambda entry: met(entry, fields - disputed))


_SINGLE = frozenset({"write", "beside", "agree"})
_OPERATIONS: dict[Layout, frozenset[str]] = {
    Layout.ENTRIES: _SINGLE,
    Layout.TEXT: frozenset({"replace"}),
    Layout.MEMBERS: frozenset({"add", "remove", "drop"}),
    Layout.LOG: frozenset({"append"}),
    Layout.COUNTS: frozenset(),  # what a source says of it is remembered and counted from there
}
