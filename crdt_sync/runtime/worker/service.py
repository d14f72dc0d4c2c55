"""The worker's side: read a request, integrate its items in order, write one answer."""

import gc
import io
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from crdt_sync import ids, limits
from crdt_sync.errors import UpdateRefused
from crdt_sync.policy.values import Values
from crdt_sync.records.document import Document
from crdt_sync.records.gate.integrate import Integrator
from crdt_sync.records.gate.owners import Owners
from crdt_sync.records.masking import masked_entries, write_masked
from crdt_sync.records.schema import Schema
from crdt_sync.records.updates import bytes_diff
from crdt_sync.records.updates.update import scan
from crdt_sync.runtime.worker import pipe
from crdt_sync.runtime.worker.progress import LOADING, Progress
from crdt_sync.runtime.worker.ruling import Ruling
from crdt_sync.runtime.worker.values import MaskedRow, Turn
from crdt_sync.verdicts import POSTPONED, Verdict, VerdictCode

_COLLECT_EVERY: Final = 50_000  # allocations
_MEASURE_EVERY_BYTES: Final = 64 * limits.KIB  # of records and updates: up to 2 MiB of memory


def _processor_us() -> int:
    return time.process_time_ns() // 1000


def _wall_us() -> int:
    return time.perf_counter_ns() // 1000


