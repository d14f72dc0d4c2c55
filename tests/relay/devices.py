"""Relays on free ports, and devices that speak the protocol by hand, so that they can also speak it wrongly."""

import asyncio
import itertools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import pycrdt
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from crdt_relay.server import Relay
from crdt_relay.settings import Settings
from crdt_sync.protocol import SUBPROTOCOL, codec
from crdt_sync.protocol.messages import (
    Ack,
    Bye,
    Changes,
    Hello,
    Message,
    Push,
    PushEntry,
    Resume,
    Updates,
    VerdictCode,
    Want,
    WantEntry,
    Welcome,
)
from crdt_sync.protocol.versions import GREETING
from crdt_sync.records import Document, values_of
from crdt_sync.storage.lmdb import LmdbStore

M = TypeVar("M", bound=Message)
PATIENCE_S = 60.0  # a busy machine; nothing waits this long when all is well
_identities = itertools.count(1)


def update(marker: object, padding: int = 0) -> bytes:
    """An update that needs no other: one more entry in the log field `seen`."""
    document: pycrdt.Doc[Any] = pycrdt.Doc(client_id=next(_identities))
    document.get("l.seen", type=pycrdt.Array).append([[marker, "x" * padding], 1_000_000, "anna"])
    return document.get_update()


def seen(updates: Sequence[bytes]) -> set[object]:
    """The markers of the updates that a record holds."""
    entries: Any = values_of(Document.load(updates), None).get("seen", [])
    return {entry["value"][0] for entry in entries}


def stored_markers(data: Path) -> dict[str, set[object]]:
    """By record, the markers that a stopped store holds."""
    with LmdbStore.open(data) as store:
        return {record: seen(store.load(record).updates) for record in store.records("", 1_000_000)}


@asynccontextmanager
async def running(
    data: Path, *, send_timeout_s: float = 60.0, keep_spare: bool = False, **settings: Any
) -> AsyncIterator[Relay]:
    """A relay in this event loop, stopped at the end. Its worker has no spare: most tests never need another."""
    chosen = Settings(**{"data": data, "port": 0, "metrics": False, **settings})
    relay = await Relay.start(chosen, send_timeout_s=send_timeout_s, keep_spare=keep_spare)
    try:
        yield relay
    finally:
        if not relay.engine.stopped:
            await relay.stop()


