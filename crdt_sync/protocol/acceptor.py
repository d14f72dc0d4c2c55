"""The accepting end of a session: serves the feed, follows the log, takes pushes.

Rules and invariants:

1. Acknowledgements leave only through `accepted`, which the host calls after the disk sync.
2. The answer to a check is sent after every update up to the state that it speaks of, so that the partner compares
   it with a state of its own that lacks nothing of it.
3. Where digests are compared, a cursor comes after the answers for all that differs.
4. Whatever tells the partner something of what is held here names a head of the log after which it is not: each
   answer, each acknowledgement, and each cursor, which comes after what was compared. A partner that comes back is
   believed only if the log that was served then is the one that is here now, up to the highest head that it was told.
   Else, what it has, and what it believes that is here, may come from a history that was lost.

What is told of records, what is taken, and the comparison, are objects with rules of their own: see `serving`,
`taking`, `compared` and `auditing`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from crdt_sync import limits
from crdt_sync.errors import ProtocolViolation
from crdt_sync.protocol.auditing import AuditRun
from crdt_sync.protocol.compared import Compared
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
    ReadReceipt,
    Send,
)
from crdt_sync.protocol.entries import Resumed
from crdt_sync.protocol.live_pages import LivePages
from crdt_sync.protocol.marks import Veil
from crdt_sync.protocol.messages import (
    DONE,
    MODE_CHANGES,
    MODE_RECONCILE,
    PAGE_COMPARED,
    Ack,
    Audit,
    Bye,
    Check,
    Checked,
    CheckedEntry,
    Have,
    Hello,
    Message,
    NewToken,
    Noted,
    Push,
    Ranges,
    Receipt,
    ReceiptRequest,
    Reported,
    Resume,
    Said,
    Terms,
    Verdict,
    VerdictCode,
    Want,
    Welcome,
)
from crdt_sync.protocol.principal import Principal
from crdt_sync.protocol.reconcile import View
from crdt_sync.protocol.selecting import Selected
from crdt_sync.protocol.serving import ASKS, STORES, Serving
from crdt_sync.protocol.serving_selected import SelectedServing
from crdt_sync.protocol.session import Awaited, Session
from crdt_sync.protocol.sight import Sight, Sights
from crdt_sync.protocol.source import AcceptorSource
from crdt_sync.protocol.states import ACCEPTOR_MOVES, ACCEPTOR_TABLE, Move, State, Table
from crdt_sync.protocol.taking import Taking
from crdt_sync.protocol.terms import shared_features, terms_of
from crdt_sync.protocol.versions import PEOPLE, REPORTS, RETRY_AFTER, TERMS, VERSIONS

_COMPARES = "did not go on comparing"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a hello is not accepted. `statements` are what the partner hears before, as its space said it."""

    code: str
    message: str
    retry_after_us: int | None = None
    statements: tuple[bytes, ...] = ()


Authorise = Callable[[Hello], Principal | Refusal]
"""Who it is that says hello, or why nobody is let in with it."""


