"""What a device does with much data: a table of many rows, a search among many records, an edit of a long note."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crdt_bench.contents import make_device
from crdt_bench.results import Measurement, Outcome, Target
from crdt_bench.usage import KIB, MIB
from crdt_bench.workspace import workspace
from crdt_sync import Replica, bundled_schema

NAME = "device"
_WORDS = ("calls", "pays", "late", "gladly", "in", "cash", "by", "card", "asks", "for", "Anna", "June", "Ulm", "rebate")


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rows of the table, records that are searched, bytes of the note, and how often it is edited each round."""

    rows: int = 200_000
    records: int = 100_000
    note_bytes: int = 400_000
    edits: int = 20
    rounds: int = 3


SMALL = Sizes(rows=200, records=100, note_bytes=2000, edits=2, rounds=1)


def run(sizes: Sizes) -> list[Outcome]:
    """Import and search are commands, each a process of its own; edits are made by the API."""
    with workspace() as folder:
        return [*_import(folder, sizes), *_search(folder / "many", sizes), *_note(folder / "note", sizes)]


def _import(folder: Path, sizes: Sizes) -> list[Outcome]:
    table = folder / "customers.csv"
    write_table(table, sizes.rows)
    samples: list[Sequence[float]] = []
    for number in range(sizes.rounds):
        store = folder / f"imported {number}"
        Replica.create(store, "bench", [bundled_schema("customers")]).close()
        samples.append(command(store, "import", str(table), "--json"))
    wall, processor, resident = zip(*samples, strict=True)
    what = f"import of {sizes.rows:,} rows of 7 columns"
    return [
        Measurement(NAME, what, "s", wall, Target("at most", 60.0)),
        Measurement(NAME, f"{what}: processor time", "s", processor),
        Measurement(NAME, f"{what}: resident at most", "MiB", resident, Target("at most", 300e6 / MIB)),
    ]


def _search(store: Path, sizes: Sizes) -> list[Outcome]:
    make_device(store, sizes.records)
    wall = [command(store, "find", "nobody-has-this", "--json")[0] for _ in range(sizes.rounds)]
    what = f"find among {sizes.records:,} records, the whole command"
    return [Measurement(NAME, what, "s", tuple(wall), Target("at most", 0.5))]


def _note(store: Path, sizes: Sizes) -> list[Outcome]:
    """An edit is measured from its beginning until it is on the disk."""
    rng = random.Random("a note")
    text = ""
    while len(text) < sizes.note_bytes:
        text += " ".join(rng.choices(_WORDS, k=12)) + ".\n"
    samples = []
    with Replica.create(store, "bench", [bundled_schema("customers")]) as replica:
        with replica.edit("customers") as customer:
            customer.update({"name": "Us", "notes": text})
            record = customer.record
        for _ in range(sizes.rounds * sizes.edits):
            place = rng.randrange(len(text))
            started = time.perf_counter()
            with replica.edit(record) as customer:
                customer.text("notes").insert(place, "x")
            samples.append((time.perf_counter() - started) * 1000)
    what = f"one edit of a note of {sizes.note_bytes / 1000:,.0f} kB"
    return [Measurement(NAME, what, "ms", tuple(samples), Target("at most", 10.0))]


def write_table(path: Path, rows: int) -> None:
    """Write a table of customers, the same in every run."""
    rng = random.Random("a table")
    with path.open("w", encoding="utf-8") as stream:
        stream.write("Name,Email,Phone,City,Country,Tags,Notes\n")
        for number in range(rows):
            note = " ".join(rng.choices(_WORDS, k=8))
            stream.write(
                f"Customer {number},c{number}@example.com,+49 30 {1_000_000 + number},Town {number % 500},"
                f"Germany,vip; t{number % 20},{note}\n"
            )


def command(store: Path, *words: str) -> Sequence[float]:
    """Seconds of time and of processor time, and MiB of memory at most, of a command on a store."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "crdt_sync", "--store", str(store), *words], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise AssertionError(f"{' '.join(words)} ended with {process.returncode}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * KIB / MIB
