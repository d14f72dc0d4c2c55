"""How far items may have to be compared with others to be placed: an upper bound, for any order of arrival.

An item goes beside its left origin. Where others stand between its origins already, Yjs and yrs walk over them, one
block after the other, as far as they descend from the left origin in the tree that left origins make. People who write
at the same time make some thousands of such steps; n items in one place with n blocks between their origins make n².

Items with the same left origin are siblings. One that was written before a sibling has it as its right origin: what
stands from there on is not walked over, and what was written before the item comes later. So an item walks over its
siblings at most, with all that descends from them, but for those that its right origins lead to and those whose right
origins lead to it. Of what one writer types and of what people write one after the other nothing is left.

The number follows from the set of items alone, so it bounds how long the record takes to load, however it came.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from crdt_sync.records.updates.lists import Lists, Operation

_Place = Operation | int
"""Whose children siblings are: an operation, or the number of a list for those without a left origin."""
_Spans = tuple[list[int], list[int]]  # clocks, ascending; and how many blocks there are from each of them on


def walked_steps(lists: Lists) -> int:
    """Blocks that are walked over, at most, while all items of `lists` are integrated, in whatever order."""
    tree = _Tree(lists)
    forked = [(place, siblings) for place, siblings in tree.forks() if not _is_chain(siblings)]
    if not forked:
        return 0
    sizes = _Sizes(tree)
    return sum(_walked(siblings, sizes.of(place, siblings)) for place, siblings in forked)


def steps_added(lists: Lists, count: int, forks: int, items: int) -> int:
    """By how much the last `count` items that were added to `lists`, `forks` of which fork, may raise `walked_steps`.

    `items` are all there are, or more. An item that forks may walk over all others, and each of them over it. One that
    does not walks over nothing, and is walked over by items that have siblings alone: of these there are twice as many
    as fork. It is one more block for them, or two, as its right origin may be within another item. That holds where all
    items stand as the gate demands; what was accepted before it did may take more.
    """
    return 2 * (forks * items + (count - forks) * 2 * lists.forks)


class _Sibling(NamedTuple):
    """A child of a place. `item` is None for the rest of the item that the place itself is in."""

    start: Operation
    right: Operation | None
    item: int | None


class _Tree:
    """Items by their left origins. Items are numbered writer by writer, in the order of their clocks."""

    def __init__(self, lists: Lists) -> None:
        self.starts: list[Operation] = []
        self.rights: list[Operation | None] = []
        self.places: list[_Place] = []
        self.children: dict[_Place, list[int]] = {}
        self._columns: dict[int, tuple[int, list[int], int]] = {}  # first item, clocks of all, the end
        for writer, end, items in lists.by_writer():
            base, clocks = len(self.starts), []
            for clock, left, right, number in items:
                place = number if left is None else left
                siblings = self.children.get(place)
                if siblings is None:
                    self.children[place] = [len(self.starts)]
                else:
                    siblings.append(len(self.starts))
                clocks.append(clock)
                self.starts.append((writer, clock))
                self.rights.append(right)
                self.places.append(place)
            self._columns[writer] = base, clocks, end

    def forks(self) -> Iterator[tuple[_Place, list[_Sibling]]]:
        """The places with several children."""
        for place, children in self.children.items():
            inner = None if isinstance(place, int) else self.inner(place)
            if len(children) > 1 or inner is not None:
                siblings = [_Sibling(self.starts[child], self.rights[child], child) for child in children]
                yield place, siblings if inner is None else [inner, *siblings]

    def inner(self, place: Operation) -> _Sibling | None:
        """What follows an operation within its item."""
        writer, clock = place
        base, clocks, end = self._columns[writer]
        index = bisect_right(clocks, clock)
        if clock + 1 == (clocks[index] if index < len(clocks) else end):
            return None
        return _Sibling((writer, clock + 1), self.rights[base + index - 1], None)

    def item(self, operation: Operation) -> int:
        """The item that holds an operation."""
        base, clocks, _ = self._columns[operation[0]]
        return base + bisect_right(clocks, operation[1]) - 1

    def ancestors(self) -> list[int | None]:
        """Of each item the one that holds its left origin."""
        return [None if isinstance(place, int) else self.item(place) for place in self.places]


class _Sizes:
    """How many blocks descend from an item, itself included: where another one points into it, it is cut."""

    def __init__(self, tree: _Tree) -> None:
        self._tree = tree
        cuts: defaultdict[int, set[int]] = defaultdict(set)  # by item: clocks at which a block begins
        self._places: defaultdict[int, list[int]] = defaultdict(list)  # by item: clocks of places in it
        for place in tree.children:
            if not isinstance(place, int):
                item = tree.item(place)
                self._places[item].append(place[1])
                if tree.inner(place) is not None:
                    cuts[item].add(place[1] + 1)
        for right in tree.rights:
            if right is not None and tree.starts[item := tree.item(right)] != right:
                cuts[item].add(right[1])
        self._cuts = {item: sorted(clocks) for item, clocks in cuts.items()}
        self._sizes = [1 + len(cuts.get(item, ())) for item in range(len(tree.starts))]
        ancestors = tree.ancestors()
        for item in reversed(_roots_first(ancestors)):
            if (ancestor := ancestors[item]) is not None:
                self._sizes[ancestor] += self._sizes[item]
        self._attached: dict[int, _Spans] = {}

    def of(self, place: _Place, siblings: list[_Sibling]) -> list[int]:
        """The sizes of the children of a place."""
        return [
            self._rest(place, sibling.start[1]) if sibling.item is None else self._sizes[sibling.item]
            for sibling in siblings
        ]

    def _rest(self, place: _Place, clock: int) -> int:
        """Of what is in the item of a place from `clock` on."""
        assert not isinstance(place, int)
        item = self._tree.item(place)
        if item not in self._attached:
            clocks = sorted(self._places[item])
            writer = place[0]
            sizes = [sum(self._sizes[child] for child in self._tree.children[writer, at]) for at in reversed(clocks)]
            self._attached[item] = clocks, [*reversed(list(accumulate(sizes))), 0]
        clocks, blocks = self._attached[item]
        cuts = self._cuts.get(item, [])
        return blocks[bisect_left(clocks, clock)] + 1 + len(cuts) - bisect_right(cuts, clock)


def _is_chain(siblings: list[_Sibling]) -> bool:
    """Whether each was written before the one that came last before it, so that none is walked over."""
    starts = {sibling.start for sibling in siblings}
    known = [sibling.right for sibling in siblings if sibling.right in starts]
    return len(known) == len(siblings) - 1 and len(set(known)) == len(known)


def _walked(siblings: list[_Sibling], sizes: list[int]) -> int:
    """The steps of all siblings together: over all blocks but those of right origins, and of what came later."""
    index = {sibling.start: number for number, sibling in enumerate(siblings)}
    above = [None if sibling.right is None else index.get(sibling.right) for sibling in siblings]
    order = _roots_first(above)
    before, after = [0] * len(siblings), list(sizes)  # blocks of right origins; of itself and what came later
    for number in order:
        if (right := above[number]) is not None:
            before[number] = before[right] + sizes[right]
    for number in reversed(order):
        if (right := above[number]) is not None:
            after[right] += after[number]
    whole = sum(sizes)
    return sum(whole - before[number] - after[number] for number in range(len(siblings)))


def _roots_first(above: list[int | None]) -> list[int]:
    """All numbers, each after the one above it. In a circle, which yrs would wait for for ever, one is taken first."""
    order: list[int] = []
    seen = bytearray(len(above))
    for first in range(len(above)):
        path: list[int] = []
        number: int | None = first
        while number is not None and not seen[number]:
            seen[number] = 1
            path.append(number)
            number = above[number]
        order += reversed(path)
    return order
