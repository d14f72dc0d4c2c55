"""Programs that open one store at the same time: one owns it, the others wait until it serves them, or has ended."""

import math

import pytest

from crdt_sync import Replica
from crdt_sync.errors import StoreInUse, StoreMissing
from crdt_sync.replica import opening
from crdt_sync.replica.owner import local


@pytest.fixture
def serves_late(monkeypatch):
    """serves_late(then): nobody is found to serve the store at first; `then` is called, and who serves it is found."""

    def late(then=lambda: None):
        look, looked = opening._beside_owner, []

        def beside(path):
            looked.append(path)
            if len(looked) == 4:
                then()
            return look(path) if len(looked) > 4 else None

        monkeypatch.setattr(opening, "_beside_owner", beside)

    return late


def test_who_has_the_store_is_about_to_serve_it(owner, store, serves_late):
    serves_late()
    with Replica.open(store, share=False) as replica:
        assert replica.owner.about.process == owner.process.pid


def test_who_has_the_store_ends_without_serving_it(owner, store, serves_late):
    serves_late(owner.end)
    with Replica.open(store, share=False) as replica:
        assert replica.owner is None


def test_the_wait_for_one_that_serves_nobody_is_bounded(owner, store, monkeypatch):
    monkeypatch.setattr(local, "SERVES_S", 0.05)
    monkeypatch.setattr(opening, "_beside_owner", lambda _path: None)
    with pytest.raises(StoreInUse, match=f"process {owner.process.pid}"):
        Replica.open(store)


def test_nobody_waits_for_objects_of_the_same_process(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "SERVES_S", math.inf)
    with Replica.create(tmp_path / "anna", "anna", share=False), pytest.raises(StoreInUse):
        Replica.open(tmp_path / "anna")


def test_a_store_that_another_program_makes_at_the_same_time_is_opened(owner, store, monkeypatch):
    find, looked = opening.open_store, []

    def missing_at_first(path):
        looked.append(path)
        if len(looked) == 1:
            raise StoreMissing("there is no store", "Create one.")
        return find(path)

    monkeypatch.setattr(opening, "open_store", missing_at_first)
    with Replica.open_or_create(store, "another", share=False) as replica:
        assert replica.owner.about.process == owner.process.pid
        assert replica.name == "owner"
