"""What it costs two replicas to find out where they differ: reconciliation, plain list, state vectors, in one run.

All three start from the same two sets. The bytes are those of the messages in CBOR, the time is processor time of one
side, encoding and decoding included. What differs is only found, not transferred.

* *reconciliation*: `Reconciler` over pinned indexes; both sides learn the differences;
* *plain list*: one side sends every record with its digest, in frames of 512;
* *state vectors*: one side sends every record with its state vector, in the `Changes` frames of the session.

With the last two only the reader learns the differences; what it would answer is not counted.
"""

import argparse
import base64
import csv
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TextIO

import cbor2

from benchmarks.results import Measurement, Outcome, Target
from crdt_sync.limits import PAGE_RECORDS_MAX
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import Changes, ChangesEntry
from crdt_sync.protocol.reconcile import Index, Pinned, Ranges, Reconciler, decode, encode
from crdt_sync.storage.lmdb.store import LmdbStore
from crdt_sync.storage.port import Batch, Change

NAME = "reconciliation"
_STATE_VECTOR = bytes((2, *b"\xff\xff\xff\xff\xff\xff\x0f", 20, *b"\xfe\xff\xff\xff\xff\xff\x0f", 20))  # two writers
_COMMIT_CHANGES = (1, 100)

Entry = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much to measure; `differences` are for `records` on each side."""

    records: int = 100_000
    differences: tuple[int, ...] = (0, 10, 1000)
    rounds: int = 3
    commits: int = 200


SMALL = Sizes(records=2000, differences=(0, 10), rounds=1, commits=5)


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison of two replicas: a row of the tidy CSV."""

    method: str
    records: int
    differences: int
    repetition: int
    round_trips: float
    bytes: int
    initiator_ms: float
    responder_ms: float


def entries(records: int, seed: int = 1) -> list[Entry]:
    """So many records with ids as `ids.new_record` makes them, ascending, and random digests."""
    rng = random.Random(seed)
    keys = {base64.b32encode(rng.randbytes(16)).decode("ascii").rstrip("=").lower() for _ in range(records)}
    return [(f"customers/{key}", rng.randbytes(16)) for key in sorted(keys)]


def pair(ours: Sequence[Entry], differences: int, seed: int = 1) -> tuple[Index, Index]:
    """Two replicas of `ours` that differ: of each three records one is missing here, one there, one has two states."""
    rng = random.Random(seed)
    here = Index(ours)
    there = here.copy()
    for number, position in enumerate(rng.sample(range(len(ours)), differences)):
        record = ours[position][0]
        if number % 3 == 0:
            there.put(record, rng.randbytes(16))
        else:
            (here, there)[number % 3 - 1].remove(record)
    return here, there


def reconcile(ours: Pinned, theirs: Pinned, differences: int) -> tuple[float, int, float, float]:
    """(round trips, bytes, milliseconds of the initiator, of the responder). Checks how many differences are found."""
    started = time.process_time()
    sides = [Reconciler(ours, True), Reconciler(theirs, False)]
    packed: bytes | None = cbor2.dumps(encode(sides[0].start()))
    spent = [time.process_time() - started, 0.0]
    messages = sent = 0
    found: list[set[str]] = [set(), set()]
    while packed is not None:
        messages, sent = messages + 1, sent + len(packed)
        turn = messages % 2
        started = time.process_time()
        answer: Ranges | None = sides[turn].receive(decode(tuple(cbor2.loads(packed))))
        packed = None if answer is None else cbor2.dumps(encode(answer))
        want, owe = sides[turn].take()
        spent[turn] += time.process_time() - started
        found[turn] |= {entry.record for entry in want} | {entry.record for entry in owe}
    if not len(found[0]) == len(found[1]) == differences:
        raise AssertionError(f"{len(found[0])} and {len(found[1])} differences found, not {differences}")
    return messages / 2, sent, spent[0] * 1000, spent[1] * 1000


def plain_list(ours: Sequence[Entry], theirs: dict[str, bytes]) -> tuple[float, int, float, float]:
    """The same by a list of all digests; the reader notes what differs."""
    pages = list(_pages(ours))
    started = time.process_time()
    frames = [cbor2.dumps(page) for page in pages]
    sent = time.process_time()
    different = 0
    for page in map(cbor2.loads, frames):
        different += sum(theirs.get(record) != digest for record, digest in page)
    return 1.0, sum(map(len, frames)), (sent - started) * 1000, (time.process_time() - sent) * 1000


def state_vectors(ours: Sequence[Entry]) -> tuple[float, int, float, float]:
    """The same by a state vector of two writers for each record."""
    pages = [
        Changes(1, 1, tuple(ChangesEntry(record, number, _STATE_VECTOR) for number, (record, _) in enumerate(page)))
        for page in _pages(ours)
    ]
    held = {record: _STATE_VECTOR for record, _ in ours}
    started = time.process_time()
    frames = [codec.encode(page) for page in pages]
    sent = time.process_time()
    different = 0
    for page in map(codec.decode, frames):
        assert isinstance(page, Changes)
        different += sum(held.get(record) != vector for record, _, vector in page.entries)
    return 1.0, sum(map(len, frames)), (sent - started) * 1000, (time.process_time() - sent) * 1000


def _pages(ours: Sequence[Entry]) -> Iterable[Sequence[Entry]]:
    return (ours[start : start + PAGE_RECORDS_MAX] for start in range(0, len(ours), PAGE_RECORDS_MAX))


