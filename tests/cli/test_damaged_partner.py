"""A damaged record at the partner: the device gets the rest, is told what did not come, and calls it no full disk."""

import json

import pytest

from crdt_relay.cli import main as relay_command
from crdt_sync.storage.lmdb import LmdbStore
from tests.cli.conftest import TOKEN
from tests.damage import flip_bit


@pytest.fixture
def anna(run, tmp_path, relay):
    path = tmp_path / "anna"
    assert run("init", "anna", "--store", path, "--relay", relay.url, "--token", TOKEN).code == 0
    return path


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


def test_a_record_that_is_damaged_there_is_no_full_disk(run, anna, damaged, records):
    assert run("set", damaged, "city=Ulm", "--store", anna).code == 0
    assert run("set", records[1], "city=Ulm", "--store", anna).code == 0
    synced = run("sync", "--store", anna)
    assert synced.code == 4
    assert "full" not in synced.err
    assert f"{damaged}: the stored record is damaged" in " ".join(synced.err.split())
    assert run("status", "--store", anna, "--json").object["partners"][0]["pending"] == 1
