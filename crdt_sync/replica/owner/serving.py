"""What the owner of a store does for other programs of the same user: a thread for each of them, and bounded memory.

Rules:

1. What was acknowledged is on disk: an answer is sent after the commit.
2. What a program was lent goes back when its link ends, however it ended.
3. Bytes that are no message end the link that they came over, and nothing else.
"""

import logging
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from crdt_sync import ids
from crdt_sync.clock import HybridClock
from crdt_sync.errors import CrdtSyncError, EditInProgress, NotServed, RecordTooLarge
from crdt_sync.limits import (
    OWNER_BATCH_BYTES_MAX,
    OWNER_CLIENTS_MAX,
    OWNER_EVENTS_MAX,
    OWNER_LEASES_MAX,
)
from crdt_sync.protocol.messages import UpdatesEntry
from crdt_sync.records import Schema, parse_schema
from crdt_sync.replica.events import Event
from crdt_sync.replica.owner import local
from crdt_sync.replica.owner.failures import packed
from crdt_sync.replica.owner.frames import NO_ROLE, VERSION, receive, send
from crdt_sync.replica.owner.message import BadFrame, Message
from crdt_sync.replica.owner.sent import SentEdit
from crdt_sync.replica.receiving import Receiving
from crdt_sync.replica.writers import Writers
from crdt_sync.storage.port import Store
from crdt_sync.storage.values import Batch

_log = logging.getLogger(__name__)
_GREETING_S = 5.0
_AGAIN_S = 0.05
_ENDS_S = 2.0  # for the threads to end when the owner does

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

    def store_edits(self, edits: Sequence[SentEdit]) -> None:
        """See `Replica.store_edits`."""

    def add_schema(self, schema: Schema, *, stricter: bool = False) -> None:
        """See `Replica.add_schema`."""

    def resolve_schema(self, collection: str, number: int) -> Schema:
        """See `Replica.resolve_schema`."""


