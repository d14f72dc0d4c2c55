"""What an accepting session tells, where its user may hold some records and not others.

Rules:

1. What decides is what a record shows now, in all that is on disk. Bytes of a record are read before it is asked once
   more whether it may be held: they are no newer than the answer.
2. A record that may be held, and may have been ever since the cursor, comes as updates; any other that may be held
   comes whole. One that may not, and may have been since the cursor, is dropped. Of all others nothing is said.
3. A device that may have come to hold records under several grants since its cursor has an epoch that names them all.
   The difference to what it may hold now is told first, and then it is given one that names the last.
4. Whoever asks for a record, or pushes it, is answered alike whether it is hidden or not there.
5. A companion is held where its record is and its section is read. Where a record has moved, its companions are told of
   like it, though nothing was written into them.
6. What a session has written, and may not hold then, is dropped before the acknowledgement: a device that never hears
   of it pushes it again, and is told once more.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from crdt_sync import ids, limits
from crdt_sync.policy.cells import Cell
from crdt_sync.policy.values import EVERY, Forms, Whereabouts
from crdt_sync.principal import Principal
from crdt_sync.protocol.entries import Resumed
from crdt_sync.protocol.live_pages import LivePage
from crdt_sync.protocol.sight import Sight, Sights, Standing
from crdt_sync.protocol.source import AcceptorSource, Change

_TOGETHER = 64  # records that are asked about at once
_SEEN_MAX = 64  # of each session
_NOW = limits.INTEGER_EXACT_MAX  # a cursor that nothing lies behind


class Step(NamedTuple):
    """The next of the feed: what is dropped, what is listed, where the cursor is then, and whether that is the end."""

    dropped: Sequence[str]
    listed: Sequence[Change]
    cursor: int
    ended: bool


class Picked(NamedTuple):
    """What of a page is told: records that are dropped, that come whole, and the places of updates in it."""

    dropped: tuple[str, ...]
    whole: tuple[str, ...]
    updates: tuple[int, ...]


class Selected:
    """See the module. `sight` is what the session may hold."""

    def __init__(self, source: AcceptorSource, sights: Sights, principal: Principal, sight: Sight) -> None:
        self._source = source
        self._sights = sights
        self._principal = principal
        self.sight = sight
        self._before: tuple[Sight, ...] = ()  # what else it may have held since its cursor
        self._since = 0
        self._differing: Iterator[tuple[str, bool] | None] | None = None
        self._gathering: Iterator[str] | None = None
        self._cold: list[tuple[int, str]] = []  # what a first cursor is to be told of, newest first
        self._cold_until = 0
        self._left: tuple[Sequence[Change], int] | None = None  # what a page had no room for, and the cursor behind it
        self._seen: dict[str, tuple[Forms, Sight, bool]] = {}  # of records that it edits: whether it may hold them

    # --- cursors ---------------------------------------------------------------------------------------------

    @property
    def epoch(self) -> bytes:
        """The epoch in which cursors are told now."""
        return self._sights.epoch(self._principal, (*self._before, self.sight))

    @property
    def watched(self) -> frozenset[str]:
        """The collections of companions of which the host wants to hear who was given them."""
        return self._sights.watched

    @property
    def differs(self) -> bool:
        """Whether the device may hold something by older grants, until it is told the end of the feed."""
        return bool(self._before)

    def honours(self, resume: Resumed) -> bool:
        """Whether all that the partner knows is known here: the log, its grants, and what records have left."""
        found = self._standing(resume)
        reach = None if found is None else self._source.reach(found.epoch)
        return reach is not None and max(resume.cursor, resume.head) <= reach

    def resume(self, resume: Resumed) -> None:
        """The partner's standing is honoured."""
        found = self._standing(resume)
        assert found is not None, "it was honoured"
        settled = [sight.id for sight in found.sights] == [self.sight.id]
        self._before = () if settled else found.sights

    def _standing(self, resume: Resumed) -> Standing | None:
        found = self._sights.standing(self._principal, resume.epoch)
        if found is None or len(found.sights) >= limits.SIGHTS_MAX or resume.cursor < self._sights.moves_from():
            return None
        return found

    def regrant(self, sight: Sight) -> bool:
        """It may hold this from now on; whether that can be told within the session."""
        self._before = tuple({each.id: each for each in (*self._before, self.sight)}.values())
        self.sight = sight
        return len(self._before) < limits.SIGHTS_MAX

    def settle(self) -> None:
        """The difference to older grants has been told."""
        self._before = ()

    # --- the feed --------------------------------------------------------------------------------------------

    def begin(self, cursor: int) -> None:
        """The feed is read from that cursor on."""
        self._since, self._cold, self._gathering, self._left = cursor, [], None, None
        self._differing = self._difference() if self._before else None
        if not cursor and not self._before and not self._has_all:
            self._cold_until = self._source.head()
            self._gathering = self._sights.at(self.sight.cells)

    def next(self, cursor: int, records_max: int) -> Step:
        """What comes next after `cursor`; nothing may be told in one step, and the end not be reached."""
        if self._left is not None:
            listed, behind = self._left
            self._left = None
            return Step((), [each for each in listed if self.holds(each.record)], behind, ended=False)
        if self._differing is not None:
            found = list(islice(self._differing, records_max))
            if not found:
                self._differing = None
            told = [each for each in found if each is not None]
            dropped = list(dict.fromkeys(record for record, held in told if not held))
            # What they show was asked for many at once, some steps ago.
            came = [record for record in dict.fromkeys(record for record, held in told if held) if self.holds(record)]
            listed = [change for record in came if (change := self._sights.change(record)) is not None]
            return Step(dropped, listed, cursor, ended=False)
        if self._gathering is not None:
            self._gather(self._gathering, records_max)
            return Step((), (), cursor, ended=False)
        if self._cold:
            return self._listed_cold(records_max)
        return self._scan(cursor, records_max)

    def put_back(self, listed: Sequence[Change], cursor: int) -> None:
        """These did not fit: they are the next step, with the cursor of the one that they were of."""
        self._left = listed, cursor

    @property
    def _has_all(self) -> bool:
        """Whether it may hold all of a collection, so that there is nothing to choose by."""
        return any(cell.atom.field == EVERY and cell.atom.collection not in ids.RESERVED for cell in self.sight.cells)

    def _gather(self, found: Iterator[str], records_max: int) -> None:
        page = list(islice(found, records_max))
        for record in self._held(page):
            change = self._sights.change(record)
            if change is not None and change.seq <= self._cold_until:
                self._cold.append((change.seq, record))
        if not page:
            self._gathering = None
            self._cold = sorted(set(self._cold), reverse=True)

    def _listed_cold(self, records_max: int) -> Step:
        """Each as it is now: what has changed since is told again behind it, and what has left is not told of."""
        page = [self._cold.pop() for _ in range(min(records_max, len(self._cold)))]
        found = (self._sights.change(record) for record in self._held([record for _, record in page]))
        listed = [change for change in found if change is not None]
        return Step((), listed, page[-1][0] if self._cold else self._cold_until, ended=False)

    def _held(self, records: Sequence[str]) -> list[str]:
        """Those of them that may be held now."""
        found = zip(records, self._sights.whereabouts_of(records, _NOW), strict=True)
        return [record for record, where in found if where is not None and self.sight.holds(record, where.forms)]

    def _scan(self, cursor: int, records_max: int) -> Step:
        head = self._source.head()  # before the feed: what is committed between the two is told next
        page = self._source.feed(cursor, records_max)
        dropped, listed = [], []
        found = self._sights.whereabouts_of([change.record for change in page], self._since)
        for change, where in zip(page, found, strict=True):
            if where is None:
                continue
            if self.sight.holds(change.record, where.forms):
                listed.append(change)
            elif self._was_held(change.record, where):
                dropped.append(change.record)
            if where.left:
                self._scan_companions(change.record, dropped, listed)
        dropped, listed = list(dict.fromkeys(dropped)), list(dict.fromkeys(listed))
        return Step(dropped, listed, page[-1].seq if page else max(cursor, head), ended=not page)

    def _scan_companions(self, moved: str, dropped: list[str], listed: list[Change]) -> None:
        """Those of a record that has moved since the cursor, whether anything was written into them or not."""
        companions = self._sights.companions(moved)
        found = self._sights.whereabouts_of(companions, self._since)
        for companion, where in zip(companions, found, strict=True):
            if where is None:
                continue
            if self.sight.holds(companion, where.forms):
                if (change := self._sights.change(companion)) is not None:
                    listed.append(change)
            elif self._was_held(companion, where):
                dropped.append(companion)

    def _was_held(self, record: str, where: Whereabouts) -> bool:
        if self.sight.held_before(record, where):
            return True
        return any(sight.holds(record, where.forms) or sight.held_before(record, where) for sight in self._before)

    def _difference(self) -> Iterator[tuple[str, bool] | None]:
        """Records that may be held no more, and those that may be now, by grants alone; None where that is no change.

        A device that was amid another difference may hold what any of its grants gave, and surely what all of them did.
        """
        cells = self.sight.cells
        lost = {cell for sight in self._before for cell in sight.cells if cell not in cells}
        gained = {cell for cell in cells if not all(cell in sight.cells for sight in self._before)}
        for record, where in self._now_at(lost):
            if where is None or self.sight.holds(record, where.forms):
                yield None
            else:
                yield (record, False) if any(sight.holds(record, where.forms) for sight in self._before) else None
        for record, where in self._now_at(gained):
            if where is None or not self.sight.holds(record, where.forms):
                yield None
            else:
                yield None if all(sight.holds(record, where.forms) for sight in self._before) else (record, True)

    def _now_at(self, cells: Iterable[Cell]) -> Iterator[tuple[str, Whereabouts | None]]:
        """The records at the atoms of cells, and what they show."""
        found = self._sights.at(cells)
        while page := list(islice(found, _TOGETHER)):
            yield from zip(page, self._sights.whereabouts_of(page, _NOW), strict=True)

    # --- the log ---------------------------------------------------------------------------------------------

    def pick(self, page: LivePage, after: int, own: Iterable[int]) -> Picked:
        """What of a page that follows the cursor `after` is told; `own` are the numbers of what the session pushed."""
        own = frozenset(own)
        dropped: list[str] = []
        whole: list[str] = []
        as_they_are: set[str] = set()
        for record, where in places_of(page, after, self._sights).items():
            if where is None:
                continue
            if self.sight.holds(record, where.forms):
                if where.new or all(self.sight.holds(record, forms) for forms in where.left):
                    as_they_are.add(record)
                else:
                    whole.append(record)
            elif self.sight.held_before(record, where):
                dropped.append(record)
        places = [
            place for place, update in enumerate(page.updates) if update.record in as_they_are and update.seq not in own
        ]
        return Picked(tuple(dropped), tuple(whole), tuple(places))

    # --- single records --------------------------------------------------------------------------------------

    def holds(self, record: str) -> bool:
        """Whether a record is there, and may be held."""
        where = self._sights.whereabouts(record, _NOW)
        return where is not None and self._sees(record, where.forms)

    def hides(self, record: str) -> bool:
        """Whether a record is there, and may not be held."""
        where = self._sights.whereabouts(record, _NOW)
        return where is not None and not self._sees(record, where.forms)

    def is_unread(self, record: str) -> bool:
        """Whether nobody can tell now who may hold a companion: its record may have come with a schema by which all is
        being read anew. Whether that record is there makes no difference, see rule 4.
        """
        return bool(ids.section_of(record)) and not self._sights.ready

    def takes(self, record: str) -> bool:
        """Whether what is pushed of a record is looked at: it may be held, or is not there and may be made."""
        where = self._sights.whereabouts(record, _NOW)
        if where is None and ids.is_masked(record):
            return False  # nothing is derived of it, so nothing of it is to be held
        if where is None and ids.section_of(record):
            whole = self._sights.whereabouts(ids.whole_record(record), _NOW)
            return whole is not None and self.sight.holds(record, whole.forms)
        if where is None:
            return ids.collection_of(record) in self.sight.creates
        return self._sees(record, where.forms)

    def _sees(self, record: str, forms: Forms) -> bool:
        """Whether a record may be held that shows this; who edits is asked again and again, and little changes."""
        known = self._seen.get(record)
        if known is not None and known[0] is forms and known[1] is self.sight:
            return known[2]
        if len(self._seen) >= _SEEN_MAX:
            self._seen.clear()
        found = self.sight.holds(record, forms)
        self._seen[record] = forms, self.sight, found
        return found


def places_of(page: LivePage, after: int, sights: Sights) -> dict[str, Whereabouts | None]:
    """Where the records of a page are, and the companions of those that have moved; asked once for all sessions."""
    if not page.places:
        records = list(dict.fromkeys([update.record for update in page.updates]))
        page.places.update(zip(records, sights.whereabouts_of(records, after), strict=True))
        moved = [record for record, where in page.places.items() if where is not None and where.left]
        companions = [companion for record in moved for companion in sights.companions(record)]
        companions = [companion for companion in companions if companion not in page.places]
        page.places.update(zip(companions, sights.whereabouts_of(companions, after), strict=True))
    return page.places
