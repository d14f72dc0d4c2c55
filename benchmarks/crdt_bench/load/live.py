"""Two devices on one relay: one pushes an update every few milliseconds, the other follows. Both bare."""

import asyncio
import time

import uvloop

from crdt_bench.child import hear, say
from crdt_bench.load.connection import Connection, client_frame
from crdt_bench.load.flood import UnexpectedAnswer, greeted
from crdt_bench.load.updates import Device
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import Ack, Changes, Updates


def edits(port: int, rate: float, updates: int, records: int, rounds: int, wall_clock: int) -> None:
    """Child: a round for each message of the parent; answers with the seconds from push to delivery of each."""
    uvloop.run(_edits(port, rate, updates, records, rounds, wall_clock))


async def _edits(port: int, rate: float, updates: int, records: int, rounds: int, wall_clock: int) -> None:
    loop = asyncio.get_running_loop()
    device = Device(1, records, wall_clock)
    prepared = iter([[client_frame(device.push(1)) for _ in range(updates)] for _ in range(rounds)])
    deliveries = Deliveries()
    writer = await greeted(port, device.replica, wall_clock)
    writer.listen(deliveries.acknowledged)
    reader = await greeted(port, Device(2, 1, wall_clock).replica, wall_clock, follow=True)
    reader.listen(deliveries)
    await deliveries.caught_up
    say("ready")
    while await loop.run_in_executor(None, hear) is not None:
        say(await _round(writer, deliveries, next(prepared), rate))


async def _round(writer: Connection, deliveries: "Deliveries", frames: list[bytes], rate: float) -> list[float]:
    """Send the frames at an even pace, whatever the relay does meanwhile; seconds from sending to delivery."""
    deliveries.begin(len(frames))
    started = time.perf_counter()
    sent = []
    for number, frame in enumerate(frames):
        await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
        sent.append(time.perf_counter())
        writer.transport.write(frame)
    await deliveries.complete
    return [arrived - moment for arrived, moment in zip(deliveries.moments, sent, strict=True)]


class Deliveries:
    """When each live update arrived; they come in the order in which one device pushed them."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.caught_up: asyncio.Future[None] = loop.create_future()
        self.complete: asyncio.Future[None] = loop.create_future()
        self.moments: list[float] = []
        self._expected = 0

    def begin(self, expected: int) -> None:
        """Wait for that many updates."""
        self.moments, self._expected = [], expected
        self.complete = asyncio.get_running_loop().create_future()

    def acknowledged(self, payload: bytes) -> None:
        """Take a frame that answers the device that pushes."""
        message = codec.decode(payload)
        if not isinstance(message, Ack) and not self.complete.done():
            self.complete.set_exception(UnexpectedAnswer(str(message)[:500]))

    def __call__(self, payload: bytes) -> None:
        """Take a frame for the device that follows."""
        now = time.perf_counter()
        match codec.decode(payload):
            case Changes(entries=()) if not self.caught_up.done():
                self.caught_up.set_result(None)
            case Updates(entries=entries):
                self.moments += [now] * len(entries)
                if len(self.moments) >= self._expected and not self.complete.done():
                    self.complete.set_result(None)
