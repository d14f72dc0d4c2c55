"""Whose writers are: what workers are told of them, and what comes of it."""

import random

import pytest

from crdt_sync import ids
from crdt_sync.errors import StoreCorrupt, StoreError, StoreFailed
from crdt_sync.limits import WRITERS_ASKED_MAX
from crdt_sync.runtime.worker import pipe
from crdt_sync.runtime.worker.pool import IntegrationPool
from crdt_sync.runtime.worker.values import Item, Result
from crdt_sync.runtime.worker.writers import NOBODY, Ear, WriterMap
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch
from tests.runtime.worker.conftest import RunScenario, Shelf, Writer
from tests.runtime.worker.test_ruling import ANNA, POLICY, Ruled, definition, in_force

BOTH = POLICY + '\n[user.ben]\nrole = "sales"\n'
TAKEN = "_writer: writer 7 is another user's device"


class Relay:
    """A store, a map over it, and two pools, as an engine has them."""

    def __init__(self, pool: IntegrationPool, slow: IntegrationPool | None = None) -> None:
        self.shelf = Ruled()
        self.shelf.updates[ids.schema_record("people")] = [definition(section="")]
        self.store = MemoryStore(rng=random.Random(1))
        self.policy = in_force(text=BOTH)
        writers = WriterMap(self.store)
        self.pools = [each for each in (pool, slow) if each is not None]
        for each in self.pools:
            each._load, each._seq, each.writers, each._ear = self.shelf.load, self.shelf.seq, writers, writers.ear()
        self.writers = writers

    async def push(self, user: str, *updates: bytes, record: str = ANNA, pool: int = 0) -> Result:
        """The outcome, which is stored."""
        item = Item(record, updates, users=(user,) * len(updates))
        for each in self.pools:
            each.forget(record)
        (result,) = await self.pools[pool].integrate([item], None, self.policy)
        self.shelf.keep([item], [result])
        self.store.commit([Batch(meta=self.writers.rows(result.bound))])
        return result


def entries(writer: int, actor: str, *phones: str) -> list[bytes]:
    """A record with a region and then these phones, an update each."""
    made = Writer(writer)
    made.actor = actor
    return [made.write("North", "c.region"), *(made.write(phone) for phone in phones)]


def told(result: Result) -> list[str]:
    return [verdict.reason or str(verdict.code) for verdict in result.verdicts]


def test_a_writer_belongs_to_who_wrote_first_in_whatever_record_and_for_good(run_scenario: RunScenario) -> None:
    async def scenario(pool: IntegrationPool, _: Shelf) -> None:
        relay = Relay(pool)
        first = await relay.push("anna", *entries(7, "anna", "1", "2"))
        assert (told(first), first.bound) == (["accepted"] * 3, {7: "anna"})
        assert relay.store.meta("writer/7") == b"anna"
        theirs = entries(7, "ben", "3")
        again = await relay.push("ben", *theirs, record="people/ben")
        assert told(again)[0] == TAKEN
        pool._active.kill()
        relay.writers.forget()
        again = await relay.push("ben", *theirs, record="people/ben")
        assert told(again)[0] == TAKEN
        assert again.bound == {}

    run_scenario(scenario)


def test_one_that_is_damaged_or_older_than_the_map_is_nobodys(run_scenario: RunScenario) -> None:
    async def scenario(pool: IntegrationPool, _: Shelf) -> None:
        relay = Relay(pool)
        relay.shelf.updates[ANNA] = entries(7, "anna", "1")
        made = await relay.push("ben", *entries(7, "ben", "3"), record="people/ben")
        assert (told(made), made.bound) == (["accepted"] * 2, {7: "ben"})

    run_scenario(scenario)


def test_the_other_worker_hears_what_one_has_bound(run_scenario: RunScenario) -> None:
    async def scenario(pool: IntegrationPool, _: Shelf) -> None:
        slow = IntegrationPool(lambda _: (), keep_spare=False)
        try:
            relay = Relay(pool, slow)
            stale = Writer(7)
            stale.actor = "nobody"
            assert (
                told(await relay.push("anna", stale.write("x")))[0] != "accepted"
            )  # both ask, and hear that it is free
            assert told(await relay.push("anna", stale.write("x"), pool=1))[0] != "accepted"
            assert (await relay.push("anna", *entries(7, "anna", "1"), pool=1)).bound == {7: "anna"}
            assert told(await relay.push("ben", *entries(7, "ben", "3"), record="people/ben"))[0] == TAKEN
        finally:
            await slow.close()

    run_scenario(scenario)


def test_workers_that_do_not_hear_of_each_other_are_noticed(
    run_scenario: RunScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ear, "hear", lambda *_: None)
    with pytest.raises(AssertionError):
        test_the_other_worker_hears_what_one_has_bound(run_scenario)


def test_what_was_not_stored_is_bound_to_nobody(run_scenario: RunScenario) -> None:
    async def scenario(pool: IntegrationPool, _: Shelf) -> None:
        relay = Relay(pool)
        item = Item(ANNA, tuple(entries(7, "anna", "1")), users=("anna",) * 2)
        (result,) = await pool.integrate([item], None, relay.policy)
        assert result.bound == {7: "anna"}
        pool.forget_all()  # the commit failed
        assert (await relay.push("anna", *entries(7, "anna", "1"))).bound == {7: "anna"}

    run_scenario(scenario)


