"""One device: its disk, its clock, and its lives, in each of which the shipped loops keep it in sync with its partners.

A second session over the same replica can be opened beside them, as `sync_once` does. A device that others know also
hosts sessions.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from crdt_bench.simulator.channels import LinkChannel
from crdt_bench.simulator.checkers import bounds
from crdt_bench.simulator.disk import Disk
from crdt_bench.simulator.hosts import Host, Machine
from crdt_bench.simulator.http_links import HttpLink
from crdt_bench.simulator.network import TO_DIALER, TO_HOST, Link, Weather
from crdt_bench.simulator.schemas import COLLECTION
from crdt_bench.simulator.virtual_loop import Process, VirtualLoop
from crdt_sync.errors import CrdtSyncError, StoreError, Unreachable
from crdt_sync.protocol.effects import Acknowledge, Closed, Effect
from crdt_sync.protocol.states import State
from crdt_sync.records import Schema
from crdt_sync.replica import Event, Replica
from crdt_sync.replica.partner import Partner
from crdt_sync.runtime.address import Address
from crdt_sync.runtime.auditing import audit_once, heal_once
from crdt_sync.runtime.audits import Audit
from crdt_sync.runtime.client import keep_syncing_forever
from crdt_sync.runtime.conversation import Conversation, Until
from crdt_sync.runtime.hosting.engine import Engine
from crdt_sync.runtime.listening import hosting
from crdt_sync.runtime.outside import Outside
from crdt_sync.runtime.presence import PresenceBoard
from crdt_sync.runtime.transports.channel import Opened

RELAY = ""
"""The name of the relay among the partners of a device; the others are devices."""

_OPEN_AGAIN_US = 1_000_000  # after a failure of its own disk, the app comes back this much later

Way = tuple[Link | HttpLink, bytes | None]
"""A link to a partner, and the replica id of one that is a device."""


def url_of(name: str) -> str:
    """The address of a partner."""
    return f"ws://{name or 'relay'}"


@dataclass(slots=True)
class Clock:
    """A device's wall clock: virtual time, shifted and drifting. Microseconds, and parts per million."""

    base: int
    skew: int = 0
    drift_ppm: int = 0

    def read(self, now: int) -> int:
        """The wall clock at virtual time `now`."""
        return self.base + now + self.skew + now * self.drift_ppm // 1_000_000


@dataclass(frozen=True, slots=True)
class Around:
    """What the world gives a device, and what it wants to hear from it."""

    open_link: Callable[["Device", str], Way | None]
    ended: Callable[["Device", Closed | CrdtSyncError], None]
    edited: Callable[[Sequence[Event]], None]
    acknowledged: Callable[["Device", "Watched", Acknowledge], None]
    failed: Callable[[Exception], None]


class Watched(Conversation):
    """The shipped conversation, seen from outside. It does nothing by itself."""

    def __init__(self, device: "Device", name: str, *arguments: Any, outside: Outside, **named: Any) -> None:
        super().__init__(*arguments, outside=replace(outside, open_channel=self._open), **named)
        self.name = name
        self.link: Link | HttpLink | None = None
        self._device = device

    @property
    def partner_seen(self) -> Partner:
        """The partner, as the replica sees it."""
        return self._partner

    @property
    def state(self) -> State | None:
        """Of the session, once it has begun."""
        return self._dialer.state if self._dialer is not None else None

    @property
    def is_settled(self) -> bool:
        """Whether everything known on both sides was exchanged."""
        return self._dialer is not None and self._dialer.settled and not self._work and not self._committing

    @property
    def epoch(self) -> bytes:
        """The partner's epoch in this session."""
        return self._partner.standing.epoch

    def cut(self) -> None:
        """The network ends its link."""
        if self.link is not None:
            self.link.cut()

    def go_deaf(self, direction: int) -> None:
        """From now on what is sent in a direction of its link vanishes."""
        if self.link is not None:
            self.link.go_deaf(direction)

    async def run(self, until: Until) -> None:
        """See `Conversation.run`."""
        try:
            await super().run(until)
        except CrdtSyncError as error:
            if self in self._device.conversations:
                self._device.over(self, self._closed or error)
            raise
        finally:
            if self in self._device.conversations:
                self._device.conversations.remove(self)
            if isinstance(self.link, HttpLink):
                self.link.leave()

    async def _open(self, address: Address) -> Opened:
        way = self._device.way_to(self.name)
        if way is None:
            raise Unreachable(f"there is no way to {address.url} now", "Try again later.")
        link, replica = way
        self.link = link
        self._device.conversations.append(self)
        channel = LinkChannel(link, TO_HOST) if isinstance(link, Link) else await link.open_channel()
        return Opened(channel, address.token, replica)

    async def _screened(self, effects: list[Effect]) -> tuple[list[Effect], dict[str, str]]:
        for effect in effects:
            if isinstance(effect, Acknowledge):
                self._device.acknowledged(self, effect)
        return await super()._screened(effects)

    def _pump(self) -> None:
        super()._pump()
        if self.link is not None:
            bounds.check_device(self.link.name, self._work)