class Acceptor(Session):
    """One partner that called us. See the module's rules; `Session` has the calls that both ends share."""

    table: ClassVar[Table] = ACCEPTOR_TABLE
    moves: ClassVar[tuple[Move, ...]] = ACCEPTOR_MOVES

    def __init__(
        self,
        source: AcceptorSource,
        authorise: Authorise,
        wall_clock: Callable[[], int],
        now: int,
        ping_us: int | None = None,
        live: LivePages | None = None,
        sights: Sights | None = None,
        followed: Callable[[], int] | None = None,
    ) -> None:
        super().__init__(now, ping_us)
        self._source = source
        self._sights = sights
        self._followed_by_some = followed or source.followed
        self._live = live or LivePages(source)
        self.serving = Serving(self, source, self._live)  # chosen by who it is that says hello
        self._authorise = authorise
        self._wall_clock = wall_clock
        self.partner = b""
        self.principal: Principal | None = None  # once hello was accepted
        self.follow = False
        self.agreed = True  # nothing is taken before the partner's terms, where its version has them
        self._taking = Taking()
        self._compared = Compared()
        self._audit: AuditRun | None = None
        self._checks = 0  # that the host was asked for
        self._noting: int | None = None  # the number of the reports that are being noted

    def send(self, message: Message) -> int:
        """Send a message that tells something of records; returns its bytes."""
        return self._send(message)

    def send_frame(self, frame: bytes) -> None:
        """Send such a message that is encoded already."""
        self._effects.append(Send(frame))

    def gave(self, records: Sequence[str]) -> None:
        """Have it told that these were sent."""
        self._effects.append(Gave(tuple(records)))

    def _end(self, closed: Closed) -> None:
        super()._end(closed)
        self.serving.end()

    # --- what the host asks ----------------------------------------------------------------------------------

    @property
    def congested(self) -> bool:
        """Whether the host must stop reading from the partner until pushes were answered."""
        return self._taking.congested

    @property
    def wants_room(self) -> bool:
        """Whether `fill` has, or may have, something to send."""
        return self.serving.wants_room

    def fill(self, room: int, now: int, most: int = limits.FRAME_BYTES_MAX) -> int:
        """Send what is waiting, at most about `room` bytes. Call it when the link has room and after commits.

        Each frame has about `most` bytes. Where what is next cannot be had in so few, it is left, and this returns how
        many it takes; otherwise 0.
        """
        try:
            return self.serving.fill(room, now, most)
        except ProtocolViolation as violation:
            self.close(violation.code, violation.message, now)
            return 0

    # --- answers of the host ---------------------------------------------------------------------------------

    def accepted(self, number: int, verdicts: Sequence[Verdict], seqs: Sequence[int], now: int) -> None:
        """The push `number` was decided and stored; `seqs` are the log's numbers for it.

        The acknowledgement leaves with `acknowledge`, so that several pushes share a frame.
        """
        if self.closed:
            return
        if RETRY_AFTER not in self.features:
            verdicts = [each if each.retry_after is None else _without_time(each) for each in verdicts]
        self._taking.answered(number, verdicts)
        self.serving.stored(number, seqs)

    def acknowledge(self, now: int) -> None:
        """Acknowledge all pushes answered since the last time, in as few frames as they fit."""
        answers = list(self._taking.acknowledgements())
        if self.closed or not answers:
            return
        cursor = self.serving.reached()
        for number, verdicts, last in answers:
            self._send(Ack(number, cursor if last else None, self._source.head(), verdicts))

    def give_token(self, token: str) -> None:
        """Give the partner a new token, if the session is open and its version has that."""
        if self.version >= PEOPLE and self.state not in {State.GREETING, State.CLOSED}:
            self._send(NewToken(token))

    def compare(self, view: View, now: int) -> None:
        """The answer to `Compare`."""
        if self.closed:
            return
        try:
            self._go_on_comparing(self._compared.begin(view))
        except ProtocolViolation as violation:
            self.close(violation.code, violation.message, now)

    def receipt(self, number: int, head: int, count: int, root: bytes, now: int) -> None:
        """The answer to `ReadReceipt`."""
        if not self.closed:
            self._send(Receipt(number, head, count, root))

    def pinned(self, view: View, now: int) -> None:
        """The answer to `PinDigests`."""
        if self.closed or self._audit is None:
            return
        try:
            self._go_on_auditing(self._audit, self._audit.pinned(view))
        except ProtocolViolation as violation:
            self.close(violation.code, violation.message, now)

    def checked(self, number: int, head: int, entries: Sequence[CheckedEntry], now: int) -> None:
        """The answer to `CheckRecords`; `head` is a sequence number that all of it lies at or below."""
        if self.closed:
            return
        self._checks -= 1
        self.serving.after(head, Checked(number, tuple(self.serving.checked(number, entries))))

    def noted(self, number: int, now: int) -> None:
        """The answer to `Note`: it is on disk, or there is no audit log."""
        if not self.closed and self._noting == number:
            self._noting = None
            self._send(Noted(number))

    def regrant(self, sight: Sight, now: int) -> None:
        """The partner may hold something else from now on: the difference is told, within the session if it may be."""
        if not (self.closed or self.serving.regrant(sight)):
            self.close("regranted", "what this device may hold has changed", now, retry_after_us=0)

    # --- messages --------------------------------------------------------------------------------------------

    def _on_hello(self, hello: Hello, now: int) -> None:
        versions = set(hello.versions) & set(VERSIONS)
        if not versions:
            self.close("version_mismatch", f"this side speaks versions {list(VERSIONS)}", now)
            return
        admitted = self._authorise(hello)
        if isinstance(admitted, Refusal):
            if admitted.statements and PEOPLE in versions:
                self._tell_stranger(admitted.statements)
            self.close(admitted.code, admitted.message, now, admitted.retry_after_us)
            return
        version = max(versions)
        if not self._choose(admitted, version, now):
            return
        self.principal = admitted
        self.partner = hello.replica
        self.follow = hello.follow
        head = self._source.head()
        resume = None if hello.resume is None else self._read(hello.resume)
        resumable = hello.count == 0 if hello.resume is None else resume is not None and self.serving.honours(resume)
        mode = MODE_CHANGES if resumable or not hello.follow else MODE_RECONCILE
        serving = self.serving
        if resume is not None and resumable:
            serving.resume(resume)
        cursor = resume.cursor if resume is not None else 0
        catching_up = hello.follow and mode == MODE_CHANGES
        self._send(
            Welcome(
                version,
                self._source.replica,
                self._wall_clock(),
                serving.epoch,
                head,
                mode,
                limits.FRAME_BYTES_MAX,
                serving.behind(cursor) if catching_up else None,
            )
        )
        self.version = version
        if version >= TERMS:
            self.agreed = False
            self._send(terms_of(self._source.space, self._source.replica))
        self._effects.append(Greeted(hello.replica, hello.agent, serving.held))
        if not hello.follow:
            self.state = State.LIVE
        elif mode == MODE_RECONCILE:
            serving.begin_compared(head)
            self.state = State.COMPARING
            self._effects.append(Compare())
        else:
            serving.begin(cursor)
            serving.serve_feed(limits.FRAME_BYTES_TARGET)  # with the welcome: nothing changed costs one round trip

    def _read(self, resume: Resume) -> Resumed | None:
        """What a resume says; None where it names a place that this partner was never told."""
        cursor, head = self.serving.number(resume.cursor), self.serving.number(resume.head)
        return None if cursor is None or head is None else Resumed(resume.epoch, cursor, head)

    def _choose(self, principal: Principal, version: int, now: int) -> bool:
        """Find out what the partner may hold; False where it cannot be served."""
        sight = None if self._sights is None else self._sights.of(principal)
        if self._sights is None or sight is None:
            return True
        if version < PEOPLE:
            self.close("version_mismatch", f"this space has a policy, which takes version {PEOPLE}: update", now)
            return False
        if not self._sights.ready:
            self.close("unavailable", "what records show is being read", now, self._sights.again_us)
            return False
        selected = Selected(self._source, self._sights, principal, sight)
        self._veil = Veil(self._sights.marks(principal))
        self.serving = SelectedServing(self, self._source, self._live, selected, self._followed_by_some, self._veil)
        return True

    def _tell_stranger(self, statements: tuple[bytes, ...]) -> None:
        """Welcome somebody who is not let in, with nothing of what is held here, so that it hears what its space said.

        It says nothing before it has our terms, which do not come.
        """
        replica, epoch = self._source.replica, self._source.epoch
        frame_bytes = limits.FRAME_BYTES_MAX
        self._send(Welcome(PEOPLE, replica, self._wall_clock(), epoch, 0, MODE_CHANGES, frame_bytes))
        self.version = PEOPLE
        self._send(Said(statements))

    def _on_terms(self, terms: Terms, now: int) -> None:
        if self.agreed:
            raise ProtocolViolation("terms came twice")
        if terms.joined and not self._source.space.joined:
            self._source.join(terms.space)
        self.features = shared_features(terms.features)
        self.agreed = True

    def _allowed(self, message: Message) -> bool:
        return self.agreed or isinstance(message, Terms | Bye)

    def _on_want(self, want: Want, now: int) -> None:
        self._came(ASKS)
        self._came(_COMPARES)
        _once_each("want", [entry.record for entry in want.entries])
        if want.page == PAGE_COMPARED and self.state is State.COMPARING:
            self._compared.wanted(len(want.entries), self.serving.waiting(PAGE_COMPARED))
            self.serving.want(want, compared=True)
            self._finish_comparing()
        else:
            self.serving.want(want, compared=False)

    def _on_ranges(self, ranges: Ranges, now: int) -> None:
        self._came(_COMPARES)
        self._go_on_comparing(self._compared.receive(ranges))

    def _on_have(self, have: Have, now: int) -> None:
        self.serving.confirm(have.received, now)
        self._came(STORES)
        cursor = self.serving.number(have.cursor)
        if cursor is not None:  # else a mark that this store cannot read, from before a loss: it says nothing
            self._note_held(cursor)

    def _on_bye(self, message: Bye, now: int) -> None:
        if message.code == DONE:
            self._note_held(None)
        super()._on_bye(message, now)

    def _note_held(self, cursor: int | None) -> None:
        """The partner says that it has everything up to there on its disk; see `Serving.holds`."""
        if self.serving.holds(cursor):
            self._effects.append(Holds(self.serving.held))

    def _on_push(self, push: Push, now: int) -> None:
        self._taking.take(push)
        hidden, unread = self.serving.pushed(push.number, push.entries)
        self._effects.append(Accept(push.number, push.entries, hidden, unread))

    def _on_receipt_request(self, request: ReceiptRequest, now: int) -> None:
        self._effects.append(ReadReceipt(request.number))

    def _on_reported(self, reported: Reported, now: int) -> None:
        if REPORTS not in self.features:
            raise ProtocolViolation("reports came, which the terms do not name")
        if self._noting is not None:
            raise ProtocolViolation("reports came before those before them were noted")
        self._noting = reported.number
        self._effects.append(Note(reported.number, reported.entries))

    def _on_audit(self, audit: Audit, now: int) -> None:
        if self._audit is not None:
            raise ProtocolViolation("an audit began before the last one had ended")
        self._audit = AuditRun(initiator=False)
        self._effects.append(PinDigests(audit.content))

    def _on_audit_ranges(self, ranges: Ranges, now: int) -> None:
        if self._audit is None:
            raise ProtocolViolation("ranges came without an audit")
        self._go_on_auditing(self._audit, self._audit.receive(ranges))

    def _on_check(self, check: Check, now: int) -> None:
        if self._checks + self.serving.later >= limits.CHECKS_IN_FLIGHT_MAX:
            raise ProtocolViolation("too many checks without waiting for answers")
        _once_each("check", check.records)
        self._checks += 1
        records = self.serving.asked(check.number, check.records)
        self._effects.append(CheckRecords(check.number, records, check.mend))

    # --- time ------------------------------------------------------------------------------------------------

    def _awaited(self) -> Iterator[Awaited]:
        yield from self.serving.awaited()
        if self.state is State.COMPARING and self._compared.begun:
            yield Awaited(_COMPARES, limits.WORK_US_MAX)

    # --- auditing --------------------------------------------------------------------------------------------

    def _go_on_auditing(self, audit: AuditRun, turn: Ranges | None) -> None:
        """Make our turn, and let the view go as soon as the audit is over."""
        if turn is not None:
            self._send(turn)
        if audit.done:
            self._audit = None

    # --- comparing -------------------------------------------------------------------------------------------

    def _go_on_comparing(self, turn: Ranges | None) -> None:
        """Make our turn, if there is one."""
        if turn is not None:
            self._send(turn)
        self._finish_comparing()

    def _finish_comparing(self) -> None:
        if self._compared.done:
            self._compared = Compared()  # and let the view go
            self.serving.catch_up()


def _without_time(verdict: Verdict) -> Verdict:
    """What a partner is told that knows no `RetryAfter`: it tries again a little later, or in its next session."""
    code = VerdictCode.RETRY if verdict.code is VerdictCode.RATE_LIMITED else verdict.code
    return verdict._replace(code=code, retry_after=None)


def _once_each(message: str, records: Sequence[str]) -> None:
    """Whoever answers reads each record: naming one again costs the partner nothing."""
    if len(frozenset(records)) != len(records):
        raise ProtocolViolation(f"a {message} names a record twice")
