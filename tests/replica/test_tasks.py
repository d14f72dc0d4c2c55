"""Several tasks and threads over one replica: nobody waits for an open block, or loses anything to it."""

import asyncio
import gc
import threading
from contextlib import ExitStack

import pytest

from crdt_sync.errors import EditEnded, EditInProgress, EditOvertaken, KeyTaken, StoreFull
from crdt_sync.records.lineages.lineage import lineage_of
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.storage.memory import MemoryStore
from tests.replica.wire import exchange

US = "customers/us"
OTHER = "customers/other"


@pytest.fixture
def us(replica):
    with replica.edit(US, create=True) as customer:
        customer["name"] = "Us"
    return US


def during(opened, act):
    """Run `act` in a task of its own while another task waits inside the block `opened`; the block then raises."""
    outcome = []

    async def waits(entered, done):
        with pytest.raises(ZeroDivisionError), opened():  # noqa: PT012 - the block is what is tested
            entered.set()
            await done.wait()
            raise ZeroDivisionError

    async def acts(entered, done):
        await entered.wait()
        try:
            outcome.append(act())
        finally:
            done.set()

    async def both():
        entered, done = asyncio.Event(), asyncio.Event()
        await asyncio.gather(waits(entered, done), acts(entered, done))

    asyncio.run(both())
    return outcome[0]


@pytest.mark.parametrize("block", ["batch", "edit", "edit of another"])
@pytest.mark.parametrize("attempt", ["edit", "batch", "delete", "resolve"])
def test_what_a_block_of_another_task_rolls_back_takes_no_finished_edit_with_it(replica, us, block, attempt):
    blocks = {
        "batch": replica.batch,
        "edit": lambda: replica.edit(us),
        "edit of another": lambda: replica.edit(OTHER, create=True),
    }
    if attempt == "resolve":
        dispute(replica, us)

    def opened():
        return written(blocks[block](), replica, us)

    def act():
        if attempt == "edit":
            with replica.edit(us) as customer:
                customer["phone"] = "222"
        elif attempt == "batch":
            with replica.batch(), replica.edit(us) as customer:
                customer["phone"] = "222"
        elif attempt == "resolve":
            replica.resolve(us, "phone", "222")
        else:
            replica.delete(us)

    during(opened, act)
    shown = replica.get(us)
    assert "city" not in shown
    if attempt == "delete":
        assert shown.deleted
    else:
        assert shown["phone"] == "222"
    assert replica.count() == 1


def written(block, replica, record):
    """`block`, in which something is written that is to be rolled back."""
    entered = ExitStack()
    editor = entered.enter_context(block)
    if editor is None:  # a batch
        with replica.edit(record) as editor:
            editor["city"] = "rolled back"
    elif editor.record == record:
        editor["city"] = "rolled back"
    else:
        editor["name"] = "rolled back"
    return entered


def dispute(replica, record):
    """Two blocks that overlap write one field."""
    with ExitStack() as both:
        for number in range(2):
            inner = replica.edit(record).opened_by((number, None))
            both.enter_context(inner)["phone"] = str(number)
    assert replica.get(record).conflicts == ("phone",)


def test_a_task_may_await_between_its_blocks_and_nest_its_own(replica, us):
    async def edits(field):
        for value in "abc":
            with replica.batch(), replica.edit(us) as customer:
                customer[field] = value
            await asyncio.sleep(0)

    async def both():
        await asyncio.gather(edits("city"), edits("company"))

    asyncio.run(both())
    assert dict(replica.get(us)) == {"name": "Us", "city": "c", "company": "c"}


def test_what_a_batch_has_not_stored_is_read_by_its_own_task_alone(replica, us):
    def opened():
        entered = written(replica.batch(), replica, us)
        assert replica.get(us)["city"] == "rolled back"
        return entered

    assert "city" not in during(opened, lambda: replica.get(us))


def test_a_task_that_is_cancelled_in_its_block_leaves_nothing_and_locks_nothing(replica, us):
    async def waits(entered):
        with replica.batch(), replica.edit(us) as customer:
            customer["phone"] = "1"
            entered.set()
            await asyncio.Event().wait()

    async def main():
        entered = asyncio.Event()
        task = asyncio.create_task(waits(entered))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with replica.edit(us) as customer:
            customer["city"] = "Köln"

    asyncio.run(main())
    assert dict(replica.get(us)) == {"name": "Us", "city": "Köln"}


