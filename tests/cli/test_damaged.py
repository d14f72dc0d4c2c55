"""One damaged record stops nothing else: commands go on with the rest and name it, a repair saves what is intact."""

import base64
import json

import lmdb
import pytest

from crdt_relay.cli import main as relay_command
from crdt_sync import limits
from crdt_sync.storage.lmdb import LmdbStore
from tests.cli.conftest import TOKEN
from tests.damage import flip_bit
from tests.records.gate.test_walks import crowded
from tests.runtime import planted
from tests.runtime.test_loadable import put


@pytest.fixture
def records(run, anna):
    """Three records that the relay does not have yet; the third edit of the first is damaged."""
    made = [run("set", "customers", f"name={name}", "--store", anna, "--json").object["record"] for name in "ABC"]
    for city in ("Aachen", "Berlin", "Celle"):
        run("set", made[0], f"city={city}", "visits+=1", "--store", anna)
    with LmdbStore.open(anna) as store:
        seq = store.history(made[0])[2].seq
    flip_bit(anna, b"log", seq.to_bytes(8, "big"))
    return made


def test_the_rest_is_synced_and_the_damaged_record_is_named_until_it_is_repaired(run, anna, records, tmp_path, relay):
    result = run("sync", "--store", anna, "--json")
    assert result.code == 3
    assert result.object["pushed"] == 2
    assert (json.loads(result.err)["error"], records[0] in result.err) == ("store_corrupt", True)
    status = run("status", "--store", anna, "--json").object
    assert list(status["damaged"]) == [records[0]]
    assert status["partners"][0]["pending"] == 1
    assert "verify --repair" in run("status", "--store", anna).out
    assert "Celle" in run("list", "--store", anna).out, "its view is intact"
    assert run("get", records[0], "city", "--store", anna).out == "Celle\n"

    mended = run("verify", "--local", "--repair", "--store", anna, "--json")
    assert mended.code == 0, mended.err
    assert "city" in mended.object["rewritten"][records[0]]
    assert mended.object["losses"] == []
    assert run("verify", "--local", "--store", anna).code == 0
    assert run("sync", "--store", anna).code == 0
    assert run("status", "--store", anna, "--json").object["damaged"] == {}

    bob = tmp_path / "bob"
    assert run("init", "bob", "--store", bob, "--relay", relay.url, "--token", TOKEN).code == 0
    assert run("sync", "--store", bob).code == 0
    shown = run("get", records[0], "--store", bob, "--json").object["fields"]
    assert (shown["city"], shown["visits"]) == ("Celle", 3)


@pytest.mark.parametrize("before", [["sync"], ["list"], ["get", "RECORD"]], ids=["synced", "listed", "read"])
def test_damage_that_an_edit_wrote_over_is_named_no_more(run, anna, before):
    made = run("set", "customers", "name=A", "--store", anna, "--json").object["record"]
    assert run("sync", "--store", anna).code == 0
    flip_bit(anna, b"views", made.encode())
    run(*(made if word == "RECORD" else word for word in before), "--store", anna)
    assert run("list", "--store", anna).err.count("is shown, but damaged") == 1
    synced = run("sync", "--store", anna)
    assert (synced.code, "is synced, but damaged" in synced.err) == (0, True)
    assert list(run("status", "--store", anna, "--json").object["damaged"]) == [made]
    assert run("set", made, "city=Ulm", "--store", anna).code == 0
    synced = run("sync", "--store", anna)
    assert (synced.code, synced.err) == (0, "")
    assert run("status", "--store", anna, "--json").object["damaged"] == {}
    assert run("verify", "--local", "--store", anna).code == 0


