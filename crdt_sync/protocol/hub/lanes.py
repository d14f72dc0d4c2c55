"""Lanes: in which order what was pushed goes to a worker.

Rules:

1. An update weighs twice its bytes, as it is there again on its way to a worker and to the disk, and
   `TAKEN_UPDATE_BYTES` at least.
2. Fair queueing by weight: the principal is next whose next piece would be done first if all that wait were served at
   once and alike. Who did not wait before is `_CREDIT` ahead of who did, so that a device with an edit now and then
   waits for none that pushes much, however many of these there are. All sessions of one user, or of one device at one
   address, have one share of that, which goes round among them.
3. Time goes on with all that is done, so nobody waits for ever for those who come anew.
4. A session's updates keep their order. A large push goes in pieces, which are answered together: one update, or
   several that come to `piece_updates` times `TAKEN_UPDATE_BYTES` at most. For that each counts its bytes once, and
   `TAKEN_UPDATE_BYTES` at least.
5. A batch is short, as who comes now waits for what is under way. A piece of a large push fills it, and waits for the
   next one where something else is in it; pushes of a few updates join in greater number. Here updates are counted,
   whatever they weigh; but nothing joins once the batch weighs `INTEGRATION_BYTES_MAX` by the first rule. While enough
   of large pushes is on its way to the disk, a batch has small ones alone.
6. In the quick lane, small pushes of a session that wait one behind the other go together, as a piece of a large push
   does, up to the weight, by the first rule, of `_TOGETHER` small updates: one acknowledgement answers them, which is
   most of what they cost. They count for the turns that follow, and who comes anew is ahead of them all the same.
"""

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Self
from weakref import WeakValueDictionary

from crdt_sync import limits
from crdt_sync.principal import Principal, Share
from crdt_sync.protocol.hub.effects import IntegrationItem
from crdt_sync.protocol.hub.turns import Turns
from crdt_sync.protocol.messages import PushEntry, Verdict, VerdictCode
from crdt_sync.protocol.quotas import Charge

_CREDIT = 64 * limits.TAKEN_UPDATE_BYTES  # weight: a device that was away has some dozens of edits
LITTLE = 16  # updates of a push that is not large: half of a piece of a large one
_TOGETHER = 8  # updates of small pushes: a quarter of a piece of a large one


class Part(NamedTuple):
    """One update of a batch: whose push it is of."""

    session: int
    number: int
    position: int


new_part: Callable[[tuple[int, int, int]], Part] = partial(tuple.__new__, Part)
"""The same as the constructor, of its fields, without a call of Python's: there is one for each update."""

Entries = tuple[tuple[int, PushEntry], ...]
"""Updates, each with its position in its push."""


class Waiting(NamedTuple):
    """What of a push waits for its turn."""

    number: int
    entries: Entries
    weight: int

    @classmethod
    def of(cls, number: int, entries: Entries) -> Self:
        """These updates of the push of that number."""
        return cls(number, entries, weight_of(entry for _, entry in entries))

    def begins(self) -> tuple[int, int]:
        """The number of the push and the position in it."""
        return self.number, self.entries[0][0]


@dataclass(slots=True)
class Batch:
    """An integration or a commit under way."""

    number: int
    items: tuple[IntegrationItem, ...]
    parts: tuple[tuple[Part, ...], ...]  # per item, per update
    stored: tuple[tuple[Part, ...], ...] = ()  # per change, per update
    riders: list[tuple[Part, Verdict]] = field(default_factory=list)  # answers that speak of what is not on disk yet
    much: bool = False  # some of it is of large pushes
    storing: int = field(init=False)  # how many updates it stores

    def __post_init__(self) -> None:
        self.storing = sum(map(len, self.stored))


@dataclass(slots=True)
class Push:
    """A push on its way, filling with verdicts."""

    session: int
    number: int
    verdicts: list[Verdict | None]
    seqs: list[int] = field(default_factory=list)
    missing: int = 0
    taken_at: int = 0
    weight: int = 0
    charges: dict[int, Charge] = field(default_factory=dict)  # by position: what counts against quotas


