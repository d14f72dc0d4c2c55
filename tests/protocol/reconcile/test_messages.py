"""A message that exists is valid, travels unchanged, and nothing else is let in."""

import json
from contextlib import suppress
from pathlib import Path

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_sync import limits
from crdt_sync.errors import ProtocolViolation
from crdt_sync.limits import FRAME_BYTES_TARGET, RECONCILE_FRAME_BYTES_MIN, RECONCILE_HEAD_BYTES
from crdt_sync.protocol.reconcile import Ranges, decode, encode
from crdt_sync.protocol.reconcile.fingerprint import fingerprint
from crdt_sync.protocol.reconcile.messages import Equal, Item, Listing, Print, Reply, Split
from crdt_sync.protocol.reconcile.packing import answer_bytes, packed_bytes
from tests.protocol.reconcile.runs import reconcile, view

ID = bytes(range(16))
LONGEST = "c" * 48 + "/" + "k" * 79
OPEN = limits.RECONCILE_OPEN_RANGES_MAX
LISTED = limits.RECONCILE_LISTED_RECORDS_MAX
RECORDS = limits.RECONCILE_RECORDS_MAX
PARTS = limits.RECONCILE_PARTS_MAX

names = st.from_regex(r"\A[a-z][a-z0-9_-]{0,47}/[A-Za-z0-9._~-]{1,79}\Z") | st.from_regex(r"\Aa/[ab]{1,3}\Z")
bounds = st.text(st.characters(min_codepoint=33, max_codepoint=127), min_size=1, max_size=9)
digests = st.binary(min_size=16, max_size=16)
item_sets = st.dictionaries(names, digests, max_size=9).map(
    lambda held: tuple(Item(*row) for row in sorted(held.items()))
)
prints = st.builds(Print, st.just(0), st.just(b"")) | st.builds(Print, st.integers(1, RECORDS), digests)


@st.composite
def splits(draw):
    cuts = tuple(sorted(draw(st.sets(bounds, max_size=9))))
    return Split(cuts, tuple(draw(st.lists(prints, min_size=len(cuts) + 1, max_size=len(cuts) + 1))))


@st.composite
def replies(draw):
    held = draw(item_sets)
    lacking = tuple(sorted(draw(st.sets(names, max_size=9)) - {item.record for item in held}))
    last = max([item.record for item in held] + list(lacking), default=None)
    return Reply(draw(st.sampled_from([None, last])), held, lacking)


@st.composite
def listings(draw):
    items = draw(item_sets)
    return Listing(draw(st.sampled_from([None, items[-1].record, items[-1].record + "\x7f"])) if items else None, items)


answers = st.builds(Equal, st.integers(1, OPEN)) | splits() | listings() | replies()
messages = st.builds(Ranges, st.lists(answers, max_size=8).map(tuple), st.integers(0, OPEN))


@given(messages)
def test_every_message_travels_unchanged(message):
    packed = encode(message)
    assert decode(tuple(cbor2.loads(cbor2.dumps(packed)))) == message
    assert len(cbor2.dumps(packed)) <= packed_bytes(packed)


@given(messages)
@settings(max_examples=50)
def test_the_estimate_of_a_size_is_never_too_small(message):
    assert packed_bytes(encode(message)) <= RECONCILE_HEAD_BYTES + sum(map(answer_bytes, message.answers))


def test_the_largest_split_fits_the_smallest_frame():
    cuts = tuple(f"{number:03}" + "x" * 125 for number in range(limits.RECONCILE_FAN_OUT - 1))
    split = Split(cuts, (Print(RECORDS, ID),) * limits.RECONCILE_FAN_OUT)
    assert RECONCILE_HEAD_BYTES + answer_bytes(split) <= RECONCILE_FRAME_BYTES_MIN


def items(count):
    return tuple(Item(f"a/{number:06}", ID) for number in range(count))


