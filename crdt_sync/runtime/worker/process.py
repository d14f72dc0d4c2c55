"""The parent's side of one worker: start it, ask it, and kill it when its processor time is used up."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self, cast

from crdt_sync import limits
from crdt_sync.errors import CrdtSyncError
from crdt_sync.runtime.worker import pipe
from crdt_sync.runtime.worker.budget import Budget
from crdt_sync.runtime.worker.hearing import Hearing
from crdt_sync.runtime.worker.processor import TICK_US, processor_us
from crdt_sync.runtime.worker.progress import Mark, Progress, Shared

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

    def __init__(self, process: asyncio.SubprocessTransport, hearing: Hearing, progress: Progress) -> None:
        self._process = process
        self._hearing = hearing
        self._progress = progress
        self._killed = False
        self.fresh = True  # it has been asked nothing yet
        self.missing: Sequence[str] = ()
        self._stdin = cast(asyncio.WriteTransport, process.get_pipe_transport(0))

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
            process, hearing = await asyncio.get_running_loop().subprocess_exec(
                Hearing,
                *worker_command(),
                shared.name,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=shared.inherited,
                env=worker_environment(),
                cwd=os.path.abspath(os.sep),
            )
        except OSError as error:
            shared.progress.close()
            raise _unavailable(error) from error
        worker = cls(process, hearing, shared.progress)
        try:
            ready = await hearing.answer(limits.WORKER_START_US_MAX / 1e6)
            if ready is None:
                raise TimeoutError
            worker.missing = pipe.decode_ready(ready)
        except BaseException as error:
            report = await worker._bury_stillborn()
            if isinstance(error, TimeoutError | EOFError | OSError | pipe.PipeCorrupt):
                raise WorkerUnavailable(f"an integration worker did not start: {report}") from error
            raise
        return worker

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.get_pid()

    @property
    def alive(self) -> bool:
        """Whether the process has neither ended, as far as is known, nor been killed."""
        return not self._killed and self._process.get_returncode() is None

    async def ask(self, number: int, request: bytes, budget: Budget) -> bytes:
        """Send request `number` and return the body of the answer.

        The budget is of the worker's own processor time, so that a busy machine kills nobody. Raises `WorkerDied`,
        for a worker that gets none for `INTEGRATION_STUCK_US_MAX` too; the worker is dead then, as it is when the
        caller is cancelled.
        """
        self.fresh = False
        self._stdin.write(request)
        del request  # it may be large, and the answer be long in coming
        late = stuck = False
        try:
            answer = await self._answer(number, budget)
            if isinstance(answer, bytes):
                return answer
            reason, late, stuck = answer, answer is _LATE, answer is _STUCK
        except EOFError:
            reason = "the process ended"
        except pipe.PipeCorrupt as error:
            reason = str(error)
        except BaseException:
            self.kill()
            raise
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
        await self._hearing.exited.wait()
        self._process.close()
        self._progress.close()

    async def _answer(self, number: int, budget: Budget) -> bytes | str:
        """The answer, or why it is given up."""
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
            answer = await self._hearing.answer(wait_us / 1e6)
            if answer is not None:
                return answer
            now, at = self._processor_us(), self._progress.read(number)
            if now != used:
                used, used_at = now, time.monotonic_ns()
            if at != mark:
                mark, step_begun = at, now

    def _processor_us(self) -> int:
        return processor_us(self.pid)

    async def _bury_stillborn(self) -> str:
        self.kill()
        await self._hearing.silent.wait()
        await self._hearing.exited.wait()
        code = self._process.get_returncode()
        await self.close()
        return self._hearing.report.decode("utf-8", "replace").strip() or f"exit code {code}"
