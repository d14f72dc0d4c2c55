"""Commands that stay until they are ended: shown while they run, they own the store and serve it to other commands."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Protocol

from crdt_sync.cli import drawing
from crdt_sync.cli.output import Output
from crdt_sync.errors import StoreClosed
from crdt_sync.replica import Replica

STOP = "stop"  # what others may ask of a command that stays
STANDING = "standing"  # the other one: see `Line.standing`, of each
_LOOK_S = 0.2  # between two looks at the counts: quick enough for people, nothing for the disk


class Line(Protocol):
    """One thing that is shown."""

    @property
    def standing(self) -> tuple[str, str, str]:
        """What it is with, its state, and what is wrong with it."""

    def look(self, replica: Replica) -> None:
        """Read what is shown from the replica."""

    def data(self) -> dict[str, object]:
        """For programs."""

    def sentence(self) -> str:
        """For people whose output goes to a file."""

    def __rich__(self) -> "drawing.Text":
        """For people at a terminal."""


Work = Callable[[Replica], Sequence[Coroutine[object, object, None]]]
"""What runs on the open replica, until it is cancelled."""


def stay(replica: Replica, lines: Sequence[Line], work: Work, output: Output, role: str) -> None:
    """Do `work` until a signal, or `crdt-sync down`, ends it; meanwhile other programs are served, and see `role`.

    `replica` is open and will be closed. Raises what the work raises, and `NotServed` where another program owns it.
    """
    replica.alone(f"'{role}'")
    display: AbstractContextManager[object] = (
        drawing.Live(_Lines(lines), console=output.errors, refresh_per_second=4, transient=True)
        if output.animated
        else nullcontext()
    )
    with display:
        asyncio.run(_Stay(lines, work, output).run(replica, role))


def _hear(number: signal.Signals, loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    try:
        loop.add_signal_handler(number, act)
    except NotImplementedError:  # Windows
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(act))


class _Lines:
    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines

    def __rich__(self) -> "drawing.Group":
        ends = drawing.Text("  Ctrl-C ends it; nothing is lost.", "dim")
        return drawing.Group(*(line.__rich__() for line in self._lines), ends)


class _Stay:
    def __init__(self, lines: Sequence[Line], work: Work, output: Output) -> None:
        self._lines = lines
        self._work = work
        self._output = output
        self._ended = asyncio.Event()
        self._told: dict[int, dict[str, object]] = {}

    async def run(self, replica: Replica, role: str) -> None:
        loop = asyncio.get_running_loop()
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                _hear(getattr(signal, name), loop, self._ended.set)

        def stop(*_: object) -> None:
            loop.call_soon_threadsafe(self._ended.set)

        def standing(*_: object) -> tuple[tuple[str, str, str], ...]:
            return tuple(line.standing for line in self._lines)

        with replica:
            replica.share(role, {STOP: stop, STANDING: standing})
            await self._session(replica)

    async def _session(self, replica: Replica) -> None:
        """Work until the end."""
        work = (*self._work(replica), self._look(replica), self._until_ended())
        tasks = [asyncio.create_task(part) for part in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with suppress(StoreClosed):
                for line in self._lines:
                    line.look(replica)

    async def _until_ended(self) -> None:
        await self._ended.wait()

    async def _look(self, replica: Replica) -> None:
        """Refresh what is shown. Where the work has closed the store, as one that is to be wiped, nothing is shown any
        more, and it is the work that ends, and says why.
        """
        with suppress(StoreClosed):
            while True:
                for line in self._lines:
                    line.look(replica)
                self._tell()
                await asyncio.sleep(_LOOK_S)
        await self._until_ended()

    def _tell(self) -> None:
        """Say what changed where nothing is drawn."""
        if self._output.animated:
            return
        for number, line in enumerate(self._lines):
            now = line.data()
            if now != self._told.get(number):
                self._told[number] = now
                self._output.result(now, line.sentence())
                self._output.flush()
