"""The hub: who gets what. Pure: no clock, no socket, no disk; the server or the simulator carries out its effects.

The way of a push, and the invariants on it:

    Accept (session) -> queue -> Integrate -> integrated() -> Commit -> committed() -> Ack, and followers read on

1. Batches are integrated one after the other, while earlier ones commit; the next is asked for while one is under
   way, so that the worker need not wait. Order per record is order of integration, and the log is written in the
   same order.
2. Nothing is acknowledged, and nothing is shown to a follower, before `committed`.
3. When a commit fails, everything integrated after it may build on what was not stored. All of it is answered
   "retry", and the worker forgets the records; no update is ever stored without what it builds on.
4. Batches are filled round robin, one push of each session at a time, so a greedy session delays only itself.
5. An update that brought nothing new is acknowledged like any other: what it repeats may still be on its way to the
   disk, so its answer rides on the newest commit. So does a gap, whose state vector speaks of the same.
6. A session whose bytes killed workers too often is closed; everybody else notices nothing.
7. While the disk is slow, commits under way are bounded, and pushes gather in their sessions, which are bounded too.
8. Presence is not queued: a session is told the newest state when its link has room.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from crdt_sync import limits
from crdt_sync.protocol.acceptor import Acceptor, Authorise, Refusal
from crdt_sync.protocol.effects import (
    Accept,
    CheckRecords,
    Closed,
    Compare,
    Greeted,
    Holds,
    PinDigests,
    PresenceSeen,
    ReadReceipt,
    Send,
)
from crdt_sync.protocol.hub.effects import (
    Arrived,
    Commit,
    Deliver,
    Forget,
    Hangup,
    HubEffect,
    Integrate,
    Integrated,
    IntegrationItem,
    MakeCheck,
    MakeReceipt,
    PinAudit,
    PinIndex,
    Stored,
    StoredUpdates,
)
from crdt_sync.protocol.hub.presence import OpenRecords
from crdt_sync.protocol.messages import CheckedEntry, Hello, PushEntry, Verdict, VerdictCode
from crdt_sync.protocol.principal import Principal
from crdt_sync.protocol.reconcile import View
from crdt_sync.protocol.source import AcceptorSource

_INTEGRATIONS_MAX = 2  # one that the worker is at, and one that waits for it
_NOBODY = bytes(16)  # the origin of what no session sent
_RETRY = Verdict(VerdictCode.RETRY, reason="it could not be stored now; it will be sent again")


class _Part(NamedTuple):
    """One update of a batch: whose push it is of."""

    session: int
    number: int
    position: int


@dataclass(slots=True)
class _Push:
    """A push on its way, filling with verdicts."""

    session: int
    number: int
    verdicts: list[Verdict | None]
    seqs: list[int] = field(default_factory=list)
    missing: int = 0
    taken_at: int = 0


class _Waiting(NamedTuple):
    """What of a push waits for its turn: each update with its position in the push."""

    number: int
    entries: tuple[tuple[int, PushEntry], ...]


@dataclass(slots=True)
class _Client:
    """A session and what the hub keeps beside it."""

    acceptor: Acceptor
    waiting: deque[_Waiting] = field(default_factory=deque)
    pushes: deque[_Push] = field(default_factory=deque)  # in order; answered from the left
    strikes: int = 0

    @property
    def principal(self) -> Principal:
        """Whose session it is, once its hello was accepted."""
        assert self.acceptor.principal is not None
        return self.acceptor.principal


@dataclass(slots=True)
class _Batch:
    """An integration or a commit under way."""

    number: int
    items: tuple[IntegrationItem, ...]
    parts: tuple[tuple[_Part, ...], ...]  # per item, per update
    stored: tuple[tuple[_Part, ...], ...] = ()  # per change, per update
    riders: list[tuple[_Part, Verdict]] = field(default_factory=list)  # answers that speak of what is not on disk yet


class Hub:
    """Many sessions over one store.

    `wall_clock` gives microseconds since 1970, for the handshake and for the limit on stamps. `snapshot_due`
    says whether a record's tail has grown so long that the next integration should bring a snapshot.
    `acknowledged_after` hears, each time that a session's pushes are answered, how long the oldest has waited.
    `ping_us` is that of each session.
    """

    def __init__(
        self,
        source: AcceptorSource,
        authorise: Authorise,
        wall_clock: Callable[[], int],
        snapshot_due: Callable[[str], bool],
        sessions_max: int = limits.SESSIONS_MAX,
        acknowledged_after: Callable[[int], object] = lambda _: None,
        ping_us: int | None = None,
    ) -> None:
        self._source = source
        self._ping_us = ping_us
        self._authorise = authorise
        self._wall_clock = wall_clock
        self._snapshot_due = snapshot_due
        self._sessions_max = sessions_max
        self._clients: dict[int, _Client] = {}
        self._welcome: set[int] = set()  # whose hello was accepted: strangers take no device's place
        self._last_session = 0
        self._effects: list[HubEffect] = []
        self._turn: deque[int] = deque()  # sessions with waiting pushes, in order of their turn
        self._number = 0
        self._waiting = 0  # updates in pushes that wait for their turn
        self._integrating: deque[_Batch] = deque()
        self._discard = 0  # that many of the batches being integrated build on a failed commit
        self._committing: dict[int, _Batch] = {}
        self._closing: tuple[str, str, int] | None = None
        self._presence = OpenRecords()
        self._acknowledged_after = acknowledged_after
        self.verdicts: Counter[VerdictCode] = Counter()

    # --- sessions --------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._clients)

    def drain(self) -> list[HubEffect]:
        """The effects since the last call, in order."""
        effects, self._effects = self._effects, []
        return effects

    def connect(self, now: int, authorise: Authorise | None = None) -> int:
        """A link was opened; returns the number of its session. `authorise` is for this one alone."""
        self._last_session += 1
        session = self._last_session

        def admit(hello: Hello) -> Principal | Refusal:
            found = self._unwelcome() or (authorise or self._authorise)(hello)
            if isinstance(found, Principal):
                self._welcome.add(session)
            return found

        self._clients[session] = _Client(Acceptor(self._source, admit, self._wall_clock, now, self._ping_us))
        return session

    def receive(self, session: int, frame: bytes, now: int) -> None:
        """A frame arrived on that session's link."""
        client = self._clients.get(session)
        if client is not None:
            client.acceptor.receive(frame, now)
            self._collect(session, client, now)

    def fill(self, session: int, room: int, now: int) -> None:
        """The session's link has room for about `room` bytes."""
        client = self._clients.get(session)
        if client is not None:
            if self._presence.is_due(session):
                client.acceptor.present(self._presence.tell(session))
            client.acceptor.fill(room, now)
            self._collect(session, client, now)

    def lost(self, session: int, now: int) -> None:
        """The session's link is gone. What is being integrated or committed for it still becomes durable."""
        client = self._clients.get(session)
        if client is not None:
            client.acceptor.lost()
            self._collect(session, client, now)

    def timer(self, session: int, now: int, arriving: int = 0) -> None:
        """The time given by `next_timer` for this session has come; `arriving`: see `Session.arriving`."""
        client = self._clients.get(session)
        if client is not None:
            client.acceptor.arriving(arriving)
            client.acceptor.timer(now)
            self._collect(session, client, now)

    def next_timer(self, session: int) -> int | None:
        """When `timer` wants to be called for this session."""
        client = self._clients.get(session)
        return client.acceptor.next_timer() if client else None

    def wants_room(self, session: int) -> bool:
        """Whether `fill` would have something to send."""
        client = self._clients.get(session)
        return client is not None and (self._presence.is_due(session) or client.acceptor.wants_room)

    def congested(self, session: int) -> bool:
        """Whether the host must stop reading from this session's link."""
        client = self._clients.get(session)
        return client is not None and client.acceptor.congested

    def followers(self) -> list[int]:
        """Sessions that have something to send, after a commit."""
        return [session for session, client in self._clients.items() if client.acceptor.wants_room]

    @property
    def uninformed(self) -> bool:
        """Whether `take_uninformed` names anybody."""
        return self._presence.unnamed

    def take_uninformed(self) -> list[int]:
        """Sessions that are to be told who has what open, and were not named since that changed; `fill` tells them."""
        return self._presence.take_unnamed()

    def expel(self, session: int, code: str, message: str, retry_after_us: int | None, now: int) -> None:
        """End one session, telling it why; `retry_after_us` None: trying again cannot help."""
        client = self._clients.get(session)
        if client is not None:
            client.acceptor.close(code, message, now, retry_after_us)
            self._collect(session, client, now)

    def refuse_newcomers(self, code: str, message: str, retry_after_us: int) -> None:
        """From now on, say bye to everybody who comes; those who are here stay."""
        self._closing = (code, message, retry_after_us)

    def close(self, code: str, message: str, retry_after_us: int, now: int) -> None:
        """Say bye to everybody, and to everybody who still comes."""
        self.refuse_newcomers(code, message, retry_after_us)
        for session, client in list(self._clients.items()):
            client.acceptor.acknowledge(now)
            client.acceptor.close(code, message, now, retry_after_us)
            self._collect(session, client, now)

    @property
    def idle(self) -> bool:
        """Whether no push is on its way."""
        return not self._integrating and not self._committing and not self._turn

    # --- answers of the host ---------------------------------------------------------------------------------

    def integrated(self, results: Sequence[Integrated], now: int) -> None:
        """The worker's answer to the oldest batch that is being integrated, one result per item."""
        batch = self._integrating.popleft()
        assert len(results) == len(batch.items)
        if self._discard:
            self._discard -= 1
            self._effects.append(Forget())  # a batch of several requests has loaded records since the first one
            self._refuse(batch.parts, now)
        else:
            self._store(batch, results, now)
        self._next_batch()

    def integration_failed(self, now: int) -> None:
        """The worker could not be asked at all: everything of the oldest batch is to be sent again."""
        batch = self._integrating.popleft()
        self._discard = max(0, self._discard - 1)
        self._refuse(batch.parts, now)
        self._next_batch()

    def committed(self, number: int, seqs: Sequence[Sequence[int]], now: int) -> None:
        """The commit is on disk; `seqs` are the log's numbers per change and update."""
        batch = self._committing.pop(number, None)
        if batch is None:
            return  # given up when an earlier commit failed; what was said to be sent again is known then
        touched: dict[int, None] = {}
        for parts, numbers in zip(batch.stored, seqs, strict=True):
            for part, seq in zip(parts, numbers, strict=True):
                self._decide(part, Verdict(VerdictCode.ACCEPTED, seq), seq)
                touched[part.session] = None
        for part, verdict in batch.riders:
            self._decide(part, verdict, None)
            touched[part.session] = None
        self._answer(touched, now)
        self._next_batch()

    def commit_failed(self, number: int, now: int) -> bool:
        """The commit was refused by the disk; see the third invariant.

        Returns whether it was given up now, with all that came after it: false where that was done when an earlier one
        failed. What was handed over since then may still be refused.
        """
        if number not in self._committing:
            return False
        failed = [self._committing.pop(number)]
        failed += [self._committing.pop(later) for later in sorted(self._committing) if later > number]
        self._discard = len(self._integrating)
        self._effects.append(Forget())
        for batch in failed:
            self._refuse((*batch.stored, [part for part, _ in batch.riders]), now)
        self._next_batch()
        return True

    def pinned(self, session: int, view: View, now: int) -> None:
        """The answer to `PinIndex`."""
        client = self._clients.get(session)
        if client is not None:
            client.acceptor.compare(view, now)
            self._collect(session, client, now)

    def receipt(self, session: int, number: int, head: int, count: int, root: bytes, now: int) -> None:
        """The answer to `MakeReceipt`."""
        client = self._clients.get(session)
        if client is not None:
            client.acceptor.receipt(number, head, count, root, now)
            self._collect(session, client, now)

    def audit_pinned(self, session: int, view: View, now: int) -> None:
        """The answer to `PinAudit`."""
        client = self._clients.get(session)
        if client is not None:
            client.acceptor.pinned(view, now)
            self._collect(session, client, now)

    def checked(self, session: int, number: int, head: int, entries: Sequence[CheckedEntry], now: int) -> None:
        """The answer to `MakeCheck`; `head` is a sequence number that all of it lies at or below."""
        client = self._clients.get(session)
        if client is not None:
            client.acceptor.checked(number, head, entries, now)
            self._collect(session, client, now)

    # --- parts -----------------------------------------------------------------------------------------------

    def _unwelcome(self) -> Refusal | None:
        """Why nobody at all can be let in now."""
        if self._closing is not None:
            return Refusal(*self._closing)
        if len(self._welcome) >= self._sessions_max:
            return Refusal("too_many_sessions", "as many devices are served as may be; try later", 30_000_000)
        return None

    def _collect(self, session: int, client: _Client, now: int) -> None:
        """Turn a session's effects into the hub's."""
        for effect in client.acceptor.drain():
            match effect:
                case Send(frame):
                    self._effects.append(Deliver(session, frame))
                case Accept():
                    self._queue(session, client, effect, now)
                case Closed():
                    self._effects.append(Hangup(session, effect))
                    self._forget(session, client)
                case Compare():
                    self._effects.append(PinIndex(session))
                case ReadReceipt(number):
                    self._effects.append(MakeReceipt(session, number))
                case PinDigests(content):
                    self._effects.append(PinAudit(session, content))
                case CheckRecords(number, records, mend):
                    self._effects.append(MakeCheck(session, number, records, mend))
                case PresenceSeen(entries):
                    self._presence.opened(session, entries, self._informed())
                case Holds(cursor):
                    self._effects.append(Stored(session, cursor))
                case Greeted(replica, agent, cursor):
                    self._effects.append(Arrived(session, replica, agent, cursor))
                    if client.acceptor.follow:
                        self._presence.inform(session)
        self._next_batch()

    def _forget(self, session: int, client: _Client) -> None:
        self._presence.left(session, self._informed())
        del self._clients[session]
        self._welcome.discard(session)
        self._waiting -= sum(len(push.entries) for push in client.waiting)

    def _informed(self) -> Iterator[int]:
        """The sessions that hear what others have open."""
        return (session for session, client in self._clients.items() if client.acceptor.follow)

    def _queue(self, session: int, client: _Client, accept: Accept, now: int) -> None:
        count = len(accept.entries)
        client.pushes.append(_Push(session, accept.number, [None] * count, missing=count, taken_at=now))
        allowed = []
        for position, entry in enumerate(accept.entries):
            denied = client.principal.write_refused(entry.record)
            if denied is None:
                allowed.append((position, entry))
            else:
                self._decide(_Part(session, accept.number, position), denied, None)
        if not allowed:
            self._answer({session: None}, now)
            return
        client.waiting.append(_Waiting(accept.number, tuple(allowed)))
        self._waiting += len(allowed)
        if len(client.waiting) == 1:
            self._turn.append(session)

    def _next_batch(self) -> None:
        """Ask for the next integration, if pushes wait and the worker has less to do than it may.

        Beside a batch under way only a full one is worth asking for: until then more pushes may join it.
        """
        under_way = len(self._integrating)
        if not self._turn or self._discard or len(self._committing) + under_way >= limits.COMMITS_IN_FLIGHT_MAX:
            return
        if under_way and (under_way >= _INTEGRATIONS_MAX or self._waiting < limits.INTEGRATION_UPDATES_MAX // 2):
            return
        grouped: dict[str, tuple[list[bytes], list[_Part]]] = {}
        count = size = 0
        while self._turn and size < limits.INTEGRATION_BYTES_MAX:
            session = self._turn[0]
            client = self._clients.get(session)
            if client is None:
                self._turn.popleft()
                continue
            if count and count + len(client.waiting[0].entries) > limits.INTEGRATION_UPDATES_MAX:
                break  # a few updates beyond the limit would cost another request to the worker
            self._turn.popleft()
            push = client.waiting.popleft()
            if client.waiting:
                self._turn.append(session)
            for position, entry in push.entries:
                updates, parts = grouped.setdefault(entry.record, ([], []))
                updates.append(entry.update)
                parts.append(_Part(session, push.number, position))
                size += len(entry.update)
            count += len(push.entries)
            self._waiting -= len(push.entries)
        if not grouped:
            return
        items = tuple(
            IntegrationItem(
                record,
                tuple(updates),
                tuple(str(part.session) for part in parts),
                tuple(self._clients[part.session].principal for part in parts),
                self._snapshot_due(record),
            )
            for record, (updates, parts) in grouped.items()
        )
        self._number += 1
        self._integrating.append(_Batch(self._number, items, tuple(tuple(parts) for _, parts in grouped.values())))
        self._effects.append(Integrate(self._number, items, self._wall_clock() + limits.STAMP_AHEAD_US_MAX))

    def _store(self, batch: _Batch, results: Sequence[Integrated], now: int) -> None:
        """Decide what the worker decided, and commit what it accepted."""
        changes: list[StoredUpdates] = []
        stored: list[tuple[_Part, ...]] = []
        riders: list[tuple[_Part, Verdict]] = []
        touched: dict[int, None] = {}
        for item, parts, result in zip(batch.items, batch.parts, results, strict=True):
            kept: list[tuple[_Part, bytes]] = []
            for part, update, judged in zip(parts, item.updates, result.verdicts, strict=True):
                if judged.code is VerdictCode.ACCEPTED and judged.new:
                    kept.append((part, update))
                    continue
                verdict = _told(judged, result.state_vector)
                if verdict.code in {VerdictCode.ACCEPTED, VerdictCode.GAP}:
                    riders.append((part, verdict))
                    continue
                self._decide(part, verdict, None)
                touched[part.session] = None
                if verdict.code is VerdictCode.POISON:
                    self._strike(part.session, now)
            if kept and result.lineage is not None and result.snapshot is not None:
                # One update is stored for all, and goes to everybody: nobody sent it as it is.
                riders += [(part, Verdict(VerdictCode.ACCEPTED)) for part, _ in kept[1:]]
                kept = [(kept[0][0], result.snapshot)]
                origins: tuple[bytes, ...] = (_NOBODY,)
            else:
                origins = tuple(self._origin(part.session) for part, _ in kept)
            if kept:
                stored.append(tuple(part for part, _ in kept))
                changes.append(
                    StoredUpdates(
                        item.record,
                        tuple(update for _, update in kept),
                        origins,
                        result.state_vector,
                        result.snapshot,
                        result.lineage,
                    )
                )
        if changes:
            self._committing[batch.number] = _Batch(batch.number, batch.items, batch.parts, tuple(stored))
            self._effects.append(Commit(batch.number, tuple(changes)))
        if self._committing:
            newest = self._committing[max(self._committing)]
            newest.riders.extend(riders)
        else:
            for part, verdict in riders:
                self._decide(part, verdict, None)
                touched[part.session] = None
        self._answer(touched, now)

    def _origin(self, session: int) -> bytes:
        client = self._clients.get(session)
        return client.acceptor.partner if client else bytes(16)

    def _strike(self, session: int, now: int) -> None:
        client = self._clients.get(session)
        if client is None:
            return
        client.strikes += 1
        if client.strikes >= limits.POISON_STRIKES_MAX:
            client.acceptor.close(
                "poisoned", "too many updates of this session could not be integrated", now, 60_000_000
            )
            self._collect(session, client, now)

    def _refuse(self, parts: Sequence[Sequence[_Part]], now: int) -> None:
        touched: dict[int, None] = {}
        for group in parts:
            for part in group:
                self._decide(part, _RETRY, None)
                touched[part.session] = None
        self._answer(touched, now)

    def _decide(self, part: _Part, verdict: Verdict, seq: int | None) -> None:
        self.verdicts[verdict.code] += 1
        client = self._clients.get(part.session)
        if client is None:
            return
        push = client.pushes[part.number - client.pushes[0].number]
        push.verdicts[part.position] = verdict
        push.missing -= 1
        if seq is not None:
            push.seqs.append(seq)

    def _answer(self, sessions: dict[int, None], now: int) -> None:
        """Hand every push that is complete to its session, in order, and let it acknowledge them together."""
        for session in sessions:
            client = self._clients.get(session)
            if client is None:
                continue
            if client.pushes and not client.pushes[0].missing:
                self._acknowledged_after(now - client.pushes[0].taken_at)
            while client.pushes and not client.pushes[0].missing:
                push = client.pushes.popleft()
                verdicts = [verdict for verdict in push.verdicts if verdict is not None]
                client.acceptor.accepted(push.number, verdicts, push.seqs, now)
            client.acceptor.acknowledge(now)
            self._collect(session, client, now)


def _told(judged: Verdict, state_vector: bytes) -> Verdict:
    """What the sender is told of a verdict of the worker; a gap comes with what to diff against."""
    if judged.code is VerdictCode.GAP:
        return Verdict(judged.code, state_vector=state_vector)
    return Verdict(judged.code, reason=judged.reason[: limits.REASON_LENGTH_MAX])