class Device:
    """One device. It connects within `connects_within` microseconds of each start. `listens`: others may dial it.

    `renews`: it renews what has grown by itself.
    """

    talking = Watched

    def __init__(
        self,
        name: str,
        loop: VirtualLoop,
        disk: Disk,
        clock: Clock,
        seed: str,
        machine: Machine,
        connects_within: int,
        around: Around,
        *,
        listens: bool,
        renews: bool,
    ) -> None:
        self.name = name
        self.disk = disk
        self.clock = clock
        self.listens = listens
        self._renews = renews
        self.weather = Weather()
        self.conversations: list[Watched] = []
        self.host: Host | None = None
        self.partners: list[str] = []  # whom it dials
        self.lives = 0
        self._loop = loop
        self._seed = seed
        self._machine = machine
        self._rng = random.Random(f"{seed}/{name}")
        self._connects_within = connects_within
        self._around = around
        self._process = loop.process(name)
        self.replica: Replica = self.start()

    # --- lives -----------------------------------------------------------------------------------------------

    def start(self, randomness: str | None = None) -> Replica:
        """The app starts on what the disk holds. `randomness`: that of another device, which it repeats."""
        self.lives += 1
        self.collides = randomness is not None  # in this life, another device may have the same writer id
        self._process = self._loop.process(self.name)
        self.randomness = randomness or f"{self._seed}/{self.name}/{self.lives}"
        rng = random.Random(self.randomness)
        self.replica = Replica.over(self.disk, lambda: self.clock.read(self._loop.now_us), rng)
        self.replica.context.renews = self._renews
        self.opened()
        if self.lives > 1:  # as a store of a release that shared no schemas; a new one meets its first partner empty
            self.replica.shared_schemas.open()
        self.replica.subscribe(self._around.edited)
        self.presence = PresenceBoard(self.name)
        if self.listens:
            self._begin(self._host, random.Random(f"host/{self.randomness}"))
        for name in self.partners:
            self._begin(self._keep_syncing, name)
        return self.replica

    def opened(self) -> None:
        """The replica is there, and nothing was done with it."""

    def hosts(self, engine: Engine) -> None:
        """Others may dial from here on."""

    def crash(self, disk: Disk | None = None) -> None:
        """The process is gone. What the disk holds, or `disk` in its place, is what the next start finds."""
        self._process.kill()
        if self.host is not None:
            self.host.die()
            self.host = None
        for talk in self.conversations:
            if talk.link is not None:
                talk.link.end_died(TO_DIALER)
        self.conversations = []
        found = disk or self.disk.clone()
        self.disk.close()
        self.disk = found

    @property
    def life(self) -> Process:
        """From the last start of the app to its crash."""
        return self._process

    @property
    def running(self) -> bool:
        """Whether the app runs."""
        return self._process.alive

    def act(self, work: Callable[[], Any]) -> Any:
        """Do something as the app."""
        return self._process.call(work)

    def _begin(self, work: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
        with self._loop.running():
            self._process.start(self._loop, self._reported(work, *arguments))

    async def _reported(self, work: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
        try:
            await work(*arguments)
        except Exception as error:
            self._around.failed(error)

    # --- sessions --------------------------------------------------------------------------------------------

    def befriend(self, name: str) -> None:
        """From now on it dials that partner, too."""
        self.partners.append(name)
        self._begin(self._keep_syncing, name)

    def connect(self, name: str) -> None:
        """Open a session beside those that are there."""
        self._begin(self._talk_once, name)

    @property
    def greeting(self) -> bool:
        """Whether a session has begun and not been answered yet."""
        return any(talk.state is State.GREETING for talk in self.conversations)

    @property
    def schema(self) -> Schema:
        """What the app knows of customers."""
        return self.replica.schemas[COLLECTION]

    def way_to(self, name: str) -> Way | None:
        """A new link to a partner, None where there is no way now."""
        return self._around.open_link(self, name)

    def over(self, talk: Watched, reason: Closed | CrdtSyncError) -> None:
        """A session has ended."""
        self.conversations.remove(talk)
        self._around.ended(self, reason)

    def acknowledged(self, talk: Watched, effect: Acknowledge) -> None:
        """A partner has acknowledged pushes, and the device is about to note it."""
        self._around.acknowledged(self, talk, effect)

    async def _keep_syncing(self, name: str) -> None:
        """As an app does: it comes back after a failure of its own disk."""
        await asyncio.sleep(self._rng.randint(0, self._connects_within) / 1e6)
        while True:
            try:
                await keep_syncing_forever(
                    self.replica,
                    self._address(name),
                    presence=self.presence if name == RELAY else None,
                    outside=self._machine.outside(),
                    converse=lambda *given, **named: self.talking(self, name, *given, **named),
                )
            except StoreError:
                await asyncio.sleep(_OPEN_AGAIN_US / 1e6)

    async def _talk_once(self, name: str) -> None:
        talk = self.talking(
            self, name, self.replica, self._address(name), lasting=True, outside=self._machine.outside()
        )
        with suppress(CrdtSyncError):  # the world has heard of it
            await talk.run(_for_ever)

    def audit(self, *, content: bool, heals: bool, audited: Callable[[Audit | CrdtSyncError], None]) -> None:
        """Begin an audit with the relay, in a session of its own; `audited` hears what it found, or why it ended."""
        self._begin(self._audit, content, heals, audited)

    async def _audit(self, content: bool, heals: bool, audited: Callable[[Audit | CrdtSyncError], None]) -> None:
        def converse(*given: Any) -> Watched:
            return self.talking(self, RELAY, *given, outside=self._machine.outside())

        try:
            if heals:
                mended = await heal_once(self.replica, self._address(RELAY), content=content, converse=converse)
                audited(mended.after)
            else:
                audited(await audit_once(self.replica, self._address(RELAY), content=content, converse=converse))
        except CrdtSyncError as error:
            audited(error)

    @staticmethod
    def _address(name: str) -> Address:
        return Address(url_of(name), direct=name != RELAY)

    async def _host(self, rng: random.Random) -> None:
        machine = replace(self._machine, rng=rng)
        async with hosting(self.replica, outside=machine.outside()) as engine:
            self.hosts(engine)
            self.host = Host(self._loop, self._process, engine, self.disk)
            await asyncio.Event().wait()


async def _for_ever(_: Conversation) -> None:
    await asyncio.Event().wait()
