"""Once all is quiet: everybody holds the same, all of it, and nothing that was not written."""

from typing import TYPE_CHECKING

from crdt_bench.simulator.checkers import edited_exports, imports, integrity, outbox, survival
from crdt_bench.simulator.edited_exports import COLLECTION
from crdt_bench.simulator.failure import Failure
from crdt_bench.simulator.imports import COLLECTIONS
from crdt_sync.ids import collection_of, defined_by
from crdt_sync.replica.receipts import holding, refresh_digests

if TYPE_CHECKING:
    from crdt_bench.simulator.world import World


def check(world: "World") -> None:
    """Raise `Failure` for the first promise that is broken."""
    relay = world.relay.disk
    refresh_digests(relay)
    integrity.check("relay", relay, {})
    expected = holding(relay)
    for device in world.devices:
        refresh_digests(device.disk)
        device.replica.shared_schemas.received(())  # as each session does, where the disk refused before
        integrity.check(device.name, device.disk, device.replica.schemas)
        held = holding(device.disk)
        if (held.count, held.root) != (expected.count, expected.root):
            theirs, ours = dict(relay.digests("", 1 << 30)), dict(device.disk.digests("", 1 << 30))
            differing = sorted(
                record for record in theirs.keys() | ours.keys() if theirs.get(record) != ours.get(record)
            )
            raise Failure("convergence", f"{device.name} and the relay differ in {differing[:5]}")
        outbox.check(device.name, device.disk, relay)
    first = world.devices[0].replica
    versions = {device.schema.version for device in world.devices}
    if len(versions) != 1:
        raise Failure("convergence", f"devices use different versions of the schema: {sorted(versions)}")
    for record in relay.records("", 1 << 30):
        views = {device.disk.view(record) for device in world.devices}
        if len(views) != 1:
            raise Failure("convergence", f"{record} shows different values: {sorted(map(repr, views))}")
        if defined_by(record) is not None:
            continue  # what it says is compared above
        if collection_of(record) in COLLECTIONS:
            imports.check(record, first.document(record), first.get(record), world.imports)
        elif collection_of(record) == COLLECTION:
            edited_exports.check(record, first.document(record), first.get(record), world.exports)
        else:
            survival.check(record, first.document(record), first.get(record), world.ledger)
    for collection in sorted(COLLECTIONS):
        imports.check_people(list(first.list(collection, deleted=True)))
    lost = [
        edit
        for record, edits in (world.ledger.edits | world.imports.ledger.edits).items()
        if relay.record_head(record) is None
        for edit in edits
        if not edit.at_risk
    ]
    if lost:
        raise Failure("lost", f"{lost[0].record} is gone: {lost[0]}")
