"""Which record or collection somebody means, and what is to be done to its fields."""

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

from crdt_sync import ids
from crdt_sync.cli import schemaless
from crdt_sync.cli.finding import field_named
from crdt_sync.cli.typed_values import read_text
from crdt_sync.errors import InvalidRecordId, InvalidValue, UnknownCollection, UnknownRecord, UsageError
from crdt_sync.nearest import suggestion
from crdt_sync.records import Schema
from crdt_sync.records.field_values import parse_text
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import FieldSpec
from crdt_sync.records.values import parse_decimal
from crdt_sync.replica import EditedRecord, Replica
from crdt_sync.storage import Store

SHORT_KEY_LENGTH = 8  # characters of a made-up key in tables, unless other records begin so, too
_SHORT_KEY_LENGTH_MIN = 4
_MADE_KEY = re.compile(
    r"([a-z2-7]{26}|[0-9a-f]{32}(-[0-9]+)?)\Z"
)  # keys that this program made up; others are never shortened
_CANDIDATES_MAX = 5
_PAGE = 1000
_ASSIGNMENT = re.compile(r"(\w[\w .()/&-]{0,99}?)\s*(\+=|-=|=)(.*)\Z", re.DOTALL)


def short(store: Store, record: str) -> str:
    """A record id as tables show it: a start of it by which `existing` finds this record and no other."""
    collection, _, key = record.partition("/")
    if _MADE_KEY.match(key):
        for length in range(SHORT_KEY_LENGTH, len(key)):
            start = f"{collection}/{key[:length]}"
            if all(found == record for found in store.records("", 2, start)):
                return start
    return record


def shorts(store: Store, records: Iterable[str]) -> dict[str, str]:
    """Each of these ids as `short` has it, but longer where several that are not in the store would look the same."""
    shown = {record: short(store, record) for record in records}
    for length in range(SHORT_KEY_LENGTH + 1, ids.RECORD_LENGTH_MAX):
        alike = {text for text, count in Counter(shown.values()).items() if count > 1}
        if not alike:
            break
        for record, text in shown.items():
            if text in alike:
                collection, _, key = record.partition("/")
                shown[record] = f"{collection}/{key[:length]}"
    return shown


def existing(replica: Replica, text: str) -> str:
    """The record that `text` names: its id, or an unambiguous start of it, with or without the collection.

    Only made-up keys can be shortened: `customers/1` is never taken for `customers/10`.
    Raises `UnknownRecord`, `InvalidRecordId`, `UsageError` when several begin so.
    """
    if ids.is_record(text) and replica.store.record_head(text) is not None:
        return text
    prefixes = [text] if "/" in text else [f"{collection}/{text}" for collection in _collections(replica)]
    found = [
        record
        for prefix in prefixes
        if len(prefix.partition("/")[2]) >= _SHORT_KEY_LENGTH_MIN and ids.is_record(prefix)
        for record in islice(_made_up(replica.store, prefix), _CANDIDATES_MAX)
    ]
    if len(found) > 1:
        raise UsageError(f"several records begin with {text!r}", f"Write more of the id: {', '.join(found)}.")
    if found:
        return found[0]
    if ids.is_record(text):
        raise UnknownRecord(text)
    raise InvalidRecordId(text, f"To look for a record: crdt-sync find {shlex.quote(text[:80])}, which shows its id.")


def _made_up(store: Store, prefix: str) -> Iterator[str]:
    """The records that begin so and have a made-up key."""
    after = ""
    while page := store.records(after, _PAGE, prefix):
        yield from (record for record in page if _MADE_KEY.match(record.partition("/")[2]))
        after = page[-1]


def _collections(replica: Replica) -> list[str]:
    return [*replica.schemas, *(found.collection for found in replica.schemaless())]


def known_collection(replica: Replica, given: str | None, how: str = " with -c") -> str:
    """The collection that is meant; without `given` the only one with a schema.

    `how` a command has it named.

    Raises `UnknownCollection`, `UsageError`.
    """
    if given is None:
        if len(replica.schemas) == 1:
            return next(iter(replica.schemas))
        if not replica.schemas:
            makes = "None is known here; an import makes one: crdt-sync import FILE -c NAME."
            raise UsageError("which collection?", schemaless.none_here(replica) or makes)
        raise UsageError("which collection?", f"Name it{how}, one of: {', '.join(replica.schemas)}.")
    if given not in replica.schemas:
        if ids.is_collection(given) and replica.schemaless(given):
            raise UnknownCollection(f"records of {given!r} are here, but not its schema", schemaless.advice(given))
        raise UnknownCollection(
            f"no collection {given[:60]!r} here",
            f"{suggestion(given, _collections(replica), 'collections')} See 'crdt-sync schema'.",
        )
    return given


