"""An asyncio event loop on virtual time: one thread, and an order that is always the same.

    with VirtualLoop(random.Random(7)) as loop:
        report = loop.run_until_complete(work())      # an hour of sleep takes no time

Rules:

1. Time is a whole number of microseconds, and moves only when nothing is ready: to the next timer. A timer never wakes
   early; those of one instant wake in the order in which they were set.
2. `run_in_executor` calls the function on the loop itself, a drawn while later, and tells of it another while later.
   What is given to one `LoopExecutor` runs in order. What has begun when its future is cancelled is carried through,
   as a thread would.
3. Everything belongs to the `Process` that began it. When a process is killed nothing of it happens any more, no
   `finally` either: what is left of it is what it had given to others.
4. Tasks are numbered, and sets of them are ordered by their numbers: no address of an object decides anything.
"""

import asyncio
import random
import sys
from asyncio import events
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar, copy_context
from heapq import heappop, heappush
from typing import Any, Generic, Self, TypeVar, TypeVarTuple, Unpack

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")
Dial = Callable[[Callable[[], asyncio.Protocol], str], Awaitable[tuple[asyncio.Transport, asyncio.Protocol]]]
_process: "ContextVar[Process]" = ContextVar("process")


class Stalled(RuntimeError):
    """Somebody waits for what will never come: nothing is ready, and no timer is set."""


class Storm(RuntimeError):
    """More was called than `callbacks_max` allows: it goes round in circles."""


