"""Where an item may stand, so that every replica shows the same order, whatever way the updates came.

Yjs and yrs order any item that they are given, but agree only on those that an editor can have made. So of each item
that is not here yet:

1. Its left and right origin stand in the same list (root and key).
2. The left origin stands before the right one.
3. The right origin's own left origin is the item's left origin or an ancestor of it, by left origins; without a left
   origin it has none. (Inside an item, an operation's left origin is the one before it.)
4. With a key it has one value, or only deleted ones, and no right origin.
5. It has a key in the maps `n.` and `s.` and nowhere else; text stands in `t.` and nothing else does; a root has one of
   the layout's prefixes and a field.
6. No origin lies inside a surrogate pair, and no range of deletions begins or ends inside one, unless the pair is
   deleted, be it by the same update. Of what is deleted nobody can tell that it was a pair once it was written anew.
7. The ranges of deletions of a writer ascend and do not overlap: `merge_updates` loses some of them otherwise.

Honest items keep them, because an editor puts an item between two neighbours of its own list: the right one is then
the first child of the left one, or a sibling of it or of one of its ancestors, in the tree that left origins make. That
tree in preorder is the list. All of this follows from the set of items alone, not from the order of their arrival, so
replicas judge alike.

Most items have no right origin, or one that was written beside their left origin: nothing is looked up. Else the way up
from the left origin is walked, and at its end two siblings are compared as Yjs puts them.

Where what is here already breaks the rules, accepted before they were checked, no order that could be kept is left, and
honest edits beside such items look like broken ones: there 1 to 3 are not asked for. Writing the text anew makes
replicas equal again.
"""

from collections.abc import Callable, Collection

from crdt_sync.limits import PLACING_STEPS_MAX
from crdt_sync.records.roots import ARRAY_PREFIXES, MAP_PREFIXES, TEXT_PREFIX
from crdt_sync.records.updates.delete_set import Ranges, merged, range_covered
from crdt_sync.records.updates.lists import NOWHERE, Lists, Name, Operation
from crdt_sync.records.updates.update import Item, scan

_ITEMS_IN_STEP = 64  # that are looked through in the time of one step
_PREFIXES = (*ARRAY_PREFIXES, *MAP_PREFIXES, TEXT_PREFIX)


class _Misplaced(Exception):
    """An item breaks a rule. The arguments: which, and what to tell the sender."""


class _TooLong(Exception):
    """What can be told in `PLACING_STEPS_MAX` steps is not enough."""


def misnamed(items: Collection[Item]) -> str:
    """What is wrong with the roots and keys that items give (rule 5), or nothing. Nothing else need be known."""
    try:
        for item in items:
            if item.root is not None:
                _check_name(item, item.root)
    except _Misplaced as broken:
        return str(broken.args[1])
    return ""


def need_lists(items: Collection[Item]) -> bool:
    """Whether the rest cannot be told of these items by themselves, in a record without text."""
    for item in items:
        if item.right is not None or item.text:
            return True
        if item.root is None:
            if item.length > 1 and not item.deleted:
                return True
        elif item.root.startswith(TEXT_PREFIX):
            return True
    return False


def misplaced(items: Collection[Item], lists: Lists, deletes: Callable[[], Ranges]) -> str:
    """What is wrong with the places of new items, which `lists` holds already, or nothing.

    `deletes` gives all deletions, those of the update included, merged; it is called once at most.
    """
    order = _Order(lists, deletes)
    try:
        for item in items:
            _check(item, order, items)
    except _Misplaced as broken:
        return str(broken.args[1])
    except _TooLong:
        return "finding its place takes too long"
    return ""


def disordered(whole: bytes) -> list[str]:
    """The roots of a record, given as one update of its whole state, that show items which break the rules; sorted.

    Earlier versions accepted such items; replicas may show them differently. Raises `UpdateRefused` where the state
    cannot be scanned.
    """
    scanned = scan(whole)
    items = scanned.items
    lists = Lists(items)
    order = _Order(lists, lambda: merged(scanned.deletes))
    found: set[str] = set()
    for item in items:
        if item.deleted:
            continue  # written anew since
        try:
            if item.root is not None:
                _check_name(item, item.root)
            _check(item, order, items)
        except (_Misplaced, _TooLong):
            found.add(lists.name((item.writer, item.clock)).root)
    return sorted(found)


def cuts_pair(deletes: Ranges, lists: Lists, known: Callable[[], Ranges]) -> bool:
    """Whether a range of `deletes` begins or ends inside a surrogate pair (rule 6) that is not deleted in `known`.

    What another range does with the other half does not help: yrs takes one after the other. `known` gives merged
    ranges; it is called once at most.
    """
    pairs = _Pairs(lists, known)
    return any(
        pairs.cut((writer, edge))
        for writer in lists.halves()
        for clock, length in deletes.get(writer, ())
        for edge in (clock, clock + length)
    )


def tangled(deletes: Ranges) -> bool:
    """Whether ranges of deletions do not ascend, or overlap (rule 7). Nothing else need be known."""
    for ranges in deletes.values():
        end = 0
        for clock, length in ranges:
            if clock < end:
                return True
            end = clock + length
    return False


def _refuse(rule: int, why: str) -> None:
    """Always raises. A function of its own, so that a checker can show what happens without one of the rules."""
    raise _Misplaced(rule, why)


def _check_name(item: Item, root: str) -> None:
    prefix = root[:2]
    if prefix not in _PREFIXES or len(root) == len(prefix):
        _refuse(5, "a root is not one of the layout")
    if (item.key is not None) != (prefix in MAP_PREFIXES):
        _refuse(5, "a key outside a map, or none in one")
    if not item.deleted and item.text != (prefix == TEXT_PREFIX):
        _refuse(5, "it mixes text with other values")
    if item.key is not None and item.length != 1 and not item.deleted:
        _refuse(4, "a key has several values at once")


