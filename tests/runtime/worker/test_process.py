"""The limits that a worker lives under, seen from outside."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from crdt_sync import limits
from crdt_sync.runtime.worker import process
from crdt_sync.runtime.worker.process import WorkerProcess
from crdt_sync.runtime.worker.progress import LOADING, Mark, Shared, progress_of
from crdt_sync.storage.lmdb import LmdbStore


def with_worker(scenario: Callable[[WorkerProcess], Awaitable[None]]) -> None:
    async def run() -> None:
        worker = await WorkerProcess.start()
        try:
            await scenario(worker)
        finally:
            await worker.close()

    asyncio.run(run())


def test_a_worker_has_bounded_memory_and_writes_no_files_and_no_core() -> None:
    async def scenario(worker: WorkerProcess) -> None:
        bounds = {
            line[:26].strip(): line[26:].split()[0]
            for line in Path(f"/proc/{worker.pid}/limits").read_text().splitlines()
        }
        assert bounds["Max address space"] == str(limits.WORKER_MEMORY_BYTES_MAX)
        assert bounds["Max file size"] == "0"
        assert bounds["Max core file size"] == "0"

    with_worker(scenario)


def test_a_worker_inherits_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRDT_RELAY_TOKEN", "correct-horse-battery")

    async def scenario(worker: WorkerProcess) -> None:
        assert b"correct-horse" not in Path(f"/proc/{worker.pid}/environ").read_bytes()

    with_worker(scenario)


def test_a_worker_has_no_file_of_its_parent_open(tmp_path: Path) -> None:
    async def scenario() -> None:
        worker = await WorkerProcess.start()
        try:
            opened = [os.readlink(each) for each in Path(f"/proc/{worker.pid}/fd").iterdir()]
        finally:
            await worker.close()
        own = ("pipe:", "socket:", "/dev/null", f"/proc/{worker.pid}/", "/memfd:crdt-worker-progress")
        assert [each for each in opened if not each.startswith(own)] == []

    with LmdbStore.open(tmp_path / "store", create=True), (tmp_path / "inherited").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        uvloop.run(scenario())  # which starts processes by itself, and closes nothing


def test_ctrl_c_does_not_reach_a_worker() -> None:
    async def scenario(worker: WorkerProcess) -> None:
        ignored = next(
            int(line.split()[1], 16)
            for line in Path(f"/proc/{worker.pid}/status").read_text().splitlines()
            if line.startswith("SigIgn")
        )
        assert ignored >> (signal.SIGINT - 1) & 1

    with_worker(scenario)


def test_a_worker_dies_with_its_parent(tmp_path: Path) -> None:
    program = (
        "import asyncio, os, sys\n"
        "from crdt_sync.runtime.worker.process import WorkerProcess\n"
        "async def main():\n"
        "    worker = await WorkerProcess.start()\n"
        "    print(worker.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env=os.environ | process.worker_environment()
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    descriptor = os.pidfd_open(worker)
    parent.kill()
    parent.wait()
    parent.stdout.close()

    async def ended() -> None:
        gone = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, gone.set)  # readable once the process has ended
        await asyncio.wait_for(gone.wait(), 60)
        asyncio.get_running_loop().remove_reader(descriptor)

    asyncio.run(ended())
    os.close(descriptor)


def test_a_worker_that_was_killed_is_not_alive() -> None:
    async def scenario(worker: WorkerProcess) -> None:
        assert worker.alive
        worker.kill()
        assert not worker.alive

    with_worker(scenario)


@pytest.mark.parametrize("kept", ["in memory", "in a file"])
def test_a_mark_is_read_at_the_other_end_for_its_own_request_only(kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kept == "in a file":
        monkeypatch.delattr(os, "memfd_create")
    shared = Shared()
    near, far = shared.progress, progress_of(shared.name)
    shared.close()
    assert near.read(0) is None
    far.write(7, 3, 1)
    assert near.read(7) == Mark(3, 1)
    assert near.read(8) is None
    far.write(8, 0, LOADING)
    assert near.read(8) == Mark(0, LOADING)
    far.rest()
    assert near.read(8) is None
    near.close()
    far.close()


def test_a_worker_imports_nothing_that_it_does_not_need() -> None:
    """Half of its start would go into what only network, schemas and commands need; and it is to be small."""
    said = "import sys, crdt_sync.runtime.worker.__main__; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", said], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "crdt_sync.records.gate.integrate" in loaded
    assert "crdt_sync.identity.certified" in loaded  # later it can open no file, and entries may be signed
    assert {"asyncio", "jwt", "lmdb", "pydantic", "rich", "structlog", "websockets"}.isdisjoint(loaded)
