"""What an update costs, counted and not timed: the same on every machine of a kind, however busy it is.

Calls of functions, Python's and C's, show a check, an object or a read of the store too many. Instructions show all
that the processor does, libraries included; they need valgrind, and differ with every build of Python and of libraries.
So only calls have bounds: what was counted with Python 3.11, and a twentieth. Later versions call less, as they inline
comprehensions.
"""

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from crdt_bench.load.updates import COLLECTION, Device, EditedRecord
from crdt_bench.minimal.host import MinimalHost
from crdt_bench.results import Measurement, Outcome, Skipped, Target
from crdt_sync import ids
from crdt_sync.clock import HybridClock
from crdt_sync.ids import Space
from crdt_sync.policy.in_force import InForce
from crdt_sync.policy.reading import parse_policy
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import Hello, Terms, Welcome
from crdt_sync.protocol.terms import terms_of
from crdt_sync.protocol.versions import VERSIONS
from crdt_sync.records import Integrator, bundled_schema
from crdt_sync.records.gate.permitted import Rules
from crdt_sync.replica import Replica
from crdt_sync.storage.lmdb import LmdbStore
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch

NAME = "instructions"
_NOW = 1_790_000_000_000_000  # microseconds since 1970; any moment will do
_WARM = 8  # operations before calls are counted: what is done once is no part of it
_NOTE = "with what prepares the operation; to be compared on one machine"
_MAP_BYTES = 1 << 30  # of the store: valgrind lets no process map as much at once as a device does
_POLICY = """
[[role.sales.grant]]
collection = "customers"
read = ["*"]
write = ["*"]
operations = ["create", "edit"]

[user.bench]
role = "sales"
"""
_COLLECTED = re.compile(rb"Collected : (\d+)")

Steps = Iterator[Callable[[], object]]
"""One operation after the other, to be carried out as they come; what prepares them is done between."""


class HotPath(NamedTuple):
    """What prepares so many operations, and the most calls that one may take."""

    steps: Callable[[ExitStack, int], Steps]
    calls_max: float


@dataclass(frozen=True, slots=True)
class Sizes:
    """Operations in which calls and instructions are counted; 0 leaves the instructions out."""

    operations: int = 400
    instructed: int = 200
    rounds: int = 1


SMALL = Sizes(operations=40, instructed=0)


class NotCountedError(Exception):
    """What is counted did not run under valgrind, or valgrind did not say its count."""


def run(sizes: Sizes) -> list[Outcome]:
    """Each hot path."""
    valgrind = shutil.which("valgrind")
    missing = "" if valgrind is not None else "instructions are counted where valgrind is installed"
    outcomes: list[Outcome] = []
    for what, path in PATHS.items():
        calls = tuple(calls_of(path, sizes.operations) for _ in range(sizes.rounds))
        outcomes.append(Measurement(NAME, f"{what}: calls", "", calls, Target("at most", path.calls_max)))
        if valgrind is not None and sizes.instructed and not missing:
            try:
                told = tuple(_instructions(valgrind, what, sizes.instructed) / 1000 for _ in range(sizes.rounds))
            except NotCountedError as error:
                missing = f"{what}: {error}"
            else:
                outcomes.append(Measurement(NAME, f"{what}: instructions", "thousand", told, note=_NOTE))
    if missing:
        outcomes.append(Skipped(NAME, missing))
    return outcomes


def calls_of(path: HotPath, operations: int) -> float:
    """The calls that one operation takes, the mean of so many."""
    with ExitStack() as stack:
        steps = path.steps(stack, operations + _WARM)
        for _ in range(_WARM):
            next(steps)()
        return sum(_calls(step) for step in steps) / operations


def _calls(work: Callable[[], object]) -> int:
    number = 0

    def called(_frame: FrameType, event: str, _what: object) -> None:
        nonlocal number
        if event in ("call", "c_call"):
            number += 1

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        work()
    finally:
        sys.setprofile(before)
    return number


def _instructions(valgrind: str, what: str, operations: int) -> float:
    """The instructions of one operation with what prepares it: the difference of a short process and a long one."""
    short, long = (_collected(valgrind, what, _WARM + more) for more in (0, operations))
    return (long - short) / operations


