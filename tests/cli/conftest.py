"""Running the command: in this process for speed, in one of its own where that matters."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
import structlog

from crdt_sync.cli.main import main
from tests.end_to_end.conftest import RelayThread, free_port
from tests.local_workers import use_local_workers

TOKEN = "a-token-for-the-tests"
COMMAND = [sys.executable, "-m", "crdt_sync.cli.main"]


@dataclass(frozen=True)
class Result:
    """What one run of the command left."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def object(self) -> dict[str, Any]:
        (only,) = self.objects
        return only


Run = Callable[..., Result]


def every_command(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """A command and all below it, each with the names that lead to it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from every_command(found, *path, name)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("CRDT_SYNC_", "CRDT_RELAY_"))]:
        if name != "CRDT_SYNC_DATA":
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture(autouse=True)
def _workers_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the commands and relays that are; `worker_processes` is for tests that need those."""
    use_local_workers(monkeypatch)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process."""

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> Path:
    """A store that the command uses by itself."""
    path = tmp_path / "anna"
    monkeypatch.setenv("CRDT_SYNC_STORE", str(path))
    assert run("init", "anna").code == 0
    return path


@pytest.fixture
def made(store: Path, run: Run) -> Callable[..., str]:
    """Make a customer; returns its record id."""

    def made(*assignments: str) -> str:
        result = run("set", "customers", *assignments, "--json")
        assert result.code == 0, result.err
        record: str = result.object["record"]
        return record

    return made


def start(*arguments: object, **options: Any) -> "subprocess.Popen[str]":
    """Start the command in a process of its own."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finish(process: "subprocess.Popen[str]", timeout_s: float = 180) -> Result:
    """Wait for a process that `start` made."""
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Result(process.returncode, out, err)


def spawn(*arguments: object, **options: Any) -> Result:
    """Run the command in a process of its own."""
    return finish(start(*arguments, **options))


class Lasting:
    """A command that goes on until it is told to end, in a process of its own; it reports its states as JSON lines."""

    def __init__(self, *arguments: object, limit_s: float = 60) -> None:
        self.process = start(*arguments, "--json")
        self._guard = threading.Timer(limit_s, self.process.kill)
        self._guard.start()

    def until(self, **wanted: object) -> dict[str, Any]:
        """The next state that says so."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        for line in self.process.stdout:
            state: dict[str, Any] = json.loads(line)
            if all(state.get(key) == value for key, value in wanted.items()):
                return state
        raise AssertionError(f"it ended before {wanted}: {self.process.stderr.read()}")

    def end(self, number: int = signal.SIGTERM) -> tuple[int, list[dict[str, Any]], str]:
        """The exit code, the states since `until` and what else was said.

        Read from the same streams as `until` does: `communicate` would miss what these have read ahead.
        """
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.send_signal(number)
        with self.process, self.process.stdout, self.process.stderr:
            states = [json.loads(line) for line in self.process.stdout]
            said = self.process.stderr.read()
        self._guard.cancel()
        return self.process.returncode, states, said

    def kill(self) -> None:
        """End it at once, where it has not ended."""
        if self.process.returncode is None:
            self.end(signal.SIGKILL)


class RunningRelay:
    """A relay that asks for `token`, in this process; it may be stopped, and started again where it was."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.token = TOKEN
        self._port = 0
        self._running: ExitStack | None = None
        self.start()

    def start(self) -> None:
        self._running = ExitStack()
        self.url = self._running.enter_context(RelayThread(self.data, self._port, self.token)).url
        self._port = int(self.url.rpartition(":")[2])

    def stop(self) -> None:
        if self._running is not None:
            self._running.close()
        self._running = None


@pytest.fixture
def relays(tmp_path: Path) -> Iterator[Callable[[str], RunningRelay]]:
    """relays("another"): a relay of its own, stopped in the end. None of them logs."""
    made: list[RunningRelay] = []

    def make(name: str) -> RunningRelay:
        made.append(RunningRelay(tmp_path / name))
        return made[-1]

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield make
    finally:
        for relay in made:
            relay.stop()
        structlog.reset_defaults()


@pytest.fixture
def relay(relays: Callable[[str], RunningRelay]) -> RunningRelay:
    return relays("relay")


@dataclass
class RelayProcess:
    """A relay in a process of its own, which can be killed."""

    url: str
    process: "subprocess.Popen[bytes]"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(60)


@pytest.fixture
def relay_process(tmp_path: Path) -> Iterator[RelayProcess]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "crdt_relay", "serve", "--data", str(tmp_path / "relay"), "--port", str(port)],
        env={**os.environ, "CRDT_RELAY_TOKEN": TOKEN, "CRDT_RELAY_METRICS": "false"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    running = RelayProcess(f"ws://127.0.0.1:{port}", process)
    until = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert process.poll() is None, "the relay ended"
            assert time.monotonic() < until, "the relay does not listen"
            time.sleep(0.02)
    yield running
    running.kill()


@pytest.fixture
def table(tmp_path):
    """Writes a table of that name and text."""

    def write(name, text):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.fixture
def anna(run, tmp_path, relay):
    """The store of a device that syncs with the relay."""
    path = tmp_path / "anna"
    assert run("init", "anna", "--store", path, "--relay", relay.url, "--token", TOKEN).code == 0
    return path
