"""What HTTP costs where it takes the place of websockets: the same work over both, in turn."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from crdt_bench.contents import make_device
from crdt_bench.device import open_device
from crdt_bench.results import Measurement, Outcome
from crdt_bench.servers import serving
from crdt_bench.statistics import percentile
from crdt_bench.workspace import workspace

NAME = "transports"
_TRANSPORTS = ("websocket", "http")
_MS = 1000.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """Edits a second, how many in each round, and the records that a device fetches and another one sends."""

    rate: float = 50.0
    edits: int = 300
    records: int = 3000
    rounds: int = 5


SMALL = Sizes(rate=100.0, edits=5, records=20, rounds=1)


def run(sizes: Sizes) -> list[Outcome]:
    """Both transports take turns in each round, each with a relay and devices of its own."""
    taken: dict[str, dict[str, list[float]]] = {transport: {} for transport in _TRANSPORTS}
    with workspace() as folder:
        for number in range(sizes.rounds):
            for transport in _TRANSPORTS:
                for what, value in _round(folder / f"{number}-{transport}", transport, sizes):
                    taken[transport].setdefault(what, []).append(value)
    outcomes: list[Outcome] = []
    for what, unit in (
        (f"edit to its being stored on the other device, {sizes.rate:.0f} a second, p50", "ms"),
        (f"edit to its being stored on the other device, {sizes.rate:.0f} a second, p99", "ms"),
        (f"{sizes.records} records sent", "s"),
        (f"{sizes.records} records fetched", "s"),
    ):
        sides = [tuple(taken[transport][what]) for transport in _TRANSPORTS]
        outcomes += [
            Measurement(NAME, f"{what}: {transport}", unit, side)
            for transport, side in zip(_TRANSPORTS, sides, strict=True)
        ]
        over = tuple(http / websocket for websocket, http in zip(*sides, strict=True))
        outcomes.append(Measurement(NAME, f"{what}: http over websocket", "", over))
    return outcomes


def _round(folder: Path, transport: str, sizes: Sizes) -> Iterator[tuple[str, float]]:
    folder.mkdir()
    with ExitStack() as stack:
        _, port = stack.enter_context(serving(folder / "relay"))
        url = f"ws://127.0.0.1:{port}"
        devices = []
        for name, records in (("writer", 0), ("watcher", 0), ("full", sizes.records), ("empty", 0)):
            make_device(folder / name, records)
            device, _ = open_device(folder / name)
            devices.append(stack.enter_context(device))
        writer, watcher, full, empty = devices
        watcher.tell(["watch", url, sizes.edits, transport])
        watcher.hear()
        begun = writer.ask(["write", url, sizes.rate, sizes.edits, transport])
        arrived = watcher.hear()
        delays = [arrived[record] - moment for record, moment in begun.items()]
        for share in (0.5, 0.99):
            what = f"edit to its being stored on the other device, {sizes.rate:.0f} a second, p{share * 100:.0f}"
            yield what, percentile(delays, share) * _MS
        yield f"{sizes.records} records sent", float(full.ask(["sync", url, transport])["settled_s"])
        fetched = empty.ask(["sync", url, transport])
        if fetched["records"] != sizes.records + sizes.edits:
            raise AssertionError(f"{fetched['records']} records arrived")
        yield f"{sizes.records} records fetched", float(fetched["settled_s"])