def _check(item: Item, order: "_Order", fresh: Collection[Item]) -> None:
    lists = order.lists
    left, right = item.left, item.right
    name = lists.name((item.writer, item.clock))
    if name is NOWHERE:
        _refuse(1, "its origins lead in a circle")
    if not item.deleted and item.text != name.root.startswith(TEXT_PREFIX):
        _refuse(5, "it mixes text with other values")
    if left is not None and order.pairs.cut((left[0], left[1] + 1)):
        _refuse(6, "its left origin is half of a character")
    if right is not None and order.pairs.cut(right):
        _refuse(6, "its right origin is half of a character")
    if name.key is not None and item.length != 1 and not item.deleted:
        _refuse(4, "a key has several values at once")
    if right is None:
        return
    if name.key is not None:
        _refuse(4, "a value of a key has a right origin")
    try:
        _check_between(left, right, name, order)
    except _Misplaced:
        if order.sound_without(fresh, name):
            raise


def _check_between(left: Operation | None, right: Operation, name: Name, order: "_Order") -> None:
    """Rules 1 to 3, the cheap cases first."""
    lists = order.lists
    if lists.name(right) != name:
        _refuse(1, "its origins stand in different lists")
        return
    begin = lists.left(right)
    if begin == left:
        return
    if left is None:
        _refuse(3, "its right origin does not stand at the start")
        return
    if lists.right(left) == right:
        return  # whoever wrote the left origin put it before this right one
    branch = order.branch(left, begin)
    if branch is None:
        _refuse(3, "its origins do not fit together")
    elif branch == right or not order.before(branch, right, begin, name):
        _refuse(2, "its left origin does not stand before its right one")


class _Pairs:
    """The surrogate pairs that are not deleted."""

    def __init__(self, lists: Lists, deletes: Callable[[], Ranges]) -> None:
        self._lists = lists
        self._deletes = deletes
        self._deleted: Ranges | None = None

    def cut(self, operation: Operation) -> bool:
        """Whether a pair is cut before this operation: it is the second half of one."""
        if not self._lists.second_half(operation):
            return False
        if self._deleted is None:
            self._deleted = self._deletes()
        writer, clock = operation
        return not range_covered(self._deleted.get(writer, []), clock - 1, 2)


class _Order:
    """The order in which the items of a record stand, as far as it is asked for."""

    def __init__(self, lists: Lists, deletes: Callable[[], Ranges]) -> None:
        self.lists = lists
        self.pairs = _Pairs(lists, deletes)
        self._steps = 0
        self._siblings: dict[tuple[Operation | None, Name], dict[Operation, int]] = {}
        self._sound: dict[Name, bool] = {}

    def branch(self, operation: Operation, ancestor: Operation | None) -> Operation | None:
        """The child of `ancestor` that `operation` is or descends from; None where it is no ancestor."""
        lists = self.lists
        while True:
            self._count(1)
            first = lists.first(operation)
            if ancestor is not None and ancestor[0] == first[0] and first[1] <= ancestor[1] < operation[1]:
                return ancestor[0], ancestor[1] + 1
            above = lists.left(first)
            if above == ancestor:
                return first
            if above is None:
                return None
            operation = above

    def before(self, one: Operation, other: Operation, origin: Operation | None, name: Name) -> bool:
        """Whether `one` stands before `other`, both with the left origin `origin`."""
        if one[0] != other[0] and self.lists.right(one) == self.lists.right(other):
            return one[0] < other[0]
        places = self._siblings.get((origin, name))
        if places is None:
            self._count(len(self.lists) // _ITEMS_IN_STEP)
            places = self._siblings[origin, name] = self._ordered(list(self.lists.followers(origin, name)))
        return places[one] < places[other]

    def sound_without(self, fresh: Collection[Item], name: Name) -> bool:
        """Whether the items of a list that were here before `fresh` keep rules 1 to 3."""
        if name not in self._sound:
            new = {(item.writer, item.clock) for item in fresh}
            self._sound[name] = True
            try:
                for operation, left, right in self.lists.items_of(name):
                    if right is not None and operation not in new:
                        _check_between(left, right, name, self)
            except _Misplaced:
                self._sound[name] = False
        return self._sound[name]

    def _ordered(self, siblings: list[Operation]) -> dict[Operation, int]:
        """The place of each sibling: they are put in one by one as Yjs does, each once its right origin is there."""
        lists = self.lists
        placed: list[Operation] = []
        waiting = sorted(siblings, key=lambda operation: operation[1])
        rights = {sibling: lists.right(sibling) for sibling in siblings}
        while waiting:
            held_up: list[Operation] = []
            blocked: set[int] = set()
            here = set(placed)
            for sibling in waiting:
                right = rights[sibling]
                if sibling[0] in blocked or (right in rights and right not in here):
                    held_up.append(sibling)
                    blocked.add(sibling[0])
                    continue
                placed.insert(self._place(sibling, placed, rights), sibling)
                here.add(sibling)
            if len(held_up) == len(waiting):
                raise _Misplaced(1, "its origins lead in a circle")
            waiting = held_up
        return {sibling: place for place, sibling in enumerate(placed)}

    def _place(self, sibling: Operation, placed: list[Operation], rights: dict[Operation, Operation | None]) -> int:
        place = 0
        for index, other in enumerate(placed):
            self._count(1)
            if other == rights[sibling]:
                break
            if other[0] < sibling[0]:
                place = index + 1
            elif rights[other] == rights[sibling]:
                break
        return place

    def _count(self, steps: int) -> None:
        self._steps += steps
        if self._steps > PLACING_STEPS_MAX:
            raise _TooLong
