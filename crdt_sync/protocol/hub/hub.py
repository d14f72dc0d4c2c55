"""The hub: who gets what. Pure: no clock, no socket, no disk; the server or the simulator carries out its effects.

The hub keeps the sessions; the way of their pushes is the pipeline's.

1. A session that is over is forgotten at once. What is under way for it still becomes durable.
2. Presence is not queued: a session is told the newest state when its link has room.
3. Effects are one list, in the order in which sessions and pipeline ask: what is told lies after what it speaks of.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from crdt_sync import limits
from crdt_sync.principal import Share
from crdt_sync.protocol.acceptor import Acceptor, Authorise, Refusal
from crdt_sync.protocol.effects import (
    Accept,
    CheckRecords,
    Closed,
    Compare,
    Gave,
    Greeted,
    Holds,
    Note,
    PinDigests,
    PresenceSeen,
    ReadReceipt,
    SaidCame,
    Send,
)
from crdt_sync.protocol.hub.audience import Audience
from crdt_sync.protocol.hub.effects import (
    Arrived,
    Deliver,
    GaveTo,
    Hangup,
    HubEffect,
    Integrated,
    MakeCheck,
    MakeReceipt,
    NoteReports,
    PinAudit,
    PinIndex,
    SaidBy,
    Stored,
)
from crdt_sync.protocol.hub.pipeline import Answer, Pipeline
from crdt_sync.protocol.hub.presence import OpenRecords
from crdt_sync.protocol.live_pages import LivePage, LivePages
from crdt_sync.protocol.messages import CheckedEntry, Hello, PresenceEntry, VerdictCode
from crdt_sync.protocol.principal import Principal
from crdt_sync.protocol.quotas import Quotas
from crdt_sync.protocol.reconcile import View
from crdt_sync.protocol.serving import Serving
from crdt_sync.protocol.serving_selected import SelectedServing
from crdt_sync.protocol.sight import Sight, Sights
from crdt_sync.protocol.source import AcceptorSource

_new_delivery: Callable[[tuple[int, bytes]], Deliver] = partial(tuple.__new__, Deliver)


class Hub:
    """Many sessions over one store.

    `wall_clock` gives microseconds since 1970, for the handshake and for the limit on stamps. `snapshot_due`
    says whether a record's tail has grown so long that the next integration should bring a snapshot.
    `acknowledged_after` hears, each time that a session's pushes are answered, how long the oldest has waited.
    `ping_us` is that of each session. With `sights` sessions may hold some records and not others;
    `own` tells which may be held here, None: all.
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
        quotas: Quotas | None = None,
        sights: Sights | None = None,
        own: Callable[[], Sight | None] = lambda: None,
    ) -> None:
        self._source = source
        self._live = LivePages(source)
        self._sights = sights
        self._audience = Audience(source, self._live, sights) if sights is not None else None
        self._ping_us = ping_us
        self._authorise = authorise
        self._wall_clock = wall_clock
        self._sessions_max = sessions_max
        self._sessions: dict[int, Acceptor] = {}
        self._addresses: dict[int, str] = {}
        self._following: dict[int, Serving] = {}  # those that follow the log
        self._welcome: set[int] = set()  # whose hello was accepted: strangers take no device's place
        self._answered: set[int] = set()  # of which pushes were answered lately
        self._last_session = 0
        self._asks = False
        self._effects: list[HubEffect] = []
        self._closing: tuple[str, str, int] | None = None
        self._presence = OpenRecords()
        self._pipeline = Pipeline(
            self, self._effects, wall_clock, snapshot_due, acknowledged_after, quotas, own, sights
        )

    # --- sessions --------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._sessions)

    def tell_refused(self) -> None:
        """From now on there is an effect for each update that is refused for good."""
        self._pipeline.tells_refused = True

    def drain(self) -> list[HubEffect]:
        """The effects since the last call, in order."""
        if not self._effects:
            return []
        effects = list(self._effects)
        self._effects.clear()
        self._asks = False
        return effects

    def connect(self, now: int, authorise: Authorise | None = None, address: str = "") -> int:
        """A link was opened from that address; returns the number of its session. `authorise` is for this one alone."""
        self._last_session += 1
        session = self._last_session
        self._addresses[session] = address

        def admit(hello: Hello) -> Principal | Refusal:
            found = self._unwelcome() or (authorise or self._authorise)(hello)
            if isinstance(found, Principal):
                self._welcome.add(session)
            return found

        followed = None if self._audience is None else self._audience.position
        self._sessions[session] = Acceptor(
            self._source, admit, self._wall_clock, now, self._ping_us, self._live, self._sights, followed
        )
        return session

    def receive(self, session: int, frame: bytes, now: int) -> None:
        """A frame arrived on that session's link."""
        acceptor = self._sessions.get(session)
        if acceptor is not None:
            acceptor.receive(frame, now)
            self._collect(session, acceptor, now)

    def fill(self, session: int, room: int, now: int, most: int = limits.FRAME_BYTES_MAX) -> int:
        """The session's link has room for about `room` bytes, in frames of about `most`; see `Acceptor.fill`."""
        lacking = 0
        acceptor = self._sessions.get(session)
        if acceptor is not None:
            if self._presence.is_due(session):
                serving = acceptor.serving
                entries = self._presence.tell(session, None if serving.sight is None else serving.may_hold)
                if entries is not None:
                    acceptor.present(entries)
            lacking = acceptor.fill(room, now, most)
            self._collect(session, acceptor, now)
        return lacking

    def lost(self, session: int, now: int) -> None:
        """The session's link is gone. What is being integrated or committed for it still becomes durable."""
        acceptor = self._sessions.get(session)
        if acceptor is not None:
            acceptor.lost()
            self._collect(session, acceptor, now)

    def pause(self, session: int, now: int) -> None:
        """The host does not read from the session's link for a while, see `Session.pause`."""
        acceptor = self._sessions.get(session)
        if acceptor is not None:
            acceptor.pause(now)

    def resume(self, session: int, now: int) -> None:
        """The host reads on."""
        acceptor = self._sessions.get(session)
        if acceptor is not None:
            acceptor.resume(now)

    def timer(self, session: int, now: int, arriving: int = 0) -> None:
        """The time given by `next_timer` for this session has come; `arriving`: see `Session.arriving`."""
        acceptor = self._sessions.get(session)
        if acceptor is not None:
            acceptor.arriving(arriving)
            acceptor.timer(now)
            self._collect(session, acceptor, now)

    def next_timer(self, session: int) -> int | None:
        """When `timer` wants to be called for this session."""
        acceptor = self._sessions.get(session)
        return acceptor.next_timer() if acceptor else None

    def wants_room(self, session: int) -> bool:
        """Whether `fill` would have something to send."""
        acceptor = self._sessions.get(session)
        return acceptor is not None and (self._presence.is_due(session) or acceptor.serving.wants_room)

    def congested(self, session: int, size: int, now: int) -> bool:
        """Whether the host must not take a frame of `size` bytes from this session's link now."""
        acceptor = self._sessions.get(session)
        return acceptor is not None and (acceptor.congested or self._pipeline.crowded(session, size, now))

    def held_by_itself(self, session: int) -> bool:
        """Whether nothing may be taken from its link for the sake of what it pushed itself."""
        acceptor = self._sessions.get(session)
        return acceptor is not None and (acceptor.congested or self._pipeline.postponed_too_much(session))

    def waits_for_slow(self, session: int, size: int, now: int) -> bool:
        """Whether a frame of `size` bytes may not be taken from its link because others wait for the slow worker."""
        return self._pipeline.waits_for_slow(session, size, now)

    def put_off(self) -> list[int]:
        """The sessions that were told by a verdict when to try again."""
        return self._pipeline.put_off()

    def has_pushed(self, session: int) -> bool:
        """Whether pushes of it are not answered."""
        return self._pipeline.has_pushed(session)

    def take_answered(self) -> Collection[int]:
        """The sessions of which pushes were answered since the last call."""
        if not self._answered:
            return ()
        answered, self._answered = self._answered, set()
        return answered

    def share(self, session: int) -> Share | None:
        """Whose turns it takes; None: nobody was let in on it, or it is over."""
        acceptor = self._sessions.get(session)
        if acceptor is None or acceptor.principal is None:
            return None
        return acceptor.principal.share(self._addresses[session])

    @property
    def asks(self) -> bool:
        """Whether an answer of the host is among the effects that were not drained: sessions ask for few at a time."""
        return self._asks

    def followers(self) -> list[int]:
        """Sessions that have something to send, after a commit."""
        followed = self._source.followed()
        found = [session for session, serving in self._following.items() if serving.lacks(followed)]
        return found if self._audience is None else found + self._audience.concerned()

    def tell_alike(self, sessions: Iterable[int], now: int) -> tuple[list[tuple[int, bytes]], list[int]]:
        """What those are to be sent who lack only the newest page, which is then counted as sent, and the others.

        The others may have something to send as well: see `fill`. The links of all have room for a frame.
        """
        pages: dict[int, LivePage | None] = {}
        told: list[tuple[int, bytes]] = []
        others: list[int] = []
        due = self._presence.due
        for session in sessions:
            serving = self._following.get(session)
            if serving is None:
                if session in self._sessions:  # it holds some records only: see `Audience`
                    others.append(session)
                continue
            cursor = serving.cursor
            page = pages[cursor] if cursor in pages else pages.setdefault(cursor, self._live.newest(cursor))
            if page is not None and session not in due and serving.tell(page, now):
                told.append((session, page.frame))
            else:
                others.append(session)
        return told, others

    @property
    def presence_changed(self) -> bool:
        """Whether a round would tell anything new of who has what open."""
        return self._presence.changed

    def begin_presence(self) -> list[int]:
        """Begin a round; `fill` tells the sessions that are returned who has what open now."""
        return self._presence.begin_round(self._audience.holders if self._audience else None)

    # --- who may hold what -----------------------------------------------------------------------------------

    def sight(self, session: int) -> Sight | None:
        """What a session may hold; None: all."""
        acceptor = self._sessions.get(session)
        return None if acceptor is None else acceptor.serving.sight

    def regrant(self, now: int) -> None:
        """Another policy is in force, or none: each session is told what that changes for it, or begins anew."""
        for session, acceptor in list(self._sessions.items()):
            if self._sights is None or acceptor.principal is None:
                continue
            sight = self._sights.of(acceptor.principal)
            before = acceptor.serving.sight
            if sight is None and before is None:
                continue
            if sight is None or before is None or not self._sights.ready:
                acceptor.close("regranted", "what this device may hold has changed", now, retry_after_us=0)
            elif sight != before:
                acceptor.regrant(sight, now)
                if not acceptor.closed:
                    self._listen(session, acceptor)
            self._collect(session, acceptor, now)

    def expel(self, session: int, code: str, message: str, retry_after_us: int | None, now: int) -> None:
        """End one session, telling it why; `retry_after_us` None: trying again cannot help."""
        acceptor = self._sessions.get(session)
        if acceptor is not None:
            acceptor.close(code, message, now, retry_after_us)
            self._collect(session, acceptor, now)

    def say(self, session: int, statements: Sequence[bytes], now: int) -> bool:
        """Pass on what the space said to the session's partner; returns whether it is sent, see `Session.say`."""
        acceptor = self._sessions.get(session)
        if acceptor is None:
            return False
        sent = acceptor.say(statements)
        self._collect(session, acceptor, now)
        return sent

    def give_token(self, session: int, token: str, now: int) -> None:
        """Give the session's partner a new token."""
        acceptor = self._sessions.get(session)
        if acceptor is not None:
            acceptor.give_token(token)
            self._collect(session, acceptor, now)

    def refuse_newcomers(self, code: str, message: str, retry_after_us: int) -> None:
        """From now on, say bye to everybody who comes; those who are here stay."""
        self._closing = (code, message, retry_after_us)

    def close(self, code: str, message: str, retry_after_us: int, now: int) -> None:
        """Say bye to everybody, and to everybody who still comes."""
        self.refuse_newcomers(code, message, retry_after_us)
        for session, acceptor in list(self._sessions.items()):
            acceptor.acknowledge(now)
            acceptor.close(code, message, now, retry_after_us)
            self._collect(session, acceptor, now)

    # --- the way of a push -----------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether no push is on its way."""
        return self._pipeline.idle

    @property
    def taken(self) -> int:
        """How many updates were taken, each of which gets a verdict."""
        return self._pipeline.taken

    @property
    def held_bytes(self) -> int:
        """What the updates weigh that were taken and are not answered, see `lanes`: bytes, and some for each."""
        return self._pipeline.held_bytes

    @property
    def verdicts(self) -> Counter[VerdictCode]:
        """How often each verdict was given."""
        return self._pipeline.verdicts

    def integrated(self, results: Sequence[Integrated], now: int, *, slow: bool = False) -> None:
        """The worker's answer to the oldest batch that it, or the slow one, integrates, one result per item."""
        self._pipeline.integrated(results, now, slow=slow)

    def integration_failed(self, now: int, *, slow: bool = False) -> None:
        """The worker could not be asked at all: everything of the oldest batch is to be sent again."""
        self._pipeline.integration_failed(now, slow=slow)

    def committed(self, number: int, seqs: Sequence[Sequence[int]], now: int) -> None:
        """The commit is on disk; `seqs` are the log's numbers per change and update, 0 where it has something
        else than what was sent.
        """
        self._pipeline.committed(number, seqs, now)

    def commit_failed(self, number: int, now: int) -> bool:
        """The commit was refused by the disk; see `Pipeline.commit_failed`."""
        return self._pipeline.commit_failed(number, now)

    def answered(self, session: int, answers: Sequence[Answer], now: int) -> None:
        """The pipeline's: see `pipeline.Sessions`."""
        acceptor = self._sessions.get(session)
        if acceptor is not None:
            self._answered.add(session)
            for answer in answers:
                acceptor.accepted(answer.number, answer.verdicts, answer.seqs, now)
            acceptor.acknowledge(now)
            self._collect(session, acceptor, now)

    def poisoned(self, session: int, now: int) -> None:
        """The pipeline's: see `pipeline.Sessions`."""
        self.expel(
            session, "poisoned", "too many updates of this session could not be integrated", limits.BAN_US_FIRST, now
        )

    # --- other answers of the host ---------------------------------------------------------------------------

    def pinned(self, session: int, view: View, now: int) -> None:
        """The answer to `PinIndex`."""
        acceptor = self._sessions.get(session)
        if acceptor is not None:
            acceptor.compare(view, now)
            self._collect(session, acceptor, now)

    def receipt(self, session: int, number: int, head: int, count: int, root: bytes, now: int) -> None:
        """The answer to `MakeReceipt`."""
        acceptor = self._sessions.get(session)
        if acceptor is not None:
            acceptor.receipt(number, head, count, root, now)
            self._collect(session, acceptor, now)

    def noted(self, session: int, number: int, now: int) -> None:
        """The answer to `NoteReports`."""
        acceptor = self._sessions.get(session)
        if acceptor is not None:
            acceptor.noted(number, now)
            self._collect(session, acceptor, now)

    def audit_pinned(self, session: int, view: View, now: int) -> None:
        """The answer to `PinAudit`."""
        acceptor = self._sessions.get(session)
        if acceptor is not None:
            acceptor.pinned(view, now)
            self._collect(session, acceptor, now)

    def checked(self, session: int, number: int, head: int, entries: Sequence[CheckedEntry], now: int) -> None:
        """The answer to `MakeCheck`; `head` is a sequence number that all of it lies at or below."""
        acceptor = self._sessions.get(session)
        if acceptor is not None:
            acceptor.checked(number, head, entries, now)
            self._collect(session, acceptor, now)

    # --- parts -----------------------------------------------------------------------------------------------

    def _unwelcome(self) -> Refusal | None:
        """Why nobody at all can be let in now."""
        if self._closing is not None:
            return Refusal(*self._closing)
        if len(self._welcome) >= self._sessions_max:
            return Refusal("too_many_sessions", "as many devices are served as may be; try later", 30_000_000)
        return None

    def _collect(self, session: int, acceptor: Acceptor, now: int) -> None:
        """Turn a session's effects into the hub's."""
        for effect in acceptor.drain():
            match effect:
                case Send(frame):
                    self._effects.append(_new_delivery((session, frame)))
                case Accept():
                    assert acceptor.principal is not None
                    address = self._addresses[session]
                    self._pipeline.take(session, acceptor.principal, acceptor.partner, effect, now, address)
                case Closed():
                    self._effects.append(Hangup(session, effect))
                    self._forget(session)
                case Compare():
                    self._ask(PinIndex(session))
                case ReadReceipt(number):
                    self._ask(MakeReceipt(session, number))
                case PinDigests(content):
                    self._ask(PinAudit(session, content))
                case CheckRecords(number, records, mend):
                    self._ask(MakeCheck(session, number, records, mend))
                case PresenceSeen(entries):
                    self._presence.opened(session, _signed(entries, acceptor))
                case Gave(records):
                    self._effects.append(GaveTo(session, records))
                case Note(number, entries):
                    self._effects.append(NoteReports(session, number, entries))
                case SaidCame(statements):
                    self._effects.append(SaidBy(session, statements))
                case Holds(cursor):
                    self._effects.append(Stored(session, cursor))
                case Greeted(replica, agent, cursor):
                    self._effects.append(Arrived(session, replica, agent, cursor))
                    if acceptor.follow:
                        self._presence.follow(session)
                        self._listen(session, acceptor)
        if self._audience is not None:
            self._audience.note(session)
        self._pipeline.next_batch()

    def _listen(self, session: int, acceptor: Acceptor) -> None:
        """It follows: from now on it hears of what is committed."""
        serving = acceptor.serving
        if self._audience is not None and isinstance(serving, SelectedServing):
            self._audience.join(session, serving)
        else:
            self._following[session] = serving

    def _ask(self, asked: PinIndex | MakeReceipt | PinAudit | MakeCheck) -> None:
        self._asks = True
        self._effects.append(asked)

    def _forget(self, session: int) -> None:
        self._presence.left(session)
        self._following.pop(session, None)
        if self._audience is not None:
            self._audience.leave(session)
        del self._sessions[session]
        del self._addresses[session]
        self._welcome.discard(session)
        self._pipeline.leave(session)


def _signed(entries: tuple[PresenceEntry, ...], acceptor: Acceptor) -> tuple[PresenceEntry, ...]:
    """What a session has open, in the name of its user where there is one, whatever name it gives."""
    user = "" if acceptor.principal is None else acceptor.principal.user
    return tuple([entry._replace(actor=user) for entry in entries]) if user else entries
