"""An owner that is killed: who was served by it goes on, as the owner or with the next one, and no edit is lost or made
twice.
"""

import threading

import pytest

from crdt_sync import Replica
from crdt_sync.errors import OwnerSilent
from crdt_sync.replica.owner import following
from crdt_sync.replica.owner.asking import find
from crdt_sync.replica.owner.following import _Following
from crdt_sync.replica.owner.owned import OwnedStore
from crdt_sync.storage.lmdb.lock import let_go
from tests.replica.owner.conftest import THEM, US, edit_both, enter_both


@pytest.mark.parametrize("when", ["before", "in", "after"])
def test_an_owner_that_is_killed_in_an_edit_of_another_program(owner, store, when):
    """Whether it stored the edit or not: it is there, and counted once."""
    owner.ask("edit", US, name="Us", visits=1)
    with Replica.open(store) as replica:
        owner.ask("die_at_commit", when)
        with replica.edit(US) as customer:
            customer["city"] = "Köln"
            customer.increment("visits", 10)
        assert (replica.get(US)["city"], replica.get(US)["visits"]) == ("Köln", 11)
        assert replica.owner is None
        with replica.edit(US) as customer:
            customer.increment("visits", 100)
        with replica.batch(), replica.edit("customers") as customer:
            customer["name"] = "New"
        assert replica.store.verify().findings == ()
    with Replica.open(store, share=False) as replica:
        assert replica.owner is None
        assert replica.get(US)["visits"] == 111
        assert replica.count() == 2


@pytest.mark.parametrize("when", ["before", "in", "after"])
def test_an_owner_that_is_killed_in_a_batch_of_which_an_edit_only_deletes(owner, store, when):
    """An edit without an operation of its own leaves no trace under its writer; the rest of the batch has one."""
    enter_both(owner)
    with Replica.open(store, share=False) as replica:
        owner.ask("die_at_commit", when)
        with replica.batch():
            edit_both(replica)
        assert replica.get(US)["visits"] == 11
        assert replica.get(THEM)["tags"] == ["b"]


@pytest.mark.parametrize("when", ["before", "in", "after"])
def test_an_owner_that_is_killed_in_an_edit_that_only_deletes(owner, store, when):
    owner.ask("edit", THEM, name="Them", tags=["a", "b"])
    with Replica.open(store, share=False) as replica:
        owner.ask("die_at_commit", when)
        with replica.edit(THEM) as customer:
            customer.remove("tags", "a")
        assert replica.get(THEM)["tags"] == ["b"]


def test_what_somebody_else_deleted_too_does_not_prove_a_batch(owner, store):
    enter_both(owner)
    with Replica.open(store, share=False) as replica:
        with replica.batch():
            edit_both(replica)
            owner.ask("remove", THEM, "tags", "a")
            owner.ask("die_at_commit", "before")
        assert replica.get(US)["visits"] == 11


@pytest.fixture
def renewed_by_another(start, monkeypatch):
    """renewed_by_another(record): once the owner has ended, another program is quicker, renews the record, and ends."""

    def of(record):
        def ended(path, process):
            if not let_go(path, process):
                return False
            other = start("other")
            assert other.ready()
            assert other.ask("renew", record)
            other.kill()
            return True

        monkeypatch.setattr("crdt_sync.replica.owner.asking.let_go", ended)

    return of


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_edit_is_found_or_carried_over_although_the_record_was_renewed_since(owner, store, renewed_by_another, when):
    owner.ask("edit", US, name="Us", visits=1)
    with Replica.open(store, share=False) as replica:
        owner.ask("die_at_commit", when)
        renewed_by_another(US)
        with replica.edit(US) as customer:
            customer.increment("visits", 10)
        assert replica.get(US)["visits"] == 11


def test_of_a_deletion_nothing_can_be_told_once_the_record_was_renewed(owner, store, renewed_by_another):
    owner.ask("edit", THEM, name="Them", tags=["a", "b"])
    with Replica.open(store, share=False) as replica:
        owner.ask("die_at_commit", "after")
        renewed_by_another(THEM)
        with pytest.raises(OwnerSilent, match="may be stored or not"), replica.edit(THEM) as customer:
            customer.remove("tags", "a")
        assert replica.get(THEM)["tags"] == ["b"]


def test_a_block_that_was_begun_with_one_owner_ends_without_it(owner, store):
    owner.ask("edit", US, name="Us", visits=1)
    with Replica.open(store, share=False) as replica:
        with replica.edit(US) as customer:
            customer.increment("visits", 10)
            owner.kill()
        with replica.batch():
            for number in range(3):
                with replica.edit(f"customers/{number}", create=True) as customer:
                    customer["name"] = str(number)
        assert replica.get(US)["visits"] == 11
        assert replica.count() == 4
        assert replica.owner is None


