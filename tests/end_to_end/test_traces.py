"""The recorded histories of three real record tables, replayed by concurrent devices through the relay's hub."""

import dataclasses
import itertools
import random

import pytest

from crdt_bench.traces import Clock, InvalidTrace, Replay, beginning, hash_of, read_trace, schema_of, steps
from crdt_sync import Replica, compare, sync
from crdt_sync.storage.lmdb import LmdbStore
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch
from tests.replica.wire import MemoryRelay, VirtualTime, exchange

FILES = {
    "brigades": "record_cfa-brigades.jsonl.gz",
    "communities": "record_osm-community-index.jsonl.gz",
    "companies": "record_datenanfragen-companies.jsonl.gz",
}
DEVICES = 3  # authors share them; with one for each author at work (up to 28) a replay takes eight times as long
COUNTS = {"brigades": (335, 221), "communities": (1335, 765), "companies": (2789, 3069)}


@pytest.fixture
def trace(shared_data, request):
    return read_trace(shared_data / "traces" / FILES[request.param])


class TraceTime(VirtualTime):
    """The time of the transactions, for the relay as well."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(0)
        self.reading = clock

    def clock(self, skew_us=0):
        return self.reading


def device(store, trace, number, clock):
    store.commit([Batch(meta={"name": f"device {number}".encode()})])
    replica = Replica.over(store, clock, random.Random(number))
    replica.add_schema(schema_of(trace))
    return replica


@pytest.mark.parametrize(("trace", "name"), [(name, name) for name in FILES], indirect=["trace"])
def test_a_trace_leads_through_all_its_recorded_states(trace, name):
    transactions, records = COUNTS[name]
    last = None
    for step in steps(trace):  # raises where a recorded hash does not hold
        last = step
    assert last is not None
    assert last.transaction.number + 1 == len(trace.transactions) == transactions
    assert (len(trace.end), last.after) == (records, trace.end)
    assert hash_of(trace.end) == last.transaction.state_hash


@pytest.mark.parametrize("trace", ["communities"], indirect=True)
def test_the_beginning_of_a_trace_is_a_trace(trace):
    first = beginning(trace, 300)
    assert 300 <= len(first.transactions) < 500
    assert [step.transaction for step in steps(first)] == list(trace.transactions[: len(first.transactions)])
    assert beginning(trace, 10_000) is trace


@pytest.mark.parametrize("trace", ["brigades"], indirect=True)
def test_a_changed_trace_is_found_out(trace):
    transactions = list(trace.transactions)
    transactions[7] = dataclasses.replace(transactions[7], state_hash=transactions[7].state_hash ^ 1)
    with pytest.raises(InvalidTrace, match="after transaction 7"):
        list(steps(dataclasses.replace(trace, transactions=tuple(transactions))))
    with pytest.raises(InvalidTrace, match="recorded end"):
        list(steps(dataclasses.replace(trace, end={})))


@pytest.mark.parametrize("trace", ["companies"], indirect=True)  # communities: test_without_relay.py
def test_devices_that_replay_a_trace_through_the_hub_end_in_its_end_state(trace):
    trace = beginning(trace, 1_600)  # of 2,789; it ends with most of its branches
    clock = Clock()
    relay = MemoryRelay(TraceTime(clock))

    def synced(replica):
        line = exchange(replica, relay)
        assert (line.settled, line.closed) == (True, None)

    replay = Replay(trace, clock, lambda number: device(MemoryStore(), trace, number, clock), synced, DEVICES)
    report = replay.run()
    assert report.transactions == len(trace.transactions)
    assert len(replay.devices) == DEVICES
    assert report.syncs > len(trace.transactions) // 4
    assert len({replica.receipt().root for replica in replay.devices}) == 1
    for replica in replay.devices:
        assert replay.table(replica) == trace.end


@pytest.mark.parametrize("trace", ["brigades"], indirect=True)
def test_devices_that_replay_a_trace_through_a_relay_end_in_its_end_state(trace, own_relay, tmp_path):
    """Stores on disk and websockets. The relay's clock is today's, so the devices take over its difference."""
    clock = Clock()

    def opened(number):
        return device(LmdbStore.open(tmp_path / f"device-{number}", create=True), trace, number, clock)

    replay = Replay(trace, clock, opened, lambda replica: sync(replica, own_relay), DEVICES)
    report = replay.run()
    assert report.transactions == len(trace.transactions)
    for replica in replay.devices:
        assert replay.table(replica) == trace.end
        assert compare(replica, own_relay).equal
        replica.close()


@pytest.mark.parametrize("trace", ["brigades"], indirect=True)
def test_a_replay_that_loses_edits_does_not_end_in_the_end_state(trace, monkeypatch):
    clock = Clock()
    relay = MemoryRelay(TraceTime(clock))
    write, writes = Replay._write, itertools.count()
    monkeypatch.setattr(Replay, "_write", lambda *given: write(*given) if next(writes) % 50 else None)
    replay = Replay(
        trace, clock, lambda number: device(MemoryStore(), trace, number, clock), lambda r: exchange(r, relay), 2
    )
    replay.run()
    assert replay.table(replay.devices[0]) != trace.end
