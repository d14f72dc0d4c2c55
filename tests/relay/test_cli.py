"""The command crdt-relay, as an operator and his scripts see it."""

import asyncio
import json
import logging
import os
import signal
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from crdt_relay.cli import main
from crdt_relay.maintenance import new_token
from crdt_sync.protocol.messages import VerdictCode
from crdt_sync.storage import Batch
from crdt_sync.storage.lmdb import LmdbStore
from crdt_sync.storage.lmdb.directory import claimed
from crdt_sync.storage.values import Change
from tests.local_workers import use_local_workers

from .devices import PATIENCE_S, Device, make_certificate, running, stored_markers, update

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run the command in this process; returns (exit code, standard output, standard error)."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def command(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield command
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@contextmanager
def served(data: Path, *options: object) -> Iterator[dict[str, Any]]:
    """`crdt-relay serve` in a process of its own; its ready line. Stopped by SIGTERM, which must be graceful."""
    process = subprocess.Popen(
        [sys.executable, "-m", "crdt_relay", "serve", "--json", "--port", "0", "--metrics-port", "0",
         "--data", str(data), *(str(option) for option in options)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def store(url: str, *entries: tuple[str, bytes], token: str = "") -> None:
    async def push() -> None:
        async with await Device.join(url, token=token) as device:
            assert await device.store(*entries) == [VerdictCode.ACCEPTED] * len(entries)

    asyncio.run(push())


def filled(data: Path) -> Path:
    """A stopped relay's data directory with two records. That relay was no process, which would take a second."""

    async def fill() -> None:
        async with running(data) as relay, await Device.join(relay.url) as device:
            verdicts = await device.store(("customers/a", update(1)), ("customers/b", update(2)))
            assert verdicts == [VerdictCode.ACCEPTED] * 2

    with pytest.MonkeyPatch.context() as patch:
        use_local_workers(patch)
        asyncio.run(fill())
    return data


def test_without_arguments_it_shows_what_it_can_do(run: Run) -> None:
    code, out, _ = run()
    assert code == 0
    for command in ("serve", "status", "verify", "compact", "backup", "restore", "token"):
        assert command in out


def test_the_whole_life_of_a_store(run: Run, tmp_path: Path) -> None:
    data, backup = tmp_path / "data", tmp_path / "backups" / "monday"
    with served(data) as ready:
        assert ready["event"] == "ready"
        assert ready["url"].startswith("ws://127.0.0.1:")
        store(ready["url"], ("customers/a", update(1)))
        with urllib.request.urlopen(ready["metrics_url"] + "/metrics", timeout=PATIENCE_S) as answer:
            text = answer.read().decode()
        assert 'crdt_relay_updates_total{code="accepted",space="default"} 1.0' in text
        assert 'crdt_relay_acknowledge_seconds_count{space="default"} 1.0' in text
        assert 'crdt_relay_commit_seconds_count{space="default"} 1.0' in text
        assert 'crdt_relay_integration_seconds_count{space="default"} 1.0' in text
        assert 'crdt_relay_records{space="default"} 1.0' in text
        with urllib.request.urlopen(ready["metrics_url"] + "/readyz", timeout=PATIENCE_S) as answer:
            assert json.load(answer) == {"status": "ready"}

        status = json.loads(run("status", "--data", data, "--json")[1])
        assert (status["running"], status["pid"], status["records"], status["ready"]) == (True, ready["pid"], 1, True)
        assert status["updates"]["accepted"] == 1
        assert "running" in run("status", "--data", data)[1]

        assert run("compact", "--data", data)[0] == 0
        code, out, _ = run("backup", backup, "--data", data)
        assert code == 0
        assert "1 record (" in out
        store(ready["url"], ("customers/later", update(2)))

        code, out, err = run("verify", "--data", data)
        assert code == 3
        assert "store_in_use" in err
        assert str(ready["pid"]) in err
        assert "backup" in err

    status = json.loads(run("status", "--data", data, "--json")[1])
    assert (status["running"], status["records"]) == (False, 2)
    assert run("verify", "--data", data)[0] == 0
    assert run("verify", "--data", backup, "--json")[0] == 0
    assert run("backup", backup, "--data", data)[0] == 3

    assert run("restore", backup, "--data", data)[0] == 3
    code, out, _ = run("restore", backup, "--data", data, "--replace", "--json")
    restored = json.loads(out)
    assert code == 0
    assert restored["records"] == 1
    assert stored_markers(data) == {"customers/a": {1}}
    assert set(stored_markers(Path(restored["previous"]))) == {"customers/a", "customers/later"}


def test_one_of_something_is_told_as_one(run: Run, tmp_path: Path) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup"
    with LmdbStore.open(data, create=True) as made:
        change = Change("customers/a", (b"u",), bytes(16), "anna", 1, b"\x00", snapshot=b"u", digest=bytes(16))
        made.commit([Batch(changes=(change,))])
    assert "1 record (" in run("backup", backup, "--data", data)[1]
    assert ": 1 record." in run("restore", backup, "--data", tmp_path / "new")[1]


def test_a_restored_store_has_a_new_epoch_every_time_and_leaves_the_backup_as_it_was(run: Run, tmp_path: Path) -> None:
    data, backup = filled(tmp_path / "data"), tmp_path / "backup"
    assert run("backup", backup, "--data", data)[0] == 0
    before = (backup / "data.mdb").read_bytes()
    epochs = {json.loads(run("status", "--data", data, "--json")[1])["epoch"]}
    for name in ("one", "two"):
        assert run("restore", backup, "--data", tmp_path / name)[0] == 0
        epochs.add(json.loads(run("status", "--data", tmp_path / name, "--json")[1])["epoch"])
    assert len(epochs) == 3
    assert (backup / "data.mdb").read_bytes() == before


@pytest.mark.parametrize(("command", "partial"), [("restore", "restored/restoring"), ("backup", "restored.partial")])
def test_a_restore_and_a_backup_leave_alone_what_another_one_writes_to_the_same_place(
    run: Run, tmp_path: Path, command: str, partial: str
) -> None:
    backup, target = tmp_path / "backup", tmp_path / "restored"
    LmdbStore.open(backup, create=True).close()
    arguments = (backup, "--data", target) if command == "restore" else (target, "--data", backup)
    with claimed(tmp_path / partial):
        (tmp_path / partial / "data.mdb").write_bytes(b"half of it")
        code, _, err = run(command, *arguments)
        assert (code, "is being written by another process" in err) == (3, True)
        assert (tmp_path / partial / "data.mdb").read_bytes() == b"half of it"
    assert not LmdbStore.exists(target)
    assert run(command, *arguments)[0] == 0  # what an interrupted one left is no hindrance
    assert not (tmp_path / partial).exists()
    assert run("verify", "--data", target)[0] == 0


def test_a_directory_that_was_renamed_while_it_was_claimed_can_be_claimed_again(tmp_path: Path) -> None:
    partial = tmp_path / "a.partial"
    with claimed(partial):
        (partial / "x").touch()
        partial.rename(tmp_path / "a")
        with claimed(partial):
            assert list(partial.iterdir()) == []
    with pytest.raises(ZeroDivisionError), claimed(partial):
        raise ZeroDivisionError
    assert not partial.exists()
    assert (tmp_path / "a" / "x").exists()


def test_damage_is_found_and_a_damaged_backup_is_not_restored(run: Run, tmp_path: Path) -> None:
    data = filled(tmp_path / "data")
    file = data / "data.mdb"
    content = bytearray(file.read_bytes())
    place = content.rfind(b"customers/b")
    with LmdbStore.open(data) as opened:
        update_bytes = opened.load("customers/b").updates[-1]
    place = content.find(update_bytes)
    assert place > 0
    while place > 0:
        content[place + 3] ^= 1
        place = content.find(update_bytes, place)
    file.write_bytes(content)
    code, out, _ = run("verify", "--data", data, "--json")
    assert code == 6
    assert "customers/b" in {finding["record"] for finding in json.loads(out)["findings"]}
    code, _, err = run("restore", data, "--data", tmp_path / "restored")
    assert code == 3
    assert "damaged" in err
    assert not (tmp_path / "restored").exists()


def test_a_token_is_strong_and_readable_by_its_owner_only(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "token"
    code, out, _ = run("token", file)
    assert code == 0
    made = file.read_text().strip()
    assert len(made) >= 43
    assert made not in out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run("token", file)[0] == 2
    assert file.read_text().strip() == made
    assert run("token", file, "--force")[0] == 0
    assert file.read_text().strip() != made
    assert run("token")[1].strip() != run("token")[1].strip()
    with served(tmp_path / "data", "--token-file", file) as ready:
        store(ready["url"], ("customers/a", update(1)), token=file.read_text().strip())


def test_show_config_tells_where_each_value_came_from(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "relay.toml"
    file.write_text('metrics_host = "127.0.0.2"\nport = 1\n')
    monkeypatch.setenv("CRDT_RELAY_PORT", "9001")
    monkeypatch.setenv("CRDT_RELAY_TOKEN", new_token())
    code, out, _ = run("serve", "--config", file, "--host", "0.0.0.0", "--show-config", "--json")
    shown = json.loads(out)
    assert code == 0
    assert shown["metrics_host"] == {"value": "127.0.0.2", "source": f"file {file}"}
    assert shown["port"] == {"value": "9001", "source": "environment variable CRDT_RELAY_PORT"}
    assert shown["host"]["source"] == "flag --host"
    assert shown["log_level"]["source"] == "default"
    assert os.environ["CRDT_RELAY_TOKEN"] not in out
    assert "0.0.0.0" in run("serve", "--config", file, "--host", "0.0.0.0", "--show-config")[1]


def refused(run: Run, *arguments: object) -> tuple[int, dict[str, Any]]:
    """The exit code and the error of a command that fails; what it prints is that error and nothing else."""
    code, out, err = run(*arguments, "--json")
    assert out == ""
    error = json.loads(err.strip().splitlines()[-1])
    assert error["hint"]
    assert "Traceback" not in err
    return code, error


def test_a_relay_beyond_this_machine_needs_a_token(run: Run) -> None:
    code, error = refused(run, "serve", "--host", "0.0.0.0")
    assert (code, error["error"]) == (2, "invalid_settings")
    assert "crdt-relay token" in error["hint"]


def test_a_port_that_is_taken_is_said(run: Run, tmp_path: Path) -> None:
    with served(tmp_path / "one") as ready:
        port = ready["url"].rsplit(":", 1)[1]
        code, error = refused(run, "serve", "--port", port, "--no-metrics", "--data", tmp_path / "two")
        assert (code, error["error"]) == (2, "invalid_settings")
        assert port in error["message"]
        metrics = ready["metrics_url"].rsplit(":", 1)[1]
        code, error = refused(run, "serve", "--port", 0, "--metrics-port", metrics, "--data", tmp_path / "two")
        assert (code, error["error"]) == (2, "invalid_settings")


def test_a_directory_in_use_is_said_with_who_uses_it(run: Run, tmp_path: Path) -> None:
    with served(tmp_path / "data") as ready:
        code, error = refused(run, "serve", "--port", 0, "--no-metrics", "--data", tmp_path / "data")
        assert (code, error["error"]) == (3, "store_in_use")
        assert str(ready["pid"]) in error["message"]
        assert json.loads(run("status", "--data", tmp_path / "data", "--json")[1])["running"]


@pytest.mark.parametrize("command", [["status"], ["verify"], ["compact"], ["backup", "copy"]])
def test_a_directory_without_a_store_is_told_with_what_makes_one(run: Run, tmp_path: Path, command: list[str]) -> None:
    code, _, said = run(*command, "--data", tmp_path / "none")
    assert code
    assert "crdt-relay serve" in said


def test_a_certificate_that_is_none_is_said(run: Run, tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    for given in ((bad, key), (certificate, bad), (tmp_path / "missing.pem", key)):
        code, error = refused(
            run, "serve", "--port", 0, "--tls-certificate", given[0], "--tls-key", given[1], "--data", tmp_path / "data"
        )
        assert (code, error["error"]) == (2, "invalid_settings")
        assert ".pem" in error["message"]
    assert not (tmp_path / "data").exists()


def test_a_store_of_another_program_or_a_newer_format_is_left_alone(run: Run, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "data.mdb").write_bytes(b"something else" * 1000)
    before = (data / "data.mdb").read_bytes()
    code, error = refused(run, "serve", "--port", 0, "--no-metrics", "--data", data)
    assert (code, error["error"]) == (3, "store_format")
    assert (data / "data.mdb").read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve", "--no-such-option"),
        ("serve", "--port", "many"),
        ("serve", "--port", "70000"),
        ("serve", "--log-format", "xml"),
        ("serve", "--config", "/nonexistent/relay.toml"),
        ("fly",),
        ("backup",),
        ("status", "--data", "/nonexistent/data"),
        ("restore", "/nonexistent/backup"),
        ("verify", "--data", "/nonexistent/data"),
    ],
)
def test_mistakes_get_one_clear_message(run: Run, arguments: tuple[str, ...]) -> None:
    code, error = refused(run, *arguments)
    assert code in {2, 3}
    assert error["message"]


def test_logs_name_no_customer_data(run: Run, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "crdt_relay", "serve", "--port", "0", "--no-metrics", "--json", "--log-format", "json",
         "--log-level", "debug", "--data", str(tmp_path / "data"), "--token", "a-secret-of-some-length"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["url"]
    store(url, ("customers/a", update("Zoë-Private-Person")), token="a-secret-of-some-length")

    async def misbehave() -> None:
        device = await Device.join(url, token="a-secret-of-some-length")
        await device.push(("customers/a", b"Zoe-Private-Person"))
        await device.websocket.send("Zoe-Private-Person")
        await device.bye()

    asyncio.run(misbehave())
    process.send_signal(signal.SIGTERM)
    _, logged = process.communicate(timeout=PATIENCE_S)
    lines = [json.loads(line) for line in logged.decode().splitlines()]
    assert lines[0]["event"] == "ready"
    assert lines[-1]["event"] == "stopped"
    assert "session_closed" in {line["event"] for line in lines}
    assert "Private" not in logged.decode()
    assert "a-secret" not in logged.decode()


def test_a_copy_from_before_an_upgrade_is_named(tmp_path: Path, run: Run) -> None:
    copy = tmp_path / "data" / "format-2-2023-11-14"
    LmdbStore.open(tmp_path / "data", create=True).close()
    assert "before its upgrade" not in run("status", "--data", tmp_path / "data")[1]
    copy.mkdir()
    assert json.loads(run("status", "--data", tmp_path / "data", "--json")[1])["copies"] == [str(copy)]
    assert "rm -r" in run("status", "--data", tmp_path / "data")[1]
