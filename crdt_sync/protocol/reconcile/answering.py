"""Composing a message: the ranges left to this side are answered from the first on, as far as the frame goes.

The leftmost of all open ranges may always be answered, whichever side it is left to; the others only while few
ranges are open and few records are listed. So a run never stalls, and what is open grows with the depth at most.
"""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from operator import attrgetter

from crdt_sync import limits
from crdt_sync.limits import (
    RECONCILE_HEAD_BYTES,
    RECONCILE_LISTED_RECORDS_MAX,
    RECONCILE_LISTED_RECORDS_TARGET,
    RECONCILE_OPEN_RANGES_MAX,
    RECONCILE_OPEN_RANGES_TARGET,
    RECONCILE_RECORDS_MAX,
)
from crdt_sync.protocol.reconcile.bounds import shared_length
from crdt_sync.protocol.reconcile.choice import Choice
from crdt_sync.protocol.reconcile.fingerprint import fingerprint
from crdt_sync.protocol.reconcile.messages import Answer, Equal, Item, Listing, Print, Reply, Split
from crdt_sync.protocol.reconcile.packing import HASH_BYTES, answer_bytes
from crdt_sync.protocol.reconcile.run import Asked, AskedKind, Compare, Continuing, Owed, Replying, Run, Todo, Wanted

_FIXED_BYTES = 512  # of a listing or reply, beside its records: numbers, first names and `through`
_WHOLE_RECORDS = 512  # an answer with no more is not cut in two but waits for the next message


def opening(run: Run) -> tuple[Answer, ...]:
    """The first message: prints of everything."""
    parts = limits.RECONCILE_FAN_OUT if run.view.aggregate("", None)[0] > limits.RECONCILE_LEAF_RECORDS else 1
    split, asked = _split(run, "", None, parts)
    run.asked = asked
    return (split,)


def compose(run: Run, frame_bytes: int) -> tuple[Answer, ...]:
    """Answer what fits into `frame_bytes`; none if there is nothing to do, or nothing may be listed at present."""
    composing = _Composing(run, frame_bytes)
    while composing.todo and composing.answer_next():
        pass
    run.todo = list(composing.todo)
    run.asked = sorted([*run.asked, *composing.asked], key=attrgetter("after"))
    return tuple(composing.answers)


def _split(run: Run, after: str, through: str | None, parts: int) -> tuple[Split, list[Asked]]:
    bounds = run.view.split(after, through, parts) if parts > 1 else []
    prints, asked = [], []
    for start, end in pairwise((after, *bounds, through)):
        assert start is not None, "only the last bound is None"
        count, total = run.view.aggregate(start, end)
        prints.append(Print(count, fingerprint(count, total) if count else b""))
        kind = AskedKind.PRINT if count else AskedKind.LISTING
        asked.append(Asked(start, end, kind, 0, RECONCILE_RECORDS_MAX))
    return Split(tuple(bounds), tuple(prints)), asked


