"""What a program asks of another one that owns its store: to lend writer ids, and to write."""

import math
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from crdt_sync.errors import NotServed, OwnerGone, OwnerSilent
from crdt_sync.limits import OWNER_FRAME_BYTES_MAX
from crdt_sync.protocol.entries import UpdatesEntry
from crdt_sync.replica.owner.link import Link, NoAnswer
from crdt_sync.replica.owner.message import Message
from crdt_sync.replica.owner.sent import SentEdit, committed
from crdt_sync.replica.writers import Writers
from crdt_sync.storage.lmdb.lock import let_go
from crdt_sync.storage.port import Records

_DONE_S = 120.0  # for what takes long nowhere: its disk may hang although it greets
_LONG = frozenset({"sync", "audit", "digests", "schema", "stricter schema", "resolve schema"})  # while it lives
_STAGED_BYTES = OWNER_FRAME_BYTES_MAX // 2
STAGED_EDITS = 5_000  # of at most eight CBOR items each, see `OWNER_FRAME_ITEMS_MAX`
_ENDS_S = 5.0  # how long an owner that said no more may take to end
_LOOK_S = 0.01
_GO_ON = "It is stopped, or hangs: let it go on, or end it. "
_HARMLESS = frozenset({"take", "give", "stage", "digests", "key"})  # what leaves nothing in the store that anybody sees


class Owner:
    """The owner of the store in `path`, over a link. Calls may come from any thread; each waits for its answer."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError` where nobody serves the store, and `OwnerGone`."""
        self.path = path
        try:
            self.link = Link(path)
        except NoAnswer as error:
            raise self._gone(error) from error
        self.about = self.link.about
        self._lent: set[tuple[str, int]] = set()

    def ask(self, *request: object) -> object:
        """Have the owner do something. Raises what it raises there.

        Where it has ended, or is silent and greets nobody else either, as when it is stopped: `OwnerGone` for what is
        not done, and `OwnerSilent` for what may have been done all the same.
        """
        try:
            return self.link.exchange(request, math.inf if request[0] in _LONG else _DONE_S)
        except NoAnswer as error:
            if not error.sent or request[0] in _HARMLESS:
                raise self._gone(error) from error
            what = "gives no answer" if error.silent else "ended meanwhile"
            raise OwnerSilent(
                f"process {self.about.process}, which owns the store in {self.path}, {what}: {request[0]} may be done "
                "or not",
                f"{_GO_ON if error.silent else ''}Look whether it is before you ask for it again.",
            ) from error

    @property
    def has_ended(self) -> bool:
        """Whether the owner is known to have ended; not while something is asked."""
        return self.link.has_ended

    def lend(self, record: str) -> int:
        """A writer id for this record. Raises `EditInProgress`."""
        writer = self.ask("take", record)
        if not isinstance(writer, int):
            self.close()
            raise OwnerGone("the program that owns the store gave another answer", "Update both to the same version.")
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
            if part and (size + edit.size > _STAGED_BYTES or len(part) == STAGED_EDITS):
                self.ask("stage", tuple(part))
                part, size = [], 0
            part.append(edit.packed())
            size += edit.size
        try:
            self.link.exchange(("commit", clock, tuple(part)), _DONE_S)
        except NoAnswer as error:
            if not error.sent:
                raise self._gone(error) from error
            self._await_end()
            return False
        self._lent.difference_update((edit.record, edit.writer) for edit in edits)
        return True

    def found(self, store: Records, edits: Sequence[SentEdit]) -> bool:
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the link; what was lent goes back. Closing twice is harmless."""
        self.link.close()

    def _gone(self, error: NoAnswer) -> OwnerGone:
        what = "gives no answer" if error.silent else "has ended, or says no more"
        then = f"{_GO_ON}Then do it again." if error.silent else (
            "Do it again; the store can be opened now, or another program owns it."
        )  # fmt: skip
        return OwnerGone(f"the program that owns the store in {self.path} {what}: nothing was stored", then)

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