def test_what_cannot_be_shown_is_left_out_and_named_and_what_is_lost_makes_the_repair_fail(
    run, anna, records, tmp_path
):
    flip_bit(anna, b"views", records[0].encode())
    for command in (["list"], ["find", "name!=x"], ["export", tmp_path / "out.csv"]):
        result = run(*command, "--store", anna)
        assert result.code == 3, command
        assert records[0] in result.err
    assert {"B", "C"} <= set((tmp_path / "out.csv").read_text().replace(",", "\n").split())
    named = run("get", records[0], "--store", anna, "--json")
    assert (named.code, json.loads(named.err)["error"]) == (3, "store_corrupt")
    assert run("get", records[1], "name", "--store", anna).out == "B\n"
    mended = run("verify", "--local", "--repair", "--store", anna, "--json")
    assert mended.code == 3
    assert {loss["record"] for loss in mended.object["losses"]} == {records[0]}
    assert {(loss["field"], loss["kind"]) for loss in mended.object["losses"]} >= {("", "edits"), ("visits", "field")}
    assert json.loads(mended.err)["error"] == "edits_lost"
    assert run("verify", "--local", "--store", anna).code == 0
    assert run("list", "--store", anna).code == 0


def test_what_the_relay_turns_out_to_have_no_more_is_written_again_or_named_in_the_same_command(run, anna, relay):
    made = run("set", "customers", "name=A", "--store", anna, "--json").object["record"]
    run("set", made, "city=Berlin", "visits=2", "--store", anna)
    for _ in range(2):
        assert run("sync", "--store", anna).code == 0
    with LmdbStore.open(anna) as store:
        seq = store.history(made)[1].seq
    flip_bit(anna, b"log", seq.to_bytes(8, "big"))
    mended = run("verify", "--local", "--repair", "--store", anna)
    assert mended.code == 0
    assert "is to bring the rest (city showed 'Berlin', visits showed 2)" in " ".join(mended.err.split())

    relay.stop()
    with LmdbStore.open(relay.data) as store:
        planted.missing(store, made)
    relay.start()
    settled = run("verify", "--repair", "--store", anna, "--json")
    assert settled.code == 3, settled.err
    assert settled.object["repair"]["rewritten"] == {made: ["city"]}
    assert [(loss["field"], loss["kind"]) for loss in settled.object["repair"]["losses"]] == [("visits", "field")]
    assert run("sync", "--store", anna).code == 0
    assert run("verify", "--store", anna).code == 0
    assert run("get", made, "city", "--store", anna).out == "Berlin\n"


def test_what_was_set_aside_is_listed_with_all_its_bytes_and_dropped(run, anna, records):
    assert run("verify", "--aside", "--store", anna).out == "Nothing was set aside.\n"
    flip_bit(anna, b"views", records[1].encode())
    assert run("verify", "--local", "--repair", "--store", anna).code == 0
    listed = run("verify", "--aside", "--store", anna)
    assert listed.code == 0
    assert records[1] in listed.out
    assert "Berlin" in listed.out, "of the third edit, of which one bit is wrong elsewhere"
    checked = run("verify", "--local", "--store", anna)
    assert checked.code == 0
    assert checked.out.endswith("all intact. Set aside by repairs: 2; --aside lists it.\n")
    log, view = run("verify", "--aside", "--store", anna, "--json").object["set_aside"]
    assert (log["database"], view["database"], view["record"]) == ("log", "views", records[1])
    assert b"Berlin" in base64.b64decode(log["value_base64"])
    assert run("verify", "--drop", "--store", anna).code == 2
    assert "2 damaged values dropped." in run("verify", "--aside", "--drop", "--store", anna).out
    assert run("verify", "--aside", "--store", anna, "--json").object == {"set_aside": [], "dropped": False}
    assert run("verify", "--local", "--store", anna).code == 0


def test_a_record_that_cannot_be_loaded_is_named_and_set_aside_and_comes_back(run, anna, records):
    assert run("sync", "--store", anna).code == 3
    assert run("verify", "--local", "--repair", "--store", anna).code == 0
    assert run("sync", "--store", anna).code == 0
    with LmdbStore.open(anna) as store:
        planted.nonsense(store, records[1], log_too=True)
    checked = run("verify", "--local", "--store", anna)
    assert checked.code == 3
    assert f"{records[1]} (" in checked.err
    assert "written by" in checked.err
    set_aside = run("verify", "--local", "--repair", "--set-aside", records[1], "--store", anna)
    assert set_aside.code == 0, set_aside.err
    assert run("verify", "--local", "--store", anna).code == 0
    assert run("sync", "--store", anna).code == 0
    assert run("get", records[1], "name", "--store", anna).out == "B\n"
    assert run("verify", "--set-aside", records[1], "--store", anna).code == 2


