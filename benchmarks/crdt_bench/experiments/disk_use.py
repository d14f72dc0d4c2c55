"""What a record takes on disk: on the relay and on devices, when it came whole and after it was edited."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import lmdb

from crdt_bench.child import Child
from crdt_bench.contents import fill, make_device
from crdt_bench.device import open_device
from crdt_bench.results import Measurement, Outcome
from crdt_bench.servers import serving
from crdt_bench.workspace import workspace
from crdt_sync import Replica
from crdt_sync.storage.lmdb import LmdbStore
from crdt_sync.storage.lmdb.tables import TABLE_NAMES

NAME = "disk"
_ALL = 1 << 62
_SHARE = 0.01  # databases that take less of a file are not told


@dataclass(frozen=True, slots=True)
class Sizes:
    """Records, and how often each of them is edited and synced."""

    records: int = 3000
    edits: int = 10
    rounds: int = 1


SMALL = Sizes(records=60, edits=1)


@dataclass(frozen=True, slots=True)
class Used:
    """A data file: its bytes, and those of the pages of each database in use. The others are free."""

    total: int
    tables: dict[str, int]


def used(path: Path) -> Used:
    """What the databases of the store in that directory take; nobody has it open."""
    tables = {}
    with lmdb.open(str(path), readonly=True, max_dbs=len(TABLE_NAMES) + 1, create=False) as environment:
        for name in TABLE_NAMES:
            table = environment.open_db(name.encode("ascii"), create=False)
            with environment.begin(db=table) as transaction:
                stat = transaction.stat(table)
            pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
            tables[name] = pages * stat["psize"]
    return Used((path / "data.mdb").stat().st_size, tables)


def run(sizes: Sizes) -> list[Outcome]:
    """Each round has a relay, a device that makes and edits the records, and one that fetches them in between."""
    samples: dict[str, list[float]] = {}
    for _ in range(sizes.rounds):
        for what, value in _round(sizes):
            samples.setdefault(what, []).append(value)
    return [Measurement(NAME, what, "B a record", tuple(values)) for what, values in samples.items()]


def _round(sizes: Sizes) -> Iterator[tuple[str, float]]:
    with workspace() as folder:
        relay, writer, reader = (folder / name for name in ("relay", "writer", "reader"))
        make_device(reader)
        make_device(writer)
        with Replica.open(writer) as replica:
            size = fill(replica.store, sizes.records, 3, views=True)
        yield "documents that come whole", size / sizes.records
        _synced(relay, [writer, reader], [])
        for name, path in (("relay", relay), ("device that fetched them", reader), ("device that made them", writer)):
            yield from _told(f"came whole, {name}", path, sizes)
        _synced(relay, [writer], [f"+1 {number}" for number in range(sizes.edits)])
        what = f"edited {sizes.edits} times"
        for name, path in (("relay", relay), ("device that edited them", writer)):
            yield from _told(f"{what}, {name}", path, sizes)
        with LmdbStore.open(relay) as store:
            store.compact()
            store.copy(folder / "copy")
        yield from _told(f"{what}, relay, compacted and copied", folder / "copy", sizes)


def _synced(relay: Path, devices: Sequence[Path], values: Sequence[str]) -> None:
    """One device after the other syncs; then the last sets each value in all records, and syncs after each."""
    with serving(relay) as (_, port), ExitStack() as stack:
        url = f"ws://127.0.0.1:{port}"
        for path in devices:
            device, _ = open_device(path)
            stack.enter_context(device)
            device.ask(["sync", url])
        for value in values:
            _edit(device, value, url)


def _edit(device: Child, value: str, url: str) -> None:
    device.ask(["edit", _ALL, value])
    device.ask(["sync", url])


def _told(what: str, path: Path, sizes: Sizes) -> Iterator[tuple[str, float]]:
    found = used(path)
    yield what, found.total / sizes.records
    for name, size in found.tables.items():
        if size > _SHARE * found.total:
            yield f"{what}: {name}", size / sizes.records
    yield f"{what}: free", (found.total - sum(found.tables.values())) / sizes.records