def test_a_pool_without_a_map_asks_nothing(run_scenario: RunScenario) -> None:
    async def scenario(pool: IntegrationPool, _: Shelf) -> None:
        shelf = Ruled()
        shelf.updates[ids.schema_record("people")] = [definition(section="")]
        pool._load, pool._seq = shelf.load, shelf.seq
        item = Item(ANNA, tuple(entries(7, "anna", "1")), users=("anna",) * 2)
        (result,) = await pool.integrate([item], None, in_force(text=BOTH))
        assert (told(result), result.bound) == (["accepted"] * 2, {})

    run_scenario(scenario)


def test_who_was_first_stays_and_workers_that_thought_otherwise_hear_of_it() -> None:
    writers = WriterMap(MemoryStore(rng=random.Random(1)))
    one, other = writers.ear(), writers.ear()
    assert (one.take(), other.take()) == ((True, {}), (True, {}))
    writers.note({7: "anna"}, one)
    assert (one.take(), other.take()) == ((False, {}), (False, {7: "anna"}))
    writers.note({7: "ben"}, other)
    assert writers.of(7) == "anna"
    assert (one.take(), other.take()) == ((False, {7: "anna"}), (False, {7: "anna"}))
    assert writers.rows({7: "ben"}) == {"writer/7": b"anna"}


def test_one_that_was_forgotten_before_its_commit_is_written_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crdt_sync.runtime.worker.writers.WRITERS_KNOWN_MAX", 3)
    writers = WriterMap(MemoryStore(rng=random.Random(1)))
    writers.note({7: "anna"}, writers.ear())
    for writer in (1, 2, 3):
        assert writers.of(writer) == NOBODY
    assert writers.rows({7: "anna"}) == {"writer/7": b"anna"}


class Failing(MemoryStore):
    """Does not give what is asked of writers, as long as it fails."""

    error: StoreError | None = None

    def meta(self, key: str) -> bytes | None:
        if self.error is not None and key.startswith("writer/"):
            raise self.error
        return super().meta(key)


def test_a_store_that_cannot_be_read_for_a_while_gives_nobodys_writer_away() -> None:
    store = Failing(rng=random.Random(1))
    store.commit([Batch(meta={"writer/7": b"anna"})])
    writers = WriterMap(store)
    ear = writers.ear()
    store.error = StoreFailed("the disk failed")
    with pytest.raises(StoreFailed):
        writers.of(7)
    with pytest.raises(StoreFailed):
        writers.note({7: "mallory"}, ear)
    assert writers.rows({7: "mallory"}) == {}
    store.error = None
    assert writers.of(7) == "anna"
    store.error = StoreCorrupt("no checksum is right")
    assert WriterMap(store).of(7) == NOBODY, "for good: whoever writes next has it"


def test_while_the_store_cannot_be_read_nothing_is_integrated_and_then_all_goes_on(run_scenario: RunScenario) -> None:
    async def scenario(pool: IntegrationPool, _: Shelf) -> None:
        relay = Relay(pool)
        store = relay.writers._store = Failing(rng=random.Random(1))
        store.error = StoreFailed("the disk failed")
        with pytest.raises(StoreFailed):
            await relay.push("anna", *entries(7, "anna", "1"))
        store.error = None
        made = await relay.push("anna", *entries(7, "anna", "1"))
        assert (told(made), made.bound) == (["accepted"] * 2, {7: "anna"})
        assert relay.writers.rows(made.bound) == {"writer/7": b"anna"}

    run_scenario(scenario)


def test_a_worker_that_is_asked_seldom_forgets_instead_of_hearing_all() -> None:
    writers = WriterMap(MemoryStore(rng=random.Random(1)))
    one, seldom = writers.ear(), writers.ear()
    seldom.take()
    for writer in range(WRITERS_ASKED_MAX + 1):
        writers.note({writer: "anna"}, one)
    assert seldom.take() == (True, {})


@pytest.mark.parametrize("asked", [[-1], ["7"], [1 << 53], [True], list(range(WRITERS_ASKED_MAX + 1)), 7])
def test_what_no_worker_asks_is_no_answer(asked: object) -> None:
    body = pipe.frame((7, [None], [], None, asked))[4:]
    with pytest.raises(pipe.PipeCorrupt):
        pipe.decode_results(body, 7, [1], ruled=True)


@pytest.mark.parametrize("bound", [[[7]], [[7, ""]], [["7", "anna"]], [[-1, "anna"]], [[7, "a" * 500]], {"7": "anna"}])
def test_what_no_worker_binds_is_not_believed(bound: object) -> None:
    body = pipe.frame((7, [[[1], b"\x00", None, None, None, bound]], []))[4:]
    with pytest.raises(pipe.PipeCorrupt):
        pipe.decode_results(body, 7, [1], ruled=True)


def test_without_rules_nothing_is_asked() -> None:
    body = pipe.frame((7, [None], [], None, [7]))[4:]
    with pytest.raises(pipe.PipeCorrupt):
        pipe.decode_results(body, 7, [1])
