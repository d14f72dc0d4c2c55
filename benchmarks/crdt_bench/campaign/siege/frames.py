"""The frames that attackers send: each is well-formed or nearly, and dear to whoever takes it.

Each maker is given a `Voice`, the sender's place in its session, and returns one payload. What is large is made once
for a process and used again under other numbers and records.
"""

import functools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from crdt_bench.load.connection import client_frame
from crdt_sync import ids
from crdt_sync.clock import HybridClock
from crdt_sync.limits import CHECK_RECORDS_MAX, FRAME_BYTES_MAX, MIB, PRESENCE_ENTRIES_MAX, WANT_RECORDS_MAX
from crdt_sync.protocol import codec
from crdt_sync.protocol import messages as m
from crdt_sync.records import Document, Editor, bundled_schema
from crdt_sync.records.updates.varint import append_uint

_COLLECTION = "customers"
_CROWDED = 600  # items that as many others are placed among: just below what is refused
_DEAR_IN_PUSH = 120
_TINY_IN_PUSH = 512
_LARGE_TEXTS = 4
_TEXT_CHARACTERS = 450_000


@dataclass(slots=True)
class Voice:
    """One attacking session: who it is, and the numbers that it gave out."""

    rng: random.Random
    replica: bytes
    own: str = ""
    number: int = field(default=0)

    @classmethod
    def drawn(cls, rng: random.Random) -> "Voice":
        """Somebody new."""
        return cls(rng, ids.new_replica(rng), ids.new_record(_COLLECTION, rng))

    def next(self) -> int:
        """The next number of a push, a ping or the like."""
        self.number += 1
        return self.number

    def record(self) -> str:
        """A record that nobody has."""
        return ids.new_record(_COLLECTION, self.rng)


def _ping(voice: Voice) -> bytes:
    return codec.encode(m.Ping(voice.next()))


def _presence(voice: Voice) -> bytes:
    entries = tuple(m.PresenceEntry(voice.record(), "eve") for _ in range(PRESENCE_ENTRIES_MAX))
    return codec.encode(m.Presence(entries))


def _want_again(voice: Voice) -> bytes:
    return codec.encode(m.Want(0, (m.WantEntry(voice.own, b"\x00"),) * WANT_RECORDS_MAX))


def _want_unknown(voice: Voice) -> bytes:
    return codec.encode(m.Want(0, tuple(m.WantEntry(voice.record(), b"\x00") for _ in range(WANT_RECORDS_MAX))))


def _have(_: Voice) -> bytes:
    return codec.encode(m.Have(0, 0))


def _receipt(voice: Voice) -> bytes:
    return codec.encode(m.ReceiptRequest(voice.next()))


def _check(voice: Voice) -> bytes:
    return codec.encode(m.Check(voice.next(), False, (voice.own,) * CHECK_RECORDS_MAX))


def _audit(_: Voice) -> bytes:
    return codec.encode(m.Audit(True))


def _bad(_: Voice) -> bytes:
    return bytes(4) + _noise()


@functools.cache
def _noise() -> bytes:
    return random.Random(1).randbytes(FRAME_BYTES_MAX - 4)


def beginning(size: int) -> bytes:
    """The head and the first `size` bytes of a websocket frame of the largest size."""
    whole = client_frame(bytes(4) + _noise())
    return whole[: len(whole) - FRAME_BYTES_MAX + size]


def _bad_small(voice: Voice) -> bytes:
    return voice.rng.randbytes(64)


def _own(voice: Voice) -> bytes:
    return codec.encode(m.Push(voice.next(), (m.PushEntry(voice.own, _large_update()),)))


def _large(voice: Voice) -> bytes:
    return codec.encode(m.Push(voice.next(), (m.PushEntry(voice.record(), _large_update()),)))


def _tiny(voice: Voice) -> bytes:
    entries = tuple(m.PushEntry(voice.record(), _tiny_update()) for _ in range(_TINY_IN_PUSH))
    return codec.encode(m.Push(voice.next(), entries))


def _dear(voice: Voice) -> bytes:
    entries = tuple(m.PushEntry(voice.record(), _dear_update()) for _ in range(_DEAR_IN_PUSH))
    return codec.encode(m.Push(voice.next(), entries))


def _refused(voice: Voice) -> bytes:
    return codec.encode(m.Push(voice.next(), (m.PushEntry(voice.record(), b"\x01\x01\x07\x00\x07\x01\x01x\x00"),)))


@functools.cache
def _large_update() -> bytes:
    document = Document(ids.new_writer(random.Random(2)))
    with document.transaction() as transaction:
        for number in range(_LARGE_TEXTS):
            document.text(transaction, f"t.{number}").insert(transaction, 0, chr(97 + number) * _TEXT_CHARACTERS)
    update = document.diff(b"\x00")
    assert len(update) < 2 * MIB
    return update


@functools.cache
def _tiny_update() -> bytes:
    document = Document(ids.new_writer(random.Random(3)))
    clock = HybridClock(lambda: time.time_ns() // 1000)
    Editor(document, bundled_schema(_COLLECTION), clock, "eve", _COLLECTION)["name"] = "x"
    return document.diff(b"\x00")


@functools.cache
def _dear_update() -> bytes:
    return crowded(_CROWDED)


def crowded(count: int) -> bytes:
    """`count` items that two wrote by turns, a character after them, and `count` items before that, from the start."""
    first, second, last, front = (1 << 40) + 1, (1 << 40) + 2, (1 << 40) + 3, (1 << 40) + 4
    turns = [((first, second)[number % 2], number // 2) for number in range(count)]
    structs: dict[int, list[bytes]] = {front: [_item("z", turns[-1], None)], last: [_item("r", None, None)]}
    structs[front] += [_item("y", None, (last, 0))] * count
    for (writer, _), left in zip(turns, [None, *turns], strict=False):
        structs.setdefault(writer, []).append(_item("x", left, None))
    out = bytearray((len(structs),))
    for writer, items in structs.items():
        for number in (len(items), writer, 0):
            append_uint(out, number)
        out += b"".join(items)
    return bytes(out) + bytes(1)


def _item(text: str, left: tuple[int, int] | None, right: tuple[int, int] | None) -> bytes:
    out = bytearray((4 | (0x80 if left else 0) | (0x40 if right else 0),))
    for number in (*(left or ()), *(right or ())):
        append_uint(out, number)
    if left is None and right is None:
        out += bytes((1, 3)) + b"t.a"
    return bytes(out) + bytes((1,)) + text.encode()


KINDS: dict[str, Callable[[Voice], bytes]] = {
    "ping": _ping,
    "presence": _presence,
    "want again": _want_again,
    "want unknown": _want_unknown,
    "have": _have,
    "receipt": _receipt,
    "check": _check,
    "audit": _audit,
    "bad": _bad,
    "bad small": _bad_small,
    "own": _own,
    "large": _large,
    "tiny": _tiny,
    "dear": _dear,
    "refused": _refused,
}
LARGE = frozenset(("bad", "own", "large", "dear", "tiny"))
