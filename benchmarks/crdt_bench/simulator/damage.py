"""Bit rot on the disks of a run, and the operators who notice it after a while and mend it."""

import random
from typing import TYPE_CHECKING

from crdt_bench.simulator import edited_exports
from crdt_bench.simulator.checkers.survival import COUNTERS
from crdt_bench.simulator.contents import Contents, state_of
from crdt_bench.simulator.devices import Device
from crdt_bench.simulator.imports import COLLECTIONS
from crdt_bench.simulator.ledger import Edit, Intent
from crdt_relay.maintenance import mend
from crdt_sync.errors import StoreError
from crdt_sync.ids import collection_of
from crdt_sync.records import Document, values_of
from crdt_sync.replica.awaiting import awaited
from crdt_sync.replica.rescue import rescued

if TYPE_CHECKING:
    from crdt_bench.simulator.world import World

_NOTICED_US_MAX = 20_000_000
_AGAIN_US = 2_000_000


class Damage:
    """See the module. What is damaged stays so, whatever is restarted, until somebody mends it."""

    def __init__(self, world: "World", rng: random.Random) -> None:
        self._world = world
        self._rng = rng
        self._over = False
        self._relay_struck = False

    def strike_device(self, device: Device) -> None:
        """A stored value of a device rots."""
        what = device.disk.decay(self._rng)
        self._note(device.name, f"rots: {what}")
        self._world.after(self._rng.randint(1, _NOTICED_US_MAX), self._notice, device)

    def strike_relay(self) -> None:
        """A stored value of the relay rots."""
        self._relay_struck = True
        what = self._world.relay.disk.decay(self._rng)
        self._note("relay", f"rots: {what}")
        self._world.after(self._rng.randint(1, _NOTICED_US_MAX), self._notice, None)

    def mend_all(self) -> None:
        """Everybody mends what is damaged; nobody looks again afterwards."""
        self._over = True
        self._mend_relay()
        if self._relay_struck:  # sessions that passed a record over keep their old cursors as long as they last
            self._world.start_relay(self._world.stop_relay())
        for device in list(self._world.devices):
            self._mend_device(device)

    def _notice(self, device: Device | None) -> None:
        if self._over:
            return
        if device is None:
            self._mend_relay()
        else:
            self._mend_device(device)

    def _mend_device(self, device: Device) -> None:
        """Stop the app, `crdt-sync verify --repair`, and start it again."""
        if not device.disk.rot:
            return
        device.crash()
        device.start()
        disk = device.disk
        remains = disk.remains(disk.damaged())
        awaiting = {name: Document.load(disk.load(name).updates) for name, _ in awaited(disk) if name not in remains}
        try:
            mended = device.act(device.replica.repair)
        except StoreError as error:
            self._note(device.name, f"could not be mended: {error.code}")
            self._world.after(_AGAIN_US, self._notice, device)
            return
        finally:
            self._world.cursors.forget(device.disk)
            self._world.assess()
        for record in mended.rewritten:
            before = awaiting.get(record) or rescued(record, remains[record])[0]
            self._note_rewritten(device, record, before)
        self._note(device.name, f"mended: salvaged {mended.salvaged}, lost {mended.lost}")

    def _note_rewritten(self, device: Device, record: str, before: Document) -> None:
        """What a repair wrote again is an edit like others."""
        if collection_of(record) == edited_exports.COLLECTION:
            self._world.exports.rewritten.add(record)
            return
        if collection_of(record) in COLLECTIONS:
            self._world.imports.rewritten.add(record)
            return
        replica = device.replica
        after = replica.document(record)
        then, now = values_of(before, device.schema), values_of(after, device.schema)
        tags, tagged = set(_list(then.get("tags"))), set(_list(now.get("tags")))
        counted = {field: _number(now.get(field)) - _number(then.get(field)) for field in COUNTERS}
        intent = Intent(counted, tagged - tags, tags - tagged)
        state = state_of(after)
        self._repeat(self._world.ledger.add(device.name, record, state_of(before), state, intent), state.contents)

    def _repeat(self, edit: Edit, contents: Contents) -> None:
        """What is written again in place of a lost edit has removed what that one had, if its deletions were saved."""
        removed = dict(edit.removed)
        for root, names in edit.added.items():
            for lost in self._world.ledger.edits[edit.record]:
                if lost.at_risk and not names.isdisjoint(lost.added.get(root, ())):
                    gone = lost.removed.get(root, frozenset()) - contents.get(root, frozenset())
                    removed[root] = removed.get(root, frozenset()) | gone
        edit.removed = removed

    def _mend_relay(self) -> None:
        """Stop the relay, `crdt-relay verify --repair`, and start it again."""
        world = self._world
        if not world.relay.disk.rot:
            return
        disk = world.stop_relay()
        try:
            mended = mend(disk)
        except StoreError as error:
            self._note("relay", f"could not be mended: {error.code}")
            world.after(_AGAIN_US, self._notice, None)
        else:
            self._note("relay", f"mended: salvaged {mended.salvaged}, set aside {mended.set_aside}")
        world.start_relay(disk)
        world.assess()

    def _note(self, who: str, what: str) -> None:
        self._world.trace.note(self._world.loop.now_us, who, what)


def _list(value: object) -> list[str]:
    return [str(member) for member in value] if isinstance(value, list) else []


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