class Service:
    """Holds the loaded records and answers requests.

    Beside the integrator's bound on the number of records stand one on their encoded size, since one record may
    be two thousand times as large as another, and one on the memory that they take. `allocated` tells the bytes
    of it, as far as that is known; `processor_us` the processor time used so far. That costs a system call, so
    `wall_us` is asked before: no more of a processor is used than time goes by.
    """

    def __init__(
        self,
        integrator: Integrator,
        progress: Progress,
        processor_us: Callable[[], int] = _processor_us,
        wall_us: Callable[[], int] = _wall_us,
        allocated: Callable[[], int | None] = lambda: None,
        memory_bytes_max: int = limits.WORKER_LOADED_BYTES_MAX,
    ) -> None:
        self._integrator = integrator
        self._progress = progress
        self._processor_us = processor_us
        self._wall_us = wall_us
        self._turn: Turn | None = None
        self._turn_ends = 0  # processor time
        self._turn_lasts = 0  # until then at least, by the wall
        self._sizes: OrderedDict[str, int] = OrderedDict()  # encoded bytes of each loaded record, oldest use first
        self._size = 0
        self._allocated = allocated
        self._allocated_max = (allocated() or 0) + memory_bytes_max
        self._unmeasured = 0  # encoded bytes that were gone through since that was looked at
        self._evicted: set[str] = set()
        self._ruling = Ruling()
        self._owners = Owners()
        self._owned = False  # whether whose writers are counts
        self._ruled = False  # whether the request is to go by it
        self._judged_now: dict[str, Values] = {}  # what records of this request show, by which companions are judged

    def answer(self, body: bytes) -> bytes:
        """The framed answer to one request."""
        kind, number, stamp_max, self._turn, items, told = pipe.decode_request(body)
        self._ruled = told is not None
        if told is not None:
            self._ruling.hear(told)
            self._owners.tell(told.writers or {}, anew=told.anew)
            self._owned = told.writers is not None
        del body  # all of it is in the items, and it may be large
        self._evicted.clear()
        self._judged_now.clear()
        spent: list[int] = []
        if kind == pipe.INTEGRATE:
            results, spent = self._integrate(number, stamp_max, items)
        elif kind == pipe.FIELDS:
            results = [self._ruling.fields_of(collection) for collection in items]
        elif kind == pipe.MASKS:
            results = [self._ruling.masks_of(collection) for collection in items]
        elif kind == pipe.MASK:
            results = [self._masked(number, index, *item) for index, item in enumerate(items)]
        elif kind == pipe.TRIM:
            results = self._trim(number, items)
        else:
            results = self._digest(number, kind, items)
        evicted = sorted(record for record in self._evicted if record not in self._sizes)
        asked = sorted(self._owners.asked)
        more: tuple[object, ...] = (spent or None, asked) if asked else (spent,) if spent else ()
        answer = pipe.frame((number, results, evicted, *more))
        self._progress.rest()
        return answer

    def _integrate(self, number: int, stamp_max: int | None, items: Sequence[Any]) -> tuple[list[object], list[int]]:
        """The results, and how long each took if the turn was over before the last."""
        if self._turn is None:
            return list(self._results(number, stamp_max, items)), []
        begun, at = self._processor_us(), self._wall_us()
        self._turn_ends, self._turn_lasts = begun + self._turn.us, at + self._turn.us
        results, passed = [], []
        for result in self._results(number, stamp_max, items):
            last, at = at, self._wall_us()
            results.append(result)
            passed.append(at - last)
        if not self._turn_is_over(at):
            return results, []
        used, whole = self._processor_us() - begun, max(1, sum(passed))
        return results, [used * one // whole for one in passed]

    def _results(self, number: int, stamp_max: int | None, items: Sequence[Any]) -> Iterator[object]:
        answered = 0
        for index, (record, stored, updates, want_snapshot, *users) in enumerate(items):
            full = answered > pipe.ANSWER_BYTES_FULL or (index and self._turn_is_over())
            if full or (stored is None and record not in self._sizes):
                yield None
                continue
            if stored is not None:
                self._progress.write(number, index, LOADING)
                if not self._load(record, stored):
                    yield pipe.UNLOADABLE
                    continue
            try:
                result = self._update((number, index), record, updates, stamp_max, want_snapshot, *users)
            except UpdateRefused:  # what is stored cannot be read, which no sender is to blame for
                self._integrator.forget(record)
                self._owners.give_up()
                self._drop((record,))
                yield pipe.UNLOADABLE
                continue
            _, state_vector, snapshot, _, *shown = result
            answered += len(state_vector) + (len(snapshot) if snapshot is not None else 0)
            for values in shown[:1]:
                answered += _size(values)
            yield result

    def _turn_is_over(self, at: int | None = None) -> bool:
        """At the moment `at` by the wall, or at this one."""
        if self._turn is None:
            return False
        now = self._wall_us() if at is None else at
        if now < self._turn_lasts:
            return False
        left = self._turn_ends - self._processor_us()
        self._turn_lasts = now + left
        return left <= 0

    def _update(
        self,
        place: tuple[int, int],
        record: str,
        updates: Sequence[bytes],
        stamp_max: int | None,
        want_snapshot: bool,
        users: Sequence[str] = (),
        whole: Sequence[bytes] = (),
    ) -> tuple[Any, ...]:
        """Integrate one by one, so that the mark names the update that this process may die of."""

        def begin(position: int) -> bool:
            if position and self._turn_is_over():
                return False
            self._progress.write(*place, position)
            return True

        if not updates:
            self._progress.write(*place, 0)
        quick = self._turn is not None and self._turn.short
        integrate = self._integrator.integrate
        if self._ruled:
            judged = self._judged_now.get(ids.whole_record(record)) if ids.section_of(record) else None
            integrate = partial(
                integrate,
                rules=self._ruling.of(record, whole, judged),
                users=users,
                owners=self._owners if self._owned else None,
            )
        done = integrate(record, None, updates, stamp_max, True, want_snapshot, quick=quick, begin=begin)
        verdicts = [_encoded(verdict) for verdict in done.verdicts]
        verdicts += [pipe.NOT_REACHED] * (len(updates) - len(verdicts))
        if done.verdicts and done.verdicts[-1] is POSTPONED:
            self._turn_ends = self._turn_lasts = 0  # most of what follows is likely to be of the same sender
        if done.evicted:
            self._drop(done.evicted)
        if done.snapshot is not None:
            self._grow(record, len(done.snapshot) - self._sizes[record])
        elif done.changed:
            self._grow(
                record, sum(len(update) for update, verdict in zip(updates, done.verdicts, strict=False) if verdict.new)
            )
        self._sizes.move_to_end(record)
        self._make_room(record)
        if self._ruled and done.changed and ids.defined_by(record) is not None:
            self._ruling.defined(record, self._integrator.document(record).diff())
        result = verdicts, done.state_vector, done.snapshot, done.lineage if done.renewed else None
        if not self._ruled:
            return result
        if done.shown is not None and not ids.section_of(record):
            self._judged_now[record] = done.shown
        bound = self._owners.take_bound()
        return (*result, done.shown, list(bound.items())) if bound else (*result, done.shown)

    def _digest(self, number: int, kind: int, items: Sequence[Any]) -> list[object]:
        results: list[object] = []
        for index, (_record, stored) in enumerate(items):
            self._progress.write(number, index, LOADING)
            document = Document.load(stored)
            digest = document.content_digest() if kind == pipe.CONTENT else document.digest()
            results.append((document.state_vector(), digest))
        return results

    def _trim(self, number: int, items: Sequence[Any]) -> list[object]:
        results: list[object] = []
        for index, (_record, (update, state_vector)) in enumerate(items):
            self._progress.write(number, index, 0)
            try:
                scan(update)
                results.append(bytes_diff.diff((update,), state_vector))
            except (UpdateRefused, ValueError):
                results.append(None)
        return results

    def _masked(
        self, number: int, index: int, record: str, stored: Sequence[bytes], writer: int, rows: Sequence[Any]
    ) -> object:
        self._progress.write(number, index, LOADING)
        section = self._ruling.section(record)
        document = Document.load(stored) if stored and section is not None else None
        return [
            None if found is None else (found.update, found.state_vector, found.snapshot)
            for found in (_row(document, section, writer, *row) for row in rows)
        ]

    def _load(self, record: str, stored: Sequence[bytes]) -> bool:
        self._integrator.forget(record)
        self._drop((record,))
        try:
            done = self._integrator.integrate(record, stored, (), None, False, False)
        except UpdateRefused:
            return False
        self._drop(done.evicted)
        self._grow(record, sum(map(len, stored)))
        return True

    def _grow(self, record: str, count: int) -> None:
        self._sizes[record] = self._sizes.get(record, 0) + count
        self._size += count
        self._unmeasured += max(0, count)

    def _drop(self, records: Sequence[str]) -> None:
        for record in records:
            self._size -= self._sizes.pop(record, 0)
            self._evicted.add(record)

    def _make_room(self, keep: str) -> None:
        while self._size > limits.WORKER_CACHE_BYTES_MAX and self._unload_oldest(keep):
            pass
        if self._unmeasured < _MEASURE_EVERY_BYTES:
            return
        self._unmeasured = 0
        while (self._allocated() or 0) > self._allocated_max:
            for _ in range(1 + len(self._sizes) // 8):  # measuring takes longer than loading one again
                if not self._unload_oldest(keep):
                    return

    def _unload_oldest(self, keep: str) -> bool:
        oldest = next(iter(self._sizes), keep)
        if oldest == keep:
            return False
        self._integrator.forget(oldest)
        self._drop((oldest,))
        return True


def run(service: Service, seal: Callable[[], list[str]] = list) -> None:
    """Answer on the standard streams until the parent closes its end.

    `seal` is called once all is open that there is to be, and returns which limits cannot be had.
    What native code prints must not be taken for an answer, and its reports about hostile updates are noise:
    both go nowhere from here on.
    """
    answers = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY)  # updates make no reference cycles, and a long text makes many objects
    with open(0, "rb", closefd=False) as source, open(answers, "wb", buffering=0) as sink:
        os.dup2(nowhere, 2)
        _write(sink, pipe.frame((pipe.VERSION, seal())))
        while len(header := source.read(pipe.LENGTH.size)) == pipe.LENGTH.size:
            _write(sink, service.answer(source.read(*pipe.LENGTH.unpack(header))))


def _write(sink: io.FileIO, frame: bytes) -> None:
    rest = memoryview(frame)
    while rest:
        rest = rest[sink.write(rest) :]


def _row(
    document: Document | None, section: Schema | None, writer: int, field: str, mask: str, stored: Sequence[bytes]
) -> MaskedRow | None:
    """What is to be stored of what a mask shows of a field; None where that is there."""
    shown = [] if document is None or section is None else masked_entries(document, section, field, mask)
    row = Document.load(stored, writer)
    before = row.state_vector()
    if not write_masked(row, field, shown):
        return None
    return MaskedRow(row.diff(before), row.state_vector(), row.diff())


def _size(values: Mapping[str, object] | None) -> int:
    """About how many bytes values take."""
    return sum([len(value) for value in (values or {}).values() if isinstance(value, str)])


def _encoded(verdict: Verdict) -> object:
    if verdict is POSTPONED:
        return pipe.LEFT_OUT
    touched = verdict.touched
    if verdict.code is VerdictCode.ACCEPTED:
        if touched is None:
            return 1 if verdict.new else 0
        if len(touched.fields) == 1 and not touched.authors:
            return touched.fields[0]
    told = (verdict.code.value, verdict.reason[: limits.REASON_LENGTH_MAX])
    return told if touched is None else (*told, *touched)
