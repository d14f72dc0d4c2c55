"""What others are called: by what they told last, in bounded room."""

from crdt_sync.limits import PARTNERS_MAX
from crdt_sync.replica.callers import Caller, remembered
from crdt_sync.replica.names import names, note_announced
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch

BEN = b"b" * 16


def test_a_name_told_in_a_call_goes_before_one_that_was_announced() -> None:
    store = MemoryStore()
    note_announced(store, BEN, "till")
    assert names(store) == {BEN: "till"}
    note_announced(store, BEN, "")
    assert names(store) == {BEN: "till"}
    store.commit([Batch(meta=remembered({BEN: Caller(BEN, "ben", 1, b"l" * 16, 0, 0)}))])
    assert names(store) == {BEN: "ben"}


def test_announced_names_are_bounded_and_the_last_are_kept() -> None:
    store = MemoryStore()
    for number in range(PARTNERS_MAX + 9):
        note_announced(store, number.to_bytes(16, "big"), "x")
    note_announced(store, (9).to_bytes(16, "big"), "y")
    note_announced(store, BEN, "ben")
    assert len(names(store)) == PARTNERS_MAX
    assert names(store)[(9).to_bytes(16, "big")] == "y"
    assert (10).to_bytes(16, "big") not in names(store)
