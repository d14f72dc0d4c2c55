"""From a cell to the edits that bring a field to what the cell says; none when it says so already."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Literal

from crdt_sync.errors import InvalidValue
from crdt_sync.exchange.json_tables import parse_json
from crdt_sync.exchange.port import RecordEditor
from crdt_sync.exchange.table import MISSING, Cell, Missing
from crdt_sync.records.schema import FieldSpec
from crdt_sync.records.text_input import parse_text
from crdt_sync.records.values import canonical, normalise

Operation = Literal["write", "replace", "add", "append", "increment"]

_SINGLE = frozenset({"value", "review", "stage"})
_LOG_ENTRY_KEYS = frozenset({"value", "at", "by"})


@dataclass(frozen=True, slots=True)
class Change:
    """One edit of one field, already checked against the schema."""

    operation: Operation
    field: str
    value: object

    def apply(self, editor: RecordEditor) -> None:
        """Make the edit. Raises `UsageError`, for example for a stage that cannot be reached."""
        if self.operation == "write":
            editor[self.field] = self.value
        elif self.operation == "replace":
            editor.text(self.field).replace(str(self.value))
        elif self.operation == "add":
            editor.add(self.field, self.value)
        elif self.operation == "append":
            editor.append(self.field, self.value)
        else:
            editor.increment(self.field, self.value)


def changes(field: str, spec: FieldSpec, cell: Cell, present: object | Missing, *, typed: bool) -> Iterator[Change]:
    """The edits that `cell` asks of a field that now holds the carrier `present`.

    An empty cell asks for nothing; a JSON null is kept as a value of its own, or clears what is there. Sets and logs
    grow by what they lack and never lose anything; a counter is moved to the number. `typed` tells whether a text
    cell is a JSON text itself or stands for a JSON value.
    Raises `InvalidValue`.
    """
    if cell is MISSING:
        return
    if spec.kind in _SINGLE:
        if cell is None:
            yield from _null(field, spec, present)
            return
        value = single_value(field, spec, cell, typed=typed)
        carrier = normalise(field, spec, value)
        # True == 1 in Python, but not as a value of a customer.
        if carrier != present or carrier.__class__ is not present.__class__:
            yield Change("write", field, value)
    elif cell is not None:
        yield from _growth(field, spec, cell, present, typed)


def _null(field: str, spec: FieldSpec, present: object | Missing) -> Iterator[Change]:
    if present is None or spec.required or spec.kind == "stage":
        return
    yield Change("write", field, None)


def _growth(field: str, spec: FieldSpec, cell: Cell, present: object | Missing, typed: bool) -> Iterator[Change]:
    if spec.kind == "text":
        text = normalise(field, spec, _as_text(cell))
        if text != ("" if present is MISSING or present is None else present):
            yield Change("replace", field, text)
    elif spec.kind == "counter":
        yield from _counter(field, spec, cell, present)
    elif spec.kind == "set":
        known = set(map(canonical, present)) if isinstance(present, list) else set()
        for member in _members(field, spec, cell, typed):
            key = canonical(normalise(field, spec, member))
            if key not in known:
                known.add(key)
                yield Change("add", field, member)
    else:
        entries = present if isinstance(present, list) else []
        there = Counter(canonical(entry["value"]) for entry in entries)
        for value in map(_entry_value, _members(field, spec, cell, typed)):
            key = canonical(normalise(field, spec, value))
            if there[key]:
                there[key] -= 1
            else:
                yield Change("append", field, value)


def _counter(field: str, spec: FieldSpec, cell: Cell, present: object | Missing) -> Iterator[Change]:
    carrier = normalise(field, spec, single_value(field, spec, cell, typed=True))
    now = Decimal(0) if present is MISSING or present is None else Decimal(str(present))
    amount = Decimal(str(carrier)) - now
    if amount:
        yield Change("increment", field, int(amount) if spec.type == "integer" else amount)


def single_value(field: str, spec: FieldSpec, cell: Cell, *, typed: bool) -> object:
    """What `cell` means in a field of one value, ready for `normalise`. Raises `InvalidValue`."""
    kind = spec.type
    if cell is None:
        return None
    if isinstance(cell, str):
        if kind == "json":
            return cell if typed else _json_text(field, cell)
        if kind == "string" and spec.kind != "stage":
            return cell
        return parse_text(field, spec, cell)
    if kind == "json":
        return cell.isoformat() if isinstance(cell, date) else cell
    if kind in ("string", "enum", "reference"):
        return _as_text(cell)
    if kind == "datetime" and isinstance(cell, date):
        # A sheet's times have no zone; they are read as UTC, which is how an export writes them.
        moment = cell if isinstance(cell, datetime) else datetime.combine(cell, time())
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if kind == "date" and isinstance(cell, datetime) and cell.time() == time():
        return cell.date()
    return cell


def _members(field: str, spec: FieldSpec, cell: Cell, typed: bool) -> list[object]:
    if isinstance(cell, list):
        return list(cell)
    if not isinstance(cell, str):
        return [single_value(field, spec, cell, typed=typed)]
    if cell.lstrip().startswith("["):
        try:
            found = parse_json(cell)
        except ValueError:
            found = None
        if isinstance(found, list):
            return found
    if spec.type == "json":
        try:
            return [_json_text(field, cell)]
        except InvalidValue:
            return [cell]  # a remark in a timeline need not be in quotes
    parsed = parse_text(field, spec, cell)
    if isinstance(parsed, list):
        return parsed
    return [] if parsed is None else [parsed]


def _entry_value(entry: object) -> object:
    """The value of a log entry as an export writes it, or of a plain one."""
    if isinstance(entry, dict) and entry.keys() == _LOG_ENTRY_KEYS:
        return entry["value"]
    return entry


def _as_text(cell: Cell) -> object:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, (int, float)):
        return json.dumps(cell)
    if isinstance(cell, date):
        return cell.isoformat()
    return cell


def _json_text(field: str, text: str) -> object:
    try:
        return parse_json(text)
    except ValueError as error:
        raise InvalidValue(field, f"{text[:60]!r} is not JSON: {error}", "Put text in double quotes.") from None
