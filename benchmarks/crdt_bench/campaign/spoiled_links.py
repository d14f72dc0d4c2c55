"""Devices behind spoiled links: rounds of edits and broken syncs, then a good link, and all must agree."""

import asyncio
import random
import tempfile
from contextlib import suppress
from pathlib import Path

from crdt_bench.campaign.proxy import FAULTS, Proxy
from crdt_bench.campaign.tally import Tally
from crdt_relay.server import Relay
from crdt_relay.settings import load
from crdt_sync import Address, Replica, bundled_schema
from crdt_sync.errors import RemoteError
from crdt_sync.runtime import compare_once, sync_once

_RECORDS = tuple(f"customers/{number}" for number in range(6))
_LINK_BYTES_MAX = 6000  # by then every link was spoiled
_PATIENCE_S = 1.0  # for a link that may be half open
_HEALED_S = 30.0
_EDITS = 4


def run(seed: int, count: int) -> Tally:
    """`count` rounds: in each, two devices edit and sync over links spoiled in a drawn way."""
    tally = Tally("spoiled links", "links", seed)
    asyncio.run(_rounds(random.Random(seed), count, tally))
    return tally


async def _rounds(rng: random.Random, count: int, tally: Tally) -> None:
    with tempfile.TemporaryDirectory() as name:
        relay = await Relay.start(
            load({"data": Path(name) / "relay", "port": 0, "metrics": False, "log_level": "error"})
        )
        schema = bundled_schema("customers")
        devices = [Replica.create(Path(name) / who, who, [schema]) for who in ("anna", "bob")]
        added: set[str] = set()
        try:
            for number in range(count):
                for device in devices:
                    added |= _edit(device, rng, number)
                    fault = FAULTS[(number + (device is devices[1])) % len(FAULTS)]
                    tally.ran += 1
                    tally.outcomes[f"{fault}: {await _spoiled(device, relay.port, fault, rng)}"] += 1
            await _heal(devices, relay.url, added, tally)
        finally:
            for device in devices:
                device.close()
            await relay.stop()


def _edit(device: Replica, rng: random.Random, number: int) -> set[str]:
    added = set()
    for edit in range(_EDITS):
        tag = f"{device.name} {number} {edit}"
        with device.edit(rng.choice(_RECORDS), create=True) as editor:
            editor["name"] = tag
            editor.add("tags", tag)
            editor.increment("visits")
        added.add(tag)
    return added


async def _spoiled(device: Replica, port: int, fault: str, rng: random.Random) -> str:
    """How a sync over a spoiled link ended. Any other error than these goes up: it is a finding."""
    async with Proxy(port, fault, rng, rng.randrange(_LINK_BYTES_MAX)) as proxy:
        with suppress(TimeoutError):
            try:
                await asyncio.wait_for(sync_once(device, Address(f"ws://127.0.0.1:{proxy.port}")), _PATIENCE_S)
                return "synced"
            except RemoteError:
                return "lost"
        return "given up"


async def _heal(devices: list[Replica], url: str, added: set[str], tally: Tally) -> None:
    """A good link: everything arrives, nothing is missing, nothing is counted twice."""
    try:
        for device in (*devices, *devices):
            await asyncio.wait_for(sync_once(device, Address(url)), _HEALED_S)
        for device in devices:
            compared = await asyncio.wait_for(compare_once(device, Address(url)), _HEALED_S)
            if not compared.equal:
                tally.found(f"{device.name} and the relay differ: {compared}")
    except (RemoteError, TimeoutError) as error:
        tally.found(f"a good link fails afterwards: {type(error).__name__}: {error}")
        return
    for device in devices:
        views = list(device.list("customers"))
        held = {tag for view in views for tag in view["tags"]}
        visits = sum(view["visits"] for view in views)
        if held != added:
            tally.found(f"{device.name} lacks {len(added - held)} edits and has {len(held - added)} that nobody made")
        if visits != len(added):
            tally.found(f"{device.name} counts {visits} visits of {len(added)}")
        if device.status().unreadable:
            tally.found(f"{device.name} could not read {device.status().unreadable}")