def _collected(valgrind: str, what: str, operations: int) -> int:
    done = subprocess.run(
        [
            *(valgrind, "--tool=callgrind", f"--callgrind-out-file={os.devnull}"),
            *(sys.executable, "-P", "-m", __name__, what, str(operations)),
        ],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        stderr=subprocess.PIPE,
        check=False,
    )
    collected = _COLLECTED.search(done.stderr)
    if done.returncode or collected is None:
        said = [line for line in done.stderr.decode(errors="replace").splitlines() if not line.startswith("==")]
        raise NotCountedError(
            f"no instructions were counted: valgrind ended with code {done.returncode}"
            + "".join(f", {line}" for line in said[-1:])
        )
    return int(collected[1])


def _judging(_stack: ExitStack, operations: int) -> Steps:
    gate = Integrator(1)
    edited = EditedRecord(random.Random(1), bundled_schema(COLLECTION), HybridClock(lambda: _NOW))
    gate.integrate(edited.record, (), (), None, checked=True, snapshot=False)

    def judge(update: bytes) -> None:
        assert gate.integrate(edited.record, None, (update,), 2 * _NOW, checked=True, snapshot=False).changed

    for _ in range(operations):
        yield partial(judge, edited.next_update())


def _judging_by_policy(_stack: ExitStack, operations: int) -> Steps:
    schema = bundled_schema(COLLECTION)
    rules = Rules(InForce(1, parse_policy(_POLICY, "a benchmark")), COLLECTION, schema)
    gate = Integrator(1)
    edited = EditedRecord(random.Random(1), schema, HybridClock(lambda: _NOW))
    gate.integrate(edited.record, (), (), None, checked=True, snapshot=False)

    def judge(update: bytes) -> None:
        done = gate.integrate(
            edited.record, None, (update,), 2 * _NOW, checked=True, snapshot=False, rules=rules, users=("bench",)
        )
        assert done.changed, done.verdicts

    for _ in range(operations):
        yield partial(judge, edited.next_update())


def _pushing(_stack: ExitStack, operations: int) -> Steps:
    ticks = count(_NOW)
    host = MinimalHost(MemoryStore(rng=random.Random(2)), lambda: next(ticks))
    device = Device(3, 4, _NOW)
    session = host.connect()
    host.receive(session, codec.encode(Hello(VERSIONS, device.replica, "", _NOW, None, False, 0, "crdt-bench")))
    welcome = codec.decode(host.frames[session].popleft())
    assert isinstance(welcome, Welcome)
    terms = codec.decode(host.frames[session].popleft(), version=welcome.version)
    assert isinstance(terms, Terms)
    host.receive(session, codec.encode(terms_of(Space(terms.space, joined=True), device.replica), welcome.version))
    for _ in range(operations):
        yield partial(host.receive, session, device.push(1))
    assert host.store.head() == operations


def _editing(stack: ExitStack, operations: int) -> Steps:
    rng, ticks = random.Random(4), count(_NOW)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crdt-bench-")))
    store = LmdbStore.open(folder / "store", create=True, map_bytes=_MAP_BYTES)
    store.commit([Batch(meta={"name": b"bench"})])
    replica = stack.enter_context(Replica.over(store, lambda: next(ticks), rng))
    replica.shared_schemas.add(bundled_schema(COLLECTION), share=False)
    replica.context.meet(ids.new_replica(rng))

    def edit(number: int) -> None:
        with replica.edit(COLLECTION) as editor:
            editor["name"] = f"Customer {number}"

    for number in range(operations):
        yield partial(edit, number)
    assert store.count() == operations


PATHS = {
    "the gate judges an update": HotPath(_judging, 97),
    "the gate judges an update by a policy": HotPath(_judging_by_policy, 161),
    "a host takes a push, stores and acknowledges it": HotPath(_pushing, 416),
    "a device stores an edit": HotPath(_editing, 905),
}


def _main(what: str, operations: str) -> None:
    with ExitStack() as stack:
        for step in PATHS[what].steps(stack, int(operations)):
            step()


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2])
