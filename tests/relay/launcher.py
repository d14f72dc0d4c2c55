"""Forks relays and devices that were imported already, so that a test can kill many of them in little time.

Each line of standard input is a JSON object that says what to fork; what the children print, one line each time,
goes to standard output. A new line kills nothing: whoever asked kills by the process id that the child printed.
"""

import asyncio
import itertools
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from crdt_relay import running
from crdt_relay.server import Relay
from crdt_relay.settings import Settings
from crdt_sync import Address, Replica, keep_syncing
from crdt_sync.protocol.reconcile import Ranges, Reconciler
from crdt_sync.runtime.worker.process import WorkerProcess
from crdt_sync.storage import Batch, Committed, LmdbStore, lives


def say(**words: Any) -> None:
    """Print one line, whole."""
    os.write(1, json.dumps(words).encode() + b"\n")


def die(moment: str, number: int) -> None:
    """Kill this process, hard, at a moment of a comparison, and tell of every message of one.

    "message": when the answer to that many of them was found; "commit": when, behind the first of them, that many
    commits are durable and nobody was told.
    """
    comparing = itertools.count(1)
    commits = itertools.count(1)
    receive, commit = Reconciler.receive, LmdbStore.commit
    heard = 0

    def receive_and_die(self: Reconciler, message: Ranges) -> Ranges | None:
        nonlocal heard
        answer = receive(self, message)
        heard = next(comparing)
        say(message=heard)
        if (moment, number) == ("message", heard):
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    def commit_and_die(self: LmdbStore, batches: Sequence[Batch]) -> list[Committed]:
        committed = commit(self, batches)
        if heard and (moment, number) == ("commit", next(commits)):
            os.kill(os.getpid(), signal.SIGKILL)
        return committed

    Reconciler.receive = receive_and_die  # type: ignore[method-assign]
    LmdbStore.commit = commit_and_die  # type: ignore[method-assign]


def relay(data: str, port: int = 0, one_life: bool = False, moment: str = "", number: int = 0) -> None:
    """Serve until killed, without a spare worker: it would be killed before it is ever used.

    `one_life` plants a bug: no life is begun and none ends.
    """
    die(moment, number)
    if one_life:
        LmdbStore.begin_life = lambda self: self.epoch  # type: ignore[method-assign]
        lives.ended = lambda lives, head: lives
    start, started = WorkerProcess.start, itertools.count()

    async def start_one() -> WorkerProcess:
        if next(started):
            await asyncio.Event().wait()
        return await start()

    WorkerProcess.start = start_one  # type: ignore[method-assign]

    def ready(started: Relay) -> None:
        say(pid=os.getpid(), url=started.url, switch_s=sys.getswitchinterval())

    running.run(Settings(data=Path(data), port=port, metrics=False, log_level="error"), ready)


def device(store: str, url: str, record: str, prefix: str) -> None:
    """Edit until killed, telling of each edit after its block has ended, while syncing in the background."""
    with Replica.open(store) as replica, keep_syncing(replica, Address(url)):
        say(pid=os.getpid())
        for number in range(1_000_000):
            with replica.edit(record) as customer:
                customer.add("tags", f"{prefix}-{number}")
            say(tag=f"{prefix}-{number}")


def meeting(store: str, url: str, moment: str = "", number: int = 0) -> None:
    """Stay in sync until killed."""
    die(moment, number)
    with Replica.open(store) as replica, keep_syncing(replica, Address(url)):
        say(pid=os.getpid())
        signal.pause()


KINDS: dict[str, Callable[..., None]] = {"relay": relay, "device": device, "meeting": meeting}


def main() -> None:
    """Fork what each line says."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    for line in sys.stdin:
        wanted = json.loads(line)
        if os.fork():
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(0)
        os.open(os.devnull, os.O_RDONLY)
        try:
            KINDS[wanted.pop("what")](**wanted)
        finally:
            os._exit(1)


if __name__ == "__main__":
    main()
