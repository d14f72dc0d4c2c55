"""`verify` against a relay in a process of its own: what is planted is named, and healed."""

import json

import pytest

from crdt_sync.storage import Batch, OutboxEntry
from crdt_sync.storage.lmdb import LmdbStore
from tests.cli.conftest import TOKEN, spawn
from tests.damage import flip_bit
from tests.runtime import planted


@pytest.fixture
def anna(run, tmp_path, relay):
    """A store that knows the relay and has synced with it."""
    path = tmp_path / "anna"
    assert run("init", "anna", "--store", path, "--relay", relay.url, "--token", TOKEN).code == 0
    return path


def make(run, store, *names):
    made = [run("set", "customers", f"name={name}", "--store", store, "--json").object["record"] for name in names]
    for _ in range(2):  # the second reads on in the feed behind what the first pushed
        assert run("sync", "--store", store).code == 0
    return made


def plant(store, change):
    with LmdbStore.open(store) as opened:
        change(opened)


def test_a_record_that_differs_is_named_and_healed_in_one_command(run, anna):
    records = make(run, anna, "Mueller", "Schmidt")
    assert run("verify", "--deep", "--store", anna, "--json").object["differences"] == []
    plant(anna, lambda store: planted.missing(store, records[0]))
    result = spawn("verify", "--store", anna, "--json")
    assert result.code == 6
    assert result.object["differences"] == [
        {"record": records[0], "kind": "there", "here": "absent", "relay": "agrees"}
    ]
    assert json.loads(result.err)["error"] == "mismatch"
    told = run("verify", "--store", anna)
    assert told.code == 6
    assert "only there" in told.out
    assert "--repair" in told.err
    healed = spawn("verify", "--repair", "--store", anna, "--json")
    assert healed.code == 0, healed.err
    assert healed.object["repair"]["healed"] == [records[0]]
    assert healed.object["equal"]
    assert run("get", records[0], "name", "--store", anna).out == "Mueller\n"


def test_beside_an_owner_the_same_is_named_and_healed(run, anna):
    records = make(run, anna, "Mueller", "Schmidt")
    plant(anna, lambda store: planted.missing(store, records[0]))
    alone = run("verify", "--store", anna, "--json")
    assert run("up", "--store", anna).code == 0
    try:
        for deep in ((), ("--deep",)):
            beside = run("verify", "--store", anna, "--json", *deep)
            hint = f"Heal it with 'crdt-sync {' '.join(('--store', str(anna), 'verify', '--repair', *deep))}'."
            assert (beside.code, json.loads(beside.err)) == (6, json.loads(alone.err) | {"hint": hint})
            assert beside.object["differences"] == alone.object["differences"]
        assert "only there" in run("verify", "--store", anna).out
        healed = run("verify", "--repair", "--store", anna, "--json")
        assert (healed.code, healed.object["repair"]["healed"]) == (0, [records[0]])
        assert run("get", records[0], "name", "--store", anna).out == "Mueller\n"
        assert run("verify", "--local", "--repair", "--store", anna).out == "Nothing is damaged.\n"
    finally:
        run("down", "--store", anna)


def test_mending_what_is_damaged_takes_the_store_alone(run, anna):
    make(run, anna, "Mueller")
    flip_bit(anna, b"log", (1).to_bytes(8, "big"))
    assert run("up", "--store", anna).code == 0
    try:
        refused = run("verify", "--repair", "--store", anna)
        assert refused.code == 3
        assert f"crdt-sync --store {anna} down" in refused.err
    finally:
        run("down", "--store", anna)
    assert run("verify", "--repair", "--store", anna).code == 0


def test_silent_corruption_at_the_relay_is_found_by_content_and_mended_from_its_log(run, anna, relay):
    (record,) = make(run, anna, "Mueller")
    relay.stop()
    plant(relay.data, lambda store: planted.other_content(store, record, b"Mueller", b"Mueslix"))
    relay.start()
    assert run("verify", "--store", anna).code == 0
    found = run("verify", "--deep", "--store", anna, "--json")
    assert found.code == 6
    assert found.object["differences"] == [
        {"record": record, "kind": "content", "here": "agrees", "relay": "disagrees"}
    ]
    told = run("verify", "--deep", "--repair", "--store", anna)
    assert told.code == 0, told.err
    assert "its log contradicts it" in told.out
    assert "Healed: 1 of 1." in told.out
    assert "Equal" in told.out
    assert run("verify", "--deep", "--repair", "--store", anna).out.startswith("Nothing had to be mended.")


def test_a_damaged_value_is_set_aside_and_brought_back_in_the_same_command(run, anna):
    records = make(run, anna, "Mueller", "Schmidt")
    flip_bit(anna, b"log", (1).to_bytes(8, "big"))
    assert run("verify", "--local", "--store", anna).code == 3
    mended = run("verify", "--repair", "--store", anna, "--json")
    assert mended.code == 0, mended.err
    assert mended.object["repair"]["lost"] == [records[0]]
    assert mended.object["equal"]
    assert run("get", records[0], "name", "--store", anna).out == "Mueller\n"


def test_the_store_can_be_checked_and_repaired_without_a_relay(run, made):
    made("name=x")
    result = run("verify", "--local", "--json")
    assert result.code == 0
    assert result.object["checked"] > 0
    assert result.object["damaged"] == 0
    assert run("verify", "--repair", "--json").object == {
        "findings": 0,
        "salvaged": [],
        "lost": [],
        "rewritten": {},
        "awaited": {},
        "shown": {},
        "losses": [],
        "identity": "",
        "renewed": [],
    }
    assert run("verify").code == 2


def test_a_local_check_in_depth_names_records_without_an_order_of_their_own(run, made):
    made("name=x", "notes=hello")
    result = run("verify", "--local", "--deep", "--json")
    assert result.code == 0
    assert result.object["disordered"] == {}


def test_nothing_is_called_equal_while_edits_of_this_device_are_refused(run, anna):
    (record,) = make(run, anna, "Mueller")
    assert run("verify", "--store", anna, "--json").object["equal"]

    def refuse(store):
        (peer,) = store.peers()
        store.commit([Batch(outbox=((peer.replica, OutboxEntry(record, b"\0", 1, "malformed", "because")),))])

    plant(anna, refuse)
    told = run("verify", "--store", anna, "--json")
    assert (told.code, told.object["equal"], told.object["differences"]) == (6, False, [])
    assert told.object["refused"] == 1
    assert "--waiting" in json.loads(told.err)["hint"]
    told = run("verify", "--store", anna)
    assert told.code == 6
    assert "Equal" not in told.out
