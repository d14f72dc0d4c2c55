"""Taking in the partner's answers: each closes, splits or narrows the next range that was left to it."""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from operator import attrgetter
from typing import NoReturn

from crdt_sync.errors import ProtocolViolation
from crdt_sync.limits import RECONCILE_LISTED_RECORDS_MAX, RECONCILE_RECORDS_MAX
from crdt_sync.protocol.reconcile.fingerprint import fingerprint
from crdt_sync.protocol.reconcile.messages import Answer, Equal, Listing, Print, Reply, Split
from crdt_sync.protocol.reconcile.run import Asked, AskedKind, Compare, Owed, Replying, Run, Todo, Wanted


def read_answers(run: Run, answers: Sequence[Answer]) -> None:
    """Bring `run` up to date. Raises `ProtocolViolation`, after which `run` is of no more use."""
    reading = _Reading(run)
    for answer in answers:
        reading.take(answer)
    run.asked = list(reading.asked)
    run.todo = sorted([*run.todo, *reading.todo], key=attrgetter("after"))


class _Reading:
    """The ranges left to the partner as its answers use them up, and what becomes of them."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.asked = deque(run.asked)
        self.todo: list[Todo] = []

    def take(self, answer: Answer) -> None:
        match answer:
            case Equal(ranges):
                for _ in range(ranges):
                    self._equal(self._next(AskedKind.PRINT, AskedKind.LISTING))
            case Split():
                self._split(self._next(AskedKind.PRINT, AskedKind.OPENING), answer)
            case Listing():
                self._listing(self._next(AskedKind.PRINT, AskedKind.REST), answer)
            case Reply():
                self._reply(self._next(AskedKind.LISTING), answer)

    def _next(self, *kinds: AskedKind) -> Asked:
        if not self.asked:
            _refuse("an answer to no range")
        asked = self.asked.popleft()
        if asked.kind not in kinds:
            _refuse(f"not an answer to {asked.kind.value}")
        return asked

    def _equal(self, asked: Asked) -> None:
        self._run.listed -= asked.listed
        self._run.compared += asked.listed

    def _split(self, asked: Asked, split: Split) -> None:
        if len(split.prints) == 1 and asked.kind is not AskedKind.OPENING:
            _refuse("a split into one part")
        if split.bounds and not _inside(asked, split.bounds[0], split.bounds[-1]):
            _refuse("a split outside its range")
        if split.bounds and split.bounds[-1] == asked.through:
            _refuse("a split with a part that can hold nothing")
        ends = pairwise((asked.after, *split.bounds, asked.through))
        for (after, through), theirs in zip(ends, split.prints, strict=True):
            assert after is not None, "only the last bound is None"
            self.todo.append(self._part(after, through, theirs))

    def _part(self, after: str, through: str | None, theirs: Print) -> Todo:
        if not theirs.records:
            return Replying(after, through, ())
        count, total = self._run.view.aggregate(after, through)
        return Compare(after, through, theirs, count, fingerprint(count, total) == theirs.fingerprint)

    def _listing(self, asked: Asked, listing: Listing) -> None:
        if listing.items and not _inside(asked, listing.items[0].record, listing.items[-1].record):
            _refuse("a listing outside its range")
        if listing.through is not None:
            self._keep_rest(asked, Asked(listing.through, asked.through, AskedKind.REST))
        self._run.kept += len(listing.items)
        if self._run.kept > RECONCILE_LISTED_RECORDS_MAX:
            _refuse(f"more than {RECONCILE_LISTED_RECORDS_MAX} records listed ahead of replies")
        self._receive(len(listing.items))
        end = asked.through if listing.through is None else listing.through
        self.todo.append(Replying(asked.after, end, listing.items))

    def _reply(self, asked: Asked, reply: Reply) -> None:
        end = asked.through if reply.through is None else reply.through
        ours = dict(self._run.view.items(asked.after, end, asked.listed))
        held_max = asked.held_max - len(reply.held)
        if held_max < 0:
            _refuse("more records held than its print counted")
        if reply.through is not None:
            rest = Asked(reply.through, asked.through, AskedKind.LISTING, asked.listed - len(ours), held_max)
            self._keep_rest(asked, rest)
        if reply.held and not _inside(asked, reply.held[0].record, reply.held[-1].record):
            _refuse("a reply outside its range")
        self._receive(len(reply.held))
        self._run.listed -= len(ours)
        self._run.compared += len(ours)
        for record, digest in reply.held:
            mine = ours.get(record)
            if mine == digest:
                _refuse(f"{record} is told to differ and does not")
            self._run.want.append(Wanted(record, digest))
            if mine is None:
                self._run.compared += 1
            else:
                self._run.owe.append(Owed(record, digest))
        for record in reply.lacking:
            if record not in ours:
                _refuse(f"{record} is told to lack and was not listed")
            self._run.owe.append(Owed(record, None))
        self._run.different += len(reply.held) + len(reply.lacking)

    def _keep_rest(self, asked: Asked, rest: Asked) -> None:
        if not _inside(asked, rest.after, rest.after) or rest.after == asked.through:
            _refuse("an answer that ends outside its range")
        self.asked.appendleft(rest)

    def _receive(self, records: int) -> None:
        self._run.received += records
        if self._run.received > RECONCILE_RECORDS_MAX:
            _refuse(f"more than {RECONCILE_RECORDS_MAX} records")


def _inside(asked: Asked, first: str, last: str) -> bool:
    return first > asked.after and (asked.through is None or last <= asked.through)


def _refuse(problem: str) -> NoReturn:
    raise ProtocolViolation(f"ranges: {problem}")
