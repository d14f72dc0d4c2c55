"""Bare clients of Yjs servers: they flood one, follow it, fill it, and fetch all that it has."""

import asyncio
import random
import resource
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import uvloop

from crdt_bench.child import hear, say
from crdt_bench.contents import contents
from crdt_bench.load.connection import Connection, client_frame
from crdt_bench.load.dialects import DIALECTS, Dialect
from crdt_bench.load.flood import rounds_of
from crdt_bench.load.updates import COLLECTION, EditedRecord
from crdt_sync import ids
from crdt_sync.clock import HybridClock
from crdt_sync.records import bundled_schema
from crdt_sync.records.updates.update import scan

_Item = TypeVar("_Item")
_PRESENT_EVERY_S = 15.0  # as their clients do
_AT_ONCE = 50  # documents that are filled or fetched at a time


def flooded(
    dialect: str, port: int, writers: int, frames: int, edits: int, window: int, rounds: int, wall_clock: int
) -> None:
    """Child: as many writers, each of a document of its own that one more client has open.

    A round for each message of the parent: each writer sends `frames` updates of `edits` edits each, and has at most
    `window` of them under way to the other client. Answers with seconds.
    """
    uvloop.run(_flooded(DIALECTS[dialect], port, writers, frames, edits, window, rounds, wall_clock))


async def _flooded(
    dialect: Dialect, port: int, writers: int, frames: int, edits: int, window: int, rounds: int, wall_clock: int
) -> None:
    made = [_edited(number, wall_clock) for number in range(writers)]
    prepared = iter([[_frames(dialect, one, frames, edits) for one in made] for _ in range(rounds)])
    flows = [
        Flow(
            await opened(dialect, port, one.record),
            [Reader(dialect, await opened(dialect, port, one.record), one.writer)],
            window,
            edits,
        )
        for one in made
    ]
    await rounds_of(lambda: [flow.run(part) for flow, part in zip(flows, next(prepared), strict=True)])


