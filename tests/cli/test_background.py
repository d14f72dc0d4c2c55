"""`up` and `down`: a device that stays in sync by itself, and commands that go on meanwhile."""

import json
import os
import shlex
import signal
import time
from datetime import UTC, datetime, timedelta

import pytest

from crdt_sync import Replica
from crdt_sync.cli.background import LOG_NAME, _last_words, unit_text
from crdt_sync.cli.timed_lines import TimedLines
from crdt_sync.errors import StoreInUse, Unauthorized
from tests.replica.owner.conftest import Program

TOKEN = "a-token-for-the-tests"


@pytest.fixture
def down(run):
    """What was begun is ended, whatever became of the test."""
    stores = []
    yield stores.append
    for store in stores:
        run("down", "--store", store)


def test_a_device_is_kept_in_sync_until_it_is_ended(run, tmp_path, relay, down):
    store, other = tmp_path / "anna", tmp_path / "ben"
    down(store)
    for name, path in (("anna", store), ("ben", other)):
        assert run("init", name, "--store", path, "--relay", relay.url, "--token", TOKEN).code == 0
    begun = run("up", "--json", "--store", store)
    assert begun.code == 0, begun.err
    process = begun.object["process"]
    assert run("up", "--store", store).out.startswith(f"Already up: process {process}")
    assert run("set", "customers", "name=x", "--json", "--store", store).code == 0
    assert run("sync", "--store", store).code == 0  # with the session of the owner beside it
    assert run("sync", "--json", "--store", other).object["received"] == 1
    status = run("status", "--json", "--store", store).object
    assert (status["owner"]["process"], status["owner"]["role"]) == (process, "crdt-sync up")
    assert f"Owned by process {process} (crdt-sync up)" in run("status", "--store", store).out
    while "in sync" not in (store / LOG_NAME).read_text():
        time.sleep(0.05)
    assert all(datetime.fromisoformat(line.split()[0]) for line in (store / LOG_NAME).read_text().splitlines())
    assert run("verify", "--store", store).code == 0
    ended = run("down", "--json", "--store", store)
    assert (ended.code, ended.object["process"], ended.object["ended"]) == (0, process, True)
    assert run("status", "--json", "--store", store).object["owner"] is None
    assert run("down", "--json", "--store", store).object == {"up": False, "ended": False}
    assert (store / LOG_NAME).stat().st_mode & 0o777 == 0o600


def test_it_goes_on_without_a_relay_and_is_found_again_after_a_kill(run, tmp_path, down):
    store = tmp_path / "anna"
    down(store)
    assert run("init", "anna", "--store", store, "--relay", "ws://127.0.0.1:9", "--token", TOKEN).code == 0
    first = run("up", "--json", "--store", store).object["process"]
    os.kill(first, signal.SIGKILL)
    second = run("up", "--json", "--store", store)
    assert second.code == 0, second.err
    assert second.object["process"] != first
    assert run("set", "customers", "name=x", "--store", store).code == 0
    assert run("down", "--store", store).out == "Ended. Nothing is lost.\n"


def test_what_is_missing_is_told_at_once(run, tmp_path):
    store = tmp_path / "anna"
    assert run("up", "--store", store).code == 3
    assert json.loads(run("down", "--json", "--store", store).err)["error"] == "store_missing"
    assert run("init", "anna", "--store", store).code == 0
    told = run("up", "--store", store)
    assert told.code == 2
    assert "no relay is known" in told.err
    assert run("up", "--announce", "--store", store).code == 2
    failed = run("up", "--listen", "--json", "--store", store)  # it needs a token
    told = json.loads(failed.err)
    assert failed.code == 2
    assert (told["error"], "no token is known" in told["message"]) == ("usage", True)
    assert f"crdt-sync --store {store} token" in told["hint"]


def test_a_program_that_has_the_store_and_does_not_answer_is_not_denied(run, tmp_path):
    """As one that is stopped: nothing is known of it but that it is there."""
    assert run("init", "anna", "--store", tmp_path / "anna").code == 0
    with Replica.open(tmp_path / "anna", share=False):
        told = run("down", "--json", "--store", tmp_path / "anna")
    assert (told.code, "store_in_use" in told.err) == (StoreInUse.exit_code, True)
    assert f"process {os.getpid()}" in told.err


def test_why_it_ended_is_read_from_its_log(tmp_path):
    log = tmp_path / LOG_NAME
    log.write_text("before\nError (usage): old.\n")
    start = log.stat().st_size
    assert _last_words(log, start).message == "it ended at once: it said nothing"
    with log.open("a") as file:
        file.write("connecting\nError (unauthorized): the relay refused the token.\n  Ask for it;\n  pass it on.\n")
    error = _last_words(log, start)
    assert (type(error), error.message) == (Unauthorized, "the relay refused the token.")
    assert error.hint == "Ask for it;\npass it on."
    with log.open("a") as file:
        file.write("Segmentation fault\n")
    assert _last_words(log, start).message.endswith("pass it on. Segmentation fault")


