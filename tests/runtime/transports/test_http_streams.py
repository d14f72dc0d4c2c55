"""Frames as a stream of bytes: whatever is cut, repeated or lost, they come once and in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.limits import HTTP_QUEUED_BYTES
from crdt_sync.runtime.transports.http.streams import FrameTooLarge, Incoming, OffsetUnknown, Outgoing


@given(st.lists(st.binary(max_size=40), max_size=20), st.data())
def test_parts_that_are_lost_repeated_or_half_taken_give_the_same_frames(
    frames: list[bytes], data: st.DataObject
) -> None:
    outgoing, incoming, came = Outgoing(), Incoming(), []
    for frame in frames:
        outgoing.put(frame)
    outgoing.end()
    while not incoming.ended:
        offset = outgoing.sent
        part = outgoing.take(data.draw(st.integers(1, 60), label="most"))
        fate = data.draw(st.sampled_from(["comes", "comes twice", "half comes", "is lost"]), label="the part")
        if fate != "is lost":
            incoming.feed(part[: len(part) // 2] if fate == "half comes" else part, offset)
        if fate == "comes twice":
            incoming.feed(part, offset)
        outgoing.resume(incoming.came)
        while (frame_taken := incoming.take()) is not None:
            came.append(frame_taken)
    assert came == frames
    assert outgoing.kept == 0
    assert incoming.take() is None


def test_offsets_that_cannot_be_are_refused() -> None:
    outgoing, incoming = Outgoing(), Incoming()
    outgoing.put(b"frame")
    part = outgoing.take(4)
    for wrong in (-1, 5):
        with pytest.raises(OffsetUnknown):
            outgoing.resume(wrong)
    outgoing.resume(4)
    with pytest.raises(OffsetUnknown):
        outgoing.resume(3)
    with pytest.raises(OffsetUnknown):
        incoming.feed(part, 1)
    assert incoming.came == 0


def test_a_frame_is_as_large_as_allowed_when_its_turn_comes() -> None:
    outgoing, incoming = Outgoing(), Incoming()
    incoming.limit = 5
    for frame in (b"hello", bytes(6), bytes(7)):
        outgoing.put(frame)
    incoming.feed(outgoing.take(1000), 0)
    assert incoming.take() == b"hello"
    incoming.limit = 6
    assert incoming.take() == bytes(6)
    with pytest.raises(FrameTooLarge):
        incoming.take()


def test_there_is_room_for_one_frame_whatever_its_size_and_little_more() -> None:
    outgoing, incoming = Outgoing(), Incoming()
    outgoing.put(bytes(3 * HTTP_QUEUED_BYTES))
    outgoing.put(bytes(HTTP_QUEUED_BYTES))
    offset = 0
    while incoming.has_room:
        part = outgoing.take(1000)
        incoming.feed(part, offset)
        offset += len(part)
    assert 3 * HTTP_QUEUED_BYTES < incoming.came <= 3 * HTTP_QUEUED_BYTES + 1004
    assert incoming.arriving == incoming.came
    assert incoming.take() == bytes(3 * HTTP_QUEUED_BYTES)
    assert incoming.has_room
    assert incoming.arriving == 0
