"""An owner that is stopped, or hangs, amid a request: who asked is told in bounded time, and what is told is true."""

import os
import signal
import time

import pytest

from crdt_sync import Replica
from crdt_sync.errors import OwnerGone, OwnerSilent, StoreInUse
from crdt_sync.replica.owner import asking, link, local
from tests.replica.owner.conftest import US


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    """Waits are short."""
    for module, name, seconds in ((link, "_SILENCE_S", 0.1), (link, "_GREETING_S", 0.5), (asking, "_ENDS_S", 0.1)):
        monkeypatch.setattr(module, name, seconds)
    monkeypatch.setattr(local, "SERVES_S", 0.1)


@pytest.fixture
def beside(owner, store):
    """A program beside an owner that has a record."""
    owner.ask("edit", US, name="Us", visits=1)
    with Replica.open(store, share=False) as replica:
        assert replica.owner is not None
        yield replica


def go_on(program):
    os.kill(program.process.pid, signal.SIGCONT)


def test_an_edit_that_a_stopped_owner_was_given_may_be_stored_or_not(owner, beside):
    """It is, as soon as the owner goes on: so nothing else was to be said."""
    owner.ask("stop_at_commit")
    with pytest.raises(OwnerSilent, match="may be stored or not") as silent, beside.edit(US) as customer:
        customer.increment("visits", 10)
    assert silent.value.uncertain
    assert "let it go on" in silent.value.hint
    with pytest.raises((OwnerGone, StoreInUse)), beside.edit(US) as customer:
        customer.increment("visits", 100)
    go_on(owner)
    until = time.monotonic() + 30
    while owner.ask("get", US)["visits"] == 1 and time.monotonic() < until:
        pass
    assert owner.ask("get", US)["visits"] == 11
    with beside.edit(US) as customer:
        customer.increment("visits", 1000)
    assert beside.get(US)["visits"] == 1011


@pytest.mark.parametrize("request_", [("meta", (("some", b"note"),)), ("digests",)])
def test_whatever_a_stopped_owner_was_asked_ends(owner, beside, request_):
    owner.ask("edit", "customers/other", name="Other")  # of which the digest is to be computed
    owner.ask("stop_at_commit")
    with pytest.raises(OwnerGone, match="gives no answer") as gone:
        beside.owner.ask(*request_)
    assert isinstance(gone.value, OwnerSilent) == (request_[0] == "meta")
    assert "let it go on" in gone.value.hint
    go_on(owner)


def test_an_owner_that_only_takes_long_is_waited_for(owner, beside):
    owner.ask("stop_at_commit", 0.5)
    with beside.edit(US) as customer:
        customer.increment("visits", 10)
    assert beside.get(US)["visits"] == 11


def test_a_short_request_is_not_waited_for_without_end(owner, beside, monkeypatch):
    """The owner greets, and its disk hangs."""
    monkeypatch.setattr(asking, "_DONE_S", 0.2)
    owner.ask("stop_at_commit", 1.0)
    with pytest.raises(OwnerSilent, match="may be stored or not"), beside.edit(US) as customer:
        customer.increment("visits", 10)