def test_each_line_of_the_log_says_when_and_why_it_ended_is_found_all_the_same(tmp_path):
    with open(tmp_path / LOG_NAME, "w") as file:
        lines = TimedLines(file)
        print("connecting", file=lines, flush=True)
        for part in ("Error (unauth", "orized): the relay refused the token.\n  Ask for it;\n", "", "  pass it on.\n"):
            lines.write(part)
        assert lines.fileno() == file.fileno()
        lines.flush()
    told = [line for line in (tmp_path / LOG_NAME).read_text().splitlines() if not line.startswith(" ")]
    times = [datetime.fromisoformat(line.split(" ", 1)[0]) for line in told]
    assert [line.split(" ", 1)[1] for line in told] == [
        "connecting",
        "Error (unauthorized): the relay refused the token.",
    ]
    assert all(timedelta() <= datetime.now(UTC) - time < timedelta(minutes=1) for time in times)
    assert _last_words(tmp_path / LOG_NAME, 0).hint == "Ask for it;\npass it on."


def test_a_unit_for_systemd(run, tmp_path, monkeypatch):
    store = tmp_path / "anna's 100%"
    assert run("init", "anna", "--store", store).code == 0
    printed = run("up", "--listen", "--unit", "--store", store).out
    assert printed.startswith("[Unit]\n")
    assert "100%%" in printed
    line = next(line for line in printed.splitlines() if line.startswith("ExecStart="))
    words = shlex.split(line.removeprefix("ExecStart=").replace("%%", "%"))
    assert words[1:] == ["-m", "crdt_sync", "--store", str(store), "up", "--foreground", "--listen"]
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for _ in range(2):
        assert run("up", "--write-unit", "--store", store).code == 0
    written = tmp_path / "config" / "systemd" / "user" / "crdt-sync.service"
    assert written.read_text("utf-8") == unit_text(store, [])
    written.write_text("something else")
    assert run("up", "--write-unit", "--store", store).code == 2


def test_up_ends_with_what_trying_again_cannot_mend_and_status_and_down_say_it(run, tmp_path, relay, down):
    store = tmp_path / "anna"
    down(store)
    assert run("init", "anna", "--store", store, "--relay", relay.url, "--token", "wrong").code == 0
    failed = run("up", "--store", store)
    assert (failed.code, failed.out) == (4, "")
    assert "Error (unauthorized)" in failed.err
    assert f"crdt-sync --store {store} token --token-file FILE" in failed.err
    assert run("status", "--json", "--store", store).object["last_failure"]["code"] == "unauthorized"
    assert f"The last sync with {relay.url} failed" in run("status", "--store", store).out
    ended = run("down", "--store", store).out
    assert ended.startswith("Nothing runs in the background")
    assert "refused the token" in ended
    assert run("down", "--json", "--store", store).object["last_failure"]["code"] == "unauthorized"


def test_up_says_that_it_is_not_connected_yet_and_the_failure_is_cleared_at_success(run, tmp_path, relay, down):
    store = tmp_path / "anna"
    down(store)
    assert run("init", "anna", "--store", store, "--relay", relay.url, "--token", TOKEN).code == 0
    relay.stop()
    begun = run("up", "--store", store)
    assert begun.code == 0
    assert begun.out.startswith("Up, not connected yet: ")
    assert "it tries on" in begun.out
    again = run("up", "--json", "--store", store).object
    assert [each["state"] for each in again["standing"]] == ["offline"]
    assert run("status", "--json", "--store", store).object["last_failure"]["url"] == relay.url
    relay.start()
    while run("status", "--json", "--store", store).object["last_failure"] is not None:
        time.sleep(0.05)
    assert run("up", "--store", store).out.startswith("Already up: process")


def test_up_that_listens_says_where_it_gave_the_relay_up(run, tmp_path, relay, down):
    store = tmp_path / "anna"
    down(store)
    assert run("init", "anna", "--store", store, "--relay", relay.url, "--token", "wrong").code == 0
    begun = run("up", "--listen", "--store", store)
    assert begun.code == 0, begun.err
    assert f"given up with {relay.url}" in begun.out
    assert "listens" in begun.out
    assert run("status", "--json", "--store", store).object["last_failure"]["code"] == "unauthorized"
    assert run("up", "--listen", "--store", store).out.startswith("Already up, given up")


def test_flags_that_what_runs_does_not_have_are_not_ignored(run, tmp_path, relay, down):
    store = tmp_path / "anna"
    down(store)
    assert run("init", "anna", "--store", store, "--relay", relay.url, "--token", TOKEN).code == 0
    assert run("up", "--store", store).code == 0
    other = run("up", "--listen", "--store", store)
    assert other.code == 2
    assert "without --listen" in other.err
    assert f"crdt-sync --store {store} down, then crdt-sync --store {store} up --listen" in other.err


def test_a_program_that_owns_the_store_and_does_not_sync_is_named_alike_everywhere(tmp_path, relay, run):
    store = tmp_path / "anna"
    assert run("init", "anna", "--store", store, "--relay", relay.url, "--token", TOKEN).code == 0
    program = Program(store, "prog2")
    try:
        assert program.ready()
        told = [run(*command, "--store", store) for command in (["sync"], ["verify"], ["up"], ["down"])]
        status = run("status", "--json", "--store", store).object["owner"]
        shown = run("status", "--store", store).out
    finally:
        program.end()
    name = f"process {status['process']} ({status['program']})"
    for result in told:
        assert result.code == 3
        assert name in result.err
    assert name in shown
    for result in told[:2]:
        assert "does not sync" in result.err
        assert "sync(replica, ...)" in result.err
