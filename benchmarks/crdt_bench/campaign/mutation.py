"""Bytes that are nearly right: what a fuzzer makes of good ones."""

import random
from collections.abc import Sequence
from pathlib import Path

_EDGES = (b"\x00", b"\x7f", b"\x80", b"\xff", b"\xff\xff\xff\xff\x0f", b"\xff" * 9 + b"\x01", b"\x9f", b"\xbf", b"\xfb")
_LENGTH_MAX = 1 << 16


def corpus(kind: str) -> list[bytes]:
    """The kept inputs of one kind, empty where the tests are not beside us."""
    folder = Path(__file__).parents[3] / "tests" / "campaign" / "corpus" / kind
    return [path.read_bytes() for path in sorted(folder.glob("*")) if path.is_file()]


def mutate(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """One to four small changes, or now and then noise."""
    if rng.random() < 0.02:
        return rng.randbytes(rng.randrange(200))
    for _ in range(rng.choice((1, 1, 2, 4))):
        data = _change(data, rng, others)
    return data[:_LENGTH_MAX]


def _change(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    start = rng.randrange(len(data) + 1)
    stop = min(len(data), start + rng.randrange(1, 16))
    match rng.randrange(8):
        case 0 if start < len(data):
            return data[:start] + bytes([data[start] ^ 1 << rng.randrange(8)]) + data[start + 1 :]
        case 1:
            return data[:start] + rng.choice(_EDGES) + data[stop:]
        case 2:
            return data[:start] + rng.choice(_EDGES) + data[start:]
        case 3:
            return data[:start] + data[stop:]
        case 4:
            return data[:start] + data[start:stop] * rng.choice((2, 3, 500)) + data[stop:]
        case 5:
            return data[:start]
        case 6 if others:
            other = rng.choice(others)
            return data[:start] + other[rng.randrange(len(other) + 1) :]
        case _:
            return data[:start] + rng.randbytes(stop - start) + data[stop:]
