"""One relay, some devices, the network between them, and the run from the first step until all is quiet."""

import asyncio
import gc
import random
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass
from typing import Any, NoReturn
from unittest.mock import patch

import structlog

from crdt_bench.simulator import http_links, lineages
from crdt_bench.simulator.beside import Beside
from crdt_bench.simulator.checkers import afterwards, bounds, convergence, cursors, durability, quotas, transitions
from crdt_bench.simulator.devices import RELAY, Around, Clock, Device, Watched, Way, url_of
from crdt_bench.simulator.disk import Crashed, Disk
from crdt_bench.simulator.edited_exports import CLIENTS, EditedExports
from crdt_bench.simulator.failure import Failure
from crdt_bench.simulator.faults import Faults
from crdt_bench.simulator.hosts import Host, Machine, start_relay
from crdt_bench.simulator.http_links import HttpLink
from crdt_bench.simulator.imports import SCHEMAS, Imports
from crdt_bench.simulator.ledger import Ledger
from crdt_bench.simulator.network import Link
from crdt_bench.simulator.open_blocks import OpenBlocks
from crdt_bench.simulator.renewals import Renewals
from crdt_bench.simulator.scenario import Scenario, scaled
from crdt_bench.simulator.schemas import FIRST
from crdt_bench.simulator.trace import Trace
from crdt_bench.simulator.virtual_loop import Storm, VirtualLoop
from crdt_bench.simulator.workload import Workload
from crdt_sync import limits
from crdt_sync.errors import CrdtSyncError, StoreError
from crdt_sync.protocol.effects import Acknowledge, Closed
from crdt_sync.replica import Event, unread
from crdt_sync.storage.values import Batch

WALL_BASE_US = 1_760_000_000_000_000  # some day in 2025, by the relay's clock
_LATE_EDIT_US_MAX = 10_000_000
_RECONNECT_S = 3
_BEGINS_ANEW_US = 130_000_000  # a session whose cursor cannot be stored ends after a minute, and so may the next
_BYTES_PER_EDIT_MAX = 400_000  # per device
_CONNECTS_WITHIN_US_MAX = 1_000_000
_CONNECTS_WITHIN_STEPS = 5  # or all of a short run would be over before
_TWINS = frozenset({"device_cloned", "device_rolled_back", "device_rots"})  # faults that let a life go on twice
_BLOCKS_NUMBER = 1_000_000_000  # the first in values that are written in open blocks
_GREETING_CHANCE = 0.3
_ONLY_NEIGHBOURS = 0.3  # how often a device that has neighbours does not know the relay
_COLLECTED_EVERY = 200_000  # objects: more than an ordinary run makes
_OWN_FAILURES = frozenset({"task_failed", "session_failed", "integration_failed"})  # which only a bug causes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run. `failure` is None when every promise was kept."""

    scenario: Scenario
    failure: Failure | None
    trace: str
    events: int
    edits: int
    frames: int
    bytes: int
    virtual_us: int
    lines: tuple[str, ...] = ()


