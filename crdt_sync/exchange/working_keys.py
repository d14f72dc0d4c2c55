"""Whether columns tell the rows of a table apart, and which would where those by which it goes do not.

A key that fails is not remembered, and none is named to anybody that has not been tried.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain, combinations, islice

from crdt_sync.errors import AlreadyHere, AnotherCustomer, AnotherList, WhichSource
from crdt_sync.exchange.known_records import same_value
from crdt_sync.exchange.mapping import ColumnMapping
from crdt_sync.exchange.names import is_name
from crdt_sync.exchange.port import ReadableRecord
from crdt_sync.exchange.record_key import RecordKeys
from crdt_sync.exchange.table import Row, RowError, Table
from crdt_sync.limits import KEYS_TRIED_MAX
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import Schema

_UNTOLD = ("key_ambiguous", "duplicate_key")
_REPEATED_SHARE_MAX = 0.05  # of the rows, but always one: doubled by mistake, where the key is a number

Meant = Mapping[int, str]
"""Line to the record that its row seems to be."""


def tells_apart(table: Table, keys: RecordKeys) -> bool:
    """Whether the key of `keys` tells all rows apart, but for the few that repeat a number by mistake."""
    ahead = keys.looking()
    seen: dict[tuple[str, ...], int] = {}
    rows = untold = 0
    for row in table.rows():
        if not isinstance(row, Row):
            continue
        rows += 1
        content, record = hash(repr(row.cells)), ahead.record_of(row)
        repeated = not ahead.is_named(row) and seen.setdefault(ahead.key_of(row), content) != content
        untold += repeated or (isinstance(record, RowError) and record.code in _UNTOLD)
    return untold <= (max(1, _REPEATED_SHARE_MAX * rows) if keys.numbered and rows > 2 else 0)


def working_key(
    table: Table,
    matched: ColumnMapping,
    schema: Schema,
    meant: Meant,
    present: Callable[[str], ReadableRecord | None],
    choose: Callable[[Sequence[str]], RecordKeys],
    check: Callable[[RecordKeys], object],
) -> tuple[str, ...]:
    """The columns by which every row can be taken and those that are `meant` are their records; none without any.

    `choose` gives the keys of some columns, and `check` raises where an import by them would be refused.
    """
    single = [
        (header, name)
        for header, name in zip(table.columns, matched.fields, strict=True)
        if name is not None and schema.fields[name].rules.layout is Layout.ENTRIES and table.columns.count(header) == 1
    ]
    single.sort(key=lambda each: not is_name(each[1]))
    tried = 0
    for columns in islice(chain(combinations(single, 1), combinations(single, 2)), 4 * KEYS_TRIED_MAX):
        headers = tuple(header for header, _ in columns)
        keys = choose(headers)
        if not _kept(table, keys, meant, [name for _, name in columns], present):
            continue
        if (tried := tried + 1) > KEYS_TRIED_MAX:
            break
        if _works(table, keys, meant, check):
            return headers
    return ()


def _kept(
    table: Table,
    keys: RecordKeys,
    meant: Meant,
    fields: Sequence[str],
    present: Callable[[str], ReadableRecord | None],
) -> bool:
    """Whether those that are meant still say in these fields what their records hold."""
    left = set(meant)
    for row in table.rows():
        if not isinstance(row, Row) or row.line not in meant:
            continue
        left.discard(row.line)
        here, said = present(meant[row.line]), keys.carriers(row, with_key=True)
        if here is None or any(not same_value(said.get(name), here.raw.get(name)) for name in fields):
            return False
        if not left:
            break
    return True


def _works(table: Table, keys: RecordKeys, meant: Meant, check: Callable[[RecordKeys], object]) -> bool:
    ahead = keys.looking()
    for row in table.rows():
        if not isinstance(row, Row):
            continue
        record = ahead.record_of(row)
        if isinstance(record, RowError) or meant.get(row.line, record) != record:
            return False
    try:
        check(keys)
    except (AlreadyHere, AnotherCustomer, AnotherList):
        return False
    except WhichSource:
        return True  # which is another question, with answers of its own
    return True
