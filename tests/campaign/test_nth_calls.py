"""Whichever call into a library raises: nothing acknowledged is lost, stores are sound, a retry succeeds."""

import random
from contextlib import suppress

import pytest

from crdt_bench.campaign.nth_call import Hook, hooked
from crdt_bench.campaign.nth_calls import Fault, every, faults, run
from crdt_bench.campaign.nth_operations import Edit, GroupCommit, Import, Sync
from crdt_bench.campaign.tally import Tally
from crdt_bench.minimal.host import MinimalHost
from crdt_bench.minimal.line import exchange
from crdt_sync import Replica, bundled_schema
from crdt_sync.errors import UpdateRefused
from crdt_sync.storage import MemoryStore

_KINDS = [fault for fault in faults() if fault.operation in {Edit, GroupCommit}]


@pytest.mark.parametrize("fault", _KINDS, ids=str)
def test_every_call_of_an_edit_and_of_a_group_commit_may_fail(fault):
    tally = Tally("n-th call", "calls", 0)
    every(fault, 1, tally)
    assert tally.findings == []
    assert tally.ran > 0 or fault.library == "pycrdt"


@pytest.mark.parametrize("library", ["lmdb", "pycrdt"])
@pytest.mark.parametrize("operation", [Import, Sync])
def test_many_calls_of_an_import_and_of_a_sync_may_fail(operation, library):
    tally = Tally("n-th call", "calls", 0)
    for error in range(2):
        every(Fault(operation, library, error, after=error == 1), 29, tally)
    assert tally.findings == []
    assert tally.ran >= 6


def test_an_edit_that_is_lost_is_noticed(monkeypatch):
    """Plant the bug: what was committed before is gone after the store was opened again."""
    monkeypatch.setattr(Edit, "reopen", lambda operation: operation.prepare())
    monkeypatch.setattr(Edit, "perform", lambda operation: operation.replica.document("customers/held") and None)
    assert run(0, 1).findings


def test_a_commit_that_raised_after_it_was_durable_is_not_made_twice():
    tally = Tally("n-th call", "calls", 0)
    every(Fault(GroupCommit, "lmdb", 2, after=True), 1, tally)
    assert tally.findings == []


def test_an_update_that_could_not_be_integrated_for_a_passing_reason_arrives_with_the_next_session():
    relay = MinimalHost(MemoryStore(), lambda: 1_700_000_000_000_000)
    names = ("anna", "bob")
    anna, bob = (Replica.over(MemoryStore(rng=random.Random(name))) for name in names)
    for replica, name in zip((anna, bob), names, strict=True):
        replica.name = name
        replica.add_schema(bundled_schema("customers"))
    with anna.edit("customers/a", create=True) as customer:
        customer["name"] = "Anna"
    assert exchange(anna, relay).settled
    for number in range(1, 50):
        with (
            hooked(Hook("pycrdt", number, lambda: RuntimeError("planted"), False)),
            suppress(RuntimeError, UpdateRefused),
        ):
            exchange(bob, relay)
        if bob.status().unreadable:
            break
    assert list(bob.status().unreadable) == ["customers/a"]
    assert exchange(bob, relay).settled
    assert bob.status().unreadable == {}
    assert bob.get("customers/a")["name"] == "Anna"
