import json
import sys

import pytest
from rich.console import Console

from crdt_sync.cli import partners

TOKEN = "a-token-for-the-tests"


@pytest.fixture
def both(run, tmp_path, relay):
    """Two stores that know the relay."""
    stores = (tmp_path / "anna", tmp_path / "bob")
    for path in stores:
        assert run("init", path.name, "--store", path, "--relay", relay.url, "--token", TOKEN).code == 0
    return stores


def test_two_devices_end_up_with_the_same(run, both, relay):
    anna, bob = both
    record = run("set", "customers", "name=Müller", "phone=0", "--store", anna, "--json").object["record"]
    assert run("status", record, "--store", anna, "--json").object["state"] == "local"
    assert run("sync", "--store", anna, "--json").object["pushed"] == 1
    assert run("status", record, "--store", anna, "--json").object == {
        "record": record,
        "state": "stored",
        "stored_at": [relay.url],
        "reason": "",
        "pending_at": {},
        "refused_at": {},
        "unknown_at": [],
        "held_by": {},
        "waits_for": {},
    }
    seen = run("status", "--store", anna, "--json").object["partners"]
    keys = ("percent", "pending", "to_fetch", "to_fetch_bytes", "oldest")
    assert [tuple(each[key] for key in keys) for each in seen] == [(100, 0, 0, 0, None)]
    assert run("sync", "--store", bob, "--json").object["received"] == 1
    for number, path in enumerate(both, start=1):
        assert run("set", record, f"phone={number}", "visits+=1", "--store", path).code == 0
    assert run("status", record, "--store", anna, "--json").object["state"] == "pending"
    assert [each["state"] for each in run("status", "--waiting", "--store", anna, "--json").objects] == ["pending"]
    (waits,) = run("status", "--store", anna, "--json").object["partners"]
    assert (waits["percent"], waits["pending"], waits["oldest"]["record"]) == (0, 1, record)
    assert waits["oldest"]["reason"] == "edited since it was stored there"
    assert waits["to_send_bytes"] > 0
    assert waits["to_send_bytes_exact"]
    assert "edited since it was stored there" in run("status", "--store", anna).out
    for path in (anna, bob, anna):
        assert run("sync", "--store", path).code == 0
    seen = [run("get", record, "--store", path, "--json").object for path in both]
    assert seen[0] == seen[1]
    assert seen[0]["fields"]["visits"] == 2
    assert seen[0]["conflicts"] == ["phone"]
    assert run("status", "--store", anna, "--json").object["conflicts"] == 1
    found = run("verify", "--store", bob, "--json")
    assert found.code == 0
    assert found.object["equal"]
    assert found.object["here"] == found.object["relay"]
    assert found.object["schemas_compared"] is False
    told = run("verify", "--store", bob)
    assert "Equal" in told.out
    assert "Schemas that come with the program are not compared" in told.err


def test_a_wrong_token_is_refused_with_the_next_step(run, both, relay):
    result = run("sync", "--token", "another-token-here", "--store", both[0])
    assert result.code == 4
    assert "unauthorized" in result.err
    assert "--token" in result.err
    assert TOKEN not in result.err


def test_a_relay_that_is_down_is_told_and_nothing_is_lost(run, both, relay):
    relay.stop()
    record = run("set", "customers", "name=x", "--store", both[0], "--json").object["record"]
    for command in (["sync"], ["verify"]):
        result = run(*command, "--store", both[0], "--json")
        assert result.code == 4
        error = json.loads(result.err)
        assert (error["error"], error["retryable"]) == ("unreachable", True)
    assert run("get", record, "name", "--store", both[0]).out == "x\n"


def test_without_a_relay_the_next_step_is_told(run, store):
    result = run("sync")
    assert result.code == 2
    assert "crdt-sync relay" in result.err


def test_a_device_that_never_synced_says_so(run, made):
    record = made("name=x")
    assert "Nothing has been synced yet" in run("status").out
    assert "this device only" in run("status", record).out
    assert "all is here only: 1 record" in run("status", "--waiting").out


@pytest.fixture
def another(relays):
    """The relay of another company, which takes the same token."""
    return relays("another")


def test_a_relay_of_others_is_given_nothing_until_somebody_says_so(run, both, relay, another):
    anna, bob = both
    run("set", "customers", "name=Müller", "--store", anna)
    assert run("sync", "--store", anna).code == 0
    assert run("relay", another.url, "--token", TOKEN, "--store", anna).code == 0
    for watching in ([], ["--watch"]):
        refused = run("sync", *watching, "--store", anna, "--json")
        assert refused.code == 4
        error = json.loads(refused.err.splitlines()[-1])
        assert (error["error"], error["retryable"]) == ("foreign_relay", False)
        assert all(word in error["message"] for word in (another.url, relay.url, "1 record"))
        assert "--new-relay" in error["hint"]
    status = run("status", "--store", anna).out
    assert f"Nothing was given to {another.url}" in status
    assert f"crdt-sync --store {anna} sync --new-relay gives it what is here" in status
    assert "sends them" not in status
    assert run("status", "--store", anna, "--json").object["last_failure"]["code"] == "foreign_relay"
    run("relay", another.url, "--token", TOKEN, "--store", bob)
    assert run("sync", "--store", bob, "--json").object["received"] == 0  # bob has nothing to give away
    assert run("sync", "--new-relay", "--store", anna, "--json").object["pushed"] == 1
    assert run("sync", "--store", anna).code == 0
    assert run("sync", "--store", bob, "--json").object["received"] == 1


