"""The index of a store: built, followed, and checked against the store's root."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.protocol.reconcile import Index
from crdt_sync.replica import index as module
from crdt_sync.replica.index import UNKNOWN_TO_ACCEPTOR, UNKNOWN_TO_DIALER, StoreIndex
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.port import Batch, Change

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


@given(st.lists(st.tuples(st.integers(0, 9), st.none() | st.integers(0, 3), st.booleans()), max_size=30))
def test_it_always_shows_what_the_store_holds(steps) -> None:
    store = MemoryStore(rng=random.Random(1))
    index = StoreIndex(store, UNKNOWN_TO_ACCEPTOR)
    for number, digest, look in steps:
        record = f"customers/{number}"
        if digest == 3 and store.record_head(record) is not None:
            store.commit([Batch(digests={record: b"d" * 16})])
        else:
            changed(store, record, None if digest is None else bytes([digest]) * 16)
        if look:
            index.pin()
    assert content(index) == [(name, digest or UNKNOWN_TO_ACCEPTOR) for name, digest in store.digests("", 99)]
