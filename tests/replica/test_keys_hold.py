"""Whatever two devices do with natural keys, and whenever they sync: nobody is overwritten by whoever gets a key."""

import random
from collections import defaultdict
from contextlib import suppress

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from crdt_sync import Replica
from crdt_sync.errors import KeyTaken, OpenConflict
from crdt_sync.records import conflicts_of, parse_schema
from crdt_sync.records.comparing import folded
from crdt_sync.records.natural_key import record_of
from crdt_sync.replica import keys
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch
from tests.replica.wire import MemoryRelay, VirtualTime, exchange

SCHEMA = parse_schema(
    'collection = "people"\nversion = 1\nnatural_key = ["email"]\n'
    '[fields.email]\n[fields.name]\n[fields.phone]\nkind = "review"\n[fields.visits]\nkind = "counter"\n',
    "test",
)
KEYS = ("a@x.example", "B@x.example ", "b@x.example", "ｃ@x.example")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["enter", "enter", "change", "change", "delete", "restore", "sync", "batch"]),
        st.integers(0, 1),  # the device
        st.sampled_from(KEYS),
        st.integers(0, 5),  # the record
    ),
    max_size=16,
)


class World:
    def __init__(self, devices=2):
        time, rng = VirtualTime(), random.Random(0)
        self.relay = MemoryRelay(time)
        self.devices = []
        for number in range(devices):
            store = MemoryStore(rng=rng)
            store.commit([Batch(meta={"name": f"device {number}".encode()})])
            self.devices.append(Replica.over(store, time.clock(), rng))
            self.devices[-1].add_schema(SCHEMA)
        self.number = 0

    def carry_out(self, steps):
        for act, at, key, place in steps:
            replica = self.devices[at % len(self.devices)]
            before, twice, refused = everything(replica), duplicates(replica), None
            try:
                self.act(replica, act, key, place, before)
            except (KeyTaken, OpenConflict) as error:
                refused = error
            if refused is not None:
                assert everything(replica) == before
            if isinstance(refused, KeyTaken):
                assert refused.record in before
            elif refused is not None:
                self.decide(replica)
            if act != "sync":
                assert duplicates(replica) <= twice, "what is done on one device never gives a key to two records"
            assert listed(replica) == duplicates(replica)

    def act(self, replica, act, key, place, before):
        records = sorted(before)
        if act == "sync":
            assert exchange(replica, self.relay).settled
        elif act == "batch":
            with replica.batch():
                for email in KEYS[place % 4 :]:
                    self.enter(replica, email)
            assert visits(everything(replica)) == visits(before) + len(KEYS[place % 4 :]), "an entry of it is lost"
        elif act == "enter":
            record = self.enter(replica, key)
            after = everything(replica)
            if record in before:
                deleted, values = before[record]
                assert not deleted
                assert folded(values["email"]) == folded(key), "only who shows the key is edited by entering it"
            else:
                assert set(after[record][1]) == {"email", "name", "phone", "visits"}
                assert after[record][1]["visits"] == 1
            assert {name: view for name, view in after.items() if name != record} == {
                name: view for name, view in before.items() if name != record
            }
        elif records:
            record = records[place % len(records)]
            if act == "change" and not before[record][0]:
                with replica.edit(record) as person:
                    person["email"] = key
            elif act != "change":
                getattr(replica, act)(record)

    def enter(self, replica, key):
        self.number += 1
        with replica.edit("people") as person:
            person.update({"email": key, "name": f"person {self.number}", "phone": f"{self.number}"})
            person.increment("visits")
        return person.record

    def decide(self, replica):
        """Take what is shown, as who is asked for a decision may."""
        conflicts = replica.conflicts()
        assert conflicts
        for record, conflict in conflicts:
            if conflict.field != "_deleted" and not replica.get(record).deleted:  # those wait with it
                with suppress(KeyTaken):
                    replica.resolve(record, conflict.field, conflict.entries[0].value)

    def meet(self):
        for replica in self.devices * 2:
            assert exchange(replica, self.relay).settled
        one, *others = self.devices
        for other in others:
            assert everything(one) == everything(other)
            assert one.conflicts() == other.conflicts()
            assert one.receipt().root == other.receipt().root
            assert listed(one) == listed(other) == duplicates(one)


def everything(replica):
    return {view.record: (view.deleted, dict(view)) for view in replica.list("people", deleted=True)}


def visits(people):
    return sum(values["visits"] for _, values in people.values())


def duplicates(replica):
    """Every two records that show one key, by looking at all."""
    showing = defaultdict(set)
    for record, (deleted, values) in everything(replica).items():
        if not deleted and values.get("email"):
            showing[folded(values["email"])].add(record)
    return {frozenset({one, other}) for records in showing.values() for one in records for other in records - {one}}


def listed(replica):
    return {
        frozenset({one, other})
        for found in replica.duplicates()
        for one in found.records
        for other in set(found.records) - {one}
    }


@settings(max_examples=120, deadline=None)
@example(
    [
        ("enter", 0, KEYS[0], 0),
        ("enter", 0, KEYS[1], 0),
        ("batch", 1, KEYS[0], 0),
        ("sync", 1, KEYS[0], 0),
        ("sync", 0, KEYS[0], 0),
        ("delete", 0, KEYS[0], 0),
        ("enter", 0, KEYS[1], 0),
    ]
)
@given(STEPS)
def test_two_devices(steps):
    world = World()
    world.carry_out(steps)
    world.meet()


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_edits_on_one_device_never_conflict_with_each_other(steps):
    world = World(devices=1)
    world.carry_out(steps)
    (replica,) = world.devices
    assert (replica.conflicts(), replica.duplicates()) == ((), ())
    for record, (_, values) in everything(replica).items():
        assert not conflicts_of(replica.document(record), SCHEMA, all_kinds=True)
        assert values


def _takes_the_first_life(monkeypatch):
    monkeypatch.setattr(keys, "record_of", lambda collection, key, life: record_of(collection, key, 0))
    monkeypatch.setattr(keys.KeyIndex, "standing", lambda self, schema, key, pending: _first(schema, key, self))


def _does_not_look(monkeypatch):
    monkeypatch.setattr(keys.KeyIndex, "check", lambda *_: None)


def _forgets_what_came(monkeypatch):
    monkeypatch.setattr(keys._Index, "follow", lambda *_: None)


def _does_not_see_the_batch(monkeypatch):
    monkeypatch.setattr(keys.Pending, "put", lambda *_: None)


def _first(schema, key, index):
    record = record_of(schema.collection, key, 0)
    held = index._store.record_head(record) is not None
    return keys.KeyStanding((record,) if held else (), int(held), (), record)


@pytest.mark.parametrize("mutant", [_takes_the_first_life, _does_not_look, _forgets_what_came, _does_not_see_the_batch])
def test_a_planted_bug_is_noticed(monkeypatch, mutant):
    mutant(monkeypatch)
    with pytest.raises(Exception):  # noqa: B017, PT011 - whichever check or write fails first
        settings(max_examples=300, deadline=None, database=None, phases=[Phase.generate])(given(STEPS)(_run))()


def _run(steps):
    world = World()
    world.carry_out(steps)
    world.meet()
