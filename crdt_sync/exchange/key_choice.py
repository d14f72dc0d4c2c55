"""By which columns the rows of a table are told apart: given, those of the last import, found, or the schema's own."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress

from crdt_sync.errors import InvalidTable, KeyNeeded
from crdt_sync.exchange.base import Bases
from crdt_sync.exchange.key_columns import FoundKey, find_key, is_contact, is_number
from crdt_sync.exchange.known_records import KnownRecords, numbering_sources
from crdt_sync.exchange.mapping import ColumnMapping, column_position
from crdt_sync.exchange.port import ReadableRecord
from crdt_sync.exchange.record_key import RecordKeys
from crdt_sync.exchange.short_keys import ShortKeys
from crdt_sync.exchange.table import Table
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import Schema


def record_keys(
    table: Table,
    mapping: ColumnMapping,
    schema: Schema,
    key_columns: Sequence[str] | None,
    record_column: str | None,
    last_key: Sequence[str],
    records: Callable[[], Iterable[ReadableRecord]],
    present: Callable[[str], ReadableRecord | None],
    shown_by: Callable[[Mapping[str, object]], Sequence[str]],
    source: str,
    bases: Bases,
) -> RecordKeys:
    """Choose how rows are named.

    Without `key_columns` they are those of the last import of `source` (`last_key`), or are found; None stands for
    whole rows.
    `records` gives those of the collection, deleted ones too, `present` gives the one of an id, and
    `shown_by` those that show a natural key.
    Raises `InvalidTable` for columns that are not there or that contradict the schema, and `KeyNeeded`.
    """
    if schema.natural_key and key_columns:
        raise InvalidTable(
            f"records of {schema.collection!r} are identified by {', '.join(schema.natural_key)}",
            "Leave the key columns out; the schema decides.",
        )
    columns = table.columns
    has_natural = not bases or set(schema.natural_key) <= set(mapping.fields)  # columns of an export may be deleted
    natural = {
        _natural_position(columns, mapping, schema, name): (name, schema.fields[name])
        for name in (schema.natural_key if has_natural else ())
    }
    record = column_position(columns, (), record_column) if record_column is not None else None
    if natural:
        keys = RecordKeys(schema.collection, columns, tuple(natural), record, natural, table.typed)
        keys.schema, keys.shown_by, keys.present, keys.source = schema, shown_by, present, source
        keys.fields, keys.records, keys.rows = schema.fields, records, table.rows
        keys.short = ShortKeys(schema.collection, source, schema.natural_key, records, lambda _: True)
        return keys
    chosen = tuple(column_position(columns, mapping.fields, column) for column in key_columns or ())
    found = FoundKey(())
    if key_columns is not None and not chosen and record is None:
        with suppress(KeyNeeded) if bases else nullcontext():
            found = _again(columns, last_key) or find_key(table, mapping)
    keys = RecordKeys(schema.collection, columns, chosen or found.positions, record, {}, table.typed)
    keys.by_row = key_columns is None
    keys.found, keys.passed_over, keys.present = bool(found.positions), found.passed_over, present
    keys.source, keys.fields = source, schema.fields
    keys.numbered = len(keys.key) == 1 and is_number(keys.key[0])
    keys.contact = (
        keys.found
        and len(keys.key) == 1
        and not keys.numbered
        and is_contact(keys.key[0], mapping.fields[keys.key_positions[0]])
    )
    keys.records, keys.rows = records, table.rows
    keys.sources = lambda: numbering_sources(records())
    keys.without_field = tuple(at for at, name in enumerate(mapping.fields) if name is None)
    fields = [mapping.fields[position] for position in keys.key_positions]
    specs = [(name, schema.fields[name]) for name in fields if name is not None]
    if specs and len(specs) == len(fields) and all(spec.rules.layout is Layout.ENTRIES for _, spec in specs):
        keys.known = KnownRecords.of(records(), source, [name for name, _ in specs])
        keys.key_fields = tuple(
            (position, name, spec) for position, (name, spec) in zip(keys.key_positions, specs, strict=True)
        )
    of_source = keys.found and keys.numbered  # as other sources number other people alike
    keys.short = ShortKeys(
        schema.collection,
        source,
        [name for _, name, _ in keys.key_fields],
        records,
        lambda record: not of_source or keys.is_ours(record),
    )
    return keys


def _again(columns: Sequence[str], headers: Sequence[str]) -> FoundKey | None:
    """The columns of the last import, if the table still has them."""
    if not headers or not all(header in columns for header in headers):
        return None
    return FoundKey(tuple(columns.index(header) for header in headers))


def _natural_position(columns: tuple[str, ...], mapping: ColumnMapping, schema: Schema, name: str) -> int:
    if name not in mapping.fields:
        listing = ", ".join(map(repr, columns))
        raise InvalidTable(
            f"no column goes to {name!r}, which identifies records of {schema.collection!r}",
            f"Map one of the columns to it: {listing}.",
        )
    return mapping.fields.index(name)
