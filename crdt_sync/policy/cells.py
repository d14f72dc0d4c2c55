"""What a user may hold, as places in an index: anchors, which a record shows or not, with what else has to be met."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from crdt_sync.ids import SECTION_MARK
from crdt_sync.policy.rights import Rights, Wanted
from crdt_sync.policy.values import EMPTY, EVERY


class Atom(NamedTuple):
    """A field of a collection shows a value, given by its form. With `EVERY` as the field: any record of it."""

    collection: str
    field: str
    value: str


class Seen(NamedTuple):
    """What is seen of a record: names of fields and sections, and masks of fields."""

    read: frozenset[str]
    masks: frozenset[tuple[str, str]]

    def gives(self, section: str) -> bool:
        """Whether who sees this of a record has its companion for a section: who masks anything has none whole, and
        has those that show in part what is masked.
        """
        if SECTION_MARK in section:
            field, _, mask = section.rpartition(SECTION_MARK)
            return field in self.read and (field, mask) in self.masks
        return section in self.read and not self.masks


class Cell(NamedTuple):
    """Records at an atom that show the `rest` as well, and what is seen of them."""

    atom: Atom
    rest: Wanted
    seen: Seen


def cells_of(rights: Rights) -> frozenset[Cell]:
    """All that a user may hold. A record is held where one of them has it."""
    found: set[Cell] = set()
    for collection, bound in rights.grants.items():
        for each in bound:
            seen = Seen(each.grant.read, frozenset(each.grant.masks.items()))
            for wanted, anchor in zip(each.alternatives, each.anchors, strict=True):
                rest = tuple(pair for pair in wanted if pair[0] != anchor)
                values: Iterable[str] = dict(wanted)[anchor] if anchor != EVERY else (EMPTY,)
                found.update(Cell(Atom(collection, anchor, value), rest, seen) for value in values)
    return frozenset(found)


def by_atom(cells: Iterable[Cell]) -> Mapping[Atom, tuple[Cell, ...]]:
    """The cells at each atom."""
    found: dict[Atom, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.atom, []).append(cell)
    return {atom: tuple(each) for atom, each in found.items()}