class Process:
    """What can be killed at any moment. Start its work with `start` or `call`; what that starts belongs to it too."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.alive = True
        self._buried = False
        self._context = copy_context()
        self._context.run(_process.set, self)
        self._tasks: list[_Task[Any]] = []

    def start(self, loop: "VirtualLoop", work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
        """Begin a task of this process."""
        return self._context.run(loop.create_task, work)

    def call(self, callback: Callable[..., _T], *arguments: Any) -> _T:
        """Call at once, as code of this process."""
        return self._context.copy().run(callback, *arguments)

    def kill(self) -> None:
        """From now on nothing of it happens."""
        self.alive = False

    def began(self, task: "_Task[Any]") -> None:
        """Hold a task until `bury`: one that is collected earlier would run its `finally` blocks."""
        if self._buried:
            _close(task)
            return
        self._tasks.append(task)
        if len(self._tasks) >= _TASKS_SWEPT:
            self._tasks = [task for task in self._tasks if not task.done()]

    def bury(self) -> None:
        """Close what it has not finished. Call it when the run is over: `finally` blocks run here, and do no harm."""
        self.kill()
        self._buried = True
        for task in self._tasks:
            _close(task)
        self._tasks.clear()


def _close(task: "_Task[Any]") -> None:
    work = task.get_coro()
    for _ in range(_CLOSES_MAX):
        if task.done() or work is None or isinstance(work, Generator):
            return
        with suppress(Exception):  # a `finally` that awaits takes another round
            work.close()
            return


_TASKS_SWEPT = 4096
_CLOSES_MAX = 16
_JOBS_MAX = 64  # that an executor has not done yet


class _Task(asyncio.Task[_T]):
    """A task whose place in a set follows from its number."""

    def __init__(self, coro: Any, loop: "VirtualLoop", context: Context | None) -> None:
        self._number = loop.next_number()  # first: the base class puts the task into a set
        super().__init__(coro, loop=loop, context=context)

    def __hash__(self) -> int:
        return self._number


class _Job(Generic[_T]):
    """What an executor is to do, once."""

    def __init__(self, told: "asyncio.Future[_T]", work: Callable[[], _T], notice_us: int) -> None:
        self.told = told
        self.begun = self.done = False
        self._work = work
        self._notice_us = notice_us

    def carry_out(self, loop: "VirtualLoop") -> None:
        if self.done:
            return
        self.done = True
        try:
            answer = self._work()
        except Exception as error:
            loop.call_in(self._notice_us, self._fail, error)
        else:
            loop.call_in(self._notice_us, self._tell, answer)

    def _tell(self, answer: _T) -> None:
        if not self.told.cancelled():
            self.told.set_result(answer)

    def _fail(self, error: Exception) -> None:
        if not self.told.cancelled():
            self.told.set_exception(error)


class LoopExecutor(Executor):
    """One thread, in place of a `ThreadPoolExecutor(1)`: what it is given runs in order, on the loop that gives it."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self.free_at = 0
        self.jobs: deque[_Job[Any]] = deque(maxlen=_JOBS_MAX)
        self._loop = loop

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See `Executor.shutdown`: all that was given and not cancelled is done when it returns."""
        for job in self.jobs:
            if job.begun or not job.told.cancelled():
                job.carry_out(self._loop)


class VirtualLoop(asyncio.BaseEventLoop):
    """See the module. `delay` draws how long an executor takes, and then how long until the loop hears of it, in
    microseconds. Close it, or use it as a context manager.
    """

    def __init__(self, rng: random.Random | None = None, delay: Callable[[], tuple[int, int]] | None = None) -> None:
        super().__init__()
        drawn = rng or random.Random(0)
        self.now_us = 0
        self.callbacks = 0  # that were called
        self.ending = False
        self.callbacks_max = sys.maxsize
        self._delay = delay or (lambda: (drawn.randint(20, 300), drawn.randint(1, 200)))
        self._soon: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[int, int, asyncio.TimerHandle]] = []
        self._number = 0
        self._stop = False
        self._failure: BaseException | None = None
        self._processes: list[Process] = []
        self.dial: Dial | None = None  # how connections are made here, if any can be
        self.main = self.process("main")
        self.set_task_factory(_make_task)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def process(self, name: str) -> Process:
        """A new process; `close` buries it."""
        process = Process(name)
        self._processes.append(process)
        return process

    def next_number(self) -> int:
        """A number that nothing here had before, larger than all of those."""
        self._number += 1
        return self._number

    def fail(self, error: BaseException) -> None:
        """Have `run_until` and `run_forever` raise this, whoever would catch it where it was found."""
        if self._failure is None:
            self._failure = error
        self._stop = True

    # --- time ------------------------------------------------------------------------------------------------

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self.now_us / 1e6

    def run_until(self, until_us: int) -> None:
        """Let everything happen up to that time, and at it. Raises what `fail` was given."""
        self._stop = self._failure is not None
        with self.running():
            while not self._stop:
                if not self._soon and not self._wake(until_us):
                    self.now_us = max(self.now_us, until_us)
                    break
                self._call_one()
        self._raise_failure()

    def run_forever(self) -> None:
        """Run until `stop`. Raises `Stalled`, and what `fail` was given."""
        self._stop = self._failure is not None
        with self.running():
            while not self._stop:
                if not self._soon and not self._wake(None):
                    raise Stalled("nothing is ready, and no timer is set")
                self._call_one()
        self._raise_failure()

    def stop(self) -> None:
        """End `run_forever`."""
        self._stop = True

    def close(self) -> None:
        """Forget what was to happen, and close what every process had not finished."""
        if self.is_closed():
            return
        self.ending = True
        with self.running():
            for process in self._processes:
                process.bury()
        self._soon.clear()
        self._timers.clear()
        super().close()

    @contextmanager
    def running(self) -> Generator[None, None, None]:
        """It is the running loop while the block runs, so that tasks can be begun outside of its callbacks."""
        self._check_closed()  # type: ignore[attr-defined]
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            yield
        finally:
            events._set_running_loop(before)

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _wake(self, until_us: int | None) -> bool:
        """Move on to the next timer, and to all of its instant; false where there is none up to `until_us`."""
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heappop(timers)
        if not timers or (until_us is not None and timers[0][0] > until_us):
            return False
        self.now_us = timers[0][0]
        while timers and timers[0][0] == self.now_us:
            self._soon.append(heappop(timers)[2])
        return True

    def _call_one(self) -> None:
        handle = self._soon.popleft()
        if handle._cancelled:
            return
        process = handle._context.get(_process)  # type: ignore[attr-defined]
        if process is None or process.alive:
            self.callbacks += 1
            if self.callbacks > self.callbacks_max:
                raise Storm(f"more than {self.callbacks_max} callbacks")
            handle._run()

    async def create_connection(  # type: ignore[override]  # of its many forms, the one that streams use
        self, protocol_factory: Callable[[], asyncio.Protocol], host: str, *_: object, **__: object
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """See `asyncio.loop.create_connection`: `dial` answers, whatever the port."""
        if self.dial is None:
            raise ConnectionRefusedError("there is no network here")
        return await self.dial(protocol_factory, host)

    # --- what asyncio asks of a loop -------------------------------------------------------------------------

    def call_soon(
        self, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """See `asyncio.loop.call_soon`."""
        handle = asyncio.Handle(callback, args, self, context)
        self._soon.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_at(
        self, when: float, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See `asyncio.loop.call_at`; times are rounded to microseconds, a part of one that is left to a whole one."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        when_us = round(when * 1e6)
        if when_us == self.now_us and when > self.time():
            when_us += 1
        if when_us <= self.now_us:
            self._soon.append(timer)
        else:
            heappush(self._timers, (when_us, self.next_number(), timer))
        return timer

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[_Ts]], _T], *args: *_Ts
    ) -> "asyncio.Future[_T]":
        """See the module."""
        takes, notice = self._delay()
        job: _Job[_T] = _Job(self.create_future(), lambda: func(*args), notice)
        begins = self.now_us
        if isinstance(executor, LoopExecutor):
            begins = max(begins, executor.free_at)
            executor.free_at = begins + takes
            executor.jobs.append(job)
        if begins == self.now_us:
            self._begin(job, takes)
        else:
            self.call_in(begins - self.now_us, self._begin, job, takes)
        return job.told

    def _begin(self, job: "_Job[Any]", takes: int) -> None:
        if not job.told.cancelled():
            job.begun = True
            self.call_in(takes, job.carry_out, self)

    def call_in(
        self, delay_us: int, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call in so many microseconds; 0: after what is ready now."""
        return self.call_at((self.now_us + delay_us) / 1e6, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is passed over when its time has come."""

    def _process_events(self, event_list: object) -> None:
        """There are no sockets here."""

    def _write_to_self(self) -> None:
        """Nobody waits for another thread."""


def _make_task(loop: asyncio.AbstractEventLoop, coro: Any, context: Context | None = None) -> "asyncio.Task[Any]":
    assert isinstance(loop, VirtualLoop)
    task: _Task[Any] = _Task(coro, loop, context)
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    (context or copy_context()).get(_process, loop.main).began(task)
    return task
