"""What a server sends as one message is, byte for byte, what the library would have sent."""

import pytest
from websockets.frames import Frame, Opcode

from crdt_sync.runtime.transports.websocket import Wires

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
