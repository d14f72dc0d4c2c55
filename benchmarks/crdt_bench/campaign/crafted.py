"""Small histories of one record: edits as editors make them, and updates with a structure that no editor makes."""

import random
from dataclasses import dataclass, field

import pycrdt
from pycrdt._pycrdt import Transaction

from crdt_sync.records import Document, Integrator, scan
from crdt_sync.records.updates.varint import append_uint

RECORD = "customers/a"
_MAKERS = (2, 5, 9)
_FORGERS = ((1 << 53) - 1, 1, 4, 7)
_SPARE = 10
_ARRAYS, _MAPS, _TEXTS = ("c.a", "l.a"), ("s.a", "n.a"), ("t.a", "t.b")
_ROOTS = (*_TEXTS, "t.a", *_ARRAYS, *_MAPS)
_FEW = (("t.a",), ("t.a",), ("c.a",), ("s.a",), ("t.a", "t.b"), ("c.a", "s.a"), ("t.a", "c.a"))
_KEYS = ("k", "j")
_WORDS = ("x", "yz", "abc", "😀", "a😀b", "😀😀")
_DELETED, _TEXT, _ANY = 1, 4, 8

Operation = tuple[int, int]


@dataclass
class History:
    """Updates in the order they were made, and which of them are crafted."""

    updates: list[bytes] = field(default_factory=list)
    crafted: list[bool] = field(default_factory=list)


def drawn(rng: random.Random, crafted_share: float) -> History:
    """Two to six updates of one to three operations, seldom more, each made on what its maker had seen."""
    history, accepted = History(), list[bytes]()
    makers = [Document(writer) for writer in rng.sample(_MAKERS, 2)]
    gate = Integrator(1)
    gate.integrate(RECORD, (), (), None, True, False)
    roots = rng.choice(_FEW) if rng.random() < 0.7 else _ROOTS
    pool = _Pool(rng, roots)
    count = rng.choice((2, 2, 2, 3, 3, 3, 3, 4, 5, 6)) if rng.random() < 0.98 else rng.randrange(7, 10)
    while len(history.updates) < count:
        forged = bool(pool.operations or rng.random() < 0.5) and rng.random() < crafted_share
        if forged:
            update = pool.crafted()
            if accepted and rng.random() < 0.15:  # with what is here already, described as it was at first
                update = pycrdt.merge_updates(*rng.sample(accepted, rng.randrange(1, len(accepted) + 1)), update)
        else:
            maker = rng.choice(makers)
            if history.updates and rng.random() < 0.6:
                maker.join(gate.document(RECORD).diff(maker.state_vector()))
            before = maker.raw_state_vector()
            with maker.transaction() as transaction:
                for _ in range(rng.choice((1, 1, 2, 3))):
                    _edit(maker, transaction, rng, roots)
            update = maker.diff(before)
        (verdict,) = gate.integrate(RECORD, None, (update,), None, True, False).verdicts
        if verdict.code == "accepted":
            pool.take(update)
            accepted.append(update)
        elif forged:
            pool.retire()
        history.updates.append(update)
        history.crafted.append(forged)
    return history


def _edit(document: Document, transaction: Transaction, rng: random.Random, roots: tuple[str, ...]) -> None:
    root = rng.choice(roots)
    if root in _TEXTS:
        text = document.text(transaction, root)
        shown = text.get_string(transaction)
        start = rng.randrange(len(shown) + 1)
        offset = len(shown[:start].encode())
        if start < len(shown) and rng.random() < 0.3:
            text.remove_range(transaction, offset, len(shown[start : start + 2].encode()))
        else:
            text.insert(transaction, offset, rng.choice(_WORDS))
    elif root in _ARRAYS:
        array = document.array(transaction, root)
        length = array.len(transaction)
        start = rng.randrange(length + 1)
        if start < length and rng.random() < 0.3:
            array.remove_range(transaction, start, rng.randrange(1, length - start + 1))
        else:
            for value in range(rng.choice((1, 1, 2))):
                array.insert(transaction, start, value)
    else:
        shared, key = document.map(transaction, root), rng.choice(_KEYS)
        if rng.random() < 0.3:
            if key in shared.to_json(transaction):
                shared.remove(transaction, key)
        else:
            shared.insert(transaction, key, rng.randrange(9))


