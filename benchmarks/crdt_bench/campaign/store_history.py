"""A drawn history of commits and maintenance, and everything that can be read from a store, to compare by."""

import random
from collections.abc import Callable, Iterator

from crdt_sync.errors import LogCompacted, StoreCorrupt
from crdt_sync.storage import Batch, Change, OutboxEntry, Peer, Store

RECORDS = tuple(f"customers/{number}" for number in range(12))
_PEERS = (b"p" * 16, b"q" * 16)
_RENEWED = 1 / 8
_LARGE = 20_000  # bytes that LMDB keeps on pages of their own
Step = Callable[[Store], object]


def history(seed: int, steps: int) -> Iterator[Step]:
    """Steps that do the same to any store: commits of every kind of value, and now and then a compaction."""
    rng = random.Random(seed)
    held: set[str] = set()
    for number in range(steps):
        if number % 9 == 8:
            yield lambda store: store.compact()
            continue
        batches = [_batch(rng, held) for _ in range(rng.choice((1, 1, 2, 5)))]
        yield lambda store, batches=batches: store.commit(batches)  # type: ignore[misc]


def _batch(rng: random.Random, held: set[str]) -> Batch:
    changes = [_change(rng, rng.choice(RECORDS)) for _ in range(rng.randrange(1, 4))]
    held.update(change.record for change in changes)
    peer = rng.choice(_PEERS)
    return Batch(
        changes=tuple(changes),
        views={rng.choice(sorted(held)): _bytes(rng, rng.choice((30, 600)))},
        digests={rng.choice(sorted(held)): rng.choice((None, rng.randbytes(16)))},
        peers=(Peer(peer, rng.randbytes(16), rng.randrange(1 << 40), rng.randrange(1 << 40), "ws://relay"),),
        outbox=((peer, OutboxEntry(changes[0].record, rng.randbytes(9), rng.randrange(5))),),
        outbox_done=((rng.choice(_PEERS), rng.choice(RECORDS), rng.randrange(5)),),
        meta={rng.choice("abc"): rng.choice((None, rng.randbytes(30)))},
    )


def _change(rng: random.Random, record: str) -> Change:
    """One in eight is a renewal: the whole record, in the place of what was stored."""
    change = _edit(rng, record)
    if rng.random() >= _RENEWED:
        return change
    whole = change.updates[-1]
    return change._replace(updates=(whole,), snapshot=whole, renewed=True, lineage=rng.randrange(1, 1 << 53))


def _edit(rng: random.Random, record: str) -> Change:
    updates = tuple(_bytes(rng, _size(rng)) for _ in range(rng.choice((1, 1, 3))))
    return Change(
        record=record,
        updates=updates,
        origin=rng.randbytes(16),
        actor=rng.choice(("anna", "Bjørn")),
        received_at=rng.randrange(1 << 50),
        state_vector=rng.randbytes(12),
        snapshot=rng.choice((None, None, updates[-1], rng.randbytes(_size(rng)))),
        view=rng.choice((None, rng.randbytes(80))),
        digest=rng.choice((None, rng.randbytes(16))),
    )


def _bytes(rng: random.Random, size: int) -> bytes:
    """Half of them have a shape, so that stores pack what is not small."""
    if rng.random() < 0.5:
        return rng.randbytes(size)
    return b"".join(b'"field %d":"%b"' % (number, rng.randbytes(3)) for number in range(size // 16 + 1))[:size]


def _size(rng: random.Random) -> int:
    return _LARGE if rng.random() < 0.02 else rng.randrange(1, 400)


Reading = Callable[[Store], object]


def readings() -> dict[str, Reading]:
    """Every read of the port, by name: together they show all that a store holds."""
    reads: dict[str, Reading] = {
        "head": lambda store: store.head(),
        "count": lambda store: store.count(),
        "feed": _feed,
        "log": _log,
        "records": lambda store: store.records("", 1000),
        "views": lambda store: store.views("", 1000),
        "digests": lambda store: store.digests("", 1000),
        "root": lambda store: store.root(),
        "stale": lambda store: store.stale(1000),
        "peers": lambda store: store.peers(),
        "meta": lambda store: [store.meta(key) for key in "abc"],
    }
    for peer in _PEERS:
        reads[f"outbox {peer[:1]!r}"] = lambda store, peer=peer: store.outbox(peer, "", 1000)  # type: ignore[misc]
        reads[f"outbox count {peer[:1]!r}"] = lambda store, peer=peer: store.outbox_count(peer)  # type: ignore[misc]
    for record in RECORDS:
        reads[f"load {record}"] = lambda store, record=record: store.load(record)  # type: ignore[misc]
        reads[f"history {record}"] = lambda store, record=record: store.history(record)  # type: ignore[misc]
    return reads


def _feed(store: Store) -> object:
    """The feed names a record whose head is damaged without its state vector, so that the others can be read: as good
    as the error.
    """
    found = store.feed(0, 1000)
    for entry in found:
        if not entry.state_vector:
            raise StoreCorrupt("the head is damaged", "", entry.record)
    return found


def _log(store: Store) -> object:
    try:
        return store.log(0, 1 << 20, 1 << 30)
    except LogCompacted:
        return "compacted"


READINGS = readings()


def observe(store: Store) -> dict[str, object]:
    """All that a store holds."""
    return {name: read(store) for name, read in READINGS.items()}