@dataclass(slots=True, eq=False)
class Sender:
    """A session that has pushed."""

    session: int
    principal: Principal
    origin: bytes  # its replica
    lane: "Lane"
    share: Share
    slow_until: int = 0  # it goes by the slow lane
    waiting: deque[Waiting] = field(default_factory=deque)  # changed by its lane alone
    pushes: deque[Push] = field(default_factory=deque)  # in order; answered from the left
    strikes: int = 0
    gone: bool = False  # its session is over
    put_off: bool = False  # it was told when to try again
    turns: Turns["Sender"] = field(init=False)  # in its lane
    name: str = field(init=False)  # of whom workers count what each costs
    verdicts: Counter[VerdictCode] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        user, address, device = self.share
        self.name = f"{user}/{address}/{device.hex()}"
        self.turns = self.lane.turns(self.share)

    def waits_for(self, before: tuple[int, int]) -> dict[str, tuple[int, int]]:
        """Record to the first update of it that waits: number and position of its push, of those that begin before.

        What waits is in the order in which it was pushed, so that of much only that part is looked at.
        """
        found: dict[str, tuple[int, int]] = {}
        for push in self.waiting:
            if push.begins() > before:
                break
            for position, entry in push.entries:
                found.setdefault(entry.record, (push.number, position))
        return found


