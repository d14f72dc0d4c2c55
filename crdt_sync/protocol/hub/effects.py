"""What the hub asks of its host, and what the host answers where that is more than a number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from crdt_sync.policy.values import Forms, Values
from crdt_sync.principal import Principal
from crdt_sync.protocol.effects import Closed
from crdt_sync.protocol.entries import ReportEntry
from crdt_sync.verdicts import Touched, Verdict, VerdictCode

NONE_BOUND: Final[Mapping[int, str]] = MappingProxyType({})

# --- effects -------------------------------------------------------------------------------------------------


class Deliver(NamedTuple):
    """Send this frame to that session's link."""

    session: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class Hangup:
    """Close that session's link, after what was delivered to it."""

    session: int
    closed: Closed


class IntegrationItem(NamedTuple):
    """Updates of one record, in order."""

    record: str
    updates: tuple[bytes, ...]
    senders: tuple[str, ...]  # per update, whose session it came from: what one may cost the others is counted by it
    principals: tuple[Principal, ...]  # per update, for whom it was let in
    sessions: tuple[int, ...]  # per update, in which it came
    snapshot: bool  # a new snapshot is due


@dataclass(frozen=True, slots=True)
class Integrate:
    """Integrate these in the worker, or in the one for what takes long. Answer: `Hub.integrated`.

    What is answered `POSTPONED` is asked for again in the slow one.
    """

    number: int
    items: tuple[IntegrationItem, ...]
    stamp_max: int
    slow: bool = False


class StoredUpdates(NamedTuple):
    """Accepted updates of one record, to be appended to the log.

    `lineage` is not None where the record is in another one now: the update is its snapshot, and nothing of what was
    stored counts any more.
    """

    record: str
    updates: tuple[bytes, ...]
    origins: tuple[bytes, ...]  # per update, the replica that pushed it
    state_vector: bytes
    snapshot: bytes | None
    lineage: int | None = None
    principals: tuple[Principal, ...] = ()  # for whom these were let in, each once
    brought_by: tuple[str, ...] = ()  # per update, the user whose session pushed it; nothing where users have no names
    forms: Forms | None = None  # what the filter fields show then, where that was asked for
    sessions: tuple[int, ...] = ()  # of each update that was accepted, in which it came
    touched: tuple[Touched | None, ...] = ()  # of each of these, where that was told of any
    bound: Mapping[int, str] = NONE_BOUND  # writers that came to be a user's with these


@dataclass(frozen=True, slots=True)
class Commit:
    """Store these in one transaction and sync. Answer: `Hub.committed` or `Hub.commit_failed`, in order."""

    number: int
    changes: tuple[StoredUpdates, ...]


@dataclass(frozen=True, slots=True)
class Forget:
    """The worker must forget all records it has loaded: what it holds was not stored."""


@dataclass(frozen=True, slots=True)
class PinIndex:
    """Pin a view of all that is held. Answer: `Hub.pinned`."""

    session: int


@dataclass(frozen=True, slots=True)
class MakeReceipt:
    """Compute head, count and root digest. Answer: `Hub.receipt`."""

    session: int
    number: int


@dataclass(frozen=True, slots=True)
class PinAudit:
    """Pin a view of all state digests, or of all content digests, for an audit. Answer: `Hub.audit_pinned`."""

    session: int
    content: bool


@dataclass(frozen=True, slots=True)
class MakeCheck:
    """Say how these records are stored; with `mend`, mend them from the log first. Answer: `Hub.checked`."""

    session: int
    number: int
    records: tuple[str, ...]
    mend: bool


@dataclass(frozen=True, slots=True)
class Arrived:
    """The session of that replica has begun, which says of itself that it holds our log up to `cursor`."""

    session: int
    replica: bytes
    agent: str
    cursor: int


@dataclass(frozen=True, slots=True)
class Stored:
    """The session's replica says that it has our log up to `cursor` on its disk."""

    session: int
    cursor: int


class Refused(NamedTuple):
    """An update of that record was refused for good, for a host that records it."""

    session: int
    record: str
    code: VerdictCode
    touched: Touched | None = None


@dataclass(frozen=True, slots=True)
class GaveTo:
    """The session's device was sent these companions, of which the audit log is to tell."""

    session: int
    records: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoteReports:
    """Write into the audit log what the session's device says was done on it. Answer: `Hub.noted`."""

    session: int
    number: int
    entries: tuple[ReportEntry, ...]


@dataclass(frozen=True, slots=True)
class SaidBy:
    """The session's partner passes on what the space said: nothing of it is checked yet."""

    session: int
    statements: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The session is over, and everything that it pushed was decided on: this is how often each verdict was given."""

    session: int
    verdicts: Mapping[VerdictCode, int]


HubEffect = (
    Deliver
    | Hangup
    | Integrate
    | Commit
    | Forget
    | PinIndex
    | MakeReceipt
    | PinAudit
    | MakeCheck
    | Arrived
    | Stored
    | SaidBy
    | NoteReports
    | GaveTo
    | Refused
    | Finished
)


# --- answers -------------------------------------------------------------------------------------------------


class Integrated(NamedTuple):
    """What the worker says of one item: a verdict per update, and the record's state vector after them.

    `lineage` is not None where the record is in another one now; then the snapshot is there. `shown` is what its filter
    fields showed before and show after the item; None: not asked for. `bound` are the writers that came to be a user's.
    """

    verdicts: Sequence[Verdict]
    state_vector: bytes
    snapshot: bytes | None
    lineage: int | None = None
    shown: Values | None = None
    bound: Mapping[int, str] = NONE_BOUND
