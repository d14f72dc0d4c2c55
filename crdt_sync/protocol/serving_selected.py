"""Serving where the user of a session may hold some records and not others: see the rules of `selecting`."""

from collections.abc import Callable, Iterable, Sequence

from crdt_sync import ids, limits
from crdt_sync.protocol import codec
from crdt_sync.protocol.entries import Behind, Place, Resumed
from crdt_sync.protocol.live_pages import LivePage, LivePages
from crdt_sync.protocol.marks import Veil
from crdt_sync.protocol.messages import (
    Changes,
    ChangesEntry,
    CheckedEntry,
    Dropped,
    PushEntry,
    Regranted,
    Standing,
    Updates,
)
from crdt_sync.protocol.selecting import Selected
from crdt_sync.protocol.serving import ServedSession, Serving, entries_of, within_frame
from crdt_sync.protocol.sight import Sight
from crdt_sync.protocol.source import NOT_HELD, AcceptorSource
from crdt_sync.protocol.states import State


class SelectedServing(Serving):
    """See the module. `followed` tells how far the log was looked at for those who may hold some records only. What the
    session sends goes through `veil`.
    """

    def __init__(
        self,
        session: ServedSession,
        source: AcceptorSource,
        live: LivePages,
        selected: Selected,
        followed: Callable[[], int],
        veil: Veil,
    ) -> None:
        super().__init__(session, source, live)
        self._selected = selected
        self._looked_at = followed
        self._veil = veil
        self._fed = False  # the end of the feed was reached, and is told after all pages
        self._pushed: dict[int, Sequence[str]] = {}  # the records of pushes that are not answered
        self._dropped_since: set[int] = set()  # pushes under way, of which records were dropped since they came
        self._asked: dict[int, tuple[str, ...]] = {}  # the records of each check, hidden ones too
        self._given: set[str] = set()  # companions of which it was told that they were sent

    # --- what it may hold ------------------------------------------------------------------------------------

    @property
    def sight(self) -> Sight:
        """What it may hold."""
        return self._selected.sight

    def may_hold(self, record: str) -> bool:
        """Whether a record is there, and may be held."""
        return self._selected.holds(record)

    def regrant(self, sight: Sight) -> bool:
        """The partner may hold something else from now on; whether the difference can be told within the session."""
        session = self._session
        if self.at_rest:
            self.wake(self.followed())
        if not self._selected.regrant(sight) or session.state is State.COMPARING:
            return False
        if session.follow:
            session.send(Regranted(self._selected.epoch, settled=False))
            self.catch_up()
        return True

    def number(self, place: Place) -> int | None:
        """See `Serving.number`: it is told marks, and before the first of them it stands nowhere."""
        return self._veil.read(place)

    # --- where it begins -------------------------------------------------------------------------------------

    @property
    def epoch(self) -> bytes:
        """The epoch in which cursors are told, which names its grants."""
        return self._selected.epoch

    def honours(self, resume: Resumed) -> bool:
        """Whether all that the partner knows is known here: the log, its grants, and what has left."""
        return self._selected.honours(resume)

    def resume(self, resume: Resumed) -> None:
        """The partner goes on where it was, which is honoured."""
        super().resume(resume)
        self._selected.resume(resume)

    def behind(self, cursor: int) -> Behind | None:
        """None: it would tell how much there is that is hidden."""
        return None

    def catch_up(self) -> None:
        """Read the feed from the cursor on, and what its grants changed."""
        super().catch_up()
        self.at_rest = self._fed = False
        self._selected.begin(self.cursor)

    # --- resting -------------------------------------------------------------------------------------------------

    def followed(self) -> int:
        """How far the log was looked at for it."""
        return self._looked_at()

    def wake(self, cursor: int) -> None:
        """Something that it is to be told lies behind `cursor`; before that there was nothing."""
        if self.at_rest:
            self.cursor, self.at_rest = max(self.cursor, cursor), False

    def _rest(self) -> None:
        self.at_rest = self._session.state is State.LIVE and self.cursor >= self.followed() and not self._later

    # --- what the partner pushes, wants and checks -----------------------------------------------------------

    def pushed(self, number: int, entries: Sequence[PushEntry]) -> tuple[frozenset[str], frozenset[str]]:
        """See `Serving.pushed`. What is not looked at for good is dropped."""
        takes = self._selected.takes
        records = sorted({record for record, _ in entries})
        hidden = frozenset([record for record in records if not takes(record)])
        unread: frozenset[str] = frozenset()
        if hidden:
            unread = frozenset(filter(self._selected.is_unread, hidden))
            # What they show may have been read since they were asked for.
            hidden = unread | frozenset([record for record in hidden - unread if not takes(record)])
            self._drop(sorted(hidden - unread))
            records = [record for record in records if record not in hidden]
        self._pushed[number] = records
        return hidden, unread

    def stored(self, number: int, seqs: Sequence[int]) -> None:
        """The push was decided and stored: what may not be held as it is now is dropped.

        Where something of it was dropped since it came, and may be held by now, it comes back like what others wrote.
        """
        self._drop([record for record in self._pushed.pop(number, ()) if self._selected.hides(record)])
        if seqs and self.at_rest:
            self.wake(self.followed())
        if number in self._dropped_since:
            self._dropped_since.discard(number)
        else:
            super().stored(number, seqs)

    def reached(self) -> int | None:
        """The cursor that an acknowledgement carries."""
        if self.at_rest:
            self.cursor = max(self.cursor, self.followed())
        return super().reached()

    def _skip_own(self) -> None:
        if self._session.state is State.LIVE and not self._session.follow:
            self._own.clear()

    def asked(self, number: int, records: tuple[str, ...]) -> tuple[str, ...]:
        """Records are to be checked; returns those that may be held."""
        self._asked[number] = records
        return tuple(record for record in records if self._selected.holds(record))

    def checked(self, number: int, entries: Sequence[CheckedEntry]) -> Sequence[CheckedEntry]:
        """What is told of them: one that is hidden is told of like one that is not there."""
        found = {entry.record: entry for entry in entries}
        self.wake(self.followed())
        return [
            found.get(record, CheckedEntry(record, b"", b"", Standing.ABSENT)) for record in self._asked.pop(number, ())
        ]

    def _refuse(self, record: str) -> None:
        self._drop([record])

    def _drop(self, records: Sequence[str]) -> None:
        """Tell that records may be held no more; what they stand for comes with a later cursor."""
        for start in range(0, len(records), limits.UPDATES_RECORDS_MAX):
            part = tuple(records[start : start + limits.UPDATES_RECORDS_MAX])
            self._session.send(Dropped(None, self._source.head(), part))
        if records and self._pushed:
            gone = frozenset(records)
            self._dropped_since.update(number for number, known in self._pushed.items() if not gone.isdisjoint(known))

    # --- the feed and the log --------------------------------------------------------------------------------

    def _feed_goes_on(self) -> bool:
        return len(self._pages) < limits.PAGES_IN_FLIGHT_MAX if not self._fed else not self._pages

    def serve_feed(self, most: int) -> int:
        """Tell the next of what is dropped, and of what may be held."""
        selected = self._selected
        step = selected.next(self.cursor, limits.PAGE_RECORDS_MAX)
        self._drop(step.dropped)
        listed = within_frame(step.listed, min(most, limits.FRAME_BYTES_MAX // 2))
        cut = len(listed) < len(step.listed)
        if cut:
            selected.put_back(step.listed[len(listed) :], step.cursor)
        self._fed = step.ended
        if step.ended:
            if self._pages:
                return 0
            if selected.differs:
                selected.settle()
                self._session.send(Regranted(selected.epoch, settled=True))
            self._page += 1
            self._own = {seq for seq in self._own if seq > step.cursor}
            self.cursor, self._session.state = step.cursor, State.LIVE
            told = self._true(step.cursor)
            self._first_end = told if self._first_end is None else self._first_end
            self._rest()
            return self._session.send(Changes(self._page, told, ()))
        self.cursor = self.cursor if cut else step.cursor
        if not listed:
            return limits.READ_RECORD_BYTES
        self._page += 1
        self._pages[self._page] = self.cursor
        entries = tuple(ChangesEntry(entry.record, entry.seq, entry.state_vector) for entry in listed)
        return self._session.send(Changes(self._page, self.cursor, entries))

    def _serve_log(self, now: int, most: int) -> int:
        selected = self._selected
        behind = self._source.head() - self.cursor
        page = (
            self._live.after(self.cursor, min(self._pace.frame, most)) if behind <= limits.FOLLOW_ENTRIES_MAX else None
        )
        if page is None:
            self.catch_up()
            return 0
        if page.update_bytes > most:
            self._lacking = page.update_bytes
            return 0
        picked = selected.pick(page, self.cursor, self._own)
        self._own.difference_update(range(self.cursor + 1, page.cursor + 1))
        self._drop(picked.dropped)
        size = self._send_whole(picked.whole, now)
        self.cursor = page.cursor
        self._rest()
        if self._passed_over or not picked.updates:
            if picked.dropped or picked.whole:
                self._session.send(Updates(0, self._true(page.cursor), page.cursor, True, ()))
        else:
            self._told = page.cursor
            self._watch(page.updates[place].record for place in picked.updates)
            veil = self._veil
            entries = page.part(picked.updates)
            frame = codec.encode_live(veil.cursor(page.cursor), veil.head(page.cursor), entries)
            self._count_sent(sum(len(page.updates[place].update) for place in picked.updates), now)
            self._session.send_frame(frame)
            size += len(frame)
        return max(size, 1)

    def _send_whole(self, records: Sequence[str], now: int) -> int:
        """Records that the partner comes to hold, each in a frame of its own."""
        size = 0
        for record in records:
            diff = self._source.diff(record, NOT_HELD)
            if not self._selected.holds(record):
                continue  # it has left while it was read
            if diff is None:
                self._passed_over = True
                continue
            for entry in entries_of(record, diff):
                size += self._send_updates(
                    Updates(0, self._told, max(self._source.head(), diff.seq), True, (entry,)), now
                )
        return size

    def _send_updates(self, updates: Updates, now: int) -> int:
        self._watch(entry.record for entry in updates.entries)
        return super()._send_updates(updates, now)

    def _watch(self, records: Iterable[str]) -> None:
        """Have it told that companions are sent of which the policy asks that, once in the session."""
        watched = self._selected.watched
        if not watched:
            return
        found = [each for each in records if ids.collection_of(each) in watched and each not in self._given]
        if found:
            if len(self._given) >= limits.GIVEN_KEPT_MAX:
                self._given.clear()
            self._given.update(found)
            self._session.gave(found)

    def tell(self, page: LivePage, now: int) -> bool:
        """False: what it may hold of a page is picked for it alone."""
        return False
