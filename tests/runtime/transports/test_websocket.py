"""What a server sends as one message is, byte for byte, what the library would have sent."""

import asyncio

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side

from crdt_sync.runtime.transports.arrivals import Arrivals
from crdt_sync.runtime.transports.websocket import WebsocketChannel, Wires

SIZES = [0, 1, 125, 126, 65_535, 65_536, 200_000]


@pytest.mark.parametrize("size", SIZES)
def test_a_message_is_framed_as_the_library_does_it(size: int) -> None:
    message = bytes(size)
    wire = Wires().wire(message)
    assert wire == Frame(Opcode.BINARY, message).serialize(mask=False)


def test_a_message_that_is_sent_to_many_is_framed_once() -> None:
    wires = Wires()
    message, other = bytes(range(200)), bytes(200)
    first = wires.wire(message)
    assert wires.wire(message) is first
    assert wires.wire(other) != first
    assert wires.wire(message) == first


def test_of_a_large_message_nothing_is_kept() -> None:
    wires = Wires()
    message = bytes(1 << 20)
    assert wires.wire(message) is not wires.wire(message)


class Wire(asyncio.Transport):
    """A transport that keeps what is written, until it `fails`."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.fails = self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.fails:
            raise RuntimeError("it is closed")
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


def served(said: bytes, *, closed: bool = False, closing: bool = False, fails: bool = False) -> bytes:
    """What is written by a server that sends a message after its library has said that."""

    async def serve() -> bytes:
        wire = Wire()
        connection = Arrivals(Protocol(Side.SERVER))
        connection.connection_made(wire)
        channel = WebsocketChannel(connection)
        wire.closing, wire.fails = closing, fails
        if said:
            connection.protocol.send_ping(said)
        if closed:
            connection.protocol.send_close(1000)
            connection.send_data()
        channel.send(b"message")
        return wire.written

    return asyncio.run(serve())


def test_a_message_comes_after_what_the_library_has_to_say() -> None:
    ping, message = (
        Frame(opcode, data).serialize(mask=False) for opcode, data in ((Opcode.PING, b"p"), (Opcode.BINARY, b"message"))
    )
    assert served(b"") == message
    assert served(b"p") == ping + message


def test_nothing_follows_a_close_and_a_link_that_is_gone_ends_nothing() -> None:
    assert b"message" not in served(b"", closed=True)
    assert served(b"", closing=True) == b""
    assert served(b"", fails=True) == b""