def left_open(replica, record):
    with replica.edit(record) as customer:
        customer["phone"] = "1"
        yield customer


def test_a_generator_that_is_left_open_in_a_block_keeps_nobody_waiting(replica, us):
    left = left_open(replica, us)

    async def opens():
        next(left)

    async def main():
        await asyncio.create_task(opens())
        with replica.edit(us) as customer:
            customer["city"] = "Köln"
        left.close()

    asyncio.run(main())
    assert dict(replica.get(us)) == {"name": "Us", "city": "Köln"}


def test_a_child_task_is_another_task(replica, us):
    async def edits():
        with replica.edit(us) as customer:
            customer["city"] = "Köln"

    async def main():
        with pytest.raises(ZeroDivisionError), replica.batch():  # noqa: PT012 - both in the one batch
            with replica.edit(us) as customer:
                customer["phone"] = "1"
            await asyncio.create_task(edits())
            raise ZeroDivisionError

    asyncio.run(main())
    assert dict(replica.get(us)) == {"name": "Us", "city": "Köln"}


def test_edits_of_many_threads_all_count(replica, us):
    def edits():
        with replica.edit(us) as customer:
            customer.increment("visits")

    async def main():
        await asyncio.gather(*(asyncio.to_thread(edits) for _ in range(40)))

    asyncio.run(main())
    assert replica.get(us)["visits"] == 40


@pytest.mark.parametrize("block", ["edit", "batch"])
def test_a_block_may_wait_for_an_edit_in_another_thread(replica, us, block):
    def edits():
        with replica.batch(), replica.edit(us) as customer:
            customer["city"] = "Köln"

    async def main():
        with replica.edit(us) if block == "edit" else replica.batch():
            await asyncio.to_thread(edits)

    asyncio.run(main())
    assert replica.get(us)["city"] == "Köln"


def test_a_block_may_end_in_another_thread_than_it_began_in(replica, us):
    left = left_open(replica, us)
    next(left)
    other = threading.Thread(target=lambda: next(left, None))
    other.start()
    other.join()
    assert replica.get(us)["phone"] == "1"
    with replica.edit(us) as customer:
        customer["city"] = "Köln"
    assert dict(replica.get(us)) == {"name": "Us", "phone": "1", "city": "Köln"}


def test_blocks_that_overlap_merge_like_edits_of_two_devices(replica, us):
    with replica.edit(us) as customer:
        customer["notes"] = "call 😀 first"
        customer["visits"] = 10
        customer["tags"] = ["old"]
    with ExitStack() as one, ExitStack() as two:
        first = one.enter_context(replica.edit(us).opened_by((1, None)))
        second = two.enter_context(replica.edit(us).opened_by((2, None)))
        first.text("notes").delete(5, 6)
        second.text("notes").insert(5, "👍")
        first.increment("visits", 2)
        second.increment("visits", 3)
        first.remove("tags", "old")
        second.add("tags", "new")
        first["phone"] = "1"
        second["phone"] = "2"
        first.append("timeline", "a")
        second.append("timeline", "b")
    shown = replica.get(us)
    assert shown["visits"] == 15
    assert shown["tags"] == ["new"]
    assert shown["notes"] == "call 👍 first"
    assert shown.conflicts == ("phone",)
    assert [entry["value"] for entry in shown["timeline"]] == ["a", "b"]
    assert replica.store.verify().findings == ()


def test_overlapping_blocks_take_as_many_writers_as_were_ever_open_together(replica, us):
    for _ in range(20):
        with ExitStack() as open_blocks:
            for number in range(3):
                open_blocks.enter_context(replica.edit(us).opened_by((number, None))).increment("visits")
    for _ in range(20):
        with replica.edit(us) as customer:
            customer.increment("visits")
    assert replica.get(us)["visits"] == 80
    assert len(vectors.decode(replica.store.record_head(us).state_vector)) == 3
    assert len(replica.context.writers.current) == 3


def test_too_many_open_blocks_of_one_record_are_refused(replica, us, monkeypatch):
    monkeypatch.setattr("crdt_sync.replica.writers.OVERLAPPING_EDITS_MAX", 2)
    with ExitStack() as open_blocks:
        for number in range(2):
            open_blocks.enter_context(replica.edit(us).opened_by((number, None)))
        with pytest.raises(EditInProgress), replica.edit(us):
            pass
        with replica.edit(OTHER, create=True) as customer:
            customer["name"] = "Other"
    with replica.edit(us) as customer:
        customer["city"] = "Köln"
    assert replica.get(us)["city"] == "Köln"


