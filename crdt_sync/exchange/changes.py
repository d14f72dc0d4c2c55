"""What a cell means in a field of its kind, ready for `normalise`."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time

from crdt_sync.errors import InvalidValue
from crdt_sync.exchange.json_tables import parse_json
from crdt_sync.exchange.table import Cell
from crdt_sync.limits import STAMP_MAX
from crdt_sync.records.field_values import parse_text
from crdt_sync.records.schema import FieldSpec

LogEntry = tuple[object, int | None, str | None]
"""A value, and when (stamp) and by whom it was entered, where the table says so."""

_LOG_ENTRY_KEYS = frozenset({"value", "at", "by"})


def single_value(field: str, spec: FieldSpec, cell: Cell, *, typed: bool) -> object:
    """What `cell` means in a field of one value, ready for `normalise`. Raises `InvalidValue`."""
    kind = spec.type
    if cell is None:
        return None
    if isinstance(cell, str):
        if kind == "json":
            return cell if typed else _json_text(field, cell)
        if spec.is_free_text:
            return cell
        return parse_text(field, spec, cell)
    if kind == "json":
        return cell.isoformat() if isinstance(cell, date) else cell
    if kind in ("string", "enum", "reference"):
        return as_text(cell)
    if kind == "datetime" and isinstance(cell, date):
        # A sheet's times have no zone; they are read as UTC, which is how an export writes them.
        moment = cell if isinstance(cell, datetime) else datetime.combine(cell, time())
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if kind == "date" and isinstance(cell, datetime) and cell.time() == time():
        return cell.date()
    return cell


def members(field: str, spec: FieldSpec, cell: Cell, typed: bool) -> list[object]:
    """The members of a set that a cell names. Raises `InvalidValue`."""
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


def log_entries(field: str, spec: FieldSpec, cell: Cell, typed: bool) -> Iterator[LogEntry]:
    """The entries of a log in a cell: as an export writes them, or plain values. Raises `InvalidValue`."""
    for entry in members(field, spec, cell, typed):
        if isinstance(entry, dict) and entry.keys() == _LOG_ENTRY_KEYS:
            at, by = entry["at"], entry["by"]
            known = type(at) is int and 0 <= at <= STAMP_MAX and isinstance(by, str)
            yield (entry["value"], at, by) if known else (entry["value"], None, None)
        else:
            yield entry, None, None


def as_text(cell: Cell) -> object:
    """The text of a cell of any type."""
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
