"""What fields held before: read from the log, update by update, as a record is loaded."""

import pytest

from crdt_sync.errors import StoreClosed
from crdt_sync.records import Document, values_of
from crdt_sync.replica.former import Former, former
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch, Change

RECORD = "customers/a"
PUT_INTO_A_DELETED_CHARACTER = tuple(
    bytes.fromhex(update)
    for update in (
        "01010500040103742e610cf09f9880f09f9880f09f988000",  # three emoji
        "010201008105000184010002797a020101000105010002",  # deletes the first, and puts a text between its halves
        "010105068405050178 00".replace(" ", ""),  # goes on behind them
    )
)


def stored(updates):
    store = MemoryStore(b"r" * 16)
    for number in range(len(updates)):
        vector = Document.load(updates[: number + 1]).state_vector()
        store.commit([Batch(changes=(Change(RECORD, (updates[number],), b"r" * 16, "", 1, vector),))])
    return store


@pytest.mark.parametrize("count", [2, 3])
def test_former_values_are_what_the_record_showed(count):
    updates = PUT_INTO_A_DELETED_CHARACTER[:count]
    shown = [values_of(Document.load(updates[: number + 1]), None) for number in range(count - 1)]
    assert former(stored(updates), RECORD, None).values == shown


class Panic(BaseException):
    """As pycrdt raises it."""


@pytest.mark.parametrize("entry", [b"", b"\x01", bytes.fromhex("ffff"), bytes.fromhex("010101000500")])
def test_an_old_entry_that_cannot_be_read_leaves_what_the_record_itself_tells(entry):
    holds = Document.load(PUT_INTO_A_DELETED_CHARACTER)
    store = MemoryStore(b"r" * 16)
    change = Change(RECORD, (entry,), b"r" * 16, "", 1, b"\x00", holds.diff())
    again = Change(RECORD, (holds.diff(),), b"r" * 16, "", 1, holds.state_vector(), holds.diff())
    store.commit([Batch(changes=(change,))])
    store.commit([Batch(changes=(again,))])
    assert former(store, RECORD, None) == Former((), {}, frozenset(), frozenset())


@pytest.mark.parametrize("step", ["join", "apply"])
def test_neither_an_entry_nor_a_record_that_makes_the_library_panic_stops_anything(step, monkeypatch):
    def panicking(document, update):
        raise Panic("the lock is poisoned")

    store = stored(PUT_INTO_A_DELETED_CHARACTER)
    monkeypatch.setattr(Document, step, panicking)
    assert not former(store, RECORD, None).values


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), MemoryError(), StoreClosed("closed", "")])
def test_what_is_no_matter_of_the_bytes_is_raised(stop, monkeypatch):
    def stopped(document, update):
        raise stop

    store = stored(PUT_INTO_A_DELETED_CHARACTER)
    monkeypatch.setattr(Document, "join", stopped)
    with pytest.raises(type(stop)):
        former(store, RECORD, None)