def fanned_out(
    dialect: str, port: int, followers: int, updates: int, window: int, rounds: int, wall_clock: int
) -> None:
    """Child: one writer, and as many clients that have its document open; the first of them says how far it may go.

    Answers each round with seconds until all have all, and the frames that the updates came in.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(_fanned_out(DIALECTS[dialect], port, followers, updates, window, rounds, wall_clock))


async def _fanned_out(
    dialect: Dialect, port: int, followers: int, updates: int, window: int, rounds: int, wall_clock: int
) -> None:
    one = _edited(0, wall_clock)
    prepared = iter([_frames(dialect, one, updates, 1) for _ in range(rounds)])
    writer = await opened(dialect, port, one.record)
    readers = [Reader(dialect, await opened(dialect, port, one.record), one.writer) for _ in range(followers)]
    flow = Flow(writer, readers, window, 1)
    loop = asyncio.get_running_loop()
    say("ready")
    while await loop.run_in_executor(None, hear) is not None:
        before = sum(reader.frames for reader in readers)
        begun = time.perf_counter()
        await flow.run(next(prepared))
        say((time.perf_counter() - begun, sum(reader.frames for reader in readers) - before))


def _edited(seed: int, wall_clock: int) -> EditedRecord:
    return EditedRecord(random.Random(seed), bundled_schema(COLLECTION), HybridClock(lambda: wall_clock))


def _frames(dialect: Dialect, edited: EditedRecord, frames: int, edits: int) -> deque[bytes]:
    return deque([client_frame(dialect.update(edited.record, edited.next_update(edits))) for _ in range(frames)])


async def opened(dialect: Dialect, port: int, document: str) -> Connection:
    """A connection on which that document is opened."""
    connection = await Connection.open(port, dialect.path(document), None)
    for payload in dialect.opening(document):
        connection.send(payload)
    _stay(connection, dialect.presence(document))
    return connection


def _stay(connection: Connection, payload: bytes) -> None:
    """A client that says nothing for a minute is taken for gone, also one that only reads."""
    if not connection.lost.is_set():
        connection.send(payload)
        asyncio.get_running_loop().call_later(_PRESENT_EVERY_S, _stay, connection, payload)


class Reader:
    """A client that has a document open which one writer edits; how many of the operations it has."""

    def __init__(self, dialect: Dialect, connection: Connection, writer: int) -> None:
        self._dialect = dialect
        self._connection = connection
        self._writer = writer
        self._awaited = 0
        self._reached: asyncio.Future[None] | None = None
        self.clock = 0
        self.frames = 0
        self.moved = _nothing
        connection.listen(self._take)

    def _take(self, payload: bytes) -> None:
        update = self._dialect.update_in(payload)
        if update is None:
            return
        self.frames += 1
        self.clock = max(self.clock, _end(update, self._writer))
        self.moved()
        if self._reached is not None and self.clock >= self._awaited:
            self._reached.set_result(None)
            self._reached = None

    async def reaches(self, clock: int) -> None:
        """Return when all operations below `clock` have come. Raises `ConnectionError`."""
        if self.clock >= clock:
            return
        self._awaited, self._reached = clock, asyncio.get_running_loop().create_future()
        lost: asyncio.Future[Any] = asyncio.ensure_future(self._connection.lost.wait())
        awaited: set[asyncio.Future[Any]] = {self._reached, lost}
        try:
            done, _ = await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()
        if lost in done:
            raise ConnectionError("the server closed the connection")


def _nothing() -> None: ...


_last: tuple[bytes, int] = (b"", 0)


def _end(update: bytes, writer: int) -> int:
    """Behind the last operation of that writer. Many readers get the same bytes one after the other."""
    global _last  # noqa: PLW0603 - what many readers share
    if update != _last[0]:
        _last = update, scan(update).clients[writer][1]
    return _last[1]


class Flow:
    """One writer, its readers, and at most `window` frames that the first of them does not have yet."""

    def __init__(self, connection: Connection, readers: Sequence[Reader], window: int, edits: int) -> None:
        self._connection = connection
        self._readers = readers
        self._window = window
        self._edits = edits
        self._ends: deque[int] = deque()  # the operations that the first reader has when a frame has come
        self._frames: deque[bytes] = deque()
        self._clock = 0
        readers[0].moved = self._go_on
        connection.listen(lambda _: None)

    async def run(self, frames: deque[bytes]) -> None:
        """Send all; returns when all readers have all."""
        self._frames = frames
        end = self._clock + self._edits * len(frames) + (0 if self._clock else 1)  # the first edit names the record
        self._go_on()
        await asyncio.gather(*(reader.reaches(end) for reader in self._readers))

    def _go_on(self) -> None:
        seen = self._readers[0].clock
        while self._ends and self._ends[0] <= seen:
            self._ends.popleft()
        sent = []
        while self._frames and len(self._ends) < self._window:
            self._clock += self._edits + (0 if self._clock else 1)
            self._ends.append(self._clock)
            sent.append(self._frames.popleft())
        if sent:
            self._connection.transport.write(b"".join(sent))


def filled(dialect: str, port: int, documents: int) -> None:
    """Child: give the server as many documents of 1 to 2 KB, and wait until it sent each of them back."""
    names, templates = _names(documents), contents(3)
    updates = [(name, templates[number % len(templates)].update) for number, name in enumerate(names)]
    chosen = DIALECTS[dialect]

    async def give(connection: Connection, document: tuple[str, bytes]) -> None:
        name, update = document
        connection.send(chosen.update(name, update))
        await _told(chosen, connection, name)

    say("ready")
    hear()
    uvloop.run(_each(chosen, port, updates, lambda one: one[0], give))
    say("done")


def fetched(dialect: str, port: int, documents: int, patience_s: float, record: str = "") -> None:
    """Child: for each message of the parent, fetch the documents that `filled` gave, or that one `record`.

    Answers with seconds, and with how many of them came: what does not come in that many seconds is not there.
    """
    chosen = DIALECTS[dialect]
    names = [record] if record else _names(documents)
    came = 0

    async def fetch(connection: Connection, name: str) -> None:
        nonlocal came
        try:
            async with asyncio.timeout(patience_s):
                await _told(chosen, connection, name)
        except TimeoutError:
            return
        came += 1

    say("ready")
    while hear() is not None:
        begun, came = time.perf_counter(), 0
        uvloop.run(_each(chosen, port, names, lambda name: name, fetch))
        say((time.perf_counter() - begun, came))


def kept(dialect: str, port: int, writers: int, edits: int, patience_s: float) -> None:
    """Child: how many edits of one round of `flooded` come to an empty client within so many seconds."""
    say("ready")
    hear()
    say(uvloop.run(_kept(DIALECTS[dialect], port, writers, edits, patience_s)))


async def _kept(dialect: Dialect, port: int, writers: int, edits: int, patience_s: float) -> int:
    made = [_edited(number, 0) for number in range(writers)]
    readers = [Reader(dialect, await opened(dialect, port, one.record), one.writer) for one in made]
    with suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            await asyncio.gather(*(reader.reaches(edits + 1) for reader in readers))
    return sum(max(0, reader.clock - 1) for reader in readers)  # the first edit is two operations


def _names(documents: int) -> list[str]:
    rng = random.Random(3)
    return [ids.new_record(COLLECTION, rng) for _ in range(documents)]


async def _told(dialect: Dialect, connection: Connection, document: str) -> None:
    """Return when the server has sent something that is in that document."""
    while True:
        payload = await connection.receive()
        if dialect.is_of(document, payload) and dialect.update_in(payload) is not None:
            return


async def _each(
    dialect: Dialect,
    port: int,
    items: Sequence[_Item],
    name: Callable[[_Item], str],
    work: Callable[[Connection, _Item], Coroutine[None, None, None]],
) -> None:
    """Open a document for each item and do the work, some at a time: on a connection each where one carries no more."""
    waiting = deque(items)

    async def in_turn() -> None:
        connection = None
        while waiting:
            item = waiting.popleft()
            if connection is None:
                connection = await Connection.open(port, dialect.path(name(item)), None)
            for payload in dialect.opening(name(item)):
                connection.send(payload)
            await work(connection, item)
            if not dialect.multiplexed:
                connection.transport.close()
                connection = None
        if connection is not None:
            connection.transport.close()

    await asyncio.gather(*(in_turn() for _ in range(_AT_ONCE)))
