"""Which items go into the next request, and what a worker's death means for them. Pure.

Rules:

1. Items are integrated in the order given; a request takes as many as its limits allow.
2. A death with a mark makes the marked item suspect. The items before it are asked again together, then it alone,
   then those behind it: order is kept, and nobody else is harmed.
3. An update that was marked twice, the second time in an item that was alone in a fresh worker and had several times
   the processor time, is poison. The rest of its item goes on without it.
4. Of a sender with `POISON_STRIKES_MAX` poisonous updates in the batch nothing more is examined, but answered
   `retry`: so the time that one sender costs the others is bounded.
5. A death without a mark, or while the record's own stored state was loaded, condemns no update: after
   `_DEATHS_MAX` of them the item is answered `retry`, after `_UNEXPLAINED_MAX` the whole batch.
6. Neither does the death of a worker that was stuck: it used no processor, so the bytes did not keep it.
7. Who used up its processor time while others wait is put off: what it sends for that record is answered `retry`, and
   is tried alone when it comes again, see `Suspects`; what else it sent is answered `retry` too. So others wait for one
   first trial of a sender, and not for the larger one.
8. With a `Turn`, what a sender has left is `POSTPONED` once it had its turn. In a short one so is what it has left when
   something of it is large, is left out by the worker, or kills it: it is tried where others do not wait for it.
"""

import hashlib
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from crdt_sync import limits
from crdt_sync.policy.values import Values
from crdt_sync.runtime.worker.budget import Budget
from crdt_sync.runtime.worker.pipe import UNREADABLE
from crdt_sync.runtime.worker.progress import LOADING, Mark
from crdt_sync.runtime.worker.suspects import Suspects
from crdt_sync.runtime.worker.values import OUT_OF_TURN, Item, Result, Turn, WorkedOn
from crdt_sync.verdicts import POSTPONED, Verdict, VerdictCode, refused

_DEATHS_MAX: Final = 3
_UNEXPLAINED_MAX: Final = 6  # deaths without a mark in one batch: something else is wrong, and everything left waits
_SIZE_MAX: Final = 2 * limits.RECORD_BYTES_MAX  # of a record and what is sent for it, whatever was sent before
_POISON = refused(VerdictCode.POISON, "this update ends or hangs the process that integrates it")
_STRUCK_OUT = refused(VerdictCode.RETRY, "not examined: too many updates of this sender ended the process")
_PUT_OFF = refused(VerdictCode.RETRY, "it takes long: it is tried again after what others wait for")
_UNEXPLAINED = refused(VerdictCode.RETRY, "not examined: the process ended for another reason")
_STUCK = refused(VerdictCode.RETRY, "not examined: this machine is too busy")
_UNLOADABLE = refused(VerdictCode.RETRY, "the stored record cannot be loaded")

STORED: Final = b""  # in the poison memory, in place of an update: the record's own stored state

Load = Callable[[str], Sequence[bytes]]


class PoisonMemory:
    """Hashes of updates that were found to be poison, so that sending one again costs nothing."""

    def __init__(self, entries_max: int = limits.POISONS_REMEMBERED_MAX) -> None:
        self._entries_max = entries_max
        self._hashes: OrderedDict[bytes, None] = OrderedDict()

    def add(self, record: str, update: bytes) -> None:
        """Remember one; the oldest is forgotten for it."""
        self._hashes[_hash(record, update)] = None
        if len(self._hashes) > self._entries_max:
            self._hashes.popitem(last=False)

    def discard(self, record: str, update: bytes) -> None:
        """Forget one, if it is there."""
        self._hashes.pop(_hash(record, update), None)

    @property
    def empty(self) -> bool:
        """Whether no update is known to be poison."""
        return not self._hashes

    def knows(self, record: str, update: bytes) -> bool:
        """Whether this update of this record is known to be poison."""
        return bool(self._hashes) and _hash(record, update) in self._hashes


@dataclass(slots=True)
class Work:
    """One item on its way."""

    item: Item
    remaining: list[int]  # positions of the updates without a verdict
    verdicts: list[Verdict | None]
    state_vector: bytes = b""
    snapshot: bytes | None = None
    lineage: int | None = None
    shown: Values | None = None
    bound: dict[int, str] = field(default_factory=dict)
    alone: bool = False
    suspect: int | None = None  # position of the update that the worker died of last
    deaths: int = 0  # deaths that condemn no update
    done: bool = False

    @classmethod
    def of(cls, item: Item) -> Self:
        """All of an item is to be asked for."""
        count = len(item.updates)
        return cls(item, list(range(count)), [None] * count)


