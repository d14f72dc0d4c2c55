"""What must not stay unseen, and what must not spread: unreadable updates and listeners that raise."""

import logging
import random

import pytest

from crdt_sync.protocol.messages import UpdatesEntry
from crdt_sync.records import bundled_schema
from crdt_sync.replica import Replica
from crdt_sync.storage.memory import MemoryStore

RELAY = b"relay-relay-rela"


@pytest.fixture
def replica() -> Replica:
    clock = iter(range(1_700_000_000_000_000, 1_800_000_000_000_000))
    replica = Replica.over(MemoryStore(rng=random.Random(1)), lambda: next(clock), random.Random(2))
    replica.name = "ann"
    replica.add_schema(bundled_schema("customers"))
    return replica


def integrate(replica: Replica, record: str, update: bytes) -> None:
    replica.integrate([UpdatesEntry(record, update, b"")], RELAY, peers=(), owe_to=None, refused={})


def test_an_update_that_cannot_be_read_is_named_until_the_record_takes_what_comes(replica) -> None:
    with replica.edit("customers") as customer:
        customer["name"] = "Müller"
    good = replica.diff(customer.record, b"\x00")
    assert good is not None
    integrate(replica, "customers/a", b"\xff\xff\xff")
    assert list(replica.status().unreadable) == ["customers/a"]
    assert replica.status().unreadable["customers/a"].startswith("malformed")
    integrate(replica, "customers/b", good.update)
    assert list(replica.status().unreadable) == ["customers/a"]
    integrate(replica, "customers/a", good.update)
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
