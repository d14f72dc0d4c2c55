"""A websocket client reduced to what a load generator needs, so that it is not what is measured.

Frames go out masked with the key zero, which leaves the bytes as they are; frames come in whole, unfragmented.
"""

import asyncio
import base64
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from crdt_sync.protocol import SUBPROTOCOL

_BINARY = 0x82
_CLOSE, _PING, _PONG = 0x88, 0x89, 0x8A


def client_frame(payload: bytes, kind: int = _BINARY) -> bytes:
    """`payload` as one websocket frame from a client, a binary one unless another `kind` is given."""
    size = len(payload)
    if size < 126:
        head = bytes((kind, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((kind, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((kind, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + bytes(4) + payload


class Connection(asyncio.Protocol):
    """One websocket. Payloads are handed to `on_payload` once that is set, and kept until then."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.on_payload: Callable[[bytes], object] | None = None
        self._early: deque[bytes] = deque()
        self._upgraded = asyncio.get_running_loop().create_future()
        self._receiving: asyncio.Future[bytes] | None = None
        self.lost = asyncio.Event()  # set when the link has ended
        self._open = False
        self._buffer = b""

    @classmethod
    async def open(cls, port: int, path: str = "/", subprotocol: str | None = SUBPROTOCOL) -> "Connection":
        """Connect to this machine and upgrade. Raises `ConnectionError` when that is refused."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        key = base64.b64encode(os.urandom(16)).decode("ascii")
        offered = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
        connection.transport.write(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{offered}\r\n".encode("ascii")
        )
        with connection.or_ended():
            await connection._upgraded
        return connection

    @contextmanager
    def or_ended(self) -> Iterator[None]:
        """What is done to open it; if that is given up or fails, the connection is ended."""
        try:
            yield
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """End the connection at once, unless it has ended."""
        if not self.lost.is_set():
            self.transport.abort()

    def send(self, payload: bytes) -> None:
        """Send one binary frame."""
        self.transport.write(client_frame(payload))

    async def receive(self) -> bytes:
        """The next payload. Not to be mixed with `on_payload`. Raises `ConnectionError` when the link ends first."""
        if self._early:
            return self._early.popleft()
        if self.lost.is_set():
            raise ConnectionError("the connection was closed")
        waiting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._receiving = waiting

        def arrived(payload: bytes) -> None:
            self.on_payload = None
            if not waiting.done():
                waiting.set_result(payload)

        self.on_payload = arrived
        return await waiting

    def listen(self, on_payload: Callable[[bytes], object]) -> None:
        """From now on, hand every payload to `on_payload`."""
        self.on_payload = on_payload
        while self._early:
            on_payload(self._early.popleft())

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        buffer = self._buffer + data if self._buffer else data
        if not self._open:
            head, end, rest = buffer.partition(b"\r\n\r\n")
            if not end:
                self._buffer = buffer
                return
            if self._upgraded.done():
                return  # nobody waits for it any more
            if not head.startswith(b"HTTP/1.1 101"):
                self._upgraded.set_exception(ConnectionError(head.decode("latin-1").splitlines()[0]))
                return
            self._open = True
            self._upgraded.set_result(None)
            buffer = rest
        self._buffer = self._take(buffer)

    def _take(self, buffer: bytes) -> bytes:
        """Hand on every whole frame; returns what is left."""
        position, end = 0, len(buffer)
        while end - position >= 2:
            size, start = buffer[position + 1], position + 2
            if size == 126:
                size, start = int.from_bytes(buffer[start : start + 2], "big"), start + 2
            elif size == 127:
                size, start = int.from_bytes(buffer[start : start + 8], "big"), start + 8
            if end < start + size:
                break
            opcode = buffer[position]
            position = start + size
            if opcode == _CLOSE:
                self.transport.close()
            elif opcode == _PING:
                self.transport.write(client_frame(buffer[start:position], _PONG))
            elif self.on_payload is None:
                self._early.append(buffer[start:position])
            else:
                self.on_payload(buffer[start:position])
        return buffer[position:]

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the event loop."""
        self.lost.set()
        for waiting in (self._upgraded, self._receiving):
            if waiting is not None and not waiting.done():
                waiting.set_exception(error or ConnectionError("the connection was closed"))
                waiting.exception()  # nobody may have asked yet, or ever ask
