"""What sessions and hosts need of the world outside the event loop, in one place, so that it can be exchanged.

Everything else that touches the world goes through the loop itself: time, and what runs in other threads.
"""

import random
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field

from crdt_sync.runtime.opening import open_channel
from crdt_sync.runtime.transports.channel import Open
from crdt_sync.runtime.worker.pool import StartWorker
from crdt_sync.runtime.worker.process import WorkerProcess
from crdt_sync.storage.port import Committer
from crdt_sync.storage.writer import GroupWriter, Writer


def _commit_thread() -> Executor:
    return ThreadPoolExecutor(1, thread_name_prefix="crdt-sync-commit")


@dataclass(frozen=True, slots=True)
class Outside:
    """How channels are opened, workers started and commits made, and the chance by which attempts are spread.

    `start_slow_worker` starts one that gives way to everything else on the machine. `make_thread` makes what a
    session's commits run in, one at a time: an executor for `loop.run_in_executor`. `clock` gives seconds that pass
    while something runs on the loop.
    """

    open_channel: Open = open_channel
    start_worker: StartWorker = WorkerProcess.start
    start_slow_worker: StartWorker = WorkerProcess.start_slow
    make_writer: Callable[[Committer], Writer] = GroupWriter
    make_thread: Callable[[], Executor] = _commit_thread
    clock: Callable[[], float] = time.perf_counter
    rng: random.Random = field(default_factory=random.SystemRandom)


OUTSIDE = Outside()
"""The real world."""
