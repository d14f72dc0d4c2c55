"""What only whole processes show: exit codes, signals, pipes, and two commands that want one store."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from crdt_sync.replica import Replica
from tests.cli.conftest import Lasting

TOKEN = "a-token-for-the-tests"
COMMAND = [sys.executable, "-m", "crdt_sync.cli.main"]


def spawn(*arguments, **options):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False, **options
    )


@contextmanager
def watched(run, store, relay):
    assert run("init", "anna", "--store", store, "--relay", relay.url, "--token", TOKEN).code == 0
    watcher = Lasting("sync", "--watch", "--store", store)
    yield watcher
    watcher.kill()
    watcher.kill()


@pytest.fixture
def watching(run, tmp_path, relay):
    store = tmp_path / "anna"
    with watched(run, store, relay) as watcher:
        yield store, watcher


def test_a_command_edits_through_the_program_that_owns_the_store(store):
    with Replica.open(store) as replica:
        result = spawn("set", "customers", "name=x")
        assert result.returncode == 0, result.stderr
        assert [view["name"] for view in replica.list("customers")] == ["x"]


def test_a_store_in_use_is_told_with_its_holder(store):
    with Replica.open(store, share=False):
        result = spawn("set", "customers", "name=x")
    assert result.returncode == 3
    assert result.stderr.startswith("Error (store_in_use): ")
    assert str(os.getpid()) in result.stderr
    assert len(result.stderr.splitlines()) == 2


def test_a_store_that_is_free_in_a_moment_is_waited_for(store):
    replica = Replica.open(store, share=False)
    timer = threading.Timer(0.5, replica.close)
    timer.start()
    assert spawn("set", "customers", "name=x").returncode == 0
    timer.join()


@pytest.mark.parametrize("arguments", [("export", "-"), ("--help",)])
def test_a_reader_that_goes_away_is_no_failure_worth_words(store, run, arguments):
    run("set", "customers", "name=x")
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    process.stdout.close()
    err = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(60) == 141
    assert "Traceback" not in err
    assert "Exception" not in err


def test_an_export_to_standard_output_is_the_table_alone(store, run):
    run("set", "customers", "name=Müller", "city=Kiel")
    result = spawn("export", "-", "--fields", "name,city", "--headers", "name")
    assert list(csv.reader(io.StringIO(result.stdout))) == [["name", "city"], ["Müller", "Kiel"]]
    assert "1 record of" in result.stderr


def test_a_terminal_without_unicode_gets_escapes(store, run):
    run("set", "customers", "name=王")
    result = spawn("list", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert result.returncode == 0
    assert "\\u738b" in result.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watching_ends_cleanly(watching, number):
    _, watcher = watching
    watcher.until(state="in sync")
    code, states, err = watcher.end(number)
    assert code == 0
    assert states[-1]["state"] == "ended"
    assert err == ""


def test_watching_lets_other_commands_edit_and_sends_their_edits(watching, tmp_path):
    store, watcher = watching
    watcher.until(state="in sync")
    assert spawn("set", "customers", "name=x", "--store", store).returncode == 0
    watcher.until(state="in sync", pushed=1, pending=0)
    table = tmp_path / "table.csv"
    table.write_text("Number,Name\n1,Ann\n2,Ben\n", "utf-8")
    assert spawn("import", table, "-c", "customers", "--key", "Name", "--store", store).returncode == 0
    watcher.until(state="in sync", pushed=3, pending=0)
    synced = spawn("sync", "--json", "--store", store)
    assert json.loads(synced.stdout)["pending"] == 0, synced.stderr
    second = spawn("sync", "--watch", "--store", store)
    assert second.returncode == 3
    assert str(watcher.process.pid) in second.stderr
    code, states, _ = watcher.end(signal.SIGINT)
    assert code == 0
    assert "connecting" not in {state["state"] for state in states}  # no session was begun again
    left = {path.name for path in store.iterdir()} - {"imports"}
    assert left == {"data.mdb", "lock", "lock.mdb", "relay.toml", "token", "transport.json"}


def test_watching_survives_the_relay(run, tmp_path, relay_process):
    with watched(run, tmp_path / "anna", relay_process) as watcher:
        watcher.until(state="in sync")
        relay_process.kill()
        assert "ws://" in watcher.until(state="offline")["problem"]
        assert watcher.end(signal.SIGINT)[0] == 0


def rotate(relay, token):
    """The relay restarts, and asks for another token."""
    relay.stop()
    relay.token = token
    relay.start()


NEW_TOKEN = "another-token-for-the-tests"


def test_watching_goes_on_with_the_token_that_was_stored_meanwhile(run, watching, relay, tmp_path):
    store, watcher = watching
    watcher.until(state="in sync")
    assert run("token", "--store", store, "--token", NEW_TOKEN).code == 0
    rotate(relay, NEW_TOKEN)
    watcher.until(state="offline")
    assert spawn("set", "customers", "name=x", "--store", store).returncode == 0
    watcher.until(state="in sync", pushed=1)
    assert watcher.end(signal.SIGINT)[0] == 0


def test_watching_goes_on_with_the_token_that_is_in_its_file_now(run, tmp_path, relay):
    store, file = tmp_path / "anna", tmp_path / "token"
    file.write_text(TOKEN)
    assert run("init", "anna", "--store", store, "--relay", relay.url).code == 0
    watcher = Lasting("sync", "--watch", "--store", store, "--token-file", file)
    try:
        watcher.until(state="in sync")
        file.write_text(NEW_TOKEN)
        rotate(relay, NEW_TOKEN)
        watcher.until(state="offline")
        watcher.until(state="in sync")
        assert watcher.end(signal.SIGINT)[0] == 0
    finally:
        watcher.kill()


def test_watching_ends_where_the_relay_refuses_the_only_token_there_is(watching, relay):
    _, watcher = watching
    watcher.until(state="in sync")
    rotate(relay, NEW_TOKEN)
    with pytest.raises(AssertionError, match='"error": "unauthorized"'):
        watcher.until(state="never")
    watcher.process.wait(60)
    assert watcher.end()[0] == 4


def test_watching_with_a_wrong_token_ends_with_the_reason(run, tmp_path, relay):
    store = tmp_path / "bob"
    assert run("init", "bob", "--store", store, "--relay", relay.url, "--token", "not-the-right-token").code == 0
    result = spawn("sync", "--watch", "--store", store)
    assert result.returncode == 4
    assert "Error (unauthorized)" in result.stderr
    assert "Traceback" not in result.stderr