class _Composing:
    """The message so far, and the ranges as it uses them up."""

    def __init__(self, run: Run, frame_bytes: int) -> None:
        self._run = run
        self._room = frame_bytes - RECONCILE_HEAD_BYTES
        self._choice = Choice(run.todo, run.different_share, frame_bytes)
        self.answers: list[Answer] = []
        self.todo: deque[Todo] = deque(run.todo)
        self.asked: list[Asked] = []

    def answer_next(self) -> bool:
        """Answer the first range of `todo`, or a part of it; false if the message must end here."""
        todo = self.todo[0]
        match todo:
            case Compare(equal=True):
                return self._equal()
            case Compare(theirs=theirs, ours=ours):
                if parts := self._choice.parts(ours, theirs.records):
                    return self._split(todo, parts)
                return self._list(todo, ours, theirs.records)
            case Replying():
                return self._reply(todo)
            case Continuing(after, through, held_max):
                return self._list(todo, self._run.view.aggregate(after, through)[0], held_max)

    def _leftmost(self) -> bool:
        """Whether the first range of `todo` is the leftmost of all that are open."""
        return not self.asked and not (self._run.asked and self._run.asked[0].after < self.todo[0].after)

    def _equal(self) -> bool:
        if self.answers and isinstance(last := self.answers[-1], Equal) and last.ranges < RECONCILE_OPEN_RANGES_MAX:
            self.answers[-1] = Equal(last.ranges + 1)
        elif not self._add(Equal(1)):
            return False
        self.todo.popleft()
        return True

    def _split(self, todo: Compare, parts: int) -> bool:
        open_after = len(self.todo) - 1 + len(self._run.asked) + len(self.asked) + parts
        if open_after > RECONCILE_OPEN_RANGES_TARGET and not self._leftmost():
            return False
        split, asked = _split(self._run, todo.after, todo.through, parts)
        if not self._add(split):
            return False
        self.todo.popleft()
        self.asked += asked
        return True

    def _list(self, todo: Compare | Continuing, ours: int, held_max: int) -> bool:
        limit = RECONCILE_LISTED_RECORDS_MAX if self._leftmost() else RECONCILE_LISTED_RECORDS_TARGET
        permitted = min(ours, max(0, limit - self._run.listed), self._room // HASH_BYTES)
        found = self._run.view.items(todo.after, todo.through, permitted)
        fitting = self._fitting([record for record, _ in found])
        items = tuple(Item(*item) for item in found[:fitting])
        if fitting < ours and (not fitting or (self.answers and ours <= _WHOLE_RECORDS)):
            return False
        end = todo.through if fitting == ours else items[-1].record
        if not self._add(Listing(None if fitting == ours else end, items)):
            return False
        self.todo.popleft()
        self.asked.append(Asked(todo.after, end, AskedKind.LISTING, fitting, held_max))
        self._run.listed += fitting
        if fitting < ours:
            assert end is not None, "a listing that was cut ends at a record"
            self.todo.appendleft(Continuing(end, todo.through, held_max))
        return fitting == ours

    def _reply(self, todo: Replying) -> bool:
        total = self._run.view.aggregate(todo.after, todo.through)[0]
        permitted = min(total, self._room // HASH_BYTES + len(todo.listed) + 1)
        mine = self._run.view.items(todo.after, todo.through, permitted)
        ours, theirs = dict(mine), dict(todo.listed)
        different = sorted(record for record in ours.keys() | theirs.keys() if ours.get(record) != theirs.get(record))
        if permitted < total:
            different = [record for record in different if record <= mine[-1][0]]
        fitting = self._fitting(different)
        whole = permitted == total and fitting == len(different)
        if not whole and (not fitting or (self.answers and permitted == total and len(different) <= _WHOLE_RECORDS)):
            return False
        through = None if whole else different[fitting - 1]
        told = different[:fitting]
        if not (self._told(ours, told, through) if told else self._equal_reply()):
            return False
        self.todo.popleft()
        listed = todo.listed
        if through is not None:
            rest = tuple(item for item in listed if item.record > through)
            listed = listed[: len(listed) - len(rest)]
            self.todo.appendleft(Replying(through, todo.through, rest))
        self._note(told, ours, theirs, len(listed))
        return whole

    def _equal_reply(self) -> bool:
        """Like `_equal`, but leaves the range to the caller."""
        self.todo.appendleft(self.todo[0])
        if self._equal():
            return True
        self.todo.popleft()
        return False

    def _told(self, ours: dict[str, bytes], told: Sequence[str], through: str | None) -> bool:
        held = tuple(Item(record, ours[record]) for record in told if record in ours)
        return self._add(Reply(through, held, tuple(record for record in told if record not in ours)))

    def _note(self, told: Sequence[str], ours: dict[str, bytes], theirs: dict[str, bytes], listed: int) -> None:
        """Take the differences that the partner is being told for this side as well."""
        run = self._run
        run.kept -= listed
        run.compared += listed + sum(record not in theirs for record in told)
        run.different += len(told)
        for record in told:
            if record in theirs:
                run.want.append(Wanted(record, theirs[record]))
            if record in ours:
                run.owe.append(Owed(record, theirs.get(record)))

    def _fitting(self, names: Sequence[str]) -> int:
        """How many of these ascending names, each with a hash, fit into the room that is left."""
        if not names:
            return 0
        room = self._room - _FIXED_BYTES
        each = 2 + HASH_BYTES - shared_length(names[0], names[-1])
        for position, name in enumerate(names):
            room -= each + len(name)
            if room < 0:
                return position
        return len(names)

    def _add(self, answer: Answer) -> bool:
        room = self._room - answer_bytes(answer)
        if room < 0:
            return False
        self._room = room
        self.answers.append(answer)
        return True
