"""Damage that is met in several places at once: on both sides, and in several threads."""

import threading

from crdt_sync.errors import StoreCorrupt
from crdt_sync.protocol.effects import Integrate
from crdt_sync.replica import damage
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


def test_a_record_that_is_met_while_another_is_found_whole_again_stays_noted(replica, monkeypatch):
    """It is met in another thread, as soon as that one may go on."""
    context, known = replica.context, damage.known
    context.note_damage(US, "it was damaged")
    met = threading.Thread(target=context.note_damage, args=("customers/other", "it is damaged"))

    def known_to_one(store):
        found = known(store)
        if met.ident is None:
            met.start()
            met.join(0.1)  # where nothing keeps it waiting, it is done
        return found

    monkeypatch.setattr(damage, "known", known_to_one)
    context.forget_mended([US])
    met.join()
    assert known(replica.store) == context.damaged == {"customers/other": "it is damaged"}