@dataclass(slots=True)
class Request:
    """Items for the worker, as the pipe carries them, and the works that they stand for."""

    works: list[Work] = field(default_factory=list)
    items: list[tuple[str, Sequence[bytes] | None, Sequence[bytes], bool]] = field(default_factory=list)
    users: list[Sequence[str]] = field(default_factory=list)  # of each item, for each update, where it names any
    sizes: list[int] = field(default_factory=list)  # bytes of the record and the updates of each item
    updates: int = 0
    size: int = 0  # bytes of updates and stored states

    again: bool = False  # a worker died over its only item before, so that it needs a fresh one
    turn: Turn | None = None

    @property
    def budget(self) -> Budget:
        """The processor time that it may take."""
        return Budget(self.sizes, self.again, self.turn is not None and self.turn.short)

    @property
    def _bytes_max(self) -> int:
        short = self.turn is not None and self.turn.short
        return limits.QUICK_REQUEST_BYTES_MAX if short else limits.INTEGRATION_BYTES_MAX

    def at(self, mark: Mark | None) -> WorkedOn:
        """What of it a worker was at that died."""
        if mark is None or mark.item >= len(self.works):
            return WorkedOn()
        work = self.works[mark.item]
        return work.item.part(work.remaining[mark.update : mark.update + 1] or work.remaining)

    def takes(self, work: Work, size: int) -> bool:
        """Whether there is room for `work` as well."""
        return not self.works or (
            not work.alone
            and self.updates + len(work.remaining) <= limits.INTEGRATION_UPDATES_MAX
            and self.size + size <= self._bytes_max
        )


