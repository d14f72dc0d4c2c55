"""A reconnect storm: all devices lose the relay at one instant and come back, and every one is served.

The links are cut, then the relay is killed, then stopped and started. After each, all devices are live again and hear
an edit, and the relay has not grown. The devices are sessions without stores: see `storm_device.py`.
"""

import asyncio
import contextlib
import os
import random
import resource
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from crdt_bench.campaign.storm_device import StormDevice
from crdt_bench.campaign.tally import Tally
from crdt_bench.child import Child
from crdt_bench.load.flood import greeted
from crdt_bench.load.updates import Device
from crdt_bench.memory_watch import MemoryWatch
from crdt_bench.servers import start_relay
from crdt_bench.usage import MIB
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import Ack, Push, VerdictCode

_PATIENCE_S = 120.0
_ABSENT_S = 1.0  # between the relay's end and its start
_GROWTH_BYTES_MAX = 64 * MIB  # over what it held with all devices connected for the first time
_SAMPLE_S = 0.05


ENDS = {"relay killed": signal.SIGKILL, "relay stopped": signal.SIGTERM}


def run(
    seed: int,
    count: int,
    *,
    ends: Sequence[str] = tuple(ENDS),
    patience_s: float = _PATIENCE_S,
    sessions_max: int | None = None,
) -> Tally:
    """Storms of `count` devices: their links cut, and the relay ended in each way of `ends`.

    With `sessions_max` below `count` some devices are starved, which must be found.
    """
    tally = Tally("reconnect storm", "devices that came back", seed)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as name, _Relay(Path(name) / "relay", sessions_max) as relay:
        uvloop.run(_storms(relay, random.Random(seed), count, ends, patience_s, tally))
    return tally


class _Relay:
    """The relay's process, and the memory that it and its workers held."""

    def __init__(self, data: Path, sessions_max: int | None) -> None:
        self._data = data
        self._sessions_max = sessions_max
        self._child: Child | None = None
        self.port = 0
        self.memory = MemoryWatch(self._pid, _SAMPLE_S)

    def __enter__(self) -> "_Relay":
        self.start()
        self.memory.__enter__()
        return self

    def __exit__(self, *_error: object) -> None:
        self.memory.__exit__()
        self.end(signal.SIGKILL)

    def start(self) -> None:
        """Start it, on the port that it had."""
        self._child, self.port = start_relay(self._data, self.port, self._sessions_max)

    def end(self, how: signal.Signals) -> None:
        """End it with a signal, and wait."""
        child, self._child = self._child, None
        if child is not None:
            os.kill(child.pid, how)
            child.__exit__()

    def _pid(self) -> int | None:
        child = self._child
        return None if child is None else child.pid


async def _storms(
    relay: _Relay, rng: random.Random, count: int, ends: Sequence[str], patience_s: float, tally: Tally
) -> None:
    storm = _Storm(relay, rng, [StormDevice(relay.port, rng) for _ in range(count)], patience_s, tally)
    running = [asyncio.create_task(device.run()) for device in storm.devices]
    loop = asyncio.get_running_loop()
    try:
        if not await storm.all_live("first connection", time.monotonic()):
            return
        await loop.run_in_executor(None, relay.memory.now)
        first = relay.memory.most
        for device in storm.devices:
            device.cut()
        await storm.back("links cut", time.monotonic())
        for what in ends:
            await loop.run_in_executor(None, relay.end, ENDS[what])
            await asyncio.sleep(_ABSENT_S)
            started = time.monotonic()
            await loop.run_in_executor(None, relay.start)
            await storm.back(what, started)
        if relay.memory.most > first + _GROWTH_BYTES_MAX:
            tally.found(f"the relay grew from {first / MIB:.0f} to {relay.memory.most / MIB:.0f} MiB")
        tally.figures.append(f"  relay with its workers: {first / MIB:.0f} MiB, at most {relay.memory.most / MIB:.0f}")
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@dataclass(slots=True)
class _Storm:
    """The devices, and what must be true of them once they are back."""

    relay: _Relay
    rng: random.Random
    devices: list[StormDevice]
    patience_s: float
    tally: Tally

    async def back(self, what: str, since: float) -> None:
        """All are live again, and hear an edit that is made now."""
        if not await self.all_live(what, since):
            return
        record = await self._edit()
        deaf = await self._until(lambda: [device for device in self.devices if record not in device.heard])
        if deaf:
            self.tally.found(f"{what}: {len(deaf)} of {len(self.devices)} devices never hear an edit made after it")
        for device in self.devices:
            device.heard.clear()

    async def all_live(self, what: str, since: float) -> bool:
        """Wait until every device is live, and tell how long it took, from `since` on."""
        starved = await self._until(lambda: [device for device in self.devices if not device.live.is_set()])
        if starved:
            self.tally.found(
                f"{what}: {len(starved)} of {len(self.devices)} devices are not live after {self.patience_s:.0f} s"
            )
            return False
        took = sorted(device.live_at - since for device in self.devices)
        attempts = max(device.attempts for device in self.devices)
        for device in self.devices:
            device.attempts = 0
        self.tally.ran += len(took)
        self.tally.outcomes[what] += len(took)
        self.tally.figures.append(
            f"  {what}: half live after {statistics.median(took):.2f} s, all after {took[-1]:.2f} s, "
            f"{attempts} attempts at most"
        )
        return True

    async def _until(self, missing: Callable[[], list[StormDevice]]) -> list[StormDevice]:
        """Wait until none is missing; those that still are when patience is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.patience_s):
                while missing():
                    await asyncio.sleep(0.02)
        return missing()

    async def _edit(self) -> str:
        """Have an edit of a new device stored; its record."""
        editor = Device(self.rng.randrange(1 << 30), 1, time.time_ns() // 1000)
        connection = await greeted(self.relay.port, editor.replica, time.time_ns() // 1000)
        frame = editor.push(1)
        connection.send(frame)
        while not isinstance(answer := codec.decode(await connection.receive()), Ack):
            pass
        if answer.verdicts[0].code is not VerdictCode.ACCEPTED:
            self.tally.found(f"an edit after the storm is refused: {answer.verdicts[0]}")
        connection.transport.close()
        pushed = codec.decode(frame)
        assert isinstance(pushed, Push)
        return pushed.entries[0].record
