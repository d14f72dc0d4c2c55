"""The accepting end of a session: serves the feed, follows the log, takes pushes.

Rules and invariants:

1. A cursor is sent only after everything that it stands for: after the answer to every want of its page, and
   after every update up to it; where digests are compared, after the answers for all that differs. So whatever
   cursor the partner stored, nothing at or below it is missing there. Where a record cannot be read, the rest is
   served without it, and the cursor stays where it was: the partner asks for all of it again in another session.
2. There is no queue of live updates. A session is a cursor over the log and reads on when its link has room; a
   slow partner costs nothing but its place, and one too far behind, or behind a compaction, reads the feed again.
3. Updates are not sent back to the session that pushed them. Sessions, not replicas: two copies of one device
   share a replica id and must still hear each other.
4. Acknowledgements leave only through `accepted`, which the host calls after the disk sync.
5. The answer to a check is sent after every update up to the state that it speaks of, so that the partner compares
   it with a state of its own that lacks nothing of it.
6. Whatever tells the partner something of what is held here names a head of the log after which it is not: each
   answer, each acknowledgement, and each cursor, which comes after what was compared. A partner that comes back is
   believed only if the log that was served then is the one that is here now, up to the highest head that it was told.
   Else, what it has, and what it believes that is here, may come from a history that was lost.

What is taken, the comparison, and what of all records the partner may hold, are objects with rules of their own: see
`taking`, `compared`, `auditing` and `selecting`.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from crdt_sync import limits
from crdt_sync.errors import ProtocolViolation, UpdateRefused
from crdt_sync.protocol.auditing import AuditRun
from crdt_sync.protocol.compared import Compared
from crdt_sync.protocol.effects import Accept, CheckRecords, Compare, Greeted, Holds, PinDigests, ReadReceipt, Send
from crdt_sync.protocol.live_pages import LivePage, LivePages, live_updates
from crdt_sync.protocol.messages import (
    DONE,
    MODE_CHANGES,
    MODE_RECONCILE,
    PAGE_COMPARED,
    Ack,
    Audit,
    Bye,
    Changes,
    ChangesEntry,
    Check,
    Checked,
    CheckedEntry,
    Dropped,
    Have,
    Hello,
    Message,
    NewToken,
    Push,
    Ranges,
    Receipt,
    ReceiptRequest,
    Regranted,
    Resume,
    Said,
    Standing,
    Terms,
    Updates,
    UpdatesEntry,
    Verdict,
    Want,
    WantEntry,
    Welcome,
)
from crdt_sync.protocol.pace import Pace
from crdt_sync.protocol.principal import Principal
from crdt_sync.protocol.reconcile import View
from crdt_sync.protocol.selecting import Selected
from crdt_sync.protocol.session import Awaited, Session
from crdt_sync.protocol.sight import Sight, Sights
from crdt_sync.protocol.source import NOT_HELD, AcceptorSource, Change, Diff
from crdt_sync.protocol.states import ACCEPTOR_MOVES, ACCEPTOR_TABLE, Move, State, Table
from crdt_sync.protocol.taking import Taking
from crdt_sync.protocol.terms import shared_features, terms_of
from crdt_sync.protocol.versions import LINEAGE, PEOPLE, TERMS, VERSIONS

_STORES = "stored nothing of what was sent"
_ASKS = "asked for nothing of what was told"
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


@dataclass(slots=True)
class _Answer:
    """The answer to one want, served piece by piece as the link has room."""

    page: int
    cursor: int | None
    entries: deque[WantEntry]
    size: int = 0  # of the next, or of its next part, if that is known
    begun: tuple[int, int] = (0, 0)  # how many parts of the next were sent, and of what of its sequence numbers


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
        self.selected: Selected | None = None  # where it may hold some records and not others
        self.at_rest = False  # nothing that it is to be told lies between its cursor and what may be followed
        self._live = live or LivePages(source)
        self._authorise = authorise
        self._wall_clock = wall_clock
        self.partner = b""
        self.principal: Principal | None = None  # once hello was accepted
        self.follow = False
        self._agreed = True  # nothing is taken before the partner's terms, where its version has them
        self.cursor = 0  # everything up to here was sent, or is promised by pages in flight
        self._page = 0
        self._told = 0  # the cursor that the partner has
        self._held = 0  # up to there all is on the partner's disk, as it said
        self._first_end: int | None = None  # the cursor told with the first end of the feed
        self._passed_over = False  # something could not be read: no later cursor would be true
        self._pages: dict[int, int] = {}  # page number -> cursor that its answer ends with
        self._answers: deque[_Answer] = deque()
        self._taking = Taking()
        self._lacking = 0  # bytes that what is next takes, where that was more than there were
        self._sent = 0
        self._confirmed = 0
        self._pace = Pace()  # of updates: how large their frames may be; what may be unconfirmed is fixed
        self._compared = Compared()
        self._audit: AuditRun | None = None
        self._pushed: dict[int, Sequence[str]] = {}  # with a selection: the records of pushes that are not answered
        self._fed = False  # with a selection: the end of the feed was reached, and is told after all pages
        self._asked_checks: dict[int, tuple[str, ...]] = {}  # with a selection: the records of each, hidden ones too
        self._checks = 0  # that the host was asked for, or that wait in `_checked`
        self._checked: deque[tuple[int, Checked]] = deque()  # with the head that must be told before

    # --- what the host asks ----------------------------------------------------------------------------------

    @property
    def congested(self) -> bool:
        """Whether the host must stop reading from the partner until pushes were answered."""
        return self._taking.congested

    @property
    def wants_room(self) -> bool:
        """Whether `fill` has, or may have, something to send."""
        if self.state in {State.GREETING, State.CLOSED} or not self._may_send():
            return False
        if self._answers:
            return True
        if self.state is State.LIVE:
            return self._agreed and self.follow and not self.at_rest and self.cursor < self._followed()
        if self.state is State.CATCHING_UP:
            if self.selected is not None:
                return len(self._pages) < limits.PAGES_IN_FLIGHT_MAX if not self._fed else not self._pages
            # The end is told only after the answers to all pages before it.
            behind = self.cursor < self._source.head()
            return len(self._pages) < limits.PAGES_IN_FLIGHT_MAX if behind else not self._pages
        return False

    def fill(self, room: int, now: int, most: int = limits.FRAME_BYTES_MAX) -> int:
        """Send what is waiting, at most about `room` bytes. Call it when the link has room and after commits.

        Each frame has about `most` bytes. Where what is next cannot be had in so few, it is left, and this returns how
        many it takes; otherwise 0.
        """
        self._lacking = 0
        while room > 0 and not self._lacking and self.wants_room:
            if self._answers:
                try:
                    room -= self._serve_answer(now, most)
                except UpdateRefused as refused:
                    self.close(ProtocolViolation.code, f"want: {refused.message}", now)
            elif self.selected is not None:
                room -= self._serve_selected(self.selected, now, most)
            elif self.state is State.CATCHING_UP:
                room -= self._serve_changes(most)
            else:
                room -= self._serve_log(now, most)
        self._release_checked()
        return self._lacking

    def lacks(self, followed: int) -> bool:
        """Whether `fill` may have something to send, where followers may read up to `followed`."""
        if self.state is State.LIVE and not self._answers:
            return self.cursor < followed and self._may_send()
        return self.wants_room

    def tell(self, page: LivePage, now: int) -> bool:
        """Count `page` as sent, where it is what `fill` would send next, and all of it; the host sends its frame.

        False where it is not, or where something else is to be sent as well: then `fill` sends what there is. The page
        follows the cursor, and nothing that may be followed follows the page.
        """
        if (
            self.state is not State.LIVE
            or self._answers
            or self._checked
            or self._passed_over
            or self._taking.own
            or self.selected is not None
            or LINEAGE not in self.features
            or not (self._agreed and self.follow)
            or self._sent - self._confirmed >= limits.UNCONFIRMED_BYTES_MAX
            or not self._pace.carries(page.update_bytes)
        ):
            return False
        self.cursor = self._told = page.cursor
        self._sent += page.update_bytes
        self._pace.sent(page.update_bytes, now)
        return True

    # --- answers of the host ---------------------------------------------------------------------------------

    def accepted(self, number: int, verdicts: Sequence[Verdict], seqs: Sequence[int], now: int) -> None:
        """The push `number` was decided and stored; `seqs` are the log's numbers for it.

        The acknowledgement leaves with `acknowledge`, so that several pushes share a frame.
        """
        if self.closed:
            return
        self._taking.answered(number, verdicts)
        if self.selected is not None:
            self._drop([record for record in self._pushed.pop(number, ()) if self.selected.hides(record)])
            if seqs and self.at_rest:
                self.wake(self._followed())
        own, cursor = self._taking.own, self.cursor
        for seq in seqs:
            if seq > cursor:
                own.add(seq)

    def acknowledge(self, now: int) -> None:
        """Acknowledge all pushes answered since the last time, in as few frames as they fit."""
        answers = list(self._taking.acknowledgements())
        if self.closed or not answers:
            return
        self._skip_own()
        self._release_checked()
        if self.at_rest:
            self.cursor = max(self.cursor, self._followed())
        cursor = self._true(self.cursor) if self.state is State.LIVE and self.follow else None
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
        if (asked := self._asked_checks.pop(number, None)) is not None:
            found = {entry.record: entry for entry in entries}
            entries = [found.get(record, CheckedEntry(record, b"", b"", Standing.ABSENT)) for record in asked]
            self.wake(self._followed())
        self._checked.append((head, Checked(number, tuple(entries))))
        self._release_checked()

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
        resumable = hello.count == 0 if hello.resume is None else self._honours(hello.resume)
        mode = MODE_CHANGES if resumable or not hello.follow else MODE_RECONCILE
        if self.selected is not None and hello.resume is not None and resumable:
            self.selected.resume(hello.resume)
        epoch = self._source.epoch if self.selected is None else self.selected.epoch
        cursor = hello.resume.cursor if hello.resume else 0
        catching_up = hello.follow and mode == MODE_CHANGES
        self._send(
            Welcome(
                version,
                self._source.replica,
                self._wall_clock(),
                epoch,
                head,
                mode,
                limits.FRAME_BYTES_MAX,
                self._source.behind(cursor) if catching_up and self.selected is None else None,
            )
        )
        self.version = version
        if version >= TERMS:
            self._agreed = False
            self._send(terms_of(self._source.space, self._source.replica))
        honoured = hello.resume is not None and resumable
        self._held = cursor if honoured else 0
        self._effects.append(Greeted(hello.replica, hello.agent, self._held))
        if not hello.follow:
            self.state = State.LIVE
        elif mode == MODE_RECONCILE:
            self.cursor = head  # the view is pinned later: what comes between is told twice, and nothing is missed
            self._page = PAGE_COMPARED
            self.state = State.COMPARING
            self._effects.append(Compare())
        else:
            self.cursor = self._told = cursor
            self._catch_up()
            # With the welcome, so that nothing changed costs one round trip.
            if self.selected is None:
                self._serve_changes(limits.FRAME_BYTES_TARGET)
            else:
                self._serve_selected(self.selected, now, limits.FRAME_BYTES_TARGET)

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
        self.selected = Selected(self._source, self._sights, principal, sight)
        return True

    def _catch_up(self) -> None:
        """Read the feed from the cursor on."""
        self.state = State.CATCHING_UP
        self.at_rest = False
        if self.selected is not None:
            self._fed = False
            self.selected.begin(self.cursor)

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
        if self._agreed:
            raise ProtocolViolation("terms came twice")
        if terms.joined and not self._source.space.joined:
            self._source.join(terms.space)
        self.features = shared_features(terms.features)
        self._agreed = True

    def _allowed(self, message: Message) -> bool:
        return self._agreed or isinstance(message, Terms | Bye)

    def _honours(self, resume: Resume) -> bool:
        """Whether all that the partner knows of the log is in it. See the sixth rule."""
        if self.selected is not None:
            return self.selected.honours(resume)
        reach = self._source.reach(resume.epoch)
        return reach is not None and max(resume.cursor, resume.head) <= reach

    def _on_want(self, want: Want, now: int) -> None:
        self._came(_ASKS)
        self._came(_COMPARES)
        _once_each("want", [entry.record for entry in want.entries])
        waiting = sum(len(entry.state_vector) for answer in self._answers for entry in answer.entries)
        if waiting > limits.WANTED_BYTES_MAX:
            raise ProtocolViolation("too much is wanted at once", "Wait for the answers.")
        if want.page == 0:
            if sum(answer.page == 0 for answer in self._answers) >= limits.PUSHES_IN_FLIGHT_MAX:
                raise ProtocolViolation("too many wants without a page", "Wait for the answers.")
            self._answers.append(_Answer(0, None, deque(want.entries)))
            return
        if want.page == PAGE_COMPARED and self.state is State.COMPARING:
            self._want_compared(want)
            return
        if want.page not in self._pages:
            raise ProtocolViolation(f"page {want.page} was not sent, or was answered already")
        self._answers.append(_Answer(want.page, self._pages.pop(want.page), deque(want.entries)))

    def _on_ranges(self, ranges: Ranges, now: int) -> None:
        self._came(_COMPARES)
        self._go_on_comparing(self._compared.receive(ranges))

    def _on_have(self, have: Have, now: int) -> None:
        if not self._confirmed <= have.received <= self._sent:
            raise ProtocolViolation("more bytes were confirmed than sent")
        self._came(_STORES)
        self._pace.answered(have.received - self._confirmed, now)
        self._confirmed = have.received
        self._note_held(have.cursor)

    def _on_bye(self, message: Bye, now: int) -> None:
        if message.code == DONE and self._first_end is not None:  # it has stored all that was told before the first end
            self._note_held(self._first_end)
        super()._on_bye(message, now)

    def _note_held(self, cursor: int) -> None:
        """The partner says that it has everything up to there on its disk: believed as far as it was told."""
        cursor = min(cursor, self._told)
        if cursor > self._held:
            self._held = cursor
            self._effects.append(Holds(cursor))

    def _on_push(self, push: Push, now: int) -> None:
        self._taking.take(push)
        hidden = frozenset[str]()
        if self.selected is not None:
            records = {record for record, _ in push.entries}
            hidden = frozenset(record for record in records if not self.selected.takes(record))
            self._drop(sorted(hidden))
            self._pushed[push.number] = sorted(records - hidden)
        self._effects.append(Accept(push.number, push.entries, hidden))

    def _on_receipt_request(self, request: ReceiptRequest, now: int) -> None:
        self._effects.append(ReadReceipt(request.number))

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
        if self._checks >= limits.CHECKS_IN_FLIGHT_MAX:
            raise ProtocolViolation("too many checks without waiting for answers")
        _once_each("check", check.records)
        self._checks += 1
        records = check.records
        if self.selected is not None:
            self._asked_checks[check.number] = records
            records = tuple(record for record in records if self.selected.holds(record))
        self._effects.append(CheckRecords(check.number, records, check.mend))

    # --- time ------------------------------------------------------------------------------------------------

    def _awaited(self) -> Iterator[Awaited]:
        """See `Session._awaited`: how fast a device stores is its own affair, as long as it goes on."""
        if self._sent > self._confirmed:
            yield Awaited(_STORES, limits.WORK_US_MAX + self._pace.time_us(self._sent - self._confirmed))
        if self._pages:
            yield Awaited(_ASKS, limits.WORK_US_MAX)
        if self.state is State.COMPARING and self._compared.begun:
            yield Awaited(_COMPARES, limits.WORK_US_MAX)

    # --- auditing --------------------------------------------------------------------------------------------

    def _go_on_auditing(self, audit: AuditRun, turn: Ranges | None) -> None:
        """Make our turn, and let the view go as soon as the audit is over."""
        if turn is not None:
            self._send(turn)
        if audit.done:
            self._audit = None

    def _release_checked(self) -> None:
        """Send the answers to checks before which nothing needs to be told any more."""
        while self._checked and not self.closed and (not self.follow or self.cursor >= self._checked[0][0]):
            self._checks -= 1
            self._send(self._checked.popleft()[1])

    # --- comparing -------------------------------------------------------------------------------------------

    def _go_on_comparing(self, turn: Ranges | None) -> None:
        """Make our turn, if there is one."""
        if turn is not None:
            self._send(turn)
        self._finish_comparing()

    def _want_compared(self, want: Want) -> None:
        waiting = sum(answer.page == PAGE_COMPARED for answer in self._answers)
        self._compared.wanted(len(want.entries), waiting)
        self._answers.append(_Answer(PAGE_COMPARED, None, deque(want.entries)))
        self._finish_comparing()

    def _finish_comparing(self) -> None:
        if self._compared.done:
            self._compared = Compared()  # and let the view go
            self._catch_up()

    # --- serving ---------------------------------------------------------------------------------------------

    def _may_send(self) -> bool:
        return self._sent - self._confirmed < limits.UNCONFIRMED_BYTES_MAX

    def _serve_changes(self, most: int = limits.FRAME_BYTES_MAX) -> int:
        """Send the next page of the feed; an empty page says that the partner is up to date."""
        head = self._source.head()  # before the feed: what is committed between the two is told next
        entries = _within_frame(
            self._source.feed(self.cursor, limits.PAGE_RECORDS_MAX), min(most, limits.FRAME_BYTES_MAX // 2)
        )
        if entries and len(entries[0].state_vector) > most:
            self._lacking = len(entries[0].state_vector)
            return 0
        self.cursor = entries[-1].seq if entries else max(self.cursor, head)
        if not entries and self._pages:  # what was newest was set aside: the end waits for the answers all the same
            return 0
        self._page += 1
        if entries:
            self._pages[self._page] = self.cursor
        else:
            self._taking.own = {seq for seq in self._taking.own if seq > self.cursor}
            self.state = State.LIVE
        listed = tuple(ChangesEntry(entry.record, entry.seq, entry.state_vector) for entry in entries)
        if listed:
            return self._send(Changes(self._page, self.cursor, listed))
        told = self._true(self.cursor)
        self._first_end = told if self._first_end is None else self._first_end
        return self._send(Changes(self._page, told, ()))

    def _serve_answer(self, now: int, most: int) -> int:
        """Go on with the oldest answer, with a frame at most. Its last frame carries the page's cursor.

        A partner that has everything makes much work for no bytes, so what is read for it is bounded, too.
        """
        answer = self._answers[0]
        entries: list[UpdatesEntry] = []
        if answer.size > most:
            self._lacking = answer.size
            return 0
        size, read, newest = 0, 0, self._source.head()
        while answer.entries and size < min(self._pace.frame, most) and read < limits.READ_BYTES_TARGET:
            wanted = answer.entries[0]
            if self.selected is not None and not self.selected.holds(wanted.record):
                self._drop([wanted.record])
                read += limits.READ_RECORD_BYTES
                answer.begun, answer.size = (0, 0), 0
                answer.entries.popleft()
                continue
            withheld = self._withholds(wanted.record)
            diff = None if withheld else self._source.diff(wanted.record, wanted.state_vector)
            read += max(limits.READ_RECORD_BYTES, diff.read if diff is not None else 0)
            if self.selected is not None and not self.selected.holds(wanted.record):
                continue  # it has left while it was read
            if diff is None:
                self._passed_over = True
            else:
                told = _told(wanted.record, diff)
                sent = answer.begun[0] if answer.begun[1] == diff.seq else 0
                addition = len(told[sent].update) + len(told[sent].state_vector)
                if addition > most:
                    answer.size = addition  # which is not read again before there is room for it
                    break
                if entries and size + addition > limits.FRAME_BYTES_MAX // 2:
                    break
                entries.append(told[sent])
                size += addition
                newest = max(newest, diff.seq)  # a commit can be read a moment before the head tells of it
                answer.size = 0
                if sent + 1 < len(told):
                    answer.begun = sent + 1, diff.seq
                    continue
            answer.begun, answer.size = (0, 0), 0
            answer.entries.popleft()
        last = not answer.entries
        if last:
            self._answers.popleft()
        elif not entries:
            self._lacking = answer.size if answer.size > most else 0
            return read
        cursor = self._true(answer.cursor) if last and answer.cursor is not None else None
        return self._send_updates(Updates(answer.page, cursor, newest, last, tuple(entries)), now)

    def _serve_log(self, now: int, most: int) -> int:
        """Send the next committed updates, or go back to the feed when they are too many or compacted away."""
        self._skip_own()
        behind = self._source.head() - self.cursor
        wanted = min(self._pace.frame, most)
        page = self._live.after(self.cursor, wanted) if behind <= limits.FOLLOW_ENTRIES_MAX else None
        if page is None:
            self.state = State.CATCHING_UP
            return 0
        if page.update_bytes > most:
            self._lacking = page.update_bytes
            return 0
        own = self._taking.own
        self.cursor = page.cursor
        if LINEAGE in self.features and not self._passed_over and not own:
            self._told = page.cursor
            self._count_sent(page.update_bytes, now)
            self._effects.append(Send(page.frame))
            return len(page.frame)
        lacking = []
        for update in page.updates:
            if update.seq in own:
                own.discard(update.seq)
            elif self._withholds(update.record):
                self._passed_over = True
            else:
                lacking.append(update)
        return self._send_updates(live_updates(lacking, self._true(page.cursor), page.cursor), now) if lacking else 0

    # --- serving what may be held -----------------------------------------------------------------------------

    def _followed(self) -> int:
        """How far it may read in the log; who may hold some records only is told how far that was looked at."""
        return self._source.followed() if self.selected is None else self._followed_by_some()

    def wake(self, cursor: int) -> None:
        """Something that it is to be told lies behind `cursor`; before that there was nothing."""
        if self.at_rest:
            self.cursor, self.at_rest = max(self.cursor, cursor), False

    def _rest(self) -> None:
        self.at_rest = self.state is State.LIVE and self.cursor >= self._followed() and not self._checked

    def regrant(self, sight: Sight, now: int) -> None:
        """The partner may hold something else from now on: the difference is told, within the session if it may be."""
        if self.closed or self.selected is None:
            return
        if self.at_rest:
            self.wake(self._followed())
        if not self.selected.regrant(sight) or self.state is State.COMPARING:
            self.close("regranted", "what this device may hold has changed", now, retry_after_us=0)
            return
        if self.follow:
            self._send(Regranted(self.selected.epoch, settled=False))
            self._catch_up()

    def _drop(self, records: Sequence[str]) -> None:
        """Tell that records may be held no more; what they stand for comes with a later cursor."""
        for start in range(0, len(records), limits.UPDATES_RECORDS_MAX):
            part = tuple(records[start : start + limits.UPDATES_RECORDS_MAX])
            self._send(Dropped(None, self._source.head(), part))

    def _serve_selected(self, selected: Selected, now: int, most: int) -> int:
        if self.state is State.CATCHING_UP:
            return self._serve_feed(selected, most)
        behind = self._source.head() - self.cursor
        page = (
            self._live.after(self.cursor, min(self._pace.frame, most)) if behind <= limits.FOLLOW_ENTRIES_MAX else None
        )
        if page is None:
            self._catch_up()
            return 0
        if page.update_bytes > most:
            self._lacking = page.update_bytes
            return 0
        picked = selected.pick(page, self.cursor, self._taking.own)
        self._taking.own.difference_update(range(self.cursor + 1, page.cursor + 1))
        self._drop(picked.dropped)
        size = self._send_whole(selected, picked.whole, now)
        self.cursor = page.cursor
        self._rest()
        if self._passed_over or not picked.updates:
            if picked.dropped or picked.whole:
                self._send(Updates(0, self._true(page.cursor), page.cursor, True, ()))
        else:
            self._told = page.cursor
            frame = page.part(picked.updates)
            self._count_sent(sum(len(page.updates[place].update) for place in picked.updates), now)
            self._effects.append(Send(frame))
            size += len(frame)
        return max(size, 1)

    def _send_whole(self, selected: Selected, records: Sequence[str], now: int) -> int:
        """Records that the partner comes to hold, each in a frame of its own."""
        size = 0
        for record in records:
            diff = self._source.diff(record, NOT_HELD)
            if not selected.holds(record):
                continue  # it has left while it was read
            if diff is None:
                self._passed_over = True
                continue
            for entry in _told(record, diff):
                size += self._send_updates(
                    Updates(0, self._told, max(self._source.head(), diff.seq), True, (entry,)), now
                )
        return size

    def _serve_feed(self, selected: Selected, most: int) -> int:
        step = selected.next(self.cursor, limits.PAGE_RECORDS_MAX)
        self._drop(step.dropped)
        listed = _within_frame(step.listed, min(most, limits.FRAME_BYTES_MAX // 2))
        cut = len(listed) < len(step.listed)
        if cut:
            selected.put_back(step.listed[len(listed) :], step.cursor)
        self._fed = step.ended
        if step.ended:
            if self._pages:
                return 0
            if selected.differs:
                selected.settle()
                self._send(Regranted(selected.epoch, settled=True))
            self._page += 1
            self._taking.own = {seq for seq in self._taking.own if seq > step.cursor}
            self.cursor, self.state = step.cursor, State.LIVE
            told = self._true(step.cursor)
            self._first_end = told if self._first_end is None else self._first_end
            self._rest()
            return self._send(Changes(self._page, told, ()))
        self.cursor = self.cursor if cut else step.cursor
        if not listed:
            return limits.READ_RECORD_BYTES
        self._page += 1
        self._pages[self._page] = self.cursor
        entries = tuple(ChangesEntry(entry.record, entry.seq, entry.state_vector) for entry in listed)
        return self._send(Changes(self._page, self.cursor, entries))

    def _withholds(self, record: str) -> bool:
        """Whether the partner would take a renewed record for more of the old one, and show all of it twice."""
        return LINEAGE not in self.features and self._source.is_renewed(record)

    def _true(self, cursor: int) -> int:
        """`cursor`, now told, or the last one that was, where a record was passed over since."""
        if not self._passed_over:
            self._told = cursor
        return self._told

    def _send_updates(self, updates: Updates, now: int) -> int:
        self._count_sent(sum(len(entry.update) for entry in updates.entries), now)
        return self._send(updates)

    def _count_sent(self, size: int, now: int) -> None:
        self._sent += size
        self._pace.sent(size, now)

    def _skip_own(self) -> None:
        """Let the cursor pass what this session pushed itself, so that its acknowledgement can carry it on."""
        own = self._taking.own
        if self.state is not State.LIVE:
            return
        while self.cursor + 1 in own and self.selected is None:
            self.cursor += 1
            own.discard(self.cursor)
        if not self.follow:
            own.clear()


def _once_each(message: str, records: Sequence[str]) -> None:
    """Whoever answers reads each record: naming one again costs the partner nothing."""
    if len(frozenset(records)) != len(records):
        raise ProtocolViolation(f"a {message} names a record twice")


def _told(record: str, diff: Diff) -> Sequence[UpdatesEntry]:
    """What is sent of a record: the state vector comes with the last of it, as it is held only then."""
    *parts, last = diff.parts or (diff.update,)
    return [*(UpdatesEntry(record, part, b"") for part in parts), UpdatesEntry(record, last, diff.state_vector)]


def _within_frame(entries: Sequence[Change], bytes_max: int) -> Sequence[Change]:
    """As many entries as fit, at least one: a record of many writers has a long state vector."""
    size = 0
    for position, entry in enumerate(entries):
        size += len(entry.record) + len(entry.state_vector)
        if position and size > bytes_max:
            return entries[:position]
    return entries
