"""What a dialing session asks of the disk, carried out in order. Pure but for the partner's store.

Call `carry_out` where a slow disk delays nothing else, and give its answers to the session where that lives.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType

from crdt_sync.limits import WANT_RECORDS_MAX
from crdt_sync.protocol.dialer import Dialer
from crdt_sync.protocol.effects import Acknowledge, Compare, Effect, Integrate, Owe, ReportsNoted
from crdt_sync.protocol.marks import newest_head
from crdt_sync.replica.partner import Partner

_JOINED_MAX = 64  # effects that share one commit
_JOINED_UPDATES_MAX = 512  # updates that do: a tenth of a second, for which edits wait
_REST = 2

Answer = Callable[[int], None]
"""Tells the session that something was carried out, at the time given."""


class Rest:
    """How long answers to pushes wait for more of them, which share their commit: twice what the last such one took.

    Each commit of answers keeps the edits waiting that are answered next. Without more to come nothing waits.
    """

    def __init__(self) -> None:
        self._until = 0

    def noted(self, begun: int, now: int) -> None:
        """A commit of answers is over."""
        self._until = now + _REST * (now - begun)

    def left_us(self, work: Collection[Effect], now: int, *, more_to_come: bool) -> int:
        """How long all of `work` is to wait yet."""
        if not more_to_come or now >= self._until or len(work) >= _JOINED_MAX:
            return 0
        return self._until - now if all(isinstance(effect, Acknowledge) for effect in work) else 0


def take_work(work: deque[Effect]) -> list[Effect]:
    """Take the next effect, or a run of `Integrate` or of `Acknowledge` that can share a commit.

    `work` must not be empty.
    """
    first = work.popleft()
    effects = [first]
    updates, records = _size(first), _acknowledged(first)
    while work and len(effects) < _JOINED_MAX and (updates := updates + _size(work[0])) <= _JOINED_UPDATES_MAX:
        match first, work[0]:
            case Integrate(), Integrate() as following:
                if following.owe != first.owe or _alone(first) or _alone(following):
                    break
            case Acknowledge(), Acknowledge() as following:
                named = _acknowledged(following)
                if not records.isdisjoint(named):
                    break  # the second answer speaks of what the outbox holds after the first
                records |= named
            case _:
                break
        effects.append(work.popleft())
    return effects


def _size(effect: Effect) -> int:
    """How many updates it is about."""
    match effect:
        case Integrate():
            return len(effect.entries)
        case Acknowledge():
            return len(effect.verdicts)
    return 0


def _alone(effect: Integrate) -> bool:
    """Whether it changes what may be held here, which nothing that comes behind it may be stored before."""
    return bool(effect.dropped or effect.epoch)


def _acknowledged(effect: Effect) -> set[str]:
    """The records whose pushes it answers."""
    return {pushed.record for pushed in effect.verdicts} if isinstance(effect, Acknowledge) else set()


def carry_out(
    partner: Partner,
    dialer: Dialer,
    effects: Sequence[Effect],
    refused: Mapping[str, str] = MappingProxyType({}),
) -> list[Answer]:
    """Carry out what `take_work` returned; returns the answers to give. `refused`: see `Replica.integrate`.

    Raises what `Store.commit` raises.
    """
    match effects[0]:
        case Integrate():
            run = [effect for effect in effects if isinstance(effect, Integrate)]
            if _alone(run[0]):
                partner.regrant(run[0])
                return [_integrated(dialer, run[0].number, ())]
            cursors = [effect.cursor for effect in run if effect.cursor is not None]
            entries = tuple(entry for effect in run for entry in effect.entries)
            head = newest_head(effect.head for effect in run)
            unserved = tuple(record for effect in run for record in effect.unserved)
            joined = Integrate(run[-1].number, entries, cursors[-1] if cursors else None, head, run[0].owe, unserved)
            gaps = partner.integrate(joined, refused)
            answers = [_integrated(dialer, effect.number, ()) for effect in run[:-1]]
            return [*answers, _integrated(dialer, joined.number, gaps)]
        case Compare():
            view = partner.compare()
            return [lambda now: dialer.compare(view, now)]
        case Owe() as owe:
            partner.owe(owe)
            return [dialer.owed]
        case ReportsNoted(entries):
            partner.forget_reports(entries)
            return [dialer.reports_forgotten]
        case Acknowledge():
            acks = [effect for effect in effects if isinstance(effect, Acknowledge)]
            cursors = [effect.cursor for effect in acks if effect.cursor is not None]
            verdicts = tuple(pushed for effect in acks for pushed in effect.verdicts)
            head = newest_head(effect.head for effect in acks)
            joined_acks = Acknowledge(acks[-1].number, verdicts, cursors[-1] if cursors else None, head)
            again = partner.acknowledge(joined_acks)
            fetched = partner.to_take_back(joined_acks)
            return [*(_noted(dialer, effect, again) for effect in acks), *_fetches(dialer, fetched)]
    return []


def _integrated(dialer: Dialer, number: int, gaps: Sequence[tuple[str, bytes]]) -> Answer:
    return lambda now: dialer.integrated(number, gaps, now)


def _fetches(dialer: Dialer, records: Sequence[str]) -> list[Answer]:
    pages = [records[start : start + WANT_RECORDS_MAX] for start in range(0, len(records), WANT_RECORDS_MAX)]
    return [lambda _, page=page: dialer.fetch(page) for page in pages]  # type: ignore[misc]  # a default, no argument


def _noted(dialer: Dialer, effect: Acknowledge, again: Sequence[str]) -> Answer:
    records = _acknowledged(effect)
    left = [record for record in again if record in records]
    return lambda now: dialer.acknowledged(effect.number, left, now)
