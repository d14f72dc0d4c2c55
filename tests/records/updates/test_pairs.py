"""Whether a surrogate pair may be cut is told from the bytes, and is never missed."""

import random

import pycrdt
import pytest

from crdt_sync.records import Document
from crdt_sync.records.updates import halves, pairs
from crdt_sync.records.updates.delete_set import encode_delete_set
from crdt_sync.records.updates.halves import healed, made_whole
from crdt_sync.records.updates.pairs import has_pairs, may_be_cut
from tests.records.raw_updates import uint

WRITERS = (1, 2, 0x123456789ABCD)


def padded(number):
    """A number in a longer form than it needs."""
    return bytes([*number[:-1], number[-1] | 0x80, 0])


def struct(rng):
    """A text, a deleted run or a value, with any origins."""
    kind = rng.choice((4, 4, 4, 1, 8))
    left, right = (rng.choice((None, (rng.choice(WRITERS), rng.randrange(9)))) for _ in range(2))
    info, head = kind, b""
    for bit, each in ((0x80, left), (0x40, right)):
        if each is not None:
            info |= bit
            head += uint(each[0]) + (padded if rng.random() < 0.1 else bytes)(uint(each[1]))
    if left is right is None:
        head = b"\x01\x03t.a"
    if kind == 4:
        words = ["a", "bc", "é", "😀", "a😀b", "😀😀", "é😀", "x" * 200]
        text = rng.choice(words + [""] * (left is not None)).encode()  # what yrs leaves of a pair has a left origin
        return bytes([info]) + head + uint(len(text)) + text
    return bytes([info]) + head + (uint(rng.randint(1, 3)) if kind == 1 else b"\x01\x77\x04\xf0\x9f\x98\x80")


def update(rng):
    """Structs of some writers, and deletions, in any order."""
    writers = rng.sample(WRITERS, rng.randrange(3))
    out = uint(len(writers))
    for writer in writers:
        structs = [struct(rng) for _ in range(rng.randint(1, 4))]
        out += uint(len(structs)) + uint(writer) + uint(rng.randrange(5)) + b"".join(structs)
    deletes = {
        writer: [(rng.randrange(9), rng.randrange(5)) for _ in range(rng.randint(1, 3))]
        for writer in rng.sample(WRITERS, rng.randrange(3))
    }
    return out + encode_delete_set(deletes)


PAIR = bytes.fromhex("01010100040103742e6104f09f988000")  # "😀"
CUTS = [
    [PAIR, bytes.fromhex(cut)]
    for cut in (
        "000101010001",  # its first half is deleted
        "000101010101",  # its second one
        "01010200840100017a00",  # an item after the first half
        "01010200440101017a00",  # before the second one
        "0101010184010004f09f988000",  # the writer goes on at the second one
    )
]


def test_looking_first_changes_nothing():
    """What comes of it is what comes of reading everything, and the same objects where nothing is cut."""
    rng = random.Random(50)
    changed = same = 0
    for _ in range(3000):
        updates = [update(rng) for _ in range(rng.randint(1, 3))]
        whole, expected = made_whole(updates), healed(updates)
        assert whole == expected, updates
        assert (whole is updates) == (expected is updates), updates
        changed += whole is not updates
        same += not may_be_cut(updates)
    assert changed > 300
    assert same > 300


@pytest.mark.parametrize("updates", CUTS)
def test_every_kind_of_cut_is_seen(updates):
    assert may_be_cut(updates)
    assert may_be_cut(updates[::-1])
    assert not may_be_cut(updates[:1])


@pytest.mark.parametrize("blind", ["_ends", "_encoded"])
def test_a_kind_of_cut_that_is_not_looked_for_is_noticed(blind, monkeypatch):
    monkeypatch.setattr(pairs, blind, lambda given: ())
    assert any(made_whole(updates) != healed(updates) for updates in CUTS)


def typed(seed, edits=150):
    """The state of a note that two people typed in turns, and every update on the way."""
    rng = random.Random(seed)
    people = [Document(rng.getrandbits(53)) for _ in range(2)]
    updates = []
    for _ in range(edits):
        person, other = rng.sample(people, 2)
        person.apply(other.diff(person.state_vector()))
        before = person.state_vector()
        with person.transaction() as transaction:
            text = person.text(transaction, "t.notes")
            shown = text.get_string(transaction)
            place = rng.randrange(len(shown) + 1)
            offset = len(shown[:place].encode())
            if rng.random() < 0.3:
                text.remove_range(transaction, offset, len(shown[place : place + 3].encode()))
            else:
                text.insert(transaction, offset, rng.choice(["a", "wörter ", "😀", "a😀b😀", "x" * 150]))
        updates.append(person.diff(before))
    return person.diff(), updates


def test_a_note_with_whole_pairs_is_never_read_in_parts(monkeypatch):
    def read(given):
        raise AssertionError("read in parts")

    monkeypatch.setattr(halves, "read_parts", read)
    for seed in range(3):
        state, updates = typed(seed)
        assert has_pairs(state)
        for stored in ([state], updates, [state, *updates[-5:]], [pycrdt.merge_updates(*updates)]):
            assert made_whole(stored) is stored
