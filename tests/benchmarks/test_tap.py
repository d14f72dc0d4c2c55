"""The tap: frames are cut out exactly, however the bytes arrive, and round trips are counted as a device feels them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_bench.load.connection import client_frame
from crdt_bench.tap import TO_DEVICE, TO_RELAY, Frame, Parser, Record
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import Ping, Presence, PresenceEntry

UPGRADE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
MEDIUM = codec.encode(Presence(tuple(PresenceEntry(f"customers/{n}", "anna") for n in range(20))))
CLOSE = b"\x88\x80\x00\x00\x00\x00"


def masked(payload: bytes, key: bytes) -> bytes:
    """One client frame with a mask that changes the bytes."""
    head = client_frame(payload)[: -len(payload) - 4]
    return head + key + bytes(byte ^ mask for byte, mask in zip(payload, itertools.cycle(key), strict=False))


@given(st.lists(st.integers(1, 400), max_size=20))
def test_frames_are_found_wherever_the_bytes_are_cut(cuts: list[int]) -> None:
    frames = [masked(codec.encode(Ping(1)), b"\x01\x02\x03\x04"), client_frame(MEDIUM), CLOSE]
    stream = UPGRADE + b"".join(frames)
    parser = Parser(TO_RELAY)
    found: list[Frame] = []
    for cut in [*cuts, len(stream)]:
        found += parser.feed(stream[:cut])
        stream = stream[cut:]
    assert [(frame.message, frame.size) for frame in found] == [
        ("Ping", len(frames[0])),
        ("Presence", len(frames[1])),
        ("", len(frames[2])),
    ]
    assert parser.upgrade_bytes == len(UPGRADE)


def test_a_large_server_frame_is_one_frame() -> None:
    payload = codec.encode(Presence(tuple(PresenceEntry("customers/" + "x" * 70, "a" * 64) for _ in range(64))))
    assert 126 < len(payload) < 1 << 16
    frame = b"\x82\x7e" + len(payload).to_bytes(2, "big") + payload
    assert Parser(TO_DEVICE).feed(UPGRADE + frame) == [Frame(TO_DEVICE, "Presence", len(frame))]


def record(*messages: tuple[str, str]) -> Record:
    return Record(tuple(Frame(direction, message, 10) for direction, message in messages), 100)


@pytest.mark.parametrize(
    ("messages", "trips"),
    [
        ((), 0),
        (((TO_RELAY, "Hello"),), 0),
        (((TO_RELAY, "Hello"), (TO_DEVICE, "Welcome"), (TO_DEVICE, "Changes"), (TO_RELAY, "Bye")), 1),
        (
            (
                (TO_RELAY, "Hello"),
                (TO_DEVICE, "Welcome"),
                (TO_RELAY, "Want"),
                (TO_RELAY, "Want"),
                (TO_DEVICE, "Updates"),
                (TO_RELAY, "Have"),
            ),
            2,
        ),
        (((TO_RELAY, "Hello"), (TO_DEVICE, "Welcome"), (TO_RELAY, ""), (TO_DEVICE, "")), 1),
        (((TO_RELAY, "Hello"), (TO_DEVICE, "Welcome"), (TO_RELAY, "Terms"), (TO_DEVICE, "Changes")), 1),
    ],
)
def test_a_round_trip_is_a_question_and_its_answer(messages: tuple[tuple[str, str], ...], trips: int) -> None:
    assert record(*messages).round_trips == trips


def test_the_shape_tells_who_said_what() -> None:
    told = record((TO_RELAY, "Hello"), (TO_DEVICE, "Welcome"), (TO_DEVICE, "Changes"), (TO_RELAY, "Bye"))
    assert told.shape() == "Hello > Welcome Changes | Bye"
    assert told.frame_bytes == 40
