"""One partner of a command that stays in sync, as it is shown: on a terminal, in a file, to a program."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from crdt_sync.cli import drawing, last_failure
from crdt_sync.cli.last_failure import Failure
from crdt_sync.cli.renewed_token import Renewal
from crdt_sync.cli.safe_text import one_line
from crdt_sync.errors import CrdtSyncError, RemoteError, Unauthorized
from crdt_sync.replica import Replica
from crdt_sync.runtime import Address, Progress, keep_syncing_forever
from crdt_sync.runtime.worker.process import WorkerUnavailable

_STYLES = {"in sync": "bold green", "exchanging": "bold cyan"} | dict.fromkeys(
    ("incomplete", "offline", "given up"), "bold red"
)


@dataclass(slots=True)
class Watched:
    """What is known of the sessions with one partner. Counts are records since the command began.

    `pending` are those that the partner may lack: all, as long as nothing was exchanged with it. `missing` are those of
    which it has something that is missing here.
    """

    address: Address
    state: str = "connecting"
    problem: str = ""
    retry_at: float = 0.0
    pending: int = 0
    refused: int = 0
    missing: int = 0
    met: bool = False
    beside_others: bool = False  # so that what is said of it must name it
    store: Path | None = None  # whose last failure is kept
    renewal: Renewal | None = None  # where another token may be, once this one is refused
    _before: tuple[int, int] = (0, 0)
    _progress: Progress = field(default_factory=Progress)
    _succeeded: bool = False  # and no failure is kept since

    @property
    def url(self) -> str:
        """Where the partner is."""
        return self.address.url

    async def stay(self, replica: Replica, *, alone: bool) -> None:
        """Keep `replica` in sync with the partner.

        Where it refuses the token, and another one is known by now, it goes on with that.
        Raises `StoreError`, and the `RemoteError` that trying again cannot mend where the partner is `alone`: beside
        others, it is shown and the others go on.
        """
        self.state = "connecting"

        def failed(error: CrdtSyncError, delay_s: float) -> None:
            self.failed(error, delay_s)
            self._note(replica, error)

        try:
            await self._sync(replica, failed)
        except (RemoteError, WorkerUnavailable) as error:
            self._note(replica, error)
            if alone or not isinstance(error, RemoteError):
                raise
            self.state, self.problem = "given up", f"{error.message}. {error.hint}"
            await asyncio.Event().wait()

    async def _sync(self, replica: Replica, failed: Callable[[CrdtSyncError, float], None]) -> None:
        """Stay in sync, with whatever token there is. Raises what `keep_syncing_forever` does."""
        while True:
            try:
                await keep_syncing_forever(replica, self.address, self.progressed, failed)
            except Unauthorized:
                renewed = None if self.renewal is None else self.renewal.after(self.address)
                if renewed is None:
                    raise
                self.address = renewed

    @property
    def received(self) -> int:
        """Updates that came."""
        return self._before[0] + self._progress.received

    @property
    def pushed(self) -> int:
        """Updates that the partner has stored."""
        return self._before[1] + self._progress.pushed

    def progressed(self, progress: Progress) -> None:
        """A session moved on."""
        if progress is not self._progress:
            self._before = (self.received, self.pushed)
            self._progress = progress
        self._judge()
        if progress.caught_up:
            self.problem = ""
            if self.store is not None and not self._succeeded:
                last_failure.forget(self.store, self.url)
            self._succeeded = True
            if self.renewal is not None:
                self.renewal.accepted()

    def failed(self, error: CrdtSyncError, delay_s: float) -> None:
        """A session ended; the next attempt follows."""
        self.state, self.problem, self.retry_at = "offline", error.message, time.monotonic() + delay_s

    def _note(self, replica: Replica, error: CrdtSyncError) -> None:
        self._succeeded = False
        if self.store is not None:
            last_failure.note(self.store, Failure(self.url, replica.wall_clock(), error.message, error.code))

    def look(self, replica: Replica) -> None:
        """Read the counts of what waits here."""
        known = [partner for partner in replica.partners() if partner.url == self.url]
        self.met = any(not partner.is_compared for partner in known)
        self.pending = sum(partner.pending for partner in known) if self.met else replica.count()
        self.refused = sum(partner.refused for partner in known)
        self.missing = sum(partner.missing for partner in known)
        if self.state not in ("connecting", "offline", "given up", "ended"):
            self._judge()

    def _judge(self) -> None:
        if not self._progress.caught_up or self.pending:
            self.state = "exchanging"
        else:
            self.state = "incomplete" if self.missing else "in sync"

    @property
    def waiting(self) -> str:
        """How many records the partner may lack, in words."""
        return f"{self.pending} pending" if self.met or not self.pending else f"{self.pending} pending at most"

    @property
    def standing(self) -> tuple[str, str, str]:
        """See `staying.Line`."""
        return self.url, self.state, self.problem

    def data(self) -> dict[str, object]:
        """For programs."""
        counts = {"pending": self.pending, "received": self.received, "pushed": self.pushed, "refused": self.refused}
        counts["missing"] = self.missing
        return {"relay": self.url, "state": self.state, **counts, "problem": self.problem}

    def sentence(self) -> str:
        """For people whose output goes to a file."""
        text = f"{self.state}: {self.received} received, {self.pushed} sent, {self.waiting}"
        text += f", {self.refused} refused" if self.refused else ""
        text += f", {self.missing} missing here: crdt-sync status" if self.missing else ""
        text = f"{self.url} {text}" if self.beside_others else text
        return f"{text}; {self.problem}" if self.problem else text

    def __rich__(self) -> "drawing.Text":
        style = _STYLES.get(self.state, "bold")
        text = drawing.Text.assemble(
            ("● ", style),
            (self.state, style),
            f"  {one_line(self.url)}\n  received {self.received}   sent {self.pushed}   {self.waiting}   ",
            (f"refused {self.refused}", "red" if self.refused else ""),
            (f"   missing here {self.missing}: crdt-sync status" if self.missing else "", "red"),
        )
        if self.problem:
            wait = max(0, round(self.retry_at - time.monotonic()))
            again = "" if self.state == "given up" else f"; next attempt in {wait} s"
            text.append(f"\n  {one_line(self.problem)}{again}", style="yellow")
        return text
