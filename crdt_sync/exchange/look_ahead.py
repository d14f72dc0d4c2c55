"""Looking at the first rows of a table before anything is written: an import cannot be undone as a whole."""

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from crdt_sync.errors import AlreadyHere, AnotherCustomer, AnotherList, WhichSource
from crdt_sync.exchange.edited_keys import EditedKeys
from crdt_sync.exchange.mapping import header_of
from crdt_sync.exchange.names import name_of
from crdt_sync.exchange.port import ReadableRecord
from crdt_sync.exchange.record_key import RecordKeys
from crdt_sync.exchange.table import BASE_HEADER, MISSING, Row, Table
from crdt_sync.exchange.whole_rows import text_of
from crdt_sync.limits import ROWS_LOOKED_AHEAD_MAX
from crdt_sync.records.kinds import PLAIN
from crdt_sync.records.memory.sources import edits_of, is_edits
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import Schema

_EXAMPLES = 3  # rows that are named
_HEADERS_MIN = 5  # of an export that has more

Present = Callable[[str], ReadableRecord | None]
"""The record of an id, if it is here."""

OtherKey = Callable[[Mapping[int, str]], Sequence[str]]
"""Columns by which every row can be taken, and those of these lines are these records; none where none do."""


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


def check_new(table: Table, keys: RecordKeys, present: Present, schema: Schema, other_key: OtherKey) -> None:
    """Raise `AlreadyHere`, see `import_table`, unless somebody asked for whole rows. A single row may be a namesake."""
    if keys.by_row:
        return
    ahead = keys.looking()
    people = EditedKeys(keys.looking(), everybody=True)
    by_rows = keys.record_position is None and not keys.columns_of_key()
    looked_at = named = 0
    alike: dict[int, str] = {}
    example = ""
    for row in _first(table):
        looked_at += 1
        record = ahead.record_of(row)
        if not isinstance(record, str) or present(record) is not None:
            continue
        like = [each for each, _ in ahead.known_like(row)]
        if not like and by_rows and (person := people.like(row)) is not None:
            like, named = [person.record], named + 1
        if like:
            alike[row.line] = like[0]
            example = example or f"as {ahead.name_in(row)!r} in line {row.line} is {like[0]}"
    if len(alike) > 1 and len(alike) * 2 > looked_at:
        more = ["have the name, and most else that they say, of customers that are here already"] if named else []
        hint = _what_to_do(table, keys, schema, other_key(alike))
        raise AlreadyHere(len(alike), looked_at, example, hint, *more)
    _check_unclear(table, keys, present, schema, other_key)


def check_source(table: Table, keys: RecordKeys, present: Present) -> None:
    """Raise `WhichSource` where most rows are records of another source, the others would be new, and nothing of the
    table was imported before. A new row with the number and an address or phone of a record of another source counts as
    both: that is the customer, under another name. A single row tells nothing of a list."""
    ahead = keys.looking()
    if keys.by_row or next(iter(keys.records()), None) is None:
        return
    looked_at, new = 0, []
    sources: Counter[str] = Counter()
    for row in table.rows():
        if not isinstance(row, Row):
            continue
        looked_at += 1
        if not isinstance(record := ahead.record_of(row), str):
            continue
        if (here := present(record)) is None:
            new.append(row)
            if (here := ahead.of_number(row)) is None:
                continue
        names = {memory.name for memory in here.sources}
        if names & {keys.source, edits_of(keys.source)}:
            return
        sources.update(name for name in names if not is_edits(name))
    other = min(sources, key=lambda name: (-sources[name], name), default="")
    count = sources[other]
    if not new or count < 2 or 2 * count <= looked_at:
        return
    named = [(name_of(ahead.carriers(row, with_key=True)), row.line) for row in new[:_EXAMPLES]]
    example = ", ".join(f"{name!r} in line {line}" for name, line in named)
    export = "" if keys.own.likely == other else _if_exported(keys)
    raise WhichSource(
        f"nothing was imported: {count} of {looked_at} rows are customers that came from {other!r}, {len(new)} would "
        f"be new ({example}), and nothing was imported from {keys.source!r} before",
        f"If the table is a version of {other!r}, also with fewer columns or sorted: --source {shlex.quote(other)}. If "
        f"it is another list: --source {shlex.quote(keys.source)}.{export}",
        other,
    )


