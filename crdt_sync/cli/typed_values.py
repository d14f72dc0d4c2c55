"""Numbers and dates as people type them: in the form of the schema, or as a table may write them."""

from typing import TYPE_CHECKING

from crdt_sync.errors import InvalidValue
from crdt_sync.records.field_values import normalise, parse_text
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import FieldSpec

if TYPE_CHECKING:
    from crdt_sync.exchange.column_reading import ColumnReading

_READ = frozenset({"integer", "decimal", "date"})
_LAYOUTS = frozenset({Layout.ENTRIES, Layout.COUNTS})


def read_text(field: str, spec: FieldSpec, text: str) -> object:
    """What `text` means in `field`, ready for the editor, None where it is empty.

    `1500.50`, `1.500,50` and `12,5` are numbers, `1990-07-05` and `05.07.1990` dates. Raises `InvalidValue` for what
    is none, and with both readings for what could be two, such as `1,234` and `05/07/1990`.
    The members of a set are separated as in a table: by semicolons, else by commas, or are a JSON array.
    """
    if spec.rules.layout is Layout.MEMBERS and spec.type != "json":
        return _members(field, spec, text)
    if spec.rules.layout not in _LAYOUTS or spec.type not in _READ or not text.strip():
        return parse_text(field, spec, text)
    try:
        value = parse_text(field, spec, text)
        normalise(field, spec, value)
    except InvalidValue as unread:
        reading = _as_column(field, spec, text)
        try:
            return reading.read(text)
        except InvalidValue as error:
            if "there is no day" in error.message:
                raise
            if "could be" not in error.message:
                raise unread from None
            plain = "as YYYY-MM-DD" if spec.type == "date" else "with a point before its fraction, and no other mark"
            raise InvalidValue(field, error.message.removeprefix(f"field {field!r}: "), f"Write it {plain}.") from None
    return value


def doubtful(spec: FieldSpec, text: str) -> str | None:
    """What else a number could mean that was taken as it stands, such as 1234 for `1.234`; None where it is plain."""
    if spec.rules.layout not in _LAYOUTS or spec.type != "decimal":
        return None
    from crdt_sync.exchange.written import number_readings  # noqa: PLC0415 - few values need it

    found = number_readings(text).by_mark
    if len(set(found.values())) < 2:
        return None
    return format(found[","], "f")


def _members(field: str, spec: FieldSpec, text: str) -> list[object]:
    from crdt_sync.exchange.changes import members  # noqa: PLC0415 - few values need it
    from crdt_sync.exchange.table import MISSING  # noqa: PLC0415

    reading = _as_column(field, spec, text)
    cell = text if spec.type in _READ else reading.read(text)
    return [] if cell is MISSING else members(field, spec, cell, typed=False)


def _as_column(field: str, spec: FieldSpec, text: str) -> "ColumnReading":
    """How a column of a table that holds this text alone is read."""
    from crdt_sync.exchange.column_reading import ColumnReading  # noqa: PLC0415 - few values need it
    from crdt_sync.exchange.conventions import FOUND_OUT  # noqa: PLC0415

    reading = ColumnReading(field, field, spec, FOUND_OUT, {})
    reading.look(text)
    return reading
