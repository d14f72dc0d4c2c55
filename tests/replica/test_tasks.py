"""Several asyncio tasks over one replica: what one rolls back is never what another was told is on disk."""

import asyncio
import threading

import pytest

from crdt_sync import limits
from crdt_sync.errors import EditInProgress, UsageError
from tests.replica.wire import exchange

US = "customers/us"


@pytest.fixture
def us(replica):
    with replica.edit(US, create=True) as customer:
        customer["name"] = "Us"
    return US


def during(replica, opened, act):
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
        except EditInProgress as error:
            outcome.append(error)
        finally:
            done.set()

    async def both():
        entered, done = asyncio.Event(), asyncio.Event()
        await asyncio.gather(waits(entered, done), acts(entered, done))

    asyncio.run(both())
    return outcome[0]


@pytest.mark.parametrize("block", ["batch", "edit", "edit of another"])
@pytest.mark.parametrize("attempt", ["edit", "batch", "delete", "restore", "resolve"])
def test_an_edit_is_refused_while_a_block_of_another_task_waits(replica, us, block, attempt):
    blocks = {
        "batch": replica.batch,
        "edit": lambda: replica.edit(us),
        "edit of another": lambda: replica.edit("customers/other", create=True),
    }

    def act():
        if attempt == "edit":
            with replica.edit(us) as customer:
                customer["phone"] = "222"
        elif attempt == "batch":
            with replica.batch():
                pass
        elif attempt == "resolve":
            replica.resolve(us, "phone", "222")
        else:
            getattr(replica, attempt)(us)

    error = during(replica, blocks[block], act)
    assert isinstance(error, EditInProgress)
    assert "await" in error.hint
    assert dict(replica.get(us)) == {"name": "Us"}
    with replica.edit(us) as customer:  # and all is well again afterwards
        customer["phone"] = "222"
    assert replica.get(us)["phone"] == "222"


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
        batch = replica.batch()

        class Block:
            def __enter__(self):
                batch.__enter__()
                with replica.edit(us) as customer:
                    customer["city"] = "Berlin"
                assert replica.get(us)["city"] == "Berlin"

            def __exit__(self, *raised):
                return batch.__exit__(*raised)

        return Block()

    assert "city" not in during(replica, opened, lambda: replica.get(us))


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


def test_a_generator_that_is_left_open_in_a_block_refuses_other_edits_until_it_is_closed(replica, us):
    left = left_open(replica, us)

    async def opens():
        next(left)

    async def main():
        await asyncio.create_task(opens())
        with pytest.raises(EditInProgress), replica.edit(us) as customer:
            customer["city"] = "Köln"
        left.close()
        with replica.edit(us) as customer:
            customer["city"] = "Köln"

    asyncio.run(main())
    assert dict(replica.get(us)) == {"name": "Us", "city": "Köln"}


def test_a_child_task_is_another_task(replica, us):
    async def edits():
        with replica.edit(us) as customer:
            customer["city"] = "Köln"

    async def main():
        with replica.batch():
            with pytest.raises(EditInProgress):
                await asyncio.create_task(edits())
            with replica.edit(us) as customer:
                customer["phone"] = "1"

    asyncio.run(main())
    assert dict(replica.get(us)) == {"name": "Us", "phone": "1"}


def test_edits_of_many_threads_all_count(replica, us):
    def edits():
        with replica.edit(us) as customer:
            customer.increment("visits")

    async def main():
        await asyncio.gather(*(asyncio.to_thread(edits) for _ in range(40)))

    asyncio.run(main())
    assert replica.get(us)["visits"] == 40


@pytest.mark.parametrize("block", ["edit", "batch"])
def test_a_block_that_waits_for_an_edit_in_another_thread_does_not_wait_for_ever(replica, us, block, monkeypatch):
    monkeypatch.setattr(limits, "EDIT_WAIT_S", 0.05)

    def edits():
        with replica.batch(), replica.edit(us) as customer:
            customer["city"] = "Köln"

    async def main():
        with replica.edit(us) if block == "edit" else replica.batch():
            with pytest.raises(EditInProgress) as refused:
                await asyncio.to_thread(edits)
            assert "another thread" in refused.value.hint
        await asyncio.to_thread(edits)

    asyncio.run(main())
    assert replica.get(us)["city"] == "Köln"


@pytest.mark.parametrize("block", ["edit", "batch"])
def test_a_block_that_awaits_a_thread_that_edits_is_refused_at_once(replica, us, block):
    async def main():
        with replica.edit(us) if block == "edit" else replica.batch():
            await asyncio.wait_for(asyncio.to_thread(replica.delete, us), limits.EDIT_WAIT_S / 6)

    with pytest.raises(EditInProgress, match="open across an 'await'"):
        asyncio.run(main())
    assert not replica.get(us).deleted


def test_a_thread_waits_for_the_block_of_a_task_that_awaits_nothing(replica, us, monkeypatch):
    monkeypatch.setattr(limits, "EDIT_LOOK_S", 0.001)
    waiting = threading.Event()

    def edits():
        waiting.set()
        replica.delete(us)

    async def main():
        with replica.batch():
            other = threading.Thread(target=edits)
            other.start()
            waiting.wait()
            other.join(0.02)  # it has looked several times
            assert other.is_alive()
        await asyncio.to_thread(other.join)

    asyncio.run(main())
    assert replica.get(us).deleted


def test_a_block_that_ends_in_another_thread_says_so(replica, us):
    left = left_open(replica, us)
    other = threading.Thread(target=next, args=(left,))
    other.start()
    other.join()
    with pytest.raises(UsageError, match="ended in another thread"):
        left.close()
    replica.lock = threading.RLock()  # for the end of the test


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