class World:
    """See the module. Checkers look at everything here; the faults reach into it."""

    def __init__(self, scenario: Scenario, trace: Trace) -> None:
        self.scenario = scenario
        self.trace = trace
        self.seed = str(scenario.seed)
        self.loop = VirtualLoop(delay=self._executor_delay)
        self._context = Context()
        self.loop.set_exception_handler(self._unhandled)
        self._pauses = random.Random(f"executor/{self.seed}")
        self.rng = random.Random(f"world/{self.seed}")
        lineages.forget()
        self.ledger = Ledger()
        self.workload = Workload(random.Random(f"work/{self.seed}"), self.ledger, scenario.records)
        blocks = Workload(random.Random(f"blocks/{self.seed}/work"), self.ledger, scenario.records, _BLOCKS_NUMBER)
        twins = not _TWINS.isdisjoint(scenario.faults)
        self.open_blocks = OpenBlocks(random.Random(f"blocks/{self.seed}"), blocks, twins=twins)
        self._blocks_rng = random.Random(f"blocks/{self.seed}/who")
        self.imports = Imports(random.Random(f"imports/{self.seed}"))
        self.exports = EditedExports(random.Random(f"exports/{self.seed}"))
        self.beside = Beside(self, random.Random(f"beside/{self.seed}"))
        self.renewals = Renewals(random.Random(f"renewals/{self.seed}"))
        self.links: list[Link | HttpLink] = []
        self._http_rng = random.Random(f"http/{self.seed}")
        self._http_links: dict[str, HttpLink] = {}  # by the address that they dial
        self.loop.dial = self._dial
        self.frames = 0
        self.bytes = 0
        self.relay_lives = 0
        self.neighbourly = random.Random(f"neighbours/{self.seed}")
        self._editing = False
        self.devices: list[Device] = []
        self.faults = Faults(self)
        self.cursors = cursors.Cursors()
        self.stored_by_day = quotas.StoredByDay()
        self.prepare()
        self.relay = self.start_relay(self._disk("relay", "relay"))
        for _ in range(scenario.devices):
            self.add_fresh_device()

    # --- parts -----------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Make what has to be there before the relay and the devices."""

    def _disk(self, owner: str, name: str) -> Disk:
        disk = Disk(None, random.Random(f"disk/{self.seed}/{owner}"))
        schemas = {**_SCHEMAS_TOML, **(_EXPORTED_TOML if self.scenario.exports else {})}
        meta: dict[str, bytes | None] = {
            "name": name.encode(),
            "schemas": " ".join(schemas).encode(),
            **{f"schema/{collection}": text for collection, text in schemas.items()},
        }
        disk.commit([Batch(meta=meta)])
        return disk

    def fresh_relay_disk(self) -> Disk:
        """An empty disk, as after a wipe."""
        return self._disk(f"relay/{self.relay_lives}", "relay")

    def start_relay(self, disk: Disk) -> Host:
        """The relay starts over `disk`."""
        self.relay_lives += 1
        disk.fault = self.faults.relay_commit
        machine = self._machine(random.Random(f"relay/{self.seed}/{self.relay_lives}"), self.faults.kill_worker)
        self.relay = self.begin_relay(disk, machine)
        if self.scenario.quotas:
            disk.durable = self._stored
            self.stored_by_day.check_counted(self.wall(), self.relay.allow(quotas.BOUNDS))
        return self.relay

    def begin_relay(self, disk: Disk, machine: Machine) -> Host:
        """Its process begins."""
        return start_relay(self.loop, disk, self.wall, machine)

    def wall(self) -> int:
        """The relay's clock."""
        return WALL_BASE_US + self.loop.now_us

    def _machine(self, rng: random.Random, kill: Callable[[], bool]) -> Machine:
        return Machine(self.loop, rng, self.scenario.documents_max, self.scenario.latency_max, kill)

    def _executor_delay(self) -> tuple[int, int]:
        return self._pauses.randint(20, self.scenario.latency_max), self._pauses.randint(1, 200)

    def after(self, delay_us: int, action: Callable[..., None], *arguments: Any) -> None:
        """Do something later, whatever dies meanwhile."""
        self.loop.call_in(delay_us, lambda: action(*arguments), context=self._context)

    def stop_relay(self) -> Disk:
        """The relay process ends; returns what it leaves on its disk."""
        self.relay.die()
        left = self.relay.disk.clone()
        self.relay.disk.close()
        return left

    def assess(self) -> None:
        """Something was lost: see what nobody holds any more."""
        stores = [self.relay.disk, *(device.disk for device in self.devices)]
        self.ledger.assess(stores)
        self.imports.ledger.assess(stores)
        self.exports.assess(stores)

    def add_device(self, name: str, disk: Disk, original: Device | None = None) -> Device:
        """A device starts over `disk`. That of a copy knows whom its original knew; nobody knows it."""
        disk.fault = self.faults.device_commit
        disk.durable = self._durable
        disk.crashed = self.faults.crashed
        device = self.make_device(
            original,
            name,
            self.loop,
            disk,
            Clock(WALL_BASE_US),
            self.seed,
            self._machine(random.Random(f"machine/{self.seed}/{name}"), self.faults.kill_worker),
            min(_CONNECTS_WITHIN_US_MAX, _CONNECTS_WITHIN_STEPS * self.scenario.pace),
            Around(self._open_link, self._ended, self._edited, self._acknowledged, self._failed),
            listens=bool(self.scenario.neighbours) and original is None,
            renews=self.scenario.renews,
        )
        if original is None:
            self._acquaint(device)
        else:
            for partner in original.partners or [RELAY]:
                device.befriend(partner)
        self.devices.append(device)
        return device

    def make_device(self, original: Device | None, *arguments: Any, **named: Any) -> Device:
        """A device, as a copy of another one where that is given."""
        return Device(*arguments, **named)

    def _acquaint(self, device: Device) -> None:
        """It dials the relay, or, as may be, another device or that one it. Beyond that, some dial each other."""
        rng, likely = self.neighbourly, self.scenario.neighbours
        pairs = [pair for other in self.devices for pair in ((device, other), (other, device)) if pair[1].listens]
        sure = rng.choice(pairs) if pairs and rng.random() < _ONLY_NEIGHBOURS * bool(likely) else None
        if sure is None:
            device.befriend(RELAY)
        for pair in pairs:
            if pair == sure or rng.random() < likely:
                pair[0].befriend(pair[1].name)

    def add_fresh_device(self) -> Device:
        """A new, empty device starts."""
        number = len(self.devices)
        return self.add_device(f"d{number}", self._disk(f"d{number}", f"device-{number}"))

    def _device(self, name: str) -> Device:
        return next(device for device in self.devices if device.name == name)

    def _open_link(self, device: Device, name: str) -> Way | None:
        if not self.faults.reachable(device):
            return None
        if name == RELAY:
            host: Host | None = self.relay
        else:
            partner = self._device(name)
            host = partner.host if self.faults.reachable(partner) else None
        if host is None or not host.alive:
            return None
        title = f"{device.name}-{name}" if name else device.name
        if name == RELAY and self._http_rng.random() < self.scenario.http:
            return self._http_link(device, title), None
        link = Link(self.loop, self.trace, self.rng, lambda: device.weather, title)
        host.accept(link)
        self.links.append(link)
        return link, None if name == RELAY else host.disk.replica

    def _http_link(self, device: Device, title: str) -> HttpLink:
        """A way to whatever relay answers while it lasts."""

        def answering() -> Host | None:
            return self.relay if self.relay.alive and self.faults.reachable(device) else None

        number = len(self._http_links)
        address = f"relay{number}"
        rng = random.Random(f"http/{self.seed}/{number}")
        link = HttpLink(self.loop, self.trace, rng, lambda: device.weather, title, address, answering)
        self._http_links[address] = link
        self.links.append(link)
        return link

    async def _dial(
        self, protocol_factory: Callable[[], asyncio.Protocol], host: str
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        return await self._http_links[host].dial(protocol_factory)

    def disk_at(self, url: str) -> Disk:
        """What the partner with that address stores."""
        disks = {url_of(device.name): device.disk for device in self.devices}
        return disks.get(url, self.relay.disk)

    def tidy_links(self) -> None:
        """Count and forget the links that are closed."""
        for link in self.links:
            if not link.open:
                self.frames += link.frames
                self.bytes += link.bytes
        self.links = [link for link in self.links if link.open]

    # --- what the checkers hear --------------------------------------------------------------------------------

    def _ended(self, device: Device, reason: Closed | CrdtSyncError) -> None:
        self.trace.note(self.loop.now_us, device.name, f"session over: {reason.code}: {reason}")
        if isinstance(reason, Closed) and (
            reason.code in {"protocol_violation", "gap", "poisoned"} or reason.retry_after_us is None
        ):
            raise Failure("session", f"{device.name}: a session between honest parties ended: {reason}")

    def _edited(self, events: Sequence[Event]) -> None:
        """An edit that the workload did not make stamps a record again."""
        if not self._editing:
            self.ledger.restamped.update(event.record for event in events if event.kind == "edited")

    def _acknowledged(self, device: Device, talk: Watched, effect: Acknowledge) -> None:
        durability.check(device.name, self.disk_at(url_of(talk.name)), talk.epoch, effect)

    def _durable(self, disk: Disk, batches: Sequence[Batch]) -> None:
        for batch in batches:
            for peer in batch.peers:
                self.cursors.check(disk, self.disk_at(peer.url), peer)

    def _stored(self, _: Disk, batches: Sequence[Batch]) -> None:
        self.stored_by_day.stored(self.wall(), batches)

    # --- the run ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        """All steps, then healing, then quiet. Raises `Failure`."""
        for _ in range(self.scenario.steps):
            self.until(self.loop.now_us + self._gap())
            self._step()
            self.tidy_links()
        self._heal()
        for name, host in self._hosts().items():
            bounds.check_decided(name, host.hub)
        if self.scenario.beside:
            afterwards.check(self)
        convergence.check(self)

    def _gap(self) -> int:
        if self.rng.random() < 0.02:
            return self.rng.randint(1, 60_000_000)
        return int(self.rng.expovariate(1 / self.scenario.pace)) + 1

    def step_faults(self) -> None:
        """Let what strikes now strike."""
        with suppress(Crashed):
            self.faults.step()

    def _step(self) -> None:
        self.step_faults()
        device = self._editor()
        if device.running:
            self._edit(device, self.workload.edit)
        rng = self.imports.rng
        if rng.random() < self.scenario.imports and (running := [each for each in self.devices if each.running]):
            self._edit(rng.choice(running), self.imports.step)
        rng = self.exports.rng
        if rng.random() < self.scenario.exports and (running := [each for each in self.devices if each.running]):
            self._edit(rng.choice(running), self.exports.step)
        rng = self._blocks_rng
        if rng.random() < self.scenario.open_blocks and (running := [each for each in self.devices if each.running]):
            self._edit(rng.choice(running), self.open_blocks.step)
        rng = self.beside.rng
        if rng.random() < self.scenario.beside and (running := [each for each in self.devices if each.running]):
            self._edit(rng.choice(running), self.beside.step)
        rng = self.renewals.rng
        if rng.random() < self.scenario.renewals and (running := [each for each in self.devices if each.running]):
            self._edit(rng.choice(running), self.renewals.step)

    def _editor(self) -> Device:
        """Who edits now: more often than by chance, one whose session has just begun."""
        greeting = [device for device in self.devices if device.greeting]
        return self.rng.choice(greeting if greeting and self.rng.random() < _GREETING_CHANCE else self.devices)

    def _edit(self, device: Device, edit: Callable[[Device], str]) -> None:
        self._editing = True
        try:
            what = device.act(lambda: edit(device))
        except StoreError as error:
            what = f"edit refused: {error.code}"
        except Crashed:
            what = "crashed in an edit"
        finally:
            self._editing = False
        self.trace.note(self.loop.now_us, device.name, what)

    def until(self, time: int) -> None:
        """Let everything happen up to `time`."""
        budget = self.scenario.events_per_step_max * (self.scenario.steps + 100)
        self.loop.callbacks_max = budget
        try:
            self.loop.run_until(time)
        except Storm:
            raise Failure("storm", f"more than {budget} events for {self.scenario.steps} steps") from None

    def fail(self, failure: Failure) -> None:
        """End the run, whoever would catch it."""
        self.loop.fail(failure)

    def _failed(self, error: Exception) -> None:
        """Something ended that is to go on for ever, or was not handled by anybody."""
        failure = error if isinstance(error, Failure) else Failure("exception", f"{type(error).__name__}: {error}")
        if failure is not error:
            failure.__cause__ = error
        self.fail(failure)

    def _unhandled(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), Crashed):  # whoever died has been buried
            self._failed(context.get("exception") or RuntimeError(context["message"]))

    def _heal(self) -> None:
        """Stop all faults, start everything, and wait until nothing is left to do."""
        self.trace.note(self.loop.now_us, "world", "healing")
        self.faults.stop()
        for seconds in self._patience():
            self.until(self.loop.now_us + seconds * 1_000_000)
            self.tidy_links()
            if self.quiet():
                break
        else:
            raise Failure("liveness", self._unrest())
        self._late_edit()
        self._budget()

    def _patience(self) -> Iterator[int]:
        """For how long to wait for rest, in seconds at a time.

        Where two devices whose clocks are ahead exchanged edits, only the one that made them can stamp them again, and
        nobody refuses them to it: others take them from the second one when their time has come.
        """
        yield from [1] * 600
        for minute in range(400 if self._clocks_are_exchanged else 0):
            refused = any(
                device.disk.outbox_count(peer.replica)[1] for device in self.devices for peer in device.disk.peers()
            )
            if not refused and not (minute and any(unread.reasons(device.disk) for device in self.devices)):
                return
            yield 60

    @property
    def _clocks_are_exchanged(self) -> bool:
        """Whether devices whose clocks are set trade edits, and times, without the relay."""
        return self.scenario.neighbours > 0 and "device_clock" in self.scenario.faults

    def _late_edit(self) -> None:
        """One more edit reaches everybody on the sessions that are open, before any keepalive."""
        self._edit(self.devices[0], self.workload.edit)
        # A clock that was set during the session shows when stamps are refused, and is corrected a minute later; where
        # others took its time over, or theirs is told through it, some more minutes later.
        patience = 9 if "device_clock" in self.scenario.faults else 1
        limit = _LATE_EDIT_US_MAX * (36 if self._clocks_are_exchanged else patience)
        if self.scenario.quotas:  # what one edit makes may take some days
            limit += 5 * limits.QUOTA_DAY_US
        self.until(self.loop.now_us + limit)
        if "device_clock" in self.scenario.faults:  # a session may be beginning anew at this very moment
            for _ in range(_RECONNECT_S):
                if not self.quiet():
                    self.until(self.loop.now_us + 1_000_000)
        if not self.quiet() and not self._unsettled(standing=False):  # a session that can store no cursor begins anew
            self.until(self.loop.now_us + _BEGINS_ANEW_US)
        if not self.quiet():
            raise Failure("liveness", f"a late edit has not spread in {limit} us: {self._unrest()}")

    def quiet(self) -> bool:
        """Whether everybody is connected, caught up and settled, over links that are well again."""
        if any(link.ailing(self.loop.now_us) for link in self.links):
            return False
        hosts = self._hosts().values()
        return all(host.alive and host.hub.idle for host in hosts) and not self._unsettled()

    def _hosts(self) -> dict[str, Host]:
        """The relay, and the devices that listen, by name."""
        listening = {device.name: device.host for device in self.devices if device.host is not None}
        return {"the relay": self.relay, **listening}

    def _unsettled(self, *, standing: bool = True) -> list[str]:
        """Who is not settled with whom; without `standing`, sessions that can store no cursor need not have any."""
        return [
            f"{device.name} with {url_of(name)}"
            for device in self.devices
            for name in device.partners
            if not any(talk.name == name and self._settled(device, talk, standing) for talk in device.conversations)
        ]

    def _settled(self, device: Device, talk: Watched, standing: bool) -> bool:
        head = self.disk_at(url_of(talk.name)).head()
        partner = talk.partner
        waits = device.disk.outbox_count(partner) != (0, 0) or bool(unread.of(unread.known(device.disk), partner))
        return talk.is_settled and not waits and (talk.cursor == head or not (standing or talk.partner_seen.stands))

    def _unrest(self) -> str:
        lines = [f"after healing there is no rest: {self._unsettled()}, relay idle: {self.relay.hub.idle}"]
        for device in self.devices:
            lines += [
                f"{device.name} with {url_of(talk.name)}: {talk.state} "
                f"cursor {talk.cursor} of {self.disk_at(url_of(talk.name)).head()} "
                f"settled {talk.is_settled} open {talk.link is not None and talk.link.open} "
                f"pending {device.disk.outbox_count(talk.partner)}"
                for talk in device.conversations
            ]
        return "\n".join(lines)

    def _budget(self) -> None:
        edits = max(self.ledger.count, 10)
        total = self.bytes + sum(link.bytes for link in self.links)
        if total > edits * len(self.devices) * _BYTES_PER_EDIT_MAX:
            raise Failure("storm", f"{total} bytes for {edits} edits on {len(self.devices)} devices")


