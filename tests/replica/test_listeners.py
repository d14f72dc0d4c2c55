"""What must not stay unseen, and what must not spread: unreadable updates and listeners that raise."""

import logging
import random
from typing import Any

import pytest

from crdt_sync.errors import StoreFailed
from crdt_sync.protocol.messages import UpdatesEntry
from crdt_sync.records import bundled_schema
from crdt_sync.replica import Event, Replica, unread
from crdt_sync.replica.partner import Partner
from crdt_sync.replica.pushed import PushedUpdates
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch, Change

RELAY = b"relay-relay-rela"


@pytest.fixture
def replica() -> Replica:
    clock = iter(range(1_700_000_000_000_000, 1_800_000_000_000_000))
    replica = Replica.over(MemoryStore(rng=random.Random(1)), lambda: next(clock), random.Random(2))
    replica.name = "ann"
    replica.add_schema(bundled_schema("customers"))
    return replica


def integrate(replica: Replica, record: str, update: bytes, vector: bytes = b"", partner: bytes = RELAY) -> None:
    replica.integrate([UpdatesEntry(record, update, vector)], partner, peers=(), owe_to=None, refused={})


def test_an_update_that_cannot_be_read_is_named_until_the_record_takes_what_comes(replica) -> None:
    with replica.edit("customers") as customer:
        customer["name"] = "Müller"
    good = replica.context.diff(customer.record, b"\x00")
    assert good is not None
    integrate(replica, "customers/a", b"\xff\xff\xff")
    assert list(replica.status().unreadable) == ["customers/a"]
    assert replica.status().unreadable["customers/a"].startswith("malformed")
    integrate(replica, "customers/b", good.update)
    assert list(replica.status().unreadable) == ["customers/a"]
    integrate(replica, "customers/a", good.update)
    assert list(replica.status().unreadable) == ["customers/a"], "it need not be what could not be read"
    assert unread.of(unread.known(replica.store), RELAY) == ["customers/a"]
    integrate(replica, "customers/a", good.update, good.state_vector, b"somebody-elses-i")
    assert list(replica.status().unreadable) == ["customers/a"], "it may lack what that one cannot read either"
    assert unread.of(unread.known(replica.store), b"somebody-elses-i") == []
    integrate(replica, "customers/a", good.update, good.state_vector)
    assert replica.status().unreadable == {}


def test_of_two_partners_whose_updates_cannot_be_read_each_is_asked_again(replica) -> None:
    other = b"somebody-elses-i"
    integrate(replica, "customers/a", b"\xff\xff\xff")
    integrate(replica, "customers/a", b"\xff\xff", partner=other)
    assert (
        unread.of(unread.known(replica.store), RELAY)
        == unread.of(unread.known(replica.store), other)
        == ["customers/a"]
    )
    update, vector = an_update("Müller")
    integrate(replica, "customers/a", update, vector)
    assert (unread.of(unread.known(replica.store), RELAY), unread.of(unread.known(replica.store), other)) == (
        [],
        ["customers/a"],
    )
    assert list(replica.status().unreadable) == ["customers/a"]


def test_a_note_of_an_earlier_version_is_asked_of_everybody(replica) -> None:
    replica.store.commit([Batch(meta={"unreadable": b'{"customers/a": "malformed: odd"}'})])
    assert (
        unread.of(unread.known(replica.store), RELAY)
        == unread.of(unread.known(replica.store), b"somebody-elses-i")
        == ["customers/a"]
    )
    integrate(replica, "customers/a", *an_update("Müller"))
    assert replica.status().unreadable == {}


def test_a_listener_that_raises_neither_undoes_the_edit_nor_keeps_others_from_hearing(replica, caplog) -> None:
    heard: list[str] = []

    def fails(events) -> None:
        raise ValueError("not mine")

    replica.subscribe(fails)
    replica.subscribe(lambda events: heard.extend(event.kind for event in events))
    with caplog.at_level(logging.ERROR), replica.edit("customers") as customer:
        customer["name"] = "Müller"
    assert replica.get(customer.record)["name"] == "Müller"
    assert heard == ["edited"]
    assert "a listener of the replica failed" in caplog.text


def an_update(name: str) -> tuple[bytes, bytes]:
    """Of a new record, with its state vector."""
    other = Replica.over(MemoryStore(rng=random.Random(3)), lambda: 1_700_000_000_000_000, random.Random(4))
    other.name = "bob"
    other.add_schema(bundled_schema("customers"))
    with other.edit("customers") as customer:
        customer["name"] = name
    diff = other.context.diff(customer.record, b"\x00")
    assert diff is not None
    return diff.update, diff.state_vector


@pytest.mark.parametrize(("origin", "owed"), [(RELAY, False), (b"sombody-elses-id", True)])
def test_what_comes_from_elsewhere_is_pushed_to_the_only_partner_at_once(replica, origin, owed) -> None:
    """As when a bundle is applied while a session with a relay is open."""
    replica.context.meet(RELAY)
    heard: list[Event] = []
    replica.subscribe(heard.extend)
    update, vector = an_update("Müller")
    replica.integrate([UpdatesEntry("customers/a", update, vector)], origin, peers=(), owe_to=None)
    assert heard == [Event("received", "customers/a", owed)]
    assert Partner(replica, "ws://relay").pushable(heard) == (["customers/a"] if owed else [])
    assert bool(replica.store.outbox(RELAY, "", 9)) == owed


def pushed(replica: Replica, update: bytes, vector: bytes) -> None:
    change = Change("customers/a", (update,), b"o" * 16, "", 0, vector)
    PushedUpdates(replica).commit([Batch(changes=(change,))])


def fetched(replica: Replica, update: bytes, vector: bytes) -> None:
    replica.integrate([UpdatesEntry("customers/a", update, vector)], b"o" * 16, peers=(), owe_to=None)


@pytest.mark.parametrize("receive", [pushed, fetched])
def test_sessions_hear_of_what_came_in_a_commit_that_failed_and_is_found_whole(replica, receive, monkeypatch) -> None:
    replica.context.meet(RELAY)
    commit = replica.store.commit

    def commit_and_fail(batches: Any) -> None:
        commit(batches)
        raise StoreFailed("the disk failed after all was written")

    monkeypatch.setattr(replica.store, "commit", commit_and_fail)
    heard: list[Event] = []
    replica.subscribe(heard.extend)
    with pytest.raises(StoreFailed):
        receive(replica, *an_update("Müller"))
    assert [entry.record for entry in replica.store.outbox(RELAY, "", 9)] == ["customers/a"]
    assert heard == [Event("received", "customers/a", owed=True)]
