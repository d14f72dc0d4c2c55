"""What a program does whose store another one owns: it reads beside the owner, and asks it to write."""

import math
import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from crdt_sync.errors import NotServed, OwnerGone, OwnerSilent, StoreInUse
from crdt_sync.limits import OWNER_FRAME_BYTES_MAX
from crdt_sync.protocol.messages import UpdatesEntry
from crdt_sync.replica.owner import local
from crdt_sync.replica.owner.failures import unpacked
from crdt_sync.replica.owner.frames import NO_ROLE, VERSION, receive, send
from crdt_sync.replica.owner.message import BadFrame, Message
from crdt_sync.replica.owner.sent import SentEdit, committed
from crdt_sync.replica.writers import Writers
from crdt_sync.storage.lmdb.lock import let_go
from crdt_sync.storage.lmdb.shared import SharedStore
from crdt_sync.storage.port import Store
from crdt_sync.storage.values import Batch, Committed

_GREETING_S = 5.0
_SILENCE_S = 10.0  # of an owner, before it is tried whether it still greets others
_DONE_S = 120.0  # for what takes long nowhere: its disk may hang although it greets
_MESSAGE_S = 30.0  # for a message to go over, once it is begun
_LONG = frozenset({"sync", "audit", "digests", "schema", "stricter schema", "resolve schema"})  # while it lives
_STAGED_BYTES = OWNER_FRAME_BYTES_MAX // 2
_ENDS_S = 5.0  # how long an owner that said no more may take to end
_LOOK_S = 0.01
_GO_ON = "It is stopped, or hangs: let it go on, or end it. "
_HARMLESS = frozenset({"take", "give", "stage", "digests"})  # what leaves nothing in the store that anybody sees


@dataclass(frozen=True, slots=True)
class About:
    """Who owns a store: its process, what it is called, and what it does beside serving the store."""

    process: int
    program: str
    role: str
    since: int  # microseconds since 1970
    number: int = 0  # of this link

    @property
    def called(self) -> str:
        """What people know it by: its role, or its program where it has none."""
        return self.program if self.role == NO_ROLE else self.role