class Plan:
    """The way of one batch through one or several workers.

    `suspects` is None where nobody is put off; `others_wait` tells whether anybody but this sender waits for a later
    batch.
    """

    def __init__(
        self,
        items: Iterable[Item],
        poisons: PoisonMemory,
        suspects: Suspects | None = None,
        others_wait: Callable[[str], bool] = lambda _sender: False,
        turn: Turn | None = None,
    ) -> None:
        self._poisons = poisons
        self._suspects = suspects
        self._others_wait = others_wait
        self._turn = turn
        self._spent_us: Counter[str] = Counter()  # by sender
        self._works = [Work.of(item) if poisons.empty else self._admit(item) for item in items]
        self._next = 0  # everything before it is done
        self.accepted: defaultdict[str, list[bytes]] = defaultdict(list)  # by record: new ones of this batch
        self._strikes: Counter[str] = Counter()
        self._unexplained = 0
        self.poisoned = 0
        self.unloadable: list[WorkedOn] = []  # records, as often as one could not be loaded
        if suspects is not None:
            for work in self._works:
                self._recognise(work)

    def next_request(self, held: Callable[[str], int | None], load: Load) -> Request | None:
        """The next items to ask for, or `None` when all have their verdicts.

        `held` tells the size of a record that the worker holds, and None of one that it does not; `load` returns what
        is stored of such a one, and what this batch got accepted since is added here.
        """
        request = Request(turn=self._turn)
        sizes: dict[str, int] = {}  # of the records offered, with the updates for them
        while self._next < len(self._works) and self._works[self._next].done:
            self._next += 1
        for index in range(self._next, len(self._works)):
            work = self._works[index]
            if work.done:
                continue
            item = work.item
            updates = item.updates if len(work.remaining) == len(item.updates) else self._remaining(work)
            size = sent = sum(map(len, updates))
            if not request.takes(work, size):
                break
            stored: Sequence[bytes] | None = None
            known = sizes.get(item.record, held(item.record))
            if known is None or (work.alone and item.record not in sizes):
                stored = (*load(item.record), *self.accepted.get(item.record, ()))
                known = sum(map(len, stored))
                size += known
            whole = known + sent
            if self._is_long(whole):
                self._decide(work, work.remaining, POSTPONED)
                continue
            sizes[item.record] = whole = min(whole, _SIZE_MAX)
            request.sizes.append(whole)
            request.works.append(work)
            request.again = work.alone
            request.items.append((item.record, stored, updates, item.want_snapshot or work.lineage is not None))
            if item.users or not item.updates:
                request.users.append([item.users[position] for position in work.remaining])
            request.updates += len(updates)
            request.size += size
            if work.alone:
                break
        return request if request.works else None

    def answered(
        self, request: Request, results: Sequence[Result | None], spent_us: Sequence[int] | None = None
    ) -> None:
        """Take the worker's answer; an item without a result is asked for again.

        `spent_us` is how long each took, where the turn was over before the last.
        """
        away: dict[str, None] = {}  # senders that had their turn
        for work, result in zip(request.works, results, strict=True):
            if result is None:
                continue
            if result is UNREADABLE:
                self._unload(work)
                continue
            reached = 0
            for position, verdict in zip(work.remaining, result.verdicts, strict=True):
                if verdict is OUT_OF_TURN or verdict is POSTPONED:
                    away |= {work.item.source(position): None} if verdict is POSTPONED else {}
                    break
                reached += 1
                work.verdicts[position] = verdict
                if self._suspects is not None and verdict.code is not VerdictCode.RETRY:
                    self._suspects.passed(work.item.source(position), work.item.record)
                if verdict.code is VerdictCode.ACCEPTED and verdict.new:
                    self.accepted[work.item.record].append(work.item.updates[position])
            if result.lineage is not None and result.snapshot is not None:
                self.accepted[work.item.record].append(result.snapshot)  # what came before is in it
            work.remaining = work.remaining[reached:]
            work.state_vector = result.state_vector
            work.snapshot = result.snapshot
            if result.shown is not None:
                work.shown = result.shown
            if result.bound:
                work.bound |= result.bound
            work.lineage = result.lineage if result.lineage is not None else work.lineage
            work.done = not work.remaining
        for work, us in zip(request.works, spent_us or (), strict=False):
            self._charge(work, us)
        if self._turn is not None:
            away |= dict.fromkeys(sender for sender, us in self._spent_us.items() if us >= self._turn.us)
        self._send_away(away)

    def died(self, request: Request, mark: Mark | None, *, late: bool = False, stuck: bool = False) -> None:
        """The worker died over this request: find out whom to suspect, and condemn whoever was suspect already."""
        if mark is None or mark.item >= len(request.works):
            self._unexplained += 1
            affected = request.works if self._unexplained < _UNEXPLAINED_MAX else self._works
            for work in affected:
                self._excuse(work, _UNEXPLAINED, final=affected is self._works)
            return
        work = request.works[mark.item]
        if self._turn is not None and self._turn.short and not stuck and work.remaining:
            reached = work.remaining[mark.update : mark.update + 1] or work.remaining  # all of them while it was loaded
            self._send_away({work.item.source(position) for position in reached})
            return
        was_alone = len(request.works) == 1
        work.alone = True
        if stuck:
            self._excuse(work, _STUCK)
            return
        if mark.update >= len(work.remaining):
            self._excuse(work, _UNEXPLAINED)
            if work.done and mark.update == LOADING:
                self._unload(work)
            return
        position = work.remaining[mark.update]
        sender = work.item.source(position)
        if late and not request.again and self._gives_way(sender, work.item.record):
            work.alone = False
            self._put_off(sender, self._works)
            return
        if was_alone and work.suspect == position:
            work.suspect = None
            self._condemn(work, position)
            if late and self._suspects is not None and self._others(sender):
                self._put_off(sender, self._works)
            return
        if was_alone and work.suspect is not None:
            self._excuse(work, _UNEXPLAINED)
        work.suspect = position

    def refuse(self, record: str, reason: str) -> None:
        """Answer `retry` to everything left of a record that cannot be read from the store."""
        for work in self._works:
            if not work.done and work.item.record == record:
                self._refuse(work, refused(VerdictCode.RETRY, reason[: limits.REASON_LENGTH_MAX]))

    def results(self) -> list[Result]:
        """One result for each item, in order; every request must have been answered."""
        return [self._result(work) for work in self._works]

    def _admit(self, item: Item) -> Work:
        known = self._poisons.knows
        if known(item.record, STORED):
            return Work(item, [], [_UNLOADABLE] * len(item.updates), done=True)
        verdicts = [_POISON if known(item.record, update) else None for update in item.updates]
        remaining = [position for position, verdict in enumerate(verdicts) if verdict is None]
        return Work(item, remaining, verdicts, done=bool(item.updates) and not remaining)

    def _recognise(self, work: Work) -> None:
        """Try alone what was put off before, or put it off once more."""
        assert self._suspects is not None
        item = work.item
        for sender in dict.fromkeys(map(item.source, work.remaining)):
            known = self._suspects.knows(sender, item.record)
            shunned = self._suspects.shunned(sender) and self._others(sender)
            if shunned or (known and self._gives_way(sender, item.record)):
                self._put_off(sender, (work,))
            elif known:
                work.alone = True
                work.suspect = next(position for position in work.remaining if item.source(position) == sender)

    def _gives_way(self, sender: str, record: str) -> bool:
        """Whether others go first this time, before more is spent on what the sender sent for that record."""
        if self._suspects is None or not self._suspects.gives_way(sender, record) or not self._others(sender):
            return False
        self._suspects.put_off(sender, record)
        return True

    def _others(self, sender: str) -> bool:
        """Whether anybody else waits: all of a batch get their results together."""
        return self._others_wait(sender) or any(
            work.item.source(position) != sender for work in self._works for position in range(len(work.verdicts))
        )

    def _is_long(self, size: int) -> bool:
        return self._turn is not None and self._turn.short and size > limits.QUICK_ITEM_BYTES_MAX

    def _send_away(self, senders: Collection[str]) -> None:
        """What these have left of the batch comes another time."""
        for work in self._works if senders else ():
            places = [place for place in work.remaining if work.item.source(place) in senders]
            if places:
                self._decide(work, places, POSTPONED)

    def _charge(self, work: Work, us: int) -> None:
        """Share what an item took among those whose updates it has."""
        sources = work.item.sources or ("",)
        for sender, count in Counter(sources).items():
            self._spent_us[sender] += us * count // len(sources)

    def _put_off(self, sender: str, works: Iterable[Work]) -> None:
        for work in works:
            self._decide(work, [place for place in work.remaining if work.item.source(place) == sender], _PUT_OFF)

    def _condemn(self, work: Work, position: int) -> None:
        item = work.item
        self.poisoned += 1
        self._poisons.add(item.record, item.updates[position])
        self._decide(work, [position], _POISON)
        source = item.source(position)
        if self._suspects is not None:
            self._suspects.condemned(source, item.record)
        self._strikes[source] += 1
        if self._strikes[source] >= limits.POISON_STRIKES_MAX:
            for other in self._works:
                left = [position for position in other.remaining if other.item.source(position) == source]
                if left:
                    self._decide(other, left, _STRUCK_OUT)

    def _unload(self, work: Work) -> None:
        self.unloadable.append(work.item.part(work.remaining or range(len(work.item.updates))))
        self._poisons.add(work.item.record, STORED)
        self._refuse(work, _UNLOADABLE)

    def _excuse(self, work: Work, verdict: Verdict, final: bool = False) -> None:
        work.deaths += 1
        if work.deaths > 1:
            work.alone = True
        if not work.done and (final or work.deaths >= _DEATHS_MAX):
            self._refuse(work, verdict)

    @staticmethod
    def _refuse(work: Work, verdict: Verdict) -> None:
        for position in work.remaining:
            work.verdicts[position] = verdict
        work.remaining = []
        work.done = True

    @staticmethod
    def _decide(work: Work, positions: Iterable[int], verdict: Verdict) -> None:
        for position in positions:
            work.verdicts[position] = verdict
        work.remaining = [position for position in work.remaining if work.verdicts[position] is None]
        work.done = not work.remaining

    def _remaining(self, work: Work) -> tuple[bytes, ...]:
        return tuple(work.item.updates[position] for position in work.remaining)

    def _result(self, work: Work) -> Result:
        assert work.done
        verdicts = tuple([verdict for verdict in work.verdicts if verdict is not None])
        assert len(verdicts) == len(work.item.updates)
        return Result(verdicts, work.state_vector, work.snapshot, work.lineage, work.shown, work.bound)


def _hash(record: str, update: bytes) -> bytes:
    return hashlib.blake2b(record.encode() + b"\x00" + update, digest_size=16).digest()
