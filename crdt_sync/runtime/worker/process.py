"""The parent's side of one worker: start it, ask it, and kill it when its processor time is used up."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from crdt_sync import limits
from crdt_sync.errors import CrdtSyncError
from crdt_sync.runtime.worker import pipe
from crdt_sync.runtime.worker.budget import Budget
from crdt_sync.runtime.worker.processor import TICK_US, processor_us
from crdt_sync.runtime.worker.progress import Mark, Progress, Shared

_STREAM_BYTES_MAX = 1 << 20
_REPORT_BYTES_MAX = 2000
_LOOK_EVERY_US_MAX = 1_000_000  # whether the worker moves on
_LATE = "no answer in time"
_STUCK = "it used no processor time, and did not answer"


class WorkerUnavailable(CrdtSyncError):
    """No integration worker could be started; nothing was integrated."""

    code = "worker_unavailable"
    retryable = True


class WorkerDied(Exception):
    """The worker ended or was killed before it answered; `mark` says where it was, if it was anywhere.

    `late`: it was killed because its processor time was used up. `stuck`: it used no processor, so that nothing can be
    said of what it was at.
    """

    def __init__(self, reason: str, mark: Mark | None, *, late: bool = False, stuck: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.mark = mark
        self.late = late
        self.stuck = stuck


def _unavailable(error: OSError) -> WorkerUnavailable:
    return WorkerUnavailable(f"no integration worker can be started: {error}", "Free memory or processes.")


def worker_command() -> list[str]:
    """The command line of a worker, without the descriptor of its progress mark.

    `-P` keeps the working directory out of the module path: nothing there is to be run by chance.
    """
    return [sys.executable, "-P", "-m", "crdt_sync.runtime.worker"]


def worker_environment() -> dict[str, str]:
    """What a worker inherits: where the modules are, and none of the relay's secrets."""
    root = str(Path(__file__).resolve().parents[3])
    inherited = os.environ.get("PYTHONPATH")
    return {
        "PYTHONPATH": os.pathsep.join([root, inherited]) if inherited else root,
        **({"SYSTEMROOT": os.environ["SYSTEMROOT"]} if "SYSTEMROOT" in os.environ else {}),
        "PYTHONDONTWRITEBYTECODE": "1",  # the worker may write no files
        "MALLOC_ARENA_MAX": "1",  # one thread; more arenas would only spend the address space
    }


class WorkerProcess:
    """A running worker that has said that it is ready."""

    def __init__(self, process: asyncio.subprocess.Process, progress: Progress) -> None:
        self._process = process
        self._progress = progress
        self._killed = False
        self.fresh = True  # it has been asked nothing yet
        self.missing: Sequence[str] = ()
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin = process.stdin
        self._stdout = process.stdout

    @classmethod
    async def start_slow(cls) -> Self:
        """Start a worker that gives way to all other processes. Raises `WorkerUnavailable`."""
        return await cls._start("slow")

    @classmethod
    async def start(cls) -> Self:
        """Start a worker and wait until it is ready. Raises `WorkerUnavailable`."""
        return await cls._start()

    @classmethod
    async def _start(cls, *arguments: str) -> Self:
        try:
            shared = Shared()
        except OSError as error:
            raise _unavailable(error) from error
        try:
            return await cls._started(shared, arguments)
        finally:
            shared.close()

    @classmethod
    async def _started(cls, shared: Shared, arguments: Sequence[str]) -> Self:
        try:
            process = await asyncio.create_subprocess_exec(
                *worker_command(),
                shared.name,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_STREAM_BYTES_MAX,
                pass_fds=shared.inherited,
                env=worker_environment(),
                cwd=os.path.abspath(os.sep),
            )
        except OSError as error:
            shared.progress.close()
            raise _unavailable(error) from error
        worker = cls(process, shared.progress)
        try:
            async with asyncio.timeout(limits.WORKER_START_US_MAX / 1e6):
                worker.missing = pipe.decode_ready(await worker._read_frame())
        except BaseException as error:
            report = await worker._bury_stillborn()
            if isinstance(error, TimeoutError | EOFError | OSError | pipe.PipeCorrupt):
                raise WorkerUnavailable(f"an integration worker did not start: {report}") from error
            raise
        return worker

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process has neither ended, as far as is known, nor been killed."""
        return not self._killed and self._process.returncode is None

    async def ask(self, number: int, request: bytes, budget: Budget) -> bytes:
        """Send request `number` and return the body of the answer.

        The budget is of the worker's own processor time, so that a busy machine kills nobody. Raises `WorkerDied`,
        for a worker that gets none for `INTEGRATION_STUCK_US_MAX` too; the worker is dead then, as it is when the
        caller is cancelled.
        """
        self.fresh = False
        self._stdin.write(request)  # not in the task below: the worker may begin before that has its turn
        del request  # it may be large, and the answer be long in coming
        exchange = asyncio.ensure_future(self._answer())
        late = stuck = False
        try:
            reason = await self._lateness(exchange, number, budget)
            if reason is None:
                return exchange.result()
            late, stuck = reason is _LATE, reason is _STUCK
        except (EOFError, OSError):
            reason = "the process ended"
        except pipe.PipeCorrupt as error:
            reason = str(error)
        except BaseException:
            self.kill()
            raise
        finally:
            exchange.cancel()
        self.kill()
        raise WorkerDied(reason, self._progress.read(number), late=late, stuck=stuck)

    def kill(self) -> None:
        """End the process at once."""
        self._killed = True
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def close(self) -> None:
        """Kill the process and release what it held."""
        self.kill()
        self._stdin.close()
        with contextlib.suppress(OSError):
            await self._stdin.wait_closed()
        await self._process.wait()
        self._progress.close()

    async def _lateness(self, exchange: asyncio.Future[bytes], number: int, budget: Budget) -> str | None:
        """Wait for the answer; returns why it is given up, or None when it is there."""
        whole_begun = step_begun = used = self._processor_us()
        used_at = time.monotonic_ns()
        mark: Mark | None = None
        while True:
            left_us = min(budget.whole_us - (used - whole_begun), budget.step_us(mark) - (used - step_begun))
            if left_us <= 2 * TICK_US:
                return _LATE
            if time.monotonic_ns() - used_at > limits.INTEGRATION_STUCK_US_MAX * 1000:
                return _STUCK
            wait_us = min(left_us, _LOOK_EVERY_US_MAX, limits.INTEGRATION_STUCK_US_MAX)
            done, _ = await asyncio.wait((exchange,), timeout=wait_us / 1e6)
            if done:
                return None
            now, at = self._processor_us(), self._progress.read(number)
            if now != used:
                used, used_at = now, time.monotonic_ns()
            if at != mark:
                mark, step_begun = at, now

    async def _answer(self) -> bytes:
        await self._stdin.drain()
        return await self._read_frame()

    async def _read_frame(self) -> bytes:
        (length,) = pipe.LENGTH.unpack(await self._stdout.readexactly(pipe.LENGTH.size))
        if length > pipe.ANSWER_BYTES_MAX:
            raise pipe.PipeCorrupt("an answer that is too large")
        return await self._stdout.readexactly(length)

    def _processor_us(self) -> int:
        return processor_us(self.pid)

    async def _bury_stillborn(self) -> str:
        self.kill()
        assert self._process.stderr is not None
        report = (await self._process.stderr.read(_STREAM_BYTES_MAX))[-_REPORT_BYTES_MAX:]
        await self.close()
        return report.decode("utf-8", "replace").strip() or f"exit code {self._process.returncode}"
