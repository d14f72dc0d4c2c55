"""Recorded edit histories of real record tables, read, verified, and replayed by concurrent devices.

A trace is a graph of transactions. Each says which transactions its author had seen (`parents`), and what the table
was afterwards. Branches are concurrent; a merge is a transaction with two parents.

Replaying gives each author a device, which passes on to another author after the last transaction of the first.
Before a transaction its device syncs until it has seen the parents, and not more often; then it writes what differs
from the recorded state, field by field, where the transaction differs from one of its parents. A device may have seen
more than the parents: the next merge in the history puts that right, so that the state at the end is the recorded one,
provided that stamps rise with the transactions' order (see `Clock`).
"""

import gzip
import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crdt_sync import Replica
from crdt_sync.errors import UnknownRecord
from crdt_sync.exchange.infer import field_names
from crdt_sync.ids import record_id
from crdt_sync.records import FieldSpec, Schema

COLLECTION = "traced"
Record = Mapping[str, Any]
State = Mapping[str, Record]


class InvalidTrace(ValueError):
    """A trace that does not lead where it says."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """One step: `parents` are numbers of transactions, `operations` are relative to the first parent's state.

    `state_hash` is that of the whole table afterwards, see `hash_of`. `at` is in seconds since 1970.
    """

    number: int
    parents: tuple[int, ...]
    agent: int
    at: int
    state_hash: int
    operations: tuple[Sequence[Any], ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """A whole history: `end` is the table after the last transaction."""

    name: str
    agents: int
    transactions: tuple[Transaction, ...]
    end: State

    @property
    def headers(self) -> tuple[str, ...]:
        """Every field name that a record ever had, sorted."""
        found: set[str] = set()
        for transaction in self.transactions:
            for operation in transaction.operations:
                if operation[0] == "add":
                    found.update(operation[2])
                elif operation[0] == "set":
                    found.add(operation[2][0])
        return tuple(sorted(found))


def beginning(trace: Trace, count: int) -> Trace:
    """The first `count` transactions or a few more, up to one in which all branches are joined."""
    heads: set[int] = set()
    for step in steps(trace):
        heads = (heads - set(step.transaction.parents)) | {step.transaction.number}
        if step.transaction.number + 1 >= count and len(heads) == 1:
            return replace(trace, transactions=trace.transactions[: step.transaction.number + 1], end=step.after)
    return trace


@dataclass(frozen=True, slots=True)
class Step:
    """A transaction with the state that it leads to, verified, and those that its parents led to."""

    transaction: Transaction
    before: tuple[State, ...]
    after: State

    def touched(self) -> Iterator[str]:
        """Keys of records that may differ from those of a parent, sorted."""
        keys = {operation[1] for operation in self.transaction.operations}
        for state in self.before[1:]:  # from the first parent's, only the operations lead away
            for key in self.after.keys() | state.keys():
                one, other = self.after.get(key), state.get(key)
                if one is not other and one != other:
                    keys.add(key)
        return iter(sorted(keys))


def read_trace(path: Path) -> Trace:
    """Read a record trace, `*.jsonl.gz`. Raises `InvalidTrace`."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        header = json.loads(next(lines))
        if header.get("kind") != "record-trace" or header.get("version") != 1:
            raise InvalidTrace(f"{path.name} is no record trace of version 1")
        transactions: list[Transaction] = []
        for text in lines:
            line = json.loads(text)
            if "end" in line:
                if len(transactions) != header["numTxns"]:
                    raise InvalidTrace(f"{path.name} holds {len(transactions)} of {header['numTxns']} transactions")
                return Trace(header["name"], header["numAgents"], tuple(transactions), line["end"])
            transactions.append(
                Transaction(line["i"], tuple(line["p"]), line["a"], line["t"], int(line["s"], 16), tuple(line["ops"]))
            )
    raise InvalidTrace(f"{path.name} has no end state")


def hash_of(state: State) -> int:
    """The hash of a table: the sum of its records' hashes, so that it can be kept up to date."""
    return sum(_leaf(key, record) for key, record in state.items()) % (1 << 128)


