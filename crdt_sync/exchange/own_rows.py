"""Which records the rows of an export are, found again by what the export wrote of them.

A row that says what the export said of a record is that record, unless a key names another, see `RecordKeys`. Where
several records were exported alike, nothing tells which of them is meant by a row that says more. A row that was
edited is the record at its place: as many rows were edited between two unedited ones as there are records between
those, and at least half of what the row and the record say is the same. One that was moved, too, is the record with its
name, where no other row or record that is left has that name.

An export that another device wrote is not known here, but what records show now is: they are compared with that, where
the table looks like an export. What such a row was edited from is not known by it, only whose it is.
"""

import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from crdt_sync.errors import InvalidValue
from crdt_sync.exchange.exports import Export, Remembered
from crdt_sync.exchange.interpretation import Interpretation
from crdt_sync.exchange.names import is_name
from crdt_sync.exchange.port import ReadableRecord
from crdt_sync.exchange.row_memory import Memory, said_of
from crdt_sync.exchange.table import MISSING, Cell, Row, Table
from crdt_sync.exchange.three_way import decide
from crdt_sync.ids import collection_of, is_made, is_record
from crdt_sync.records.memory.sources import counter_said, is_edits, text_mark
from crdt_sync.records.schema import FieldSpec
from crdt_sync.records.values import canonical

_ROWS_LOOKED_AT = 20
_RECORDS_COMPARED = 64  # that have a value of a row
_NOTHING: tuple[object, ...] = (None, "", "0", [])

Content = dict[str, str]
"""Field to what a row or an export says of it, as canonical text; a field of which it says nothing is not there."""


@dataclass(frozen=True, slots=True)
class OwnRows:
    """Line to records: of rows that are as they were exported, several where each may be meant; line to record of rows
    that were edited since. `fields` were compared.

    `export` is the source of the export, None without one. `told` is whether the source of the table said anything of
    these records; `for_export` counts the cells that say what the export and not what the source said, and `for_source`
    the opposite.
    """

    same: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    edited: Mapping[int, str] = field(default_factory=dict)
    fields: frozenset[str] = frozenset()
    export: str | None = None
    told: bool = False
    for_export: int = 0
    for_source: int = 0
    elsewhere: bool = False  # written by another device, and compared with what the records show here
    unclear: Mapping[int, str] = field(default_factory=dict)  # line to record: of edited rows, whose that may be
    rows: int = 0
    stamp: int = 0  # when the export was written, microseconds
    named: bool = False  # headers or record ids are those of an export, whatever the rows say
    alike: int = 0  # cells that say what the export said
    since: int = 0  # how many more cells say what the records show by now than what the export said, and they do not
    likely: str = ""  # the name of an export that the table may be, or a table with rows like those

    @property
    def as_export(self) -> bool:
        """Whether the table is the export, and no version of its source that was not exported."""
        if self.export is None or self.elsewhere:
            return False
        found = self.named or 2 * (len(self.same) + len(self.edited)) > self.rows
        return found and (not self.told or self.for_export > self.for_source)

    @property
    def as_export_of_others(self) -> bool:
        """Whether the table is an export of another device, by what its rows say."""
        return self.elsewhere and not self.told and bool(self.same or self.edited)


Told = Callable[[str, int], Mapping[str, object]]
"""What the source of the table said of a record, if anything up to a stamp: what began later may be this very file."""


def own_rows(
    table: Table,
    reading: Interpretation,
    remembered: Remembered,
    source: str,
    told: Told,
    present: Callable[[str], ReadableRecord | None],
    *,
    by_headers: bool,
) -> OwnRows:
    """Find the export that the table is, of those of `source` the one that says most of its cells, or else the newest.

    Another name counts where more than half of the rows are the same, in two fields at least; with `by_headers`, which
    are those of an export, edited rows count, too, unless they rather say what the records show by now: that is what
    another device exported since.
    """
    best = OwnRows()
    specs = {target.field: target.spec for target in reading.targets}

    def shown(record: str, made: int) -> Mapping[str, object]:
        """What a record shows, but for what a file of this name, or an edited export, said since: that may be this very
        file, whoever imported it."""
        if (here := present(record)) is None:
            return {}
        since = (each for each in here.sources if each.stamp > made and (each.account == source or is_edits(each.name)))
        said = {name for each in since for name in each.said}
        return {name: said_of(spec, here.raw.get(name)) for name, spec in specs.items() if name not in said}

    for export in remembered.exports:
        shared = [target.field for target in reading.targets if target.field in _fields(export)]
        if not shared or (export.source != source and len(shared) < 2):
            continue
        found, rows = _aligned(table, reading, export, shared, told, shown)
        likely = 2 * (len(found.same) + len(found.edited)) > rows and found.since <= 0
        if export.source != source and not (likely if by_headers else 2 * len(found.same) > rows):
            best = best if best.likely or not likely else replace(best, likely=export.source)
            continue
        if not (best.same or best.edited) or found.alike > best.alike:
            best = found
        if len(best.same) == rows:
            break
    return best


