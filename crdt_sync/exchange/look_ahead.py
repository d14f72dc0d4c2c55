"""Looking at the first rows of a table before anything is written: an import cannot be undone as a whole."""

from collections.abc import Callable, Iterator
from itertools import islice

from crdt_sync.errors import AlreadyHere, AnotherList
from crdt_sync.exchange.mapping import header_of
from crdt_sync.exchange.persons import name_of
from crdt_sync.exchange.port import ReadableRecord
from crdt_sync.exchange.record_key import RecordKeys
from crdt_sync.exchange.table import MISSING, Row, Table
from crdt_sync.limits import ROWS_LOOKED_AHEAD_MAX
from crdt_sync.records.kinds import PLAIN
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import Schema

Present = Callable[[str], ReadableRecord | None]
"""The record of an id, if it is here."""


def check_list(table: Table, keys: RecordKeys, present: Present, source: str, *, given: bool) -> None:
    """Raise `AnotherList`, see `import_table`; `given` is whether somebody named the key.

    A single row tells nothing of a list.
    """
    if not keys.key and not keys.own.edited:
        return
    ahead = keys.looking()
    looked_at = others = 0
    example = ""
    for row in _first(table):
        record = ahead.record_of(row)
        here = present(record) if isinstance(record, str) else None
        if here is None or here.deleted:
            continue
        looked_at += 1
        if ahead.is_another(row, here):
            others += 1
            example = example or f"as {ahead.name_in(row)!r} in line {row.line} has that of {name_of(here.raw)!r}"
    if others > 1 and others * 2 > looked_at:
        if keys.natural:
            hint = f"Rows are known by {', '.join(keys.key)}, which the schema says; to write over them, --same-source."
        else:
            other = "--source NAME, without --key" if given else "--source NAME"
            hint = f"If it is, import it with {other}; if it is the same list, with --same-source."
        raise AnotherList(source, others, looked_at, example, hint)


def check_new(table: Table, keys: RecordKeys, present: Present, schema: Schema) -> None:
    """Raise `AlreadyHere`, see `import_table`, unless somebody asked for whole rows. A single row may be a namesake."""
    if keys.by_row:
        return
    ahead = keys.looking()
    looked_at = alike = 0
    example = ""
    for row in _first(table):
        looked_at += 1
        record = ahead.record_of(row)
        if not isinstance(record, str) or present(record) is not None:
            continue
        if known := ahead.known_like(row):
            alike += 1
            example = example or f"as {ahead.name_in(row)!r} in line {row.line} is {known[0][0]}"
    if alike > 1 and alike * 2 > looked_at:
        raise AlreadyHere(alike, looked_at, example, _what_to_do(table, keys, schema))


def looks_exported(table: Table, schema: Schema) -> bool:
    """Whether the headers are exactly those of an export of the collection.

    Where the schema was made from a table, they are those of that table, too, and tell nothing.
    """
    made = all(spec.rules is PLAIN[Layout.ENTRIES] for spec in schema.fields.values())
    return not made and list(table.columns) == [header_of(name, spec) for name, spec in schema.fields.items()]


def _what_to_do(table: Table, keys: RecordKeys, schema: Schema) -> str:
    by = f"another column than {' and '.join(map(repr, keys.key))}" if keys.key else "the column"
    ways = f"name {by} that tells customers apart (--key COLUMN); if they are new customers, --as-new"
    if not looks_exported(table, schema):
        return f"To update those, {ways}."
    return (
        "It has the headers of an export, but not what its rows were exported from: edit a file from 'crdt-sync export "
        f"FILE --for-editing', on any device. Or {ways}."
    )


def _first(table: Table) -> Iterator[Row]:
    rows = (row for row in islice(table.rows(), ROWS_LOOKED_AHEAD_MAX) if isinstance(row, Row))
    return (row for row in rows if any(cell is not MISSING for cell in row.cells))
