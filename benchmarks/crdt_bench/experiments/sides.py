"""The servers that `peers` compares, each with the load that speaks its protocol."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from crdt_bench.child import Child, prepared
from crdt_bench.contents import make_device
from crdt_bench.device import open_device
from crdt_bench.load.updates import HOT
from crdt_bench.peers import start_peer
from crdt_bench.servers import start_relay
from crdt_sync.storage.lmdb.shared import SharedStore


@dataclass(frozen=True, slots=True)
class Flood:
    """Writers of a record each: frames of each in a round, edits in each frame, and frames unanswered at most."""

    writers: int
    frames: int
    edits: int
    window: int
    rounds: int


@dataclass(frozen=True, slots=True)
class Fan:
    """Clients that follow one writer, updates in a round, and how many of them may be unanswered."""

    followers: int
    updates: int
    window: int
    rounds: int


class Side(ABC):
    """One of the servers. The children that it gives are those of `crdt_bench.load`: a round for each message."""

    name: str

    @abstractmethod
    def start(self, data: Path) -> tuple[Child, int]:
        """The server's process and its port."""

    @contextmanager
    def serving(self, data: Path) -> Iterator[tuple[Child, int]]:
        """The same until the block ends."""
        child, port = self.start(data)
        with child:
            yield child, port

    @abstractmethod
    def flood(self, port: int, flood: Flood) -> AbstractContextManager[Child]:
        """Answers with seconds."""

    @abstractmethod
    def fan(self, port: int, fan: Fan) -> AbstractContextManager[Child]:
        """Answers with seconds and frames."""

    @abstractmethod
    def fill(self, port: int, folder: Path, records: int) -> None:
        """Return when the server has said of that many records that it has them, as it says such things."""

    @abstractmethod
    def fetch(self, port: int, folder: Path, records: int | None) -> tuple[float, int]:
        """An empty client gets them, or the one of a flood by one writer: seconds until it has all, and how many."""

    @abstractmethod
    def kept(self, port: int, data: Path, flood: Flood) -> int:
        """How many edits of one round of that flood the server has, which was started again."""


class Ours(Side):
    """The relay. Devices are whole ones where records are fetched, with a disk of their own."""

    name = "crdt-sync"

    def start(self, data: Path) -> tuple[Child, int]:
        """As `crdt-relay serve` runs it."""
        return start_relay(data)

    def flood(self, port: int, flood: Flood) -> AbstractContextManager[Child]:
        """Counted when acknowledged, which is after the disk sync."""
        return prepared(
            "crdt_bench.load.flood:pushed",
            port=port,
            connections=flood.writers,
            frames=flood.frames,
            updates=1,
            edits=flood.edits,
            records=1,
            window=flood.window,
            rounds=flood.rounds,
            wall_clock=time.time_ns() // 1000,
        )

    def fan(self, port: int, fan: Fan) -> AbstractContextManager[Child]:
        """Counted when delivered, which is after the disk sync."""
        return prepared(
            "crdt_bench.load.following:fan_out",
            port=port,
            followers=fan.followers,
            updates=fan.updates,
            records=1,
            window=fan.window,
            rounds=fan.rounds,
            wall_clock=time.time_ns() // 1000,
        )

    def fill(self, port: int, folder: Path, records: int) -> None:
        """A device has them and syncs."""
        make_device(folder, records)
        self._sync(port, folder)

    def fetch(self, port: int, folder: Path, records: int | None) -> tuple[float, int]:
        """An empty device syncs, onto its disk."""
        make_device(folder)
        return self._sync(port, folder)

    def kept(self, port: int, data: Path, flood: Flood) -> int:
        """An edit is an entry of the log."""
        with SharedStore.beside(data) as store:
            return store.head()

    def _sync(self, port: int, folder: Path) -> tuple[float, int]:
        device, _ = open_device(folder)
        with device:
            answer = device.ask(["sync", f"ws://127.0.0.1:{port}"])
        return answer["settled_s"], answer["records"]


class Peer(Side):
    """A server of Yjs documents, each record being one. Its clients are bare, and store nothing."""

    def __init__(self, dialect: str, name: str, patience_s: float) -> None:
        self.name = name
        self._dialect = dialect
        self._patience_s = patience_s

    def start(self, data: Path) -> tuple[Child, int]:
        """As its documentation sets it up."""
        return start_peer(self._dialect, data)

    def flood(self, port: int, flood: Flood) -> AbstractContextManager[Child]:
        """Counted when it reached the other client that has the document open; nothing was stored then."""
        return self._load(
            "flooded",
            port,
            writers=flood.writers,
            frames=flood.frames,
            edits=flood.edits,
            window=flood.window,
            rounds=flood.rounds,
        )

    def fan(self, port: int, fan: Fan) -> AbstractContextManager[Child]:
        """Counted when delivered; nothing was stored then."""
        return self._load(
            "fanned_out", port, followers=fan.followers, updates=fan.updates, window=fan.window, rounds=fan.rounds
        )

    def _load(self, what: str, port: int, **options: object) -> AbstractContextManager[Child]:
        return prepared(
            f"crdt_bench.load.yjs:{what}",
            dialect=self._dialect,
            port=port,
            wall_clock=time.time_ns() // 1000,
            **options,
        )

    def fill(self, port: int, folder: Path, records: int) -> None:
        """Each was sent back."""
        with prepared("crdt_bench.load.yjs:filled", dialect=self._dialect, port=port, documents=records) as load:
            load.ask("go")

    def fetch(self, port: int, folder: Path, records: int | None) -> tuple[float, int]:
        """What does not come in some seconds is not there."""
        options = {"documents": records} if records is not None else {"documents": 1, "record": HOT}
        with prepared(
            "crdt_bench.load.yjs:fetched", dialect=self._dialect, port=port, patience_s=self._patience_s, **options
        ) as load:
            seconds, came = load.ask("go")
        return seconds, came

    def kept(self, port: int, data: Path, flood: Flood) -> int:
        """What an empty client gets."""
        with prepared(
            "crdt_bench.load.yjs:kept",
            dialect=self._dialect,
            port=port,
            writers=flood.writers,
            edits=flood.frames * flood.edits,
            patience_s=self._patience_s,
        ) as load:
            return int(load.ask("go"))
