"""What a repair, a clone and lost records do to what partners are believed to hold."""

import pytest

from crdt_sync.errors import StoreFull
from crdt_sync.protocol.effects import Welcomed
from crdt_sync.replica.partner import Partner
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Finding, VerifyReport
from tests.replica.partners import EPOCH, RELAY, US, outbox, write
from tests.replica.wire import URL


def test_a_clone_of_the_store_is_not_touched_by_its_original(make_replica):
    """The tests above rest on it."""
    anna = make_replica("anna")
    clone = anna.store.clone()
    assert isinstance(clone, MemoryStore)
    write(anna, US, name="Us")
    assert clone.count() == 0


def test_a_repair_that_found_something_forgets_the_lives_in_which_others_read_this_replica(replica):
    write(replica, US, name="Us")
    life = replica.store.epoch
    replica.repair()
    assert (replica.store.epoch, replica.store.reach(life)) == (life, 1)
    replica.store.quarantine(US)
    replica.repair()
    assert replica.store.reach(life) is None


def test_a_record_that_damage_took_is_pending_no_more(replica, partner):
    assert outbox(partner) == [US]
    replica.store.quarantine(US)
    again = Partner(replica, URL)
    again.welcomed(Welcomed(RELAY, EPOCH, 0, False, True))
    assert outbox(again) == []
    assert replica.status().partners[0].pending == 0


def test_a_repair_that_cannot_be_stored_sets_nothing_aside_behind_a_cursor(replica, partner, monkeypatch):
    assert replica.store.peer(RELAY).cursor == 5
    commit = replica.store.commit
    monkeypatch.setattr(replica.store, "verify", lambda: VerifyReport(1, (Finding("heads", US, "is damaged", US),)))
    monkeypatch.setattr(replica.store, "damaged", lambda: [US])

    def full(batches):
        raise StoreFull("no room")

    monkeypatch.setattr(replica.store, "commit", full)
    with pytest.raises(StoreFull):
        replica.repair()
    assert replica.store.quarantined() == []
    monkeypatch.setattr(replica.store, "commit", commit)
    assert replica.repair().salvaged == (US,)
    assert replica.store.peer(RELAY).cursor == 0
