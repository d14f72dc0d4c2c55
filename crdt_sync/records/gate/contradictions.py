"""One operation with two contents: what an update says of operations that are here already, against what is here.

A writer that gives one clock two contents, by malice or because its store was copied, makes replicas differ for good:
state vectors and digest A cannot tell. Where an update describes operations that are here, both contents are at hand.
They are compared by clock, as items may be split or joined otherwise, and only where neither side has deleted them.
Numbers are compared by value, since implementations write them differently.

It costs a difference from the first such operation on, of each writer that has one; what the update does not describe
is stepped over in there. The same content at another place is noticed where that is another root or key, if it is asked
for: who may write one field could use up operations of somebody's id in it, and what that one writes into another field
would be taken for what is here already.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from math import isnan
from typing import NamedTuple

from crdt_sync.errors import UpdateRefused
from crdt_sync.records.document import Document
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.updates.delete_set import Ranges, merged
from crdt_sync.records.updates.lists import Lists, Name
from crdt_sync.records.updates.state_vector import CLOCK_MAX
from crdt_sync.records.updates.stepping import step
from crdt_sync.records.updates.update import Item, Scan, scan
from crdt_sync.records.updates.varint import read_uint
from crdt_sync.records.updates.written import ValueReader

_NOT_A_NUMBER = ("NaN",)  # which equals nothing, not even itself
_UNIT_BYTES = 2  # of UTF-16, in which operations of texts are counted


def contradiction(found: Scan, update: bytes, document: Document, vector: Mapping[int, int]) -> str:
    """Which operation `document` holds with another content than `update`, whose scan is `found`; or nothing."""
    described: Ranges = {}
    for item in found.items:
        if not item.deleted and item.clock < vector.get(item.writer, 0):
            described.setdefault(item.writer, []).append((item.clock, item.length))
    if not described:
        return ""
    described = merged(described)
    first = {writer: ranges[0][0] for writer, ranges in described.items()}
    try:
        held = _Contents(document.diff(vectors.encode({**vector, **first})), described).by_writer()
        told = _Contents(update, described).by_writer()
    except (UpdateRefused, IndexError, UnicodeDecodeError):
        return ""  # of a state that cannot be read nothing can be told
    for writer in first:
        clock = _first_difference(held.get(writer, []), told[writer])
        if clock is not None:
            return f"operation {clock} of writer {writer} is here already, with another content"
    return ""


def displaced(items: Iterable[Item], lists: Lists, vector: Mapping[int, int]) -> str:
    """Which of the operations of an update that are here stands in another list than it says; or nothing.

    `lists` are those of what is here, of which `vector` is the state vector.
    """
    for item in items:
        end = min(item.clock + item.length, vector.get(item.writer, 0))
        if item.root is not None:
            said = Name(item.root, item.key)
        elif (beside := item.left or item.right) is not None and beside[1] < vector.get(beside[0], 0):
            said = lists.name(beside)
        else:
            continue  # beside what is not here: the update has a gap, or that is told of another item
        clock = item.clock
        while clock < end:
            _, name, clock_after = lists.placed((item.writer, clock))
            if name != said:
                return f"operation {clock} of writer {item.writer} is here already, in another place"
            clock = clock_after
    return ""


def first_differences(ours: Document, theirs: Document, sent: Mapping[int, int]) -> dict[int, int]:
    """Of each writer under whose id the two hold different operations, the first clock where they do.

    As far as that shows: in what neither has deleted, and in the lists where operations stand. Where something shows,
    what is ours beyond what was `sent`, and is deleted there, is not what they had either; with nothing in `sent` that
    cannot be told. Both are of one lineage.
    """
    update = ours.diff()
    found, vector = scan(update), vectors.decode(theirs.raw_state_vector())
    items = [item for item in found.items if item.clock < vector.get(item.writer, 0)]
    described: Ranges = {}
    for item in items:
        if not item.deleted:
            described.setdefault(item.writer, []).append((item.clock, item.length))
    described = merged(described)
    held = _Contents(theirs.diff(), described).by_writer()
    told = _Contents(update, described).by_writer()
    firsts: dict[int, int] = {}
    for writer in described:
        clock = _first_difference(held.get(writer, []), told.get(writer, []))
        if clock is not None:
            firsts[writer] = clock
    mine, others = Lists(found.items), Lists(scan(theirs.diff()).items)
    for item in items:
        clock, name = item.clock, mine.name((item.writer, item.clock))
        end = min(item.clock + item.length, vector[item.writer], firsts.get(item.writer, CLOCK_MAX))
        while clock < end:
            _, there, after = others.placed((item.writer, clock))
            if there != name:
                firsts[item.writer] = clock
                break
            clock = after
    gone = theirs.deletes() if firsts and sent else {}
    for item in items:
        if not item.deleted and item.writer in firsts:
            begin, end = max(item.clock, sent.get(item.writer, 0)), item.clock + item.length
            dead = [max(begin, at) for at, length in gone.get(item.writer, ()) if at < end and at + length > begin]
            firsts[item.writer] = min([firsts[item.writer], *dead])
    return firsts


def content_at(document: Document, writer: int, clock: int) -> bytes:
    """What one operation holds, as bytes to tell it by; none where it is deleted."""
    since = vectors.encode({**vectors.decode(document.raw_state_vector()), writer: clock})
    runs = _Contents(document.diff(since), {writer: [(clock, 1)]}).by_writer().get(writer, [])
    return repr(_part(runs[0], clock, clock + 1)).encode("utf-8", "surrogatepass") if runs else b""


class _Run(NamedTuple):
    """Contents of operations that follow each other: UTF-16 of a text, or values."""

    clock: int
    length: int
    content: bytes | list[object]


class _Contents(ValueReader):
    """Reads what operations hold, of these ranges of each writer; they are merged."""

    def __init__(self, data: bytes, wanted: Ranges) -> None:
        super().__init__(data)
        self._wanted = wanted
        self._text_last: bytes | None = None
        self._runs: dict[int, list[_Run]] = {}

    def by_writer(self) -> dict[int, list[_Run]]:
        """The contents that are not deleted, by writer, ascending."""
        self.scan()
        return self._runs

    def struct(self, position: int, writer: int, clock: int) -> tuple[int, int]:
        if (stepped := step(self.data, position)) is not None and not self._wants(writer, clock, stepped[0]):
            return stepped[:2]
        count = len(self.items)
        self._text_last, self.read_last = None, []
        length, position = super().struct(position, writer, clock)
        if len(self.items) > count and not self.items[-1].deleted:
            self._runs.setdefault(writer, []).append(_Run(clock, length, self._content()))
        return length, position

    def _content(self) -> bytes | list[object]:
        """What the last operation held (of its own, since a compiler takes what `struct` set for what it still is)."""
        return self.read_last if self._text_last is None else self._text_last

    def _wants(self, writer: int, clock: int, length: int) -> bool:
        ranges = self._wanted.get(writer, [])
        index = bisect_left(ranges, (clock + length, 0)) - 1
        return index >= 0 and sum(ranges[index]) > clock

    def _text_content(self, position: int) -> tuple[int, tuple[int, ...], int]:
        text, _ = self._text(position)
        self._text_last = text.encode("utf-16-le")
        return super()._text_content(position)

    def _read(self, position: int) -> tuple[object, int]:
        """One value, comparable with what another implementation makes of it."""
        data = self.data
        kind = data[position]
        if kind == 119:
            return self._text(position + 1)
        if kind in (120, 121):
            return (kind == 120,), position + 1
        if kind in (117, 118):
            count, position = read_uint(data, position + 1)
            members: dict[object, object] = {}
            for index in range(count):
                key: object = index
                if kind == 118:
                    key, position = self._text(position)
                members[key], position = self._read(position)
            return (kind, members), position
        number, position_after = self._value(position, 1)
        if number is not None and isnan(number):
            return _NOT_A_NUMBER, position_after
        return (data[position:position_after] if kind == 116 else number), position_after


def _first_difference(held: list[_Run], told: list[_Run]) -> int | None:
    """The first clock at which the two give different contents; both ascend."""
    ours = iter(held)
    mine = next(ours, None)
    for theirs in told:
        while mine is not None and mine.clock + mine.length <= theirs.clock:
            mine = next(ours, None)
        while mine is not None and mine.clock < theirs.clock + theirs.length:
            start = max(mine.clock, theirs.clock)
            end = min(mine.clock + mine.length, theirs.clock + theirs.length)
            if _part(mine, start, end) != _part(theirs, start, end):
                return next(
                    clock
                    for clock in range(start, end)
                    if _part(mine, clock, clock + 1) != _part(theirs, clock, clock + 1)
                )
            if mine.clock + mine.length > theirs.clock + theirs.length:
                break
            mine = next(ours, None)
    return None


def _part(run: _Run, start: int, end: int) -> bytes | list[object]:
    unit = _UNIT_BYTES if isinstance(run.content, bytes) else 1
    return run.content[(start - run.clock) * unit : (end - run.clock) * unit]
