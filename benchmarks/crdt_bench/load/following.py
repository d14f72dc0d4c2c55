"""Many devices that follow one relay while one of them pushes. Bare, and spending as little as they can."""

import asyncio
import random
import resource
import time
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from typing import Self

import uvloop

from crdt_bench.child import hear, say
from crdt_bench.load.connection import Connection, client_frame
from crdt_bench.load.flood import UnexpectedAnswer, greeted
from crdt_bench.load.updates import Device
from crdt_sync import ids
from crdt_sync.protocol import codec
from crdt_sync.protocol.codec import CHECKSUM_BYTES
from crdt_sync.protocol.messages import Ack, Changes, Have, Ping, Pong, Push, Updates, VerdictCode

_CONFIRM_BYTES = 16 * 1024  # of updates: after so many, a follower says what it has stored


def fan_out(port: int, followers: int, updates: int, records: int, window: int, rounds: int, wall_clock: int) -> None:
    """Child: a round for each message of the parent: updates as fast as they are acknowledged, until all have all.

    Answers with seconds, and the frames that the updates came in.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(_fan_out(port, followers, updates, records, window, rounds, wall_clock))


async def _fan_out(
    port: int, followers: int, updates: int, records: int, window: int, rounds: int, wall_clock: int
) -> None:
    device = Device(1, records, wall_clock)
    pushes = [[device.push(1) for _ in range(updates)] for _ in range(rounds)]
    ends = [0, *accumulate(update_bytes(push) for prepared in pushes for push in prepared)]  # by the log's numbers
    writer = await greeted(port, device.replica, wall_clock)
    rng = random.Random(7)
    following = [await Follower.open(port, ids.new_replica(rng), wall_clock, ends) for _ in range(followers)]
    loop = asyncio.get_running_loop()
    prepared = iter([deque(map(client_frame, frames)) for frames in pushes])
    say("ready")
    while await loop.run_in_executor(None, hear) is not None:
        before = sum(follower.frames for follower in following)
        begun = time.perf_counter()
        head = await _push(writer, next(prepared), window)
        await asyncio.gather(*(follower.reaches(head) for follower in following))
        say((time.perf_counter() - begun, sum(follower.frames for follower in following) - before))


def update_bytes(push: bytes) -> int:
    """The bytes of the updates of a push."""
    message = codec.decode(push)
    assert isinstance(message, Push)
    return sum(len(entry.update) for entry in message.entries)


async def _push(writer: Connection, frames: deque[bytes], window: int) -> int:
    """Push all, a window of them unanswered; the log's number of the last."""
    done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    missing = len(frames)

    def send(room: int) -> None:
        writer.transport.write(b"".join([frames.popleft() for _ in range(min(room, len(frames)))]))

    def acknowledged(payload: bytes) -> None:
        nonlocal missing
        message = codec.decode(payload)
        if isinstance(message, Ping):
            writer.send(codec.encode(Pong(message.number)))
            return
        if not isinstance(message, Ack) or any(
            verdict.code is not VerdictCode.ACCEPTED for verdict in message.verdicts
        ):
            done.set_exception(UnexpectedAnswer(str(message)[:500]))
            return
        missing -= len(message.verdicts)
        send(len(message.verdicts))
        if not missing:
            done.set_result(message.verdicts[-1].seq)

    writer.listen(acknowledged)
    send(window)
    return await done


class Follower:
    """One device that follows. It reads no further into a frame than to its cursor, and confirms now and then.

    `ends` are the bytes of updates up to each number of the log.
    """

    def __init__(self, connection: Connection, ends: Sequence[int]) -> None:
        self.frames = 0
        self._connection = connection
        self._ends = ends
        self._cursor = self._confirmed = self._awaited = 0
        self._reached: asyncio.Future[None] | None = None

    @classmethod
    async def open(cls, port: int, replica: bytes, wall_clock: int, ends: Sequence[int]) -> Self:
        """A device that has everything, which is nothing yet, and waits for more."""
        connection = await greeted(port, replica, wall_clock, follow=True)
        message = codec.decode(await connection.receive())
        if not isinstance(message, Changes) or message.entries:
            raise UnexpectedAnswer(str(message)[:500])
        follower = cls(connection, ends)
        connection.listen(follower._take)
        return follower

    async def reaches(self, cursor: int) -> None:
        """Return when everything up to `cursor` has come."""
        if self._cursor < cursor:
            self._awaited, self._reached = cursor, asyncio.get_running_loop().create_future()
            await self._reached

    def moved(self, cursor: int) -> None:
        """Called whenever a frame has led to another place of the log."""

    def _take(self, payload: bytes) -> None:
        if not payload.startswith(_LIVE_UPDATES, CHECKSUM_BYTES):
            message = codec.decode(payload)
            if isinstance(message, Ping):
                self._connection.send(codec.encode(Pong(message.number)))
            return
        place = CHECKSUM_BYTES + len(_LIVE_UPDATES)
        first = payload[place]
        size = _INTEGER_BYTES.get(first, 0)
        self._cursor = cursor = int.from_bytes(payload[place + 1 : place + 1 + size], "big") if size else first
        self.frames += 1
        self.moved(cursor)
        if self._ends[cursor] - self._ends[self._confirmed] >= _CONFIRM_BYTES:
            self._confirmed = cursor
            self._connection.send(codec.encode(Have(cursor, self._ends[cursor])))
        if self._reached is not None and cursor >= self._awaited:
            self._reached.set_result(None)
            self._reached = None


_LIVE_UPDATES = codec.encode(Updates(0, 1, 1, True, ()))[CHECKSUM_BYTES:][:3]  # an array of six, the type, page 0
_INTEGER_BYTES = {24: 1, 25: 2, 26: 4, 27: 8}  # that follow the first byte of a CBOR integer
