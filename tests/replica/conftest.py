"""Replicas over stores in memory, on one virtual time, and a relay for them."""

import random
from collections.abc import Callable, Iterable

import pytest

from crdt_bench.people import GUESTS
from crdt_sync import Replica, bundled_schema
from crdt_sync.protocol.effects import Welcomed
from crdt_sync.records import Schema
from crdt_sync.replica.partner import Partner
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch
from tests.replica.partners import ACCEPTED, EPOCH, RELAY, THEM, US, answer, write
from tests.replica.wire import URL, MemoryRelay, VirtualTime

MakeReplica = Callable[..., Replica]


@pytest.fixture
def time() -> VirtualTime:
    return VirtualTime()


@pytest.fixture
def relay(time: VirtualTime) -> MemoryRelay:
    return MemoryRelay(time)


@pytest.fixture
def make_replica(time: VirtualTime) -> MakeReplica:
    """make_replica("anna", *schemas, skew_us=0): without schemas it has the bundled one."""
    seeds = iter(range(1, 1000))

    def make(name: str, *schemas: Schema, skew_us: int = 0, store: MemoryStore | None = None) -> Replica:
        rng = random.Random(next(seeds))
        store = store or MemoryStore(rng=rng)
        store.commit([Batch(meta={"name": name.encode()})])
        replica = Replica.over(store, time.clock(skew_us), rng)
        add_schemas(replica, schemas or (bundled_schema("customers"),))
        return replica

    return make


def add_schemas(replica: Replica, schemas: Iterable[Schema]) -> None:
    """Known to this device alone, so that the records are those of the test; see test_shared_schemas.py for others."""
    for schema in schemas:
        replica.shared_schemas.add(schema, share=False)


@pytest.fixture
def replica(make_replica: MakeReplica) -> Replica:
    return make_replica("anna")


@pytest.fixture
def keyed_schema() -> Schema:
    """Guests are told apart by their e-mail address."""
    return GUESTS


@pytest.fixture
def partner(replica: Replica) -> Partner:
    """A partner that has welcomed us, with one record that it holds and one it lacks."""
    partner = Partner(replica, URL)
    partner.welcomed(Welcomed(RELAY, EPOCH, 0, False, False))
    for record in (US, THEM):
        write(replica, record, name=record)
    partner.acknowledge(answer(partner, THEM, ACCEPTED, cursor=5))
    return partner
