"""Long notes as people make them, a few characters at a time and all over the text, built as bytes.

Typing them through an editor takes minutes for a hundred thousand edits; here it takes a second. Every item has the
origins that an editor would give it: the character after which it was typed, and the one before which.
"""

import random
from collections.abc import Iterable

from crdt_sync.records.updates.delete_set import Ranges, encode_delete_set, merge_ranges
from crdt_sync.records.updates.varint import append_uint

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
            _append_item(struct, left, after[left], bytes(rng.choices(_LETTERS, k=length)))
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
    return bytes(update) + encode_delete_set(_deletes(ends, rng))


def replayed(patches: Iterable[tuple[int, int, str]], writer: int = 1 << 52) -> bytes:
    """The update of a whole note by one writer: of each patch the place, and what is deleted and inserted there.

    Places count code points. Characters beyond the basic plane are not expected.
    """
    after: dict[_Operation | None, _Operation | None] = {None: None}
    shown: list[_Operation] = []
    items = bytearray()
    count = clock = 0
    deleted: set[int] = set()
    for place, less, text in patches:
        deleted.update(gone for _, gone in shown[place : place + less])
        del shown[place : place + less]
        if not text:
            continue
        left = shown[place - 1] if place else None
        typed = [(writer, clock + offset) for offset in range(len(text))]
        _append_item(items, left, after[left], text.encode())
        for operation in typed:
            after[left], after[operation] = operation, after[left]
            left = operation
        shown[place:place] = typed
        clock += len(text)
        count += 1
    update = bytearray()
    for number in (1, count, writer, 0):
        append_uint(update, number)
    return bytes(update + items) + encode_delete_set({writer: merge_ranges([(gone, 1) for gone in deleted])})


def _append_item(struct: bytearray, left: _Operation | None, right: _Operation | None, text: bytes) -> None:
    struct.append(_TEXT | (_HAS_LEFT if left else 0) | (_HAS_RIGHT if right else 0))
    for origin in (left, right):
        if origin is not None:
            append_uint(struct, origin[0])
            append_uint(struct, origin[1])
    if left is None and right is None:
        struct.append(1)
        append_uint(struct, len(ROOT))
        struct += ROOT.encode()
    append_uint(struct, len(text))
    struct += text


def _deletes(ends: dict[int, int], rng: random.Random) -> Ranges:
    deletes: Ranges = {}
    for writer, end in ends.items():
        clock = rng.randint(1, 4)
        while clock < end:
            length = min(rng.randint(1, 2), end - clock)
            deletes.setdefault(writer, []).append((clock, length))
            clock += length + rng.randint(1, 5)
    return deletes
