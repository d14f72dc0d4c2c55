"""What happens to machines: a disk that fills up under a relay and under a device, a device that is frozen."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crdt_bench.campaign.tally import Tally
from crdt_relay.server import Relay
from crdt_relay.settings import load
from crdt_sync import Address, Replica, bundled_schema
from crdt_sync.errors import RemoteError, StoreFull
from crdt_sync.limits import SILENCE_US_MAX
from crdt_sync.runtime import compare_once, sync_once

_DISK = "3m"
_BALLAST_BYTES = 600_000
_TEXT_CHARACTERS = 40_000
_EDITS_MAX = 100
_PATIENCE_S = 30.0
_PAUSE_S = 0.05  # between two syncs of the device that is not frozen
_SQUEEZED_S = 3.0  # a relay whose disk is full asks its devices to come back later


def run(seed: int, count: int, frozen_s: float = 2.0) -> Tally:
    """`count` times: a full disk under a device, a full disk under the relay, a device frozen for `frozen_s`."""
    tally = Tally("machines", "rounds", seed)
    rng = random.Random(seed)
    for _ in range(count):
        for name, scenario in (("device's disk", _full_device), ("relay's disk", _full_relay)):
            if os.geteuid() != 0:
                tally.outcomes[f"{name} not filled: only root can mount a small disk"] += 1
                continue
            with tempfile.TemporaryDirectory() as directory, _small_disk(Path(directory) / "disk") as disk:
                if disk is None:
                    tally.outcomes[f"{name} not filled: mounting is not allowed here"] += 1
                    continue
                asyncio.run(scenario(Path(directory), disk, rng, tally))
                tally.ran += 1
                tally.outcomes[f"{name} filled"] += 1
        with tempfile.TemporaryDirectory() as directory:
            asyncio.run(_frozen(Path(directory), frozen_s, tally))
            tally.ran += 1
            tally.outcomes["device frozen"] += 1
    return tally


def run_frozen(seed: int, count: int, frozen_s: float = 120.0) -> Tally:
    """`count` times: a device frozen for so long that the relay drops it, which nobody else notices."""
    tally = Tally("frozen device", "freezes", seed)
    for _ in range(count):
        with tempfile.TemporaryDirectory() as directory:
            asyncio.run(_frozen(Path(directory), frozen_s, tally))
        tally.ran += 1
    return tally


@contextmanager
def _small_disk(path: Path) -> Iterator[Path | None]:
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(path)], check=False)
    if mounted.returncode:
        yield None
        return
    try:
        (path / "ballast").write_bytes(bytes(_BALLAST_BYTES))
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def _write(device: Replica, rng: random.Random, number: int) -> str:
    record = f"customers/{number}"
    with device.edit(record, create=True) as editor:
        editor["name"] = str(number)
        editor.text("notes").replace("".join(rng.choices("abcdefgh ", k=_TEXT_CHARACTERS)))
    return record


async def _full_device(directory: Path, disk: Path, rng: random.Random, tally: Tally) -> None:
    relay = await Relay.start(load({"data": directory / "relay", "port": 0, "metrics": False, "log_level": "error"}))
    device = Replica.create(disk / "anna", "anna", [bundled_schema("customers")])
    written: list[str] = []
    try:
        for number in range(_EDITS_MAX):
            written.append(_write(device, rng, number))
        tally.found("the device's disk never filled up")
    except StoreFull:
        pass
    try:
        (disk / "ballast").unlink()
        written.append(_write(device, rng, _EDITS_MAX))
        await _agree([device], relay.url, set(written), tally)
    finally:
        device.close()
        await relay.stop()


async def _full_relay(directory: Path, disk: Path, rng: random.Random, tally: Tally) -> None:
    relay = await Relay.start(load({"data": disk / "relay", "port": 0, "metrics": False, "log_level": "error"}))
    device = Replica.create(directory / "anna", "anna", [bundled_schema("customers")])
    written = {_write(device, rng, number) for number in range(_EDITS_MAX)}
    try:
        try:
            await asyncio.wait_for(sync_once(device, Address(relay.url)), _SQUEEZED_S)
            tally.found("the relay's disk never filled up")
        except (RemoteError, TimeoutError):
            pass
        held = set(relay.store.records("", 1 << 20))
        told = {record for record in written if device.record_status(record).state == "stored"}
        if not told <= held:
            tally.found(f"{len(told - held)} records were acknowledged and are not on the relay's full disk")
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        await _agree([device], relay.url, written, tally)
    finally:
        device.close()
        await relay.stop()


async def _agree(devices: list[Replica], url: str, written: set[str], tally: Tally) -> None:
    for device in devices:
        try:
            compared = await asyncio.wait_for(compare_once(device, Address(url)), _PATIENCE_S)
        except (RemoteError, TimeoutError) as error:
            tally.found(f"{device.name} does not sync afterwards: {type(error).__name__}: {error}")
            continue
        if not compared.equal:
            tally.found(f"{device.name} and the relay differ")
        if set(device.store.records("", 1 << 20)) != written:
            tally.found(f"{device.name} does not hold what was written")
        if device.store.verify().findings:
            tally.found(f"the store of {device.name} is damaged")


async def _frozen(directory: Path, frozen_s: float, tally: Tally) -> None:
    relay = await Relay.start(load({"data": directory / "relay", "port": 0, "metrics": False, "log_level": "error"}))
    other = Replica.create(directory / "other", "other", [bundled_schema("customers")])
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "crdt_bench.campaign.frozen_device", str(directory / "frozen"), relay.url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert child.stdin is not None
    assert child.stdout is not None
    said: set[str] = set()
    try:
        for _ in range(5):
            said.add((await child.stdout.readline()).decode().strip())
            child.stdin.write(b"more\n")
        child.send_signal(signal.SIGSTOP)
        until = asyncio.get_running_loop().time() + frozen_s
        number, slowest = 0, 0.0
        while asyncio.get_running_loop().time() < until:
            with other.edit("customers/shared", create=True) as editor:
                editor["name"] = "Shared"
                editor.add("tags", f"other {number}")
            number += 1
            began = time.monotonic()
            await asyncio.wait_for(sync_once(other, Address(relay.url)), _PATIENCE_S)
            slowest = max(slowest, time.monotonic() - began)
            await asyncio.sleep(_PAUSE_S)
        if frozen_s > 2 * SILENCE_US_MAX / 1e6 and len(relay.engine.hub):
            tally.found("the relay still keeps the session of a device that has been silent for too long")
        tally.figures.append(f"  {number} syncs of another device meanwhile, the slowest {slowest:.2f} s")
        child.send_signal(signal.SIGCONT)
        child.stdin.close()
        said.update((await asyncio.wait_for(child.stdout.read(), _PATIENCE_S)).decode().splitlines())
        if await asyncio.wait_for(child.wait(), _PATIENCE_S):
            tally.found("the device that was frozen failed")
        await asyncio.wait_for(sync_once(other, Address(relay.url)), _PATIENCE_S)
        missing = {*said, *(f"other {each}" for each in range(number))} - set(other.get("customers/shared")["tags"])
        if missing:
            tally.found(f"{len(missing)} edits are missing after the freeze")
    except TimeoutError:
        tally.found("others had to wait for the device that was frozen")
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
        other.close()
        await relay.stop()