def check_keys(
    table: Table, keys: RecordKeys, present: Present, other_key: OtherKey, *, as_new: bool, same_source: bool
) -> None:
    """Raise `AlreadyHere` where a row may be that of a customer in whose row that was edited in the table by which rows
    are known, and `AnotherCustomer` where it has the key of somebody else."""
    if keys.by_row or (as_new and same_source):
        return
    edited, ahead = EditedKeys(keys.looking()), keys.looking()
    if edited.nobody:
        return
    looked_at = 0
    new: list[tuple[Row, ReadableRecord]] = []
    moved: list[tuple[Row, ReadableRecord, ReadableRecord]] = []  # whose key it has, and who it seems to be
    for row in table.rows():
        if not isinstance(row, Row):
            continue
        looked_at += 1
        if not isinstance(record := ahead.record_of(row), str) or ahead.is_named(row):
            continue
        here = present(record)
        if here is None and not as_new and (before := edited.before(row)) is not None:
            new.append((row, before))
        elif here is not None and not (here.deleted or same_source):
            moved += [(row, here, each) for each in [edited.another(row, here)] if each is not None]
    if moved:
        raise _another_customer(keys, looked_at, moved, other_key({row.line: other.record for row, _, other in moved}))
    if new:
        other = other_key({row.line: before.record for row, before in new})
        raise _edited(keys, looked_at, new, other)


def check_named(table: Table, keys: RecordKeys, present: Present) -> None:
    """Raise `AnotherCustomer` where rows that name their records are others of the table's records by all else."""
    ahead, people = keys.looking(), EditedKeys(keys.looking(), everybody=True)
    looked_at = 0
    moved: list[tuple[Row, ReadableRecord, ReadableRecord]] = []
    for row in table.rows():
        if not isinstance(row, Row) or not ahead.is_named(row):
            continue
        looked_at += 1
        here = present(record) if isinstance(record := ahead.record_of(row), str) else None
        if here is not None and not here.deleted and (other := people.another(row, here)) is not None:
            moved.append((row, here, other))
    if len(moved) > 1:  # one alone may have been rewritten by hand
        raise _shifted(keys, table, looked_at, moved)


def _edited(
    keys: RecordKeys, looked_at: int, new: Sequence[tuple[Row, ReadableRecord]], other_key: Sequence[str]
) -> AlreadyHere:
    column = " and ".join(map(repr, keys.key))
    what = f"whose {column} was edited, by which rows are known" if column else "in whose row one cell was edited"
    named = [f"line {row.line} ({keys.name_in(row)!r}) is {before.record}" for row, before in new]
    ways = [f"say what tells customers apart ({_option(other_key)})"] if other_key else []
    row, before = new[0]
    if said := [f"{name}={shlex.quote(text_of(row.cells[at]).strip())}" for at, name in keys.columns_of_key()]:
        ways.append(f"set it here first (crdt-sync set {before.record} {' '.join(said)})")
    if not other_key:
        ways.append("edit a file from 'crdt-sync export FILE --for-editing', whose rows keep their records")
    hint = f"To update those, {', or '.join(ways)}; if they are new customers, --as-new.{_if_exported(keys)}"
    example = "as " + ", ".join(named[:_EXAMPLES])
    return AlreadyHere(len(new), looked_at, example, hint, f"look like customers {what}")


def _another_customer(
    keys: RecordKeys,
    looked_at: int,
    moved: Sequence[tuple[Row, ReadableRecord, ReadableRecord]],
    other_key: Sequence[str],
) -> AnotherCustomer:
    column = " and ".join(map(repr, keys.key))
    by_key = f", say what tells customers apart ({_option(other_key)})" if other_key else ""
    hint = (
        f"Correct the table{by_key}, or edit a file from 'crdt-sync export FILE --for-editing', whose rows keep "
        f"their records. If it did change hands, set it here first; if each row is who has its {column} here, "
        "--same-source writes it over that one."
    )
    return AnotherCustomer(column, len(moved), looked_at, _as_told(keys, moved), hint)


def _shifted(
    keys: RecordKeys, table: Table, looked_at: int, moved: Sequence[tuple[Row, ReadableRecord, ReadableRecord]]
) -> AnotherCustomer:
    column = repr(BASE_HEADER if keys.record_position is None else table.columns[keys.record_position])
    hint = (
        f"The column {column} says which customer a row is: it was left out when rows were sorted or moved. Undo that, "
        "or export again. If each row is to be written over the customer that it names, --same-source."
    )
    return AnotherCustomer(column, len(moved), looked_at, _as_told(keys, moved), hint)


