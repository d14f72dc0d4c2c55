"""`crdt-sync sync --watch`: stay in sync, and show what happens."""

import asyncio
import signal
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field

from rich.live import Live
from rich.text import Text

from crdt_sync.cli.output import Output
from crdt_sync.cli.safe_text import one_line
from crdt_sync.errors import RemoteError
from crdt_sync.replica import Replica
from crdt_sync.runtime import Address, Progress, keep_syncing_forever

_LOOK_S = 0.5  # between two looks at the counts: quick enough for people, nothing for the disk


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

    def failed(self, error: RemoteError, delay_s: float) -> None:
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


def watch(replica: Replica, address: Address, output: Output) -> None:
    """Stay in sync until a signal ends it. Raises `RemoteError` that trying again cannot mend, `StoreError`."""
    watched = Watched(address.url)
    watched.look(replica)
    display: AbstractContextManager[object] = (
        Live(watched, console=output.errors, refresh_per_second=4, transient=True) if output.animated else nullcontext()
    )
    with display:
        asyncio.run(_until_signal(replica, address, watched, output))
    watched.look(replica)
    watched.problem = ""
    watched.state = "ended"
    output.result(
        watched.data(), f"Ended: {watched.received} received, {watched.pushed} sent, {watched.pending} pending."
    )


async def _until_signal(replica: Replica, address: Address, watched: Watched, output: Output) -> None:
    syncing = asyncio.create_task(keep_syncing_forever(replica, address, watched.progressed, watched.failed))
    looking = asyncio.create_task(_look(replica, watched, output))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, syncing.cancel)
    try:
        with suppress(asyncio.CancelledError):
            await asyncio.wait([syncing, looking], return_when=asyncio.FIRST_COMPLETED)
            await (syncing if syncing.done() else looking)
    finally:
        looking.cancel()
        syncing.cancel()
        await asyncio.gather(syncing, looking, return_exceptions=True)


async def _look(replica: Replica, watched: Watched, output: Output) -> None:
    """Refresh the counts, and tell what changed where nothing is drawn."""
    told: dict[str, object] = {}
    while True:
        watched.look(replica)
        now = watched.data()
        if not output.animated and now != told:
            told = now
            output.result(now, watched.sentence())
            output.flush()
        await asyncio.sleep(_LOOK_S)
