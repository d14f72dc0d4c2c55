"""What an accepting session tells of records: the feed, then the log as it goes on, and answers to wants.

Rules:

1. A cursor is sent only after everything that it stands for: after the answer to every want of its page, and after
   every update up to it. So whatever cursor the partner stored, nothing at or below it is missing there. Where a record
   cannot be read, the rest is served without it, and the cursor stays where it was: the partner asks for all of it
   again in another session.
2. There is no queue of live updates. A session is a cursor over the log and reads on when its link has room; a slow
   partner costs nothing but its place, and one too far behind, or behind a compaction, reads the feed again.
3. Updates are not sent back to the session that pushed them. Sessions, not replicas: two copies of one device share a
   replica id and must still hear each other.
4. What speaks of a state of the log is sent after every update up to it: see `after`.

This serves everything. Who may hold some records and not others is served by `serving_selected`.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from crdt_sync import limits
from crdt_sync.errors import ProtocolViolation, UpdateRefused
from crdt_sync.protocol.entries import Behind, Place, Resumed
from crdt_sync.protocol.live_pages import LivePage, LivePages, live_updates
from crdt_sync.protocol.messages import (
    PAGE_COMPARED,
    Changes,
    ChangesEntry,
    CheckedEntry,
    Message,
    PushEntry,
    Updates,
    UpdatesEntry,
    Want,
    WantEntry,
)
from crdt_sync.protocol.pace import Pace
from crdt_sync.protocol.session import Awaited
from crdt_sync.protocol.sight import Sight
from crdt_sync.protocol.source import AcceptorSource, Change, Diff
from crdt_sync.protocol.states import State
from crdt_sync.protocol.versions import LINEAGE

STORES = "stored nothing of what was sent"
ASKS = "asked for nothing of what was told"


class ServedSession(Protocol):
    """The session that is served: what is read and changed of it here."""

    state: State
    features: frozenset[str]
    agreed: bool  # on the terms
    follow: bool

    def send(self, message: Message) -> int:
        """Send a message; returns its bytes."""

    def send_frame(self, frame: bytes) -> None:
        """Send a message that is encoded already."""

    def gave(self, records: Sequence[str]) -> None:
        """These were sent, which somebody watches."""


class _Over:
    """In the place of a session that is over, which nothing keeps in memory then."""

    state = State.CLOSED
    features = frozenset[str]()
    agreed = follow = False

    def send(self, message: Message) -> int:
        return 0

    def send_frame(self, frame: bytes) -> None:
        pass

    def gave(self, records: Sequence[str]) -> None:
        pass


@dataclass(slots=True)
class _Answer:
    """The answer to one want, served piece by piece as the link has room."""

    page: int
    cursor: int | None
    entries: deque[WantEntry]
    size: int = 0  # of the next, or of its next part, if that is known
    begun: tuple[int, int] = (0, 0)  # how many parts of the next were sent, and of what of its sequence numbers


class Serving:
    """See the module. `cursor`: everything up to there was sent, or is promised by pages in flight."""

    at_rest = False  # nothing that it is to be told lies between its cursor and what may be followed

    def __init__(self, session: ServedSession, source: AcceptorSource, live: LivePages) -> None:
        self._session: ServedSession = session
        self._source = source
        self._live = live
        self.cursor = 0
        self._page = 0
        self._told = 0  # the cursor that the partner has
        self.held = 0  # up to there all is on the partner's disk, as it said
        self._first_end: int | None = None  # the cursor told with the first end of the feed
        self._passed_over = False  # something could not be read: no later cursor would be true
        self._pages: dict[int, int] = {}  # page number -> cursor that its answer ends with
        self._answers: deque[_Answer] = deque()
        self._own: set[int] = set()  # the log's numbers of what this session pushed, as far as they are ahead
        self._later: deque[tuple[int, Message]] = deque()  # with the head that must be told before
        self._lacking = 0  # bytes that what is next takes, where that was more than there were
        self._sent = 0
        self._confirmed = 0
        self._pace = Pace()  # of updates: how large their frames may be; what may be unconfirmed is fixed

    def end(self) -> None:
        """The session is over."""
        self._session = _Over()
        self._answers.clear()
        self._later.clear()

    # --- what it may hold ------------------------------------------------------------------------------------

    @property
    def sight(self) -> Sight | None:
        """What it may hold; None: all."""
        return None

    def may_hold(self, record: str) -> bool:
        """Whether a record may be told, if it is there."""
        return True

    def regrant(self, sight: Sight) -> bool:
        """It may hold something else from now on; whether the difference can be told within the session."""
        return False

    def number(self, place: Place) -> int | None:
        """The number of the log that the partner means; None for what it cannot have been told."""
        return place if isinstance(place, int) else None

    # --- where it begins -------------------------------------------------------------------------------------

    @property
    def epoch(self) -> bytes:
        """The epoch in which cursors are told."""
        return self._source.epoch

    def honours(self, resume: Resumed) -> bool:
        """Whether all that the partner knows of the log is in it."""
        reach = self._source.reach(resume.epoch)
        return reach is not None and max(resume.cursor, resume.head) <= reach

    def resume(self, resume: Resumed) -> None:
        """The partner goes on where it was, which is honoured."""
        self.held = resume.cursor

    def behind(self, cursor: int) -> Behind | None:
        """How much changed since, where that may be told."""
        return self._source.behind(cursor)

    def begin(self, cursor: int) -> None:
        """All up to there is with the partner, as it says: the rest of the feed is told."""
        self.cursor = self._told = cursor
        self.catch_up()

    def begin_compared(self, head: int) -> None:
        """Digests are compared first. What is committed before the view is pinned is told twice; nothing is missed."""
        self.cursor, self._page = head, PAGE_COMPARED

    def catch_up(self) -> None:
        """Read the feed from the cursor on."""
        self._session.state = State.CATCHING_UP

    # --- what the host asks ----------------------------------------------------------------------------------

    @property
    def wants_room(self) -> bool:
        """Whether `fill` has, or may have, something to send."""
        session = self._session
        if session.state in {State.GREETING, State.CLOSED} or not self._may_send():
            return False
        if self._answers:
            return True
        if session.state is State.LIVE:
            return session.agreed and session.follow and not self.at_rest and self.cursor < self.followed()
        return session.state is State.CATCHING_UP and self._feed_goes_on()

    def _feed_goes_on(self) -> bool:
        """Whether another page may be told; the end is, after the answers to all pages before it."""
        behind = self.cursor < self._source.head()
        return len(self._pages) < limits.PAGES_IN_FLIGHT_MAX if behind else not self._pages

    def fill(self, room: int, now: int, most: int = limits.FRAME_BYTES_MAX) -> int:
        """See `Acceptor.fill`. Raises `ProtocolViolation` for a want that is none."""
        self._lacking = 0
        while room > 0 and not self._lacking and self.wants_room:
            if self._answers:
                try:
                    room -= self._serve_answer(now, most)
                except UpdateRefused as refused:
                    raise ProtocolViolation(f"want: {refused.message}") from refused
            elif self._session.state is State.CATCHING_UP:
                room -= self.serve_feed(most)
            else:
                room -= self._serve_log(now, most)
        if self._later:
            self.release()
        return self._lacking

    def lacks(self, followed: int) -> bool:
        """Whether `fill` may have something to send, where followers may read up to `followed`."""
        if self._session.state is State.LIVE and not self._answers:
            return self.cursor < followed and self._may_send()
        return self.wants_room

    def tell(self, page: LivePage, now: int) -> bool:
        """Count `page` as sent, where it is what `fill` would send next, and all of it; the host sends its frame.

        False where it is not, or where something else is to be sent as well: then `fill` sends what there is. The page
        follows the cursor, and nothing that may be followed follows the page.
        """
        session = self._session
        if (
            session.state is not State.LIVE
            or self._answers
            or self._later
            or self._passed_over
            or self._own
            or LINEAGE not in session.features
            or not (session.agreed and session.follow)
            or self._sent - self._confirmed >= limits.UNCONFIRMED_BYTES_MAX
            or not self._pace.carries(page.update_bytes)
        ):
            return False
        self.cursor = self._told = page.cursor
        self._sent += page.update_bytes
        self._pace.sent(page.update_bytes, now)
        return True

    def followed(self) -> int:
        """How far it may read in the log."""
        return self._source.followed()

    # --- what the partner pushes -----------------------------------------------------------------------------

    def pushed(self, number: int, entries: Sequence[PushEntry]) -> tuple[frozenset[str], frozenset[str]]:
        """A push came; returns the records of it that are not looked at, and those of them of which nobody can tell now
        whether they may be held, as what they show is being read.
        """
        return frozenset(), frozenset()

    def stored(self, number: int, seqs: Sequence[int]) -> None:
        """The push was decided and stored; `seqs` are the log's numbers for it."""
        own, cursor = self._own, self.cursor
        for seq in seqs:
            if seq > cursor:
                own.add(seq)

    def reached(self) -> int | None:
        """The cursor that an acknowledgement carries: it passes what this session pushed itself."""
        self._skip_own()
        if self._later:
            self.release()
        return self._true(self.cursor) if self._session.state is State.LIVE and self._session.follow else None

    def _skip_own(self) -> None:
        own = self._own
        if self._session.state is not State.LIVE:
            return
        while self.cursor + 1 in own:
            self.cursor += 1
            own.discard(self.cursor)
        if not self._session.follow:
            own.clear()

    # --- what the partner asks and confirms ------------------------------------------------------------------

    def want(self, want: Want, *, compared: bool) -> None:
        """Records are wanted: `compared` ones, or of a page. Raises `ProtocolViolation`: too many, or no such page."""
        waiting = sum(len(entry.state_vector) for answer in self._answers for entry in answer.entries)
        if waiting > limits.WANTED_BYTES_MAX:
            raise ProtocolViolation("too much is wanted at once", "Wait for the answers.")
        cursor = None
        if want.page == 0:
            if self.waiting(0) >= limits.PUSHES_IN_FLIGHT_MAX:
                raise ProtocolViolation("too many wants without a page", "Wait for the answers.")
        elif not compared:
            if want.page not in self._pages:
                raise ProtocolViolation(f"page {want.page} was not sent, or was answered already")
            cursor = self._pages.pop(want.page)
        self._answers.append(_Answer(want.page, cursor, deque(want.entries)))

    def waiting(self, page: int) -> int:
        """How many wants of a page wait for their answers."""
        return sum(answer.page == page for answer in self._answers)

    def confirm(self, received: int, now: int) -> None:
        """So many bytes of updates are on the partner's disk. Raises `ProtocolViolation`."""
        if not self._confirmed <= received <= self._sent:
            raise ProtocolViolation("more bytes were confirmed than sent")
        self._pace.answered(received - self._confirmed, now)
        self._confirmed = received

    def holds(self, cursor: int | None) -> bool:
        """The partner has everything up to there on its disk, as it says; whether that is news.

        It is believed as far as it was told. None: all that was told before the first end of the feed.
        """
        cursor = self._first_end if cursor is None else min(cursor, self._told)
        if cursor is None or cursor <= self.held:
            return False
        self.held = cursor
        return True

    def awaited(self) -> Iterator[Awaited]:
        """What the partner owes: how fast a device stores is its own affair, as long as it goes on."""
        if self._sent > self._confirmed:
            yield Awaited(STORES, limits.WORK_US_MAX + self._pace.time_us(self._sent - self._confirmed))
        if self._pages:
            yield Awaited(ASKS, limits.WORK_US_MAX)

    # --- checks, and what comes after an update --------------------------------------------------------------

    def asked(self, number: int, records: tuple[str, ...]) -> tuple[str, ...]:
        """Records are to be checked; returns those that are looked at."""
        return records

    def checked(self, number: int, entries: Sequence[CheckedEntry]) -> Sequence[CheckedEntry]:
        """What is told of records that were to be checked, where this was found of those that were looked at."""
        return entries

    @property
    def later(self) -> int:
        """How many messages wait for updates that come before them."""
        return len(self._later)

    def after(self, head: int, message: Message) -> None:
        """Send that once every update up to `head` was."""
        self._later.append((head, message))
        self.release()

    def release(self) -> None:
        """Send what waits for nothing any more."""
        session = self._session
        while self._later and session.state is not State.CLOSED:
            if session.follow and self.cursor < self._later[0][0]:
                return
            session.send(self._later.popleft()[1])

    # --- the feed, the log, and answers ----------------------------------------------------------------------

    def serve_feed(self, most: int) -> int:
        """Send the next page of the feed; an empty page says that the partner is up to date."""
        head = self._source.head()  # before the feed: what is committed between the two is told next
        entries = within_frame(
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
            self._own = {seq for seq in self._own if seq > self.cursor}
            self._session.state = State.LIVE
        listed = tuple(ChangesEntry(entry.record, entry.seq, entry.state_vector) for entry in entries)
        if listed:
            return self._session.send(Changes(self._page, self.cursor, listed))
        told = self._true(self.cursor)
        self._first_end = told if self._first_end is None else self._first_end
        return self._session.send(Changes(self._page, told, ()))

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
            if not self.may_hold(wanted.record):
                self._refuse(wanted.record)
                read += limits.READ_RECORD_BYTES
                answer.begun, answer.size = (0, 0), 0
                answer.entries.popleft()
                continue
            withheld = self._withholds(wanted.record)
            diff = None if withheld else self._source.diff(wanted.record, wanted.state_vector)
            read += max(limits.READ_RECORD_BYTES, diff.read if diff is not None else 0)
            if not self.may_hold(wanted.record):
                continue  # it has left while it was read
            if diff is None:
                self._passed_over = True
            else:
                told = entries_of(wanted.record, diff)
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
            self.catch_up()
            return 0
        if page.update_bytes > most:
            self._lacking = page.update_bytes
            return 0
        own = self._own
        self.cursor = page.cursor
        if LINEAGE in self._session.features and not self._passed_over and not own:
            self._told = page.cursor
            self._count_sent(page.update_bytes, now)
            self._session.send_frame(page.frame)
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

    def _may_send(self) -> bool:
        return self._sent - self._confirmed < limits.UNCONFIRMED_BYTES_MAX

    def _withholds(self, record: str) -> bool:
        """Whether the partner would take a renewed record for more of the old one, and show all of it twice."""
        return LINEAGE not in self._session.features and self._source.is_renewed(record)

    def _true(self, cursor: int) -> int:
        """`cursor`, now told, or the last one that was, where a record was passed over since."""
        if not self._passed_over:
            self._told = cursor
        return self._told

    def _send_updates(self, updates: Updates, now: int) -> int:
        self._count_sent(sum(len(entry.update) for entry in updates.entries), now)
        return self._session.send(updates)

    def _count_sent(self, size: int, now: int) -> None:
        self._sent += size
        self._pace.sent(size, now)

    def _refuse(self, record: str) -> None:
        """A record was wanted that may not be held."""


def entries_of(record: str, diff: Diff) -> Sequence[UpdatesEntry]:
    """What is sent of a record: the state vector comes with the last of it, as it is held only then."""
    *parts, last = diff.parts or (diff.update,)
    return [*(UpdatesEntry(record, part, b"") for part in parts), UpdatesEntry(record, last, diff.state_vector)]


def within_frame(entries: Sequence[Change], bytes_max: int) -> Sequence[Change]:
    """As many entries as fit, at least one: a record of many writers has a long state vector."""
    size = 0
    for position, entry in enumerate(entries):
        size += len(entry.record) + len(entry.state_vector)
        if position and size > bytes_max:
            return entries[:position]
    return entries
