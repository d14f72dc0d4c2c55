"""A device catches up: for the first time, after ten changes, and after none."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from crdt_bench.child import Child
from crdt_bench.contents import make_device, make_relay_store
from crdt_bench.device import open_device
from crdt_bench.results import Measurement, Outcome, Target
from crdt_bench.servers import serving
from crdt_bench.tap import Record, record_of, start_tap
from crdt_bench.workspace import workspace

COLD = "cold sync"
RECONNECT = "reconnect"
_MS = 1000.0
_KIB = 1024.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """Records held by the relay, how many of them change between two connections, and repetitions."""

    records: int = 10_000
    changed: int = 10
    rounds: int = 3


RECONNECTS = Sizes(rounds=15)
SMALL = Sizes(records=60, changed=3, rounds=1)


@contextmanager
def _relay(folder: Path, sizes: Sizes) -> Iterator[tuple[str, str, Child, int]]:
    """A filled relay: its address, the address of a tap before it, the tap, and the bytes of its documents."""
    made = make_relay_store(folder / "relay", sizes.records)
    with ExitStack() as stack:
        _, port = stack.enter_context(serving(folder / "relay"))
        tap, tap_port = start_tap(port)
        stack.enter_context(tap)
        yield f"ws://127.0.0.1:{port}", f"ws://127.0.0.1:{tap_port}", tap, made.size


def run_cold(sizes: Sizes) -> list[Outcome]:
    """An empty device fetches everything; each round is another device."""
    with workspace() as folder, _relay(folder, sizes) as (url, tapped, tap, size):
        seconds = [_cold(folder / f"device-{number}", url, sizes.records) for number in range(sizes.rounds)]
        _cold(folder / "device-tapped", tapped, sizes.records)
        record = record_of(tap)
    what = f"{sizes.records:,} records to an empty device"
    return [
        Measurement(COLD, what, "s", tuple(seconds), Target("at most", 2.0), f"{size / sizes.records:.0f} B a record"),
        Measurement(
            COLD,
            "bytes on the wire, over the bytes of the documents",
            "",
            ((record.frame_bytes + record.upgrade_bytes) / size,),
            Target("at most", 1.2),
            f"{record.frame_bytes + record.upgrade_bytes:,} B both ways, upgrade included, for {size:,} B",
        ),
    ]


def _cold(path: Path, url: str, records: int) -> float:
    make_device(path)
    device, _ = open_device(path)
    with device:
        answer = device.ask(["sync", url])
    if answer["records"] != records:
        raise AssertionError(f"{answer['records']} of {records} records arrived")
    return float(answer["settled_s"])


def run_reconnect(sizes: Sizes) -> list[Outcome]:
    """A device that has everything connects again, again and again; another one makes the changes meanwhile."""
    with workspace() as folder, ExitStack() as stack:
        url, tapped, tap, _ = stack.enter_context(_relay(folder, sizes))
        devices = []
        for path in (folder / "device", folder / "other"):
            make_device(path)
            device, _ = open_device(path)
            devices.append(stack.enter_context(device))
            device.ask(["sync", url])
        changed, unchanged = _reconnects(devices, url, sizes)
        devices[0].ask(["sync", tapped])  # the first time through another address is not what is measured
        record_of(tap)
        unchanged_record = _tapped(devices[0], tapped, tap)
        _change(devices[1], url, sizes, "tapped")
        changed_record = _tapped(devices[0], tapped, tap)
    return [
        *_outcomes(f"{sizes.changed} of {sizes.records:,} changed", changed, changed_record, 25, 2, 12),
        *_outcomes("none changed", unchanged, unchanged_record, None, 1, 1),
    ]


def _reconnects(devices: list[Child], url: str, sizes: Sizes) -> tuple[list[float], list[float]]:
    changed, unchanged = [], []
    for number in range(sizes.rounds):
        _change(devices[1], url, sizes, f"+1 {number}")
        answer = devices[0].ask(["sync", url])
        if answer["received"] != sizes.changed:
            raise AssertionError(f"{answer['received']} updates arrived, not {sizes.changed}")
        changed.append(float(answer["settled_s"]) * _MS)
        unchanged.append(float(devices[0].ask(["sync", url])["settled_s"]) * _MS)
    return changed, unchanged


def _change(device: Child, url: str, sizes: Sizes, value: str) -> None:
    device.ask(["edit", sizes.changed, value])
    device.ask(["sync", url])


def _tapped(device: Child, url: str, tap: Child) -> Record:
    device.ask(["sync", url])
    return record_of(tap)


def _outcomes(
    what: str, times: list[float], record: Record, ms_max: float | None, trips_max: int, kib_max: float
) -> list[Outcome]:
    return [
        Measurement(
            RECONNECT,
            f"{what}: until all is stored",
            "ms",
            tuple(times),
            Target("at most", ms_max) if ms_max else None,
            "from opening the connection, in a process that runs already",
        ),
        Measurement(
            RECONNECT,
            f"{what}: round trips",
            "",
            (float(record.round_trips),),
            Target("at most", trips_max),
            record.shape(),
        ),
        Measurement(
            RECONNECT,
            f"{what}: bytes",
            "KiB",
            (record.frame_bytes / _KIB,),
            Target("at most", kib_max),
            f"all frames both ways; the HTTP upgrade before them adds {record.upgrade_bytes} B",
        ),
    ]
