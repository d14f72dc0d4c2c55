"""A record that the gate has loaded: each update is judged by itself, and integrated where nothing is wrong with it.

What is held are bytes that are known to be good, the document of them, and what judging the next update needs to know.
The rules are those of `integrate`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache, partial
from typing import Final, NamedTuple

from crdt_sync.errors import UpdateRefused
from crdt_sync.limits import (
    FIELDS_MAX,
    GROWTH_OPERATIONS_MAX,
    KIB,
    QUICK_JOIN_BYTES_MAX,
    QUICK_STEPS_MAX,
    REASON_LENGTH_MAX,
    RECORD_BYTES_MAX,
    ROOTS_MAX,
    TAIL_LONGEST,
    TAIL_SHARE,
    TAIL_UPDATES_MAX,
    WALKED_STEPS_MAX,
    WALKED_STEPS_PER_KIB,
)
from crdt_sync.policy.values import Values
from crdt_sync.records import yrs
from crdt_sync.records.document import Document
from crdt_sync.records.gate.contradictions import contradiction, displaced
from crdt_sync.records.gate.owners import WRITER, Owners, authors_of, bind
from crdt_sync.records.gate.owners import refusal as refused_writers
from crdt_sync.records.gate.permitted import Rules, permitted, plainly_permitted, renewable
from crdt_sync.records.gate.touches import Touches, overwritten, told_of, touches_between, touches_of
from crdt_sync.records.gate.unseen import Unseen, unseen
from crdt_sync.records.gate.walks import steps_added, walked_steps
from crdt_sync.records.gate.well_placed import cuts_pair, misnamed, misplaced, need_lists, tangled
from crdt_sync.records.lineages.document_dots import dots_of
from crdt_sync.records.lineages.dots import Dots, restates
from crdt_sync.records.lineages.lineage import current, is_foreign, lineage_of
from crdt_sync.records.lineages.provenance import Lineage
from crdt_sync.records.lineages.renewal import carried
from crdt_sync.records.roots import LINEAGE_ROOT, TEXT_PREFIX, Layout
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.updates.delete_set import covered, merged
from crdt_sync.records.updates.halves import mended
from crdt_sync.records.updates.lists import Lists, Operation
from crdt_sync.records.updates.one_entry import scan_quickly
from crdt_sync.records.updates.pairs import has_pairs
from crdt_sync.records.updates.update import Item, Scan, scan
from crdt_sync.verdicts import POSTPONED, UNDECIDED, Touched, Verdict, VerdictCode, refused

_NEW: Final = Verdict(VerdictCode.ACCEPTED, new=True)
_KNOWN: Final = Verdict(VerdictCode.ACCEPTED)
_ITEM_BYTES_MIN = 4  # of one item: what it is, one origin, and a deleted run
_NO_AUTHORS: Final[Mapping[int, Collection[str]]] = {}
_PLACES_MAX: Final = 256
_PLACES_AT_ONCE: Final = 64
_UNLISTED_MAX: Final = 256
_SPREAD_MAX = 32  # times that an update may take more bytes once integrated: a deletion cuts an item in three


class _Anew(NamedTuple):
    """What an update of another lineage does beside what is shown before and after, see `renewable`."""

    unseen: Unseen
    restated: bool


class Loaded:
    """A document together with the good bytes that it can be built from again."""

    __slots__ = (
        "_begins",
        "_forks",
        "_good",
        "_good_bytes",
        "_items_max",
        "_lists",
        "_made_of",
        "_mended",
        "_pairs",
        "_places",
        "_record",
        "_roots",
        "_shown",
        "_shown_by",
        "_size_max",
        "_texts",
        "_unlisted",
        "_vector",
        "_walked_max",
        "document",
        "lineage",
    )

    document: Document
    _good_bytes: int
    _size_max: int  # of the integrated state: an upper bound
    _items_max: int  # likewise, of the items
    _walked_max: int  # likewise, of `walked_steps`

    def __init__(self, good: Sequence[bytes], *, begins: bool = False, record: str = "") -> None:
        """`begins`: the first update of a lineage may be integrated, into nothing. `record` is which one it is."""
        self._record = record
        self._begins = begins
        self._hold(current(good))

    def _hold(self, good: Sequence[bytes]) -> None:
        whole = mended(good)
        self._good = list(whole)
        self._mended = whole is not good  # nobody has stored yet what was mended: the next update is news
        self._roots = -1  # an upper bound, counted when a first new root arrives
        self._lists: Lists | None = None  # made when a first update arrives that cannot be checked without
        self._unlisted: list[Item] = []  # what is to be added to it before it is asked again
        self._places: dict[Operation, str] = {}  # the roots of entries that may be overwritten next, as far as known
        self._forks: int | None = None  # of the update that is judged, once it is in the lists
        self._pairs = any(map(has_pairs, whole))  # whether there may be surrogate pairs
        self._texts: bool | None = None  # whether there is text, once it was asked for
        self._rebuild()
        self._items_max = self._good_bytes // _ITEM_BYTES_MIN
        self._walked_max = self._items_max**2
        self._vector = vectors.decode(self.document.raw_state_vector())
        self.lineage = self.document.lineage_writer()
        self._made_of: Lineage | None = None  # once it was asked for
        self._shown: Values | None = None  # likewise
        self._shown_by: Rules | None = None

    @property
    def state_vector(self) -> bytes:
        """Of all that was let in."""
        return vectors.encode(self._vector)

    def whole(self) -> bytes:
        """The whole integrated state. From now on the document is built again from that."""
        whole = self.document.diff()
        self._good = [whole]
        self._good_bytes = self._size_max = len(whole)
        return whole

    def shown(self, rules: Rules) -> Values | None:
        """What the filter fields show; None of a record that is new."""
        if not self._vector:
            return None
        if self._shown is None or self._shown_by is not rules:
            self._shown, self._shown_by = rules.values(self.document), rules
        return self._shown

    def judge(
        self,
        update: bytes,
        stamp_max: int | None,
        checked: bool,
        *,
        quick: bool = False,
        rules: Rules | None = None,
        user: str = "",
        owners: Owners | None = None,
    ) -> Verdict:
        """Raises `UpdateRefused` where what is here already cannot be read. With `owners`, writers are asked for."""
        if not self._begins and is_foreign(self.lineage, update):
            if quick and self._good_bytes + len(update) > QUICK_JOIN_BYTES_MAX:
                return POSTPONED
            return self._carry(update, stamp_max, checked, rules, user)
        if not checked:
            return self._trust(update)
        try:
            found = scan_quickly(update)
        except UpdateRefused as refusal:
            code = VerdictCode.TOO_LARGE if refusal.reason == "too_large" else VerdictCode.MALFORMED
            return refused(code, refusal.message)
        vector = self._vector
        fresh = self._fresh(found)
        if len(fresh) < len(found.items) and (verdict := self._contradicted(found, update, rules)):
            return verdict
        rises = False
        strange: list[int] = []  # writers that are not known to be the user's
        for writer, (_, end) in found.clients.items():
            if end > vector.get(writer, 0):
                rises = True
                if owners is not None and owners.known.get(writer) != user:
                    strange.append(writer)
        if not rises and (not found.deletes or covered(found.deletes, self.document.deletes())):
            return self._known(update)
        if quick and 2 * len(fresh) * (self._items_max + len(fresh)) > QUICK_STEPS_MAX:
            return POSTPONED
        if owners is not None and strange and not owners.are_known(strange):
            return UNDECIDED
        self._forks = None
        verdict = self._refusal(found, stamp_max) or self._misplaced(fresh, found) or self._dear(fresh, update)
        if verdict is not None:
            return verdict
        steps = self._steps(update, found)
        roots: Collection[str] = ()
        told: Touched | None = None
        authors = _NO_AUTHORS
        if rules is not None:
            verdict, roots, told = self._ruled(update, found, fresh, steps, rules, user)
            if verdict is None and owners is not None and strange:
                plain = type(roots) is tuple
                authors = {strange[0]: (user,)} if plain else authors_of(update, fresh, self._listed_with(fresh))
                verdict = _wrong_writer(strange, owners, authors)
            if verdict is not None:
                self._unlist(fresh)
                return verdict._replace(touched=told)
        sure = steps[0] is update and _in_order(fresh, vector)
        verdict = self._apply(update, steps, sure) or self._outgrown(update, found.roots)
        if verdict is not None:
            self._unlist(fresh)
            return verdict
        for writer, (_, end) in found.clients.items():
            if end > vector.get(writer, 0):
                vector[writer] = end
        if rules is not None:
            self._note_places(fresh, roots)
        if owners is not None and strange:
            bind(strange, owners, authors, user)
        if found.roots and not self._texts:
            self._texts = any(root.startswith(TEXT_PREFIX) for root in found.roots)
        if rules is None or rules.shows(roots):
            self._shown = None
        self._keep(steps)
        return _NEW if told is None else Verdict(VerdictCode.ACCEPTED, new=True, touched=told)

    def _contradicted(self, found: Scan, update: bytes, rules: Rules | None) -> Verdict | None:
        """The refusal of what says something else of what is here already.

        With a policy in force that may be somebody else's doing: then it is told as what is of its writer id.
        """
        other = contradiction(found, update, self.document, self._vector)
        if not other and rules is not None:
            other = displaced(found.items, self._listed(), self._vector)
        if not other:
            return None
        if rules is None:
            return refused(VerdictCode.MALFORMED, other)
        return refused(VerdictCode.FORBIDDEN, f"{WRITER}: {other}")

    def _ruled(
        self, update: bytes, found: Scan, fresh: list[Item], steps: Sequence[bytes], rules: Rules, user: str
    ) -> tuple[Verdict | None, Collection[str], Touched]:
        """The refusal of what the user may not do, if it is one; the roots that are touched; and what is told of that.

        The roots are a tuple where it is no more than an entry of the user's own.
        """
        shown, plain = self.shown(rules), overwritten(update, found, fresh, self._places)
        if shown is not None and plain is not None and plainly_permitted(rules, user, plain, shown):
            return None, (plain.root,), _plainly(plain.root[2:])
        deletes = self.document.deletes() if found.deletes else {}
        touched = touches_of(update, found, fresh, self._listed_with(fresh), deletes)
        told = told_of(touched, user, rules.in_force.policy.users)
        return self._forbidden(touched, rules, user, partial(self._with, steps)), touched, told

    def _forbidden(
        self,
        touched: Touches,
        rules: Rules,
        user: str,
        after: Callable[[], Document],
        anew: _Anew | None = None,
    ) -> Verdict | None:
        """The refusal of what the user may not do, by what it touches; `after` makes a document that has it as well.

        `anew` is told of one of another lineage.
        """
        denied = ""
        try:
            if anew is not None:
                hidden, restated = anew.unseen.hidden, anew.restated
                denied = renewable(rules, user, self.shown(rules), after(), hidden=hidden, restated=restated)
                touched = {**anew.unseen.touched, **touched}
            denied = denied or permitted(rules, user, touched, self.shown(rules), self.document, after, self._record)
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException as error:  # pycrdt's PanicException is no Exception
            return refused(VerdictCode.MALFORMED, str(error)[:REASON_LENGTH_MAX])
        return refused(VerdictCode.FORBIDDEN, denied) if denied else None

    def _with(self, steps: Sequence[bytes]) -> Document:
        """A document of its own that has these as well."""
        return Document.load_whole((*self._good, *steps))

    def _carry(
        self, update: bytes, stamp_max: int | None, checked: bool, rules: Rules | None = None, user: str = ""
    ) -> Verdict:
        """Take over what an update of another lineage tells, if it builds on nothing that it does not hold."""
        other = Loaded((), begins=True)
        verdict = other.judge(update, stamp_max, checked)
        if verdict.code is not VerdictCode.ACCEPTED:
            return verdict
        try:
            together = carried(self.document, other.document) if self._vector else other.document
            whole = together.diff()
            dots = dots_of(together)
            anew = None if rules is None else self._anew(other.document, dots)
        except UpdateRefused as refusal:
            return refused(VerdictCode.MALFORMED, refusal.message)
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException as error:  # pycrdt's PanicException is no Exception
            return refused(VerdictCode.MALFORMED, str(error)[:REASON_LENGTH_MAX])
        if together is self.document:
            return self._known(whole)
        if len(whole) > RECORD_BYTES_MAX:
            return _too_large(len(whole))
        told: Touched | None = None
        if rules is not None:
            touched = touches_between(self.document.contents(), together.contents())
            told = told_of(touched, user, rules.in_force.policy.users)
            denied = self._forbidden(touched, rules, user, lambda: together, anew)
            if denied is not None:
                return denied._replace(touched=told)
        self._hold((whole,))
        return Verdict(VerdictCode.ACCEPTED, new=True, touched=told)

    def _anew(self, came: Document, together: Dots) -> _Anew:
        """What nobody would see of what a document of another lineage does; `together` is what is known with it."""
        if not self._vector:
            return _Anew(Unseen({}, False), False)  # there is nothing here of anybody
        held = dots_of(self.document)
        return _Anew(unseen(came, dots_of(came), held.known), restates(together, held))

    def _trust(self, update: bytes) -> Verdict:
        """Integrate an update without reading it first."""
        if self._vector and self._holds(update):
            return self._known(update)
        steps = self._steps(update, None)
        verdict = self._apply(update, steps, sure=False) or self._outgrown(update, frozenset())
        if verdict is not None:
            return verdict
        vector = vectors.decode(self.document.raw_state_vector())
        if not vector:  # what somebody lacks who had all of it, and has nothing by now
            return refused(VerdictCode.GAP, "it builds on operations that are missing")
        self._vector = vector
        self._lists = self._texts = None
        self._unlisted = []
        self._places = {}
        self._keep(steps)
        return _NEW

    def _known(self, update: bytes) -> Verdict:
        """The verdict on what is here already. It may be what a partner made of a record that was mended here too."""
        if not self._mended:
            return _KNOWN
        self._keep([update])
        return _NEW

    def _holds(self, update: bytes) -> bool:
        try:
            return not self.document.lacks(update)
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException:  # pycrdt's PanicException is no Exception
            return False  # it cannot be read: applying it says why

    def _refusal(self, found: Scan, stamp_max: int | None) -> Verdict | None:
        """What can be told before the update is applied, so that the document need not be built again."""
        if stamp_max is not None and found.stamps > stamp_max:
            return refused(
                VerdictCode.CLOCK_AHEAD, f"an entry is stamped {found.stamps - stamp_max} µs beyond the limit"
            )
        if found.compact > GROWTH_OPERATIONS_MAX:
            return refused(VerdictCode.MALFORMED, f"{found.compact} operations without content")
        if found.skips:
            return refused(VerdictCode.GAP, "the update has gaps of its own")
        vector = self._vector
        overlaps = False
        for writer, (start, _) in found.clients.items():
            held = vector.get(writer, 0)
            if start > held:
                return refused(VerdictCode.GAP, f"operations {held} to {start} of writer {writer} are missing")
            overlaps = overlaps or start < held
        if overlaps and _cuts(found, vector):
            return refused(VerdictCode.GAP, "it begins in the middle of operations that are here already")
        if not _neighbours_known(found, vector):
            return refused(VerdictCode.GAP, "it builds on operations that are missing")
        for writer, ranges in found.deletes.items():
            known = max(vector.get(writer, 0), found.clients.get(writer, (0, 0))[1])
            for clock, length in ranges:
                if clock + length > known:
                    return refused(VerdictCode.GAP, f"it deletes operations of writer {writer} that are missing")
        return None

    def _fresh(self, found: Scan) -> list[Item]:
        """The items that are not here yet; how an update describes the others again does not count."""
        vector = self._vector
        return [item for item in found.items if item.clock >= vector.get(item.writer, 0)]

    def _misplaced(self, fresh: list[Item], found: Scan) -> Verdict | None:
        """What is wrong with the places of new items. If nothing is, they are in `_lists`, where that is there."""
        named = [item for item in fresh if item.root != LINEAGE_ROOT] if self._begins else fresh
        problem = misnamed(named)
        if found.foreign and not problem:
            problem = self._foreign(found)
        if self.lineage and not problem:
            problem = self._untrue(fresh, found)
        if problem:
            return refused(VerdictCode.MALFORMED, problem)
        if tangled(found.deletes):
            return refused(VerdictCode.MALFORMED, "its deletions are not in order")
        if self._texts is None:
            self._texts = self.document.has_text()
        if not self._texts and not need_lists(fresh):
            if self._lists is not None:
                self._unlisted += fresh
            return None
        lists = self._listed()
        self._forks = lists.add(fresh)
        known = self.document.deletes
        problem = misplaced(fresh, lists, lambda: merged(known(), found.deletes))
        if not problem and cuts_pair(found.deletes, lists, known):
            problem = "it deletes half of a character"
        if not problem:
            return None
        lists.take_back(fresh)
        return refused(VerdictCode.MALFORMED, problem)

    def _listed(self) -> Lists:
        """The lists of what is here already."""
        if self._lists is None:
            self._lists = Lists(scan(self.document.diff()).items)
        elif self._unlisted:
            self._lists.add(self._unlisted)
            self._unlisted = []
        return self._lists

    def _listed_with(self, fresh: list[Item]) -> Lists:
        """The same with new items, which are in it where it was there, see `_misplaced`."""
        is_there = self._lists is not None
        lists = self._listed()
        if not is_there:
            lists.add(fresh)
        return lists

    def _note_places(self, fresh: Sequence[Item], roots: Collection[str]) -> None:
        """New entries were let in, into these roots: whoever overwrites one next need not be asked where it stands."""
        if len(fresh) == 1 and len(roots) == 1:
            for root in roots:
                self._place(fresh[0], root)
        elif len(fresh) <= _PLACES_AT_ONCE:
            lists = self._listed()
            for item in fresh:
                self._place(item, lists.name((item.writer, item.clock)).root)
        if len(self._unlisted) > _UNLISTED_MAX:  # they take more than making the lists again
            self._lists, self._unlisted = None, []

    def _place(self, item: Item, root: str) -> None:
        if item.length != 1 or not root.startswith(Layout.ENTRIES):
            return
        if len(self._places) >= _PLACES_MAX:
            self._places.clear()
        self._places[item.writer, item.clock] = root

    def _unlist(self, fresh: list[Item]) -> None:
        """New items are not let in after all."""
        if self._unlisted:
            del self._unlisted[len(self._unlisted) - len(fresh) :]
        elif self._lists is not None:
            self._lists.take_back(fresh)

    def _dear(self, fresh: list[Item], update: bytes) -> Verdict | None:
        """Refuse items that make the record take too long to integrate; the rest are in `_lists`, where that is there.

        Counted is only when a bound may be passed that costs nothing. A record that was that dear before stays as it
        is, so that what is in it can be changed and deleted.
        """
        self._items_max += len(fresh)
        if self._lists is None or self._forks is None:
            # Each new item over all others, and each of them over it.
            self._walked_max += 2 * len(fresh) * self._items_max
        else:
            self._walked_max += steps_added(self._lists, len(fresh), self._forks, self._items_max)
        allowed = WALKED_STEPS_MAX + WALKED_STEPS_PER_KIB * (self._good_bytes + len(update)) // KIB
        if self._walked_max <= allowed:
            return None
        lists = self._listed_with(fresh)
        walked = walked_steps(lists)
        self._walked_max, self._items_max = walked, len(lists)
        if walked <= allowed:
            return None
        lists.take_back(fresh)
        before = walked_steps(lists)
        if before <= allowed:
            self._walked_max, self._items_max = before, len(lists)
            return refused(VerdictCode.TOO_LARGE, f"placing its items may take {walked} steps; the limit is {allowed}")
        lists.add(fresh)
        return None

    def _foreign(self, found: Scan) -> str:
        """What new values there are that our layout never writes; those that are here already are passed on."""
        for writer, clock, what in found.foreign:
            if clock >= self._vector.get(writer, 0):
                return f"operation {clock} of writer {writer} holds {what}, which records never hold"
        return ""

    def _untrue(self, fresh: Sequence[Item], found: Scan) -> str:
        """What an update would make untrue that the record's lineage, which is not the first, tells of itself.

        Who wrote in an earlier lineage writes nothing here, and nobody goes on as the writer of the first update: their
        operations would have the names of others. What the record was made of is neither deleted nor added to, or
        nobody could carry anything over any more.
        """
        if self._made_of is None:
            self._made_of = lineage_of(self.document)
        made_of = self._made_of
        writer = next((item.writer for item in fresh if item.writer in made_of.cover), None)
        if writer is not None:
            return f"writer {writer} wrote in a lineage before this one"
        if any(item.writer == made_of.writer for item in fresh):
            return "it goes on as the writer who renewed the record"
        own = made_of.own
        if any(item.left in own or item.right in own for item in fresh):
            return "it adds to what the record was made of"
        told = made_of.begin - 1
        if any(clock <= told < clock + length for clock, length in found.deletes.get(made_of.writer, ())):
            return "it deletes what the record was made of"
        return ""

    def _steps(self, update: bytes, found: Scan | None) -> list[bytes]:
        """What to integrate for an update, see `Document.steps`; `found` is None where it was not scanned yet."""
        self._pairs = self._pairs or has_pairs(update)
        if not self._pairs:
            return [update]
        if found is None:
            try:
                found = scan(yrs.get_update(update, vectors.encode(self._vector)))
            except (UpdateRefused, ValueError):
                return [update]  # applying it says why
        return self.document.steps(update, found)

    def _apply(self, update: bytes, steps: Sequence[bytes], sure: bool) -> Verdict | None:
        """Integrate `update` in `steps`; a document that cannot be kept is built again, and the refusal returned.

        `sure`: it is known already that nothing of it will wait for anything.
        """
        document = self.document
        try:
            for step in steps:
                document.apply(step)
            missing = not sure and document.is_missing(update)
        except ValueError as error:
            if len(steps) > 1:
                self._rebuild()
            return refused(VerdictCode.MALFORMED, str(error)[:REASON_LENGTH_MAX])
        except (KeyboardInterrupt, SystemExit, MemoryError):
            self._rebuild()
            self._lists, self._unlisted = None, []
            raise
        except BaseException as error:  # pycrdt's PanicException is no Exception
            self._rebuild()
            return refused(VerdictCode.MALFORMED, str(error)[:REASON_LENGTH_MAX])
        if missing:
            self._rebuild()
            return refused(VerdictCode.GAP, "it builds on operations that are missing")
        return None

    def _outgrown(self, update: bytes, roots: frozenset[str]) -> Verdict | None:
        if roots:
            self._roots = self.document.roots_count() if self._roots < 0 else self._roots + len(roots)
            if self._roots > ROOTS_MAX:
                self._roots = self.document.roots_count()
            if self._roots > ROOTS_MAX:
                self._roots = -1
                self._rebuild()
                return refused(VerdictCode.TOO_LARGE, f"the record would have more than {ROOTS_MAX} fields")
        self._size_max += _SPREAD_MAX * len(update)
        if self._size_max > RECORD_BYTES_MAX:
            self._size_max = size = self.document.size
            if size > RECORD_BYTES_MAX:
                self._rebuild()
                return _too_large(size)
        return None

    def _keep(self, steps: Sequence[bytes]) -> None:
        self._mended = False
        self._good += steps
        self._good_bytes += sum(map(len, steps))
        count = len(self._good)
        if (count > TAIL_UPDATES_MAX and self._tail_is_long(count)) or self._good_bytes > RECORD_BYTES_MAX:
            self.whole()

    def _tail_is_long(self, count: int) -> bool:
        """Whether the record is worth being made one update again: as a host decides on a snapshot."""
        first = len(self._good[0])
        return count > TAIL_LONGEST * TAIL_UPDATES_MAX or (self._good_bytes - first) * TAIL_SHARE >= first

    def _rebuild(self) -> None:
        self.document = Document.load_whole(self._good)
        self._good_bytes = sum(map(len, self._good))
        self._size_max = _SPREAD_MAX * self._good_bytes


def _wrong_writer(strange: Collection[int], owners: Owners, authors: Mapping[int, Collection[str]]) -> Verdict | None:
    taken = refused_writers(strange, owners, authors)
    return refused(VerdictCode.FORBIDDEN, taken) if taken else None


@lru_cache(FIELDS_MAX)
def _plainly(field: str) -> Touched:
    """What is told of an update of one's own in one field."""
    return Touched((field,))