def test_the_lock_is_free_while_blocks_and_listeners_run(replica, us):
    free = []

    def look(*_):
        def take():
            with replica.context.lock:
                free.append(True)

        other = threading.Thread(target=take)
        other.start()
        other.join(60)

    replica.subscribe(look)
    with replica.batch(), replica.edit(us) as customer:
        customer["city"] = "Köln"
        look()
    assert free == [True, True]


def test_two_batches_that_give_one_natural_key_to_two_records(make_replica, keyed_schema):
    replica = make_replica("anna", keyed_schema)
    for name in ("a", "b"):
        with replica.edit("guests") as guest:
            guest.update({"email": f"{name}@x", "name": name})
    one, two = (view.record for view in replica.list("guests"))
    with pytest.raises(KeyTaken), replica.batch():  # noqa: PT012 - what happens in the batch is what is tested
        with replica.edit(one) as guest:
            guest["email"] = "c@x"
        with replica.batch().opened_by((1, None)), replica.edit(two).opened_by((1, None)) as guest:
            guest["email"] = "c@x"
    assert {view["email"] for view in replica.list("guests")} in ({"a@x", "c@x"}, {"b@x", "c@x"})
    assert replica.duplicates() == ()


def test_two_blocks_that_enter_one_new_natural_key_make_one_record(make_replica, keyed_schema):
    replica = make_replica("anna", keyed_schema)
    with ExitStack() as both:
        for number in range(2):
            guest = both.enter_context(replica.edit("guests").opened_by((number, None)))
            guest.update({"email": "a@x", "name": "A", "visits": 2})
    assert replica.count() == 1
    (view,) = replica.list("guests")
    assert (view["email"], view["name"]) == ("a@x", "A")


# --- async with ----------------------------------------------------------------------------------------------


class SlowStore(MemoryStore):
    """A store of which loads and commits wait until they may go on, and tell that they have begun."""

    slow = False

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = threading.Event(), threading.Event()

    def _wait(self):
        if self.slow:
            assert threading.current_thread() is not threading.main_thread(), "the event loop waits for the disk"
            self.begun.set()
            assert self.go.wait(60)

    def load(self, record):
        self._wait()
        return super().load(record)

    def commit(self, batches):
        self._wait()
        return super().commit(batches)


@pytest.fixture
def slow(make_replica):
    store = SlowStore()
    replica = make_replica("anna", store=store)
    with replica.edit(US, create=True) as customer:
        customer["name"] = "Us"
    return replica


def test_an_async_block_leaves_the_event_loop_free_while_the_disk_works(slow):
    async def edits():
        async with slow.batch(), slow.edit(US) as customer:
            customer["city"] = "Köln"

    async def main():
        slow.store.slow = True
        task = asyncio.create_task(edits())
        await asyncio.to_thread(slow.store.begun.wait, 10)
        assert not task.done()  # and this task runs
        slow.store.go.set()
        await task

    asyncio.run(main())
    assert slow.get(US)["city"] == "Köln"


def test_an_async_block_that_raises_changes_nothing_and_what_is_written_after_it_is_refused(replica, us):
    async def main():
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is what is tested
            async with replica.edit(us) as customer:
                customer["city"] = "Köln"
                raise ZeroDivisionError
        with pytest.raises(EditEnded):
            customer["city"] = "Bonn"
        async with replica.edit(us) as customer:
            customer["phone"] = "1"

    asyncio.run(main())
    assert dict(replica.get(us)) == {"name": "Us", "phone": "1"}


