"""What a listening device claims of who calls it, against what those hold: random histories, and the bounds."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_sync import Replica, bundled_schema
from crdt_sync.limits import ACTOR_LENGTH_MAX, AGENT_LENGTH_MAX, PARTNERS_MAX
from crdt_sync.protocol import hub as effects
from crdt_sync.protocol.agent import agent_of, name_in
from crdt_sync.protocol.hub import Arrived, Stored
from crdt_sync.replica import readers
from crdt_sync.replica.callers import callers
from crdt_sync.replica.readers import Reader, count_lacking, lacking, lacks
from crdt_sync.runtime.visits import NotedCallers
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch
from tests.replica.test_status import holds
from tests.replica.wire import Line, MemoryRelay, VirtualTime

RECORDS = [f"customers/c{number}" for number in range(5)]


class Listening(MemoryRelay):
    """A device that listens: its hub tells the notes who comes."""

    def open(self, store: MemoryStore) -> None:
        super().open(store)
        self.replica = Replica.over(store, self.time.clock(), self._rng)
        self.noted = NotedCallers(self.replica)

    def _carry_out(self, effect: effects.HubEffect) -> None:
        match effect:
            case Arrived() | Stored():
                self.noted.heard(effect)
            case effects.Hangup(session):
                self.noted.left(session)
        super()._carry_out(effect)

    def standing(self) -> Replica:
        """The device as a command sees it."""
        self.noted.write()
        return self.replica


def _clone(replica: Replica) -> MemoryStore:
    assert isinstance(replica.store, MemoryStore)
    return replica.store.clone()


class History:
    """Two devices call a third; what each held when it was heard is the truth. Stores are put back."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.time = VirtualTime()
        self.here = Listening(self.time, rng=self.rng)
        self.devices = [self.device(name) for name in ("anna", "ben")]
        self.truth: dict[tuple[bytes, int], MemoryStore] = {}  # by caller and when it was heard
        self.backups = [_clone(replica) for replica in self.devices]
        self.backup = self.here.store.clone()

    def device(self, name: str, store: MemoryStore | None = None) -> Replica:
        store = store or MemoryStore(rng=self.rng)
        store.commit([Batch(meta={"name": name.encode()})])
        replica = Replica.over(store, self.time.clock(), self.rng)
        replica.add_schema(bundled_schema("customers"))
        return replica

    def step(self) -> None:
        steps = ("edit", "edit", "call", "call", "cut", "back_up", "put_back", "restart", "lose")
        getattr(self, self.rng.choice(steps))()

    def edit(self) -> None:
        replica = self.rng.choice(self.devices)
        with replica.edit(self.rng.choice(RECORDS), create=True) as customer:
            customer["name"] = f"Name {self.rng.random()}"

    def call(self, frames: int | None = None) -> None:
        replica = self.rng.choice(self.devices)
        line = Line(replica, self.here)
        settled = line.run(frames)
        if self.rng.random() < 0.5:
            self.edit()
            settled = line.run(frames)
        if settled and self.rng.random() < 0.5:
            line.say_done()
        line.cut()
        self.here.noted.left(line.session)
        known = callers(self.here.standing().store).get(replica.id)
        if known is not None:
            self.truth.setdefault((replica.id, known.at), _clone(replica))

    def cut(self) -> None:
        self.call(self.rng.randrange(10))

    def back_up(self) -> None:
        self.backups = [_clone(replica) for replica in self.devices]
        self.backup = self.here.store.clone()

    def put_back(self) -> None:
        number = self.rng.randrange(2)
        self.devices[number] = self.device(self.devices[number].name, self.backups[number].clone())

    def restart(self) -> None:
        self.here.restart()

    def lose(self) -> None:
        if self.rng.random() < 0.3:
            self.here.put_back(self.backup.clone())

    def check(self) -> None:
        store = self.here.standing().store
        for caller in callers(store).values():
            reader = caller.reader(store)
            claimed = [record for record in store.records("", 99) if not lacks(store, reader, record)]
            for record in claimed:
                assert holds(self.truth[caller.replica, caller.at], store, record), f"{record} is not there"
            assert count_lacking(store, reader) == len(set(lacking(store, reader)))
            assert set(lacking(store, reader)) == set(store.records("", 99)) - set(claimed)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_what_callers_are_said_to_hold_they_held_when_they_were_heard_last(seed: int) -> None:
    check_a_history(seed)


def check_histories(count: int) -> None:
    for seed in range(count):
        check_a_history(seed)


def check_a_history(seed: int) -> None:
    history = History(seed)
    for _ in range(30):
        history.step()
        history.check()


