"""What sessions and hosts need of the world outside the event loop, in one place, so that it can be exchanged.

Everything else that touches the world goes through the loop itself: time, and what runs in other threads.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from crdt_sync.runtime.link import open_link
from crdt_sync.runtime.transports.channel import Open
from crdt_sync.runtime.worker.pool import StartWorker
from crdt_sync.runtime.worker.process import WorkerProcess
from crdt_sync.storage.writer import Committer, GroupWriter, Writer


@dataclass(frozen=True, slots=True)
class Outside:
    """How channels are opened, workers started and commits made, and the chance by which attempts are spread."""

    open_channel: Open = open_link
    start_worker: StartWorker = WorkerProcess.start
    make_writer: Callable[[Committer], Writer] = GroupWriter
    rng: random.Random = field(default_factory=random.SystemRandom)


OUTSIDE = Outside()
"""The real world."""
