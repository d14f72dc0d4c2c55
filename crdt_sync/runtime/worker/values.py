"""What the pool is asked and what it answers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from crdt_sync.policy.values import Values
from crdt_sync.verdicts import Verdict, VerdictCode


@dataclass(frozen=True, slots=True)
class Item:
    """Updates of one record, to be integrated in order.

    `sources` names who sent each of them (or is empty): what one sender may cost the others is counted by it.
    `sessions` says in which session each came (or is empty), for what is told of it. `users` are who is to be allowed
    what each does, where a policy is in force.
    """

    record: str
    updates: tuple[bytes, ...]
    want_snapshot: bool = False
    sources: tuple[str, ...] = ()
    sessions: tuple[int, ...] = ()
    users: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.sources and len(self.sources) != len(self.updates):
            raise ValueError("an item names one source for each update, or none")
        if self.users and len(self.users) != len(self.updates):
            raise ValueError("an item names one user for each update, or none")

    def source(self, position: int) -> str:
        """Who sent that update; unnamed senders count as one."""
        return self.sources[position] if self.sources else ""

    def part(self, positions: Iterable[int]) -> "WorkedOn":
        """Some of its updates, as they are told of."""
        if not self.sessions:
            return WorkedOn(self.record)
        return WorkedOn(self.record, tuple(dict.fromkeys(self.sessions[position] for position in positions)))


class WorkedOn(NamedTuple):
    """What a worker was at: the record, empty where that is not known, and the sessions in which updates of it came.

    That is one session where it was at one update, and those of all that waited while the record was loaded.
    """

    record: str = ""
    sessions: tuple[int, ...] = ()


ACCEPTED_NEW: Final = Verdict(VerdictCode.ACCEPTED, new=True)
ACCEPTED_KNOWN: Final = Verdict(VerdictCode.ACCEPTED)
OUT_OF_TURN: Final = Verdict(VerdictCode.RETRY, reason="not reached in this turn")


@dataclass(frozen=True, slots=True)
class Turn:
    """How long a sender may keep a worker busy at once, in µs of its processor time.

    Then nothing further is begun, and what that sender has left is `POSTPONED`. `short`: so is what is known to take
    longer, without a try.
    """

    us: int
    short: bool = False


class Result(NamedTuple):
    """The answer to one `Item`: a verdict for each update, in order.

    Beside what the gate says, one may be `poison`, or `retry` where it was not examined.

    `state_vector` is the record's after the item, or empty when the record was not examined (then no verdict is
    `accepted`). `snapshot` is its whole state where one was wanted and the answer had room for it, or where `lineage`
    is not None: the record is in that lineage now, and its snapshot is to be stored in the place of all else. `shown`
    is what the filter fields show after it, where a policy is in force and the record is there. `bound` are writers of
    its updates that came to be somebody's.
    """

    verdicts: tuple[Verdict, ...]
    state_vector: bytes
    snapshot: bytes | None = None
    lineage: int | None = None
    shown: Values | None = None
    bound: Mapping[int, str] = MappingProxyType({})


def clocks_differ(results: Iterable[Result]) -> bool:
    """Whether an update was refused because it is stamped ahead of the clock here."""
    return any(verdict.code is VerdictCode.CLOCK_AHEAD for result in results for verdict in result.verdicts)


@dataclass(frozen=True, slots=True)
class RecordDigest:
    """A 16-byte digest of one record's stored state, and the state vector that it belongs to."""

    record: str
    state_vector: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class ToMask:
    """A companion of a section of which masks show something, with what is `stored` of it, nothing where nothing is to
    be shown; `rows` are field, mask, and what is stored of what that shows. `writer` writes what is new.
    """

    record: str
    stored: tuple[bytes, ...]
    writer: int
    rows: tuple[tuple[str, str, tuple[bytes, ...]], ...]

    @property
    def size(self) -> int:
        """Bytes of all that is stored."""
        return sum(map(len, self.stored)) + sum(len(part) for _, _, stored in self.rows for part in stored)


class MaskedRow(NamedTuple):
    """What is to be stored of what a mask shows: an update, the state vector after it, and the whole of it."""

    update: bytes
    state_vector: bytes
    snapshot: bytes