def steps(trace: Trace) -> Iterator[Step]:
    """Every transaction in order with its states. Raises `InvalidTrace` where a recorded hash does not hold.

    A state is kept as long as a later transaction builds on it.
    """
    states: dict[int, dict[str, Record]] = {}
    hashes: dict[int, int] = {}
    needed = _last_uses(trace.transactions)
    for transaction in trace.transactions:
        before = tuple(states[parent] for parent in transaction.parents)
        state = dict(before[0]) if before else {}
        changed: dict[str, Record | None] = {}
        for operation in transaction.operations:
            changed.setdefault(operation[1], state.get(operation[1]))
            _apply(state, operation)
        total = hashes[transaction.parents[0]] if before else 0
        for key, former in changed.items():
            total += _leaf(key, state.get(key)) - _leaf(key, former)
        total %= 1 << 128
        if total != transaction.state_hash:
            raise InvalidTrace(f"{trace.name}: the state after transaction {transaction.number} is not the recorded")
        states[transaction.number], hashes[transaction.number] = state, total
        yield Step(transaction, before, state)
        for parent in transaction.parents:
            if needed[parent] == transaction.number:
                del states[parent]
    if trace.transactions and state != trace.end:
        raise InvalidTrace(f"{trace.name}: the last state is not the recorded end")


class Clock:
    """Microseconds since 1970 for all devices of a replay: it follows the transactions and never stands still."""

    def __init__(self) -> None:
        self._now = 0

    def __call__(self) -> int:
        """A later moment than the last one."""
        self._now += 1
        return self._now

    def reach(self, at: int) -> None:
        """Go forward to `at`, in seconds since 1970; a transaction from the past leaves the clock where it is."""
        self._now = max(self._now, at * 1_000_000)


def schema_of(trace: Trace) -> Schema:
    """A schema with one field for each header of the trace; a value is JSON in a list of one.

    So JSON's null, which is a value, differs from a field that holds none.
    """
    names = field_names(trace.headers)
    fields = {name: FieldSpec(type="json", label=header) for name, header in zip(names, trace.headers, strict=True)}
    return Schema(collection=COLLECTION, version=1, label=trace.name, fields=fields)


def record_of(key: str) -> str:
    """The record id of a key of the trace."""
    return record_id(COLLECTION, hashlib.blake2b(key.encode(), digest_size=16).hexdigest())


@dataclass(slots=True)
class ReplayReport:
    """What a replay did."""

    transactions: int = 0
    syncs: int = 0
    edits: int = 0


