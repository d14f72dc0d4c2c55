"""A run with people: they edit what they hold, an operator changes the policy and revokes devices, and faults strike.

Nobody is ever told of what they may not hold (`watching`). Once all is quiet, each device that is not out holds exactly
what its user may hold, as the relay has it; and what somebody wrote is on the relay, was superseded by who had seen it,
or is kept on a device: in a record, as a refused edit, or as one of a record that was taken away.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Any

from crdt_bench.grants.oracle import Oracle
from crdt_bench.grants.policies import FIELDS, MASKED, SCHEMA, draw_value
from crdt_bench.simulator.devices import RELAY, Device, Watched, url_of
from crdt_bench.simulator.disk import Crashed, Disk
from crdt_bench.simulator.failure import Failure
from crdt_bench.simulator.hosts import Host, Machine, start_relay
from crdt_bench.simulator.network import Link
from crdt_bench.simulator.people.members import Headers, Member, told_by
from crdt_bench.simulator.people.space import Space, is_out
from crdt_bench.simulator.people.watching import MARK, Watch
from crdt_bench.simulator.world import World
from crdt_relay.device_guest import introduced
from crdt_sync import ids
from crdt_sync.errors import CrdtSyncError, EditForbidden, OpenConflict, StoreError
from crdt_sync.policy.masks import MASKS, masked
from crdt_sync.policy.model import Policy, masks_of
from crdt_sync.protocol.effects import Acknowledge, Closed
from crdt_sync.protocol.hub import Hub
from crdt_sync.records import Document, Schema
from crdt_sync.records.reading import values_of
from crdt_sync.replica import Event, Replica, unsent
from crdt_sync.replica.receipts import refresh_digests
from crdt_sync.replica.refused import refused_edits
from crdt_sync.runtime.guests import Guest
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch, Change

_REVOKED = 0.1  # of what an operator does
_CREATED = 0.25
_EDITED = ("region", "owner", "stage", "name", "name")
_IN_PART = 0.4  # of edits, where a field is seen in part
_QUIET_S = 3
_PATIENCE_S = 600


class PeopleWorld(World):
    """See the module."""

    devices: list[Member]  # type: ignore[assignment]

    def prepare(self) -> None:
        """See `World`."""
        self._people_rng = random.Random(f"people/{self.seed}")
        self._number = 0
        self.schema = MASKED if self.scenario.masks else SCHEMA
        self.space = Space(random.Random(f"space/{self.seed}"), self.wall, masks=self.scenario.masks)
        self.space.authority.changed = self._said
        self.watch = Watch(self.fail, lambda: self.loop.now_us, 2 * self.scenario.latency_max + 1_000, self.schema)
        self.oracle = Oracle(self.schema)

    def _said(self) -> None:
        self._tell(self.relay)

    def _tell(self, relay: Host) -> None:
        self.watch.note(relay.disk.replica)
        if relay.alive:
            with self.loop.running():
                relay.process.call(relay.engine.people_changed)

    def _disk(self, owner: str, name: str) -> Disk:
        disk = Disk(None, random.Random(f"disk/{self.seed}/{owner}"))
        meta: dict[str, bytes | None] = {"name": name.encode()}
        if owner.startswith("relay"):
            definition = _definition(self.schema, random.Random(f"schema/{self.seed}"))
            disk.commit([Batch(meta=meta), Batch(changes=(definition,))])
        else:
            name, text = self.schema.collection, self.schema.to_toml()
            schema = {"schemas": name.encode(), f"schema/{name}": text.encode()}
            disk.commit([Batch(meta={**meta, **schema})])
        return disk

    def begin_relay(self, disk: Disk, machine: Machine) -> Host:
        """See `World`."""
        authority = self.space.authority
        disk.durable = self._relay_stored
        host = start_relay(self.loop, disk, self.wall, machine, in_force=authority.in_force)
        host.engine.people.identities = authority
        self.watch.over(host.hub, disk, lambda: authority.statements)
        self._tell(host)
        if self.scenario.masks and host.engine.masking is not None:
            with self.loop.running():
                host.process.call(host.engine.masking.begin)  # as `Engine.start` does
        return host

    def _relay_stored(self, disk: Disk, batches: Sequence[Batch]) -> None:
        self.watch.relay_stored(batches)
        self.watch.note(disk.replica)

    def make_device(self, original: Device | None, *arguments: Any, **named: Any) -> Device:
        """See `World`."""
        if isinstance(original, Member):
            pair, facts = original.pair, original.facts
        else:
            pair, facts = self.space.joined(len(self.devices), url_of(RELAY))
        return Member(pair, facts, self._meet, self._looked_at, *arguments, **named)

    def _looked_at(self, device: Member, hub: Hub) -> None:
        member = device.member
        self.watch.over(hub, device.disk, lambda: member.statements)

    def _meet(self, device: Member, name: str, headers: Headers) -> tuple[Link, bytes | None, Guest] | None:
        if not self.faults.reachable(device):
            return None
        told = told_by(headers)
        if name == RELAY:
            host, replica = self.relay, None
            guest: Guest | None = introduced(self.space.authority, b"", told)
        else:
            partner = self._device(name)
            if partner.host is None or partner.door is None or not self.faults.reachable(partner):
                return None
            host, replica = partner.host, partner.disk.replica
            guest = partner.door.introduce(told)
        if not host.alive or guest is None:
            return None
        link = Link(self.loop, self.trace, self.rng, lambda: device.weather, f"{device.name}-{name}")
        host.accept(link, guest)
        self.links.append(link)
        return link, replica, guest

    def _device(self, name: str) -> Member:
        return next(device for device in self.devices if device.name == name)

    # --- what the checkers hear --------------------------------------------------------------------------------

    def _ended(self, device: Device, reason: Closed | CrdtSyncError) -> None:
        if (isinstance(device, Member) and self.is_out(device)) or reason.code == "refused":
            self.trace.note(self.loop.now_us, device.name, f"session over: {reason.code}: {reason}")
        else:
            super()._ended(device, reason)

    def _edited(self, events: Sequence[Event]) -> None:
        pass

    def _acknowledged(self, device: Device, talk: Watched, effect: Acknowledge) -> None:
        pass

    def _durable(self, disk: Disk, batches: Sequence[Batch]) -> None:
        for device in self.devices:
            if device.disk is disk:
                self.watch.device_stored(device.user, batches)
                self.watch.note(disk.replica)

    def is_out(self, device: Member) -> bool:
        """Whether the operator has revoked it."""
        return is_out(self.space.authority.statements, device.pair.public.device)

    # --- the run ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        """All steps, then healing, then what is to be true. Raises `Failure`."""
        for _ in range(self.scenario.steps):
            self.until(self.loop.now_us + self._gap())
            self._step()
            self.tidy_links()
        self.trace.note(self.loop.now_us, "world", "healing")
        self.faults.stop()
        quiet, told = 0, ""
        for _ in range(_PATIENCE_S):
            self.until(self.loop.now_us + 1_000_000)
            self.tidy_links()
            told = self._unrest() if not self.quiet() else self._differing()
            quiet = 0 if told else quiet + 1
            if quiet == _QUIET_S:
                break
        else:
            raise Failure("liveness", told)
        self._look_for_what_was_written()

    def _step(self) -> None:
        rng = self._people_rng
        self.step_faults()
        if rng.random() < self.scenario.people:
            self._operate(rng)
        device = self._editor()
        if device.running:
            self._edit(device, self._write)

    def _operate(self, rng: random.Random) -> None:
        inside = [device for device in self.devices[1:] if not self.is_out(device)]
        if inside and rng.random() < _REVOKED:
            device = rng.choice(inside)
            self.trace.note(self.loop.now_us, "operator", f"revokes {device.name}")
            self.space.revoke(device.pair.public.device)
        else:
            self.trace.note(self.loop.now_us, "operator", "changes the policy")
            self.space.change()

    def _write(self, device: Device) -> str:
        rng, replica = self._people_rng, device.replica
        held = replica.store.records("", 1 << 20, f"{self.schema.collection}/")
        made = not held or rng.random() < _CREATED
        target = self.schema.collection if made else rng.choice(held)
        field = rng.choice(_EDITED)
        if self.scenario.masks and not made and rng.random() < _IN_PART:
            return self._write_in_part(replica, target, device.name)
        self._number += 1
        name = f"n{self._number}~"
        seen = [] if made else MARK.findall(_bytes_of(replica, target))
        try:
            with replica.edit(target) as edited:
                self.watch.marked[name.encode()] = edited.record
                for each in FIELDS if made else (field,):
                    edited[each] = name if each == "name" else draw_value(rng, each)
        except EditForbidden as forbidden:
            return f"may not write {target}: {forbidden.message}"
        except OpenConflict:
            return f"leaves {target} to who decides"
        except (StoreError, Crashed):  # it may be there all the same
            self.watch.superseded.update(seen)
            raise
        if made or field == "name":
            self.watch.wrote(device.name, name.encode(), seen)
        return f"writes {edited.record}"

    def _write_in_part(self, replica: Replica, target: str, device: str) -> str:
        """Write what some see in part: all but its last four digits is a mark."""
        self._number += 1
        mark, bank = f"b{self._number}~", ids.in_section(target, "bank")
        seen = MARK.findall(_bytes_of(replica, bank))
        try:
            with replica.edit(target) as edited:
                self.watch.marked[mark.encode()] = bank
                edited["iban"] = f"{mark}0000{self._number:04}"
        except EditForbidden as forbidden:
            return f"may not write {bank}: {forbidden.message}"
        except (StoreError, Crashed):  # it may be there all the same
            self.watch.superseded.update(seen)
            raise
        self.watch.wrote(device, mark.encode(), seen)
        return f"writes {bank}"

    # --- at rest ---------------------------------------------------------------------------------------------

    def quiet(self) -> bool:
        """Whether nothing is left to do for those who are not out."""
        if any(link.ailing(self.loop.now_us) for link in self.links):
            return False
        return all(host.alive and host.hub.idle for host in self._hosts().values()) and not self._unsettled()

    def _unsettled(self, *, standing: bool = True) -> list[str]:
        return [
            f"{device.name} with {url_of(name)}"
            for device in self.devices
            if not self.is_out(device)
            for name in device.partners
            if name == RELAY and not any(talk.name == name and talk.is_settled for talk in device.conversations)
        ]

    def _differing(self) -> str:
        """Who holds something else than it may hold; nothing where all is well."""
        policy, relay = self.space.authority.in_force(), self.relay.disk
        assert policy is not None
        refresh_digests(relay)
        for device in self.devices:
            if self.is_out(device) or RELAY not in device.partners:
                continue
            waiting = {entry.record for entry in _refused(device, relay)}
            allowed = self.oracle.allowed(relay, policy, device.user)
            held = set(device.disk.records("", 1 << 20))
            more = {record for record in held - allowed if record not in waiting or relay.true_head(record) is not None}
            if more or not allowed <= held:
                return f"{device.name} of {device.user} holds {sorted(more)} and lacks {sorted(allowed - held)}"
            refresh_digests(device.disk)
            for record in sorted(held & allowed):
                if record not in waiting and device.disk.digest(record) != relay.digest(record):
                    return f"{device.name} of {device.user} holds another state of {record}"
        return self._wrongly_shown(policy.policy, relay) if self.scenario.masks else ""

    def _wrongly_shown(self, policy: Policy, relay: Disk) -> str:
        """What the relay shows of a value, and is not the last of it, or is no more to be shown."""
        masks = {mask for field, mask in masks_of(policy, self.schema.collection) if field == "iban"}
        for record in relay.records("", 1 << 20, f"{self.schema.collection}/"):
            bank = Document.load(relay.load(ids.in_section(record, "bank")).updates)
            whole = str(values_of(bank, self.schema.sections["bank"]).get("iban", ""))
            for mask in MASKS:
                shown = values_of(Document.load(relay.load(ids.in_part(record, "iban", mask)).updates)).get("iban", "")
                if shown != (masked(mask, whole) if mask in masks else ""):
                    return f"of {whole!r} in {record} the mask {mask} shows {shown!r}"
        return ""

    def _look_for_what_was_written(self) -> None:
        kept: set[bytes] = set(self.watch.stored)
        for device in self.devices:
            kept.update(
                MARK.findall(b"".join(_bytes_of(device.replica, each) for each in device.disk.records("", 1 << 20)))
            )
            for refusal in refused_edits(device.disk):
                kept.update(MARK.findall(str(refusal.value).encode()))
            for aside in unsent.known(device.disk):
                kept.update(MARK.findall(unsent.update_of(device.disk, aside) or b""))
        lost = sorted(set(self.watch.written) - kept - self.watch.superseded)
        if lost:
            who = self.watch.written[lost[0]]
            raise Failure("lost", f"{lost[0]!r}, which {who} wrote, is nowhere")


def _refused(device: Member, relay: Disk) -> Iterator[Any]:
    return (entry for entry in device.disk.outbox(relay.replica, "", 1 << 20) if entry.refusal is not None)


def _bytes_of(replica: Replica, record: str) -> bytes:
    return b"".join(replica.store.load(record).updates)


def _definition(schema: Schema, rng: random.Random) -> Change:
    """The record of the schema, as a device of before would have brought it."""
    store = MemoryStore(rng=rng)
    store.commit([Batch(meta={"name": b"operator"})])
    replica = Replica.over(store, lambda: 1, rng)
    replica.add_schema(schema)
    record = ids.schema_record(schema.collection)
    found = store.load(record)
    head = store.record_head(record)
    assert head is not None
    return Change(record, tuple(found.updates), store.replica, "operator", 1, head.state_vector)