class Lane:
    """The way through one of the workers. See the module."""

    def __init__(self, *, slow: bool) -> None:
        self.slow = slow
        self.waiting = 0  # updates that wait for their turn
        self.waiting_weight = 0
        self.integrating: deque[Batch] = deque()
        self.discard = 0  # that many of the batches being integrated build on a failed commit
        self._order: list[tuple[int, int, Turns[Sender]]] = []  # when the next piece would be done, and the place
        # While senders of theirs are here.
        self._turns: WeakValueDictionary[Share, Turns[Sender]] = WeakValueDictionary()
        self._places = 0
        self._time = 0  # weight that was done of each that waited

    @property
    def busy(self) -> set[str]:
        """The records that are being integrated."""
        return {item.record for batch in self.integrating for item in batch.items}

    def turns(self, share: Share) -> Turns["Sender"]:
        """Those of that share here. They last as long as a sender keeps them."""
        turns = self._turns.get(share)
        if turns is None:
            turns = self._turns[share] = Turns()
        return turns

    def add(self, sender: Sender, push: Waiting) -> None:
        """It waits here, after what its session pushed before."""
        self._count(push, 1)
        sender.waiting.append(push)
        if len(sender.waiting) == 1:
            alone = not sender.turns.waiting
            sender.turns.waiting[sender] = None
            if alone:
                self._queue(sender.turns)

    def put_back(self, sender: Sender, pushes: Sequence[Waiting]) -> None:
        """These wait here again, in the order in which the session pushed: of the batch before, others may already."""
        for push in pushes:
            self._count(push, 1)
        waiting = list(heapq.merge(pushes, sender.waiting, key=Waiting.begins))
        sender.waiting.clear()
        sender.waiting.extend(waiting)
        sender.turns.waiting[sender] = None
        self._queue(sender.turns)

    def take_over(self, sender: Sender) -> None:
        """What waits of that session waits here from now on."""
        waiting = sender.lane.remove(sender)
        sender.lane, sender.turns = self, self.turns(sender.share)
        for push in waiting:
            self.add(sender, push)

    def remove(self, sender: Sender) -> list[Waiting]:
        """Nothing of that session waits any more. Returns what did."""
        waiting = list(sender.waiting)
        sender.waiting.clear()
        sender.turns.waiting.pop(sender, None)
        for push in waiting:
            self._count(push, -1)
        return waiting

    @property
    def enough(self) -> bool:
        """Whether so much waits that it is worth a batch beside the one under way."""
        return 2 * self.waiting >= piece_updates()

    def next_batch(self, busy: set[str], *, little: bool = False) -> list[tuple[Sender, Waiting]]:
        """Take what the next batch is of: `little`, of small pushes alone. What has a record that is `busy` in the
        other lane waits.
        """
        pieces: list[tuple[Sender, Waiting]] = []
        held_up: list[tuple[int, int, Turns[Sender]]] = []
        most = batch_updates()
        updates = weight = 0
        while self._order and updates < most and weight < limits.INTEGRATION_BYTES_MAX:
            entry = heapq.heappop(self._order)
            _, place, turns = entry
            if turns.place != place or not turns.waiting:
                continue
            found = _first_free(turns.waiting, busy)
            if found is None:
                held_up.append(entry)
                continue
            sender, piece = found
            done = turns.begun + piece.weight
            count = len(piece.entries)
            if little and is_much(piece):
                held_up.append(entry)
                continue
            if updates and updates + count > (piece_updates() if is_much(piece) else most):
                held_up.append(entry)
                break
            together = 0
            while True:
                pieces.append((sender, piece))
                self._take(sender, piece, done)
                updates += len(piece.entries)
                together += piece.weight
                following = sender.waiting[0] if sender.waiting and not self.slow else None
                if following is None or not self._joins(following, together, most - updates, busy):
                    break
                piece = following
                done += piece.weight
            weight += together
            del turns.waiting[sender]
            if sender.waiting:
                turns.waiting[sender] = None  # after the others
            if turns.waiting:
                self._queue(turns)
        for entry in held_up:
            heapq.heappush(self._order, entry)
        return pieces

    def _take(self, sender: Sender, piece: Waiting, done: int) -> None:
        push = sender.waiting.popleft()
        if piece is not push:
            rest = push.entries[len(piece.entries) :]
            sender.waiting.appendleft(Waiting(push.number, rest, push.weight - piece.weight))
        self._count(piece, -1)
        sender.turns.served = done
        self._time = max(done - piece.weight, self._time + piece.weight // (len(self._order) + 1))

    @staticmethod
    def _joins(push: Waiting, together: int, room: int, busy: set[str]) -> bool:
        """Whether a push goes together with what has that weight and was taken from its session before; see rule 6."""
        if together + push.weight > _TOGETHER * limits.TAKEN_UPDATE_BYTES or len(push.entries) > room:
            return False
        return not busy or not any(waiting.record in busy for _, waiting in push.entries)

    def _queue(self, turns: Turns["Sender"]) -> None:
        self._places += 1
        turns.place = self._places
        turns.begun = max(turns.served, self._time - _CREDIT)
        first = _first_piece(next(iter(turns.waiting)).waiting[0])
        heapq.heappush(self._order, (turns.begun + first.weight, turns.place, turns))

    def _count(self, push: Waiting, sign: int) -> None:
        self.waiting += sign * len(push.entries)
        self.waiting_weight += sign * push.weight


def batch_updates() -> int:
    """How many updates a batch has at most."""
    return max(1, limits.INTEGRATION_UPDATES_MAX // 8)


def piece_updates() -> int:
    """How many updates of one push a batch has at most."""
    return max(1, limits.INTEGRATION_UPDATES_MAX // 16)


def is_much(piece: Waiting) -> bool:
    """Whether it is of a large push; the last piece of one may pass for a small push."""
    return len(piece.entries) > LITTLE


def weight_of(entries: Iterable[PushEntry]) -> int:
    """See the first rule."""
    least, weight = limits.TAKEN_UPDATE_BYTES, 0
    for _, update in entries:
        size = 2 * len(update)
        weight += size if size > least else least
    return weight


def _first_free(senders: Iterable[Sender], busy: set[str]) -> tuple[Sender, Waiting] | None:
    """The first of them, with its first piece, that has no record that is `busy`."""
    for sender in senders:
        piece = _first_piece(sender.waiting[0])
        if not busy or not any(waiting.record in busy for _, waiting in piece.entries):
            return sender, piece
    return None


def _first_piece(push: Waiting) -> Waiting:
    """What of it goes together: all of it, or a part that is no larger than so many small updates."""
    least = limits.TAKEN_UPDATE_BYTES
    room = piece_updates() * least
    if len(push.entries) == 1 or push.weight <= room:
        return push
    size = 0
    for count, (_, entry) in enumerate(push.entries):
        size += max(least, len(entry.update))
        if count and size > room:
            return Waiting.of(push.number, push.entries[:count])
    return push
