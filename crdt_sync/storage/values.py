"""The values that cross the boundary of a store: what is committed, and what is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from crdt_sync.policy.values import Forms
from crdt_sync.principal import Principal

SEVERAL_ORIGINS = bytes(16)  # the `origin` of updates that came together from several replicas


class Change(NamedTuple):
    """Updates of one record that were integrated together, and what the record is after them.

    `origin` is the 16-byte id of the replica that the updates came from, or `SEVERAL_ORIGINS`; `received_at` is in
    microseconds since 1970 and `state_vector` describes the record after these updates. `snapshot` is the whole state
    after them: it replaces the stored snapshot and covers everything up to the last of these updates, so the
    tail is empty. `view` replaces the stored view; None keeps it. `digest` None marks the record's digest as
    stale.

    `renewed` says that the updates are the whole record, in the place of what was stored: the record's history begins
    with them, though what was there before stays in the log until compaction. `lineage` is the one that the record is
    in then (0: the first; see `crdt_sync/records/lineages`), None for the one that it was in: another one takes a
    change that is `renewed` and brings a snapshot. `principals` are those for whom pushed updates were let in, each
    once, for whoever completes the change; a store keeps nothing of them. `brought_by` names for each update the user
    who brought it, in the place of `actor`: entries in it may name others. `forms` is what the filter fields of the
    record show then, for a store that keeps that of these `fields` (see `Placement`); None: not known.

    Without updates the record's content stays as it is: `snapshot`, `state_vector`, `view` and a given
    `digest` are taken over, and the record must exist.
    """

    record: str
    updates: tuple[bytes, ...]
    origin: bytes
    actor: str
    received_at: int
    state_vector: bytes
    snapshot: bytes | None = None
    view: bytes | None = None
    digest: bytes | None = None
    renewed: bool = False
    lineage: int | None = None
    principals: tuple[Principal, ...] = ()
    brought_by: tuple[str, ...] = ()
    forms: Forms | None = None
    fields: bytes = b""


def lineage_after(change: Change, before: int | None) -> int:
    """The lineage of a record after a change of it; `before` is None where the record is new.

    Raises `ValueError` where it would load updates of two lineages.
    """
    if change.lineage is None:
        return before or 0
    if before not in (None, change.lineage) and not (change.renewed and change.updates and change.snapshot is not None):
        raise ValueError(f"{change.record} goes into another lineage without being renewed")
    return change.lineage


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A record that a partner does not hold completely yet.

    `acknowledged` is the state vector that the partner is known to have, `edit` rises with each local change
    and `refusal` is the code with which the partner refused the record, with its human-readable `reason`.
    """

    record: str
    acknowledged: bytes
    edit: int
    refusal: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Peer:
    """A partner: its replica id and epoch, our cursor into its feed, when (µs) and where it was last seen.

    `head` is the highest sequence number of its log that anything rests on which we received from it, or believe that
    it holds. It is at least the cursor. Of a partner that tells marks in the place of numbers, `marks` are those of its
    last cursor and head, and both numbers are 0.
    """

    replica: bytes
    epoch: bytes
    cursor: int
    last_seen: int
    url: str = ""
    head: int = 0
    marks: tuple[bytes, bytes] | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """Which filter fields a store keeps the forms of, by any name of 16 bytes or fewer, and of which records.

    `through` is the last record whose forms are known for sure, in the order of their ids; None: of all.
    """

    fields: bytes
    through: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What one caller wants to become durable together; applied in the order of the fields below.

    `views`, `digests` and `forms` of records that are not held are ignored. In `meta` and `digests` None removes.
    `forms` are those of records that were read anew, and no move of theirs, with the number of the update up to which
    each was read: nothing is taken of one that has moved on. A `placement` with an empty `through` begins anew. `drop`
    takes records out, and what all partners are owed of them: nothing of them stays.
    """

    changes: tuple[Change, ...] = ()
    views: Mapping[str, bytes] = field(default_factory=dict)
    digests: Mapping[str, bytes | None] = field(default_factory=dict)
    peers: tuple[Peer, ...] = ()
    forget_outbox: tuple[bytes, ...] = ()  # peers whose whole outbox is dropped
    outbox: tuple[tuple[bytes, OutboxEntry], ...] = ()  # (peer, entry) to put
    outbox_done: tuple[
        tuple[bytes, str, int], ...
    ] = ()  # (peer, record, edit): removed if `edit` is still the stored one
    meta: Mapping[str, bytes | None] = field(default_factory=dict)
    placement: Placement | None = None
    forms: Mapping[str, tuple[int, Forms]] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    audit: tuple[bytes, ...] = ()  # entries of the audit log that tell of all this; see `crdt_sync.audit_log.entry`


@dataclass(frozen=True, slots=True)
class Committed:
    """The sequence numbers given to a batch: for each change, one for each of its updates.

    0 for an update that is not in the log as it came: who sent it must not take a number for that of something it has.
    """

    seqs: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Head:
    """Where a record stands: its last seq, state vector, and the updates (count, bytes) after its snapshot.

    `snapshot_seq` is the last seq that the snapshot covers, 0 without a snapshot. `lineage` is the one that the
    record is in, 0 for the first.
    """

    seq: int
    state_vector: bytes
    snapshot_seq: int
    tail: int
    tail_bytes: int
    lineage: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """All bytes of one record: the snapshot if there is one, then the tail in order; nothing if unknown."""

    head: Head | None
    updates: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """The newest change of one record."""

    seq: int
    record: str
    state_vector: bytes  # empty where its head is damaged


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One update as it was received; `previous` is the seq of the record's update before it, 0 for its first."""

    seq: int
    record: str
    update: bytes
    origin: bytes
    actor: str
    received_at: int
    previous: int


@dataclass(frozen=True, slots=True)
class Remains:
    """What can be trusted of the stored bytes of a damaged record; None: there is none, or it is damaged.

    `snapshot` is there where it is kept outside the log, `entries` are the record's updates in the log, oldest first.
    `broken`: a value is damaged that held operations of this record, or may have. `damaged` are its damaged values as
    they are: not to be trusted, and good for telling what may be lost. So is `damaged_view`.
    """

    head: Head | None
    digest: bytes | None
    snapshot: bytes | None
    view: bytes | None
    entries: tuple[LogEntry, ...]
    broken: bool = False
    damaged: tuple[bytes, ...] = ()
    damaged_view: bytes | None = None


@dataclass(frozen=True, slots=True)
class Root:
    """All records in one: `count` valid digests, `sum` of their leaves mod 2**256, `stale` without one."""

    count: int
    sum: int
    stale: int


@dataclass(frozen=True, slots=True)
class ChangedDigests:
    """Digests by record, None for a stale one, as they were when the last seq was `head` and the aggregate `root`."""

    head: int
    root: Root
    digests: dict[str, bytes | None]


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What a compaction did: log entries dropped, their bytes, and the entries that remain."""

    dropped: int
    dropped_bytes: int
    kept: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that verification found wrong; `record` is the record to quarantine, where it is known."""

    database: str
    key: str
    problem: str
    record: str | None = None


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """How many values were checked and what was wrong with them, at most `keys.FINDINGS_MAX` of it.

    `set_aside` is how many damaged values repairs have set aside, which are no findings.
    """

    checked: int
    findings: tuple[Finding, ...]
    set_aside: int = 0
