"""The dialing end of a session: asks for what it lacks, pushes what the partner lacks.

Rules and invariants:

1. Nothing is waited for without a bound: the partner's silence ends the session, and so does an answer that does not
   come, whatever else it says (see `Session.timer` and `_awaited`).
2. After a bye nothing is sent.

What is fetched, what is pushed, and how digests are compared, are objects with rules of their own: see `fetching`,
`pushing`, `comparing` and `auditing`.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import ClassVar

from crdt_sync import limits
from crdt_sync.errors import ProtocolViolation
from crdt_sync.ids import Space
from crdt_sync.protocol.auditing import AuditRun
from crdt_sync.protocol.comparing import Comparing, Step
from crdt_sync.protocol.effects import (
    Acknowledge,
    Audited,
    CaughtUp,
    CheckArrived,
    Compare,
    Integrate,
    Owe,
    PinDigests,
    ReceiptArrived,
    ReportsNoted,
    TokenCame,
    Welcomed,
)
from crdt_sync.protocol.fetching import Fetching
from crdt_sync.protocol.marks import head_of
from crdt_sync.protocol.messages import (
    MODE_RECONCILE,
    PAGE_COMPARED,
    QUOTA_OVER,
    Ack,
    Audit,
    Changes,
    Check,
    Checked,
    Dropped,
    Have,
    Hello,
    Message,
    NewToken,
    Noted,
    Place,
    Pong,
    Ranges,
    Receipt,
    ReceiptRequest,
    Regranted,
    Reported,
    ReportEntry,
    Resume,
    Terms,
    Updates,
    UpdatesEntry,
    VerdictCode,
    Want,
    WantEntry,
    Welcome,
)
from crdt_sync.protocol.pushing import Pushing
from crdt_sync.protocol.reconcile import View
from crdt_sync.protocol.session import Awaited, Session
from crdt_sync.protocol.source import NOT_HELD, DialerSource
from crdt_sync.protocol.states import DIALER_MOVES, DIALER_TABLE, Move, State, Table
from crdt_sync.protocol.telling import Telling
from crdt_sync.protocol.terms import Agreed, agreed_space, shared_features, terms_of
from crdt_sync.protocol.versions import REPORTS, TERMS, VERSIONS
from crdt_sync.protocol.wants import want_beyond

_NOTED_US = 1_000_000  # until that a partner takes nothing is on disk: what is kept of it is over by then
_ANEW_US = 60_000_000  # a session that is to begin anew for something that only a handshake mends lasts this long
_CLOCK_SET_US = 1_000_000  # a wall clock that ran on by that much more or less than time itself was set
_PING_SPREAD = 4  # pings of many devices are spread over a part of their interval

_STORES = "stored nothing of what was sent"
_READS = "read nothing of what was sent"
_ANSWERS = "sent nothing of what was asked for"
_TELLS = "told nothing of its changes"
_COMPARES = "did not go on comparing"
_AUDITS = "did not go on with the audit"
_CHECKS = "did not say how it stores records"
_RECEIPTS = "gave no receipt"
_NOTES = "did not note what was reported"


class Dialer(Session):
    """Our end of a session that we opened. See the module's rules; `Session` has the calls that both ends share.

    `direct`: the partner is a device that proved the space's token. `moves`: we leave our space for the partner's if it
    is of another.
    """

    table: ClassVar[Table] = DIALER_TABLE
    moves: ClassVar[tuple[Move, ...]] = DIALER_MOVES

    def __init__(
        self,
        source: DialerSource,
        *,
        resume: Resume | None,
        token: str,
        follow: bool,
        agent: str,
        wall: int,
        now: int,
        ping_us: int | None = None,
        direct: bool = False,
        moves: bool = False,
    ) -> None:
        super().__init__(now, ping_us)
        self._source = source
        self._direct = direct
        self._moves = moves
        self._welcome: tuple[Welcome, int] | None = None  # and by how much the clocks differ, until the terms come
        self._greeted_at = now
        self._wall_at_greeting = wall
        self.follow = follow
        self._resumes = resume is not None
        self._fetching = Fetching(resume.cursor if resume else 0)
        self._comparing: Comparing | None = None  # where the partners share no epoch
        self._audit: AuditRun | None = None
        self._checking: dict[int, tuple[str, ...]] = {}  # the records of checks that were not answered
        self._pushing = Pushing(source, self._goes)
        self._telling = Telling()
        self._acknowledge_number = 0
        self._receipts = 0  # asked for and not come
        self._reported: tuple[ReportEntry, ...] = ()  # told, and still kept here
        self._report_number = 0
        self._report_asked = False  # whether it is for the partner to answer
        self._anew_at: int | None = None  # when to end the session for what only the next handshake mends
        self._anew = ("", "")  # the code and message of that end
        self._send(
            Hello(
                VERSIONS,
                source.replica,
                token,
                wall,
                resume,
                follow,
                source.count(),
                agent[: limits.AGENT_LENGTH_MAX],
            )
        )

    # --- what the host asks ----------------------------------------------------------------------------------

    @property
    def settled(self) -> bool:
        """Whether everything known here was exchanged: all fetched, stored and confirmed, all pushed and answered."""
        return (
            self.state is State.LIVE
            and self._fetching.idle
            and not (self._comparing and self._comparing.owing)
            and self._pushing.settled
            and self._telling.idle
            and not self._reported
        )

    def notify(self, records: Sequence[str] = ()) -> None:
        """The outbox has new entries: these, or, without names, any."""
        self._pushing.notify(records)

    def hold(self, wait_us: int, now: int, *, everything: bool, refused: bool) -> None:
        """The partner said earlier that it takes nothing for so long, or nothing of what it `refused`, if anything."""
        if everything:
            self._pushing.hold(wait_us, now)
        if refused:
            self._offer_again_after(wait_us, now)

    def _offer_again_after(self, wait_us: int, now: int) -> None:
        """What was refused is offered by the next session: end this one then."""
        at = now + wait_us + _NOTED_US
        if self._anew_at is None or at < self._anew_at:
            self._anew_at = at
            self._anew = (QUOTA_OVER, "what was beyond a quota is offered again")

    def compare_clocks(self) -> None:
        """Our clock may be wrong: end the session, not before it has lasted a minute, so that the next one compares."""
        self._begin_anew("clock_changed", "a clock may be wrong: they are compared again")

    def resume_anew(self) -> None:
        """No cursor of this session can be stored: end it, not before it has lasted a minute; the next one can."""
        self._begin_anew("standing_lost", "how far it has read cannot be noted: the next session begins anew")

    def _begin_anew(self, code: str, message: str) -> None:
        self._anew_at, self._anew = self._greeted_at + _ANEW_US, (code, message)

    def watch_clock(self, wall: int, now: int) -> None:
        """See whether our wall clock, which tells `wall` now, was set since hello. Hosts call it before `timer`."""
        if abs((wall - self._wall_at_greeting) - (now - self._greeted_at)) > _CLOCK_SET_US:
            self.compare_clocks()

    def report(self) -> None:
        """Something was done here that a relay is to know; see `DialerSource.reports`. What is there goes by itself."""
        if self.state is not State.LIVE or self._direct or self._reported or REPORTS not in self.features:
            return
        self._reported = tuple(self._source.reports())
        if self._reported:
            self._report_number, self._report_asked = self._report_number + 1, True
            self._send(Reported(self._report_number, self._reported))

    def reports_forgotten(self, now: int) -> None:
        """`ReportsNoted` is carried out."""
        self._reported = ()
        self.report()

    @property
    def unanswered(self) -> bool:
        """Whether the partner is still at something that was pushed."""
        return self._pushing.unanswered

    @property
    def wants_room(self) -> bool:
        """Whether `fill` may have something to push."""
        return (
            self.state in {State.CATCHING_UP, State.LIVE}
            and not (self._comparing and self._comparing.unstored)
            and self._pushing.wants_room
        )

    def fill(self, room: int, now: int) -> None:
        """Push what the partner lacks, at most about `room` bytes. Call it when the link has room."""
        while room > 0 and self.wants_room:
            push = self._pushing.next_push(now)
            if push is None:
                return
            room -= self._send(push)

    def request_receipt(self, number: int) -> None:
        """Ask the partner for a receipt; it comes as `ReceiptArrived`."""
        self._receipts += 1
        self._send(ReceiptRequest(number))

    def audit(self, *, content: bool) -> None:
        """Compare everything while the session goes on; what differs comes as `Audited`. One at a time, once live."""
        assert self.state in {State.CATCHING_UP, State.LIVE}, "digests are compared already"
        assert self._audit is None, "one audit at a time"
        self._audit = AuditRun(initiator=True)
        self._send(Audit(content))
        self._effects.append(PinDigests(content))

    def check(self, number: int, records: Sequence[str], *, mend: bool) -> None:
        """Ask how the partner stores these records, `CHECK_RECORDS_MAX` at most; it comes as `CheckArrived`."""
        self._checking[number] = tuple(records)
        self._send(Check(number, mend, tuple(records)))

    def fetch(self, records: Sequence[str]) -> None:
        """Ask for these records as a whole, `WANT_RECORDS_MAX` at most; not `settled` before they are on disk."""
        self._send(self._fetching.ask(Want(0, tuple(WantEntry(record, NOT_HELD) for record in records))))

    def next_timer(self) -> int | None:
        """See `Session.next_timer`."""
        timer = super().next_timer()
        if timer is None:
            return None
        return min(time for time in (timer, self._pushing.again_at, self._anew_at) if time is not None)

    def timer(self, now: int) -> None:
        """See `Session.timer`."""
        if self._pushing.again_at is not None and now >= self._pushing.again_at:
            self._pushing.push_again(now)
        if self._anew_at is not None and now >= self._anew_at:
            self.close(*self._anew, now, retry_after_us=0)
        super().timer(now)

    @property
    def _first_ping_us(self) -> int:
        """Shorter than the acceptor's, so that one of the two asks; different for each session."""
        return self._ping_us - self._greeted_at % (self._ping_us // _PING_SPREAD)

    def _awaited(self) -> Iterator[Awaited]:
        """See `Session._awaited`. What waits for our own disk is not owed."""
        if self._pushing.unanswered:
            yield Awaited(_STORES, self._pushing.answer_us)
        if self._telling.unanswered:
            yield Awaited(_READS, self._pushing.answer_us)
        if self._fetching.unanswered:
            yield Awaited(_ANSWERS, limits.ANSWER_US_MAX)
        elif self.state is State.CATCHING_UP and not self._fetching.ending and not self._fetching.storing:
            yield Awaited(_TELLS, limits.ANSWER_US_MAX)
        elif self.state is State.COMPARING and self._comparing is not None and not self._fetching.storing:
            if self._comparing.unanswered:
                yield Awaited(_ANSWERS, limits.ANSWER_US_MAX)
            elif self._comparing.listens:
                yield Awaited(_COMPARES, limits.WORK_US_MAX)
        if self._audit is not None:
            yield Awaited(_AUDITS, limits.WORK_US_MAX)
        if self._checking:
            yield Awaited(_CHECKS, limits.WORK_US_MAX)
        if self._receipts:
            yield Awaited(_RECEIPTS, limits.WORK_US_MAX)
        if self._report_asked:
            yield Awaited(_NOTES, limits.WORK_US_MAX)

    # --- answers of the host ---------------------------------------------------------------------------------

    def integrated(self, number: int, gaps: Sequence[tuple[str, bytes]], now: int) -> None:
        """`Integrate` is on disk, but for `gaps`: records whose updates need earlier ones, with our vectors."""
        if self.closed:
            return
        if self._comparing is not None:
            self._comparing.stored(number)
        if self._fetching.stored(number, gaps):
            self._pushing.notify()
        gaps = self._fetching.unasked(number, gaps)
        unclosed = self._fetching.never_closed(gaps)
        if unclosed is not None:
            self.close("gap", f"the diff of {unclosed} does not close its gap", now, retry_after_us=0)
            return
        for each in self._fetching.go_on(gaps):
            match each:
                case Integrate():
                    self._effects.append(each)
                case Have():
                    self._tell(each)
                case Want():
                    self._send(each)
        self._finish_catching_up()

    def compare(self, view: View, now: int) -> None:
        """The answer to `Compare`."""
        if not self.closed and self._comparing is not None:
            self._send(self._comparing.begin(view))

    def owed(self, now: int) -> None:
        """`Owe` is on disk: the outbox has new entries."""
        if self.closed or self._comparing is None:
            return
        self._pushing.notify()
        try:
            self._take(self._comparing.owed())
        except ProtocolViolation as violation:
            self.close(violation.code, violation.message, now)

    def acknowledged(self, number: int, again: Sequence[str], now: int) -> None:
        """`Acknowledge` is on disk; `again` are records of it that still have something to push."""
        if not self.closed:
            self._pushing.noted(again)

    def pinned(self, view: View, now: int) -> None:
        """The answer to `PinDigests`."""
        if not self.closed and self._audit is not None:
            turn = self._audit.pinned(view)
            assert turn is not None, "the initiator begins"
            self._send(turn)

    # --- messages --------------------------------------------------------------------------------------------

    def _on_welcome(self, welcome: Welcome, now: int) -> None:
        if welcome.version not in VERSIONS:
            raise ProtocolViolation(f"the partner chose version {welcome.version}, which was not offered")
        self.version = welcome.version
        # The partner read its clock about half a round trip ago.
        offset = welcome.now - (self._wall_at_greeting + (now - self._greeted_at) // 2)
        if self.version < TERMS:
            self._begin(welcome, offset, None)
        else:
            self._welcome = (welcome, offset)
            self.state = State.AGREEING

    def _on_terms(self, terms: Terms, now: int) -> None:
        assert self._welcome is not None, "terms are awaited after a welcome"
        ours, theirs = self._source.space, Space(terms.space, terms.joined)
        space = agreed_space(ours, theirs, direct=self._direct, moves=self._moves)
        if space is None:
            self.close("foreign_space", "this device belongs to another space", now)
            return
        self.features = shared_features(terms.features)
        agreed = Agreed(space, ours.joined and ours == theirs, terms.log, self.features)
        self._begin(*self._welcome, agreed)

    def _begin(self, welcome: Welcome, offset: int, agreed: Agreed | None) -> None:
        """The handshake is over. What the host hears of it comes before all that it lets us say."""
        comparing = welcome.mode == MODE_RECONCILE
        resumed = self._resumes and self.follow and not comparing
        self._effects.append(
            Welcomed(
                welcome.replica,
                welcome.epoch,
                offset,
                comparing,
                resumed,
                head=welcome.head,
                behind=welcome.behind,
                agreed=agreed,
            )
        )
        if agreed is not None:
            self._send(terms_of(agreed.space, self._source.replica))
        if not self.follow:
            self.state = State.LIVE
            self._effects.append(CaughtUp())
            self.report()
        elif comparing:
            self.state = State.COMPARING
            self._comparing = Comparing(self._source)
            self._effects.append(Compare())
        else:
            self.state = State.CATCHING_UP
            self._ask_again(self._source.unread())
        self._pushing.notify()

    def _on_changes(self, changes: Changes, now: int) -> None:
        self._came(_TELLS)
        self.state = State.CATCHING_UP
        if not changes.entries:
            self._fetching.check_cursor(changes.cursor)
            self._fetching.ending = True
            self._integrate((), changes.cursor, head_of(changes.cursor))
            return
        self._fetching.ending = False
        state_vector, goes = self._source.state_vector, self._fetching.goes
        held = ((each.record, NOT_HELD if goes(each.record) else state_vector(each.record)) for each in changes.entries)
        self._send(self._fetching.ask_page(want_beyond(changes.page, held)))

    def _on_ranges(self, ranges: Ranges, now: int) -> None:
        if self._comparing is None or not self._comparing.listens:
            raise ProtocolViolation("ranges came out of turn")
        self._came(_COMPARES)
        self._take(self._comparing.receive(ranges))

    def _on_updates(self, updates: Updates, now: int) -> None:
        repair = updates.page == 0 and updates.cursor is None
        comparing = self._comparing if updates.page == PAGE_COMPARED else None
        if repair or comparing:
            self._came(_ANSWERS)
        if not repair:
            self._came(_TELLS)
        self._came(_COMPARES)
        if repair:
            self._fetching.check_asked()
        if comparing and (not comparing.unanswered or updates.cursor is not None):
            raise ProtocolViolation("what the comparison found comes unasked, or with a cursor")
        self._fetching.check_cursor(updates.cursor, updates.page)
        live = updates.page == 0 and not repair
        unserved = set() if live else (comparing or self._fetching).unserved(updates)
        self._integrate(updates.entries, updates.cursor, updates.head, comparing is not None, unserved)
        if comparing:
            self._take(comparing.answered(updates, self._fetching.number))
        if repair:
            self._fetching.answered(updates)

    def _goes(self, record: str) -> bool:
        return self._fetching.goes(record)

    def _on_dropped(self, dropped: Dropped, now: int) -> None:
        self._came(_TELLS)
        self._fetching.check_cursor(dropped.cursor)
        self._fetching.dropped(dropped.records)
        self._pushing.dropped(dropped.records)
        if self._comparing is not None:
            self._comparing.dropped(dropped.records)
        self._effects.append(
            self._fetching.integrate((), dropped.cursor, dropped.head, owe=False, dropped=dropped.records)
        )

    def _on_regranted(self, regranted: Regranted, now: int) -> None:
        self._came(_TELLS)
        self.state = State.CATCHING_UP
        self._fetching.ending = False
        if not (regranted.settled and self._fetching.repairs):  # else a crash would lose those
            self._effects.append(self._fetching.integrate((), None, 0, owe=False, epoch=regranted.epoch))

    def _on_ack(self, ack: Ack, now: int) -> None:
        self._fetching.check_cursor(ack.cursor)
        pushed = self._pushing.answered(ack, now)
        self._came(_STORES)
        for each in self._fetching.ask_beyond((record, NOT_HELD) for record in self._pushing.take_gone(pushed)):
            self._send(each)
        if any(answer.verdict.code is VerdictCode.CLOCK_AHEAD for answer in pushed):
            self.compare_clocks()
        for answer in pushed:
            if (wait := answer.verdict.retry_after) is not None and not wait.all:
                self._offer_again_after(wait.ms * 1000, now)
        self._acknowledge_number += 1
        self._effects.append(
            Acknowledge(self._acknowledge_number, pushed, self._fetching.held_back(ack.cursor), ack.head)
        )

    def _on_audit_ranges(self, ranges: Ranges, now: int) -> None:
        if self._audit is None:
            raise ProtocolViolation("ranges came without an audit")
        self._came(_AUDITS)
        turn = self._audit.receive(ranges)
        if turn is not None:
            self._send(turn)
        if self._audit.done:
            differences, self._audit = self._audit.differences, None
            self._effects.append(Audited(differences))

    def _on_checked(self, checked: Checked, now: int) -> None:
        if self._checking.pop(checked.number, None) != tuple(entry.record for entry in checked.entries):
            raise ProtocolViolation("an answer came to a check that was not sent, or of other records")
        self._came(_CHECKS)
        self._effects.append(CheckArrived(checked))

    def _on_receipt(self, receipt: Receipt, now: int) -> None:
        self._came(_RECEIPTS)
        self._receipts = max(0, self._receipts - 1)
        self._effects.append(ReceiptArrived(receipt))

    def _on_noted(self, noted: Noted, now: int) -> None:
        if not self._report_asked or noted.number != self._report_number:
            raise ProtocolViolation("reports were noted that were not told")
        self._came(_NOTES)
        self._report_asked = False
        self._effects.append(ReportsNoted(self._reported))

    def _on_new_token(self, message: NewToken, now: int) -> None:
        self._effects.append(TokenCame(message.token))

    def _on_pong(self, message: Pong, now: int) -> None:
        if self._telling.answered(message.number):
            self._came(_READS)
            self._tell_on()

    # --- parts -----------------------------------------------------------------------------------------------

    def _integrate(
        self,
        entries: tuple[UpdatesEntry, ...],
        cursor: Place | None,
        head: Place,
        owe: bool = False,
        unserved: Collection[str] = (),
    ) -> None:
        self._effects.append(self._fetching.integrate(entries, cursor, head, owe, unserved))

    def _ask_again(self, records: Sequence[str]) -> None:
        """Ask for what could not be integrated when it came. Where digests are compared, it differs by them."""
        for each in self._fetching.ask_beyond((record, self._source.state_vector(record)) for record in records):
            self._send(each)

    def _tell(self, message: Message) -> None:
        """See `Session._tell`: now or later."""
        self._telling.tell(message)
        self._tell_on()

    def _tell_on(self) -> None:
        for each in self._telling.next():
            self._send(each)
        if self._telling.asks:
            self._telling.asked(self._ping())

    def _finish_catching_up(self) -> None:
        if self._fetching.ending and self.state is State.CATCHING_UP and self._fetching.idle:
            self._fetching.ending = False
            self.state = State.LIVE
            self._effects.append(CaughtUp())
            self.report()

    def _take(self, step: Step) -> None:
        """Carry out what the comparison comes to. Raises `ProtocolViolation`."""
        for each in step:
            if isinstance(each, Owe):
                self._effects.append(each)
            else:
                self._send(each)
        if self.state is State.COMPARING and self._comparing is not None and self._comparing.done:
            self.state = State.CATCHING_UP