class Replay:
    """Replays a trace. `device` opens a replica with `schema_of(trace)`; `sync` exchanges all that it holds.

    `device` is given a number from 0 on. All devices must run on `clock`. Where more than `devices_max` authors are at
    work at a time, some share a device.
    """

    def __init__(
        self,
        trace: Trace,
        clock: Clock,
        device: Callable[[int], Replica],
        sync: Callable[[Replica], object],
        devices_max: int = 1000,
    ) -> None:
        self.trace = trace
        self.devices: list[Replica] = []
        self.report = ReplayReport()
        self._clock = clock
        self._open = device
        self._sync = sync
        self._devices_max = devices_max
        self._fields = dict(zip(trace.headers, field_names(trace.headers), strict=True))
        self._last = {transaction.agent: transaction.number for transaction in trace.transactions}
        self._of_agent: dict[int, int] = {}
        self._free: deque[int] = deque()  # devices whose authors are done, the longest unused first
        self._shared_next = 0
        self._seen: list[set[int]] = []  # transactions that each device holds
        self._shared: set[int] = set()  # transactions that the partner of all devices holds
        self._made_on: dict[int, int] = {}

    def run(self) -> ReplayReport:
        """Replay everything, then sync every device until all have heard of all."""
        for step in steps(self.trace):
            self.play(step)
        everything = set(self._made_on)
        for _ in range(2):
            for device, seen in enumerate(self._seen):
                if seen != everything or not seen <= self._shared:
                    self.sync(device)
        return self.report

    def play(self, step: Step) -> None:
        """One transaction, on its author's device."""
        transaction = step.transaction
        device = self._device_of(transaction.agent)
        missing = set(transaction.parents) - self._seen[device]
        for other in sorted({self._made_on[parent] for parent in missing - self._shared}):
            self.sync(other)
        if missing:
            self.sync(device)
        self._clock.reach(transaction.at)
        replica = self.devices[device]
        with replica.batch():
            for key in step.touched():
                self._write(replica, key, step)
        self._seen[device].add(transaction.number)
        self._made_on[transaction.number] = device
        self.report.transactions += 1
        if transaction.number == self._last[transaction.agent]:
            done = self._of_agent.pop(transaction.agent)
            if done not in self._of_agent.values():
                self._free.append(done)

    def sync(self, device: int) -> None:
        """Exchange everything between a device and the partner of all."""
        self._sync(self.devices[device])
        self._shared |= self._seen[device]
        self._seen[device] |= self._shared
        self.report.syncs += 1

    def _device_of(self, agent: int) -> int:
        if agent not in self._of_agent:
            if self._free:
                self._of_agent[agent] = self._free.popleft()
            elif len(self.devices) == self._devices_max:
                self._of_agent[agent] = self._shared_next % self._devices_max
                self._shared_next += 1
            else:
                self._of_agent[agent] = len(self.devices)
                self.devices.append(self._open(len(self.devices)))
                self._seen.append(set())
        return self._of_agent[agent]

    def table(self, device: Replica) -> dict[str, Record]:
        """What a device shows, in the form of `Trace.end`, for the keys that the trace ever had."""
        headers = {name: header for header, name in self._fields.items()}
        shown = {view.record: view for view in device.list(COLLECTION)}
        found: dict[str, Record] = {}
        for key in _keys(self.trace.transactions):
            view = shown.pop(record_of(key), None)
            if view is not None:
                found[key] = {headers[name]: value[0] for name, value in view.items() if value is not None}
        if shown:
            raise InvalidTrace(f"{len(shown)} records are no records of {self.trace.name}")
        return found

    def _write(self, device: Replica, key: str, step: Step) -> None:
        """Bring one record to the recorded state, in the fields that differ from a parent's."""
        record = record_of(key)
        wanted = step.after.get(key)
        try:
            present = device.get(record)
        except UnknownRecord:
            present = None
        if wanted is None:
            if present is not None and not present.deleted:
                device.delete(record)
                self.report.edits += 1
            return
        touched: set[str] = set()
        for state in step.before or ({},):
            former = state.get(key)
            known = present.keys() if present is not None and former is None else ()
            touched |= {header for header, name in self._fields.items() if name in known}
            former = former or {}
            touched |= {header for header in wanted.keys() | former.keys() if _differ(header, wanted, former)}
        with device.edit(record, create=True) as editor:
            editor.restore()
            for header in sorted(touched):
                editor[self._fields[header]] = [wanted[header]] if header in wanted else None
        self.report.edits += 1


def _differ(header: str, one: Record, other: Record) -> bool:
    return (header in one) != (header in other) or one.get(header) != other.get(header)


def _keys(transactions: Iterable[Transaction]) -> set[str]:
    return {operation[1] for transaction in transactions for operation in transaction.operations}


def _last_uses(transactions: Iterable[Transaction]) -> dict[int, int]:
    return {parent: transaction.number for transaction in transactions for parent in transaction.parents}


def _leaf(key: str, record: Record | None) -> int:
    if record is None:
        return 0
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return int.from_bytes(hashlib.sha256(f"{key}\0{text}".encode()).digest()[:16], "big")


def _apply(state: dict[str, Record], operation: Sequence[Any]) -> None:
    match operation:
        case ["add", key, record]:
            state[key] = record
        case ["rm", key]:
            del state[key]
        case ["set", key, path, value]:
            state[key] = _with(state[key], path, value)
        case ["del", key, path]:
            state[key] = _without(state[key], path)
        case _:
            raise InvalidTrace(f"unknown operation {operation[0]!r}")


def _with(record: Any, path: Sequence[str], value: Any) -> Any:
    """A copy of `record` with the value at `path` replaced; the record itself belongs to other states too."""
    head, *rest = path
    inner = _with(record.get(head, {}), rest, value) if rest else value
    return {**record, head: inner}


def _without(record: Any, path: Sequence[str]) -> Any:
    head, *rest = path
    if rest:
        return {**record, head: _without(record[head], rest)}
    return {name: value for name, value in record.items() if name != head}
