"""Memory and opening time with many records: on a device, and on a relay with many idle devices."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from crdt_bench.child import Child
from crdt_bench.contents import make_device, make_relay_store
from crdt_bench.device import open_device
from crdt_bench.results import Measurement, Outcome, Target
from crdt_bench.servers import serving
from crdt_bench.usage import MIB
from crdt_bench.workspace import workspace

NAME = "memory"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Records in each store, devices connected to the relay, and how often the device is opened."""

    records: int = 100_000
    devices: int = 1000
    rounds: int = 3


SMALL = Sizes(records=300, devices=5, rounds=1)


def run(sizes: Sizes) -> list[Outcome]:
    """First the device, then the relay, so that only one of them is in memory."""
    with workspace() as folder:
        return [*_device(folder / "device", sizes), *_relay(folder / "relay", sizes)]


def _device(path: Path, sizes: Sizes) -> list[Outcome]:
    make_device(path, sizes.records)
    opened: list[float] = []
    used: list[float] = []
    scanned: list[float] = []
    private: list[float] = []
    for number in range(sizes.rounds):
        device, seconds = open_device(path)
        with device:
            opened.append(seconds)
            device.ask(["edit", 10, f"+2 {number}"])
            used.append(device.ask(["usage"])[0] / MIB)
            device.ask(["scan"])
            usage = device.ask(["usage"])
            scanned.append(usage[0] / MIB)
            private.append(usage[1] / MIB)
    what = f"device with {sizes.records:,} records"
    return [
        Measurement(NAME, f"{what}: opening", "s", tuple(opened), Target("at most", 1.0)),
        Measurement(NAME, f"{what}: resident after ten edits", "MiB", tuple(used), Target("at most", 150)),
        Measurement(
            NAME,
            f"{what}: resident after reading every record",
            "MiB",
            tuple(scanned),
            note="the file cache of the store counts here; the system takes it back when it needs memory",
        ),
        Measurement(NAME, f"{what}: private part of it", "MiB", tuple(private)),
    ]


def _relay(path: Path, sizes: Sizes) -> list[Outcome]:
    made = make_relay_store(path, sizes.records)
    with ExitStack() as stack:
        relay, port = stack.enter_context(serving(path))
        load = Child(
            "crdt_bench.load.idle:hold", port=port, devices=sizes.devices, epoch=made.epoch.hex(), head=made.head
        )
        stack.enter_context(load)
        assert load.hear() == sizes.devices
        usage = relay.usage()
    return [
        Measurement(
            NAME,
            f"relay with {sizes.records:,} records and {sizes.devices:,} idle devices: resident",
            "MiB",
            (usage.resident_bytes / MIB,),
            Target("at most", 250),
            f"with its two workers, shared pages counted in each; {usage.private_bytes / MIB:.0f} MiB are private",
        )
    ]