def _as_told(keys: RecordKeys, moved: Sequence[tuple[Row, ReadableRecord, ReadableRecord]]) -> str:
    named = [
        f"line {row.line} ({keys.name_in(row)!r}) has that of {here.record} ({name_of(here.raw)!r}) and seems to be "
        f"{other.record}"
        for row, here, other in moved
    ]
    return "; ".join(named[:_EXAMPLES])


def _check_unclear(table: Table, keys: RecordKeys, present: Present, schema: Schema, other_key: OtherKey) -> None:
    """Raise `AlreadyHere` where rows of an export would be new records, and may be edited ones."""
    may_be = {**keys.own.edited, **keys.own.unclear} if keys.key_positions else keys.own.unclear
    if not may_be:
        return
    ahead = keys.looking()
    rows = (row for row in table.rows() if isinstance(row, Row))
    named = [(row.line, ahead.record_of(row)) for row in rows]
    new = [line for line, record in named if isinstance(record, str) and present(record) is None]
    unclear = [line for line in new if line in may_be]
    if unclear:
        example = f"as line {unclear[0]} is like {may_be[unclear[0]]}"
        alike = "look like edited rows of customers that are here already"
        hint = _what_to_do(table, keys, schema, other_key({line: may_be[line] for line in unclear}))
        raise AlreadyHere(len(unclear), len(named), example, hint, alike)


def looks_exported(table: Table, schema: Schema) -> bool:
    """Whether the headers are exactly those of an export of the collection.

    Where the schema was made from a table, they are those of that table, too, and tell nothing.
    """
    return may_be_exported(table, schema) and len(table.columns) == len(schema.fields)


def may_be_exported(table: Table, schema: Schema) -> bool:
    """Likewise, or some of them in their order: an export of which columns were deleted, or a table of its own."""
    if _was_made(schema) or len(table.columns) < min(_HEADERS_MIN, len(schema.fields)):
        return False
    labels = [header_of(name, spec) for name, spec in schema.fields.items()]
    return _in_order(table.columns, labels) or _in_order(table.columns, list(schema.fields))


def has_headers_of_export(table: Table, schema: Schema) -> bool:
    """Whether all headers are those of an export, in whatever order and however few."""
    labels = {header_of(name, spec) for name, spec in schema.fields.items()}
    return not _was_made(schema) and (labels.issuperset(table.columns) or schema.fields.keys() >= set(table.columns))


def _was_made(schema: Schema) -> bool:
    """Whether the schema may have been made from a table, whose headers it has."""
    return all(spec.rules is PLAIN[Layout.ENTRIES] for spec in schema.fields.values())


def _in_order(some: Sequence[str], headers: Sequence[str]) -> bool:
    left = iter(headers)
    return all(each in left for each in some)


def _what_to_do(table: Table, keys: RecordKeys, schema: Schema, other_key: Sequence[str]) -> str:
    by_export = "edit a file from 'crdt-sync export FILE --for-editing'"
    by_key = f"say what tells customers apart ({_option(other_key)})" if other_key else ""
    new = "if they are new customers, --as-new."
    if keys.own.elsewhere or looks_exported(table, schema):
        return (
            f"It has the headers of an export, but not what its rows were exported from: {by_export}, on any device"
            f"{f', or {by_key}' if by_key else ''}; {new}"
        )
    return f"To update those, {by_key or f'{by_export}, whose rows keep their records'}; {new}{_if_exported(keys)}"


def _if_exported(keys: RecordKeys) -> str:
    """The answer for a table that may be an export of this device under another name."""
    likely = keys.own.likely
    return (
        f" If it is the export of this device of that name, edited: --source {shlex.quote(likely)}." if likely else ""
    )


def _option(columns: Sequence[str]) -> str:
    return " ".join(f"--key {shlex.quote(column)}" for column in columns)


def _first(table: Table) -> Iterator[Row]:
    rows = (row for row in islice(table.rows(), ROWS_LOOKED_AHEAD_MAX) if isinstance(row, Row))
    return (row for row in rows if any(cell is not MISSING for cell in row.cells))