def rows_of_shown(
    table: Table, reading: Interpretation, records: Iterable[ReadableRecord], source: str, told: Told
) -> OwnRows:
    """Find the records whose rows an export of another device are, by what the records show."""
    specs = {target.field: target.spec for target in reading.targets}
    texts = {
        record.record: json.dumps({name: said_of(spec, record.raw.get(name)) for name, spec in specs.items()})
        for record in records
        if not record.deleted
    }
    if not texts:
        return OwnRows()
    return replace(_aligned(table, reading, Export(source, texts), list(specs), told, lambda *_: {})[0], elsewhere=True)


def says_as_exported(row: Row, reading: Interpretation, exported: Mapping[str, object], *, typed: bool) -> bool:
    """Whether a row says what an export wrote of its record, of all fields that both have."""
    shared = [target.field for target in reading.targets if target.field in exported]
    return _said(row, reading, typed, shared)[0] == _exported({name: exported[name] for name in shared})


def own_record_column(
    table: Table, fields: Sequence[str | None], collection: str, is_here: Callable[[str], bool]
) -> str | None:
    """The header of a column without a field that holds ids of records, as exports write them: of records which are
    here, or such as nobody chooses."""
    first = [row for row, _ in zip(_rows(table), range(_ROWS_LOOKED_AT), strict=False)]
    for position, header in enumerate(table.columns):
        if fields[position] is not None or table.columns.count(header) > 1:
            continue
        cells = [row.cells[position] for row in first if row.cells[position] is not MISSING]
        ids = [str(cell) for cell in cells if _is_id(cell, collection)]
        if ids and len(ids) == len(cells) and (all(map(is_made, ids)) or any(map(is_here, ids))):
            return header
    return None


def _is_id(cell: Cell, collection: str) -> bool:
    return isinstance(cell, str) and "/" in cell and is_record(cell) and collection_of(cell) == collection


def _aligned(
    table: Table,
    reading: Interpretation,
    export: Export,
    shared: Sequence[str],
    told: Told,
    shown: Callable[[str, int], Mapping[str, object]],
) -> tuple[OwnRows, int]:
    records: list[tuple[str, Content]] = []
    places: dict[tuple[tuple[str, str], ...], deque[int]] = {}
    for place, (record, said) in enumerate(export.said()):
        content = _exported({name: said[name] for name in shared if name in said})
        records.append((record, content))
        places.setdefault(_key(content), deque()).append(place)
    same: dict[int, tuple[str, ...]] = {}
    alike: dict[tuple[tuple[str, str], ...], _Alike] = {}
    edited: dict[int, str] = {}
    waiting: list[tuple[int, Content]] = []
    taken = {place: record for place, (record, _) in enumerate(records)}
    found: list[tuple[Content, int]] = []  # what a row says, and the place of its record
    before, rows = -1, 0
    gaps: list[tuple[int, int, list[tuple[int, Content]]]] = []
    for row in _rows(table):
        rows += 1
        content, more = _said(row, reading, table.typed, shared)
        free = places.get(key := _key(content)) if content else None
        if free is not None and (key in alike or len(free) > 1):
            alike.setdefault(key, _Alike(tuple(records[place][0] for place in free))).lines[row.line] = more
        if not free:
            waiting.append((row.line, content))
            continue
        place = free.popleft()
        same[row.line] = (taken.pop(place),)
        found.append((content, place))
        gaps.append((before, place, waiting))
        before, waiting = place, []
    gaps.append((before, len(records), waiting))
    for start, end, lines in gaps:
        between = range(start + 1, end)
        if len(between) != len(lines):
            continue
        for place, (line, content) in zip(between, lines, strict=True):
            if place in taken and _alike(content, records[place][1]):
                edited[line] = taken.pop(place)
                found.append((content, place))
    left = [(line, content) for *_, lines in gaps for line, content in lines if line not in edited]
    if len(left) == len(taken) == 1:  # all others were found, wherever this one was moved to
        ((line, content),), ((place, record),) = left, taken.items()
        if _alike(content, records[place][1]):
            edited[line] = record
            found.append((content, place))
    contents = dict(left)
    for line, place in _of_one_name([each for each in left if each[0] not in edited], taken, records).items():
        edited[line] = taken.pop(place)
        found.append((contents[line], place))
    for each in alike.values():
        if not each.told():
            same.update(dict.fromkeys(each.lines, each.records))
            edited = {line: record for line, record in edited.items() if line not in each.lines}
    unclear = _may_be(
        [(line, content) for line, content in left if line not in edited],
        [records[place] for place in sorted(taken)],
    )
    weighed = _weighed(found, records, shared, lambda record: told(record, export.stamp))
    own = OwnRows(
        same,
        edited,
        frozenset(shared),
        export.source,
        *weighed,
        unclear=unclear,
        rows=rows,
        stamp=export.stamp,
        alike=sum(len(content.items() & records[place][1].items()) for content, place in found),
        since=_since(found, records, shared, lambda record: shown(record, export.stamp)),
    )
    return own, rows


