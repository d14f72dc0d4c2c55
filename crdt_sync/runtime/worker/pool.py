"""One active worker, a warm spare, and a plan for every batch."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from crdt_sync import ids, limits
from crdt_sync.errors import StoreCorrupt, StoreError
from crdt_sync.policy.in_force import InForce
from crdt_sync.runtime.worker import pipe
from crdt_sync.runtime.worker.budget import Budget
from crdt_sync.runtime.worker.plan import STORED, Plan, PoisonMemory, Request
from crdt_sync.runtime.worker.process import WorkerDied, WorkerProcess, WorkerUnavailable
from crdt_sync.runtime.worker.ruling import Teller
from crdt_sync.runtime.worker.suspects import Suspects
from crdt_sync.runtime.worker.values import Item, MaskedRow, RecordDigest, Result, ToMask, Turn, WorkedOn
from crdt_sync.runtime.worker.writers import Ear, WriterMap

_T = TypeVar("_T")
_STARTS_MAX = 3
_TURNS_TO_SEND = 2  # of the event loop, until the next call has made its request and the loop has written it
_TRIMMED_BYTES_MAX = limits.INTEGRATION_BYTES_MAX
_Items = Sequence[tuple[str, Sequence[bytes]]]  # records, with their stored updates or one update and a state vector
_DIGESTS_PER_REQUEST = 64  # few, so that an audit does not make live updates wait


class Worker(Protocol):
    """A worker that has said that it is ready; see `process.WorkerProcess`."""

    fresh: bool
    missing: Sequence[str]  # limits that it has not

    @property
    def pid(self) -> int:
        """The process id."""

    @property
    def alive(self) -> bool:
        """Whether it has neither ended, as far as is known, nor been killed."""

    async def ask(self, number: int, request: bytes, budget: Budget) -> bytes:
        """The body of the answer to request `number`. Raises `WorkerDied`."""

    async def close(self) -> None:
        """Kill it and release what it held."""


StartWorker = Callable[[], Coroutine[Any, Any, Worker]]
"""Starts a worker. Raises `WorkerUnavailable`."""


class _Unreadable(Exception):
    def __init__(self, record: str, error: StoreError) -> None:
        super().__init__(record)
        self.record = record
        self.error = error


class IntegrationPool:
    """Integrates foreign updates in a worker process that may die at any moment without anybody noticing.

    `load(record)` returns the stored updates of a record (empty for a new one) and is called whenever the worker
    does not hold it: the first time, after an eviction, after a restart. **It must include every update that this
    pool has answered `accepted` before**, committed or not: the caller keeps accepted updates that are on their
    way to the disk where `load` finds them, from the moment that `integrate` returns (before its next await).
    What is accepted within one call, or handed over while the next begins, is accounted for here. If accepted updates
    are given up after all (the commit failed), call `forget(record)`, and refuse results of that record that were in
    flight: they rest on them.

    A worker is started (by `start_worker`) when it is first needed, or by `start`. Without `keep_spare` there
    is no warm spare: half the memory, and a death costs the time that a start takes.

    With `fair`, an update that used up its processor time is answered `retry` while other senders wait, and tried with
    more when it comes again: only for callers whose senders send again what is answered so.

    Calls are served one at a time, and answered in order; within a call, items are integrated in order. The worker
    begins with the next call before the results of the last are returned, so that it works while the caller does.

    With `turn`, a verdict may be `POSTPONED`: what its sender has left comes in a later call, of this pool or another.
    Pools of one store share `poisons`. A record is in one call at a time, of all pools, and what another pool accepted
    of it is to be forgotten here.

    With a policy, workers go by the schemas that `load` and `seq` give: where the log has a record last, 0 for nowhere;
    and by `writers`, where given. What a result has `bound` is to be committed with it.

    Counters: `batches`, `updates`, `kills` (workers that died or were killed), `poisoned`,
    `unloadable` (items of records whose stored state kills the worker), `restarts`, `last_batch_seconds`.
    """

    def __init__(
        self,
        load: Callable[[str], Sequence[bytes]],
        on_death: Callable[[str, WorkedOn], None] | None = None,
        keep_spare: bool = True,
        fair: bool = False,
        start_worker: StartWorker = WorkerProcess.start,
        turn: Turn | None = None,
        poisons: PoisonMemory | None = None,
        on_unloadable: Callable[[WorkedOn], None] | None = None,
        seq: Callable[[str], int] = lambda _: 0,
        writers: WriterMap | None = None,
    ) -> None:
        self.writers = writers
        self._ear = Ear() if writers is None else writers.ear()
        self._looked_up: dict[int, str] = {}  # writers that workers asked of in this call
        self._load = load
        self._seq = seq
        self._teller: Teller | None = None  # of the active worker, once it was told anything
        self._on_unloadable = on_unloadable
        self._start_worker = start_worker
        self._on_death = on_death
        self._keep_spare = keep_spare
        self._turn_of_sender = turn
        self.poisons = poisons or PoisonMemory()
        self._suspects = Suspects() if fair else None
        self._cached: dict[str, int] = {}  # records that the worker holds, with their size in bytes or more
        self._forgotten: set[str] = set()
        self._forgotten_all = False
        self._active: Worker | None = None
        self._spare: asyncio.Task[Worker] | None = None
        self._graves: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._waiting: list[Sequence[Item]] = []  # what calls of `integrate` ask for that wait for their turn
        self._answered = asyncio.Event()  # the caller of the last call has its results
        self._answered.set()
        self._handed_over: Mapping[str, Sequence[bytes]] = {}  # accepted, and not known to the caller yet
        self._number = 0
        self._closed = False
        self.batches = 0
        self.updates = 0
        self.kills = 0
        self.poisoned = 0
        self.unloadable = 0
        self.restarts = 0
        self.last_batch_seconds = 0.0
        self.unconfined: Sequence[str] = ()  # limits that the active worker has not

    async def start(self) -> None:
        """Start the workers now; returns when the first is ready. Raises `WorkerUnavailable`."""
        async with self._turn:
            await self._worker()

    def rest(self) -> None:
        """End the worker where nothing is asked of it; the next call starts another one."""
        if self._active is not None and not self._turn.locked() and not self._waiting:
            self._dismiss(self._active)

    async def close(self) -> None:
        """Kill the workers and wait for their end; calls under way fail with `WorkerUnavailable`."""
        self._closed = True
        active, self._active = self._active, None
        spare, self._spare = self._spare, None
        if active is not None:
            await active.close()
        if spare is not None:
            # Not cancelled: a start that is cut off half-way leaves its process to chance. It takes a moment.
            (outcome,) = await asyncio.gather(spare, return_exceptions=True)
            if not isinstance(outcome, BaseException):
                await outcome.close()
        await asyncio.gather(*self._graves)

    @property
    def pid(self) -> int | None:
        """The process id of the active worker."""
        return self._active.pid if self._active is not None else None

    def cached(self, record: str) -> bool:
        """Whether the active worker holds the record, so that `load` is not called for it."""
        return record in self._cached

    @property
    def holds_any(self) -> bool:
        """Whether the active worker holds any record."""
        return bool(self._cached)

    def forget(self, record: str) -> None:
        """Have the record loaded again before it is used: what the worker holds is not what is stored."""
        self._cached.pop(record, None)
        self._forgotten.add(record)
        self.poisons.discard(record, STORED)

    def rows(self, bound: Mapping[int, str]) -> dict[str, bytes | None]:
        """The `meta` to commit with results that have `bound` these writers."""
        return {} if self.writers is None else self.writers.rows(bound)

    def forget_all(self) -> None:
        """`forget` every record."""
        self._cached.clear()
        self._forgotten_all = True
        self._teller = None  # a definition that was let in may not have been stored
        if self.writers is not None:
            self.writers.forget()

    async def integrate(
        self, items: Sequence[Item], stamp_max: int | None, in_force: InForce | None = None
    ) -> list[Result]:
        """Integrate the items in order; one result for each, whatever the bytes.

        Entries stamped later than `stamp_max` (microseconds) are refused `clock_ahead`. With a policy `in_force`, what
        the `users` of an item may not do is refused `forbidden`. Raises
        `WorkerUnavailable` when no worker can be started, and `StoreError` when it cannot be read whose a writer is;
        nothing of the batch is to be stored then.
        """
        self._waiting.append(items)
        try:
            await self._turn.acquire()
        finally:
            self._waiting.remove(items)
        try:
            try:
                plan = await self._carry_out(items, stamp_max, in_force)
            finally:
                # A call that asks the worker nothing is done at once, and would be answered before the last one.
                await self._answered.wait()
        finally:
            self._turn.release()
        if self._waiting:
            self._answered.clear()
            self._handed_over = plan.accepted
            try:
                for _ in range(_TURNS_TO_SEND):
                    await asyncio.sleep(0)
            finally:
                self._handed_over = {}
                self._answered.set()
        return plan.results()

    async def _carry_out(self, items: Sequence[Item], stamp_max: int | None, in_force: InForce | None) -> Plan:
        begun = time.perf_counter()
        self._looked_up.clear()
        plan = Plan(items, self.poisons, self._suspects, self._others_wait, self._turn_of_sender)
        while (request := self._next_request(plan)) is not None:
            try:
                results = await self._integrate(request, stamp_max, in_force, plan.accepted)
            except WorkerDied as death:
                plan.died(request, death.mark, late=death.late, stuck=death.stuck)
            else:
                plan.answered(request, results.results, results.spent_us)
        self.batches += 1
        self.updates += sum(len(item.updates) for item in items)
        self.poisoned += plan.poisoned
        self.unloadable += len(plan.unloadable)
        if self._on_unloadable is not None:
            for found in plan.unloadable:
                self._on_unloadable(found)
        self.last_batch_seconds = time.perf_counter() - begun
        return plan

    def _others_wait(self, sender: str) -> bool:
        return any(
            item.source(position) != sender
            for items in self._waiting
            for item in items
            for position in range(len(item.updates))
        )

    async def digests(
        self,
        records: Sequence[str],
        content: bool = False,
        load: Callable[[str], Sequence[bytes]] | None = None,
    ) -> list[RecordDigest | None]:
        """Digests of what `load` returns for each record, in order; `None` where it cannot be loaded.

        With `content` the digest covers values as well (slower), without it state vector and deletions. `load` may
        be another one than the pool's.
        """
        kind = pipe.CONTENT if content else pipe.DIGEST
        found: dict[str, RecordDigest] = {}
        rest = list(records)
        while rest:
            async with self._turn:
                found |= await self._digest(kind, self._take(rest, load or self._load))
        return [found.get(record) for record in records]

    async def fields(self, collections: Sequence[str], in_force: InForce) -> list[bytes]:
        """A name for the filter fields of each collection, by what is stored of its definition.

        Raises `WorkerUnavailable`.
        """
        return await self._of_schemas(pipe.FIELDS, pipe.decode_fields, collections, in_force)

    async def _of_schemas(
        self,
        kind: int,
        decode: Callable[[bytes, int, int], list[_T]],
        collections: Sequence[str],
        in_force: InForce,
    ) -> list[_T]:
        async with self._turn:
            worker = await self._worker()
            told = self._told(in_force, [f"{collection}/-" for collection in collections])
            number, frame = self._frame(kind, None, collections, None, told)
            try:
                body = await self._ask(worker, number, frame, Budget([0], again=True, short=False))
                return decode(body, number, len(collections))
            except (WorkerDied, pipe.PipeCorrupt) as error:
                if not isinstance(error, WorkerDied):
                    self._bury(worker, str(error))
                raise WorkerUnavailable("the worker could not read the schemas") from error

    async def masks(self, collections: Sequence[str], in_force: InForce) -> list[list[tuple[str, str, str]]]:
        """What the policy shows in part of each collection, by what is stored of its definition: section, field, mask.

        Raises `WorkerUnavailable`.
        """
        return await self._of_schemas(pipe.MASKS, pipe.decode_masks, collections, in_force)

    async def masked(self, items: Sequence[ToMask], in_force: InForce) -> list[list[MaskedRow | None] | None]:
        """What is to be stored of what masks show, for each item a row each, None where that is there already; None for
        an item of which what is stored kills the worker. Raises `WorkerUnavailable`.
        """
        async with self._turn:
            return await self._masked(items, in_force)

    async def _masked(
        self, items: Sequence[ToMask], in_force: InForce, again: bool = False
    ) -> list[list[MaskedRow | None] | None]:
        """In one request; when the worker dies of it, each half by itself, and one alone a second time."""
        try:
            worker = await self._worker(fresh=again)
            told = self._told(in_force, [item.record for item in items])
            asked = [(item.record, item.stored, item.writer, item.rows) for item in items]
            number, frame = self._frame(pipe.MASK, None, asked, None, told)
            body = await self._ask(worker, number, frame, Budget([item.size for item in items], again))
            try:
                return pipe.decode_masked(body, number, [len(item.rows) for item in items])
            except pipe.PipeCorrupt as error:
                raise self._bury(worker, str(error)) from error
        except WorkerDied as death:
            if len(items) > 1:
                half = len(items) // 2
                return await self._masked(items[:half], in_force) + await self._masked(items[half:], in_force)
            if not again:
                return await self._masked(items, in_force, again=True)
            _check_not_stuck(death)
            return [None]

    async def trim(self, items: Sequence[tuple[str, bytes, bytes]]) -> list[bytes | None]:
        """For each (record, update, state vector) the update without what the state vector covers.

        `None` where the bytes are no update, or kill the worker. Raises `WorkerUnavailable`.
        """
        trimmed: list[bytes | None] = []
        rest = list(items)
        while rest:
            taken = 1
            while taken < len(rest) and sum(len(update) for _, update, _ in rest[: taken + 1]) <= _TRIMMED_BYTES_MAX:
                taken += 1
            async with self._turn:
                trimmed += await self._trim([(record, (update, known)) for record, update, known in rest[:taken]])
            del rest[:taken]
        return trimmed

    async def _trim(self, items: _Items, again: bool = False) -> list[bytes | None]:
        """Trim in one request; when the worker dies of it, each half by itself, and one alone a second time."""
        try:
            worker, number, body = await self._ask_about(pipe.TRIM, items, again)
            try:
                return pipe.decode_trimmed(body, number, len(items))
            except pipe.PipeCorrupt as error:
                raise self._bury(worker, str(error)) from error
        except WorkerDied as death:
            if len(items) > 1:
                half = len(items) // 2
                return await self._trim(items[:half]) + await self._trim(items[half:])
            if not again:
                return await self._trim(items, again=True)
            _check_not_stuck(death)
            return [None]

    def _next_request(self, plan: Plan) -> Request | None:
        while True:
            try:
                return plan.next_request(self._cached.get, self._readable)
            except _Unreadable as unreadable:
                damaged = "the stored record is damaged: " if isinstance(unreadable.error, StoreCorrupt) else ""
                plan.refuse(unreadable.record, damaged + unreadable.error.message)

    def _readable(self, record: str) -> Sequence[bytes]:
        try:
            stored = self._load(record)
        except StoreError as error:
            raise _Unreadable(record, error) from error
        handed_over = self._handed_over.get(record)
        return (*stored, *handed_over) if handed_over else stored

    def _whole(self, record: str, accepted: Mapping[str, Sequence[bytes]]) -> Sequence[bytes]:
        """What is stored of the record to which a companion belongs, by which that is judged, with what was accepted of
        it in this batch; of others nothing. What is in the same request the worker knows.
        """
        if not ids.section_of(record):
            return ()
        whole = ids.whole_record(record)
        with contextlib.suppress(_Unreadable):
            return (*self._readable(whole), *accepted.get(whole, ()))
        return ()

    async def _integrate(
        self,
        request: Request,
        stamp_max: int | None,
        in_force: InForce | None,
        accepted: Mapping[str, Sequence[bytes]],
    ) -> pipe.Results:
        self._forgotten.clear()
        self._forgotten_all = False
        worker = await self._worker(fresh=request.again)
        rules: pipe.Told | None = None
        items: Sequence[Sequence[object]] = request.items
        if in_force is not None:
            rules = self._told(in_force, [item[0] for item in request.items])
            items = [
                (*item, users, self._whole(item[0], accepted))
                for item, users in zip(request.items, request.users, strict=True)
            ]
        number, frame = self._frame(pipe.INTEGRATE, stamp_max, items, request.turn, rules)
        asked = self._ask(worker, number, frame, request.budget, request)
        del frame
        body = await asked
        try:
            counts = [len(item[2]) for item in request.items]
            answer = pipe.decode_results(body, number, counts, request.turn, ruled=rules is not None)
            if answer.results[0] is None and request.items[0][1] is not None:
                raise pipe.PipeCorrupt("no result for a record that was loaded")
            if answer.asked:
                self._look_up(answer.asked, rules)
            if not self._forgotten_all:
                self._note_writers(answer)
        except pipe.PipeCorrupt as error:
            raise self._bury(worker, str(error)) from error
        except StoreError as error:  # nothing of the batch is stored: the worker has taken it in, and ends
            self._bury(worker, f"whose writers are cannot be read: {error.message}")
            self.forget_all()
            raise
        for item, size, result in zip(request.items, request.sizes, answer.results, strict=True):
            if result is None or result is pipe.UNREADABLE:
                self._cached.pop(item[0], None)
            else:
                self._cached[item[0]] = size if result.snapshot is None else len(result.snapshot)
        for record in (*answer.evicted, *self._forgotten):
            self._cached.pop(record, None)
        if self._forgotten_all:
            self._cached.clear()
        return answer

    def _note_writers(self, answer: pipe.Results) -> None:
        """Raises `StoreError`."""
        if self.writers is None:
            return
        for result in answer.results:
            if result is not None and result.bound:
                self.writers.note(result.bound, self._ear)

    def _look_up(self, asked: Sequence[int], rules: pipe.Told | None) -> None:
        """The worker is told of these with its next request.

        Raises `PipeCorrupt` where it was just told of one, `StoreError` where the store cannot be read.
        """
        if self.writers is None or rules is None or any(writer in (rules.writers or ()) for writer in asked):
            raise pipe.PipeCorrupt("it asks of writers again")
        found = {writer: self.writers.of(writer) for writer in asked}
        self._looked_up |= found
        self._ear.told |= found

    def _take(self, rest: list[str], load: Callable[[str], Sequence[bytes]]) -> list[tuple[str, Sequence[bytes]]]:
        """Take records for one request off the front of `rest`, with their stored bytes."""
        items: list[tuple[str, Sequence[bytes]]] = []
        size = 0
        while rest and len(items) < _DIGESTS_PER_REQUEST and size < limits.INTEGRATION_BYTES_MAX:
            record = rest.pop(0)
            with contextlib.suppress(StoreError):
                stored = tuple(load(record))
                items.append((record, stored))
                size += sum(map(len, stored))
        return items

    async def _digest(self, kind: int, items: _Items, again: bool = False) -> dict[str, RecordDigest]:
        """Digests in one request; when the worker dies of it, each half by itself, and one alone a second time."""
        if not items:
            return {}
        try:
            worker, number, body = await self._ask_about(kind, items, again)
            try:
                digests = pipe.decode_digests(body, number, [record for record, _ in items])
            except pipe.PipeCorrupt as error:
                raise self._bury(worker, str(error)) from error
        except WorkerDied as death:
            if len(items) > 1:
                half = len(items) // 2
                first = await self._digest(kind, items[:half])
                return first | await self._digest(kind, items[half:])
            if not again:
                return await self._digest(kind, items, again=True)
            _check_not_stuck(death)
            return {}
        return {digest.record: digest for digest in digests}

    async def _ask_about(self, kind: int, items: _Items, again: bool) -> tuple[Worker, int, bytes]:
        """The worker asked, the number of the request, and the body of the answer."""
        worker = await self._worker(fresh=again)
        number, frame = self._frame(kind, None, items)
        sizes = [sum(map(len, parts)) for _, parts in items]
        asked = self._ask(worker, number, frame, Budget(sizes, again))
        del frame
        return worker, number, await asked

    def _frame(
        self,
        kind: int,
        stamp_max: int | None,
        items: Sequence[Sequence[object]],
        turn: Turn | None = None,
        rules: pipe.Told | None = None,
    ) -> tuple[int, bytes]:
        self._number += 1
        return self._number, pipe.encode_request(kind, self._number, stamp_max, items, turn, rules)

    def _told(self, in_force: InForce, records: Sequence[str]) -> pipe.Told:
        if self._teller is None:
            self._teller = Teller(self._load, self._seq)
        told = self._teller.told(in_force, records)
        if self.writers is None:
            return told
        anew, writers = self._ear.take()
        return told._replace(anew=anew, writers={**self._looked_up, **writers} if anew else writers)

    async def _ask(
        self, worker: Worker, number: int, frame: bytes, budget: Budget, request: Request | None = None
    ) -> bytes:
        asked = worker.ask(number, frame, budget)
        del frame  # it may be large, and the answer be long in coming
        try:
            return await asked
        except WorkerDied as death:
            self._bury(worker, death.reason, WorkedOn() if request is None else request.at(death.mark))
            raise

    async def _worker(self, fresh: bool = False) -> Worker:
        """The active worker; when it is dead, the spare, which a new one replaces in the background.

        `fresh`: one that was asked nothing yet, so that it holds no memory for other records.
        """
        if self._active is not None and not self._active.alive:
            self._bury(self._active, "the process ended between two requests")
        if fresh and self._active is not None and not self._active.fresh:
            self._dismiss(self._active)
        attempts = 0
        while self._active is None:
            if self._closed:
                raise WorkerUnavailable("the integration pool is closed")
            starting = self._spare or asyncio.create_task(self._start_worker())
            self._spare = starting
            try:
                worker = await asyncio.shield(starting)
            except WorkerUnavailable:
                self._spare = None
                attempts += 1
                if attempts >= _STARTS_MAX:
                    raise
                continue
            self._spare = asyncio.create_task(self._start_worker()) if self._keep_spare else None
            if worker.alive:
                self._cached.clear()
                self._active, self._teller = worker, None
                self._ear.begin_anew()
                self.unconfined = worker.missing
            else:
                self._bury(worker, "the spare process ended while it waited")
        return self._active

    def _bury(self, worker: Worker, reason: str, at: WorkedOn = WorkedOn()) -> WorkerDied:  # noqa: B008 - immutable
        self.kills += 1
        self.restarts += 1
        self._dismiss(worker)
        if self._on_death is not None:
            self._on_death(reason, at)
        return WorkerDied(reason, None)

    def _dismiss(self, worker: Worker) -> None:
        self._cached.clear()
        self._teller = None
        self._ear.begin_anew()
        if self._active is worker:
            self._active = None
        grave = asyncio.create_task(worker.close())
        self._graves.add(grave)
        grave.add_done_callback(self._graves.discard)


def _check_not_stuck(death: WorkerDied) -> None:
    """Raise `WorkerUnavailable` where the machine is to blame: nothing is to be said of the bytes then."""
    if death.stuck:
        raise WorkerUnavailable("this machine gives the integration worker no processor time", "Try again later.")
