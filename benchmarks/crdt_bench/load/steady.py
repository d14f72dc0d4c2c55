"""Many devices that follow while one pushes at a steady rate: how long each update takes to each of them."""

import asyncio
import random
import resource
import time
from collections.abc import Sequence
from itertools import accumulate

import uvloop

from crdt_bench.child import hear, say
from crdt_bench.load.connection import Connection, client_frame
from crdt_bench.load.flood import Acknowledged, greeted
from crdt_bench.load.following import Follower, update_bytes
from crdt_bench.load.updates import Device
from crdt_bench.statistics import percentile
from crdt_sync import ids

_SHARES = (0.5, 0.95, 0.99, 1.0)


def followed(port: int, followers: int, rate: float, updates: int, records: int, rounds: int, wall_clock: int) -> None:
    """Child: a round for each message of the parent, of as many updates, `rate` a second.

    Answers with the seconds from the moment at which an update was due to its arrival: p50, p95, p99 and the most,
    over all updates and followers.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(_followed(port, followers, rate, updates, records, rounds, wall_clock))


async def _followed(
    port: int, followers: int, rate: float, updates: int, records: int, rounds: int, wall_clock: int
) -> None:
    device = Device(1, records, wall_clock)
    pushes = [[device.push(1) for _ in range(updates)] for _ in range(rounds)]
    ends = [0, *accumulate(update_bytes(push) for prepared in pushes for push in prepared)]  # by the log's numbers
    writer = await greeted(port, device.replica, wall_clock)
    writer.listen(Acknowledged(1, writer.send))
    rng = random.Random(7)
    following = [await TimedFollower.open(port, ids.new_replica(rng), wall_clock, ends) for _ in range(followers)]
    loop = asyncio.get_running_loop()
    prepared = iter([[client_frame(push) for push in frames] for frames in pushes])
    head = 0
    say("ready")
    while await loop.run_in_executor(None, hear) is not None:
        due = await _pace(writer, next(prepared), rate)
        first, head = head + 1, head + updates
        await asyncio.gather(*(follower.reaches(head) for follower in following))
        delays = [delay for follower in following for delay in follower.delays(first, due)]
        say([percentile(delays, share) for share in _SHARES])


def broadcast(port: int, followers: int, rate: float, updates: int, rounds: int, frame_bytes: int) -> None:
    """Child: the same over a bare server that sends each frame to all others, and knows nothing of what it sends."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(_broadcast(port, followers, rate, updates, rounds, frame_bytes))


async def _broadcast(port: int, followers: int, rate: float, updates: int, rounds: int, frame_bytes: int) -> None:
    writer = await Connection.open(port)
    listening = [Listening(await Connection.open(port)) for _ in range(followers)]
    loop = asyncio.get_running_loop()
    frames = [client_frame(bytes(frame_bytes))] * updates
    say("ready")
    for _ in range(rounds):
        if await loop.run_in_executor(None, hear) is None:
            return
        arriving = [listener.next(updates) for listener in listening]
        due = await _pace(writer, frames, rate)
        delays = [
            moment - at for moments in await asyncio.gather(*arriving) for moment, at in zip(moments, due, strict=True)
        ]
        say([percentile(delays, share) for share in _SHARES])
    await loop.run_in_executor(None, hear)


class Listening:
    """Notes when each frame came."""

    def __init__(self, connection: Connection) -> None:
        self._moments: list[float] = []
        self._all: asyncio.Future[list[float]] | None = None
        self._expected = 0
        connection.listen(self._came)

    def next(self, count: int) -> asyncio.Future[list[float]]:
        """When each of the next frames comes, once they have."""
        self._moments, self._expected = [], count
        self._all = asyncio.get_running_loop().create_future()
        return self._all

    def _came(self, _: bytes) -> None:
        self._moments.append(time.perf_counter())
        if self._all is not None and len(self._moments) == self._expected:
            self._all.set_result(self._moments)


async def _pace(writer: Connection, frames: Sequence[bytes], rate: float) -> list[float]:
    """Send the frames at an even pace, whatever the relay does meanwhile; when each was due."""
    started = time.perf_counter()
    due = [started + number / rate for number in range(len(frames))]
    for moment, frame in zip(due, frames, strict=True):
        await asyncio.sleep(max(0.0, moment - time.perf_counter()))
        writer.transport.write(frame)
    return due


class TimedFollower(Follower):
    """A follower that notes when it reached which place of the log."""

    def __init__(self, connection: Connection, ends: Sequence[int]) -> None:
        super().__init__(connection, ends)
        self._reached_at: list[tuple[int, float]] = []

    def moved(self, cursor: int) -> None:
        """Note the moment."""
        self._reached_at.append((cursor, time.perf_counter()))

    def delays(self, first: int, due: Sequence[float]) -> list[float]:
        """From the moment at which each update from the number `first` on was due to its arrival; then forget them."""
        delays: list[float] = []
        for cursor, moment in self._reached_at:
            delays += [moment - due[number] for number in range(len(delays), cursor - first + 1)]
        self._reached_at.clear()
        return delays
