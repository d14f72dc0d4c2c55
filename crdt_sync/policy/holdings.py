"""Which records somebody may hold: the records of one collection by what their filter fields show.

The records at each atom are kept as sets. A change of grants looks at the records of those cells that differ, and at no
others.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from crdt_sync.policy.cells import Atom, Cell, Seen, by_atom
from crdt_sync.policy.rights import met
from crdt_sync.policy.values import EMPTY, EVERY, Forms, Values, form

_NONE: frozenset[str] = frozenset()


class Moved(NamedTuple):
    """What a change of grants does to what somebody holds: records that go, that come, and that are seen otherwise."""

    lost: Set[str]
    gained: Set[str]
    altered: Set[str]


class Holdings:
    """The records of one collection; `fields` are its filter fields."""

    def __init__(self, collection: str, fields: Sequence[str]) -> None:
        self.collection = collection
        self._fields = tuple(fields)
        self._records: dict[str, tuple[str | None, ...]] = {}
        self._at: dict[str, dict[str, set[str]]] = {field: {} for field in self._fields}

    def __len__(self) -> int:
        return len(self._records)

    def put(self, record: str, values: Values) -> None:
        """A record is here, and shows these values."""
        new = tuple(form(values.get(field)) for field in self._fields)
        old = self._records.get(record)
        if old == new:
            return
        if old is not None:
            self._take_out(record, old)
        self._records[record] = new
        for field, formed in zip(self._fields, new, strict=True):
            if formed is not None:
                self._at[field].setdefault(formed, set()).add(record)

    def remove(self, record: str) -> None:
        """A record is here no more."""
        if (old := self._records.pop(record, None)) is not None:
            self._take_out(record, old)

    def held(self, cells: Iterable[Cell]) -> set[str]:
        """The records that are in one of the cells."""
        return set().union(*map(self._in, cells))

    def moved(self, old: Set[Cell], new: Set[Cell]) -> Moved:
        """What changes where somebody who held by the `old` cells holds by the `new` ones."""
        before, after = by_atom(old), by_atom(new)
        lost, gained = self._outside(old - new, after), self._outside(new - old, before)
        altered: set[str] = set()
        if len({cell.seen for cell in old | new if cell.atom.collection == self.collection}) > 1:
            stayed = self.held(old ^ new) - lost - gained
            altered = {record for record in stayed if self._seen(record, before) != self._seen(record, after)}
        return Moved(lost, gained, altered)

    def _outside(self, cells: Iterable[Cell], others: Mapping[Atom, tuple[Cell, ...]]) -> set[str]:
        """The records that are in one of the cells, and in none of the others.

        A record shows one value in a field: of the others at that field only those at the same atom can have it.
        """
        found: set[str] = set()
        for cell in cells:
            left = set(self._in(cell))
            for atom, beside in others.items():
                if not left:
                    break
                if atom.field != cell.atom.field or atom == cell.atom:
                    left = self._less(left, beside)
            found |= left
        return found

    def _less(self, records: set[str], cells: tuple[Cell, ...]) -> set[str]:
        """Those records that are in none of the cells, which are at one atom."""
        at = self._all_at(cells[0].atom)
        if all(cell.rest for cell in cells):
            at = {record for record in records & at if any(met(cell.rest, self._forms(record)) for cell in cells)}
        if len(at) > len(records):
            return records - at
        records -= at
        return records

    def _in(self, cell: Cell) -> Set[str]:
        """The records that are in a cell."""
        at = self._all_at(cell.atom)
        return {record for record in at if met(cell.rest, self._forms(record))} if cell.rest else at

    def _seen(self, record: str, cells: Mapping[Atom, tuple[Cell, ...]]) -> set[Seen]:
        """What is seen of a record, by each cell that has it; nothing where none has."""
        forms = self._forms(record)
        atoms = (Atom(self.collection, field, each) for field, each in forms.items() if each is not None)
        return {cell.seen for atom in atoms for cell in cells.get(atom, ()) if met(cell.rest, forms)}

    def _all_at(self, atom: Atom) -> Set[str]:
        if atom.collection != self.collection:
            return _NONE
        if atom.field == EVERY:
            return self._records.keys()
        return self._at.get(atom.field, {}).get(atom.value, _NONE)

    def _forms(self, record: str) -> Forms:
        return {EVERY: EMPTY, **dict(zip(self._fields, self._records[record], strict=True))}

    def _take_out(self, record: str, forms: tuple[str | None, ...]) -> None:
        for field, formed in zip(self._fields, forms, strict=True):
            if formed is not None:
                at = self._at[field][formed]
                at.discard(record)
                if not at:
                    del self._at[field][formed]
