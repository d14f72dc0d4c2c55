"""Who is to hear of a change: from what a record shows to those whose cells have it.

The cost of a change goes with the atoms of the record and with those who hold it, never with all who are here nor with
the grants that there are. Whoever has conditions beyond the anchor is a candidate, and is asked again.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from crdt_sync import ids
from crdt_sync.policy.cells import Atom, Cell, Seen, by_atom
from crdt_sync.policy.rights import Wanted, met
from crdt_sync.policy.values import EMPTY, EVERY, Forms, Values, forms_of

S = TypeVar("S", bound=Hashable)


class Audience(NamedTuple, Generic[S]):
    """Who held a record before a change, after it, and both; of these, who sees other fields of it than before."""

    leavers: Set[S]
    joiners: Set[S]
    stayers: Set[S]
    altered: Set[S]


@dataclass(slots=True)
class _Shelf(Generic[S]):
    """Those with cells at one atom: all their cells there, who holds every record of it, and who some, by what else has
    to be met: that is asked once for all for whom it is the same."""

    cells: dict[S, tuple[Cell, ...]] = field(default_factory=dict)
    sure: set[S] = field(default_factory=set)
    unsure: dict[frozenset[Wanted], set[S]] = field(default_factory=dict)

    def put(self, subscriber: S, cells: tuple[Cell, ...]) -> None:
        self.remove(subscriber)
        self.cells[subscriber] = cells
        rests = _rests(cells)
        if () in rests:
            self.sure.add(subscriber)
        else:
            self.unsure.setdefault(rests, set()).add(subscriber)

    def remove(self, subscriber: S) -> None:
        cells = self.cells.pop(subscriber, None)
        if cells is None:
            return
        self.sure.discard(subscriber)
        rests = _rests(cells)
        if (found := self.unsure.get(rests)) is not None:
            found.discard(subscriber)
            if not found:
                del self.unsure[rests]


def _rests(cells: tuple[Cell, ...]) -> frozenset[Wanted]:
    return frozenset(cell.rest for cell in cells)


Shelves = dict[str, dict[str, _Shelf[S]]]
"""By the field and the form that it shows."""


class Index(Generic[S]):
    """Subscribers (devices, sessions) by the atoms of what they may hold."""

    def __init__(self) -> None:
        self._shelves: dict[str, Shelves[S]] = {}
        self._cells: dict[S, Mapping[Atom, tuple[Cell, ...]]] = {}
        self._several: dict[str, set[S]] = {}  # who sees more of some records of a collection than of others

    def __contains__(self, subscriber: S) -> bool:
        return subscriber in self._cells

    def __len__(self) -> int:
        return len(self._cells)

    def put(self, subscriber: S, cells: Iterable[Cell]) -> None:
        """Somebody is here, or may hold other records than before; only what differs is touched."""
        new, old = by_atom(cells), self._cells.get(subscriber, {})
        for atom in old.keys() - new.keys():
            self._drop(subscriber, atom)
        for atom, found in new.items():
            before = old.get(atom)
            if before is None or (before != found and set(before) != set(found)):
                self._shelf(atom).put(subscriber, found)
        self._cells[subscriber] = new
        self._note_several(subscriber, {atom.collection for atom in (*old, *new)})

    def remove(self, subscriber: S) -> None:
        """Somebody has gone."""
        for atom in self._cells.pop(subscriber, {}):
            self._drop(subscriber, atom)
        for collection in [name for name, found in self._several.items() if subscriber in found]:
            self._several[collection].discard(subscriber)

    def holders(self, collection: str, values: Values) -> Set[S]:
        """Who may hold a record."""
        shelves = self._shelves.get(collection)
        return _held(shelves, forms_of(values)) if shelves else set()

    def reached(self, record: str, forms: Forms) -> Set[S]:
        """Who may hold a record that shows these forms; of a companion, one whose record does."""
        shelves = self._shelves.get(ids.whole_collection(ids.collection_of(record)))
        if not shelves:
            return set()
        forms, section = {**forms, EVERY: EMPTY}, ids.section_of(record)
        held = _held(shelves, forms)
        if not section:
            return held
        return {each for each in held if any(seen.gives(section) for seen in _seen(shelves, each, forms))}

    def change(self, collection: str, old: Values | None, new: Values | None) -> Audience[S]:
        """Who is to hear of a change, by what the record showed and shows; None where there was or is none."""
        shelves = self._shelves.get(collection)
        if not shelves:
            return Audience(set(), set(), set(), set())
        before = None if old is None else forms_of(old)
        after = None if new is None else forms_of(new)
        if before == after:
            stayers = set() if after is None else _held(shelves, after)
            return Audience(set(), set(), stayers, set())
        held = set() if before is None else _held(shelves, before)
        holds = set() if after is None else _held(shelves, after)
        stayers = held & holds
        altered = set()
        if before is not None and after is not None:
            altered = {
                each
                for each in stayers & self._several.get(collection, set())
                if _seen(shelves, each, before) != _seen(shelves, each, after)
            }
        return Audience(held - holds, holds - held, stayers, altered)

    def _shelf(self, atom: Atom) -> _Shelf[S]:
        fields = self._shelves.setdefault(atom.collection, {})
        values = fields.setdefault(atom.field, {})
        shelf = values.get(atom.value)
        if shelf is None:
            shelf = values[atom.value] = _Shelf()
        return shelf

    def _drop(self, subscriber: S, atom: Atom) -> None:
        fields = self._shelves[atom.collection]
        values = fields[atom.field]
        shelf = values[atom.value]
        shelf.remove(subscriber)
        if not shelf.cells:
            del values[atom.value]
            if not values:
                del fields[atom.field]
                if not fields:
                    del self._shelves[atom.collection]

    def _note_several(self, subscriber: S, collections: Set[str]) -> None:
        seen: dict[str, set[Seen]] = {collection: set() for collection in collections}
        for atom, found in self._cells[subscriber].items():
            seen[atom.collection].update(cell.seen for cell in found)
        for collection, each in seen.items():
            if len(each) > 1:
                self._several.setdefault(collection, set()).add(subscriber)
            elif collection in self._several:
                self._several[collection].discard(subscriber)


def _held(shelves: Shelves[S], forms: Forms) -> set[S]:
    reached = list(_reached(shelves, forms))
    found: set[S] = set().union(*(shelf.sure for shelf in reached))
    for shelf in reached:
        for rests, subscribers in shelf.unsure.items():
            if any(met(rest, forms) for rest in rests):
                found |= subscribers
    return found


def _reached(shelves: Shelves[S], forms: Forms) -> Iterator[_Shelf[S]]:
    """The shelves at the atoms of a record."""
    for field_name, values in shelves.items():
        formed = forms.get(field_name)
        if formed is not None and (shelf := values.get(formed)) is not None:
            yield shelf


def _seen(shelves: Shelves[S], subscriber: S, forms: Forms) -> set[Seen]:
    """What a subscriber sees of a record, by each cell that has it."""
    return {
        cell.seen
        for shelf in _reached(shelves, forms)
        for cell in shelf.cells.get(subscriber, ())
        if met(cell.rest, forms)
    }
