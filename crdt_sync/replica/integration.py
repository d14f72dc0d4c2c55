"""Updates of a partner: through the gate, into the store, with the cursor, in one commit."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from crdt_sync import limits
from crdt_sync.errors import StoreCorrupt, UpdateRefused
from crdt_sync.protocol.messages import UpdatesEntry
from crdt_sync.records import Integration, Integrator
from crdt_sync.records import state_vector as vectors
from crdt_sync.replica import unread
from crdt_sync.replica.views import encode_view
from crdt_sync.storage.port import Batch, Change, Head, OutboxEntry, Peer, Stored
from crdt_sync.verdicts import VerdictCode

if TYPE_CHECKING:
    from crdt_sync.replica.replica import Replica


def integrate(
    replica: "Replica",
    entries: Sequence[UpdatesEntry],
    origin: bytes,
    peers: tuple[Peer, ...],
    owe_to: bytes | None,
    refused_before: Mapping[str, str],
    whole: Collection[str] = (),
    meta: Mapping[str, bytes | None] = MappingProxyType({}),
    peers_despite_gaps: tuple[Peer, ...] = (),
) -> tuple[list[tuple[str, bytes]], list[str]]:
    """Integrate `entries` and store what is new. Returns the gaps (record, our state vector) and what changed.

    `peers` are cursors, which are not stored where there are gaps; without them, `peers_despite_gaps` go with whatever
    is stored. `refused_before` names records of which the same partner sent updates that were refused before they came
    here, and why. Of the records in `whole` the updates are taken in the place of what is stored, unless that holds
    anything more. `meta` belongs into the same commit, whatever comes of the entries.
    """
    store = replica.store
    integrator = Integrator(documents_max=1)  # every record is loaded once per call: nothing to keep
    grouped: dict[str, list[bytes]] = {}
    for entry in entries:
        grouped.setdefault(entry.record, []).append(entry.update)
    theirs = {entry.record: readable(entry.state_vector) for entry in entries if entry.state_vector}
    complete: set[str] = set()
    gaps: dict[str, bytes] = {}
    changes: list[Change] = []
    outbox: list[tuple[bytes, OutboxEntry]] = []
    refused = dict(refused_before)
    # What builds on what was refused is asked for together with it, and not as often as something comes.
    noted_before = unread.known(store)
    lacking = {*unread.of(noted_before, origin), *refused}
    for record, updates in grouped.items():
        if record in whole and (renewed := _renewed(replica, integrator, record, updates, origin)):
            changes.append(renewed)
            complete.add(record)
            continue
        stored = _stored(replica, record, refused)
        if stored is None:
            continue
        head = stored.head
        due = head is not None and head.tail + len(updates) > limits.TAIL_UPDATES_MAX
        result = integrator.integrate(record, stored.updates, updates, stamp_max=None, checked=False, snapshot=due)
        fresh: list[bytes] = []
        for update, verdict in zip(updates, result.verdicts, strict=True):
            if verdict.code is VerdictCode.GAP:
                if record not in lacking:
                    gaps[record] = result.state_vector
            elif verdict.code is not VerdictCode.ACCEPTED:
                refused[record] = verdict.told
            elif verdict.new:
                fresh.append(update)
        if fresh:
            changes.append(changed(replica, integrator, record, head, fresh, result, origin))
            # What was carried over is news to the partner too, unless it is what the partner sent.
            joined = result.renewed and readable(result.state_vector) != theirs.get(record)
            outbox += owed(replica, record, head, None if joined else origin)
            watch_writer(replica, head.state_vector if head else vectors.EMPTY, result.state_vector)
        if record in theirs and vectors.covers(result.state_vector, theirs[record]):
            complete.add(record)
        if owe_to and head is not None:
            outbox.append((owe_to, OutboxEntry(record, theirs.get(record, vectors.EMPTY), replica.next_edit())))
    if owe_to:  # what of theirs never came here tells nothing of what they hold
        nothing = [record for record in refused_before if record not in grouped and store.record_head(record)]
        outbox += [(owe_to, OutboxEntry(record, vectors.EMPTY, replica.next_edit())) for record in nothing]
    if gaps:
        peers = ()
    noted = {**meta, **unread.note(noted_before, origin, refused, complete)}
    if changes or peers or outbox or noted:
        peers = peers or peers_despite_gaps
        store.commit([Batch(changes=tuple(changes), peers=peers, outbox=tuple(outbox), meta=noted)])
    return list(gaps.items()), [change.record for change in changes]


def _stored(replica: "Replica", record: str, refused: dict[str, str]) -> Stored | None:
    """The stored bytes of a record; None where they are damaged: then its updates are asked for again, once mended."""
    try:
        return replica.store.load(record)
    except StoreCorrupt as corrupt:
        replica.note_damage(record, corrupt.message)
        refused[record] = f"damaged here: {corrupt.message}"
        return None


def _renewed(
    replica: "Replica", integrator: Integrator, record: str, updates: Sequence[bytes], origin: bytes
) -> Change | None:
    """The record as a partner has it, in the place of ours; None where ours holds operations beyond it."""
    head = replica.store.record_head(record)
    result = integrator.integrate(record, (), updates, stamp_max=None, checked=False, snapshot=True)
    if head is None or not vectors.covers(result.state_vector, head.state_vector) or result.snapshot is None:
        return None
    kept = (result.snapshot,)
    change = changed(replica, integrator, record, head, kept, result, origin)
    return change._replace(renewed=True, lineage=result.lineage)


def changed(
    replica: "Replica",
    integrator: Integrator,
    record: str,
    head: Head | None,
    fresh: Sequence[bytes],
    result: Integration,
    origin: bytes,
) -> Change:
    """What to store of a record that took `fresh` updates; `head` is where it stood before.

    Where some were of another lineage, that is the whole record, in the place of what was stored.
    """
    document = integrator.document(record)
    if result.renewed and result.snapshot is not None:
        fresh = (result.snapshot,)  # everything is in it
        replica.leave_writers(document)
    return Change(
        record,
        tuple(fresh),
        origin,
        "",
        replica.wall_clock(),
        result.state_vector,
        fresh[0] if head is None and len(fresh) == 1 else result.snapshot,
        encode_view(document, replica.schema_of(record)),
        renewed=result.renewed,
        lineage=result.lineage if result.renewed else None,
    )


def owed(replica: "Replica", record: str, head: Head | None, but: bytes | None) -> list[tuple[bytes, OutboxEntry]]:
    """The outbox entries for a change of a record: for every partner but one."""
    entries = []
    for peer in replica.peers_except(but):
        known = replica.store.outbox_entry(peer, record)
        acknowledged = known.acknowledged if known else (head.state_vector if head else vectors.EMPTY)
        entries.append((peer, OutboxEntry(record, acknowledged, replica.next_edit())))
    return entries


def readable(state_vector: bytes) -> bytes:
    """What a partner says that it holds; nothing where that cannot be read, so that it is sent everything."""
    try:
        return vectors.normalise(state_vector)
    except UpdateRefused:
        return vectors.EMPTY


def watch_writer(replica: "Replica", before: bytes, after: bytes) -> None:
    """A partner that knows more of a writer id of ours than we do proves a second life under it: take new ones."""
    ours = replica.writers.current
    if ours:
        known, told = vectors.decode(before), vectors.decode(after)
        if any(told.get(writer, 0) > known.get(writer, 0) for writer in ours):
            replica.abandon_writer()
