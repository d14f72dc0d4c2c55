"""A machine in memory: programs over one store, of which the owner, or who asks it, dies at any boundary.

Everything is one thread: a request is carried out where it is asked, and a sync with the relay is a `Line`. The disk is
a `MemoryStore`; what an owner is
asked and does, and how it is succeeded, is what is shipped. A boundary is a place between two messages, or before,
in or after a commit; `deaths` says who dies at which.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

from crdt_bench.minimal.host import MinimalHost
from crdt_sync import Replica, bundled_schema, strict_cbor
from crdt_sync.errors import StoreInUse
from crdt_sync.replica.owner import asking
from crdt_sync.replica.owner.asking import Owner, find
from crdt_sync.replica.owner.failures import value_of
from crdt_sync.replica.owner.link import About, NoAnswer
from crdt_sync.replica.owner.message import NO_ROLE, Message
from crdt_sync.replica.owner.owned import OwnedStore
from crdt_sync.replica.owner.requests import Requests
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch, Committed

PATH = Path("/store")
NOW = 1_700_000_000_000_000  # every clock, always: microseconds since 1970
Who = Literal["owner", "client"]
Deaths = Mapping[int, Who]


class Killed(BaseException):
    """The program that runs this is dead."""


class Broken(AssertionError):
    """What must always hold does not."""


class Machine:
    """See the module. `reached` names each boundary that was come to, and who may die there."""

    def __init__(self, deaths: Deaths) -> None:
        self.disk = _made().clone()
        self.relay = MinimalHost(MemoryStore(b"s" * 16, random.Random(1)), lambda: NOW)
        self.far = Replica.over(_made(b"f").clone(), lambda: NOW, random.Random("far"))  # another device
        self.owner: Program | None = None
        self.programs: list[Program] = []
        self.reached: list[tuple[str, tuple[Who, ...]]] = []
        self.held: dict[tuple[object, object], MemoryLink] = {}  # writer ids that are lent, by record
        self._shown: MemoryStore | None = None  # what readers see after a death in a commit, until somebody may write
        self._deaths = deaths

    @contextmanager
    def running(self) -> Iterator[None]:
        """This is the machine that programs run on while the block runs."""
        with patch.object(asking, "Link", self._link), patch.object(asking, "let_go", self._let_go):
            yield

    @property
    def seen(self) -> MemoryStore:
        """What is read."""
        return self._shown or self.disk

    def dies(self, where: str, who: tuple[Who, ...] = ("owner",)) -> Who | None:
        """Who dies at this boundary."""
        self.reached.append((where, who))
        dead = self._deaths.get(len(self.reached) - 1)
        if dead not in who:
            return None
        if dead == "owner" and self.owner is not None:
            self.kill(self.owner)
        return dead

    def kill(self, program: "Program") -> None:
        """Nothing of it happens any more."""
        program.alive = False
        if self.owner is program:
            self.owner = None
            self.held.clear()

    def take(self, program: "Program") -> None:
        """Own the store. Raises `StoreInUse`."""
        if self.owner not in (None, program):
            raise StoreInUse("another program has it", "")
        self.owner = program
        self._shown = None

    def commit(self, program: "Program", batches: Sequence[Batch]) -> list[Committed]:
        """Make them durable, by the owner."""
        if not program.alive:
            raise Killed
        if self.owner is not program:
            raise Broken(f"{program.name} writes, and does not own the store")
        if self.dies("before a commit"):
            raise Killed
        before = self.disk.clone()
        done = self.disk.commit(batches)
        if self.dies("in a commit, when it is durable"):
            self._shown = before
            raise Killed
        if self.dies("after a commit"):
            raise Killed
        return done

    def _link(self, path: Path) -> "MemoryLink":
        if self.owner is None or self.owner.replica.context.known_owner is not None:
            raise FileNotFoundError(path)
        return MemoryLink(self, self.owner)

    def _let_go(self, _: Path, process: int) -> bool:
        return self.owner is None or self.owner.number != process


class Program:
    """A program that opens the store, which it owns where nobody else does."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.name = name
        self.alive = True
        self.number = len(machine.programs) + 1
        machine.programs.append(self)
        owner = None
        if machine.owner is None:
            machine.take(self)
        else:
            owner = find(PATH)
        self.store: Any = Disk(machine, self, owner)
        self.replica = Replica(self.store, wall_clock=lambda: NOW, rng=random.Random(name), owner=owner)


class Disk:
    """The store as one program has it open; where another one owns it, it does what `OwnedStore` does."""

    path = PATH
    succeed = OwnedStore.succeed

    def __init__(self, machine: Machine, program: Program, owner: Owner | None) -> None:
        self.owner = owner
        self._machine = machine
        self._program = program

    def own(self) -> None:
        """See `SharedStore.own`."""
        self._machine.take(self._program)

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        """See `Store.commit`."""
        if self.owner is not None:
            return OwnedStore.commit(self, batches)  # type: ignore[arg-type]
        return self._machine.commit(self._program, batches)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._machine.seen, name)


class MemoryLink:
    """See `Link`."""

    def __init__(self, machine: Machine, owner: Program) -> None:
        self.about = About(owner.number, owner.name, NO_ROLE, 0)
        self._machine = machine
        self._owner = owner
        self._requests = Requests(owner.replica, {})
        self._closed = False

    @property
    def has_ended(self) -> bool:
        """See `Link.has_ended`."""
        return self._closed or not self._owner.alive

    def exchange(self, request: Message, _: float) -> object:
        """See `Link.exchange`."""
        if self.has_ended:
            raise NoAnswer(sent=False, silent=False)
        self._pass(f"{request[0]}, not sent", sent=False)
        self._pass(f"{request[0]}, not read", sent=True)
        try:
            answer = self._requests.answer(_carried(request))
        except Killed:
            raise NoAnswer(sent=True, silent=False) from None
        self._note(request, answer)
        self._pass(f"{request[0]}, not answered", sent=True)
        return value_of(_carried(answer))

    def _pass(self, where: str, *, sent: bool) -> None:
        dead = self._machine.dies(where, ("owner", "client"))
        if dead == "client":
            self.close()
            raise Killed
        if dead == "owner":
            raise NoAnswer(sent=sent, silent=False)

    def _note(self, request: Message, answer: Message) -> None:
        """Each writer id is lent once at a time."""
        match request, answer:
            case ("take", record), (True, writer):
                if (record, writer) in self._machine.held:
                    raise Broken(f"{writer} is lent twice for {record}")
                self._machine.held[record, writer] = self
            case ("give", record, writer), (True, _):
                self._machine.held.pop((record, writer), None)
            case ("commit", _, tuple(edits)), (True, _):
                for record, _, _, writer, _ in edits:
                    self._machine.held.pop((record, writer), None)

    def close(self) -> None:
        """See `Link.close`."""
        if not self._closed and self._owner.alive:
            self._machine.held = {key: link for key, link in self._machine.held.items() if link is not self}
            self._requests.close()
        self._closed = True


def _carried(message: Message) -> Message:
    """As the other side reads it."""
    read = strict_cbor.loads(strict_cbor.dumps(message), items_max=10_000, depth_max=16)
    assert isinstance(read, tuple)
    return read


@cache
def _made(letter: bytes = b"r") -> MemoryStore:
    store = MemoryStore(letter * 16, random.Random(letter))
    replica = Replica.over(store, lambda: NOW, random.Random(0))
    replica.shared_schemas.add(bundled_schema("customers"), share=False)
    store.commit([Batch(meta={"name": b"test"})])
    return store
