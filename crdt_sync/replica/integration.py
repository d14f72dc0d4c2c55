"""Updates of a partner: through the gate, into the store, with the cursor, in one commit."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from crdt_sync.errors import StoreCorrupt
from crdt_sync.ids import whole_record
from crdt_sync.protocol.entries import UpdatesEntry
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.replica import unread
from crdt_sync.replica.context import Context
from crdt_sync.replica.intake import Intake, readable
from crdt_sync.replica.origin import Origin
from crdt_sync.replica.refused import come, refused_edits
from crdt_sync.storage.port import Records
from crdt_sync.storage.values import OutboxEntry, Peer
from crdt_sync.verdicts import VerdictCode


def integrate(
    context: Context,
    entries: Sequence[UpdatesEntry],
    origin: Origin,
    peers: tuple[Peer, ...],
    owe_to: bytes | None,
    refused_before: Mapping[str, str],
    whole: Collection[str] = (),
    meta: Mapping[str, bytes | None] = MappingProxyType({}),
    peers_despite_gaps: tuple[Peer, ...] = (),
) -> tuple[list[tuple[str, bytes]], list[str], bool]:
    """Integrate `entries` and store what is new.

    Returns the gaps (record, our state vector), what changed, and whether any of it is news to who sent it, too.

    `peers` are cursors, which are not stored where there are gaps; without them, `peers_despite_gaps` go with whatever
    is stored. `refused_before` names records of which the same partner sent updates that were refused before they came
    here, and why. Of the records in `whole` the updates are taken in the place of what is stored, unless that holds
    anything more. `meta` belongs into the same commit, whatever comes of the entries.
    """
    store = context.store
    intake = Intake(context)
    grouped: dict[str, list[bytes]] = {}
    theirs: dict[str, bytes] = {}  # whole state vectors
    answers: dict[str, int] = {}  # the places of the updates that they came with
    for entry in entries:
        updates = grouped.setdefault(entry.record, [])
        if entry.state_vector:
            theirs[entry.record], answers[entry.record] = readable(entry.state_vector), len(updates)
        updates.append(entry.update)
    complete: set[str] = set()
    gaps: dict[str, bytes] = {}
    refused = dict(refused_before)
    # What builds on what was refused is asked for together with it, and not as often as something comes.
    noted_before = unread.known(store)
    lacking = {*unread.of(noted_before, origin.replica), *refused}
    aside = refused_edits(store, set(map(whole_record, grouped))) if origin.way == "session" else []
    for record, updates in grouped.items():
        if record in whole and intake.replace(record, updates, origin):
            complete.add(record)
            continue
        try:
            taken = intake.take(record, updates, origin, theirs.get(record))
        except StoreCorrupt as corrupt:  # its updates are asked for again, once it is mended
            context.note_damage(record, corrupt.message)
            refused[record] = f"damaged here: {corrupt.message}"
            continue
        if any(edit.record == whole_record(record) for edit in aside):
            meta = {**meta, **come(aside, record, intake.contents(record))}
        for verdict in taken.verdicts:
            if verdict.code is VerdictCode.GAP:
                if record not in lacking:
                    gaps[record] = taken.state_vector
            elif verdict.code is not VerdictCode.ACCEPTED:
                refused[record] = verdict.told
        if record in lacking and record in theirs:
            was_taken = taken.verdicts[answers[record]].code is VerdictCode.ACCEPTED
            if was_taken and intake.holds(record, theirs[record], updates, taken.verdicts):
                complete.add(record)
        if owe_to and taken.head is not None:
            told = theirs.get(record, vectors.EMPTY)
            if (known := store.outbox_entry(owe_to, record)) is not None:
                # What it does not have from here it may have under our ids from somebody else, with another content.
                told = vectors.encode(vectors.common(vectors.decode(told), vectors.decode(known.acknowledged)))
            intake.outbox.append((owe_to, OutboxEntry(record, told, context.next_edit())))
    if owe_to:  # what of theirs never came here tells nothing of what they hold
        nothing = [record for record in refused_before if record not in grouped and _is_held(store, record)]
        intake.outbox += [(owe_to, OutboxEntry(record, vectors.EMPTY, context.next_edit())) for record in nothing]
    if gaps:
        peers = ()
    relayed = [record for record in grouped if origin.way == "session" and record not in refused]
    noted = {**meta, **unread.note(noted_before, origin.replica, refused, complete, relayed)}
    if intake.changes or peers or intake.outbox or noted:
        store.commit([replace(intake.batch(), peers=peers or peers_despite_gaps, meta=noted)])
    return list(gaps.items()), [change.record for change in intake.changes], intake.carried


def _is_held(store: Records, record: str) -> bool:
    try:
        return store.record_head(record) is not None
    except StoreCorrupt:
        return True  # and is sent once it is mended
