"""The group writer: joins what waits, refuses what is at fault, and closes in order."""

import threading

import pytest

from crdt_sync.errors import StoreClosed, StoreFailed, StoreFull, UnknownRecord
from crdt_sync.storage import Batch, GroupWriter, MemoryStore


class SlowStore(MemoryStore):
    """Commits only when told to, and remembers how many batches came together."""

    def __init__(self):
        super().__init__()
        self.groups = []
        self.arrived = threading.Semaphore(0)
        self.allowed = threading.Semaphore(0)
        self.error = None

    def commit(self, batches):
        self.groups.append(len(batches))
        self.arrived.release()
        assert self.allowed.acquire(timeout=60)
        if self.error is not None:
            raise self.error
        return super().commit(batches)


@pytest.fixture
def slow():
    return SlowStore()


def batch(change, number):
    return Batch(changes=(change(f"customers/{number}", b"%d" % number),))


def release(store, count=100):
    for _ in range(count):
        store.allowed.release()


def test_batches_that_wait_are_committed_together(slow, change):
    writer = GroupWriter(slow)
    first = writer.submit(batch(change, 0))
    assert slow.arrived.acquire(timeout=60)
    rest = [writer.submit(batch(change, number)) for number in range(1, 6)]
    assert not first.done()
    release(slow)
    assert [future.result(60).seqs for future in (first, *rest)] == [((seq,),) for seq in range(1, 7)]
    assert slow.groups == [1, 5]
    writer.close()
    assert (writer.metrics.commits, writer.metrics.batches, writer.metrics.refused) == (2, 6, 0)
    assert writer.metrics.last_commit_seconds > 0


def test_a_group_has_a_limit(slow, change):
    writer = GroupWriter(slow, batches_max=2)
    writer.submit(batch(change, 0))
    assert slow.arrived.acquire(timeout=60)
    for number in range(1, 6):
        writer.submit(batch(change, number))
    release(slow)
    writer.close()
    assert slow.groups == [1, 2, 2, 1]


def test_a_batch_at_fault_is_refused_alone(slow, change):
    writer = GroupWriter(slow)
    futures = [writer.submit(batch(change, 0))]
    assert slow.arrived.acquire(timeout=60)
    futures.append(writer.submit(Batch(changes=(change("customers/nobody", snapshot=b"s"),))))
    futures.append(writer.submit(batch(change, 2)))
    release(slow)
    assert futures[0].result(60).seqs == ((1,),)
    with pytest.raises(UnknownRecord):
        futures[1].result(60)
    assert futures[2].result(60).seqs == ((2,),)
    assert writer.metrics.refused == 1
    writer.close()


def test_a_full_disk_refuses_the_whole_group_and_the_writer_goes_on(slow, change):
    writer = GroupWriter(slow)
    slow.error = StoreFull("full")
    first = writer.submit(batch(change, 0))
    assert slow.arrived.acquire(timeout=60)
    rest = [writer.submit(batch(change, number)) for number in range(3)]
    release(slow)
    for future in (first, *rest):
        with pytest.raises(StoreFull):
            future.result(60)
    assert slow.groups == [1, 3]
    slow.error = None
    assert writer.commit(batch(change, 9)).seqs == ((1,),)
    writer.close()


def test_closing_commits_what_waits_and_refuses_what_comes_later(slow, change):
    writer = GroupWriter(slow)
    futures = [writer.submit(batch(change, number)) for number in range(3)]
    release(slow)
    writer.close()
    writer.close()
    assert all(future.done() for future in futures)
    assert slow.head() == 3
    with pytest.raises(StoreClosed):
        writer.submit(batch(change, 4))


def test_a_full_queue_makes_the_caller_wait(slow, change):
    writer = GroupWriter(slow, waiting_max=1)
    writer.submit(batch(change, 0))
    assert slow.arrived.acquire(timeout=60)
    writer.submit(batch(change, 1))
    entered = threading.Event()
    passed = threading.Event()

    def third():
        entered.set()
        writer.submit(batch(change, 2))
        passed.set()

    thread = threading.Thread(target=third)
    thread.start()
    assert entered.wait(60)
    assert not passed.is_set()
    release(slow)
    assert passed.wait(60)
    thread.join()
    writer.close()
    assert slow.head() == 3


def test_the_listener_hears_of_a_commit_before_its_future_is_done(slow, change):
    heard = []
    futures = []
    writer = GroupWriter(
        slow, after_commit=lambda batches, done: heard.append((len(batches), done[0].seqs, futures[0].done()))
    )
    futures.append(writer.submit(batch(change, 0)))
    release(slow)
    futures[0].result(60)
    assert heard == [(1, ((1,),), False)]
    writer.close()


def test_a_cancelled_batch_is_not_committed(slow, change):
    writer = GroupWriter(slow)
    writer.submit(batch(change, 0))
    assert slow.arrived.acquire(timeout=60)
    cancelled = writer.submit(batch(change, 1))
    assert cancelled.cancel()
    release(slow)
    writer.close()
    assert slow.records("", 9) == ["customers/0"]


def test_many_threads_share_the_disk(lmdb_store, change):
    writer = GroupWriter(lmdb_store)
    seqs = []

    def work(name):
        for number in range(20):
            seqs.append(writer.commit(Batch(changes=(change(f"customers/{name}", b"%d" % number),))).seqs[0][0])

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert sorted(seqs) == list(range(1, 161))
    assert [stored.decode() for stored in lmdb_store.load("customers/3").updates] == [str(n) for n in range(20)]
    assert writer.metrics.commits < 160


def test_a_listener_that_fails_does_not_stop_the_writer(store, change, caplog):
    def fail(_batches, _committed):
        raise RuntimeError("listener")

    writer = GroupWriter(store, after_commit=fail)
    assert writer.commit(batch(change, 0)).seqs == ((1,),)
    assert writer.commit(batch(change, 1)).seqs == ((2,),)
    writer.close()
    assert "the commit stands" in caplog.text


def test_a_batch_that_may_build_on_a_refused_one_is_refused_too(slow, change):
    writer = GroupWriter(slow)
    slow.error = StoreFull("full")
    refused = writer.submit(batch(change, 0), failures=writer.metrics.failures)
    assert slow.arrived.acquire(timeout=60)
    builds_on_it = writer.submit(batch(change, 1), failures=writer.metrics.failures)
    on_nothing = writer.submit(batch(change, 2))
    slow.allowed.release()
    with pytest.raises(StoreFull):
        refused.result(60)
    slow.error = None
    release(slow)
    with pytest.raises(StoreFailed, match="an earlier commit failed"):
        builds_on_it.result(60)
    knows_of_it = writer.submit(batch(change, 3), failures=writer.metrics.failures)
    assert (on_nothing.result(60).seqs, knows_of_it.result(10).seqs) == (((1,),), ((2,),))
    assert (writer.metrics.failures, writer.metrics.refused) == (1, 2)
    writer.close()