class _Pool:
    """The operations that are there, for crafted updates to build on, and the clocks of those who craft."""

    def __init__(self, rng: random.Random, roots: tuple[str, ...]) -> None:
        self._rng = rng
        self._named = roots
        self.operations: list[Operation] = []
        self._halves: list[Operation] = []  # the second ones, of surrogate pairs
        self._roots: dict[Operation, str] = {}
        self._left: dict[Operation, Operation | None] = {}
        self._right: dict[Operation, Operation | None] = {}
        self._clocks: dict[int, int] = {}
        self._forgers = list(_FORGERS)
        self._forger = 0
        self._retired = 0

    def take(self, update: bytes) -> None:
        """Operations that were accepted."""
        found = scan(update)
        for item in found.items:
            pairs = [(item.writer, item.clock + half) for half in item.halves]
            self._halves += [half for half in pairs if half not in self._roots]
            for clock in range(item.clock, item.clock + item.length):
                operation = (item.writer, clock)
                if operation in self._roots:
                    continue
                self.operations.append(operation)
                neighbour = item.left or item.right
                self._roots[operation] = item.root or self._roots.get(neighbour or operation, "")
                self._left[operation] = item.left if clock == item.clock else (item.writer, clock - 1)
                self._right[operation] = item.right
        for writer, (_, end) in found.clients.items():
            self._clocks[writer] = max(end, self._clocks.get(writer, 0))

    def retire(self) -> None:
        """The last crafted update was refused. What its writer makes next must not have the same clocks."""
        self._forgers.remove(self._forger)
        self._retired += 1
        self._forgers.append(_SPARE + self._retired)

    def crafted(self) -> bytes:
        """An update by somebody who knows the format and keeps to no editor's habits."""
        rng = self._rng
        writer = self._forger = rng.choice(self._forgers)
        clock = start = self._clocks.get(writer, 0)
        structs: list[bytes] = []
        deletes: dict[int, list[tuple[int, int]]] = {}
        own: list[Operation] = []
        for _ in range(rng.choice((0, 1, 1, 1, 1, 2, 2, 3))):
            body, length, deleted = self._struct(own)
            structs.append(body)
            if deleted:
                deletes.setdefault(writer, []).append((clock, length))
            own += [(writer, clock + step) for step in range(length)]
            clock += length
        for _ in range(rng.choice((0, 0, 1, 2)) if structs else 1):
            if known := self.operations + own:
                target, length = rng.choice(known), rng.choice((0, 1, 1, 1, 2, 2, 3))
                if self._halves and rng.random() < 0.4:  # a whole character, or what begins with one
                    half = rng.choice(self._halves)
                    target, length = (half[0], half[1] - 1), rng.choice((2, 2, 2, 3))
                deletes.setdefault(target[0], []).append((target[1], length))
        out = bytearray()
        append_uint(out, 1 if structs else 0)
        if structs:
            for number in (len(structs), writer, start):
                append_uint(out, number)
            out += b"".join(structs)
        append_uint(out, len(deletes))
        for target_writer, ranges in deletes.items():
            if rng.random() < 0.7:
                ranges.sort()
            append_uint(out, target_writer)
            append_uint(out, len(ranges))
            for at, length in ranges:
                append_uint(out, at)
                append_uint(out, length)
        return bytes(out)

    def _struct(self, own: list[Operation]) -> tuple[bytes, int, bool]:
        """The bytes of one struct, its length in operations, and whether it is deleted."""
        rng = self._rng
        left, right = self._origins(own)
        near = left or right
        root = self._roots.get(near, "") if near else rng.choice(self._named)
        kind = _TEXT if root in _TEXTS or (near in own and rng.random() < 0.5) else _ANY
        if rng.random() < 0.04:
            kind = rng.choice((_TEXT, _ANY))
        if rng.random() < 0.1:
            kind = _DELETED
        info = kind
        out = bytearray()
        for bit, origin in ((0x80, left), (0x40, right)):
            if origin is not None:
                info |= bit
                append_uint(out, origin[0])
                append_uint(out, origin[1])
        if near is None:
            if rng.random() < 0.02:
                root = rng.choice(("x", "x.a", "t.", ""))
            out += b"\x01" + _text(root)
            if (root in _MAPS) != (rng.random() < 0.05):
                info |= 0x20
                out += _text(rng.choice(_KEYS))
        if kind == _TEXT:
            word = rng.choice(_WORDS)
            length = len(word.encode("utf-16-le")) // 2
            out += _text(word)
        elif kind == _ANY:
            length = 1 if root in _MAPS and rng.random() < 0.8 else rng.choice((1, 1, 2, 3))
            append_uint(out, length)
            out += b"".join(b"\x7d" + bytes([rng.randrange(60)]) for _ in range(length))
        else:
            length = rng.choice((1, 1, 2))
            append_uint(out, length)
        return bytes([info]) + bytes(out), length, kind == _DELETED

    def _origins(self, own: list[Operation]) -> tuple[Operation | None, Operation | None]:
        """Two origins: drawn at random, or nearly as an editor would choose them."""
        rng = self._rng
        known = self.operations + own
        if not known or rng.random() < 0.1:
            return None, None
        if self._halves and rng.random() < 0.15:  # inside a character, which may be deleted
            half = rng.choice(self._halves)
            first = half[0], half[1] - 1
            return rng.choice(((first, None), (first, half), (None, half), (first, rng.choice(known))))
        left = rng.choice(known)
        fashion = rng.random()
        if fashion < 0.25:
            return left, None
        if fashion < 0.4:
            return None, left
        root = self._roots.get(left)
        same = [operation for operation in known if self._roots.get(operation) == root] if fashion < 0.9 else known
        if fashion < 0.55:
            followers = [operation for operation in same if self._left.get(operation) == left]
            return left, rng.choice(followers) if followers else self._right.get(left)
        if fashion < 0.7:
            cousins = [operation for operation in same if self._left.get(operation) == self._left.get(left)]
            return left, rng.choice(cousins or same)
        return left, rng.choice(same)


def _text(text: str) -> bytes:
    data = text.encode()
    return bytes([len(data)]) + data