class Server:
    """Serves a replica. Make it with `start`, and `close` it before the replica's store."""

    def __init__(
        self, replica: ServedReplica, listener: local.Listener, role: str, actions: Mapping[str, Action]
    ) -> None:
        self._replica = replica
        self._listener = listener
        self._role = role
        self._actions = actions
        self._since = replica.context.wall_clock()
        self._programs: dict[_Program, threading.Thread] = {}
        self._number = 0
        self._numbers: dict[int, _Program] = {}
        self._guard = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._accept, name="store-owner", daemon=True)
        self._thread.start()

    @classmethod
    def start(
        cls,
        replica: ServedReplica,
        path: Path,
        role: str = NO_ROLE,
        actions: Mapping[str, Action] = MappingProxyType({}),
        *,
        unix: bool | None = None,
    ) -> "Server":
        """Serve the replica whose store is in `path`. Raises `OSError` where the system gives no way."""
        return cls(replica, local.listen(path, unix=unix), role, actions)

    @property
    def programs(self) -> int:
        """How many programs use the store now."""
        return len(self._programs)

    def close(self) -> None:
        """Serve nobody any more. What was being committed is; closing twice is harmless."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            programs = dict(self._programs)
        self._listener.close()
        for program in programs:
            program.end()
        for thread in (self._thread, *programs.values()):
            if thread is not threading.current_thread():
                thread.join(_ENDS_S)

    def _accept(self) -> None:
        while True:
            try:
                link = self._listener.accept()
            except OSError:
                if self._closed:
                    return
                time.sleep(_AGAIN_S)  # the caller has gone again, or too many files are open
                continue
            with self._guard:
                self._make_way()
                if self._closed or len(self._programs) >= OWNER_CLIENTS_MAX:
                    link.close()
                    continue
                self._number += 1
                greeting = (*self._greeting(), self._number)
                actions = {**OFFERED, **self._actions}
                program = _Program(self._replica, link, greeting, actions, self._listener.check, self._thread_of)
                self._numbers[self._number] = program
                thread = threading.Thread(target=self._serve, args=(program,), name="store-program", daemon=True)
                self._programs[program] = thread
            thread.start()

    def _make_way(self) -> None:
        """Who has not proved itself waits no longer where too many do: where there is only a port, anybody may call."""
        if len(self._programs) >= OWNER_CLIENTS_MAX:
            stranger = next((program for program in self._programs if not program.greeted), None)
            if stranger is not None:
                stranger.end()
                self._forget(stranger)

    def _forget(self, program: "_Program") -> None:
        self._programs.pop(program, None)
        self._numbers.pop(program.number, None)

    def _greeting(self) -> Message:
        return (os.getpid(), Path(sys.argv[0] or "python").name, self._role, self._since)

    def _serve(self, program: "_Program") -> None:
        try:
            program.serve()
        except Exception:
            _log.exception("serving another program failed")
        finally:
            with self._guard:
                self._forget(program)

    def _thread_of(self, number: int) -> int:
        """The thread that serves the program of this number, 0 where there is none."""
        program = self._numbers.get(number)
        return program.thread if program is not None else 0


class _Program:
    """One program that uses the store."""

    def __init__(
        self,
        replica: ServedReplica,
        link: socket.socket,
        greeting: Message,
        actions: Mapping[str, Action],
        check: Callable[[socket.socket], None],
        thread_of: Callable[[int], int],
    ) -> None:
        self._replica = replica
        self._check = check
        self.greeted = False
        self._link = link
        self._greeting = greeting
        self._actions = actions
        self._thread_of = thread_of
        self._lent: dict[tuple[str, int], None] = {}
        self._staged: list[SentEdit] = []
        self._staged_bytes = 0
        self.thread = 0

    @property
    def number(self) -> int:
        """By which its second link names it."""
        return int(str(self._greeting[-1]))

    def end(self) -> None:
        """End the link."""
        with suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)

    def serve(self) -> None:
        """Answer until the link ends."""
        self.thread = threading.get_ident()
        try:
            self._check(self._link)
            if receive(self._link, _GREETING_S) != ("hello", VERSION):
                return
            self.greeted = True
            send(self._link, True, self._greeting)
            while (message := receive(self._link)) is not None:
                match message:
                    case ("events", int(number)):
                        self._tell_events(self._thread_of(number))
                        return
                self._answer(message)
        except (OSError, BadFrame) as error:
            _log.info("the link of another program ended: %s", error)
        finally:
            for record, writer in self._lent:
                self._replica.context.writers.give_back(record, writer)
            self._link.close()

    def _answer(self, message: Message) -> None:
        try:
            match message:
                case (str(name), *arguments):
                    value = self._do(name, tuple(arguments))
                case _:
                    raise BadFrame("a request was not understood")
        except CrdtSyncError as error:
            self._staged, self._staged_bytes = [], 0
            send(self._link, False, packed(error))
        except BadFrame:
            raise
        except Exception as error:
            _log.exception("what another program asked for failed")
            failed = CrdtSyncError(f"the program that owns the store failed: {error}", "See what it printed.")
            send(self._link, False, packed(failed))
        else:
            send(self._link, True, value)

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
            updates, origin, (), None, reasons, {str(record) for record in whole}, _pairs(meta)
        )
        return tuple(gaps)

    def _tell_events(self, own: int) -> None:
        """Tell what others change than the program whose requests the thread `own` carries out, until the link ends.

        Who reads too slowly is sent away.
        """
        waiting: queue.Queue[Sequence[Event] | None] = queue.Queue(OWNER_EVENTS_MAX)

        def heard(events: Sequence[Event]) -> None:
            if threading.get_ident() != own:
                try:
                    waiting.put_nowait(events)
                except queue.Full:
                    self.end()

        unsubscribe = self._replica.context.subscribe(heard)
        try:
            threading.Thread(target=self._until_ended, args=(waiting,), name="store-program", daemon=True).start()
            while (events := waiting.get()) is not None:
                by_kind: dict[str, list[str]] = {}
                for event in events:
                    by_kind.setdefault(event.kind, []).append(event.record)
                for kind, records in by_kind.items():
                    for start in range(0, len(records), OWNER_EVENTS_MAX):
                        send(self._link, "event", kind, tuple(records[start : start + OWNER_EVENTS_MAX]))
        finally:
            unsubscribe()

    def _until_ended(self, waiting: "queue.Queue[Sequence[Event] | None]") -> None:
        with suppress(OSError, BadFrame):
            receive(self._link)  # nothing more is to come
        while True:
            try:
                waiting.put_nowait(None)
            except queue.Full:
                waiting.get_nowait()
            else:
                return


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