def named_once(argument: str | None, option: str | None) -> str | None:
    """The collection of a command that takes it as an argument and with -c. Raises `UsageError` for two."""
    if None not in (argument, option) and argument != option:
        raise UsageError(f"{argument!r} and {option!r} are two collections", "Name one of them.")
    return option if argument is None else argument


def readable_collection(replica: Replica, given: str) -> str:
    """A collection that has a schema here, or records. Raises `UnknownCollection`."""
    return given if ids.is_collection(given) and replica.schemaless(given) else known_collection(replica, given)


@dataclass(frozen=True, slots=True)
class Assignment:
    """`field=text`, `field+=text` or `field-=text`; the field may be called by its label."""

    field: str
    operator: str
    text: str


def parse_assignment(text: str) -> Assignment:
    """Read an assignment. Raises `UsageError`."""
    found = _ASSIGNMENT.match(text)
    if found is None:
        raise UsageError(
            f"{text[:60]!r} does not say what to do with a field", "Write field=value, field+=value or field-=value."
        )
    return Assignment(found[1], found[2], found[3])


def meant_field(editor: EditedRecord, schema: Schema, name: str) -> str:
    """The field of that name or label. Raises `UnknownField`, which says what may have been meant."""
    field = field_named(schema, name) or name
    _ = editor[field]
    return field


def apply(editor: EditedRecord, schema: Schema, assignment: Assignment) -> None:
    """Carry out an assignment. Raises `UsageError`."""
    field, text = meant_field(editor, schema, assignment.field), assignment.text
    spec = schema.fields[field]
    match assignment.operator:
        case "=":
            _write(editor, field, spec, text)
        case "+=":
            _grow(editor, field, spec, text)
        case _:
            _shrink(editor, field, spec, text)


def _write(editor: EditedRecord, field: str, spec: FieldSpec, text: str) -> None:
    if spec.rules.layout is Layout.LOG:
        raise InvalidValue(field, "a log only grows", f"Write {field}+=value to add an entry.")
    value = read_text(field, spec, text)
    if value is None:
        editor.clear(field)
    else:
        editor[field] = value


def _grow(editor: EditedRecord, field: str, spec: FieldSpec, text: str) -> None:
    match spec.rules.layout:
        case Layout.COUNTS:
            editor.increment(field, _amount(field, spec, text))
        case Layout.MEMBERS:
            for member in _members(field, spec, text):
                editor.add(field, member)
        case Layout.LOG:
            editor.append(field, _entry(field, spec, text))
        case Layout.TEXT:
            notes = editor.text(field)
            notes.insert(len(notes), f"\n{text}" if len(notes) else text)
        case Layout.ENTRIES:
            raise InvalidValue(field, "it holds one value, nothing can be added", f"Write {field}=value.")


def _shrink(editor: EditedRecord, field: str, spec: FieldSpec, text: str) -> None:
    match spec.rules.layout:
        case Layout.COUNTS:
            editor.increment(field, -_amount(field, spec, text))
        case Layout.MEMBERS:
            for member in _members(field, spec, text):
                editor.remove(field, member)
        case _:
            raise InvalidValue(field, "only counters and sets know '-='", f"Write {field}=value.")


def _amount(field: str, spec: FieldSpec, text: str) -> int | Decimal:
    amount = read_text(field, spec, text)
    if spec.type == "decimal" and amount is not None:
        return parse_decimal(field, str(amount))
    if not isinstance(amount, int):
        raise InvalidValue(field, "an amount is needed", f"Write {field}+=1.")
    return amount


def _members(field: str, spec: FieldSpec, text: str) -> list[object]:
    members = read_text(field, spec, text)
    return members if isinstance(members, list) else []


def _entry(field: str, spec: FieldSpec, text: str) -> object:
    if spec.type != "json":
        return parse_text(field, spec, text)
    try:
        return parse_text(field, spec, text)
    except InvalidValue:
        return text  # a remark need not be in quotes
