"""One device: its disk, its clock, its lives, and the loop that keeps it in sync.

Mirrors `crdt_sync.runtime.client.keep_syncing_forever`: one session at a time, back-off between them. A second
session over the same replica can be opened beside it, as `sync_once` does.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.simulator.conversation import Conversation
from benchmarks.simulator.disk import Disk
from benchmarks.simulator.network import Link, Weather
from benchmarks.simulator.scheduler import Host, Scheduler
from benchmarks.simulator.schemas import COLLECTION
from crdt_sync.errors import StoreError
from crdt_sync.protocol.backoff import Backoff
from crdt_sync.protocol.effects import Acknowledge, Closed
from crdt_sync.protocol.states import State
from crdt_sync.records import Schema
from crdt_sync.replica import Event, Replica

_OPEN_AGAIN_US = 1_000_000  # after a failure of its own disk, the app comes back this much later


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
    """One device. It connects within `connects_within` microseconds of each start, by `open_link`."""

    def __init__(
        self,
        name: str,
        scheduler: Scheduler,
        disk: Disk,
        clock: Clock,
        seed: str,
        latency_max: int,
        connects_within: int,
        open_link: Callable[["DeviceHost"], Link | None],
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
        self.backoff = Backoff(self._rng)
        self.randomness = randomness or f"{self._seed}/{self.name}/{self.lives}"
        rng = random.Random(self.randomness)
        self.replica = Replica.over(self.disk, lambda: self.clock.read(self._scheduler.now), rng)
        self.replica.subscribe(self._edited)
        self._scheduler.after(self._rng.randint(0, self._connects_within), self.life, self.connect)
        return self.replica

    @property
    def greeting(self) -> bool:
        """Whether a session has begun and not been answered yet."""
        return any(talk.dialer.state is State.GREETING for talk in self.conversations)

    def crash(self, disk: Disk | None = None) -> None:
        """The process is gone. What the disk holds, or `disk` in its place, is what the next start finds."""
        self.life.alive = False
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

    def connect(self) -> None:
        """Open a session; when there is no way to the relay, try again later."""
        link = self._open_link(self)
        if link is None:
            self._scheduler.after(self.backoff.delay_us(0), self.life, self.connect)
            return
        try:
            self.conversations.append(
                Conversation(
                    self.replica, self._scheduler, link, self._rng, self._latency_max, self._over, self._acknowledge
                )
            )
        except StoreError:
            link.cut()
            self._scheduler.after(_OPEN_AGAIN_US, self.life, self.connect)

    def _acknowledge(self, conversation: Conversation, effect: Acknowledge) -> None:
        self._acknowledged(self, conversation, effect)

    def _over(self, conversation: Conversation, reason: Closed | StoreError) -> None:
        if conversation in self.conversations:
            self.conversations.remove(conversation)
        if conversation.caught_up:
            self.backoff.succeeded()
        self._ended(self, reason)
        if self.conversations or not self.life.alive:
            return  # a second session was open beside this one: it carries on
        if isinstance(reason, StoreError):
            self._scheduler.after(_OPEN_AGAIN_US, self.life, self.connect)
        else:
            self._scheduler.after(self.backoff.delay_us(reason.retry_after_us), self.life, self.connect)