@pytest.mark.parametrize("chosen", [True, False])
def test_each_command_that_gives_records_can_be_told_that_a_relay_is_meant(run, both, another, chosen):
    anna, _ = both
    run("set", "customers", "name=Müller", "--store", anna)
    assert run("sync", "--store", anna).code == 0
    assert run("relay", another.url, "--token", TOKEN, "--store", anna).code == 0
    assert run("verify", "--store", anna, "--json").code == 4
    if chosen:
        assert run("relay", "--new-relay", "--store", anna).code == 0
    assert run("verify", *([] if chosen else ["--new-relay"]), "--store", anna, "--json").object["equal"]


def test_a_store_moves_to_another_space_on_purpose_only(run, both, relay, another):
    anna, bob = both
    assert run("space", "--store", anna, "--json").object == {"space": None}
    assert "its first sync with a relay joins one" in run("space", "--store", anna).out  # one with a device need not
    run("set", "customers", "name=Müller", "--store", anna)
    run("sync", "--store", anna)
    ours = run("space", "--store", anna, "--json").object["space"]
    run("relay", another.url, "--token", TOKEN, "--store", bob)
    run("set", "customers", "name=Maier", "--store", bob)
    run("sync", "--store", bob)
    theirs = run("space", "--store", bob, "--json").object["space"]
    assert theirs != ours

    refused = run("sync", "--relay", another.url, "--token", TOKEN, "--store", anna, "--json")
    assert refused.code == 4
    assert json.loads(refused.err.splitlines()[-1])["error"] == "foreign_space"
    run("relay", another.url, "--token", TOKEN, "--store", anna)
    told = run("status", "--store", anna).out
    assert f"crdt-sync --store {anna} space move {another.url} goes over to its space" in told
    assert "sends them" not in told
    run("relay", relay.url, "--token", TOKEN, "--store", anna)
    move = ("space", "move", another.url, "--token", TOKEN, "--store", anna, "--json")
    unasked = run(*move)
    assert unasked.code == 2
    assert "1 record" in run(*move[:-1]).err
    assert run("space", "--store", anna, "--json").object["space"] == ours

    moved = run(*move, "--yes").object
    assert (moved["space"], moved["before"], moved["pushed"], moved["received"]) == (theirs, ours, 1, 1)
    assert run("sync", "--store", anna, "--json").object["relay"] == another.url
    assert run("sync", "--store", bob, "--json").object["received"] == 1


def test_a_ping_interval_is_kept_with_the_relay(run, both):
    anna, _ = both
    assert run("relay", "--ping-interval", "5", "--store", anna).code == 0
    kept = partners.load(anna)
    assert kept is not None
    assert kept.ping_interval_s == 5
    assert run("sync", "--store", anna).code == 0
    for command in ("relay", "sync", "verify"):
        refused = run(command, "--ping-interval", "0.5", "--store", anna, "--json")
        assert (refused.code, "1 to 20 s" in refused.err) == (2, True)


@pytest.mark.parametrize(("answer", "code"), [("yes", 0), ("no", 4), ("", 4)])
def test_at_a_terminal_somebody_is_asked(run, both, another, monkeypatch, answer, code):
    anna, _ = both
    run("set", "customers", "name=Müller", "--store", anna)
    assert run("sync", "--store", anna).code == 0
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdin, "readline", lambda: f"{answer}\n", raising=False)
    monkeypatch.setattr(Console, "is_terminal", property(lambda console: console.stderr))
    result = run("sync", "--relay", another.url, "--token", TOKEN, "--store", anna)
    assert result.code == code
    assert "Careful" in result.err


def test_status_tells_of_a_sync_that_failed_until_one_succeeds(store, run, relay):
    url = relay.url
    assert run("relay", url).code == 0
    failed = run("sync")
    assert "none was given" in failed.err
    assert "none was given" in run("status").out
    assert run("status", "--json").object["last_failure"]["url"] == url
    assert run("sync", "--token", TOKEN).code == 0
    assert run("status", "--json").object["last_failure"] is None


def test_status_says_what_waits_beside_the_records_of_an_import(run, both, tmp_path):
    anna, _ = both
    assert run("sync", "--store", anna).code == 0
    file = tmp_path / "a.csv"
    file.write_text("Nr,Name\n1,Anna\n2,Ben\n")
    assert run("import", file, "--store", anna).code == 0
    shown = run("status", "--store", anna).out
    assert "2 records" in shown
    assert "Of the 3 to send to" in shown
    assert "1 is on how collections are defined and what was imported" in shown
    (partner,) = run("status", "--store", anna, "--json").object["partners"]
    assert (partner["pending"], partner["to_send_reserved"]) == (3, 1)
    assert run("sync", "--store", anna).code == 0
    assert "what was imported" not in run("status", "--store", anna).out


def test_status_tells_how_many_records_are_deleted(made, run):
    made("name=a")
    run("delete", made("name=b"))
    assert "2 records (1 of them deleted)" in run("status").out
    assert run("status", "--json").object["deleted"] == 1


def test_in_a_narrow_terminal_no_column_is_squeezed(both, run, relay, monkeypatch):
    anna, _ = both
    assert run("sync", "--store", anna).code == 0
    monkeypatch.setenv("COLUMNS", "40")
    shown = run("status", "--store", anna).out
    assert "In sync: 100 %" in shown.splitlines()
    assert "To fetch: 0" in shown.splitlines()
    monkeypatch.setenv("COLUMNS", "160")
    assert "In sync: 100 %" not in run("status", "--store", anna).out
