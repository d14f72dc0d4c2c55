"""One device: its disk, its clock, its lives, and the loops that keep it in sync with the relay and its neighbours.

Mirrors `crdt_sync.runtime.client.keep_syncing_forever` for each partner: one session at a time, back-off between them.
A second session over the same replica can be opened beside it, as `sync_once` does. A device that others know also
hosts sessions; see `hub_host`.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crdt_bench.simulator.conversation import Conversation
from crdt_bench.simulator.disk import Disk
from crdt_bench.simulator.hub_host import HubHost
from crdt_bench.simulator.network import Link, Weather
from crdt_bench.simulator.scheduler import Host, Scheduler
from crdt_bench.simulator.schemas import COLLECTION
from crdt_sync.errors import StoreError
from crdt_sync.protocol.backoff import Backoff
from crdt_sync.protocol.effects import Acknowledge, Closed
from crdt_sync.protocol.states import State
from crdt_sync.records import Schema
from crdt_sync.replica import Event, Replica

_OPEN_AGAIN_US = 1_000_000  # after a failure of its own disk, the app comes back this much later


Way = tuple[Link, bytes | None]
"""A link to a partner, and the replica id of one that is a device."""


@dataclass(slots=True)
class Clock:
    """A device's wall clock: virtual time, shifted and drifting. Microseconds, and parts per million."""

    base: int
    skew: int = 0
    drift_ppm: int = 0

    def read(self, now: int) -> int:
        """The wall clock at virtual time `now`."""
        return self.base + now + self.skew + now * self.drift_ppm // 1_000_000


class Life(Host):
    """From one start of the app to its crash."""


class DeviceHost:
    """One device. It connects within `connects_within` microseconds of each start, by `open_link`.

    `listen` makes the host of a device that listens, over its replica; None: it does not.
    """

    def __init__(
        self,
        name: str,
        scheduler: Scheduler,
        disk: Disk,
        clock: Clock,
        seed: str,
        latency_max: int,
        connects_within: int,
        open_link: Callable[["DeviceHost", str], Way | None],
        listen: Callable[["DeviceHost"], HubHost] | None,
        ended: Callable[["DeviceHost", Closed | StoreError], None],
        edited: Callable[[Sequence[Event]], None],
        acknowledged: Callable[["DeviceHost", Conversation, Acknowledge], None],
    ) -> None:
        self.name = name
        self.disk = disk
        self.clock = clock
        self.weather = Weather()
        self.conversations: list[Conversation] = []
        self._scheduler = scheduler
        self._seed = seed
        self._rng = random.Random(f"{seed}/{name}")
        self._latency_max = latency_max
        self._connects_within = connects_within
        self._open_link = open_link
        self._listen = listen
        self.host: HubHost | None = None
        self.partners: list[str] = []  # whom it dials
        self._ended = ended
        self._edited = edited
        self._acknowledged = acknowledged
        self.lives = 0
        self.life = Life()
        self.replica: Replica = self.start()

    def start(self, randomness: str | None = None) -> Replica:
        """The app starts on what the disk holds. `randomness`: that of another device, which it repeats."""
        self.lives += 1
        self.collides = randomness is not None  # in this life, another device may have the same writer id
        self.life = Life()
        self._backoffs = {name: Backoff(self._rng) for name in self.partners}
        self.randomness = randomness or f"{self._seed}/{self.name}/{self.lives}"
        rng = random.Random(self.randomness)
        self.replica = Replica.over(self.disk, lambda: self.clock.read(self._scheduler.now), rng)
        self.replica.shared_schemas.open()
        self.replica.subscribe(self._edited)
        if self.listens:
            self._scheduler.after(0, self.life, self._begin_to_listen)
        for name in self.partners:
            self._scheduler.after(self._rng.randint(0, self._connects_within), self.life, self.connect, name)
        return self.replica

    @property
    def listens(self) -> bool:
        """Whether it accepts sessions while it runs."""
        return self._listen is not None

    def _begin_to_listen(self) -> None:
        assert self._listen is not None
        self.host = self._listen(self)

    def befriend(self, name: str) -> None:
        """From now on it dials that partner, too."""
        self.partners.append(name)
        self._backoffs[name] = Backoff(self._rng)
        self._scheduler.after(self._rng.randint(0, self._connects_within), self.life, self.connect, name)

    @property
    def greeting(self) -> bool:
        """Whether a session has begun and not been answered yet."""
        return any(talk.dialer.state is State.GREETING for talk in self.conversations)

    def crash(self, disk: Disk | None = None) -> None:
        """The process is gone. What the disk holds, or `disk` in its place, is what the next start finds."""
        self.life.alive = False
        if self.host is not None:
            self.host.die()
            self.host = None
        for conversation in self.conversations:
            conversation.stop()
            conversation.link.cut()
        self.conversations = []
        found = disk or self.disk.clone()
        self.disk.close()
        self.disk = found

    @property
    def schema(self) -> Schema:
        """What the app knows of customers."""
        return self.replica.schemas[COLLECTION]

    @property
    def running(self) -> bool:
        """Whether the app runs."""
        return self.life.alive

    def connect(self, name: str) -> None:
        """Open a session; when there is no way to the partner, try again later."""
        way = self._open_link(self, name)
        if way is None:
            self._scheduler.after(self._backoffs[name].delay_us(0), self.life, self.connect, name)
            return
        link, device = way
        try:
            self.conversations.append(
                Conversation(
                    name,
                    device,
                    self.replica,
                    self._scheduler,
                    link,
                    self._rng,
                    self._latency_max,
                    self._over,
                    self._acknowledge,
                )
            )
        except StoreError:
            link.cut()
            self._scheduler.after(_OPEN_AGAIN_US, self.life, self.connect, name)

    def _acknowledge(self, conversation: Conversation, effect: Acknowledge) -> None:
        self._acknowledged(self, conversation, effect)

    def _over(self, conversation: Conversation, reason: Closed | StoreError) -> None:
        name = conversation.name
        if conversation in self.conversations:
            self.conversations.remove(conversation)
        if conversation.caught_up:
            self._backoffs[name].succeeded()
        self._ended(self, reason)
        if not self.life.alive or any(talk.name == name for talk in self.conversations):
            return  # a second session was open beside this one: it carries on
        if isinstance(reason, StoreError):
            self._scheduler.after(_OPEN_AGAIN_US, self.life, self.connect, name)
        else:
            delay = self._backoffs[name].delay_us(reason.retry_after_us)
            self._scheduler.after(delay, self.life, self.connect, name)