@pytest.mark.parametrize("moment", ["opening", "committing"])
def test_a_task_that_is_cancelled_while_the_disk_works_hears_of_it_afterwards(slow, moment):
    async def edits():
        async with slow.edit(US) as customer:
            customer["city"] = "Köln"
            slow.store.slow = True

    async def main():
        slow.store.slow = moment == "opening"
        task = asyncio.create_task(edits())
        await asyncio.to_thread(slow.store.begun.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        slow.store.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    slow.store.slow = False
    assert slow.get(US).get("city") == (None if moment == "opening" else "Köln")
    with slow.edit(US) as customer:  # nothing is left open
        customer["phone"] = "1"
    assert len(vectors.decode(slow.store.record_head(US).state_vector)) == 1


def test_tasks_that_overlap_in_async_blocks_all_count(replica, us):
    async def edits():
        async with replica.edit(us) as customer:
            customer.increment("visits")

    async def main():
        await asyncio.gather(*(edits() for _ in range(40)))

    asyncio.run(main())
    assert replica.get(us)["visits"] == 40


def test_an_edit_that_the_disk_refuses_says_so_in_an_async_block(replica, us, monkeypatch):
    def full(batches):
        raise StoreFull("the disk is full", "Make room.")

    async def main():
        with monkeypatch.context() as patched, pytest.raises(StoreFull):  # noqa: PT012
            patched.setattr(replica.store, "commit", full)
            async with replica.edit(us) as customer:
                customer["city"] = "Köln"

    asyncio.run(main())
    assert dict(replica.get(us)) == {"name": "Us"}


# --- sessions meanwhile --------------------------------------------------------------------------------------


@pytest.fixture
def anna_twice(make_replica, relay):
    """A replica, and one over a copy of its store that writes under the same ids."""
    anna = make_replica("anna")
    with anna.edit(US, create=True) as customer:
        customer["name"] = "Us"
    exchange(anna, relay)
    twin = make_replica("anna", store=anna.store.clone())
    twin.context.writers._ids = list(anna.context.writers.current)
    return anna, twin


def test_an_edit_whose_writer_a_copy_of_the_store_used_meanwhile_is_not_stored(anna_twice, relay):
    """Nobody could tell its operations from those of the copy."""
    anna, twin = anna_twice
    with twin.edit(US) as customer:
        customer["city"] = "Bonn"
    exchange(twin, relay)
    with pytest.raises(EditOvertaken), anna.edit(US) as customer:  # noqa: PT012 - both happen in the block
        customer["phone"] = "1"
        exchange(anna, relay)
    with anna.edit(US) as customer:
        customer["phone"] = "1"
    assert dict(anna.get(US)) == {"name": "Us", "city": "Bonn", "phone": "1"}


@pytest.mark.parametrize("renews", [(), ("twin",), ("anna",), ("anna", "twin")])
def test_a_copy_of_the_store_that_writes_under_our_ids_is_noticed_in_renewed_records_too(anna_twice, relay, renews):
    """What it wrote is in the cover of the record then, and not in its state vector."""
    anna, twin = anna_twice
    for replica, values in ((twin, {"city": "Bonn", "country": "DE", "region": "NRW"}), (anna, {"phone": "1"})):
        with replica.edit(US) as customer:
            customer.update(values)
    for who in renews:
        assert {"anna": anna, "twin": twin}[who].renew(US)
    exchange(twin, relay)
    exchange(anna, relay)
    assert anna.context.writers.current == ()


def test_our_own_writers_in_a_record_that_a_partner_renewed_are_no_copy(make_replica, relay):
    anna, ben = make_replica("anna"), make_replica("ben")
    for number in range(3):
        with anna.edit(US, create=True) as customer:
            customer["name"] = f"Us {number}"
        exchange(anna, relay)
        exchange(ben, relay)
        assert ben.renew(US)
        exchange(ben, relay)
        exchange(anna, relay)
        assert len(anna.context.writers.current) == 1
    assert lineage_of(anna.document(US)).cover


def test_a_block_that_is_forgotten_gives_its_writer_back(replica, us):
    block = replica.edit(us)
    block.__enter__()
    del block
    gc.collect()
    with replica.edit(us) as customer:
        customer["city"] = "Köln"
    assert len(replica.context.writers.current) == 1


@pytest.mark.parametrize("new", [False, True])
def test_what_a_session_brings_while_a_block_waits_is_kept(make_replica, relay, new):
    """A session is a task of its own: it integrates into the record of which a block holds a copy."""
    anna, bob = make_replica("anna"), make_replica("bob")
    with bob.edit(US, create=True) as customer:
        customer["name"] = "Us"
    exchange(bob, relay)
    if not new:
        exchange(anna, relay)
    with bob.edit(US) as customer:
        for count in range(40):  # enough that the next edit makes a snapshot of its own
            customer[("city", "company")[count % 2]] = str(count)
    exchange(bob, relay)
    with anna.edit(US, create=True) as customer:
        customer["name"] = "Us"
        customer["phone"] = "1"
        exchange(anna, relay)
    for replica in (anna, bob, anna):
        assert exchange(replica, relay).settled
    assert anna.get(US) == bob.get(US)
    assert dict(anna.get(US)) == {"name": "Us", "phone": "1", "city": "38", "company": "39"}
    assert anna.receipt().root == bob.receipt().root
    assert anna.store.verify().findings == ()
