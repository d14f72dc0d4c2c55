"""What it costs to find out in which records two stores differ, and to keep what that needs.

The stores are real and were compared before, so each keeps an index, which the changes since are not in yet.
"""

import csv
import importlib
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from crdt_bench.experiments.comparing import METHODS
from crdt_bench.results import Measurement, Outcome, Target
from crdt_bench.workspace import workspace
from crdt_sync import ids
from crdt_sync.replica.index import UNKNOWN_TO_ACCEPTOR, StoreIndex
from crdt_sync.storage.lmdb import LmdbStore
from crdt_sync.storage.values import Batch, Change

NAME = "reconciliation"
_TARGETS = {  # by differences among 100,000: round trips, bytes, ms of processor time of the busier side
    0: (1.0, 1000.0, None),
    10: (3.0, 25_000.0, 150.0),
    1000: (None, 1_000_000.0, None),
}
_TARGET_RECORDS = 100_000
_PER_COMMIT = 2000
_FOLLOWED_COMMITS = 10  # between two comparisons, where the upkeep of the index is measured


@dataclass(frozen=True, slots=True)
class Sizes:
    """`differences` are among `records`; `among` are numbers of records with `few` differences."""

    records: int = 100_000
    differences: tuple[int, ...] = (0, 1, 10, 100, 1000, 10_000)
    among: tuple[int, ...] = (1000, 10_000, 100_000, 300_000)
    few: int = 10
    commits: int = 500
    rounds: int = 5

    def cases(self) -> list[tuple[int, int]]:
        """(records, differences), each once."""
        return sorted(
            {(self.records, count) for count in self.differences} | {(count, self.few) for count in self.among}
        )


