"""What one session may hold: a record is seen where one of the user's cells has what it shows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Protocol

from crdt_sync import ids
from crdt_sync.policy.cells import Atom, Cell, Seen, cells_of
from crdt_sync.policy.rights import Rights, Wanted, met
from crdt_sync.policy.values import EMPTY, EVERY, Forms, Whereabouts
from crdt_sync.principal import Principal
from crdt_sync.protocol.marks import Marks
from crdt_sync.protocol.source import Change
from crdt_sync.strict_cbor import dumps

SIGHT_BYTES = 8
EVERYBODY = frozenset({Cell(Atom(ids.SCHEMAS, EVERY, EMPTY), (), Seen(frozenset(), frozenset()))})
"""What whoever is let in may hold: without the schemas nothing can be shown."""


_BOOKS = frozenset({Cell(Atom(ids.IMPORTS, EVERY, EMPTY), (), Seen(frozenset(), frozenset()))})


_Found = Mapping[str, Mapping[str, Mapping[str, tuple[tuple[Wanted, Seen], ...]]]]
"""By collection, field and form: what else is to be met, and what is seen of such a record."""


@dataclass(frozen=True, slots=True)
class Sight:
    """See the module. Make one with `sight_of`. `creates` are the collections in which the user may make records.

    What masks show is held where a relay gives it (`masks`), and is neither given nor taken by anybody else: nobody
    could tell whether it was made up.
    """

    cells: frozenset[Cell]
    creates: frozenset[str]
    id: bytes
    masks: bool
    _found: "_Found" = field(compare=False, repr=False)

    def holds(self, record: str, forms: Forms) -> bool:
        """Whether a record that shows this may be held; of a companion, whether one of a record that does."""
        section = ids.section_of(record)
        if not self.masks and ids.SECTION_MARK in section:
            return False
        for name, values in self._found.get(ids.whole_collection(ids.collection_of(record)), {}).items():
            shown = EMPTY if name == EVERY else forms.get(name)
            if shown is None:
                continue
            for rest, seen in values.get(shown, ()):
                if (not section or seen.gives(section)) and met(rest, forms):
                    return True
        return False

    def held_before(self, record: str, where: Whereabouts) -> bool:
        """Whether one may have been held that shows something else now."""
        return any(self.holds(record, forms) for forms in where.left)


def sight_of(cells: Iterable[Cell], creates: Iterable[str] = (), *, masks: bool = False) -> Sight:
    """What who has these cells may hold; of what `masks` show only where a relay says so."""
    cells = frozenset(cells)
    found: dict[str, dict[str, dict[str, tuple[tuple[Wanted, Seen], ...]]]] = {}
    for cell in sorted(cells, key=as_rows):
        values = found.setdefault(cell.atom.collection, {}).setdefault(cell.atom.field, {})
        values[cell.atom.value] = (*values.get(cell.atom.value, ()), (cell.rest, cell.seen))
    named = blake2b(dumps(tuple(sorted(map(as_rows, cells)))), digest_size=SIGHT_BYTES, person=b"sight").digest()
    return Sight(cells, frozenset(creates), named, masks, found)


def sight_for(rights: Rights, *, masks: bool = False) -> Sight:
    """What a user may hold who has these rights; `masks` as in `sight_of`."""
    cells = cells_of(rights) | EVERYBODY
    if any("import" in rights.possible(name) for name in rights.grants):
        cells |= _BOOKS
    return sight_of(cells, creates_of(rights), masks=masks)


def creates_of(rights: Rights) -> frozenset[str]:
    """The collections in which a user may make records, and those that no policy speaks of."""
    return ids.RESERVED.union(name for name in rights.grants if "create" in rights.possible(name))


def as_rows(cell: Cell) -> tuple[object, ...]:
    """A cell as what sorts, and can be written down."""
    rest = tuple((name, tuple(sorted(values))) for name, values in cell.rest)
    seen = (tuple(sorted(cell.seen.read)), tuple(sorted(cell.seen.masks)))
    return (tuple(cell.atom), rest, seen)


@dataclass(frozen=True, slots=True)
class Standing:
    """What an epoch of a session says: whose life the cursor is of, and what the device may hold since it."""

    epoch: bytes
    sights: tuple[Sight, ...]


class Sights(Protocol):
    """What a host knows of who may hold what, and of what records show. Reads see only what is on disk."""

    @property
    def ready(self) -> bool:
        """Whether it is known what all records show; until then nobody can be served for whom that counts."""

    @property
    def again_us(self) -> int:
        """After how long somebody who came before that is to come again."""

    @property
    def watched(self) -> frozenset[str]:
        """The collections of companions of which the host wants to hear who was given them."""

    def of(self, principal: Principal) -> Sight | None:
        """What it may hold; None: all, as no policy is in force."""

    def epoch(self, principal: Principal, sights: tuple[Sight, ...]) -> bytes:
        """The epoch for a session whose device may hold what these give; the host remembers what it means."""

    def standing(self, principal: Principal, epoch: bytes) -> Standing | None:
        """What an epoch means that a session of this user was given; None where that is not known."""

    def marks(self, principal: Principal) -> Marks:
        """The marks of a new session of this principal."""

    def whereabouts(self, record: str, after: int) -> Whereabouts | None:
        """What a record shows, and has shown since the cursor `after`; None where it is not there."""

    def whereabouts_of(self, records: Sequence[str], after: int) -> Sequence[Whereabouts | None]:
        """The same of several."""

    def companions(self, record: str) -> Sequence[str]:
        """The companions that a record may have; whether they are there, `whereabouts` tells."""

    def at(self, cells: Iterable[Cell]) -> Iterator[str]:
        """The records at the atoms of these cells, whatever else has to be met, and companions that they may have in
        the sections that these read; one may come several times.
        """

    def change(self, record: str) -> Change | None:
        """The newest change of a record; None where it is not there."""

    def moves_from(self) -> int:
        """From which cursor on it is known what records have left."""