def test_a_record_that_takes_too_long_to_load_is_written_anew_from_what_it_shows(
    run, anna, monkeypatch, worker_processes
):
    made = run("set", "customers", "name=A", "--store", anna, "--json").object["record"]
    with LmdbStore.open(anna) as store:
        put(store, made, [store.load(made).updates[0], crowded(2_000, 2_000)])
    monkeypatch.setattr(limits, "INTEGRATION_US", 150_000)
    monkeypatch.setattr(limits, "INTEGRATION_US_PER_KIB", 0)
    monkeypatch.setattr(limits, "INTEGRATION_AGAIN_FACTOR", 1)
    assert run("verify", "--local", "--store", anna).code == 3
    mended = run("verify", "--local", "--repair", "--store", anna, "--json")
    assert (mended.code, mended.object["renewed"]) == (0, [made]), mended.err
    assert run("verify", "--local", "--store", anna).code == 0
    assert run("get", made, "name", "--store", anna).out == "A\n"


@pytest.mark.parametrize("key", [b"replica", b"format"])
@pytest.mark.parametrize("place", [3, None, -1], ids=["seal", "middle", "body"])
def test_a_store_that_lost_its_id_or_format_is_opened_by_a_repair_with_all_that_waits(
    run, anna, tmp_path, relay, key, place
):
    made = [run("set", "customers", f"name={name}", "--store", anna, "--json").object["record"] for name in "AB"]
    assert run("sync", "--store", anna).code == 0
    assert run("set", made[0], "city=Ulm", "--store", anna).code == 0
    before = run("status", "--store", anna, "--json").object["replica"]
    flip_bit(anna, b"store", key, place)
    refused = run("list", "--store", anna)
    assert (refused.code, "verify --repair" in refused.err) == (3, True)
    mended = run("verify", "--local", "--repair", "--store", anna, "--json")
    assert (mended.code, mended.object["findings"], mended.object["losses"]) == (0, 1, [])
    after = run("status", "--store", anna, "--json").object
    assert (after["replica"] == before) == (key == b"format")
    assert mended.object["identity"] == (after["replica"] if key == b"replica" else "")
    assert run("verify", "--local", "--store", anna).out.endswith("Set aside by repairs: 1; --aside lists it.\n")
    assert run("sync", "--store", anna).code == 0
    bob = tmp_path / "bob"
    assert run("init", "bob", "--store", bob, "--relay", relay.url, "--token", TOKEN).code == 0
    assert run("sync", "--store", bob).code == 0
    assert run("get", made[0], "city", "--store", bob).out == "Ulm\n"
    assert run("verify", "--store", bob).code == 0


def test_a_format_that_cannot_be_told_is_left_alone_and_the_way_out_is_said(run, anna):
    with lmdb.open(str(anna), max_dbs=32) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"format", bytes(33), db=environment.open_db(b"store", txn=transaction))
    refused = run("verify", "--local", "--repair", "--store", anna)
    assert refused.code == 3
    assert "another directory" in refused.err
    assert "verify --repair" not in refused.err


def test_a_relay_that_lost_its_id_gets_a_new_one_and_is_known_by_its_space(run, anna, tmp_path, relay):
    made = run("set", "customers", "name=A", "--store", anna, "--json").object["record"]
    assert run("sync", "--store", anna).code == 0
    relay.stop()
    flip_bit(relay.data, b"store", b"replica")
    relay_command(["verify", "--repair", "--data", str(relay.data)])
    relay.start()
    assert run("set", made, "city=Ulm", "--store", anna).code == 0
    assert run("sync", "--store", anna).code == 0
    assert run("verify", "--store", anna).code == 0
