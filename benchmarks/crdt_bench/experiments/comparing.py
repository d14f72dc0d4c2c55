"""Three ways to find out in which records two stores differ: by ranges, by a plain list, by state vectors.

All of them read the same two stores, both sides learn every record that differs, and what differs is not transferred.
Bytes are those of the messages in CBOR. Processor time is taken for each side apart, with its reads of the store,
encoding and decoding; both sides run in this process in turns, so the wall time is that of both, without a network.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import cbor2

from crdt_sync.limits import PAGE_RECORDS_MAX
from crdt_sync.protocol.reconcile import Reconciler, decode, encode
from crdt_sync.replica.index import UNKNOWN_TO_ACCEPTOR, UNKNOWN_TO_DIALER, StoreIndex
from crdt_sync.storage.port import Store

_READ_RECORDS = 4096


@dataclass(slots=True)
class Exchange:
    """What the exchange cost, and which records each side found to differ; side 0 begins."""

    messages: int = 0
    sent_bytes: int = 0
    processor_s: list[float] = field(default_factory=lambda: [0.0, 0.0])
    wall_s: float = 0.0
    found: tuple[set[str], set[str]] = field(default_factory=lambda: (set(), set()))

    @contextmanager
    def side(self, number: int) -> Iterator[None]:
        """Count the time of the block for a side."""
        processor, wall = time.process_time(), time.perf_counter()
        yield
        self.processor_s[number] += time.process_time() - processor
        self.wall_s += time.perf_counter() - wall

    def send(self, message: object) -> bytes:
        """Pack a message and count its bytes."""
        packed = cbor2.dumps(message)
        self.sent_bytes += len(packed)
        return packed


def by_ranges(here: Store, there: Store) -> Exchange:
    """The reconciliation of a session, with the index taken up from the store or built, as it may be."""
    exchange = Exchange()
    with exchange.side(0):
        first = Reconciler(StoreIndex(here, UNKNOWN_TO_DIALER).pin(), True)
        packed: bytes | None = exchange.send(encode(first.start()))
    with exchange.side(1):
        second = Reconciler(StoreIndex(there, UNKNOWN_TO_ACCEPTOR).pin(), False)
    while packed is not None:
        exchange.messages += 1
        turn = exchange.messages % 2
        with exchange.side(turn):
            reconciler = (first, second)[turn]
            answer = reconciler.receive(decode(tuple(cbor2.loads(packed))))
            packed = None if answer is None else exchange.send(encode(answer))
            want, owe = reconciler.take()
        exchange.found[turn].update([entry.record for entry in want], [entry.record for entry in owe])
    return exchange


def by_list(here: Store, there: Store) -> Exchange:
    """All record ids with their digests one way; back come the records that differ, with the digests there."""
    return _whole(here, there, _digests)


def by_state_vectors(here: Store, there: Store) -> Exchange:
    """Each record's state vector one way and the one of the other side back, as servers with a document each do.

    That is the least: such servers also load each document and send its deletions, whether anything differs or not.
    """
    return _whole(here, there, _state_vectors, answer_all=True)


METHODS: dict[str, Callable[[Store, Store], Exchange]] = {
    "ranges": by_ranges,
    "plain list": by_list,
    "state vectors": by_state_vectors,
}

_Rows = Iterator[list[tuple[str, bytes]]]


def _whole(here: Store, there: Store, read: Callable[[Store], _Rows], answer_all: bool = False) -> Exchange:
    exchange = Exchange()
    frames, answers = [], []
    with exchange.side(0):
        for page in read(here):
            frames += [exchange.send(page[at : at + PAGE_RECORDS_MAX]) for at in range(0, len(page), PAGE_RECORDS_MAX)]
    with exchange.side(1):
        held: dict[str, bytes | None] = {record: token for page in read(there) for record, token in page}
        for frame in frames:
            rows = cbor2.loads(frame)
            different = [record for record, token in rows if held.get(record) != token]
            exchange.found[1].update(different)
            told: Any = [held.get(record) for record, _ in rows]
            if not answer_all:
                told = [(record, held.get(record)) for record in different]
            answers.append(exchange.send(told) if told else b"")
            for record, _ in rows:
                held.pop(record, None)
        exchange.found[1].update(held)
        rest = exchange.send(list(held.items()))
    with exchange.side(0):
        for frame, answer in zip(frames, answers, strict=True):
            if answer_all:
                pairs = zip(cbor2.loads(frame), cbor2.loads(answer), strict=True)
                exchange.found[0].update(record for (record, token), other in pairs if token != other)
            elif answer:
                exchange.found[0].update(record for record, _ in cbor2.loads(answer))
        exchange.found[0].update(record for record, _ in cbor2.loads(rest))
    exchange.messages = 2
    return exchange


def _digests(store: Store) -> _Rows:
    after = ""
    while page := store.digests(after, _READ_RECORDS):
        yield [(record, digest or b"") for record, digest in page]
        after = page[-1][0]


def _state_vectors(store: Store) -> _Rows:
    after = 0
    while page := store.feed(after, _READ_RECORDS):
        yield [(entry.record, entry.state_vector) for entry in page]
        after = page[-1].seq
