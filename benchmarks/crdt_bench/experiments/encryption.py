"""What it costs that a device's store is encrypted: imports, a first sync, pages of records, bytes on the disk.

Rounds alternate between a plain store and an encrypted one, and ratios are those of neighbours: a machine that does
other work beside slows both.
"""

from dataclasses import dataclass
from pathlib import Path

from crdt_bench.contents import make_device, make_relay_store
from crdt_bench.device import open_device
from crdt_bench.experiments.whole_device import command, write_table
from crdt_bench.results import Measurement, Outcome, Target
from crdt_bench.servers import serving
from crdt_bench.workspace import workspace
from crdt_sync.storage.encryption import key_box
from crdt_sync.storage.lmdb import changing

NAME = "encryption"
_KEY = bytes(range(32))
_TARGET = Target("at most", 1.3)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rows of the table that is imported, and records that an empty device fetches."""

    rows: int = 10_000
    records: int = 10_000
    rounds: int = 5


SMALL = Sizes(rows=100, records=60, rounds=1)


@dataclass(frozen=True, slots=True)
class _Pairs:
    """What was measured of a plain and of an encrypted store, in rounds."""

    plain: list[float]
    encrypted: list[float]

    def outcomes(self, what: str, unit: str, target: Target | None = None) -> list[Outcome]:
        ratios = tuple(after / before for before, after in zip(self.plain, self.encrypted, strict=True))
        return [
            Measurement(NAME, f"{what}: plain", unit, tuple(self.plain)),
            Measurement(NAME, f"{what}: encrypted", unit, tuple(self.encrypted)),
            Measurement(NAME, f"{what}: encrypted over plain", "", ratios, target),
        ]


def run(sizes: Sizes) -> list[Outcome]:
    """Import and lists are commands, each a process of its own; a sync is one of a device that runs already."""
    with workspace() as folder:
        key_box.make_key_file(folder / "wrapping-key")
        return [*_imports(folder, sizes), *_syncs(folder, sizes)]


def _device(folder: Path, name: str, encrypted: bool) -> Path:
    """A new device without records."""
    store = folder / name
    make_device(store)
    if encrypted:
        changing.encrypt(store, _KEY, key_box.by_key_file(_KEY, folder / "wrapping-key"))
    return store


def _imports(folder: Path, sizes: Sizes) -> list[Outcome]:
    table = folder / "customers.csv"
    write_table(table, sizes.rows)
    seconds, processor, disk, found = (_Pairs([], []) for _ in range(4))
    for number in range(-1, sizes.rounds):  # the first round is not counted: it reads what the others find in memory
        for encrypted in (False, True):
            store = _device(folder, f"import {number} {encrypted}", encrypted)
            taken = command(store, "import", str(table), "--json")
            looked = command(store, "find", "nobody-has-this", "--json")
            if number >= 0:
                _add(seconds, encrypted, taken[0])
                _add(processor, encrypted, taken[1])
                _add(disk, encrypted, (store / "data.mdb").stat().st_size / sizes.rows)
                _add(found, encrypted, looked[1])
    what = f"import of {sizes.rows:,} rows"
    return [
        *seconds.outcomes(what, "s", _TARGET),
        *processor.outcomes(f"{what}, processor time", "s", _TARGET),
        *disk.outcomes("disk, a row imported", "B"),
        *found.outcomes(f"find among {sizes.rows:,} records, processor time", "s"),
    ]


def _syncs(folder: Path, sizes: Sizes) -> list[Outcome]:
    make_relay_store(folder / "relay", sizes.records)
    seconds, processor = _Pairs([], []), _Pairs([], [])
    with serving(folder / "relay") as (_, port):
        for number in range(-1, sizes.rounds):
            for encrypted in (False, True):
                device, _ = open_device(_device(folder, f"sync {number} {encrypted}", encrypted))
                with device:
                    answer = device.ask(["sync", f"ws://127.0.0.1:{port}"])
                if answer["records"] != sizes.records:
                    raise AssertionError(f"{answer['records']} of {sizes.records} records arrived")
                if number >= 0:
                    _add(seconds, encrypted, float(answer["settled_s"]))
                    _add(processor, encrypted, float(answer["processor_s"]))
    what = f"{sizes.records:,} records to an empty device"
    return [
        *seconds.outcomes(what, "s", _TARGET),
        *processor.outcomes(f"{what}, processor time of the device", "s", _TARGET),
    ]


def _add(pairs: _Pairs, encrypted: bool, value: float) -> None:
    (pairs.encrypted if encrypted else pairs.plain).append(value)
