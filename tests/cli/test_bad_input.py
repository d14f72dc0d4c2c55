"""Everything that people and machines get wrong: one message with a code and the next step, and nothing lost."""

import asyncio
import json
import os
import queue
import re
import threading

import lmdb
import pytest
from websockets.asyncio.server import serve

from crdt_sync.errors import StoreFailed, StoreFull, VersionMismatch
from crdt_sync.replica import Replica, opening
from crdt_sync.storage.lmdb import LmdbStore
from crdt_sync.storage.lmdb.codec import STORE
from crdt_sync.storage.lmdb.identity import FORMAT_KEY, NAME
from tests.mounts import mounted, read_only


def _error(result):
    assert result.out == ""
    lines = result.err.splitlines()
    assert len(lines) == 1, result.err
    error = json.loads(lines[0])
    assert error["message"]
    assert error["hint"]
    return error["error"]


def test_no_store(run, tmp_path):
    result = run("list", "--store", tmp_path / "nothing", "--json")
    assert (result.code, _error(result)) == (3, "store_missing")
    assert not (tmp_path / "nothing").exists()


def test_a_file_where_the_store_should_be(run, tmp_path):
    (tmp_path / "file").write_text("x")
    result = run("init", "--store", tmp_path / "file", "--json")
    assert result.code == 3
    assert _error(result).startswith("store")


def test_something_else_than_a_store(run, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "data.mdb").write_bytes(b"not a database" * 1000)
    result = run("list", "--store", folder, "--json")
    assert (result.code, _error(result)) == (3, "store_format")


def test_a_newer_store_format(run, store):
    environment = lmdb.open(str(store), max_dbs=16)
    table = environment.open_db(b"store")
    with environment.begin(write=True) as transaction:
        transaction.put(FORMAT_KEY, STORE.close(FORMAT_KEY, NAME + b"99"), db=table)
    environment.close()
    result = run("list", "--json")
    assert (result.code, _error(result)) == (3, "store_format")


def test_a_damaged_record(run, store, made):
    record = made("name=x", "notes=a text to be found on the disk")
    data = (store / "data.mdb").read_bytes()
    assert data.count(b"found on the disk") > 0
    (store / "data.mdb").write_bytes(data.replace(b"found on the disk", b"fouXd on the disk"))
    for command in (["get", record], ["list"]):
        result = run(*command, "--json")
        assert (result.code, _error(result)) == (3, "store_corrupt")
    result = run("verify", "--local")
    assert result.code == 3
    assert record in result.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_store_of_somebody_else(run, store):
    store.chmod(0o000)
    try:
        result = run("list", "--json")
    finally:
        store.chmod(0o700)
    assert (result.code, _error(result)) == (3, "store_forbidden")


@pytest.mark.parametrize("command", ["list", "listen", "up", "down"])
def test_a_file_where_a_store_is_looked_for(run, tmp_path, command):
    (tmp_path / "file").write_text("x")
    result = run(command, "--store", tmp_path / "file", "--json")
    assert (result.code, _error(result)) == (3, "store_format")


def test_a_store_that_is_made_on_a_full_disk(run, tmp_path):
    with mounted(tmp_path / "disk", "size=64k") as disk:
        result = run("init", "anna", "--store", disk / "anna", "--relay", "ws://127.0.0.1:1", "--json")
        assert (result.code, _error(result)) == (3, "store_full")
        assert "space" in json.loads(result.err)["hint"]


def test_a_store_that_is_made_on_a_medium_that_is_read_only(run, tmp_path):
    with mounted(tmp_path / "disk", "size=1m") as disk:
        read_only(disk)
        result = run("init", "anna", "--store", disk / "anna", "--json")
        assert (result.code, _error(result)) == (3, "store_forbidden")
        assert "Mount it" in json.loads(result.err)["hint"]


@pytest.mark.parametrize(("kind", "code"), [(StoreFull, "store_full"), (StoreFailed, "store_failed")])
def test_a_disk_that_refuses(run, made, kind, code):
    record = made("name=x")

    def refuse(*_):
        raise kind("no room to write", "Free some space.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LmdbStore, "commit", refuse)
        result = run("set", record, "city=Kiel", "--json")
    assert (result.code, _error(result)) == (3, code)
    assert run("get", record, "--json").object["fields"] == {"name": "x"}


def test_an_unknown_record(run, store):
    result = run("get", "customers/unknown", "--json")
    assert (result.code, _error(result)) == (2, "unknown_record")


def test_another_protocol(run, store):
    listening: queue.Queue[int] = queue.Queue()
    done = threading.Event()

    async def another_server() -> None:
        async with serve(lambda link: link.wait_closed(), "127.0.0.1", 0) as server:
            listening.put(server.sockets[0].getsockname()[1])
            await asyncio.to_thread(done.wait, 30)

    thread = threading.Thread(target=asyncio.run, args=(another_server(),))
    thread.start()
    try:
        result = run("sync", "--relay", f"ws://127.0.0.1:{listening.get(timeout=60)}", "--json")
    finally:
        done.set()
        thread.join(30)
    assert (result.code, _error(result)) == (VersionMismatch.exit_code, "version_mismatch")


def test_a_device_clock_that_is_far_off_is_corrected_and_nothing_lost(run, store, relay, monkeypatch):
    day = 24 * 3_600_000_000
    real = opening.wall_clock
    monkeypatch.setattr(opening, "wall_clock", lambda: real() + day)
    assert run("relay", relay.url, "--token", "a-token-for-the-tests").code == 0
    record = run("set", "customers", "name=x", "phone=1", "--json").object["record"]
    for _ in range(2):
        result = run("sync", "--json")
        assert (result.code, json.loads(result.err)["warning"]) == (0, "clock_off")
        assert re.search(r"(1 day, 0:00|23:59):\d\d ahead of the relay's", result.err)
    assert run("status", record, "--json").object["state"] == "stored"
    with Replica.open(store) as opened:
        assert abs(opened.clock.offset + day) < 60_000_000


def test_what_was_written_under_a_clock_never_set_has_no_time(run, store, relay, monkeypatch):
    real = opening.wall_clock
    began = real()
    monkeypatch.setattr(opening, "wall_clock", lambda: real() - began)  # 1970, as where no battery keeps time
    assert run("relay", relay.url, "--token", "a-token-for-the-tests").code == 0
    record = run("set", "customers", "name=x", "timeline+=early", "--json").object["record"]
    assert run("sync").code == 0  # from here on it has the relay's time
    assert run("set", record, "timeline+=late").code == 0
    early, late = run("get", record, "--json").object["fields"]["timeline"]
    assert (early["value"], early["at"]) == ("early", None)
    assert late["value"] == "late"
    assert late["at"] > "2020"
    shown = run("get", record).out
    assert "unknown time" in shown
    assert "1970" not in shown


@pytest.mark.parametrize("below", ["", "sub"])
def test_a_store_that_would_be_a_file_is_named_as_one(run, tmp_path, below):
    (tmp_path / "file").write_text("x")
    result = run("init", "anna", "--json", "--store", tmp_path / "file" / below)
    error = json.loads(result.err)
    assert (result.code, error["error"]) == (3, "store_format")
    assert "a file" in error["message"]
    assert "directory" in error["hint"]
    assert "restart" not in error["hint"]
    assert (tmp_path / "file").read_text() == "x"
