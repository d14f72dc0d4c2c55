"""Real processes, killed at random moments and fed with hostile bytes: nothing acknowledged is lost."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crdt_sync import Address, Replica, bundled_schema, compare
from crdt_sync.protocol.messages import Ack, Bye, VerdictCode

from .devices import PATIENCE_S, Device, Load, eventually, stored_markers, update
from .processes import Launcher, ended, kill

ROUNDS = 5  # under load; tests/campaign/test_kills.py has more, with devices that sync
SEED = 20260731


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    started = Launcher(tmp_path / "launcher.log")
    try:
        yield started
    finally:
        started.close()


def test_a_relay_killed_at_random_moments_has_everything_that_it_acknowledged(
    tmp_path: Path, launcher: Launcher
) -> None:
    chance = random.Random(SEED)
    data = tmp_path / "data"
    loads: list[Load] = []

    async def one_round(number: int) -> None:
        started = await asyncio.to_thread(launcher.launch, "relay", data=str(data))
        loads.extend(load := [Load(f"{name}{number}-") for name in "ab"])
        working = asyncio.gather(*(one.run(started["url"]) for one in load))
        enough = chance.randrange(60)
        await eventually(f"{enough} acknowledgements", lambda: sum(one.count for one in load) >= enough)
        await asyncio.to_thread(kill, started["pid"])
        await asyncio.wait_for(working, PATIENCE_S)

    for number in range(ROUNDS):
        asyncio.run(one_round(number))
    assert sum(load.count for load in loads) > 10 * ROUNDS
    stored = stored_markers(data)
    for load in loads:
        for record, markers in load.acknowledged.items():
            assert markers <= stored[record]


def test_a_device_killed_at_random_moments_has_every_edit_that_it_confirmed(tmp_path: Path, launcher: Launcher) -> None:
    chance = random.Random(SEED)
    relay = launcher.launch("relay", data=str(tmp_path / "data"))
    assert relay["switch_s"] <= 0.001, "its threads get the interpreter from a loop that never sleeps"
    store = tmp_path / "device"
    confirmed: set[str] = set()
    with Replica.create(store, "anna", [bundled_schema("customers")]) as replica:
        with replica.edit("customers") as customer:
            customer["name"] = "Zoë"
        record = customer.record
    for number in range(ROUNDS):
        device = launcher.launch("device", store=str(store), url=relay["url"], record=record, prefix=str(number))
        for _ in range(chance.randrange(30)):
            confirmed.add(launcher.hear("tag"))
        kill(device["pid"])
        confirmed.update(words["tag"] for words in launcher.heard() if "tag" in words)
    with Replica.open(store) as replica:
        assert len(confirmed) > 5 * ROUNDS
        assert confirmed <= set(replica.get(record)["tags"])
        assert compare(replica, Address(relay["url"])).equal
    kill(relay["pid"])


def resident_bytes(pid: int, *others: int) -> int:
    """Memory of processes."""
    total = 0
    for process in (pid, *others):
        try:
            total += int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            continue
    return total


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[bytes], dict[str, Any]]]]:
    """Run `crdt-relay serve` with these options; returns the process and its ready line."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
        process = subprocess.Popen(
            [sys.executable, "-m", "crdt_relay", "serve", "--port", "0", "--no-metrics", "--json",
             "--data", str(tmp_path / "data"), "--log-level", "error", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        return process, json.loads(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def test_hostile_updates_are_refused_or_harmless_and_nobody_else_notices(
    shared_data: Path, serve: Callable[..., tuple[subprocess.Popen[bytes], dict[str, Any]]]
) -> None:
    cases = json.loads((shared_data / "vectors" / "hostile_updates.json").read_text())["cases"]
    process, ready = serve()
    url = ready["url"]

    async def attack() -> list[VerdictCode]:
        device: Device | None = None
        verdicts: list[VerdictCode] = []
        for number, case in enumerate(cases):
            record = f"customers/hostile{number}"
            for update_ in filter(None, (case["base"], case["update"])):
                device = device or await Device.join(url, follow=False)
                await device.push((record, bytes.fromhex(update_)))
                message = await device.receive()
                assert isinstance(message, Ack | Bye)
                if isinstance(message, Ack):
                    verdicts += [verdict.code for verdict in message.verdicts]
                else:
                    assert message.code == "poisoned"
                    device = None
        if device is not None:
            await device.close()
        return verdicts

    async def live(attacking: "asyncio.Task[list[VerdictCode]]") -> None:
        device = await Device.join(url, follow=False)
        number = 0
        while not attacking.done():
            number += 1
            assert await device.store((f"customers/live{number % 10}", update(number))) == [VerdictCode.ACCEPTED]
            await asyncio.sleep(0.01)
        await device.close()

    async def whole() -> list[VerdictCode]:
        attacking = asyncio.create_task(attack())
        await live(attacking)
        return await attacking

    before = resident_bytes(process.pid, *children(process.pid))
    verdicts = asyncio.run(whole())
    assert len(verdicts) > len(cases)
    assert resident_bytes(process.pid, *children(process.pid)) < before + 64 * 1024 * 1024
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0


def test_sigterm_stops_it_and_a_second_one_at_once(
    serve: Callable[..., tuple[subprocess.Popen[bytes], dict[str, Any]]],
) -> None:
    process, ready = serve()
    assert ready["pid"] == process.pid
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    process, ready = serve("--log-level", "info")
    assert process.stderr is not None
    log = process.stderr

    def told(event: bytes) -> None:
        assert any(event in line for line in iter(log.readline, b"")), event

    async def stuck() -> None:
        host, port = ready["url"].removeprefix("ws://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        device = await Device.join(ready["url"])
        device.websocket.transport.pause_reading()
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(told, b"stopping")
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(told, b"stopped_at_once")
        assert await asyncio.to_thread(process.wait, PATIENCE_S) == 128 + signal.SIGTERM
        await device.drop()
        writer.close()

    asyncio.run(stuck())


def test_no_worker_outlives_its_relay(serve: Callable[..., tuple[subprocess.Popen[bytes], dict[str, Any]]]) -> None:
    process, _ = serve()
    workers = children(process.pid)
    assert workers
    process.kill()
    process.wait(PATIENCE_S)
    deadline = time.monotonic() + PATIENCE_S
    while not all(ended(worker) or _is_zombie(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _is_zombie(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def test_a_thousand_idle_devices_cost_little(
    serve: Callable[..., tuple[subprocess.Popen[bytes], dict[str, Any]]],
) -> None:
    process, ready = serve()

    async def idle() -> int:
        await (await Device.join(ready["url"])).close()
        before = resident_bytes(process.pid)
        devices = [await Device.join(ready["url"]) for _ in range(400)]
        used = resident_bytes(process.pid) - before
        for device in devices:
            await device.drop()
        return used // len(devices)

    assert asyncio.run(idle()) < 40_000
