"""What a dialing session fetches: what is being stored, what is asked for again, and which cursor may be stored.

Rules:

1. A cursor is stored in the same commit as, or after, everything that it stands for. While an update could not
   be integrated for want of an earlier one (a gap), no cursor is stored until the repair has arrived.
2. Whatever the partner sends is handed to the host in order; the host commits in order.
3. What the partner told of, was asked for, and left out of its answer, it cannot read. The host hears of it: the rest
   is fetched, and nobody may take that for everything.
4. A gap is asked for by state vector, which closes it at once, unless new gaps keep arriving meanwhile. A partner that
   cannot close one, nor brings anything new of the record, is given up. What came before an answer that is on its way,
   or waits to be stored, is in that answer: it is not asked for once more. No more is asked for at once than a partner
   answers.
5. A partner tells no more pages of its feed ahead of their answers than are agreed, each once. A cursor of it stands
   for all that lies before, so none comes before the pages that do were answered, be it with a page, at the end of the
   feed, live, or with an acknowledgement: whoever stored it would never hear of the rest.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice

from crdt_sync import limits
from crdt_sync.errors import ProtocolViolation
from crdt_sync.protocol.effects import Integrate
from crdt_sync.protocol.marks import head_of
from crdt_sync.protocol.messages import Have, Place, Updates, UpdatesEntry, Want
from crdt_sync.protocol.wants import want_beyond

_HAVE_EVERY_BYTES = limits.UNCONFIRMED_BYTES_MAX // 16
_GAPS_MAX = 3  # of one record, one after the other, that brought nothing new of it


class Fetching:
    """See the module. `cursor_stored` is the newest cursor that is on disk."""

    def __init__(self, cursor: Place) -> None:
        self.cursor_stored = cursor
        self.ending = False  # the partner has told the end of its feed
        self.number = 0  # of the last Integrate effect
        self._cursor: Place | None = None  # the newest cursor not stored yet because a repair is under way
        self._pages: dict[int, set[str]] = {}  # records of each want of a page of the feed, until they come
        self._repairs: deque[frozenset[str]] = deque()  # records of each want that a gap made necessary
        self._mended: set[str] = set()  # of the first of these, what has come
        self._waiting: dict[str, bytes] = {}  # gaps that are asked for once the partner has answered others
        self._repairing: dict[int, frozenset[str]] = {}  # Integrate effects that end a repair
        self._gaps: dict[str, tuple[bytes, int]] = {}  # by record under repair: our vector, and how often it had a gap
        self._integrating: dict[int, tuple[int, Place | None, bool]] = {}  # size, cursor, whether something is owed
        self._going: dict[int, tuple[str, ...]] = {}  # of those, records that go with one
        self._stored = 0  # bytes of updates
        self._had = 0  # of which the partner knows

    @property
    def storing(self) -> bool:
        """Whether anything that came is not on disk."""
        return bool(self._integrating)

    @property
    def unanswered(self) -> bool:
        """Whether the partner is still at something that was asked for again."""
        return bool(self._repairs)

    @property
    def repairs(self) -> bool:
        """Whether something was asked for again that is not on disk."""
        return bool(self._repairs or self._repairing or self._waiting)

    @property
    def idle(self) -> bool:
        """Whether all that came is on disk, and nothing was asked for again that has not come."""
        return not self._integrating and not self._repairs and not self._waiting

    def integrate(
        self,
        entries: tuple[UpdatesEntry, ...],
        cursor: Place | None,
        head: Place,
        owe: bool,
        unserved: Iterable[str] = (),
        dropped: tuple[str, ...] = (),
        epoch: bytes = b"",
    ) -> Integrate:
        """These came, `unserved` will not, and `dropped` are to go; `stored` is to follow."""
        self.number += 1
        cursor = self.held_back(cursor)
        if dropped:
            self._going[self.number] = dropped
        self._integrating[self.number] = (sum(len(entry.update) for entry in entries), cursor, owe)
        return Integrate(self.number, entries, cursor, head, owe, tuple(sorted(unserved)), dropped, epoch)

    def dropped(self, records: Collection[str]) -> None:
        """These may be held no more: nothing of them is waited for."""
        for expected in self._pages.values():
            expected.difference_update(records)
        for record in records:
            self._gaps.pop(record, None)
            self._waiting.pop(record, None)

    def goes(self, record: str) -> bool:
        """Whether it is still here, and dropped by something that came and is not on disk."""
        return bool(self._going) and any(record in records for records in self._going.values())

    def held_back(self, cursor: Place | None) -> Place | None:
        """The cursor that may be stored now: none while a repair is under way, with which it will be."""
        if cursor is not None and self.repairs:
            self._cursor, cursor = cursor, None
        return cursor

    def ask_page(self, want: Want) -> Want:
        """Records of a page of the feed are asked for. Raises `ProtocolViolation`, see the fifth rule."""
        if want.page in self._pages or len(self._pages) >= limits.PAGES_IN_FLIGHT_MAX:
            raise ProtocolViolation("pages were told too far ahead of their answers, or twice")
        self._pages[want.page] = {entry.record for entry in want.entries}
        return want

    def check_cursor(self, cursor: Place | None, page: int = 0) -> None:
        """A cursor came, with the answer to that page if to any. Raises `ProtocolViolation`, see the fifth rule."""
        if cursor is not None and self._pages and (not page or page > min(self._pages)):
            raise ProtocolViolation("a cursor came before the answers to pages that it stands for")

    def unserved(self, updates: Updates) -> set[str]:
        """What the partner has left out of the answer that ends with these, where they answer a page, or a gap."""
        came = {entry.record for entry in updates.entries}
        if updates.page:
            left = self._pages.get(updates.page, set())
            left -= came
            return self._pages.pop(updates.page, set()) if updates.last else set()
        self._mended |= came
        if not updates.last or not self._repairs:
            return set()
        came, self._mended = self._mended, set()
        return {record for record in self._repairs[0] if record in self._gaps and record not in came}

    def ask(self, want: Want) -> Want:
        """Records are asked for again; all of it is `unanswered` from now on."""
        self._repairs.append(frozenset(entry.record for entry in want.entries))
        return want

    def check_asked(self) -> None:
        """An answer came to something that was asked for again. Raises `ProtocolViolation` where nothing was."""
        if not self._repairs:
            raise ProtocolViolation("an answer came to a want that was not sent")

    def answered(self, updates: Updates) -> None:
        """That answer is being stored by the last Integrate effect."""
        if updates.last:
            self._repairing[self.number] = self._repairs.popleft()

    def stored(self, number: int, gaps: Sequence[tuple[str, bytes]]) -> bool:
        """An Integrate effect is on disk, but for `gaps`; whether something is owed to the partner for it."""
        size, cursor, owe = self._integrating.pop(number)
        self._going.pop(number, None)
        self._stored += size
        self.cursor_stored = self.cursor_stored if cursor is None else cursor
        for record in self._repairing.pop(number, ()):
            if record not in dict(gaps):
                self._gaps.pop(record, None)
        return owe

    def unasked(self, number: int, gaps: Sequence[tuple[str, bytes]]) -> Sequence[tuple[str, bytes]]:
        """Those of the gaps that this Integrate effect left which no answer closes that is still to come."""
        asked = {*self._repairs, *(part for later, part in self._repairing.items() if later > number)}
        return [gap for gap in gaps if gap[0] not in self._waiting and not any(gap[0] in part for part in asked)]

    def never_closed(self, gaps: Sequence[tuple[str, bytes]]) -> str | None:
        """Count these gaps; a record whose gap the partner cannot close, if there is one. See the fourth rule."""
        for record, vector in gaps:
            before, count = self._gaps.get(record, (vector, 0))
            count = count + 1 if vector == before else 1
            self._gaps[record] = vector, count
            if count > _GAPS_MAX:
                return record
        return None

    def ask_beyond(self, held: Iterable[tuple[str, bytes]]) -> Iterator[Want]:
        """Ask again for what is beyond these state vectors of records: now, or once the partner has answered others."""
        self._waiting.update(held)
        while self._waiting and len(self._repairs) < limits.PUSHES_IN_FLIGHT_MAX // 2:  # others count pages too
            part = list(islice(self._waiting.items(), limits.WANT_RECORDS_MAX))
            for record, _ in part:
                del self._waiting[record]
            yield self.ask(want_beyond(0, part))

    def go_on(self, gaps: Sequence[tuple[str, bytes]]) -> Iterator[Want | Integrate | Have]:
        """What follows once something was stored: ask for what the gaps lack, or store the cursor; and confirm."""
        yield from self.ask_beyond(gaps)
        if not self._waiting and not self._repairs and not self._repairing and self._cursor is not None:
            cursor, self._cursor = self._cursor, None
            yield self.integrate((), cursor, head_of(cursor), owe=False)
        if self._stored - self._had >= _HAVE_EVERY_BYTES or (not self._integrating and self._stored > self._had):
            self._had = self._stored
            yield Have(self.cursor_stored, self._stored)
