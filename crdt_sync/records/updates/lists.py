"""Where every operation of a record stands: in which list, and between which origins.

A *list* is what Yjs orders: a root of arrays or texts, or the values that one key of a map has had. An item names its
list only where it has no neighbours, else it stands in that of a neighbour. Columns of plain numbers, 32 bytes for each
item: a long text has a hundred thousand.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from crdt_sync.records.updates.state_vector import CLOCK_MAX
from crdt_sync.records.updates.update import Item

Operation = tuple[int, int]
"""Writer and clock."""

Placed = tuple[int, Operation | None, Operation | None, int]
"""An item of a writer: its first clock, its left and right origin, and the number of its list."""

_NONE = CLOCK_MAX  # no operation has this clock: it is the first that a state vector cannot count
_UNKNOWN, _UNDER_WAY = 0, 1
_HAS_CHILD, _FORKS = 1, 2


class Name(NamedTuple):
    """What a list is called: its root, and the key for one of a map."""

    root: str
    key: str | None


NOWHERE = Name("", None)
"""The list of operations whose neighbours lead in a circle."""


class _Column:
    """The items of one writer by ascending clock, without gaps."""

    __slots__ = ("flags", "left_clocks", "left_writers", "lists", "right_clocks", "right_writers", "starts")

    def __init__(self) -> None:
        self.starts = array("I")
        self.left_writers = array("Q")
        self.left_clocks = array("I")
        self.right_writers = array("Q")
        self.right_clocks = array("I")
        self.lists = array("I")
        self.flags = bytearray()  # whether something has its last operation as left origin; whether it forks

    def cut(self, count: int) -> None:
        """Keep the first `count` items."""
        for column in (self.starts, self.left_writers, self.left_clocks, self.right_writers, self.right_clocks):
            del column[count:]
        del self.lists[count:]
        del self.flags[count:]


class Lists:
    """The lists of a record. Operations that are asked for must be there.

    An item *forks* where something follows its left origin already: another item, or the rest of the item that holds
    it. `forks` counts these. So at most twice as many items have siblings, that is, others with the same left origin.
    """

    def __init__(self, items: Sequence[Item] = ()) -> None:
        self._columns: dict[int, _Column] = {}
        self._names = [NOWHERE, NOWHERE]
        self._numbers: dict[Name, int] = {}
        self._halves: dict[int, array[int]] = {}
        self._ends: dict[int, int] = {}
        self._begun: set[int] = set()  # numbers of lists that have an item without a left origin
        self.forks = 0
        self.add(items)

    def add(self, items: Sequence[Item]) -> int:
        """Take in new items: of each writer those that follow, in order. Returns how many of them fork."""
        for item in items:
            column = self._columns.get(item.writer)
            if column is None:
                column = self._columns[item.writer] = _Column()
            left_writer, left_clock = item.left or (0, _NONE)
            right_writer, right_clock = item.right or (0, _NONE)
            column.starts.append(item.clock)
            column.left_writers.append(left_writer)
            column.left_clocks.append(left_clock)
            column.right_writers.append(right_writer)
            column.right_clocks.append(right_clock)
            column.lists.append(_UNKNOWN if item.root is None else self._number(Name(item.root, item.key)))
            column.flags.append(0)
            self._ends[item.writer] = item.clock + item.length
            if item.halves:
                self._halves.setdefault(item.writer, array("I")).extend(item.clock + half for half in item.halves)
        for item in items:
            if item.root is None:
                self._resolve(item.writer, bisect_right(self._columns[item.writer].starts, item.clock) - 1)
        forks = sum([self._follow(item) for item in items])
        self.forks += forks
        return forks

    def __len__(self) -> int:
        """How many items there are."""
        return sum(len(column.starts) for column in self._columns.values())

    def take_back(self, items: Sequence[Item]) -> None:
        """Undo the `add` of these items, which was the last."""
        for item in items:
            self._unfollow(item)
        for writer, clock in {item.writer: item.clock for item in reversed(items)}.items():
            column = self._columns[writer]
            column.cut(bisect_left(column.starts, clock))
            self._ends[writer] = clock
            if not column.starts:
                del self._columns[writer], self._ends[writer]
            halves = self._halves.get(writer)
            if halves:
                del halves[bisect_left(halves, clock) :]

    def left(self, operation: Operation) -> Operation | None:
        """The left origin; inside an item it is the operation before."""
        writer, clock = operation
        column, index = self._find(operation)
        if clock > column.starts[index]:
            return writer, clock - 1
        return _origin(column.left_writers[index], column.left_clocks[index])

    def right(self, operation: Operation) -> Operation | None:
        """The right origin, which all operations of an item have in common."""
        column, index = self._find(operation)
        return _origin(column.right_writers[index], column.right_clocks[index])

    def first(self, operation: Operation) -> Operation:
        """The first operation of the item that holds this one."""
        column, index = self._find(operation)
        return operation[0], column.starts[index]

    def name(self, operation: Operation) -> Name:
        """The list that an operation stands in."""
        column, index = self._find(operation)
        return self._names[column.lists[index]]

    def placed(self, operation: Operation) -> tuple[Operation, Name, int]:
        """The first operation of the item that holds this one, the list of it, and the clock behind its last."""
        writer = operation[0]
        column, index = self._find(operation)
        end = column.starts[index + 1] if index + 1 < len(column.starts) else self._ends[writer]
        return (writer, column.starts[index]), self._names[column.lists[index]], end

    def followers(self, left: Operation | None, name: Name) -> Iterator[Operation]:
        """The operations of a list that have this left origin, by writer and clock."""
        left_writer, left_clock = left or (0, _NONE)
        number = self._numbers[name]
        for writer, column in self._columns.items():
            if writer == left_writer and left is not None and left_clock + 1 < self._ends[writer]:
                inner = bisect_right(column.starts, left_clock + 1) - 1
                if column.starts[inner] <= left_clock:
                    yield writer, left_clock + 1
            index = -1
            try:
                while True:
                    index = column.left_clocks.index(left_clock, index + 1)
                    if column.left_writers[index] == left_writer and column.lists[index] == number:
                        yield writer, column.starts[index]
            except ValueError:  # there is no further one
                continue

    def items_of(self, name: Name) -> Iterator[tuple[Operation, Operation | None, Operation | None]]:
        """The items of a list, as their first operation and their origins, by writer and clock."""
        number = self._numbers.get(name)
        for writer, column in self._columns.items():
            for index, found in enumerate(column.lists):
                if found == number:
                    yield (
                        (writer, column.starts[index]),
                        _origin(column.left_writers[index], column.left_clocks[index]),
                        _origin(column.right_writers[index], column.right_clocks[index]),
                    )

    def by_writer(self) -> Iterator[tuple[int, int, Iterator[Placed]]]:
        """Each writer, the clock after its last operation, and its items, ascending."""
        for writer, column in self._columns.items():
            lefts = map(_origin, column.left_writers, column.left_clocks)
            rights = map(_origin, column.right_writers, column.right_clocks)
            yield writer, self._ends[writer], zip(column.starts, lefts, rights, column.lists, strict=True)

    def halves(self) -> Iterable[int]:
        """The writers that wrote surrogate pairs."""
        return self._halves.keys()

    def second_half(self, operation: Operation) -> bool:
        """Whether an operation is the second half of a surrogate pair. It may be deleted by now."""
        halves = self._halves.get(operation[0])
        if not halves:
            return False
        index = bisect_left(halves, operation[1])
        return index < len(halves) and halves[index] == operation[1]

    def _find(self, operation: Operation) -> tuple[_Column, int]:
        column = self._columns[operation[0]]
        return column, bisect_right(column.starts, operation[1]) - 1

    def _follow(self, item: Item) -> bool:
        """Note that an item follows its left origin; returns whether it forks."""
        column, index = self._find((item.writer, item.clock))
        if item.left is None:
            forks = column.lists[index] in self._begun
            self._begun.add(column.lists[index])
        else:
            before, place = self._find(item.left)
            after = before.starts[place + 1] if place + 1 < len(before.starts) else self._ends[item.left[0]]
            forks = item.left[1] + 1 != after or bool(before.flags[place] & _HAS_CHILD)
            if not forks:
                before.flags[place] |= _HAS_CHILD
        if forks:
            column.flags[index] |= _FORKS
        return forks

    def _unfollow(self, item: Item) -> None:
        column, index = self._find((item.writer, item.clock))
        if column.flags[index] & _FORKS:
            self.forks -= 1
        elif item.left is None:
            self._begun.discard(column.lists[index])
        else:
            before, place = self._find(item.left)
            before.flags[place] &= ~_HAS_CHILD

    def _number(self, name: Name) -> int:
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self._names)
            self._names.append(name)
        return number

    def _resolve(self, writer: int, index: int) -> None:
        """Find the list of an item by following its neighbours; those that lead in a circle keep `_UNDER_WAY`."""
        path: list[tuple[array[int], int]] = []
        column = self._columns[writer]
        while column.lists[index] == _UNKNOWN:
            column.lists[index] = _UNDER_WAY
            path.append((column.lists, index))
            origin = _origin(column.left_writers[index], column.left_clocks[index])
            origin = origin or (column.right_writers[index], column.right_clocks[index])
            column, index = self._find(origin)
        number = column.lists[index]
        for lists, place in path:
            lists[place] = number


def _origin(writer: int, clock: int) -> Operation | None:
    return None if clock == _NONE else (writer, clock)