def test_what_takes_the_store_alone_can_be_done_once_the_owner_has_ended(owner, store):
    owner.ask("edit", US, name="Us")
    with Replica.open(store, share=False) as replica:
        owner.kill()
        assert replica.repair().findings == 0
        assert replica.renew(US)
        assert dict(replica.get(US)) == {"name": "Us"}


def test_a_program_that_only_listens_takes_the_place_of_the_owner_and_serves(owner, start, store):
    """Nothing is asked of it: it hears that the owner has ended."""
    owner.ask("edit", US, name="Us")
    listener = start("listener")
    assert not listener.ready()
    owner.kill()
    while (found := find(store)) is None:
        pass
    with found:
        assert found.about.process == listener.process.pid
    listener.ask("edit", US, city="Köln")
    assert listener.ask("get", US) == {"name": "Us", "city": "Köln"}


def test_who_reads_events_too_slowly_is_sent_away_and_no_writer_is_lent_twice(owner, store, monkeypatch):
    """The owner lives: an open block keeps its writer id, and what changed meanwhile is heard, too."""
    owner.ask("edit", US, name="Us", visits=1)
    away, heard = threading.Event(), threading.Event()
    follow_again = _Following._again

    def late(following):
        if not following._closed.is_set():
            assert away.wait(60)
            owner.ask("edit", THEM, name="Edited meanwhile")
        return follow_again(following)

    monkeypatch.setattr(_Following, "_again", late)
    with Replica.open(store) as replica:
        link = replica.owner
        replica.subscribe(lambda events: heard.set() if THEM in {event.record for event in events} else None)
        with replica.edit(US) as customer:
            customer.increment("visits", 10)
            owner.ask("send_away", link.about.number + 1)
            away.set()
            assert heard.wait(60)
            owner.ask("count", US, 1)
        assert replica.owner is link
        assert replica.get(US)["visits"] == 12


def test_who_is_sent_away_again_is_told_of_what_changed_since_the_last_time(owner, store, monkeypatch):
    missed, heard = [], []
    monkeypatch.setattr(
        following, "follow", lambda owner, heard, missed_, ended: missed.append(missed_) or (lambda: None)
    )
    with Replica.open(store) as replica:
        assert replica.owner is not None
        replica.subscribe(lambda events: heard.append({event.record for event in events}))
        owner.ask("edit", US, name="Us")
        missed[0]()
        owner.ask("edit", THEM, name="Them")
        missed[0]()
        missed[0]()
    assert heard == [{US}, {THEM}]


@pytest.mark.parametrize("when", ["before", "in", "after"])
def test_what_an_owner_stored_and_told_nobody_is_heard_of(owner, store, start, when):
    """It was killed amid another program's edit, and whoever comes next, either of the two, tells."""
    owner.ask("edit", US, name="Us")
    heard = threading.Event()
    with Replica.open(store) as replica:
        other = start("other")
        assert not other.ready()
        replica.subscribe(lambda events: heard.set() if US in {event.record for event in events} else None)
        owner.ask("die_at_commit", when)
        other.ask("edit", US, city="Köln")
        assert heard.wait(60)
        assert replica.get(US)["city"] == "Köln"


def test_a_request_whose_outcome_is_not_known_says_so(owner, store):
    with Replica.open(store, share=False) as replica:
        owner.ask("die_at_commit", "before")
        assert isinstance(replica.store, OwnedStore)
        with pytest.raises(OwnerSilent, match="may be done or not") as silent:
            replica.store.owner.ask("meta", (("some", b"note"),))
        assert silent.value.uncertain


@pytest.mark.parametrize("clients", [2, 4])
def test_owners_that_are_killed_while_others_edit_lose_nothing_that_was_acknowledged(start, store, clients):
    """Each owner in turn is killed amid the edits of the rest, who race for its place: all of their edits are there."""
    owner = start("owner")
    assert owner.ready()
    owner.ask("edit", US, name="Us", visits=0)
    programs = [start(f"p{number}") for number in range(clients)]
    assert not any(program.ready() for program in programs)
    for number, program in enumerate(programs):
        program.begin_to("tick", US, 15, f"customers/p{number}")
    owner.begin_to("tick", US, 1000, "customers/owner")
    for program in programs:
        program.await_ticks(3)
    owner.kill()
    assert [program.answer() for program in programs] == [15] * clients
    owns = [program.ask("owns") for program in programs]
    assert owns.count(True) == 1
    first = programs[owns.index(True)]
    first.kill()
    others = [program for program in programs if program is not first]
    assert [other.ask("count", US, 5) for other in others] == [None] * len(others)
    with Replica.open(store, share=False) as replica:
        for number in range(clients):
            assert replica.get(f"customers/p{number}")["visits"] == 15
        assert replica.get(US)["visits"] >= 15 * clients + 5 * len(others)
        assert replica.store.verify().findings == ()
