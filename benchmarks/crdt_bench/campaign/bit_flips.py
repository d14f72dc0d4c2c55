"""Bits that rot: one bit of a stored value is flipped in the file, and every read is right or refused."""

import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import lmdb

from crdt_bench.campaign.confined import confined
from crdt_bench.campaign.encrypted import prepare
from crdt_bench.campaign.store_history import READINGS, history, observe
from crdt_bench.campaign.tally import Tally
from crdt_sync.errors import CrdtSyncError
from crdt_sync.storage import Batch, LmdbStore, Store

_STEPS = 24
_RECORDS_MAX = 1000
_FOUND_BY_VERIFY = " (verify finds it)"
_OPENED_ONCE = {b"store"}  # read when the store is opened, so it is opened for each flip of these


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stored value is in the file."""

    table: bytes
    key: bytes
    offset: int
    length: int


def run(seed: int, count: int, *, encrypted: bool = False) -> Tally:
    """Flip `count` bits of values, one at a time, each put right before the next."""
    tally = Tally("bit flips", "flips", seed)
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        path = _compact(Path(name), seed, encrypted)
        places = _places(path)
        content = (path / "data.mdb").read_bytes()
        with LmdbStore.open(path) as store:
            truth = {**observe(store), "epoch": store.epoch}
        for place, number in Counter(rng.choices(places, k=count)).items():
            bits = [rng.randrange(8 * place.length) for _ in range(number)]
            if place.table in _OPENED_ONCE:
                for bit in bits:
                    _judge(path, place, bit, truth, tally, None)
                    (path / "data.mdb").write_bytes(content)  # opening it may have mended it on another page
                continue
            with LmdbStore.open(path) as store:
                for bit in bits:
                    _judge(path, place, bit, truth, tally, store)
    return tally


def run_anywhere(seed: int, count: int, *, encrypted: bool = False) -> Tally:
    """Flip bits anywhere in the file, LMDB's own pages included, each in a process that may die of it.

    LMDB has no checksums of its own, so the process may be ended by it; a read that is wrong and not found by
    `verify` is a broken promise all the same.
    """
    tally = Tally("bit flips anywhere", "flips", seed)
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        path = _compact(Path(name), seed, encrypted)
        with LmdbStore.open(path) as store:
            truth = {**observe(store), "epoch": store.epoch}
        content = (path / "data.mdb").read_bytes()
        for _ in range(count):
            bit = rng.randrange(8 * len(content))
            _flip(path, bit)
            outcome = confined(partial(_outcome, path, truth, None))
            (path / "data.mdb").write_bytes(content)
            tally.ran += 1
            if outcome.startswith(("killed", "detected", "harmless", "mended")):
                tally.outcomes[outcome] += 1
            elif outcome.endswith(_FOUND_BY_VERIFY):
                tally.outcomes["wrong until verified"] += 1
            else:
                tally.found(f"bit {bit} of the file: {outcome}")
    return tally


def run_repaired(seed: int, count: int, *, encrypted: bool = False) -> Tally:
    """Flip bits of values, one at a time, and repair: a second look finds nothing, and no other record is touched."""
    tally = Tally("bit flips repaired", "flips", seed)
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        path = _compact(Path(name), seed, encrypted)
        places = [place for place in _places(path) if place.table not in _OPENED_ONCE]
        content = (path / "data.mdb").read_bytes()
        with LmdbStore.open(path) as store:
            truth = {record: store.load(record).updates for record in store.records("", _RECORDS_MAX)}
        for place in rng.choices(places, k=count):
            bit = 8 * place.offset + rng.randrange(8 * place.length)
            _flip(path, bit)
            outcome = _repaired(path, truth)
            (path / "data.mdb").write_bytes(content)
            tally.ran += 1
            tally.outcomes[outcome.partition(":")[0]] += 1
            if outcome not in {"nothing damaged", "one record set aside"}:
                tally.found(f"bit {bit} of {place.key!r} in {place.table!r}: {outcome}")
    return tally


def _repaired(path: Path, truth: dict[str, tuple[bytes, ...]]) -> str:
    with LmdbStore.open(path) as store:
        damaged = store.damaged()
        intact = sum(len(remains.entries) for remains in store.remains(damaged).values())
        store.replace(damaged, Batch())
        store.rebuild()
        if store.verify().findings:
            return "wrong: a second look finds more"
        left = {record: store.load(record).updates for record in store.records("", _RECORDS_MAX)}
        if left != {record: updates for record, updates in truth.items() if record not in damaged}:
            return "wrong: another record was changed"
        if sum(len(remains.entries) for remains in store.remains(damaged).values()) != intact:
            return "wrong: intact log entries are gone"
        if len(damaged) > 1:
            return "wrong: one bit took several records"
        return "one record set aside" if damaged else "nothing damaged"


def _judge(path: Path, place: Place, bit: int, truth: dict[str, object], tally: Tally, store: LmdbStore | None) -> None:
    _flip(path, 8 * place.offset + bit)
    outcome = _outcome(path, truth, store)
    _flip(path, 8 * place.offset + bit)
    tally.ran += 1
    tally.outcomes[outcome.partition(":")[0]] += 1
    if outcome not in {"detected", "mended"}:
        tally.found(f"bit {bit} of {place.key!r} in {place.table!r}: {outcome}")


def _outcome(path: Path, truth: dict[str, object], store: LmdbStore | None) -> str:
    """`detected` by a read or by verification, `mended` (a new epoch), `harmless`, or `wrong` and which reading."""
    if store is not None:
        return _read(store, truth)
    try:
        opened = LmdbStore.open(path)
    except CrdtSyncError:
        return "detected"
    try:
        outcome = _read(opened, truth)
        return "mended" if outcome == "harmless" and opened.epoch != truth["epoch"] else outcome
    finally:
        opened.close()


def _read(store: Store, truth: dict[str, object]) -> str:
    refused = 0
    wrong: list[str] = []
    for name, reading in READINGS.items():
        try:
            if reading(store) != truth[name]:
                wrong.append(name)
        except CrdtSyncError:
            refused += 1
        except Exception as error:
            wrong.append(f"{name} ({type(error).__name__})")
    try:
        found = bool(store.verify().findings)
    except CrdtSyncError:
        found = True
    except Exception as error:
        return f"wrong: verify raised {type(error).__name__}"
    if wrong:
        return f"wrong: {', '.join(wrong)}" + (_FOUND_BY_VERIFY if found else "")
    if refused and not found:
        return "wrong: verify does not find what reading refuses"
    return "detected" if found else "harmless"


def _flip(path: Path, bit: int) -> None:
    with (path / "data.mdb").open("r+b") as file:
        file.seek(bit // 8)
        byte = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


def _compact(directory: Path, seed: int, encrypted: bool) -> Path:
    """A store without free pages, so that every value is in the file once."""
    with LmdbStore.open(prepare(directory / "first", encrypted=encrypted), create=True) as store:
        for step in islice(history(seed, _STEPS), _STEPS):
            step(store)
        store.copy(directory / "store")
    LmdbStore.open(directory / "store").close()  # a copy gets a new epoch when it is opened first
    with lmdb.open(str(directory / "store"), max_dbs=16) as environment:
        prepare(directory / "compact", encrypted=encrypted).mkdir(exist_ok=True)
        environment.copy(str(directory / "compact"), compact=True)
    return directory / "compact"


def _places(path: Path) -> list[Place]:
    """Every value that is not empty, and in the file once."""
    content = (path / "data.mdb").read_bytes()
    return [
        Place(table, key, content.index(value), len(value))
        for table, key, value in stored_values(path)
        if content.count(value) == 1
    ]


def stored_values(path: Path) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Every value of a closed store that is not empty, with its database and key."""
    with lmdb.open(str(path), max_dbs=32) as environment:
        with environment.begin() as transaction:
            tables = list(transaction.cursor().iternext(values=False))
        for table in tables:
            handle = environment.open_db(table, create=False)
            with environment.begin() as transaction:
                yield from ((table, key, value) for key, value in transaction.cursor(db=handle) if value)
