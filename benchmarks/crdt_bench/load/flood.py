"""Floods a server from many connections, each with a bounded number of frames in flight."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine

import uvloop

from crdt_bench.child import hear, say
from crdt_bench.load.connection import Connection, client_frame
from crdt_bench.load.updates import Device
from crdt_sync.ids import Space
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import Ack, Hello, Ping, Pong, Terms, Verdict, VerdictCode, Welcome
from crdt_sync.protocol.terms import terms_of
from crdt_sync.protocol.versions import VERSIONS


class UnexpectedAnswer(Exception):
    """The server answered something that makes the measurement void."""


class Flow:
    """One connection's share of a round: `frames` to send, `window` of them unanswered at most."""

    def __init__(self, connection: Connection, window: int, answered: Callable[[bytes], int]) -> None:
        self._connection = connection
        self._window = window
        self._answered = answered
        self._frames: deque[bytes] = deque()
        self._missing = 0
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        connection.listen(self._receive)

    async def run(self, frames: deque[bytes]) -> None:
        """Send all frames; returns when every one was answered."""
        self._frames, self._missing = frames, len(frames)
        self._done = asyncio.get_running_loop().create_future()
        self._send(self._window)
        await self._done

    def _send(self, room: int) -> None:
        frames = self._frames
        self._connection.transport.write(b"".join([frames.popleft() for _ in range(min(room, len(frames)))]))

    def _receive(self, payload: bytes) -> None:
        try:
            answered = self._answered(payload)
        except UnexpectedAnswer as error:
            if not self._done.done():
                self._done.set_exception(error)
            return
        self._missing -= answered
        if self._frames:
            self._send(answered)
        if not self._missing and not self._done.done():
            self._done.set_result(None)


def forwarded(port: int, connections: int, frames: int, frame_bytes: int, window: int) -> None:
    """Child: flood the forwarder of `crdt_bench.floor`; a round for each message of the parent."""
    uvloop.run(_forwarded(port, connections, frames, frame_bytes, window))


async def _forwarded(port: int, connections: int, frames: int, frame_bytes: int, window: int) -> None:
    flows = [Flow(await Connection.open(port, f"/{n}"), window, lambda _: 1) for n in range(connections)]
    frame = client_frame(bytes(frame_bytes))
    await rounds_of(lambda: [flow.run(deque([frame] * frames)) for flow in flows])


def pushed(
    port: int,
    connections: int,
    frames: int,
    updates: int,
    records: int,
    window: int,
    rounds: int,
    wall_clock: int,
    record: str | None = None,
    edits: int = 1,
) -> None:
    """Child: flood a relay with pushes of `updates` updates of `edits` edits, made before the first round begins.

    Each device has as many `records` of its own, or all have the one `record`.
    """
    uvloop.run(_pushed(port, connections, frames, updates, records, window, rounds, wall_clock, record, edits))


async def _pushed(
    port: int,
    connections: int,
    frames: int,
    updates: int,
    records: int,
    window: int,
    rounds: int,
    wall_clock: int,
    record: str | None,
    edits: int,
) -> None:
    devices = [Device(updates * 1000 + number, records, wall_clock, record) for number in range(connections)]
    prepared = iter(
        [
            [deque([client_frame(device.push(updates, edits)) for _ in range(frames)]) for device in devices]
            for _ in range(rounds)
        ]
    )
    opened = [await greeted(port, device.replica, wall_clock) for device in devices]
    flows = [Flow(connection, window, Acknowledged(updates, connection.send)) for connection in opened]
    await rounds_of(lambda: [flow.run(part) for flow, part in zip(flows, next(prepared), strict=True)])


class Acknowledged:
    """Counts the pushes that an acknowledgement answers, and insists that every update was stored; `seq` is where.

    Pings are answered by `send`.
    """

    def __init__(self, updates: int, send: Callable[[bytes], None]) -> None:
        self._updates = updates
        self._send = send

    def __call__(self, payload: bytes) -> int:
        """How many pushes `payload` acknowledges."""
        message = codec.decode(payload)
        if isinstance(message, Ping):
            self._send(codec.encode(Pong(message.number)))
            return 0
        if not isinstance(message, Ack) or any(
            verdict.code is not VerdictCode.ACCEPTED for verdict in message.verdicts
        ):
            raise UnexpectedAnswer(str(_refusals(message) or message)[:500])
        return len(message.verdicts) // self._updates


async def greeted(port: int, replica: bytes, wall_clock: int, follow: bool = False) -> Connection:
    """A connection behind the handshake and the terms, which only pushes unless `follow` is given."""
    connection = await Connection.open(port)
    with connection.or_ended():
        connection.send(codec.encode(Hello(VERSIONS, replica, "", wall_clock, None, follow, 0, "crdt-bench")))
        answer = codec.decode(await connection.receive())
        if not isinstance(answer, Welcome):
            raise UnexpectedAnswer(str(answer)[:500])
        terms = codec.decode(await connection.receive(), version=answer.version)
        if not isinstance(terms, Terms):
            raise UnexpectedAnswer(str(terms)[:500])
        connection.send(codec.encode(terms_of(Space(terms.space, joined=True), replica), answer.version))
    return connection


async def rounds_of(flows: Callable[[], list[Coroutine[None, None, None]]]) -> None:
    """Child: run one round for each message of the parent and tell its seconds."""
    loop = asyncio.get_running_loop()
    say("ready")
    while await loop.run_in_executor(None, hear) is not None:
        started = time.perf_counter()
        await asyncio.gather(*flows())
        say(time.perf_counter() - started)


def _refusals(message: object) -> list[Verdict]:
    """What an acknowledgement did not accept."""
    verdicts = message.verdicts if isinstance(message, Ack) else ()
    return [verdict for verdict in verdicts if verdict.code is not VerdictCode.ACCEPTED]