GOOD = [
    lambda: Equal(1),
    lambda: Equal(OPEN),
    lambda: Split((), (Print(1, ID),)),
    lambda: Split((), (Print(RECORDS, ID),)),
    lambda: Split((), (Print(0, b""),)),
    lambda: Split(tuple(f"{number:03}" for number in range(PARTS - 1)), (Print(0, b""),) * PARTS),
    lambda: Split(("x" * 128,), (Print(0, b""),) * 2),
    lambda: Listing(None, ()),
    lambda: Listing(None, items(LISTED)),
    lambda: Listing("a/0", (Item("a/0", ID),)),
    lambda: Listing(None, (Item(LONGEST, ID),)),
    lambda: Reply(None, (), ()),
    lambda: Reply(None, items(2), ("b/b",)),
    lambda: Reply(None, (), tuple(item.record for item in items(LISTED))),
    lambda: Reply("b/b", (), ("b/b",)),
    lambda: Reply("a/b", (Item("a/b", ID),), ()),
    lambda: Ranges((), 0),
    lambda: Ranges((Equal(1),) * OPEN, OPEN),
]
BAD = [
    lambda: Equal(0),
    lambda: Equal(OPEN + 1),
    lambda: Equal(True),
    lambda: Equal(1.0),  # type: ignore[arg-type]
    lambda: Split((), ()),
    lambda: Split((), (Print(RECORDS + 1, ID),)),
    lambda: Split((), (Print(-1, ID),)),
    lambda: Split((), (Print(1, b""),)),
    lambda: Split((), (Print(1, ID[1:]),)),
    lambda: Split((), (Print(0, ID),)),
    lambda: Split(("x",), (Print(1, ID),)),
    lambda: Split((), (Print(1, ID),) * 2),
    lambda: Split(("b", "a"), (Print(1, ID),) * 3),
    lambda: Split(("a", "a"), (Print(1, ID),) * 3),
    lambda: Split(("",), (Print(1, ID),) * 2),
    lambda: Split(("é",), (Print(1, ID),) * 2),
    lambda: Split(("x" * 129,), (Print(1, ID),) * 2),
    lambda: Split(tuple(f"{number:03}" for number in range(PARTS)), (Print(0, b""),) * (PARTS + 1)),
    lambda: Split(["a"], (Print(1, ID),) * 2),  # type: ignore[arg-type]
    lambda: Listing(None, items(LISTED + 1)),
    lambda: Listing(None, tuple(reversed(items(2)))),
    lambda: Listing(None, items(1) * 2),
    lambda: Listing(None, (Item("a", ID),)),
    lambda: Listing(None, (Item(LONGEST + "k", ID),)),
    lambda: Listing(None, (Item("a/b", ID[1:]),)),
    lambda: Listing("a/b", ()),
    lambda: Listing("a/0", items(1)),
    lambda: Listing("", items(1)),
    lambda: Reply("a/b", (), ()),
    lambda: Reply("a/b", (), ("a/c",)),
    lambda: Reply("a/0", items(1), ()),
    lambda: Reply(None, items(1), ("a/000000",)),
    lambda: Reply(None, (), ("b/b", "a/b")),
    lambda: Reply(None, (), ("nonsense",)),
    lambda: Reply(None, (), tuple(item.record for item in items(LISTED + 1))),
    lambda: Ranges((), -1),
    lambda: Ranges((), OPEN + 1),
    lambda: Ranges([], 0),  # type: ignore[arg-type]
    lambda: Ranges((Print(1, ID),), 1),  # type: ignore[arg-type]
    lambda: Ranges((Equal(1),) * (OPEN + 1), 1),
]


@pytest.mark.parametrize("make", GOOD)
def test_what_is_allowed(make):
    make()


@pytest.mark.parametrize("make", BAD)
def test_what_is_not_allowed(make):
    with pytest.raises(ValueError, match=r"^(equal|split|listing|reply|ranges)"):
        make()


