"""The index of a store: built, followed, and checked against the store's root."""

import random

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.errors import StoreFailed, StoreFull
from crdt_sync.protocol.reconcile import Index, Ranges, Reconciler, blocks, leaf
from crdt_sync.replica import index as module
from crdt_sync.replica.index import UNKNOWN_TO_ACCEPTOR, UNKNOWN_TO_DIALER, StoreIndex
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch, Change

A, B, C = "customers/a", "customers/b", "customers/c"


def changed(store: MemoryStore, record: str, digest: bytes | None) -> None:
    store.commit([Batch((Change(record, (b"u",), b"o" * 16, "", 1, b"\x00", digest=digest),))])


def content(index: StoreIndex) -> list[tuple[str, bytes]]:
    return index.pin().items("", None, 1000)


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore(rng=random.Random(1))
    for record in (A, B):
        changed(store, record, record.encode().ljust(16, b"."))
    return store


def builds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by an entry each time that an index is built from all digests."""
    built: list[int] = []
    load = Index.load.__func__  # type: ignore[attr-defined]

    def counted(cls, page):
        built.append(1)
        return load(cls, page)

    monkeypatch.setattr(Index, "load", classmethod(counted))
    return built


def test_it_follows_the_feed_instead_of_being_built_again(store, monkeypatch) -> None:
    built = builds(monkeypatch)
    index = StoreIndex(store, UNKNOWN_TO_DIALER)
    first = index.pin()
    changed(store, B, b"2" * 16)
    changed(store, C, b"3" * 16)
    assert content(index) == [(A, b"customers/a....."), (B, b"2" * 16), (C, b"3" * 16)]
    assert first.items("", None, 9) == [(A, b"customers/a....."), (B, b"customers/b.....")]
    assert len(built) <= 1


def test_after_too_many_changes_it_is_built_anew(store, monkeypatch) -> None:
    index = StoreIndex(store, UNKNOWN_TO_DIALER)
    index.pin()
    built = builds(monkeypatch)
    monkeypatch.setattr(module, "_FOLLOWED_MAX", 1)
    changed(store, A, b"1" * 16)
    changed(store, B, b"2" * 16)
    assert content(index) == [(A, b"1" * 16), (B, b"2" * 16)]
    assert built == [1]


def test_a_record_without_a_digest_seems_equal_to_no_other_until_it_has_one(store) -> None:
    changed(store, A, None)
    dialing, accepting = StoreIndex(store, UNKNOWN_TO_DIALER), StoreIndex(store, UNKNOWN_TO_ACCEPTOR)
    assert dict(content(dialing))[A] != dict(content(accepting))[A]
    store.commit([Batch(digests={A: b"1" * 16})])
    assert content(dialing) == content(accepting)
    assert dict(content(dialing))[A] == b"1" * 16


def test_a_quarantine_behind_the_head_is_noticed(store) -> None:
    index = StoreIndex(store, UNKNOWN_TO_DIALER)
    index.pin()
    store.quarantine(A)
    assert content(index) == [(record, digest or UNKNOWN_TO_DIALER) for record, digest in store.digests("", 9)]


LOOKS = st.sampled_from(["", "pin", "pin and keep", "restart", "quarantine"])


@given(st.lists(st.tuples(st.integers(0, 9), st.none() | st.integers(0, 3), LOOKS), max_size=30))
def test_it_always_shows_what_the_store_holds(steps) -> None:
    store = MemoryStore(rng=random.Random(1))
    index = StoreIndex(store, UNKNOWN_TO_ACCEPTOR)
    for number, digest, look in steps:
        record = f"customers/{number}"
        if digest == 3 and store.record_head(record) is not None:
            store.commit([Batch(digests={record: b"d" * 16})])
        else:
            changed(store, record, None if digest is None else bytes([digest]) * 16)
        if look == "restart":
            index = StoreIndex(store, UNKNOWN_TO_ACCEPTOR)
        elif look == "quarantine":
            store.quarantine(record)
        elif look:
            index.pin()
        if look == "pin and keep":
            index._keep()
    assert content(index) == [(name, digest or UNKNOWN_TO_ACCEPTOR) for name, digest in store.digests("", 99)]


# --- kept in the store ------------------------------------------------------------------------------------------

RECORDS = [f"customers/{number:04}" for number in range(1024)]


@pytest.fixture
def kept(store, monkeypatch) -> MemoryStore:
    """A store with many records more, whose index was kept in small blocks: each part of a split has 16 of them."""
    monkeypatch.setattr("crdt_sync.protocol.reconcile.index.BLOCK_RECORDS", 4)
    monkeypatch.setattr(module, "_FOLLOWED_MAX", 100)
    monkeypatch.setattr(module, "_FOLLOWED_SHARE", 0)
    store.commit([Batch(tuple(_change(record, record.encode().ljust(16, b".")) for record in RECORDS))])
    StoreIndex(store, UNKNOWN_TO_DIALER).pin()
    assert store.kept_index()
    return store


def _change(record: str, digest: bytes) -> Change:
    return Change(record, (b"u",), b"o" * 16, "", 1, b"\x00", digest=digest)


def everything(store: MemoryStore) -> list[tuple[str, bytes | None]]:
    return store.digests("", 2000)


def test_what_was_kept_spares_the_building(kept, monkeypatch) -> None:
    built = builds(monkeypatch)
    changed(kept, RECORDS[7], b"7" * 16)
    changed(kept, "customers/new", b"8" * 16)
    assert StoreIndex(kept, UNKNOWN_TO_ACCEPTOR).pin().items("", None, 2000) == everything(kept)
    assert built == []


def test_stale_digests_are_kept_as_stale(kept, monkeypatch) -> None:
    built = builds(monkeypatch)
    changed(kept, RECORDS[7], None)
    index = StoreIndex(kept, UNKNOWN_TO_DIALER)
    index.pin()
    index._keep()
    assert dict(StoreIndex(kept, UNKNOWN_TO_ACCEPTOR).pin().items("", None, 2000))[RECORDS[7]] == UNKNOWN_TO_ACCEPTOR
    kept.commit([Batch(digests={RECORDS[7]: b"7" * 16})])
    assert StoreIndex(kept, UNKNOWN_TO_ACCEPTOR).pin().items("", None, 2000) == everything(kept)
    assert built == []


def test_what_was_kept_serves_in_the_next_life_of_the_same_history(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore(rng=random.Random(1))
    store.begin_life()
    for number in range(module._KEPT_BEHIND_MAX + 1):
        changed(store, f"customers/{number:04}", number.to_bytes(16, "big"))
    StoreIndex(store, UNKNOWN_TO_ACCEPTOR).pin()
    built = builds(monkeypatch)
    store.begin_life()
    changed(store, C, b"d" * 16)
    assert len(StoreIndex(store, UNKNOWN_TO_ACCEPTOR).pin()) == module._KEPT_BEHIND_MAX + 2
    assert built == []


def test_it_is_kept_again_after_enough_changes(kept, monkeypatch) -> None:
    monkeypatch.setattr(module, "_KEPT_BEHIND_MAX", 3)
    monkeypatch.setattr(module, "_KEPT_BEHIND_SHARE", 0)
    index = StoreIndex(kept, UNKNOWN_TO_DIALER)
    before = kept.kept_index()
    for number, again in enumerate([False, False, False, True, False]):
        changed(kept, RECORDS[number], b"n" * 16)
        index.pin()
        assert (kept.kept_index() != before) == again
        before = kept.kept_index()


def _another_life(store: MemoryStore) -> None:
    store.renew_epoch()


def _ahead(store: MemoryStore) -> None:
    kind, epoch, head, stale = cbor2.loads(store.kept_index()[0])
    store.keep_index([cbor2.dumps([kind, epoch, head + 1, stale]), *store.kept_index()[1:]])


def _another_format(store: MemoryStore) -> None:
    store.keep_index([cbor2.dumps([99, store.epoch, 0, []]), *store.kept_index()[1:]])


def _garbage(store: MemoryStore) -> None:
    store.keep_index([b"\xff", b"garbage"])


def _garbage_behind(store: MemoryStore) -> None:
    store.keep_index([store.kept_index()[0], b"garbage"])


def _half(store: MemoryStore) -> None:
    store.keep_index(store.kept_index()[:1])


def _too_far_behind(store: MemoryStore) -> None:
    for number in range(101):
        changed(store, RECORDS[number], b"n" * 16)


def _stale_pages_under_a_new_head(store: MemoryStore) -> None:
    changed(store, RECORDS[7], b"n" * 16)
    kind, epoch, _, stale = cbor2.loads(store.kept_index()[0])
    store.keep_index([cbor2.dumps([kind, epoch, store.head(), stale]), *store.kept_index()[1:]])


@pytest.mark.parametrize(
    "spoil",
    [_another_life, _ahead, _another_format, _garbage, _garbage_behind, _half, _too_far_behind,
     _stale_pages_under_a_new_head],
)  # fmt: skip
def test_what_cannot_be_used_is_built_anew_and_kept(kept, spoil, monkeypatch) -> None:
    spoil(kept)
    built = builds(monkeypatch)
    assert StoreIndex(kept, UNKNOWN_TO_DIALER).pin().items("", None, 2000) == everything(kept)
    assert built == [1]
    assert StoreIndex(kept, UNKNOWN_TO_DIALER).pin().items("", None, 2000) == everything(kept)
    assert built == [1]


@pytest.mark.parametrize("error", [StoreFull("full"), StoreFailed("failed")])
def test_an_index_that_cannot_be_kept_serves_all_the_same(store, monkeypatch, error) -> None:
    def refused(_):
        raise error

    monkeypatch.setattr(store, "keep_index", refused)
    monkeypatch.setattr(module, "_KEPT_BEHIND_MAX", 0)
    assert content(StoreIndex(store, UNKNOWN_TO_DIALER)) == store.digests("", 9)


def rows_of(store: MemoryStore) -> list[list]:
    return [row for page in store.kept_index()[1:] for row in cbor2.loads(page)]


def keep_rows(store: MemoryStore, rows: list[list]) -> None:
    store.keep_index([store.kept_index()[0], cbor2.dumps(rows)])


def make_it_lie(store: MemoryStore, partner_digest: bytes) -> None:
    """The worst lie: the block of RECORDS[9] says what a partner has there, another block makes up for it."""
    rows = rows_of(store)
    delta = leaf(RECORDS[9], partner_digest) - leaf(RECORDS[9], store.digest(RECORDS[9]) or b"")
    for row, change in ((rows[2], delta), (rows[100], -delta)):
        row[1] = (int.from_bytes(row[1], "big") + change).to_bytes(40, "big")
    keep_rows(store, rows)


def differences(ours, theirs) -> set[str]:
    """What the initiator learns from a run over two views."""
    sides, turn = (Reconciler(ours, True), Reconciler(theirs, False)), 1
    message: Ranges | None = sides[0].start()
    found: set[str] = set()
    while message is not None:
        message = sides[turn].receive(message)
        for number, side in enumerate(sides):
            want, owe = side.take()
            if number == 0:
                found |= {entry.record for portion in (want, owe) for entry in portion}
        turn = 1 - turn
    return found


def partner_of(store: MemoryStore, record: str, digest: bytes):
    held: dict[str, bytes] = {each: known or b"" for each, known in everything(store)} | {record: digest}
    return Index(sorted(held.items())).pin()


def test_a_lie_that_adds_up_ends_the_comparison_and_the_next_one_does_without(kept, monkeypatch) -> None:
    make_it_lie(kept, b"partner's digest")
    index = StoreIndex(kept, UNKNOWN_TO_DIALER)
    partner = partner_of(kept, RECORDS[9], b"partner's digest")
    with pytest.raises(StoreFailed, match="does not match the records"):
        differences(index.pin(), partner)
    assert kept.kept_index() == []
    built = builds(monkeypatch)
    assert differences(index.pin(), partner) == {RECORDS[9]}
    assert built == [1]
    assert differences(StoreIndex(kept, UNKNOWN_TO_DIALER).pin(), partner) == {RECORDS[9]}


def test_without_the_check_of_a_block_that_lie_would_be_believed(kept, monkeypatch) -> None:
    make_it_lie(kept, b"partner's digest")

    def believing(self):
        entries = zip(self.records.split("\n"), range(0, len(self.digests), 16), strict=True)
        block = blocks.Block(object(), [], bytearray(), [], 0)
        block.replace(0, 0, [(record, self.digests[start : start + 16]) for record, start in entries])
        return block

    monkeypatch.setattr(blocks.PackedBlock, "open", believing)
    view = StoreIndex(kept, UNKNOWN_TO_DIALER).pin()
    assert differences(view, partner_of(kept, RECORDS[9], b"partner's digest")) != {RECORDS[9]}


def test_a_lie_is_noticed_while_the_index_follows(kept) -> None:
    rows = rows_of(kept)
    rows[0][3] = bytes(16) + rows[0][3][16:]
    keep_rows(kept, rows)
    changed(kept, RECORDS[3], b"3" * 16)
    assert StoreIndex(kept, UNKNOWN_TO_DIALER).pin().items("", None, 2000) == everything(kept)


def test_without_the_root_old_pages_would_be_believed(kept, monkeypatch) -> None:
    _stale_pages_under_a_new_head(kept)
    index = StoreIndex(kept, UNKNOWN_TO_DIALER)
    index._load()
    assert index._index.pin().items("", None, 2000) != everything(kept)
    assert index._followed() is None
