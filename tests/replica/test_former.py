"""What fields held before: read from the log, update by update, as a record is loaded."""

import pytest

from crdt_sync.records import Document, values_of
from crdt_sync.replica.former import former
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
