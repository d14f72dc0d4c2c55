"""Taking over the store of an owner that has ended fails half-way: nothing is written without the lock, everything can
be read, and the next use tries again.
"""

import pytest

from crdt_sync import Replica
from crdt_sync.errors import CrdtSyncError, OwnerSilent, StoreFailed, StoreFull, StoreInUse
from crdt_sync.replica import context as contexts
from crdt_sync.replica.owner import asking, local
from crdt_sync.replica.owner.serving import Server
from crdt_sync.storage import Batch
from crdt_sync.storage.lmdb import LmdbStore
from crdt_sync.storage.lmdb.environment import Environment
from crdt_sync.storage.lmdb.lock import StoreLock
from crdt_sync.storage.lmdb.shared import SharedEnvironment
from tests.replica.owner.conftest import US


@pytest.fixture
def replica(owner, store, monkeypatch):
    """A replica whose owner was killed."""
    monkeypatch.setattr(local, "SERVES_S", 0.05)
    monkeypatch.setattr(asking, "_ENDS_S", 0.05)
    owner.ask("edit", US, name="Us")
    with Replica.open(store, share=False) as replica:
        owner.kill()
        yield replica


def edit(replica, city):
    with replica.edit(US) as customer:
        customer["city"] = city


def fail(*_):
    raise StoreFull("no room", "Make some.")


@pytest.fixture(params=["opening it", "the first write", "opening it, and again to read"])
def failed(request, replica, monkeypatch):
    """The same, once taking the store over has failed there."""
    with monkeypatch.context() as patched:
        match request.param:
            case "opening it":
                patched.setattr(Environment, "_open", fail)
            case "the first write":
                patched.setattr(LmdbStore, "_begin", fail)
            case _:
                patched.setattr(SharedEnvironment, "_open", fail)
        with pytest.raises(StoreFull):
            edit(replica, "Köln")
    return replica


def test_the_next_use_tries_again(failed, store):
    assert dict(failed.get(US)) == {"name": "Us"}
    edit(failed, "Köln")
    assert failed.owner is None
    with pytest.raises(StoreInUse):
        StoreLock(store)
    assert failed.get(US)["city"] == "Köln"
    assert failed.store.verify().findings == ()


def test_what_another_program_stores_then_is_seen_and_it_is_asked(failed, start):
    other = start("other")
    assert other.ready()
    for number in range(3):
        other.ask("edit", f"customers/{number}", name=str(number))
    assert failed.store.count() == 4
    assert failed.store.head() == failed.store.feed(0, 100)[-1].seq
    edit(failed, "Köln")
    assert failed.owner is not None
    assert other.ask("get", US) == {"name": "Us", "city": "Köln"}


def test_nothing_is_written_while_another_program_has_the_lock(failed, store):
    lock = StoreLock(store)
    with pytest.raises(StoreInUse):
        edit(failed, "Köln")
    with pytest.raises(CrdtSyncError):
        failed.store.commit([Batch(meta={"probe": b"1"})])
    with pytest.raises(StoreFailed, match="another process"):
        failed.store.keep_index([b"page"])
    assert failed.store.meta("probe") is None
    assert dict(failed.get(US)) == {"name": "Us"}
    lock.release()
    edit(failed, "Bonn")
    assert failed.get(US)["city"] == "Bonn"


def test_a_store_that_is_closed_then_stays_closed_and_is_free(failed, store):
    failed.close()
    with Replica.open(store, share=False) as again:
        assert again.owner is None


def test_a_replica_that_cannot_read_what_it_took_over_tries_again(replica, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(contexts, "known_peers", fail)
        with pytest.raises(StoreFull):
            edit(replica, "Köln")
    edit(replica, "Köln")
    assert replica.owner is None
    assert replica.get(US)["city"] == "Köln"


@pytest.mark.parametrize("step", ["reload", "open"])
def test_an_edit_that_is_stored_is_told_whatever_fails_after_a_takeover(owner, store, start, monkeypatch, caplog, step):
    """The error is logged, and the program serves the others all the same."""
    owner.ask("edit", US, name="Us")
    with Replica.open(store, share=False) as replica:
        replica._sharing._as = lambda: Server.start(replica, store, "a test").close
        heard = []
        replica.subscribe(heard.extend)
        monkeypatch.setattr(replica.shared_schemas, step, fail)
        with replica.edit(US) as customer:
            customer["city"] = "Köln"
            owner.kill()
        assert [(event.kind, event.record) for event in heard] == [("edited", US)]
        assert "no room" in caplog.text
        other = start("other")
        assert not other.ready()
        assert other.ask("get", US)["city"] == "Köln"


@pytest.mark.parametrize(("when", "visits"), [("before", 1), ("after", 11)])
def test_an_edit_of_which_nothing_can_be_seen_may_be_stored_or_not(owner, store, monkeypatch, when, visits):
    """Its owner ended amid it, and the store cannot be opened to be written now."""
    owner.ask("edit", US, name="Us", visits=1)
    with Replica.open(store, share=False) as replica:
        owner.ask("die_at_commit", when)
        with monkeypatch.context() as patched:
            patched.setattr(Environment, "_open", fail)
            with (
                pytest.raises(OwnerSilent, match=r"no room.*may be stored or not") as silent,
                replica.edit(US) as customer,
            ):
                customer.increment("visits", 10)
        assert silent.value.uncertain
        assert "Look whether it is there" in silent.value.hint
        edit(replica, "Köln")
        assert replica.get(US)["visits"] == visits


def test_an_edit_outlives_owners_that_end_one_after_the_other(owner, store, monkeypatch):
    """What it asks of the second one, too, finds that one gone."""
    owner.ask("edit", US, name="Us")
    lend, ended = asking.Owner.lend, []

    def ending(self, record):
        if len(ended) < 2:
            ended.append(self)
            self.close()
        return lend(self, record)

    with Replica.open(store, share=False) as replica:
        monkeypatch.setattr(asking.Owner, "lend", ending)
        edit(replica, "Köln")
        assert len(set(map(id, ended))) == 2
        assert owner.ask("get", US)["city"] == "Köln"
