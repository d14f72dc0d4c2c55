"""What the owner of a store does for one other program: a request in, an answer out, whatever carries them.

Rules:

1. What was acknowledged is on disk: the answer is given after the commit.
2. What a program was lent goes back when it is done with the store, however it ended.
3. Bytes that are no message end the link that they came over, and nothing else.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from crdt_sync import ids
from crdt_sync.clock import HybridClock
from crdt_sync.errors import CrdtSyncError, EditInProgress, NotServed, RecordTooLarge
from crdt_sync.limits import OWNER_BATCH_BYTES_MAX, OWNER_LEASES_MAX
from crdt_sync.protocol.entries import UpdatesEntry
from crdt_sync.records import Schema, parse_schema
from crdt_sync.replica.events import Event
from crdt_sync.replica.origin import Origin
from crdt_sync.replica.owner.failures import packed
from crdt_sync.replica.owner.message import BadFrame, Message
from crdt_sync.replica.owner.sent import SentEdit
from crdt_sync.replica.receiving import Receiving
from crdt_sync.replica.writers import Writers
from crdt_sync.storage.lmdb import LmdbStore
from crdt_sync.storage.port import Store
from crdt_sync.storage.values import Batch

_log = logging.getLogger(__name__)

Action = Callable[[Any, Message], object]

OFFERED: dict[str, Action] = {}
"""What higher layers do for other programs, by name: they put it here when they are imported."""

_OWN_META = ("name", "clock", "clock_offset", "clock_of_relay", "schemas", "schema/", "forms/", "ranks/", "followed/")


class Served(Protocol):
    """What an owner needs of what the parts of its replica share."""

    @property
    def store(self) -> Store:
        """Where the records are."""

    @property
    def writers(self) -> Writers:
        """The writer ids that are lent."""

    @property
    def clock(self) -> HybridClock:
        """What edits are stamped by."""

    @property
    def wall_clock(self) -> Callable[[], int]:
        """Microseconds since 1970."""

    def refresh_digests(self) -> None:
        """Make every digest valid."""

    def subscribe(self, listener: Callable[[Sequence[Event]], None]) -> Callable[[], None]:
        """See `Replica.subscribe`."""


class ServedReplica(Receiving, Protocol):
    """What other programs have an owner do."""

    @property
    def context(self) -> Served:
        """What the parts of the replica share."""

    def hear(self, statements: Sequence[bytes]) -> None:
        """See `Replica.hear`."""

    def store_edits(self, edits: Sequence[SentEdit]) -> None:
        """See `Replica.store_edits`."""

    def report(self, kind: str, about: str, records: int) -> None:
        """See `Replica.report`."""

    def add_schema(self, schema: Schema, *, stricter: bool = False) -> None:
        """See `Replica.add_schema`."""

    def resolve_schema(self, collection: str, number: int) -> Schema:
        """See `Replica.resolve_schema`."""


class Requests:
    """The requests of one program. `answer` them one after the other, and `close` at the end."""

    def __init__(self, replica: ServedReplica, actions: Mapping[str, Action]) -> None:
        self._replica = replica
        self._actions = actions
        self._lent: dict[tuple[str, int], None] = {}
        self._staged: list[SentEdit] = []
        self._staged_bytes = 0

    def answer(self, message: Message) -> Message:
        """True and a value, or False and an error. Raises `BadFrame`."""
        try:
            match message:
                case (str(name), *arguments):
                    return (True, self._do(name, tuple(arguments)))
            raise BadFrame("a request was not understood")
        except CrdtSyncError as error:
            self._staged, self._staged_bytes = [], 0
            return (False, packed(error))
        except BadFrame:
            raise
        except Exception as error:
            _log.exception("what another program asked for failed")
            failed = CrdtSyncError(f"the program that owns the store failed: {error}", "See what it printed.")
            return (False, packed(failed))

    def close(self) -> None:
        """The program asks for nothing more."""
        for record, writer in self._lent:
            self._replica.context.writers.give_back(record, writer)
        self._lent.clear()

    def _do(self, name: str, arguments: Message) -> object:
        match (name, *arguments):
            case ("take", str(record)):
                return self._take(record)
            case ("give", str(record), int(writer)):
                self._give_back(record, writer)
            case ("stage", tuple(edits)):
                self._stage(edits)
            case ("commit", int(clock), tuple(edits)):
                self._commit(clock, edits)
            case ("schema" | "stricter schema", str(text)):
                schema = parse_schema(text, "the schema of another program")
                self._replica.add_schema(schema, stricter=name == "stricter schema")
            case ("resolve schema", str(collection), int(number)):
                self._replica.resolve_schema(collection, number)
            case ("hear", tuple(statements)):
                self._replica.hear([each for each in statements if isinstance(each, bytes)])
            case ("report", str(kind), str(about), int(records)):
                self._replica.report(kind, about, records)
            case ("key",):
                return self._key()
            case ("digests",):
                self._replica.context.refresh_digests()
            case ("meta", tuple(pairs)):
                self._note(_pairs(pairs))
            case ("integrate", tuple(entries), bytes(origin), tuple(refused), tuple(whole), tuple(meta)):
                return self._integrate(entries, origin, refused, whole, meta)
            case _ if name in self._actions:
                return self._actions[name](self._replica, arguments)
            case _:
                raise NotServed(
                    f"the program that owns the store does not serve {name[:40]!r}",
                    "End that program first, or update both to the same version.",
                )
        return None

    def _key(self) -> bytes:
        """What programs need to read an encrypted store beside its owner: those of the same user, who have it so."""
        store = self._replica.context.store
        if not isinstance(store, LmdbStore):
            raise NotServed("the store has no key", "It is not on a disk.")
        return store.key()

    def _take(self, record: str) -> int:
        if len(self._lent) >= OWNER_LEASES_MAX:
            raise EditInProgress(f"{OWNER_LEASES_MAX} records are edited at once", "Write them in smaller batches.")
        writer = self._replica.context.writers.take(ids.check_record(record))
        self._lent[record, writer] = None
        return writer

    def _give_back(self, record: str, writer: int) -> None:
        if (record, writer) in self._lent:
            del self._lent[record, writer]
            self._replica.context.writers.give_back(record, writer)

    def _stage(self, edits: Sequence[object]) -> None:
        found = [SentEdit.read(edit) for edit in edits]
        self._staged_bytes += sum(edit.size for edit in found)
        if self._staged_bytes > OWNER_BATCH_BYTES_MAX:
            raise RecordTooLarge(
                f"a batch of more than {OWNER_BATCH_BYTES_MAX} bytes", "Write fewer records in one batch."
            )
        self._staged += found

    def _commit(self, clock: int, edits: Sequence[object]) -> None:
        self._stage(edits)
        staged, self._staged, self._staged_bytes = self._staged, [], 0
        self._replica.context.clock.observe(clock)
        self._replica.store_edits(staged)
        for edit in staged:  # before the answer: the next program is lent the same
            self._give_back(edit.record, edit.writer)

    def _note(self, meta: Mapping[str, bytes | None]) -> None:
        if any(key == own or (own.endswith("/") and key.startswith(own)) for key in meta for own in _OWN_META):
            raise BadFrame("what the owner keeps in its memory was to be written")
        self._replica.context.store.commit([Batch(meta=meta)])

    def _integrate(
        self,
        entries: Sequence[object],
        origin: bytes,
        refused: Sequence[object],
        whole: Sequence[object],
        meta: Sequence[object],
    ) -> Message:
        updates = []
        for entry in entries:
            match entry:
                case (str(record), bytes(update), bytes(vector)):
                    updates.append(UpdatesEntry(ids.check_record(record), update, vector))
                case _:
                    raise BadFrame("an update was not understood")
        reasons = {record: str(reason) for record, reason in _texts(refused).items()}
        gaps = self._replica.integrate(
            updates, Origin.of("bundle", origin), (), None, reasons, {str(record) for record in whole}, _pairs(meta)
        )
        return tuple(gaps)


def _pairs(given: Sequence[object]) -> dict[str, bytes | None]:
    found: dict[str, bytes | None] = {}
    for pair in given:
        match pair:
            case (str(key), (bytes() | None) as value):
                found[key] = value
            case _:
                raise BadFrame("a note was not understood")
    return found


def _texts(given: Sequence[object]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in given:
        match pair:
            case (str(key), str(value)):
                found[key] = value
            case _:
                raise BadFrame("a reason was not understood")
    return found
