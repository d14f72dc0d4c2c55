"""A device reduced to its sessions: it holds no records, but connects, catches up and waits as the product does."""

import asyncio
import random
import time

from crdt_bench.load.connection import Connection
from crdt_sync import ids
from crdt_sync.protocol import codec
from crdt_sync.protocol.backoff import Backoff
from crdt_sync.protocol.messages import (
    Bye,
    Changes,
    Hello,
    Message,
    Ping,
    Pong,
    Resume,
    Updates,
    Want,
    WantEntry,
    Welcome,
)
from crdt_sync.protocol.versions import GREETING


class StormDevice:
    """One device. `run` never ends; `live` is set while it has caught up and follows."""

    def __init__(self, port: int, rng: random.Random) -> None:
        self._port = port
        self._replica = ids.new_replica(rng)
        self._backoff = Backoff(rng)
        self._resume: Resume | None = None
        self._retry_after_us: int | None = None
        self._connection: Connection | None = None
        self.live = asyncio.Event()
        self.attempts = 0  # to connect since the last cut
        self.live_at = 0.0
        self.heard: set[str] = set()  # records of which updates arrived

    async def run(self) -> None:
        """Connect again and again, with the product's backoff."""
        while True:
            self.attempts += 1
            self._retry_after_us = None
            try:
                connection = self._connection = await Connection.open(self._port)
                await self._catch_up(connection)
                connection.listen(lambda payload: self._take(codec.decode(payload)))
                self._backoff.succeeded()
                self.live_at = time.monotonic()
                self.live.set()
                await connection.lost.wait()
            except OSError:
                pass
            finally:
                self.live.clear()
                if self._connection is not None:
                    self._connection.transport.abort()
            await asyncio.sleep(self._backoff.delay_us(self._retry_after_us) / 1e6)

    def cut(self) -> None:
        """The link ends without a word."""
        self.live.clear()
        if self._connection is not None:
            self._connection.transport.abort()

    async def _catch_up(self, connection: Connection) -> None:
        now = time.time_ns() // 1000
        connection.send(codec.encode(Hello((GREETING,), self._replica, "", now, self._resume, True, 0, "crdt-bench")))
        while True:
            message = codec.decode(await connection.receive())
            if isinstance(message, Welcome):
                known = self._resume or Resume(message.epoch, 0, 0)
                self._resume = Resume(message.epoch, known.cursor, max(known.head, message.head))
            elif isinstance(message, Changes) and not message.entries:
                return
            elif isinstance(message, Changes):
                wanted = tuple(WantEntry(entry.record, b"\x00") for entry in message.entries)
                connection.send(codec.encode(Want(message.page, wanted)))
            self._take(message)

    def _take(self, message: Message) -> None:
        match message:
            case Ping(number) if self._connection is not None:
                self._connection.send(codec.encode(Pong(number)))
            case Bye(retry_after_ms=after):
                self._retry_after_us = (after or 0) * 1000
            case Updates(entries=entries, cursor=cursor):
                self.heard.update(entry.record for entry in entries)
                if cursor is not None and self._resume is not None:
                    self._resume = Resume(self._resume.epoch, cursor, max(self._resume.head, cursor))
