"""Long notes as people make them, a few characters at a time and all over the text, built as bytes.

Typing them through an editor takes minutes for a hundred thousand edits; here it takes a second. Every item has the
origins that an editor would give it: the character after which it was typed, and the one before which.
"""

import random

from crdt_sync.records.varint import append_uint

ROOT = "t.notes"
_TEXT, _HAS_LEFT, _HAS_RIGHT = 4, 0x80, 0x40
_LETTERS = b"etaoin shrdlucmfwypvbgkqjxz"
_Operation = tuple[int, int]


def note(edits: int, *, writers: int = 3, id_bits: int = 53, characters_max: int = 3, seed: int = 1) -> bytes:
    """The update of a whole note: `edits` insertions at random places, about a third of the characters deleted.

    `id_bits` is the size of the writers' ids: 53 as here, 32 as in a browser.
    """
    rng = random.Random(seed)
    ids = sorted((rng.getrandbits(id_bits - 1) | 1 << (id_bits - 1) for _ in range(writers)), reverse=True)
    after: dict[_Operation | None, _Operation | None] = {None: None}
    typed: list[_Operation] = []
    structs: list[bytearray] = []
    ends: dict[int, int] = {}
    for number, writer in enumerate(ids):
        items = (edits + number) // writers
        struct = bytearray()
        append_uint(struct, items)
        append_uint(struct, writer)
        append_uint(struct, 0)
        clock = 0
        for _ in range(items):
            length = rng.randint(1, characters_max)
            left = rng.choice(typed) if typed else None
            _append_item(struct, left, after[left], length, rng)
            for place in range(clock, clock + length):
                after[left], after[writer, place] = (writer, place), after[left]
                left = (writer, place)
                typed.append(left)
            clock += length
        structs.append(struct)
        ends[writer] = clock
    update = bytearray()
    append_uint(update, writers)
    for struct in structs:
        update += struct
    _append_deletes(update, ends, rng)
    return bytes(update)


def _append_item(
    struct: bytearray, left: _Operation | None, right: _Operation | None, length: int, rng: random.Random
) -> None:
    struct.append(_TEXT | (_HAS_LEFT if left else 0) | (_HAS_RIGHT if right else 0))
    for origin in (left, right):
        if origin is not None:
            append_uint(struct, origin[0])
            append_uint(struct, origin[1])
    if left is None and right is None:
        struct.append(1)
        append_uint(struct, len(ROOT))
        struct += ROOT.encode()
    append_uint(struct, length)
    struct += bytes(rng.choices(_LETTERS, k=length))


def _append_deletes(update: bytearray, ends: dict[int, int], rng: random.Random) -> None:
    append_uint(update, len(ends))
    for writer, end in ends.items():
        ranges = []
        clock = rng.randint(1, 4)
        while clock < end:
            length = min(rng.randint(1, 2), end - clock)
            ranges.append((clock, length))
            clock += length + rng.randint(1, 5)
        append_uint(update, writer)
        append_uint(update, len(ranges))
        for start, length in ranges:
            append_uint(update, start)
            append_uint(update, length)
