"""Frames: what goes in comes out; what is damaged or hostile is refused, and never by another error."""

import json
import zlib
from dataclasses import fields, is_dataclass
from enum import IntEnum
from pathlib import Path
from typing import get_args

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync import limits
from crdt_sync.errors import ProtocolViolation
from crdt_sync.protocol.codec import decode, encode
from crdt_sync.protocol.messages import Ack, Message, Ping, Presence, Push, PushEntry, Updates, UpdatesEntry
from crdt_sync.protocol.versions import NEWEST, VERSIONS
from crdt_sync.strict_cbor import UNCOUNTED_BYTES_MAX
from crdt_sync.verdicts import Verdict, VerdictCode
from tests.protocol.conftest import messages

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text("utf-8"))
PUSH = Push(1, (PushEntry("customers/a", b"u"),))
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.text("ab/ü", max_size=9),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=12,
)


def seal(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(4, "big") + body


def frame_of(items: object) -> bytes:
    return seal(cbor2.dumps(items))


def refusal(frame: bytes, **limit: int) -> str:
    with pytest.raises(ProtocolViolation) as caught:
        decode(frame, version=NEWEST, **limit)
    return caught.value.message


def decode_or_refuse(frame: bytes) -> Message | None:
    """The only two things that may happen."""
    try:
        message = decode(frame, version=NEWEST)
    except ProtocolViolation:
        return None
    assert decode(encode(message, NEWEST), version=NEWEST) == message
    return message


def readable(value: object) -> object:
    """A message as the JSON of vectors.json."""
    if is_dataclass(value):
        named = {field.name: readable(getattr(value, field.name)) for field in fields(value)}
        return {"type": type(value).__name__, **named}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        local = {"new", "touched"} if isinstance(value, Verdict) else set()  # what a verdict says on its own side alone
        if isinstance(value, Verdict) and value.retry_after is None:
            local |= {"retry_after"}
        return {name: readable(part) for name, part in value._asdict().items() if name not in local}
    if isinstance(value, tuple):
        return [readable(part) for part in value]
    if isinstance(value, IntEnum):
        return value.name.lower()
    return {"hex": value.hex()} if isinstance(value, bytes) else value


# --- round trips -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", get_args(Message))
def test_every_message_comes_back_as_it_was(kind) -> None:
    @given(st.from_type(kind))
    def round_trip(message: Message) -> None:
        again = decode(encode(message, NEWEST), version=NEWEST)
        assert again == message
        assert readable(again) == readable(message)  # equality of tuples does not see the names of entries

    round_trip()


@pytest.mark.parametrize("vector", VECTORS["accepted"], ids=lambda vector: vector["name"])
def test_a_test_vector_is_that_message_and_that_frame(vector) -> None:
    frame = bytes.fromhex(vector["frame"])
    message = decode(frame, version=NEWEST)
    assert readable(message) == vector["message"]
    assert encode(message, NEWEST) == frame


@pytest.mark.parametrize("vector", VECTORS["accepted"], ids=lambda vector: vector["name"])
def test_a_version_has_what_it_had_when_it_came_and_nothing_of_later_ones(vector) -> None:
    frame, since = bytes.fromhex(vector["frame"]), vector.get("since", 1)
    message = decode(frame, version=NEWEST)
    for version in VERSIONS:
        if version >= since:
            assert encode(decode(frame, version=version), version) == frame
            continue
        with pytest.raises(ValueError, match=f"version {version} of the protocol has no such message"):
            encode(message, version)
        with pytest.raises(ProtocolViolation, match="no message has type"):
            decode(frame, version=version)


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: vector["why"])
def test_a_test_vector_outside_the_protocol_is_refused(vector) -> None:
    assert vector["problem"] in refusal(bytes.fromhex(vector["frame"]))


def test_the_test_vectors_cover_every_message() -> None:
    assert {vector["message"]["type"] for vector in VECTORS["accepted"]} == {k.__name__ for k in get_args(Message)}


def test_an_accepted_update_costs_a_short_verdict() -> None:
    acks = [v for v in VECTORS["accepted"] if v["name"] == "ack, accepted"]
    assert [len(bytes.fromhex(ack["frame"])) for ack in acks] == [18]