@pytest.mark.parametrize(
    "packed",
    [
        None,
        [1, b"", b"", b""],
        (1, b"", b""),
        (1, b"", b"", b"", b""),
        (-1, b"", b"", b""),
        (True, b"", b"", b""),
        (1, "", b"", b""),
        (1, b"\x04", b"", b""),  # no such kind
        (1, b"\x00", b"", b""),  # a number is missing
        (1, b"\x00\x00", b"", b""),
        (1, b"\x00\xff\xff\xff\xff\x01", b"", b""),  # a number of five bytes
        (1, b"\x01\x01\x01", b"", b""),  # a fingerprint is missing
        (1, b"\x01\x01\x01", b"", ID[1:]),
        (1, b"\x01\x01\x00", b"", ID),  # a hash is left over
        (1, b"\x01\x01\x00", b"\x00\x01a", b""),  # a name is left over
        (1, b"\x01\x02\x00\x00", b"\x00", b""),
        (1, b"\x01\x02\x00\x00", b"\x00\x02a", b""),
        (1, b"\x01\x02\x00\x00", b"\x01\x01a", b""),  # builds on a name that is not there
        (1, b"\x01\x02\x00\x00", b"\x00\x81" + b"a" * 129, b""),
        (1, b"\x01\x02\x00\x00", b"\x00\x01\xff", b""),
        (1, b"\x02\x02\x00", b"", b""),  # neither whole nor in part
        (1, b"\x02\x00\xff\x7f", b"", b""),  # many records, and no bytes for them
        (1, b"\x03\x00\x00\xff\x7f", b"", b""),
        (0, b"\x00\x01" * (OPEN + 1), b"", b""),
        (0, b"\x00\x01" * (FRAME_BYTES_TARGET // 2), b"", b""),
    ],
)
def test_what_does_not_decode(packed):
    with pytest.raises(ProtocolViolation):
        decode(packed)


def test_the_size_of_a_message_has_both_sides_of_its_limit():
    filler = bytes(FRAME_BYTES_TARGET - RECONCILE_HEAD_BYTES)
    with pytest.raises(ProtocolViolation, match="left over"):
        decode((0, b"", filler, b""))
    with pytest.raises(ProtocolViolation, match="more than"):
        decode((0, b"", filler + b"\0", b""))


@given(messages, st.data())
@settings(max_examples=120)
def test_damage_is_refused_or_makes_another_valid_message(message, data):
    packed = list(encode(message))
    column = data.draw(st.integers(1, 3))
    content = bytearray(packed[column])
    position = data.draw(st.integers(0, len(content)))
    content[position : position + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    packed[column] = bytes(content)
    try:
        changed = decode(tuple(packed))
    except ProtocolViolation:
        return
    assert decode(encode(changed)) == changed


@given(st.integers(0, 99), st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=64))
def test_any_bytes_decode_or_are_refused(open_ranges, shape, texts, hashes):
    with suppress(ProtocolViolation):
        assert type(decode((open_ranges, shape, texts, hashes))) is Ranges


def test_fingerprints_of_known_sets():
    vectors = json.loads((Path(__file__).parent / "vectors.json").read_text("utf-8"))
    for vector in vectors["fingerprints"]:
        total = int(vector["sum"], 16)
        assert fingerprint(vector["records"], total).hex() == vector["fingerprint"]


def test_a_known_run_gives_the_same_bytes_everywhere():
    for run in json.loads((Path(__file__).parent / "vectors.json").read_text("utf-8"))["runs"]:
        ours, theirs = (
            [(record, bytes.fromhex(digest)) for record, digest in run[side]] for side in ("initiator", "responder")
        )
        outcome = reconcile(view(ours), view(theirs))
        frames = [cbor2.dumps(encode(message)).hex() for message in outcome.messages]
        assert frames == run["messages"]
        assert [[entry.record, entry.theirs.hex()] for entry in outcome.initiator.want] == run["want"]
        assert [[entry.record, entry.theirs and entry.theirs.hex()] for entry in outcome.initiator.owe] == run["owe"]
