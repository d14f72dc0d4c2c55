"""What any store knows of partners, and what they lack."""

from crdt_sync.storage import OutboxEntry, Peer
from tests.storage.committing import ANN, BOB, CID, OTHER, PARTNER, put


def test_partners_are_remembered(store):
    here = Peer(PARTNER, b"e" * 16, 7, 123, "wss://relay")
    there = Peer(OTHER, b"f" * 16, 0, 0, marks=(b"c" * 36, b"h" * 36))
    put(store, peers=(there, here))
    assert (store.peer(PARTNER), store.peer(b"x" * 16)) == (here, None)
    assert store.peers() == [here, there]


def test_an_outbox_entry_leaves_only_with_the_edit_that_was_acknowledged(store):
    put(store, outbox=((PARTNER, OutboxEntry(ANN, b"sv", 1)), (OTHER, OutboxEntry(BOB, b"", 1))))
    put(store, outbox=((PARTNER, OutboxEntry(ANN, b"sv", 2)),))
    put(store, outbox_done=((PARTNER, ANN, 1), (PARTNER, CID, 1)))
    assert store.outbox_entry(PARTNER, ANN) == OutboxEntry(ANN, b"sv", 2)
    put(store, outbox_done=((PARTNER, ANN, 2),))
    assert store.outbox_entry(PARTNER, ANN) is None
    assert (store.outbox_count(PARTNER), store.outbox_count(OTHER)) == ((0, 0), (1, 0))


def test_an_outbox_counts_what_waits_and_what_was_refused(store):
    put(store, outbox=tuple((PARTNER, OutboxEntry(record, b"", 1)) for record in (CID, ANN, BOB)))
    put(store, outbox=((PARTNER, OutboxEntry(BOB, b"", 1, "too_large", "more than 2 MiB")),))
    assert store.outbox_count(PARTNER) == (3, 1)
    assert [entry.record for entry in store.outbox(PARTNER, ANN, 10)] == [BOB, CID]
    assert store.outbox(PARTNER, "", 2)[1] == OutboxEntry(BOB, b"", 1, "too_large", "more than 2 MiB")
    put(store, outbox_done=((PARTNER, BOB, 1),))
    assert store.outbox_count(PARTNER) == (2, 0)
    put(store, forget_outbox=(PARTNER,), outbox=((PARTNER, OutboxEntry(CID, b"", 9)),))
    assert store.outbox(PARTNER, "", 10) == [OutboxEntry(CID, b"", 9)]
    assert store.outbox_count(PARTNER) == (1, 0)