_EXPORTED_TOML = {CLIENTS.collection: CLIENTS.to_toml().encode()}
_SCHEMAS_TOML = {schema.collection: schema.to_toml().encode() for schema in (FIRST, *SCHEMAS)}


@contextmanager
def _rare_collections() -> Iterator[None]:
    """A run makes many small objects and little garbage in cycles: it is looked for when the world is gone."""
    before = gc.get_threshold()
    gc.set_threshold(_COLLECTED_EVERY, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def drawn_secrets(seed: int) -> Iterator[None]:
    """Nonces and the like are drawn while the block runs, so that a seed is one run."""
    with patch("secrets.token_bytes", random.Random(f"secrets/{seed}").randbytes):
        yield


@contextmanager
def _heard_logs(failed: Callable[[str], None]) -> Iterator[None]:
    """Nothing is logged while the block runs; what the shipped code says of its own failures is told."""

    def hear(_: Any, __: str, event: MutableMapping[str, Any]) -> NoReturn:
        if event["event"] in _OWN_FAILURES:
            failed(f"{event['event']}: {event.get('exc_info')!r}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[hear], cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)


def simulate(scenario: Scenario, keep_trace: bool = False) -> Outcome:
    """Run one scenario to its end."""
    with _rare_collections(), drawn_secrets(scenario.seed):
        return _simulated(scenario, Trace(keep_trace))


def _world(scenario: Scenario, trace: Trace) -> World:
    if not scenario.people:
        return World(scenario, trace)
    from crdt_bench.simulator.people.world import PeopleWorld  # noqa: PLC0415 - which is one of these

    return PeopleWorld(scenario, trace)


def _simulated(scenario: Scenario, trace: Trace) -> Outcome:
    trace.note(0, "world", scenario.describe())
    failure: Failure | None = None
    with scaled(scenario.scales), transitions.enforced() as moves:
        world = _world(scenario, trace)
        try:
            with _heard_logs(lambda what: world.fail(Failure("exception", what))):
                world.run()
        except Failure as found:
            failure = found
        except Exception as error:
            failure = Failure("exception", f"{type(error).__name__}: {error}")
            failure.__cause__ = error
    failure = moves[0] if moves else failure
    if failure is not None:
        trace.note(world.loop.now_us, "world", f"FAILURE {failure}")
    world.tidy_links()
    frames = world.frames + sum(link.frames for link in world.links)
    total = world.bytes + sum(link.bytes for link in world.links)
    world.loop.close()
    http_links.forget()
    world.beside.close()
    return Outcome(
        scenario,
        failure,
        trace.digest,
        world.loop.callbacks,
        world.ledger.count,
        frames,
        total,
        world.loop.now_us,
        tuple(trace.lines or ()),
    )