class Device:
    """A websocket to a relay. `replica` is random."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket
        self.replica = os.urandom(16)
        self.received: list[Message] = []
        self._pushed = 0

    @classmethod
    async def open(cls, url: str, *, small_buffers: bool = False, **options: Any) -> Self:
        """Connect, without a word."""
        if small_buffers:
            host, port = url.removeprefix("ws://").split(":")
            link = socket.socket()
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            link.connect((host, int(port)))
            options |= {"sock": link, "max_queue": 1}
        return cls(
            await connect(
                url,
                **{
                    "subprotocols": [Subprotocol(SUBPROTOCOL)],
                    "compression": None,
                    "ping_interval": None,
                    "proxy": None,
                    "max_size": None,
                    "close_timeout": 1,
                    **options,
                },
            )
        )

    @classmethod
    async def join(
        cls, url: str, *, token: str = "", follow: bool = True, resume: Resume | None = None, **options: Any
    ) -> Self:
        """Connect, be welcomed, and read to the end of the feed if that is empty for us."""
        device = await cls.open(url, **options)
        await device.hello(token=token, follow=follow, resume=resume)
        await device.expect(Welcome)
        return device

    async def hello(
        self,
        *,
        token: str = "",
        follow: bool = True,
        resume: Resume | None = None,
        versions: Sequence[int] = (GREETING,),
    ) -> None:
        """Say hello."""
        await self.send(Hello(tuple(versions), self.replica, token, time.time_ns() // 1000, resume, follow, 0, "test"))

    async def send(self, message: Message) -> None:
        await self.websocket.send(codec.encode(message))

    async def receive(self) -> Message:
        async with asyncio.timeout(PATIENCE_S):
            frame = await self.websocket.recv()
        assert isinstance(frame, bytes)
        message = codec.decode(frame)
        self.received.append(message)
        return message

    async def expect(self, kind: type[M]) -> M:
        """The next message of this kind; others before it are kept in `received`."""
        while True:
            message = await self.receive()
            if isinstance(message, kind):
                return message
            assert not isinstance(message, Bye), message

    async def bye(self) -> Bye:
        """The bye that the relay sends before it closes the link."""
        while True:
            message = await self.receive()
            if isinstance(message, Bye):
                await asyncio.wait_for(self.websocket.wait_closed(), PATIENCE_S)
                return message

    async def push(self, *entries: tuple[str, bytes]) -> int:
        """Send one push, without waiting for its answer; returns its number."""
        self._pushed += 1
        await self.send(Push(self._pushed, tuple(PushEntry(*entry) for entry in entries)))
        return self._pushed

    async def store(self, *entries: tuple[str, bytes]) -> list[VerdictCode]:
        """Push and return the verdicts."""
        number = await self.push(*entries)
        verdicts: list[VerdictCode] = []
        while True:
            ack = await self.expect(Ack)
            verdicts += [verdict.code for verdict in ack.verdicts]
            if ack.number >= number:
                return verdicts[-len(entries) :]

    async def catch_up(self) -> dict[str, list[bytes]]:
        """Fetch everything the feed lists, and return the updates by record."""
        fetched: dict[str, list[bytes]] = {}
        while True:
            message = await self.receive()
            if isinstance(message, Changes):
                if not message.entries:
                    return fetched
                wanted = tuple(WantEntry(entry.record, b"\x00") for entry in message.entries)
                await self.send(Want(message.page, wanted))
            elif isinstance(message, Updates):
                for entry in message.entries:
                    fetched.setdefault(entry.record, []).append(entry.update)

    async def close(self) -> None:
        with suppress(ConnectionClosed):
            await self.websocket.close()

    async def drop(self) -> None:
        """Go without a word."""
        self.websocket.transport.abort()
        await asyncio.wait_for(self.websocket.wait_closed(), PATIENCE_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def eventually(what: str, reached: Any) -> None:
    """Return once `reached()` is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline, f"never came: {what}"
        await asyncio.sleep(0.005)


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key; a skip where there is no openssl."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("needs the command openssl")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    return certificate, key


class Load:
    """A device that pushes as fast as it may until its link ends, and remembers what was acknowledged."""

    def __init__(self, name: str, records: int = 9) -> None:
        self.name = name
        self.records = records
        self.acknowledged: dict[str, set[object]] = {}

    @property
    def count(self) -> int:
        return sum(len(markers) for markers in self.acknowledged.values())

    async def run(self, url: str, token: str = "") -> None:
        """Push until the link ends, however it ends."""
        sent: list[tuple[str, str]] = []
        with suppress(ConnectionClosed, OSError, EOFError, InvalidHandshake):
            device = await Device.join(url, follow=False, token=token)
            pouring = asyncio.create_task(self._pour(device, sent))
            try:
                await self._read(device, sent)
            finally:
                pouring.cancel()
                await asyncio.gather(pouring, return_exceptions=True)
                await device.drop()

    async def _pour(self, device: Device, sent: list[tuple[str, str]]) -> None:
        for number in itertools.count():
            record, marker = f"customers/{self.name}{number % self.records}", f"{self.name}-{number}"
            sent.append((record, marker))
            await device.push((record, update(marker)))
            await asyncio.sleep(0)  # sending does not wait while there is room, and others have work too

    async def _read(self, device: Device, sent: list[tuple[str, str]]) -> None:
        answered = 0
        while True:
            message = await device.receive()
            if not isinstance(message, Ack):
                continue
            for verdict in message.verdicts:
                record, marker = sent[answered]
                answered += 1
                if verdict.code is VerdictCode.ACCEPTED:
                    self.acknowledged.setdefault(record, set()).add(marker)