def _weighed(
    found: Sequence[tuple[Content, int]],
    records: Sequence[tuple[str, Content]],
    shared: Sequence[str],
    told: Callable[[str], Mapping[str, object]],
) -> tuple[bool, int, int]:
    """Whether the source of the table said anything of the records, and the counts of cells, see `OwnRows`."""
    any_told, for_export, for_source = False, 0, 0
    for content, place in found:
        record, exported = records[place]
        said = told(record)
        by_source = _exported({name: said[name] for name in shared if name in said})
        any_told = any_told or bool(by_source)
        for name in by_source.keys() & content.keys():
            for_export += content[name] == exported.get(name) != by_source[name]
            for_source += content[name] == by_source[name] != exported.get(name)
    return any_told, for_export, for_source


def _since(
    found: Sequence[tuple[Content, int]],
    records: Sequence[tuple[str, Content]],
    shared: Sequence[str],
    shown: Callable[[str], Mapping[str, object]],
) -> int:
    """See `OwnRows`."""
    more = 0
    for content, place in found:
        record, exported = records[place]
        said = shown(record)
        by_now = _exported(said)
        for name in said.keys() & shared:
            if (now := by_now.get(name)) != (then := exported.get(name)):
                more += (content.get(name) == now) - (content.get(name) == then)
    return more


def _of_one_name(
    lines: Sequence[tuple[int, Content]], places: Iterable[int], records: Sequence[tuple[str, Content]]
) -> dict[int, int]:
    """Of rows that were edited and moved, the place of the record with the name that no other row or record has."""
    rows, known = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
    said = dict(lines)
    for line, content in lines:
        rows[_name(content)].append(line)
    for place in places:
        known[_name(records[place][1])].append(place)
    pairs = ((rows[name], known[name]) for name in rows.keys() & known.keys() - {""})
    ones = [(found[0], held[0]) for found, held in pairs if len(found) == len(held) == 1]
    return {line: place for line, place in sorted(ones) if _alike(said[line], records[place][1])}


def _name(content: Content) -> str:
    return "\n".join(content[field] for field in sorted(content) if is_name(field))


def _may_be(lines: Sequence[tuple[int, Content]], records: Sequence[tuple[str, Content]]) -> dict[int, str]:
    """Of the rows that nothing was found for, those that are half as one of the records that no row is."""
    having: dict[tuple[str, str], list[int]] = {}
    for place, (_, content) in enumerate(records):
        for each in content.items():
            having.setdefault(each, []).append(place)
    found = {}
    for line, content in lines:
        places = {place for each in content.items() for place in having.get(each, ())[:_RECORDS_COMPARED]}
        likely = next((place for place in sorted(places) if _alike(content, records[place][1])), None)
        if likely is not None:
            found[line] = records[likely][0]
    return found


@dataclass(slots=True)
class _Alike:
    """Records that were exported alike, and the rows that say the same: line to what else they say."""

    records: tuple[str, ...]
    lines: dict[int, str] = field(default_factory=dict)

    def told(self) -> bool:
        """Whether it makes no difference which row is which record."""
        more = set(self.lines.values())
        return more == {""} or (len(more) == 1 and len(self.lines) == len(self.records))


def _alike(one: Content, other: Content) -> bool:
    told = one.keys() | other.keys()
    return bool(told) and 2 * sum(one.get(name) == other.get(name) for name in told) >= len(told)


def _key(content: Content) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(content.items()))


def _fields(export: Export) -> set[str]:
    return next(({*said} for _, said in export.said()), set())


def _exported(said: Mapping[str, object]) -> Content:
    return {name: canonical(value) for name, each in said.items() if (value := _plain(each)) not in _NOTHING}


def _plain(said: object) -> object:
    number = counter_said(said)
    return text_mark(said) if number is None else str(number)


def _said(row: Row, reading: Interpretation, typed: bool, shared: Sequence[str]) -> tuple[Content, str]:
    """What a row says of these fields, nothing where a cell does not fit its field; and of others, as a text."""
    cells, problems = reading.read(row, dict.fromkeys(shared, ""))
    specs: dict[str, FieldSpec] = {target.field: target.spec for target in reading.targets}
    said: dict[str, object] = {}
    for name in shared:
        if name not in cells or problems:
            continue
        try:
            decision = decide(name, specs[name], cells[name], MISSING, Memory(), typed=typed, clear_empty=False)
        except InvalidValue:
            return {}, ""
        if decision is not None:
            said[name] = decision.wanted if decision.said is MISSING else decision.said
    others = {name: told for name, told in cells.items() if name not in shared and told != [MISSING]}
    return _exported(said), repr(others) if others else ""


def _rows(table: Table) -> Iterator[Row]:
    return (row for row in table.rows() if isinstance(row, Row) and any(cell is not MISSING for cell in row.cells))
