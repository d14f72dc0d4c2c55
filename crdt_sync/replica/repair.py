"""Mending a damaged store: what is derived is made anew, what is lost comes back from the log and from partners."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from crdt_sync.errors import StoreCorrupt, UpdateRefused
from crdt_sync.ids import EPOCH_BYTES
from crdt_sync.records import Document, Integrator
from crdt_sync.replica import heard
from crdt_sync.replica.carried import forgotten_cursors
from crdt_sync.replica.views import encode_view
from crdt_sync.storage.port import Batch, Change, Store

if TYPE_CHECKING:
    from crdt_sync.replica.replica import Replica

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair found and did.

    `salvaged` are damaged records of which the log still had updates, `lost` those of which it had none. Partners
    bring back what they have of both at the next sync.
    """

    findings: int
    salvaged: tuple[str, ...]
    lost: tuple[str, ...]


def repair(replica: "Replica") -> Repair:
    """Mend what can be mended here, and have the next session with each partner compare everything."""
    store = replica.store
    findings = len(store.verify().findings)
    missing = findings > 0 or bool(store.quarantined())
    if missing:
        store.renew_epoch()  # first: who opens sessions with us believes that what is set aside is still here
        with suppress(StoreCorrupt):  # and now: a disk that is full later must not leave cursors that lie
            _forget_cursors(store)
    damaged = set(store.rebuild())
    for record in _records(store):
        try:
            Document.load(store.load(record).updates)
        except (StoreCorrupt, UpdateRefused, ValueError):
            damaged.add(record)
    if damaged:
        if not missing:
            store.renew_epoch()
        _forget_cursors(store)
    for record in sorted(damaged):
        store.quarantine(record)
    salvaged = tuple(record for record in sorted(damaged) if _salvage(replica, record))
    for record in _records(store):
        if store.view(record) is None:
            document = Document.load(store.load(record).updates)
            store.commit([Batch(views={record: encode_view(document, replica.schema_of(record))})])
    if missing:  # once more: they may not have been readable before
        _forget_cursors(store)
    return Repair(findings, salvaged, tuple(sorted(damaged - set(salvaged))))


def _forget_cursors(store: Store) -> None:
    """What partners are believed to hold, and how far they were read, rests on what was damaged."""
    strangers = tuple(replace(peer, epoch=bytes(EPOCH_BYTES), cursor=0, head=0) for peer in store.peers())
    store.commit([Batch(peers=strangers, meta={**forgotten_cursors(store), **heard.forgotten(store)})])


def _salvage(replica: "Replica", record: str) -> bool:
    """Take up the updates of a quarantined record that are intact in the log; whether there were any."""
    store = replica.store
    updates = store.salvage(record)
    integrator = Integrator(documents_max=1)
    result = integrator.integrate(record, (), updates, stamp_max=None, checked=False, snapshot=True)
    kept = tuple(update for update, verdict in zip(updates, result.verdicts, strict=True) if verdict.new)
    if not kept:
        return False
    view = encode_view(integrator.document(record), replica.schema_of(record))
    now = replica.wall_clock()
    change = Change(record, kept, replica.id, "", now, result.state_vector, result.snapshot, view)
    store.commit([Batch(changes=(change,))])
    return True


def _records(store: Store) -> Iterator[str]:
    after = ""
    while page := store.records(after, _PAGE):
        yield from page
        after = page[-1]
