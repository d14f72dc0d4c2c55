"""What a partner could not read, of a record that is damaged here as well: it is owed, and the rest is stored."""

from crdt_sync.errors import StoreCorrupt
from crdt_sync.protocol.effects import Integrate
from tests.replica.partners import US, outbox


def test_a_record_that_neither_side_can_read_waits_for_both(replica, partner, monkeypatch):
    read = replica.store.record_head

    def damaged(record):
        if record == US:
            raise StoreCorrupt("it is damaged", "", US)
        return read(record)

    monkeypatch.setattr(replica.store, "record_head", damaged)
    assert partner.integrate(Integrate(1, (), 9, 9, True, unserved=(US,))) == []
    assert US in outbox(partner)
    assert list(replica.status().unreadable) == [US]
    assert replica.status().partners[0].missing == 1
