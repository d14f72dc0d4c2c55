"""How a program shares a store with others when its owner changes: once for each owner, whoever notices it first."""

import os
import queue
import threading

import pytest

from crdt_sync import Replica, bundled_schema
from crdt_sync.errors import OwnerGone, OwnerSilent, UsageError
from crdt_sync.replica.owner import frames
from crdt_sync.replica.owner.asking import Owner
from crdt_sync.replica.owner.following import _Following
from crdt_sync.replica.owner.owned import OwnedStore
from crdt_sync.replica.owner.serving import Server
from tests.replica.owner.conftest import US


@pytest.fixture
def begun(monkeypatch):
    """What was begun to be served, by whichever thread."""
    servers, start = queue.Queue(), Server.start

    def noted(*given, **more):
        server = start(*given, **more)
        servers.put(server)
        return server

    monkeypatch.setattr(Server, "start", noted)
    return servers


def is_served(store, begun):
    """Whether the store is, by what was begun next."""
    begun.get(timeout=30)
    with Owner(store) as served:
        return served.ask("digests") is None


def test_two_threads_that_find_an_ended_owner_at_once_take_its_place_once(owner, store, begun, monkeypatch):
    """One is in the middle of it when the other one finds it; both edits are stored, and the store is served."""
    owner.ask("edit", US, name="Us", visits=0)
    succeed, successions = OwnedStore.succeed, []

    def awaited(owned):
        successions.append(threading.current_thread().name)
        while len(replica.context.lock._waiting) < 2:  # the other thread, and the one that listens
            pass
        return succeed(owned)

    with Replica.open(store) as replica:
        monkeypatch.setattr(OwnedStore, "succeed", awaited)
        all_of_us = threading.Barrier(3)

        def count():
            with replica.edit(US) as customer:
                customer.increment("visits")
                all_of_us.wait(60)
                all_of_us.wait(60)  # the owner has ended

        threads = [threading.Thread(target=count, name=name) for name in ("first", "second")]
        for thread in threads:
            thread.start()
        all_of_us.wait(60)
        owner.kill()
        all_of_us.wait(60)
        for thread in threads:
            thread.join(30)
        assert replica.get(US)["visits"] == 2
        assert replica.owner is None
        assert len(successions) == 1
        assert is_served(store, begun)
    assert begun.empty()


def test_an_owner_that_ends_while_it_is_being_succeeded_is_not_served_twice(owner, store, begun):
    """What follows from the first change of owner runs after the second one: there is nothing more to do."""
    owner.ask("edit", US, name="Us")
    with Replica.open(store) as replica:
        owner.kill()
        replica.get(US)
        assert replica.owner is None
        replica._succeeded()
        replica._succeeded()
        assert is_served(store, begun)
    assert begun.empty()


def test_a_program_whose_owner_ends_before_it_can_follow_takes_its_place(owner, store, begun, monkeypatch):
    """Nothing is asked of it: it was about to listen."""
    owner.ask("edit", US, name="Us")
    connect, serving = _Following._connect, threading.Event()

    def late(following):
        if following._owner.about.process == owner.process.pid and owner.process.poll() is None:
            owner.kill()
        return connect(following)

    start = Server.start
    monkeypatch.setattr(_Following, "_connect", late)
    monkeypatch.setattr(Server, "start", lambda *given, **more: (start(*given, **more), serving.set())[0])
    with Replica.open(store):
        assert serving.wait(30)
        with Owner(store) as served:
            assert served.about.process == os.getpid()


def test_what_never_reached_the_owner_is_not_done(tmp_path):
    """Whatever was asked: nothing of it was sent."""
    with Replica.create(tmp_path / "store", "anna", [bundled_schema("customers")], share=False) as replica:
        server = Server.start(replica, tmp_path / "store")
        owner = Owner(tmp_path / "store")
        owner.close()
        for request in (("meta", (("some", b"note"),)), ("digests",), ("take", US)):
            with pytest.raises(OwnerGone, match="nothing was stored") as gone:
                owner.ask(*request)
            assert not isinstance(gone.value, OwnerSilent)
            assert not gone.value.uncertain
            assert gone.value.retryable
            assert "Do it again" in gone.value.hint
        server.close()
        assert replica.store.meta("some") is None


def test_a_request_that_is_too_long_is_refused_and_the_next_one_is_not(tmp_path, monkeypatch):
    with Replica.create(tmp_path / "store", "anna", [bundled_schema("customers")], share=False) as replica:
        server = Server.start(replica, tmp_path / "store")
        with Owner(tmp_path / "store") as owner:
            with monkeypatch.context() as patched:
                patched.setattr(frames, "OWNER_FRAME_BYTES_MAX", 100)
                with pytest.raises(UsageError, match="too long") as refused:
                    owner.ask("meta", (("some", b"x" * 100),))
            assert refused.value.hint
            assert owner.ask("meta", (("some", b"x" * 100),)) is None
        server.close()
        assert replica.store.meta("some") == b"x" * 100