class Owner:
    """A link to the owner of the store in `path`. Calls may come from any thread; each waits for its answer."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError` where nobody serves the store, and `OwnerGone`."""
        self.path = path
        self._asking = threading.Lock()
        self._link = local.connect(path)
        self._lent: set[tuple[str, int]] = set()
        try:
            self.about = self._greet()
        except BaseException:
            self._link.close()
            raise

    def _greet(self) -> About:
        match self._exchange(("hello", VERSION), _GREETING_S, greeting=True):
            case (int(process), str(program), str(role), int(since), int(number)):
                return About(process, program, role, since, number)
        raise OwnerGone("the program that owns the store gave another answer", "Update both to the same version.")

    def ask(self, *request: object) -> object:
        """Have the owner do something. Raises what it raises there.

        Where it ends meanwhile, or is silent and greets nobody else either, as when it is stopped: `OwnerGone`, and
        `OwnerSilent` for what may have been done all the same.
        """
        try:
            return self._exchange(request, math.inf if request[0] in _LONG else _DONE_S)
        except OwnerGone as gone:
            if request[0] in _HARMLESS:
                raise
            what = "gives no answer" if _is_silent(gone) else "ended meanwhile"
            raise OwnerSilent(
                f"process {self.about.process}, which owns the store in {self.path}, {what}: {request[0]} may be done "
                "or not",
                f"{_GO_ON if _is_silent(gone) else ''}Look whether it is before you ask for it again.",
            ) from gone

    @property
    def has_ended(self) -> bool:
        """Whether the owner is known to have ended this link; not while something is asked."""
        if not self._asking.acquire(blocking=False):
            return False
        try:
            self._link.settimeout(0)
            ended = self._link.recv(1, socket.MSG_PEEK) == b""
            self._link.settimeout(None)
        except (BlockingIOError, InterruptedError):
            self._link.settimeout(None)
            return False
        except OSError:
            return True
        finally:
            self._asking.release()
        return ended

    def lend(self, record: str) -> int:
        """A writer id for this record. Raises `EditInProgress`."""
        writer = self.ask("take", record)
        if not isinstance(writer, int):
            raise self._gone()
        self._lent.add((record, writer))
        return writer

    def give_back(self, record: str, writer: int) -> None:
        """The writer id is not needed any more. A commit of the record gives it back by itself."""
        if (record, writer) in self._lent:
            self._lent.discard((record, writer))
            with suppress(OwnerGone):
                self.ask("give", record, writer)

    def commit(self, edits: Sequence[SentEdit], clock: int) -> bool:
        """Have the edits stored, in one commit. False where the owner ended amid it: whether they are stored can be
        seen once another one owns the store, see `found`.

        Raises `OwnerGone` where nothing of them is, `OwnerSilent` where the owner still has them and gives no answer,
        and what it raises.
        """
        part: list[Message] = []
        size = 0
        for edit in edits:
            if part and size + edit.size > _STAGED_BYTES:
                self.ask("stage", tuple(part))
                part, size = [], 0
            part.append(edit.packed())
            size += edit.size
        try:
            self._exchange(("commit", clock, tuple(part)), _DONE_S)
        except OwnerGone:
            self._await_end()
            return False
        self._lent.difference_update((edit.record, edit.writer) for edit in edits)
        return True

    def found(self, store: Store, edits: Sequence[SentEdit]) -> bool:
        """Whether this owner, which ended amid their commit, has stored the edits. `store` is what was opened to be
        written since: what a process that is killed leaves on disk, readers see only then.

        Raises `OwnerSilent` where it cannot be told.
        """
        if (stored := committed(store, edits)) is None:
            raise self.uncertain("the record was renewed since")
        return stored

    def uncertain(self, why: str) -> OwnerSilent:
        """The error for edits that it may have stored before it ended."""
        return OwnerSilent(
            f"process {self.about.process}, which owned the store in {self.path}, ended amid the edit, and {why}: the "
            "edit may be stored or not",
            "Look whether it is there before you make it again.",
        )

    def integrate(
        self,
        entries: Sequence[UpdatesEntry],
        origin: bytes,
        refused: Mapping[str, str],
        whole: Collection[str],
        meta: Mapping[str, bytes | None],
    ) -> list[tuple[str, bytes]]:
        """See `Replica.integrate`."""
        answer = self.ask(
            "integrate",
            tuple(tuple(entry) for entry in entries),
            origin,
            tuple(refused.items()),
            tuple(whole),
            tuple(meta.items()),
        )
        found = []
        for gap in answer if isinstance(answer, tuple) else ():
            match gap:
                case (str(record), bytes(vector)):
                    found.append((record, vector))
        return found

    def writers(self, mint: Callable[[], int]) -> Writers:
        """The writer ids that the owner lends."""
        return LentWriters(self, mint)

    def refusal(self, what: str) -> NotServed:
        """The error for what takes the store alone."""
        return NotServed(
            f"{what} takes the store alone, and process {self.about.process} ({self.about.called}) owns it",
            "End that one first: 'crdt-sync down' where 'crdt-sync up' began it, else close that program.",
        )

    def follow(
        self, heard: Callable[[str, Sequence[str]], None], missed: Callable[[], None], ended: Callable[[], None]
    ) -> Callable[[], None]:
        """Call `heard`, in a thread of its own, with what others change, and `ended` when the owner ends.

        Who reads too slowly is sent away, and follows again: `missed` is called then. Returns the call that
        ends it.
        """
        link: Owner | None = Owner(self.path)
        closed = threading.Event()

        def listen() -> None:
            nonlocal link
            begun: Callable[[], None] | None = None
            while link is not None:
                for kind, records in () if closed.is_set() else link.events(self.about.number, begun):
                    heard("received" if kind == "edited" else kind, records)
                link.close()
                link = self._again(closed)
                begun = missed
            if not closed.is_set():
                ended()

        def close() -> None:
            closed.set()
            if (last := link) is not None:
                last.close()

        threading.Thread(target=listen, name="store-events", daemon=True).start()
        return close

    def _again(self, closed: threading.Event) -> "Owner | None":
        """Another link to this owner; None once it has ended this one, or nobody follows any more."""
        while not closed.is_set() and not self.has_ended:
            with suppress(OSError, OwnerGone):
                link = Owner(self.path)
                if (
                    not closed.is_set()
                    and link.about.since == self.about.since
                    and link.about.process == self.about.process
                ):
                    return link
                link.close()
            closed.wait(_LOOK_S)
        return None

    def events(self, program: int, begun: Callable[[], None] | None = None) -> Iterator[tuple[str, tuple[str, ...]]]:
        """What others change than the program of that number: kinds and records, until the owner ends.

        Nothing else can be asked over this link then. `begun` is called once the owner is asked for them.
        """
        with suppress(OSError, BadFrame):
            send(self._link, "events", program)
            if begun is not None:
                begun()
            while (message := receive(self._link)) is not None:
                match message:
                    case ("event", str(kind), tuple(records)):
                        yield kind, tuple(record for record in records if isinstance(record, str))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the link; what was lent goes back. Closing twice is harmless."""
        with suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)
        self._link.close()

    def _exchange(self, request: Sequence[object], within_s: float, *, greeting: bool = False) -> object:
        with self._asking:
            try:
                self._link.settimeout(_MESSAGE_S)
                send(self._link, *request)
                if not greeting:
                    self._await_answer(time.monotonic() + within_s)
                answer = receive(self._link, within_s if greeting else _MESSAGE_S)
            except TimeoutError as error:
                self.close()
                raise OwnerGone(
                    f"the program that owns the store in {self.path} gives no answer: nothing was stored",
                    f"{_GO_ON}Then do it again.",
                ) from error
            except (OSError, BadFrame) as error:
                raise self._gone() from error
        match answer:
            case (True, value):
                return value
            case (False, tuple(failure)):
                raise unpacked(failure)
        raise self._gone()

    def _await_answer(self, until: float) -> None:
        """Wait for its first byte, for as long as the owner lives. Raises `TimeoutError`, and other `OSError`."""
        while True:
            self._link.settimeout(max(min(_SILENCE_S, until - time.monotonic()), _LOOK_S))
            try:
                self._link.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                if time.monotonic() >= until or not self._lives():
                    raise
            else:
                return

    def _lives(self) -> bool:
        """Whether the owner greets, or turns away, who else calls."""
        try:
            Owner(self.path).close()
        except OwnerGone as refused:
            return not _is_silent(refused)
        except OSError:
            return False
        return True

    def _gone(self) -> OwnerGone:
        self.close()
        return OwnerGone(
            f"the program that owns the store in {self.path} has ended, or says no more: nothing was stored",
            "Do it again; the store can be opened now, or another program owns it.",
        )

    def _await_end(self) -> None:
        """Wait until it is sure that the owner writes no more. Raises `OwnerSilent`."""
        until = time.monotonic() + _ENDS_S
        while not let_go(self.path, self.about.process):
            if time.monotonic() > until:
                raise OwnerSilent(
                    f"process {self.about.process}, which owns the store in {self.path}, gave no answer: the edit may "
                    "be stored or not, also later",
                    f"{_GO_ON}Look whether it is there before you make it again.",
                )
            time.sleep(_LOOK_S)


def _is_silent(gone: OwnerGone) -> bool:
    return isinstance(gone.__cause__, TimeoutError)


def find(path: Path) -> Owner | None:
    """The owner of the store in `path`; None where nobody serves it, or this very process owns it."""
    try:
        owner = Owner(path)
    except (OSError, OwnerGone, ValueError):
        return None
    if owner.about.process == os.getpid():  # its own objects are there to be used
        owner.close()
        return None
    return owner


class LentWriters(Writers):
    """Writer ids that the owner lends, so that all programs write as one."""

    def __init__(self, owner: Owner, mint: Callable[[], int]) -> None:
        super().__init__(mint)
        self._owner = owner
        self._lent: dict[int, None] = {}

    @property
    def current(self) -> tuple[int, ...]:
        """Those that were lent so far."""
        return tuple(self._lent)

    def take(self, record: str) -> int:
        """See `Writers.take`."""
        writer = self._owner.lend(record)
        self._lent[writer] = None
        return writer

    def give_back(self, record: str, writer: int) -> None:
        """See `Writers.give_back`."""
        self._owner.give_back(record, writer)


class OwnedStore(SharedStore):
    """The store of an owner: read here, and what is noted in it, beside records, is written by the owner."""

    owner: Owner | None

    @classmethod
    def of(cls, owner: Owner) -> "OwnedStore":
        """The store that `owner` serves."""
        store = cls.beside(owner.path)
        assert isinstance(store, OwnedStore)
        store.owner = owner
        return store

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        """Have notes written. Raises `NotServed` for anything else."""
        if self.owner is None:
            return super().commit(batches)
        for batch in batches:
            if batch != Batch(meta=batch.meta):
                raise self.owner.refusal("changing what is known of partners")
        for batch in batches:
            if batch.meta:
                self.owner.ask("meta", tuple(batch.meta.items()))
        return [Committed(()) for _ in batches]

    def close(self) -> None:
        """Close the store, and the link to the owner."""
        if self.owner is not None:
            self.owner.close()
        super().close()

    def succeed(self) -> Owner | None:
        """Own the store from now on, as its owner has ended; or the program that does by now.

        Raises `StoreInUse` where one has it that serves nobody, and what opening it raises: nothing is written then.
        """
        until = time.monotonic() + local.SERVES_S
        while True:
            try:
                self.own()
            except StoreInUse:
                successor = find(self.path)
                if successor is None and time.monotonic() < until:  # who has it may be about to serve
                    time.sleep(_LOOK_S)
                    continue
                if successor is None:
                    raise
                self.owner = successor
            else:
                self.owner = None
            return self.owner