def _neighbours_known(found: Scan, vector: Mapping[int, int]) -> bool:
    for item in found.items:
        left, right = item.left, item.right
        if left is not None and left[1] >= vector.get(left[0], 0):
            start, end = found.clients.get(left[0], (0, 0))
            if not start <= left[1] < end:
                return False
        if right is not None and right[1] >= vector.get(right[0], 0):
            start, end = found.clients.get(right[0], (0, 0))
            if not start <= right[1] < end:
                return False
    return True


def _in_order(fresh: Sequence[Item], vector: Mapping[int, int]) -> bool:
    """Whether each new item builds on what is here, or on operations of its own writer before it.

    Of an update without gaps whose neighbours and deletions are known, yrs leaves nothing pending then. Items of
    several writers that build on each other may do so in a circle, and one may build on itself: there it is asked.
    """
    for item in fresh:
        writer, clock = item.writer, item.clock
        for neighbour in (item.left, item.right):
            if neighbour is None or neighbour[1] < vector.get(neighbour[0], 0):
                continue
            if neighbour[0] != writer or neighbour[1] >= clock:
                return False
    return True


def _cuts(found: Scan, vector: Mapping[int, int]) -> bool:
    """Whether a struct begins before what is here ends, and ends behind it.

    yrs would link its rest to whatever is here, even if it belongs to another root. A sender that makes its
    difference from our state vector never sends such a struct.
    """
    for writer, (start, end) in found.clients.items():
        known = vector.get(writer, 0)
        if start < known < end:
            return any(item.clock < known < item.clock + item.length for item in found.items if item.writer == writer)
    return False


def _too_large(size: int) -> Verdict:
    return refused(VerdictCode.TOO_LARGE, f"the record would have {size} bytes; the limit is {RECORD_BYTES_MAX}")
