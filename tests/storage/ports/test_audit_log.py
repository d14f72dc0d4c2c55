"""The audit log of a store: what a commit tells of is there with it, in order, until it is dropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.audit_log.chain import LINK_FIRST, body_of, is_sealed, link_of, seal_of
from crdt_sync.errors import UnknownRecord
from crdt_sync.storage import Batch, MemoryStore
from tests.storage.conftest import make_change


def everything(store):
    return store.audit_after(0, 1_000)


def bodies(rows):
    return [body_of(value) for _, value in rows]


def test_a_new_store_has_none(store):
    assert store.audit_head() == (0, LINK_FIRST)
    assert everything(store) == []
    assert store.audit_before(100, 10, lambda _: True) == ([], 0)
    assert store.drop_audit(10) == 0


def test_entries_are_chained_in_the_order_of_the_batches(store):
    store.commit([Batch(audit=(b"one", b"two")), Batch(), Batch(audit=(b"three",))])
    store.commit([Batch(audit=(b"four",))])
    rows = everything(store)
    assert [number for number, _ in rows] == [1, 2, 3, 4]
    assert bodies(rows) == [b"one", b"two", b"three", b"four"]
    assert all(is_sealed(number, value) for number, value in rows)
    links = [LINK_FIRST, *(seal_of(value) for _, value in rows)]
    assert [link_of(value) for _, value in rows] == links[:-1]
    assert store.audit_head() == (4, links[-1])


def test_they_are_there_after_a_restart_and_go_on(opened):
    opened.store.commit([Batch(audit=(b"one",))])
    before = opened.store.audit_head()
    store = opened.reopen()
    assert store.audit_head() == before
    store.commit([Batch(audit=(b"two",))])
    assert link_of(everything(store)[1][1]) == before[1]


def test_a_commit_that_is_refused_leaves_no_entry(store):
    store.commit([Batch(audit=(b"one",))])
    with pytest.raises(UnknownRecord):
        store.commit([Batch(audit=(b"two",)), Batch(changes=(make_change("customers/unknown"),))])
    assert bodies(everything(store)) == [b"one"]


def test_compaction_and_replacing_leave_them(store):
    store.commit([Batch(changes=(make_change("customers/a", b"1", snapshot=b"s"),), audit=(b"one",))])
    store.compact()
    store.replace(["customers/a"], Batch(audit=(b"two",)))
    store.rebuild()
    assert bodies(everything(store)) == [b"one", b"two"]


def test_pages_go_either_way(store):
    store.commit([Batch(audit=tuple(b"%d" % number for number in range(1, 8)))])
    assert bodies(store.audit_after(2, 3)) == [b"3", b"4", b"5"]
    assert store.audit_after(7, 3) == []
    newest, before = store.audit_before(1 << 62, 3, lambda _: True)
    assert (bodies(newest), before) == ([b"7", b"6", b"5"], 5)
    assert bodies(store.audit_before(before, 10, lambda _: True)[0]) == [b"4", b"3", b"2", b"1"]
    odd, before = store.audit_before(8, 2, lambda value: int(body_of(value)) % 2 == 1)
    assert (bodies(odd), before) == ([b"7", b"5"], 5)


def test_a_read_looks_at_a_bounded_number_and_says_where_to_go_on(store, monkeypatch):
    for module in ("crdt_sync.storage.memory", "crdt_sync.storage.lmdb.audit"):
        monkeypatch.setattr(f"{module}.AUDIT_SCANNED_MAX", 3)
    store.commit([Batch(audit=tuple(b"%d" % number for number in range(1, 8)))])
    assert store.audit_before(8, 2, lambda value: body_of(value) == b"1") == ([], 5)
    assert store.audit_before(5, 2, lambda value: body_of(value) == b"1") == ([], 2)
    found, before = store.audit_before(2, 2, lambda value: body_of(value) == b"1")
    assert (bodies(found), before) == ([b"1"], 0)


def test_the_oldest_are_dropped_and_the_chain_goes_on(store):
    store.commit([Batch(audit=(b"one", b"two", b"three"))])
    kept = everything(store)[2]
    assert store.drop_audit(3) == 2
    assert everything(store) == [kept]
    store.commit([Batch(audit=(b"four",))])
    assert [number for number, _ in everything(store)] == [3, 4]


def test_dropping_many_takes_several_transactions(store, monkeypatch):
    monkeypatch.setattr("crdt_sync.storage.lmdb.audit.AUDIT_DROPPED_MAX", 2)
    store.commit([Batch(audit=tuple(b"%d" % number for number in range(1, 8)))])
    assert store.drop_audit(7) == 6
    assert bodies(everything(store)) == [b"7"]


@given(st.lists(st.lists(st.binary(max_size=5), max_size=3), max_size=5))
def test_the_twins_chain_alike(groups):
    stores = [MemoryStore(b"r" * 16) for _ in range(2)]
    for group in groups:
        stores[0].commit([Batch(audit=(body,)) for body in group])
        stores[1].commit([Batch(audit=tuple(group))])
    assert everything(stores[0]) == everything(stores[1])