def rows(records: int, differences: int, repetition: int, others: bool = True) -> list[Row]:
    """One row for each method."""
    ours = entries(records)
    here, there = pair(ours, differences, repetition)
    measured = [("reconciliation", reconcile(here.pin(), there.pin(), differences))]
    if others:
        pinned = here.pin()
        held = pinned.items("", None, len(pinned))
        measured.append(("plain list", plain_list(held, dict(there.pin().items("", None, len(there))))))
        measured.append(("state vectors", state_vectors(held)))
    return [Row(method, records, differences, repetition, *figures) for method, figures in measured]


def sweep(
    stream: TextIO,
    differences: Sequence[int] = (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000),
    records: Sequence[int] = (100, 1000, 10_000, 100_000, 1_000_000),
    repetitions: int = 3,
) -> None:
    """Tidy CSV: by the number of differences among 100,000 records, and by the number of records with 10."""
    writer = csv.writer(stream)
    writer.writerow([field.name for field in fields(Row)])
    cases = [(max(records[:4]), count) for count in differences if count <= max(records[:4])]
    cases += [(count, 10) for count in records if (count, 10) not in cases]
    for count, different in cases:
        for repetition in range(repetitions):
            writer.writerows(map(astuple, rows(count, different, repetition)))
            stream.flush()


def rebuild_seconds(ours: Sequence[Entry]) -> float:
    """Processor time to build the index anew, and to pin it."""
    started = time.process_time()
    Index(ours).pin()
    return time.process_time() - started


def commit_microseconds(ours: Sequence[Entry], commits: int, changes: int) -> tuple[float, float]:
    """(a durable commit of so many changes, keeping the index current for it), wall time, on average."""
    rng = random.Random(2)
    index = Index(ours)
    committing = keeping = 0.0
    with tempfile.TemporaryDirectory(prefix="crdt-bench-") as folder:
        store = LmdbStore.open(Path(folder) / "store", create=True)
        for number in range(commits):
            chosen = [(record, rng.randbytes(16)) for record, _ in rng.sample(ours, changes)]
            batch = Batch(tuple(_change(record, digest) for record, digest in chosen))
            started = time.perf_counter()
            store.commit([batch])
            between = time.perf_counter()
            for record, digest in chosen:
                index.put(record, digest)
            if number % 50 == 49:  # a partner connects: applies what waits, and makes later changes copy blocks
                index.pin()
            committing += between - started
            keeping += time.perf_counter() - between
        store.close()
    return committing / commits * 1e6, keeping / commits * 1e6


def _change(record: str, digest: bytes) -> Change:
    return Change(record, (b"u" * 60,), b"o" * 16, "anna", 1, _STATE_VECTOR, digest=digest)


def run(sizes: Sizes) -> list[Outcome]:
    """The figures with their targets."""
    outcomes: list[Outcome] = []
    ours = entries(sizes.records)
    for differences in sizes.differences:
        repetitions = [rows(sizes.records, differences, number) for number in range(sizes.rounds)]
        for method in range(3):
            outcomes += _outcomes([repetition[method] for repetition in repetitions])
    rebuilds = tuple(rebuild_seconds(ours) for _ in range(sizes.rounds))
    outcomes.append(Measurement(NAME, f"rebuild of {sizes.records:,}", "s", rebuilds, Target("at most", 5)))
    for changes in _COMMIT_CHANGES:
        costs = [commit_microseconds(ours, sizes.commits, changes) for _ in range(sizes.rounds)]
        what = f"commit of {changes} changes"
        outcomes += [
            Measurement(NAME, what, "µs", tuple(commit for commit, _ in costs)),
            Measurement(NAME, f"{what}: keeping the index current", "µs", tuple(keep for _, keep in costs)),
            Measurement(
                NAME,
                f"{what}: share of the index",
                "%",
                tuple(100 * keep / commit for commit, keep in costs),
                Target("at most", 20),
            ),
        ]
    return outcomes


_TARGETS = {  # by differences among 100,000: round trips, bytes, milliseconds per side
    0: (1.0, 1000.0, None),
    10: (3.0, 25_000.0, 150.0),
    1000: (None, 1_000_000.0, None),
}


def _outcomes(measured: Sequence[Row]) -> list[Outcome]:
    first = measured[0]
    targets = _TARGETS.get(first.differences, (None, None, None)) if first.method == NAME else (None, None, None)
    figures = (
        ("round trips", "", [row.round_trips for row in measured]),
        ("bytes", "B", [float(row.bytes) for row in measured]),
        ("processor time, busier side", "ms", [max(row.initiator_ms, row.responder_ms) for row in measured]),
    )
    return [
        Measurement(
            NAME,
            f"{first.method}, {first.differences:,} of {first.records:,} differ: {what}",
            unit,
            tuple(samples),
            None if bound is None else Target("at most", bound),
        )
        for (what, unit, samples), bound in zip(figures, targets, strict=True)
    ]


def main() -> None:
    """`python -m benchmarks.reconciliation [--sweep FILE] [--small]`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweep", type=Path, help="write the sweep as CSV to this file instead")
    parser.add_argument("--small", action="store_true", help="only see that it works")
    options = parser.parse_args()
    if options.sweep:
        with options.sweep.open("w", encoding="utf-8", newline="") as stream:
            if options.small:
                sweep(stream, (0, 10), (100, 1000), 1)
            else:
                sweep(stream)
        return
    for outcome in run(SMALL if options.small else Sizes()):
        if isinstance(outcome, Measurement):
            target = f"{outcome.target.side} {outcome.target.bound:g}" if outcome.target else ""
            sys.stdout.write(f"{outcome.metric:85} {outcome.value:12.2f} {outcome.unit:3} {target}\n")


if __name__ == "__main__":
    main()
