"""`crdt-sync sync --watch`: stay in sync, and show what happens."""

import asyncio
import signal
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from rich.live import Live
from rich.text import Text

from crdt_sync.cli import sharing
from crdt_sync.cli.output import Output
from crdt_sync.cli.safe_text import one_line
from crdt_sync.errors import CrdtSyncError
from crdt_sync.replica import Replica
from crdt_sync.runtime import Address, Progress, keep_syncing_forever

_LOOK_S = 0.2  # between two looks at the counts: quick enough for people, nothing for the disk


@dataclass(slots=True)
class Watched:
    """What is known of the session. Counts are records since the command began."""

    url: str
    state: str = "connecting"
    problem: str = ""
    retry_at: float = 0.0
    pending: int = 0
    refused: int = 0
    _before: tuple[int, int] = (0, 0)
    _progress: Progress = field(default_factory=Progress)

    @property
    def received(self) -> int:
        """Updates that came."""
        return self._before[0] + self._progress.received

    @property
    def pushed(self) -> int:
        """Updates that the relay has stored."""
        return self._before[1] + self._progress.pushed

    def progressed(self, progress: Progress) -> None:
        """A session moved on."""
        if progress is not self._progress:
            self._before = (self.received, self.pushed)
            self._progress = progress
        self.state = "in sync" if progress.caught_up and not self.pending else "exchanging"
        if progress.caught_up:
            self.problem = ""

    def failed(self, error: CrdtSyncError, delay_s: float) -> None:
        """A session ended; the next attempt follows."""
        self.state, self.problem, self.retry_at = "offline", error.message, time.monotonic() + delay_s

    def look(self, replica: Replica) -> None:
        """Read the counts of what waits here."""
        known = [partner for partner in replica.partners() if partner.url == self.url]
        self.pending = sum(partner.pending for partner in known)
        self.refused = sum(partner.refused for partner in known)
        if self.state in ("in sync", "exchanging"):
            self.state = "in sync" if self._progress.caught_up and not self.pending else "exchanging"

    def data(self) -> dict[str, object]:
        """For programs."""
        counts = {"pending": self.pending, "received": self.received, "pushed": self.pushed, "refused": self.refused}
        return {"relay": self.url, "state": self.state, **counts, "problem": self.problem}

    def sentence(self) -> str:
        """For people whose output goes to a file."""
        text = f"{self.state}: {self.received} received, {self.pushed} sent, {self.pending} pending"
        text += f", {self.refused} refused" if self.refused else ""
        return f"{text}; {self.problem}" if self.problem else text

    def __rich__(self) -> Text:
        style = {"in sync": "bold green", "exchanging": "bold cyan", "offline": "bold red"}.get(self.state, "bold")
        text = Text.assemble(
            ("● ", style),
            (self.state, style),
            f"  {one_line(self.url)}\n  received {self.received}   sent {self.pushed}   pending {self.pending}   ",
            (f"refused {self.refused}", "red" if self.refused else ""),
        )
        if self.problem:
            wait = max(0, round(self.retry_at - time.monotonic()))
            text.append(f"\n  {one_line(self.problem)}; next attempt in {wait} s", style="yellow")
        return text.append("\n  Ctrl-C ends it; nothing is lost.", style="dim")


def watch(store: Path, replica: Replica, address: Address, output: Output) -> None:
    """Stay in sync until a signal ends it. Closes and reopens the store when another command wants it.

    `replica` is open and will be closed. Raises `RemoteError` that trying again cannot mend, `StoreError`.
    """
    watched = Watched(address.url)
    display: AbstractContextManager[object] = (
        Live(watched, console=output.errors, refresh_per_second=4, transient=True) if output.animated else nullcontext()
    )
    with display, sharing.watching(store):
        asyncio.run(_Watcher(store, address, watched, output).run(replica))
    watched.problem = ""
    watched.state = "ended"
    counts = f"{watched.received} received, {watched.pushed} sent, {watched.pending} pending"
    output.result(watched.data(), f"Ended: {counts}.")


class _Watcher:
    def __init__(self, store: Path, address: Address, watched: Watched, output: Output) -> None:
        self._store = store
        self._address = address
        self._watched = watched
        self._output = output
        self._ended = asyncio.Event()
        self._told: dict[str, object] = {}

    async def run(self, replica: Replica | None) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._ended.set)
        while not self._ended.is_set():
            if replica is not None:
                with replica:
                    await self._session(replica)
            replica = await self._open_again()

    async def _session(self, replica: Replica) -> None:
        """Sync until the end, or until another command wants the store."""
        self._watched.state = "connecting"
        watched = self._watched
        syncing = keep_syncing_forever(replica, self._address, watched.progressed, watched.failed)
        tasks = [asyncio.create_task(work) for work in (syncing, self._look(replica), self._until_ended())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            watched.look(replica)

    async def _open_again(self) -> Replica | None:
        if self._ended.is_set():
            return None
        self._watched.state = "waiting for another command"
        self._tell()
        await asyncio.sleep(_LOOK_S)
        return sharing.open_when_free(self._store)

    async def _until_ended(self) -> None:
        await self._ended.wait()

    async def _look(self, replica: Replica) -> None:
        """Refresh the counts; returns when another command wants the store."""
        while not sharing.is_wanted(self._store):
            self._watched.look(replica)
            self._tell()
            await asyncio.sleep(_LOOK_S)

    def _tell(self) -> None:
        """Say what changed where nothing is drawn."""
        now = self._watched.data()
        if not self._output.animated and now != self._told:
            self._told = now
            self._output.result(now, self._watched.sentence())
            self._output.flush()