SMALL = Sizes(records=1500, differences=(0, 10), among=(200, 1500), commits=50, rounds=1)


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison of two stores: a row of the tidy CSV. Times in milliseconds."""

    method: str
    records: int
    differences: int
    round: int
    round_trips: float
    bytes: int
    initiator_cpu_ms: float
    responder_cpu_ms: float
    wall_ms: float

    @property
    def cpu_ms(self) -> float:
        """Processor time of the busier side."""
        return max(self.initiator_cpu_ms, self.responder_cpu_ms)


class Study:
    """Measures, and afterwards writes each comparison and two figures into a folder."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def run(self, sizes: Sizes) -> list[Outcome]:
        """The figures with their targets."""
        self.rows = [row for case in sizes.cases() for row in compare(*case, sizes.rounds)]
        shown = {(sizes.records, count) for count in sizes.differences}
        outcomes: list[Outcome] = []
        for records, differences in sorted(shown, key=lambda case: case[1]):
            for method in METHODS:
                case = (method, records, differences)
                outcomes += _outcomes([row for row in self.rows if (row.method, row.records, row.differences) == case])
        return outcomes + upkeep(sizes)

    def write(self, folder: Path) -> None:
        """`reconciliation.csv`, and the figures by differences and by records."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "reconciliation.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, [field.name for field in fields(Row)])
            writer.writeheader()
            writer.writerows(map(asdict, self.rows))
        # Not at the top: to import matplotlib takes as long as all the rest of crdt-bench.
        importlib.import_module("crdt_bench.experiments.comparison_plots").plot(
            self.rows, folder / "reconciliation.png"
        )


def compare(records: int, differences: int, rounds: int) -> Iterator[Row]:
    """One row for each method and round. Raises `AssertionError` unless both sides find all that differs."""
    with _pair(records, differences) as paths:
        for number in range(rounds):
            for method, exchange_between in METHODS.items():
                with LmdbStore.open(paths[0]) as here, LmdbStore.open(paths[1]) as there:
                    kept = here.kept_index(), there.kept_index()
                    exchange = exchange_between(here, there)
                    here.keep_index(kept[0])
                    there.keep_index(kept[1])
                if not len(exchange.found[0]) == len(exchange.found[1]) == differences:
                    raise AssertionError(f"{[*map(len, exchange.found)]} of {differences} found by {method}")
                spent = [seconds * 1000 for seconds in (*exchange.processor_s, exchange.wall_s)]
                yield Row(method, records, differences, number, exchange.messages / 2, exchange.sent_bytes, *spent)


@contextmanager
def _pair(records: int, differences: int) -> Iterator[tuple[Path, Path]]:
    """Two stores: of three differences one record is only here, one only there, one has two states."""
    rng = random.Random(records)
    common = [ids.new_record("customers", rng) for _ in range(records - differences // 3)]
    changes: tuple[list[Change], list[Change]] = [], []
    for number, record in enumerate(rng.sample(common, differences)):
        if number % 3 == 2:
            changes[1].append(_change(record, rng))
        else:
            changes[number % 3].append(_change(ids.new_record("customers", rng), rng))
    with workspace() as folder:
        paths = folder / "here", folder / "there"
        with LmdbStore.open(paths[0], create=True) as store:
            _commit(store, [_change(record, rng) for record in common])
            store.copy(paths[1])
        for path, changed in zip(paths, changes, strict=True):
            with LmdbStore.open(path) as store:
                StoreIndex(store, UNKNOWN_TO_ACCEPTOR).pin()
                _commit(store, changed)
        yield paths


def _commit(store: LmdbStore, changes: Sequence[Change]) -> None:
    for start in range(0, len(changes), _PER_COMMIT):
        store.commit([Batch(tuple(changes[start : start + _PER_COMMIT]))])


def _change(record: str, rng: random.Random) -> Change:
    """An update of 60 bytes by one of two writers, which their state vector tells of."""
    state_vector = bytes(
        (2, *b"\xff\xff\xff\xff\xff\xff\x0f", 20, *b"\xfe\xff\xff\xff\xff\xff\x0f", rng.randrange(128))
    )
    digest = rng.randbytes(16)
    return Change(record, (digest + b"u" * 44,), b"o" * 16, "anna", 1, state_vector + digest[:2], digest=digest)


def upkeep(sizes: Sizes) -> list[Outcome]:
    """What it takes to build the index, to keep and to take it up, and to follow commits; on one store."""
    rng = random.Random(2)
    records = [ids.new_record("customers", rng) for _ in range(sizes.records)]
    built, taken, outcomes = [], [], []
    with workspace() as folder, LmdbStore.open(folder / "store", create=True) as store:
        _commit(store, [_change(record, rng) for record in records])
        for _ in range(sizes.rounds):
            store.keep_index(())
            built.append(_pin_seconds(store))
            taken.append(_pin_seconds(store))
        kept_after = sizes.records // 10  # changes: a round of the larger commits keeps the index once
        for changes, commits in ((1, sizes.commits), (100, max(kept_after // 100, 1) + _FOLLOWED_COMMITS)):
            outcomes += _following(store, records, commits, changes, sizes.rounds)
    return [
        Measurement(
            NAME, f"building and keeping the index of {sizes.records:,}", "s", tuple(built), Target("at most", 5)
        ),
        Measurement(NAME, f"taking the kept index of {sizes.records:,} up", "s", tuple(taken)),
        *outcomes,
    ]


def _pin_seconds(store: LmdbStore) -> float:
    started = time.process_time()
    StoreIndex(store, UNKNOWN_TO_ACCEPTOR).pin()
    return time.process_time() - started


def _following(store: LmdbStore, records: Sequence[str], commits: int, changes: int, rounds: int) -> list[Outcome]:
    """The index follows after every ten commits, as in a relay that partners meet again and again."""
    rng = random.Random(3)
    store.keep_index(())  # built whole: opening blocks that were kept is no cost of a commit
    index = StoreIndex(store, UNKNOWN_TO_ACCEPTOR)
    index.pin()
    committing, following = [], []
    for _ in range(rounds):
        spent = [0.0, 0.0]
        for number in range(commits):
            batch = Batch(tuple(_change(record, rng) for record in rng.sample(records, changes)))
            started = time.perf_counter()
            store.commit([batch])
            between = time.perf_counter()
            if number % _FOLLOWED_COMMITS == _FOLLOWED_COMMITS - 1:
                index.pin()
            spent[0] += between - started
            spent[1] += time.perf_counter() - between
        committing.append(spent[0] / commits * 1e6)
        following.append(spent[1] / commits * 1e6)
    what = f"commit of {changes} change{'s' if changes > 1 else ''}"
    shares = tuple(100 * follow / commit for follow, commit in zip(following, committing, strict=True))
    return [
        Measurement(NAME, what, "µs", tuple(committing)),
        Measurement(NAME, f"{what}: following it with the index", "µs", tuple(following)),
        Measurement(NAME, f"{what}: following, over the commit", "%", shares, Target("at most", 20)),
    ]


def _outcomes(rows: Sequence[Row]) -> list[Outcome]:
    first = rows[0]
    aimed = first.method == "ranges" and first.records == _TARGET_RECORDS
    targets = _TARGETS.get(first.differences, (None, None, None)) if aimed else (None, None, None)
    figures = (
        ("round trips", "", [row.round_trips for row in rows]),
        ("bytes", "B", [float(row.bytes) for row in rows]),
        ("processor time, busier side", "ms", [row.cpu_ms for row in rows]),
    )
    return [
        Measurement(
            NAME,
            f"{first.differences:,} of {first.records:,} differ, {first.method}: {what}",
            unit,
            tuple(samples),
            None if bound is None else Target("at most", bound),
        )
        for (what, unit, samples), bound in zip(figures, targets, strict=True)
    ]
