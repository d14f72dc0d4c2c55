"""A record that no worker can load: the operator finds it and its author, sets it aside, and devices bring it again."""

import base64
import json
from pathlib import Path

import pytest

from crdt_sync.runtime.worker import process
from crdt_sync.storage.lmdb import LmdbStore, aside
from tests.runtime import planted

from .devices import update
from .test_cli import Run, filled, refused, run, served, store

__all__ = ["run"]  # the fixture


def broken(data: Path) -> Path:
    """A stopped relay's data directory in which every checksum is right, and `customers/b` is no record."""
    filled(data)
    with LmdbStore.open(data) as opened:
        planted.nonsense(opened, "customers/b")
    return data


def test_verify_loads_every_record_and_names_the_one_that_cannot_be_with_who_wrote_it(run: Run, tmp_path: Path) -> None:
    data = filled(tmp_path / "data")
    code, out, _ = run("verify", "--data", data)
    assert code == 0
    assert "2 records loaded, as a worker does: all can be." in out
    with LmdbStore.open(data) as opened:
        (entry,) = opened.history("customers/b")
        planted.nonsense(opened, "customers/b")
    code, out, _ = run("verify", "--data", data, "--json")
    report = json.loads(out)
    assert (code, report["findings"]) == (6, [])
    (found,) = report["unloadable"]
    assert found["record"] == "customers/b"
    assert found["authors"][0]["replica"] == entry.origin.hex()
    code, out, err = run("verify", "--data", data)
    assert code == 6
    assert "customers/b" in out
    assert entry.origin.hex()[:8] in out
    assert "verify --repair" in err


def test_it_is_set_aside_whole_and_comes_back_from_a_device(run: Run, tmp_path: Path) -> None:
    data = broken(tmp_path / "data")
    with LmdbStore.open(data) as opened:
        epoch = opened.epoch
    code, error = refused_after_result(run, "verify", "--repair", "--data", data)
    assert (code, error["error"]) == (3, "edits_lost")
    with LmdbStore.open(data) as opened:
        assert opened.epoch != epoch, "so that devices compare"
        assert opened.records("", 9) == ["customers/a"]
    kept = json.loads(run("verify", "--aside", "--data", data, "--json")[1])["set_aside"]
    assert {(each["database"], each["record"]) for each in kept} >= {("docs", "customers/b"), ("heads", "customers/b")}
    assert any(b"\xff\xff\xff" in base64.b64decode(each["value_base64"]) for each in kept)
    assert run("verify", "--data", data)[0] == 0
    with served(data, "--no-metrics") as ready:
        store(ready["url"], ("customers/b", update(2)))
    assert run("verify", "--data", data)[0] == 0
    with LmdbStore.open(data) as opened:
        assert opened.records("", 9) == ["customers/a", "customers/b"]
        assert opened.quarantined() == []


def refused_after_result(run: Run, *arguments: object) -> tuple[int, dict[str, object]]:
    code, out, err = run(*arguments, "--json")
    assert [each["record"] for each in json.loads(out)["unloadable"]] == ["customers/b"]
    error: dict[str, object] = json.loads(err.strip().splitlines()[-1])
    return code, error


def test_what_is_set_aside_whole_is_kept_whatever_the_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "DAMAGED_BYTES_MAX", 0)
    data = filled(tmp_path / "data")
    with LmdbStore.open(data) as opened:
        stored = opened.load("customers/b").updates
        opened.quarantine("customers/b")
        kept = opened.set_aside()
    assert any(update_bytes in each.value for each in kept for update_bytes in stored)


def test_a_store_that_cannot_be_examined_is_not_called_sound(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = filled(tmp_path / "data")
    monkeypatch.setattr(process, "worker_command", lambda: ["/nonexistent/python"])
    code, error = refused(run, "verify", "--data", data)
    assert code == 1
    assert error["error"] == "worker_unavailable"
