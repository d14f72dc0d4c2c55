"""What a partner has and a device lacks: it gets the rest, and is told what is missing and where that is mended."""

import json

import pytest

from crdt_relay.cli import main as relay_command
from crdt_sync.cli import missing
from crdt_sync.protocol import pushing
from crdt_sync.replica import Replica, unread
from crdt_sync.runtime import conversation
from crdt_sync.storage.lmdb import LmdbStore
from crdt_sync.storage.values import Batch
from tests.cli.conftest import TOKEN
from tests.damage import flip_bit


@pytest.fixture
def records(run, anna):
    """Three records that the relay has."""
    made = [run("set", "customers", f"name={name}", "--store", anna, "--json").object["record"] for name in "ABC"]
    assert run("sync", "--store", anna).code == 0
    return made


@pytest.fixture(params=["log", "heads"])
def damaged(request, relay, records):
    """The first of them, which the relay cannot read any more."""
    relay.stop()
    with LmdbStore.open(relay.data) as store:
        seq = store.history(records[0])[0].seq
    key = seq.to_bytes(8, "big") if request.param == "log" else records[0].encode()
    flip_bit(relay.data, request.param.encode(), key)
    relay.start()
    return records[0]


@pytest.fixture
def bob(run, tmp_path, relay, damaged):
    path = tmp_path / "bob"
    assert run("init", "bob", "--store", path, "--relay", relay.url, "--token", TOKEN).code == 0
    return path


def test_a_device_is_told_what_its_relay_cannot_read_and_gets_it_once_it_is_mended(
    run, anna, bob, damaged, records, relay
):
    for _ in range(2):
        synced = run("sync", "--store", bob, "--json")
        assert synced.code == 4
        assert synced.object["missing"] == 1
        told = json.loads(synced.err)
        assert (told["error"], list(told["records"])) == ("records_missing", [damaged])
        assert "damaged there" in told["records"][damaged]
    assert len(run("list", "--store", bob, "--json").out.splitlines()) == 2
    assert "In sync" not in run("sync", "--store", bob).out
    status = run("status", "--store", bob, "--json").object
    assert list(status["unreadable"]) == [damaged]
    assert status["partners"][0]["missing"] == 1
    compared = run("verify", "--store", bob, "--json")
    assert (compared.code, compared.object["equal"]) == (6, False)

    relay.stop()
    relay_command(["verify", "--repair", "--data", str(relay.data)])
    relay.start()
    assert run("sync", "--store", anna).code == 0
    synced = run("sync", "--store", bob)
    assert (synced.code, synced.out.startswith("In sync")) == (0, True), synced.err
    assert run("status", "--store", bob, "--json").object["unreadable"] == {}
    assert run("verify", "--store", bob).code == 0


def test_a_record_that_is_damaged_there_is_no_full_disk(run, anna, damaged, records, monkeypatch):
    monkeypatch.setattr(pushing, "_RETRY_AFTER_US", 200_000)
    monkeypatch.setattr(conversation, "_REFUSING_US_MAX", 1_000_000)
    assert run("set", damaged, "city=Ulm", "--store", anna).code == 0
    assert run("set", records[1], "city=Ulm", "--store", anna).code == 0
    synced = run("sync", "--store", anna)
    assert synced.code == 4
    assert "full" not in synced.err
    assert f"{damaged}: the stored record is damaged" in " ".join(synced.err.split())
    assert run("status", "--store", anna, "--json").object["partners"][0]["pending"] == 1


def test_an_edit_of_a_record_that_is_damaged_here_is_no_fault_of_the_relay(run, tmp_path, anna, records, relay):
    bob = tmp_path / "bob"
    assert run("init", "bob", "--store", bob, "--relay", relay.url, "--token", TOKEN).code == 0
    assert run("sync", "--store", bob).code == 0
    assert run("set", records[0], "city=Ulm", "--store", bob).code == 0
    assert run("sync", "--store", bob).code == 0
    with LmdbStore.open(anna) as store:
        seq = store.history(records[0])[0].seq
    flip_bit(anna, b"log", seq.to_bytes(8, "big"))

    for _ in range(2):
        synced = run("sync", "--store", anna, "--json")
        assert (synced.code, synced.object["missing"]) == (3, 1)
        told = json.loads(synced.err)
        assert (told["error"], records[0] in told["message"]) == ("store_corrupt", True)
        assert "verify --repair" in told["hint"]
    compared = run("verify", "--store", anna, "--json")
    assert compared.code == 6
    hint = json.loads(compared.err)["hint"]
    assert ("verify --repair" in hint, "operator" in hint) == (True, False)

    assert run("verify", "--repair", "--store", anna).code == 0
    assert run("sync", "--store", anna).code == 0
    assert run("get", records[0], "city", "--store", anna).out == "Ulm\n"


def test_what_is_damaged_here_is_named_before_what_the_relay_cannot_read(run, anna, bob, records, damaged, relay):
    """`damaged` is not here yet; what came of another record is damaged then."""
    assert run("sync", "--store", bob).code == 4
    assert run("set", records[1], "city=Ulm", "--store", anna).code == 0
    run("sync", "--store", anna)
    with LmdbStore.open(bob) as store:
        seq = store.history(records[1])[0].seq
    flip_bit(bob, b"log", seq.to_bytes(8, "big"))
    synced = run("sync", "--store", bob, "--json")
    assert (synced.code, records[1] in json.loads(synced.err)["message"]) == (3, True)
    run("verify", "--local", "--repair", "--store", bob)
    synced = run("sync", "--store", bob, "--json")
    assert (synced.code, list(json.loads(synced.err)["records"])) == (4, [damaged])


def test_what_this_device_refuses_is_not_called_damaged_there(run, anna, relay, records):
    with Replica.open(anna) as replica:
        partner = replica.partners()[0]
        noted = unread.note({}, bytes.fromhex(partner.replica), {records[0]: "too_large: 9 of 8 bytes"}, ())
        replica.store.commit([Batch(meta=noted)])
        error = missing.error_of(replica, replica.partners()[0])
    assert error is not None
    assert "too_large: 9 of 8 bytes" in error.message
    assert "What this device refuses" in error.hint
    assert "damaged there" not in error.hint