def test_lengths_and_integers_may_be_longer_than_needed() -> None:
    assert decode(seal(bytes.fromhex("9802" + "19000d" + "1b0000000000000007"))) == Ping(7)


# --- damage ------------------------------------------------------------------------------------------------


@given(messages, st.data())
def test_any_flipped_bit_is_found_by_the_checksum(message, data) -> None:
    frame = bytearray(encode(message, NEWEST))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert refusal(bytes(frame)) == "frame: the checksum does not match"


@given(messages, st.data())
def test_bytes_changed_under_a_right_checksum_give_a_valid_message_or_a_refusal(message, data) -> None:
    body = bytearray(encode(message, NEWEST)[4:])
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        body[start : start + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    decode_or_refuse(seal(bytes(body)))


@given(messages, st.data())
def test_a_frame_cut_short_is_refused(message, data) -> None:
    body = encode(message, NEWEST)[4:]
    refusal(seal(body[: data.draw(st.integers(0, len(body) - 1))]))


@given(messages, st.binary(min_size=1, max_size=8))
def test_bytes_after_the_message_are_refused(message, tail) -> None:
    assert refusal(seal(encode(message, NEWEST)[4:] + tail)) == f"frame: {len(tail)} bytes follow the message"


def test_bytes_after_a_long_message_are_refused() -> None:
    body = encode(Push(1, (PushEntry("customers/a", bytes(2 * UNCOUNTED_BYTES_MAX)),)))[4:]
    assert refusal(seal(body + b"\0")) == "frame: 1 bytes follow the message"


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(body) -> None:
    decode_or_refuse(body)
    decode_or_refuse(seal(body))


@given(st.integers(0, 20), st.lists(anything, max_size=8))
def test_arbitrary_items_are_a_valid_message_or_refused(code, items) -> None:
    decode_or_refuse(frame_of([code, *items]))


@pytest.mark.parametrize("frame", ["text", None, bytearray(encode(PUSH)), memoryview(encode(PUSH))])
def test_what_is_not_bytes_is_refused(frame) -> None:
    assert "not bytes" in refusal(frame)


# --- limits ------------------------------------------------------------------------------------------------


def test_a_frame_may_be_as_long_as_the_reader_says() -> None:
    frame = encode(PUSH)
    assert decode(frame, max_bytes=len(frame)) == PUSH
    assert refusal(frame, max_bytes=len(frame) - 1) == f"frame: {len(frame)} bytes, not {len(frame) - 1} at most"


@pytest.mark.parametrize("size", range(5))
def test_a_frame_too_short_for_a_checksum_and_an_item_is_refused(size) -> None:
    assert refusal(bytes(size)) in {f"frame: {size} bytes are too short"}


def test_the_largest_frame_is_written_and_read_and_a_larger_one_is_neither() -> None:
    def updates(last: int) -> Updates:
        large = UpdatesEntry("customers/a", bytes(limits.UPDATE_BYTES_MAX), b"")
        return Updates(0, None, 1, True, (large, large._replace(update=bytes(last))))

    room = limits.FRAME_BYTES_MAX - len(encode(updates(1 << 20))) + (1 << 20)
    largest = encode(updates(room))
    assert len(largest) == limits.FRAME_BYTES_MAX
    assert decode(largest) == updates(room)
    with pytest.raises(ValueError, match=r"\Aupdates: the frame has more than 4194304 bytes"):
        encode(updates(room + 1))


def test_many_small_items_are_refused_before_they_are_decoded() -> None:
    entries = limits.FRAME_ITEMS_MAX - 3  # besides them: the message, its type and the array around them

    def frame(count: int, item: bytes) -> bytes:
        return seal(b"\x82\x0c\x9a" + count.to_bytes(4, "big") + item * count)

    wide = b"\x78\x20" + b"x" * 32
    assert refusal(frame(entries, wide)) == "presence.entries: an entry is not an array of 2"
    for item in (wide, b"\xf0" * 100, b"\x80" * 100, b"\x81" * 100, b"\xf9\0\0" * 100):
        assert refusal(frame(entries + 1, item)) == f"frame: more than {limits.FRAME_ITEMS_MAX} items"


@pytest.mark.parametrize("head", ["5f", "7f", "9f", "bf", "ff", "1c", "3d", "5e", "9c"])
def test_reserved_and_indefinite_lengths_are_refused_in_long_frames_too(head) -> None:
    for padding in (0, 2 * UNCOUNTED_BYTES_MAX):
        body = b"\x82" + bytes.fromhex(head) + b"\x5a" + padding.to_bytes(4, "big") + bytes(padding)
        assert refusal(seal(body)).startswith("frame: ")


@pytest.mark.parametrize("tail", ["82", "8201", "82195a", "825a", "825a0001", "821b00", "9b7fffffffffffffff", "5bff"])
def test_a_long_frame_cut_inside_an_item_is_refused(tail) -> None:
    body = b"\x82\x59\xff\xff" + bytes(0xFFFF) + bytes.fromhex(tail)
    assert refusal(seal(body)).startswith("frame: ")


def test_arrays_nest_as_deep_as_the_limit_and_no_deeper() -> None:
    def nested(depth: int) -> bytes:
        return seal(b"\x81" * depth + b"\x00")

    assert refusal(nested(limits.FRAME_DEPTH_MAX)) == "frame: is not an array that begins with a message type"
    for depth in (limits.FRAME_DEPTH_MAX + 1, 1000, 16_000, 1_000_000):
        assert refusal(nested(depth)) != refusal(nested(limits.FRAME_DEPTH_MAX))


# --- the dialect -------------------------------------------------------------------------------------------


def test_every_tag_is_refused_also_those_that_decoders_know() -> None:
    tags = [*range(300), 1000, 1001, 1002, 1003, 1004, 43000, 55799, 2**32, 2**63, 2**64 - 1]
    for tag in tags:
        for content in (b"\x07", b"\x41\x07", b"\x61\x37", b"\x81\x07"):
            body = b"\x82\x0d\xdb" + tag.to_bytes(8, "big") + content
            assert refusal(seal(body)) == "frame: a tag is not allowed"


def test_maps_are_refused_wherever_they_stand() -> None:
    for items in ({}, {"a": 1}, [13, {}], [12, [{"customers/a": 1, "anna": 2}]], [12, {"customers/a": "anna"}]):
        assert refusal(frame_of(items)) == "frame: a map is not allowed"
    assert "map" in refusal(frame_of({1: 2}))
    assert "map" in refusal(seal(bytes.fromhex("820da2616101616102")))  # one key twice


@pytest.mark.parametrize("text", ["ff", "c080", "eda080", "f4908080", "c3"])
def test_texts_that_are_not_utf_8_are_refused(text) -> None:
    raw = bytes.fromhex(text)
    assert refusal(seal(b"\x84\x0f\x61a" + bytes([0x60 + len(raw)]) + raw + b"\xf6")).startswith("frame: ")


@pytest.mark.parametrize(
    ("items", "problem"),
    [
        (7, "frame: is not an array"),
        ([], "frame: is not an array"),
        (["push"], "frame: is not an array"),
        ([True, 1], "frame: is not an array"),
        ([7.0, 1, [["customers/a", b"u"]]], "frame: is not an array"),
        ([0], "frame: no message has type 0"),
        ([99, 1], "frame: no message has type 99"),
        ([16, 1], "audit.content is int"),
        ([17, 1, False, "c/a"], "check.records is str"),
        ([18, 1, [["c/a", b"", b"", True]]], "checked.entries.standing is not a standing"),
        ([18, 1, [["c/a", b"", b"", 6]]], "checked.entries.standing is not a standing"),
        ([7, 1], "push: has 1 fields, not 2"),
        ([7, 1, [["customers/a", b"u"]], 1], "push: has 3 fields, not 2"),
        ([7, True, [["customers/a", b"u"]]], "push.number is bool"),
        ([7, 1.0, [["customers/a", b"u"]]], "push.number is float"),
        ([7, 2**64, [["customers/a", b"u"]]], "frame: a tag is not allowed"),
        ([7, 2**63, [["customers/a", b"u"]]], "push.number is not between"),
        ([7, 1, "customers/a"], "push.entries is str"),
        ([7, 1, None], "push.entries is NoneType"),
        ([7, 1, ["ab"]], "push.entries: an entry is not an array of 2"),
        ([7, 1, [b"ab"]], "push.entries: an entry is not an array of 2"),
        ([7, 1, [["customers/a"]]], "push.entries: an entry is not an array of 2"),
        ([7, 1, [["customers/a", b"u", b""]]], "push.entries: an entry is not an array of 2"),
        ([7, 1, []], "push.entries has 0 entries"),
        ([7, 1, [["customers/a", b"u"], ["customers/a", "u"]]], "push.entries.update is str"),
        ([7, 1, [["customers", b"u"]]], "push.entries.record is not a record id"),
        ([8, 1, None, 1, [[0]]], "ack.verdicts: a verdict is neither"),
        ([8, 1, None, 1, [[False, 1]]], "ack.verdicts: a verdict is neither"),
        ([8, 1, None, 1, [[0, b"", ""]]], "ack.verdicts: a verdict is neither"),
        ([8, 1, None, 1, [[1, 5]]], "ack.verdicts: a verdict is neither"),
        ([8, 1, None, 1, [[10, b"", ""]]], "ack.verdicts: a verdict is neither"),
        ([8, 1, None, 1, [[9, b"", ""]]], "ack.verdicts.retry_after is missing"),
        ([8, 1, None, 1, [[6, b"", "", 5]]], "ack.verdicts: a verdict is neither"),
        ([8, 1, None, 1, [[8, b"", "", 5, True]]], "ack.verdicts.retry_after is given for the verdict retry"),
        ([8, 1, None, 1, [[0, 1.0]]], "ack.verdicts.seq is float"),
        ([8, 1, None, 1, [[1, b"", ""]]], "ack.verdicts.state_vector has 0 bytes"),
        ([8, 1, None, 1, 5], "ack.verdicts is int"),
        ([1, 1, bytes(16), "t", 1, None, True, 0, ""], "hello.versions is int"),
        ([1, [1], bytes(16), "t", 1, 5, True, 0, ""], "hello.resume is neither"),
        ([1, [1], bytes(16), "t", 1, [bytes(16)], True, 0, ""], "hello.resume is neither"),
        ([1, [1], bytes(16), "t", 1, [bytes(15), 0, 0], True, 0, ""], "hello.resume.epoch has 15 bytes"),
        ([2, 1, bytes(16), 1, bytes(16), 9, 0, 9999, 5], "welcome.behind is neither"),
        ([2, 1, bytes(16), 1, bytes(16), 9, 0, 9999, [1, 2, 3]], "welcome.behind is neither"),
        ([2, 1, bytes(16), 1, bytes(16), 9, 0, 9999, [1, -2]], "welcome.behind.bytes is not between"),
        ([1, [1], bytes(16), "t", 1, None, 1, 0, ""], "hello.follow is int"),
        ([10, cbor2.undefined], "receipt_request.number is"),
        ([10, cbor2.CBORSimpleValue(5)], "receipt_request.number is"),
        ([5, 0, cbor2.undefined, 1, True, []], "updates.cursor is"),
    ],
)
def test_a_refusal_names_the_message_and_the_field(items, problem) -> None:
    assert refusal(frame_of(items)).startswith(problem)


def test_entries_come_back_with_their_names() -> None:
    message = decode(frame_of([12, [["customers/a", "anna"]]]))
    assert isinstance(message, Presence)
    assert message.entries[0].actor == "anna"


@given(
    st.integers(0, 2**53 - 1),
    st.none() | st.integers(0, 2**53 - 1),
    st.lists(
        (st.integers(0, 2**53 - 1) | st.integers(0, 300)).map(lambda seq: Verdict(VerdictCode.ACCEPTED, seq))
        | st.text(st.characters(codec="utf-8"), max_size=30).map(lambda why: Verdict(VerdictCode.RETRY, reason=why))
        | st.binary(min_size=1, max_size=300).map(lambda held: Verdict(VerdictCode.GAP, state_vector=held)),
        min_size=1,
        max_size=30,
    ),
)
def test_an_acknowledgement_is_written_as_the_encoder_writes_it(number, cursor, verdicts):
    rows = [
        (0, verdict.seq) if verdict.code is VerdictCode.ACCEPTED else (wire, verdict.state_vector, verdict.reason)
        for verdict in verdicts
        for wire in [list(VerdictCode).index(verdict.code)]
    ]
    body = cbor2.dumps([8, number, cursor, 2 * number if number < 2**52 else number, rows])
    frame = encode(Ack(number, cursor, 2 * number if number < 2**52 else number, tuple(verdicts)))
    assert frame == seal(body)