@pytest.mark.parametrize("planted", ["own", "old"])
def test_claims_that_are_too_bold_are_found_out(monkeypatch: pytest.MonkeyPatch, planted: str) -> None:
    """What it brought in any earlier call counts; what it had read in an earlier one does."""
    if planted == "own":
        whole = readers.of_others
        bold = lambda updates, by, _: whole(updates, by, 0)  # noqa: E731
        monkeypatch.setattr(readers, "of_others", bold)
    else:
        heard = NotedCallers.heard

        def bold_heard(noted: NotedCallers, said: Arrived | Stored) -> None:
            known = noted._known.get(said.replica) if isinstance(said, Arrived) else None
            heard(noted, replace(said, cursor=max(said.cursor, known.cursor)) if known is not None else said)

        monkeypatch.setattr(NotedCallers, "heard", bold_heard)
    with pytest.raises(AssertionError, match="is not there"):
        check_histories(200)


def test_after_a_call_that_was_carried_through_nothing_waits() -> None:
    history = History(1)
    anna, ben = history.devices
    for replica, record in ((anna, RECORDS[0]), (ben, RECORDS[1])):
        with replica.edit(record, create=True) as customer:
            customer["name"] = "Müller"
        line = Line(replica, history.here)
        assert line.run()
        line.say_done()
        line.cut()
        history.here.noted.left(line.session)
    standing = {known.replica: known.waiting for known in history.here.standing().status().callers}
    assert standing == {anna.id.hex(): 1, ben.id.hex(): 0}
    history.here.restart()
    assert {known.waiting for known in history.here.standing().status().callers} == {0, 1}


def test_whoever_makes_up_replicas_takes_no_more_room_and_nobody_who_is_here() -> None:
    here = Listening(VirtualTime())
    here.noted.heard(Arrived(1, b"a" * 16, "crdt-sync (anna)", 0))
    for number in range(3 * PARTNERS_MAX):
        session = number + 2
        here.noted.heard(Arrived(session, number.to_bytes(16, "big"), "x" * 64, 1 << 60))
        here.noted.heard(Stored(session, 1 << 62))
        here.noted.left(session)
    known = callers(here.standing().store)
    assert len(known) == PARTNERS_MAX
    assert known[b"a" * 16].name == "anna"
    assert {caller.reader(here.store).place for caller in known.values()} == {0}, (
        "more than was ever told counts nothing"
    )
    assert len(here.store.meta("callers") or b"") < 20_000
    here.noted.left(1)
    for number in range(PARTNERS_MAX):
        here.noted.heard(Arrived(number, number.to_bytes(16, "big"), "", 0))
    assert b"a" * 16 not in callers(here.standing().store)


def test_the_newer_of_two_sessions_speaks_for_a_replica() -> None:
    here = Listening(VirtualTime())
    here.noted.heard(Arrived(1, b"a" * 16, "", 7))
    here.noted.heard(Arrived(2, b"a" * 16, "", 3))
    here.noted.heard(Stored(1, 9))
    here.noted.left(1)
    assert callers(here.standing().store)[b"a" * 16].cursor == 3
    here.noted.heard(Stored(2, 5))
    assert callers(here.standing().store)[b"a" * 16].cursor == 5


@pytest.mark.parametrize("name", ["anna", "Müller (Berlin)", "", "x" * ACTOR_LENGTH_MAX])
def test_a_name_travels_in_the_agent_as_far_as_there_is_room(name: str) -> None:
    agent = agent_of(name)
    assert len(agent) <= AGENT_LENGTH_MAX
    assert name.startswith(name_in(agent))
    assert len(name) > AGENT_LENGTH_MAX - 12 or name_in(agent) == name


@pytest.mark.parametrize("agent", ["", "test", "other/1.0", "x (\x1b[31mred\n)", " (", "a (b) (c)"])
def test_any_agent_is_read(agent: str) -> None:
    assert name_in(agent).isprintable()


def test_a_caller_that_lacks_much_costs_a_status_no_more_than_the_limits(make_replica, monkeypatch) -> None:
    monkeypatch.setattr(readers, "STATUS_EXAMINED_MAX", 4)
    anna = make_replica("anna")
    for number in range(9):
        with anna.edit(f"customers/{number}", create=True) as customer:
            customer["name"] = "x"
    asked = []
    whole = readers.since
    monkeypatch.setattr(readers, "since", lambda *arguments: asked.append(arguments) or whole(*arguments))
    assert count_lacking(anna.store, Reader(b"b" * 16, "ben", 0, 0)) == 9
    assert count_lacking(anna.store, Reader(anna.id, "anna", 0, 0)) == 5, (
        "of those that are not looked at, nothing is known"
    )
    assert len(asked) == 8
