"""What an operator types about what devices handed in, while no relay runs; `test_review` has one that runs."""

import asyncio
from pathlib import Path

import pytest

from crdt_relay.administration import Administration
from crdt_relay.review import HandedIn
from crdt_sync.identity.registry import Device
from crdt_sync.protocol.entries import PushEntry
from crdt_sync.storage import LmdbStore
from tests.relay.test_people_command import begun, listed, run
from tests.relay.test_review import written_by
from tests.relay.test_settings import clean_surroundings

__all__ = ["begun", "clean_surroundings", "run"]
PHONE = bytes(range(16))
OWN, BENS = "customers/" + "a" * 26, "customers/" + "b" * 26


@pytest.fixture
def handed_in(begun, tmp_path: Path):
    with LmdbStore.open(tmp_path / "relay") as store:
        people = Administration(store, tmp_path / "relay" / "space.key", lambda: 1_700_000_000_000_000)
        people.registry.note(Device(PHONE, "anna", 1, "anna-phone"))
        entries = [PushEntry(OWN, written_by("anna")), PushEntry(BENS, written_by("ben"))]
        asyncio.run(people.review.keep(HandedIn(PHONE, "anna", 1, 2, 200), entries))
    return begun


def test_a_device_is_revoked_with_or_without_a_review(begun, tmp_path):
    with LmdbStore.open(tmp_path / "relay") as store:
        people = Administration(store, tmp_path / "relay" / "space.key", lambda: 1)
        people.registry.note(Device(PHONE, "anna", 1, "anna-phone"))
    code, _, err = begun("device", "review", "anna-phone")
    assert code == 2
    assert "device revoke DEVICE --unsent review" in err
    code, out, err = begun("device", "revoke", "anna-phone")
    assert "hands in" not in out
    assert "crdt-relay device review 000102030405" in err
    code, out, err = begun("device", "review", "anna-phone")
    assert code == 0
    assert "an older one refuses the list of who is out from now on" in err
    assert "crdt-relay device revoke 000102030405 --unsent drop" in err
    assert "hands in what it had not sent at its next contact" in out
    _, out, err = begun("device", "revoke", "anna-phone", "--wipe", "--unsent", "drop")
    assert "to be wiped" in out
    assert "destroyed with the rest" in err
    assert "older" not in err
    assert "an older one refuses" in begun("device", "revoke", "anna-phone", "--unsent", "review")[2]
    assert begun("review", "list")[1].strip() == "Nothing waits for review."


def test_who_has_lost_the_key_of_the_space_is_told_what_to_do(begun, tmp_path):
    (tmp_path / "relay" / "space.key").rename(tmp_path / "copy")
    code, _, err = begun("device", "list")
    assert code != 0
    assert "there is no relay/space.key" in err
    assert "Put a copy of it back, or name it with --key-file" in " ".join(err.split())
    assert "each device joins with a new invite" in " ".join(err.split())
    assert begun("device", "list", "--key-file", str(tmp_path / "copy"))[0] == 0


def test_values_are_shown_when_they_are_asked_for_and_what_waits_is_dropped(handed_in):
    code, out, _ = handed_in("review", "list")
    assert code == 0
    assert "anna-phone touches name" in out
    assert "1 of 2" in out
    assert "Chen" not in out
    assert "Chen" not in handed_in("review", "list", "--json")[1]
    _, out, _ = handed_in("review", "show", "anna-phone", "--record", OWN)
    assert f"{OWN}  may be applied\n  name: – -> Chen\n" in out
    (told,) = listed(handed_in("review", "show", "anna-phone", "--json")[1])
    assert [each["verdict"] for each in told["updates"]] == ["accepted", "forbidden"]
    chen = {"values": {"name": "Chen"}, "beside": {}}
    assert [(each["after"], each["if_all"]) for each in told["shown"]] == [(chen, None), (None, chen)]
    code, _, err = handed_in("review", "apply", "anna-phone")
    assert code == 2
    assert "crdt-relay serve" in err
    assert handed_in("review", "drop", "anna-phone", "--record", OWN)[1].strip() == "1 edit dropped."
    code, _, err = handed_in("review", "show", "anna-phone", "--record", OWN)
    assert code == 2
    assert "crdt-relay review show 000102030405" in err
    told = handed_in("audit", "--json")[1]
    assert f"review drop device=anna-phone records={OWN}" in told
    assert f"review show device=anna-phone records={OWN}" in told
    assert "review show device=anna-phone records=all" in told
