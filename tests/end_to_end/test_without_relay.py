"""Up to twenty devices without any relay: chains, rings and meshes, partitions that heal, recorded histories."""

import itertools
import random
from collections.abc import Callable, Sequence

import pytest

from crdt_bench.minimal.line import meet
from crdt_bench.traces import Clock, Replay, beginning, read_trace, schema_of
from crdt_sync import Replica, bundled_schema
from crdt_sync.replica.pushed import PushedUpdates
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch, Change

Edge = tuple[int, int]
NOW = 1_700_000_000_000_000


def chain(count: int) -> list[Edge]:
    return [(number, number + 1) for number in range(count - 1)]


def ring(count: int) -> list[Edge]:
    return [*chain(count), (count - 1, 0)]


def mesh(count: int) -> list[Edge]:
    """Everybody knows three others."""
    chance = random.Random(count)
    some = {tuple(sorted(chance.sample(range(count), 2))) for _ in range(2 * count)}
    return sorted({*chain(count), *some})  # type: ignore[arg-type]


class Warehouse:
    """Devices that meet along edges, and what they did."""

    def __init__(self, count: int, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = NOW
        self.devices = [self.device(number) for number in range(count)]
        self.visits = 0
        self.tags: set[str] = set()
        with self.devices[0].edit("customers") as customer:
            customer["name"] = "Müller GmbH"
        self.record = customer.record

    def device(self, number: int) -> Replica:
        rng = random.Random(f"{self.chance.random()}/{number}")
        store = MemoryStore(rng=rng)
        store.commit([Batch(meta={"name": f"device {number}".encode()})])
        replica = Replica.over(store, lambda: self.now, rng)
        replica.add_schema(bundled_schema("customers"))
        return replica

    def edit(self, device: Replica) -> None:
        """A shared customer changes in every way, and a new one comes."""
        self.now += 1_000_000
        if device.store.record_head(self.record) is not None:
            tag = f"tag {len(self.tags)}"
            with device.edit(self.record) as customer:
                phone = str(self.chance.randrange(10**6))
                if customer.conflict("phone") is None:
                    customer["phone"] = phone
                else:
                    customer.resolve("phone", phone)
                customer.increment("visits")
                customer.add("tags", tag)
            self.tags.add(tag)
            self.visits += 1
        with device.edit("customers") as customer:
            customer["name"] = f"customer of {device.name}"

    def meet(self, edge: Edge) -> None:
        """Either calls the other."""
        dialer, acceptor = (self.devices[number] for number in self.chance.sample(edge, 2))
        self.now += 1000
        assert meet(dialer, acceptor, self.now)

    def roots(self) -> set[bytes]:
        return {device.receipt().root for device in self.devices}


@pytest.mark.parametrize("count", [2, 7, 20])
@pytest.mark.parametrize("shape", [chain, ring, mesh])
def test_devices_that_meet_along_any_shape_converge_after_a_partition(
    shape: Callable[[int], list[Edge]], count: int
) -> None:
    warehouse = Warehouse(count, seed=count)
    edges = shape(count)
    inside = [edge for edge in edges if (edge[0] < count // 2) == (edge[1] < count // 2)]
    for met in (edges, inside, edges):  # together, in two halves, together again
        for _ in range(2):
            for device in warehouse.chance.sample(warehouse.devices, min(count, 6)):
                warehouse.edit(device)
            for edge in warehouse.chance.sample(met, len(met)):
                warehouse.meet(edge)
    rounds = 0
    while len(warehouse.roots()) > 1:
        rounds += 1
        assert rounds <= count, "each round brings everything at least one device further"
        for edge in warehouse.chance.sample(edges, len(edges)):
            warehouse.meet(edge)
    shown = [device.get(warehouse.record) for device in warehouse.devices]
    assert {view["visits"] for view in shown} == {warehouse.visits}
    assert all(set(view["tags"]) == warehouse.tags for view in shown)
    assert len({view["phone"] for view in shown}) == 1
    first, *others = (device.conflicts() for device in warehouse.devices)
    assert all(conflicts == first for conflicts in others)
    heads = [device.store.head() for device in warehouse.devices]
    for edge in edges:
        warehouse.meet(edge)
    assert [device.store.head() for device in warehouse.devices] == heads, "who agrees has nothing more to tell"


def test_a_device_whose_pushes_are_not_passed_on_keeps_others_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: what was pushed to a device is stored there, but not owed to the partners that it calls."""
    monkeypatch.setattr("crdt_sync.replica.intake.owed", lambda *_: [])
    warehouse = Warehouse(3, seed=1)
    ann, bob, carl = warehouse.devices
    for dialer, acceptor in itertools.product((ann, carl), (bob,)):
        assert meet(dialer, acceptor, warehouse.now)
    assert meet(bob, carl, warehouse.now)
    warehouse.edit(ann)
    assert meet(ann, bob, warehouse.now)
    assert meet(bob, carl, warehouse.now)
    assert bob.receipt().root != carl.receipt().root


def test_a_partner_that_lost_what_it_pushed_gets_it_back_from_whom_it_calls_and_who_calls_it() -> None:
    warehouse = Warehouse(2, seed=3)
    ann, bob = warehouse.devices
    assert meet(ann, bob, warehouse.now)
    assert meet(bob, ann, warehouse.now)
    before = ann.store.clone()  # type: ignore[attr-defined]
    warehouse.edit(ann)
    assert meet(ann, bob, warehouse.now)
    back = Replica.over(before, lambda: warehouse.now, random.Random(9))
    assert meet(bob, back, warehouse.now)
    assert back.receipt().root == bob.receipt().root


@pytest.mark.parametrize(("name", "count"), [("record_cfa-brigades", 4), ("record_osm-community-index", 2)])
def test_devices_that_replay_a_trace_among_themselves_end_in_its_end_state(shared_data, name: str, count: int) -> None:
    trace = beginning(read_trace(shared_data / "traces" / f"{name}.jsonl.gz"), 600)
    clock = Clock()

    def device(number: int) -> Replica:
        store = MemoryStore()
        store.commit([Batch(meta={"name": f"device {number}".encode()})])
        replica = Replica.over(store, clock, random.Random(number))
        replica.add_schema(schema_of(trace))
        return replica

    def synced(replica: Replica) -> None:
        for other in replay.devices:
            if other is not replica:
                assert meet(replica, other, clock())

    replay = Replay(trace, clock, device, synced, count)
    report = replay.run()
    assert report.transactions == len(trace.transactions)
    assert len({replica.receipt().root for replica in replay.devices}) == 1
    for replica in replay.devices:
        assert replay.table(replica) == trace.end


def test_updates_pushed_together_keep_the_numbers_of_their_changes() -> None:
    """Two batches of one group commit touch the same record; what one of them repeats has no number of its own."""
    warehouse = Warehouse(2, seed=5)
    ann, bob = warehouse.devices
    first = ann.store.history(warehouse.record)[0].update
    warehouse.edit(ann)
    second = ann.store.history(warehouse.record)[1].update
    vector = ann.store.record_head(warehouse.record).state_vector
    changes = [_pushed(warehouse.record, updates, ann.id, vector) for updates in ((first,), (first, second))]
    one, two = PushedUpdates(bob).commit([Batch(changes=(change,)) for change in changes])
    assert (one.seqs, two.seqs) == (((1,),), ((0, 2),))
    assert bob.get(warehouse.record)["visits"] == 1


def _pushed(record: str, updates: Sequence[bytes], origin: bytes, vector: bytes) -> Change:
    return Change(record, tuple(updates), origin, "", NOW, vector)
