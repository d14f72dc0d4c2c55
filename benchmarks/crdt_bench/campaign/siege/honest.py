"""Honest devices beside an attack: each pushes one update a second, and comes back at once when it is thrown out."""

import asyncio
import random
import time
from collections import deque
from contextlib import suppress

import uvloop

from crdt_bench.child import hear, say
from crdt_bench.load.connection import Connection
from crdt_bench.load.flood import UnexpectedAnswer, greeted
from crdt_bench.load.updates import EditedRecord
from crdt_sync import ids
from crdt_sync.clock import HybridClock
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import Ack, Ping, Pong, Push, PushEntry
from crdt_sync.records import bundled_schema
from crdt_sync.verdicts import VerdictCode

_COLLECTION = "customers"
_INTERVAL_S = 1.0
_RETURN_S = 0.2  # between an end and the next attempt
_OPEN_S_MAX = 10.0
_LAST_S = 5.0  # for the last acknowledgements


def devices(port: int, count: int, seed: int) -> None:
    """Child: begins at the parent's first message and answers the second with times of pushes, refusals and ends, and
    the updates of each record that were acknowledged.
    """
    uvloop.run(_devices(port, count, seed))


async def _devices(port: int, count: int, seed: int) -> None:
    rng = random.Random(seed)
    all_of_them = [_Honest(port, random.Random(rng.random()), number / count) for number in range(count)]
    say("ready")
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, hear)
    begun = time.monotonic()
    tasks = [asyncio.create_task(device.run(begun)) for device in all_of_them]
    say(begun)
    await loop.run_in_executor(None, hear)
    for device in all_of_them:
        device.ending = True
    await asyncio.gather(*tasks)
    say(
        {
            "pushes": [push for device in all_of_them for push in device.pushes()],
            "refused": sum(device.refused for device in all_of_them),
            "thrown_out": sum(device.thrown_out for device in all_of_them),
            "acknowledged": [(device.record, [each.hex() for each in device.acknowledged]) for device in all_of_them],
        }
    )


class _Honest:
    """One device with a record of its own. `offset` of a second after the others' beginning it makes its pushes."""

    def __init__(self, port: int, rng: random.Random, offset: float) -> None:
        self._port = port
        self._offset = offset
        self._replica = ids.new_replica(rng)
        clock = HybridClock(lambda: time.time_ns() // 1000)
        self._edited = EditedRecord(rng, bundled_schema(_COLLECTION), clock)
        self._pending: deque[tuple[float, bytes]] = deque()  # due and not acknowledged
        self._unsent = 0  # of those, at the end of the queue
        self._times: list[tuple[float, float]] = []
        self._connection: Connection | None = None
        self._number = 0
        self.refused = self.thrown_out = 0
        self.acknowledged: list[bytes] = []  # updates
        self.ending = False

    @property
    def record(self) -> str:
        """The record that it edits."""
        return self._edited.record

    def pushes(self) -> list[tuple[float, float | None]]:
        """When each push was due, and how long it took."""
        return [*self._times, *((due, None) for due, _ in self._pending)]

    async def run(self, begun: float) -> None:
        """Push until the end, and wait a moment for the last answers."""
        self._begun = begun
        keeping = asyncio.create_task(self._keep_connected())
        number = 0
        while not self.ending:
            due = number * _INTERVAL_S + self._offset * _INTERVAL_S
            await asyncio.sleep(max(0.0, begun + due - time.monotonic()))
            self._pending.append((due, self._edited.next_update()))
            self._unsent += 1
            self._send()
            number += 1
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_S):
                while self._pending:
                    await asyncio.sleep(0.05)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    async def _keep_connected(self) -> None:
        while True:
            with suppress(OSError, UnexpectedAnswer, TimeoutError):
                async with asyncio.timeout(_OPEN_S_MAX):
                    connection = await greeted(self._port, self._replica, time.time_ns() // 1000)
                self._number, self._unsent, self._connection = 0, len(self._pending), connection
                connection.listen(self._take)
                self._send()
                await connection.lost.wait()
                self._connection = None
                self.thrown_out += 1
            await asyncio.sleep(_RETURN_S)

    def _send(self) -> None:
        while self._connection is not None and self._unsent:
            update = self._pending[-self._unsent][1]
            self._unsent -= 1
            self._number += 1
            self._connection.send(codec.encode(Push(self._number, (PushEntry(self._edited.record, update),))))

    def _take(self, payload: bytes) -> None:
        match codec.decode(payload):
            case Ping(number) if self._connection is not None:
                self._connection.send(codec.encode(Pong(number)))
            case Ack(verdicts=verdicts):
                now = time.monotonic() - self._begun
                for verdict in verdicts:
                    due, update = self._pending.popleft()
                    self._times.append((due, now - due))
                    self.refused += verdict.code is not VerdictCode.ACCEPTED
                    if verdict.code is VerdictCode.ACCEPTED:
                        self.acknowledged.append(update)
