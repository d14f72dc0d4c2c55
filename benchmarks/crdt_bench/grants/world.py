"""A relay with a policy, devices of several users, and a history of edits, moves, grants and failures, all from a seed.

Each frame is looked at as it leaves, by what is on the relay's disk then. When all is quiet, each device holds exactly
what its user may hold, as the relay has it, and both say the same of it.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from crdt_bench.grants.host import GrantingHost
from crdt_bench.grants.oracle import NotAllowed, Oracle
from crdt_bench.grants.policies import FIELDS, SCHEMA, USERS, draw_policy, draw_value
from crdt_bench.minimal.line import Line
from crdt_sync.errors import CrdtSyncError, KeyTaken
from crdt_sync.policy.in_force import InForce
from crdt_sync.policy.reading import parse_policy
from crdt_sync.protocol.hub import Deliver, HubEffect
from crdt_sync.protocol.messages import PresenceEntry
from crdt_sync.replica import Replica
from crdt_sync.replica.receipts import holding, refresh_digests
from crdt_sync.storage.memory import MemoryStore, MemoryStores
from crdt_sync.storage.port import Store, Stores
from crdt_sync.storage.values import Batch

_EDITED = ("region", "region", "owner", "stage", "name")
_QUIET_ROUNDS = 6
_RELAY = Path("relay")


@dataclass(slots=True)
class Device:
    """A device, and its session if one is open."""

    name: str
    user: str
    replica: Replica
    line: Line | None = None
    named: set[str] | None = None  # records that it has named to the relay


class World:
    """See the module. `run` lives through a history, and brings all to rest. The relay's store is one of `stores`."""

    def __init__(self, seed: int, devices: int = 4, stores: Stores | None = None) -> None:
        self._stores = stores or MemoryStores()
        self.rng = random.Random(seed)
        self.now = 1_760_000_000_000_000
        self.version = 0
        self.oracle = Oracle(SCHEMA)
        self.users: dict[bytes, str] = {}
        self.in_force = self._policy()
        self.host = self._host(self._stores.open(_RELAY, create=True))
        self.told = 0
        self.devices = [self._device(number) for number in range(devices)]

    # --- parts -----------------------------------------------------------------------------------------------

    def _clock(self) -> int:
        self.now += 1
        return self.now

    def _policy(self) -> InForce:
        self.version += 1
        return InForce(self.version, parse_policy(draw_policy(self.rng), "grants"))

    def _host(self, store: Store) -> GrantingHost:
        host = GrantingHost(store, lambda: self.now, self._clock, lambda: self.in_force, self.users, SCHEMA)
        self._watch(host)
        return host

    def _watch(self, host: GrantingHost) -> None:
        """Have each frame looked at as it leaves."""
        drained = host.hub.drain

        def drain() -> list[HubEffect]:
            effects = drained()
            for effect in effects:
                if isinstance(effect, Deliver):
                    self._leaves(host, effect.session, effect.frame)
            return effects

        host.hub.drain = drain  # type: ignore[method-assign]
        follow = host.follow

        def followed() -> None:
            self.oracle.look(host.store, self.in_force)
            follow()

        host.follow = followed  # type: ignore[method-assign]
        host.judged = self._judged

    def _leaves(self, host: GrantingHost, session: int, frame: bytes) -> None:
        device = next((each for each in self.devices if each.line is not None and each.line.session == session), None)
        if device is None:
            return
        self.told += 1
        allowed = self.oracle.look(host.store, self.in_force)[device.user]
        self.oracle.check(frame, device.user, allowed, device.named or set())

    def _judged(self, record: str, user: str) -> None:
        """An update is integrated: its user may hold the record, unless it is new."""
        if self.host.store.record_head(record) is None:
            return
        if record not in self.oracle.allowed(self.host.store, self.in_force, user):
            raise NotAllowed(f"{user} writes into {record}, which it may not hold")

    def _device(self, number: int) -> Device:
        user = USERS[number % len(USERS)]
        store = MemoryStore(rng=self.rng)
        store.commit([Batch(meta={"name": user.encode()})])
        replica = Replica.over(store, self._clock, self.rng)
        replica.add_schema(SCHEMA)
        self.users[replica.id] = user
        return Device(f"d{number}", user, replica, named=set())

    # --- the history -----------------------------------------------------------------------------------------

    def run(self, steps: int) -> None:
        """Live through so many steps, then heal. Raises `NotAllowed`."""
        actions: tuple[tuple[Callable[[], None], int], ...] = (
            (self._edit, 14), (self._create, 5), (self._talk, 28), (self._cut, 6), (self._regrant, 2),
            (self._restart_relay, 1), (self._crash, 2), (self._compact, 3), (self._open, 2),
        )  # fmt: skip
        chosen, weights = zip(*actions, strict=True)
        for _ in range(steps):
            self.now += self.rng.randint(1, 3_000_000)
            self.rng.choices(chosen, weights)[0]()
        self.heal()

    def _edit(self) -> None:
        device = self.rng.choice(self.devices)
        held = device.replica.store.records("", 999, "customers/")
        if not held:
            return
        record = self.rng.choice(held)
        field = self.rng.choice(_EDITED)
        try:
            with device.replica.edit(record) as edited:
                edited[field] = draw_value(self.rng, field)
        except (KeyTaken, CrdtSyncError):
            return

    def _create(self) -> None:
        device = self.rng.choice(self.devices)
        with device.replica.edit("customers") as edited:
            for field in FIELDS:
                edited[field] = draw_value(self.rng, field)
            assert device.named is not None
            device.named.add(edited.record)

    def _talk(self) -> None:
        device = self.rng.choice(self.devices)
        self._line(device).run(self.rng.choice((1, 2, 5, None)))
        self._ended(device)

    def _line(self, device: Device) -> Line:
        if device.line is None:
            line = Line.__new__(Line)
            device.line = line
            line.session = self.host.hub._last_session + 1
            line.__init__(device.replica, self.host)  # type: ignore[misc]
            assert device.named is not None
            device.named.update(device.replica.store.records("", 9999))
        return device.line

    def _ended(self, device: Device) -> None:
        if device.line is not None and device.line.closed is not None:
            self._cut_off(device)

    def _cut_off(self, device: Device) -> None:
        if device.line is not None:
            device.line.cut()
            device.line = None

    def _cut(self) -> None:
        self._cut_off(self.rng.choice(self.devices))

    def _regrant(self) -> None:
        self.oracle.look(self.host.store, self.in_force)
        self.in_force = self._policy()
        self.oracle.look(self.host.store, self.in_force)
        self.host.hub.regrant(self.now)
        self.host.drain()

    def _restart_relay(self) -> None:
        for device in self.devices:
            self._cut_off(device)
        self.host.store.close()
        self.host = self._host(self._stores.open(_RELAY))

    def _crash(self) -> None:
        device = self.rng.choice(self.devices)
        self._cut_off(device)
        store = device.replica.store
        assert isinstance(store, MemoryStore)
        device.replica = Replica.over(store.clone(), self._clock, self.rng)

    def _compact(self) -> None:
        self.host.store.compact()

    def _open(self) -> None:
        """Somebody has a record open, and others are told."""
        device = self.rng.choice(self.devices)
        held = device.replica.store.records("", 999, "customers/")
        line = device.line
        if line is None or not line.welcomed or line.closed is not None or not held:
            return
        line.dialer.present((PresenceEntry(self.rng.choice(held), device.name),))
        line.run(1)
        self._ended(device)
        for session in self.host.hub.begin_presence():
            if session in self.host.frames:
                self.host.fill(session)

    # --- at rest ---------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Let all talk until nothing is left, and compare. Raises `NotAllowed`."""
        for _ in range(_QUIET_ROUNDS):
            for device in self.devices:
                self.now += 5_000_000
                self._line(device).run()
                if device.line is not None:
                    device.line.dialer.timer(self.now)
                    device.line.run()
                self._ended(device)
        for device in self.devices:
            self._compare(device)

    def _compare(self, device: Device) -> None:
        ours, theirs = device.replica.store, self.host.store
        allowed = self.oracle.allowed(theirs, self.in_force, device.user)
        held = set(ours.records("", 9999))
        if held != allowed:
            more, less = sorted(held - allowed), sorted(allowed - held)
            raise NotAllowed(f"{device.name} of {device.user} holds {more} and lacks {less}")
        refresh_digests(ours)
        refresh_digests(theirs)
        differing = [record for record in sorted(held) if ours.digest(record) != theirs.digest(record)]
        if differing:
            raise NotAllowed(f"{device.name} holds another state of {differing}")
        line = self._line(device)
        line.run()
        line.dialer.request_receipt(1)
        line.run()
        here = holding(ours)
        if not line.receipts or (line.receipts[-1].count, line.receipts[-1].root) != (here.count, here.root):
            raise NotAllowed(f"{device.name} is given a receipt over other records than it may hold")
        line.dialer.audit(content=True)
        line.run()
        if not line.audited or line.audited[-1].named:
            raise NotAllowed(f"{device.name} is told by an audit of other records than it may hold")
