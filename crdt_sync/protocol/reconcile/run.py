"""What one side knows in the middle of a run: the ranges that are open, and the running totals.

Invariants, which hold on both sides between messages:

1. The open ranges are disjoint. Each is either in `todo`, to be answered by this side, or in `asked`, to be
   answered by the partner; the partner has the same ranges, the other way round. Both lists are ascending.
2. A range that was closed is never opened again. So every record is told at most once.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from crdt_sync.protocol.reconcile.messages import Item, Print
from crdt_sync.protocol.reconcile.view import View


class Wanted(NamedTuple):
    """A record that the partner holds and this side lacks or holds differently; `theirs` is its digest there."""

    record: str
    theirs: bytes


class Owed(NamedTuple):
    """A record that the partner lacks (`theirs` is None) or holds differently (its digest there)."""

    record: str
    theirs: bytes | None


@dataclass(frozen=True, slots=True)
class Compare:
    """To do: the partner's print of a range, and what this side holds there."""

    after: str
    through: str | None
    theirs: Print
    ours: int
    equal: bool


@dataclass(frozen=True, slots=True)
class Replying:
    """To do: the partner's listing of a range; without items also where its print said that it holds nothing."""

    after: str
    through: str | None
    listed: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Continuing:
    """To do: the rest of a listing by this side; the partner said that it holds `held_max` there at most."""

    after: str
    through: str | None
    held_max: int


Todo = Compare | Replying | Continuing


class AskedKind(Enum):
    """What the partner was left with."""

    OPENING = "opening"  # the whole space, for its first message
    PRINT = "print"  # a print of this side
    LISTING = "listing"  # a listing of this side, or a print of nothing
    REST = "rest"  # it goes on with a listing of its own


@dataclass(frozen=True, slots=True)
class Asked:
    """Left to the partner. With `LISTING`: how many records were listed, and how many it may hold there."""

    after: str
    through: str | None
    kind: AskedKind
    listed: int = 0
    held_max: int = 0


@dataclass(slots=True)
class Run:
    """The state; see the module's invariants."""

    view: View
    todo: list[Todo] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    want: list[Wanted] = field(default_factory=list)
    owe: list[Owed] = field(default_factory=list)
    listed: int = 0  # records that this side listed and the partner has not replied to
    kept: int = 0  # records that the partner listed and this side has not replied to
    received: int = 0  # records that the partner told, listed or held
    compared: int = 0  # records in listings that were replied to, on either side
    different: int = 0  # of those

    @property
    def open(self) -> int:
        """How many ranges are open."""
        return len(self.todo) + len(self.asked)

    @property
    def different_share(self) -> float:
        """The share of records that differ, by the listings replied to so far; 0 as long as there are few."""
        return self.different / self.compared if self.compared >= _EVIDENCE_RECORDS else 0.0


_EVIDENCE_RECORDS = 1024
