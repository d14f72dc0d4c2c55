"""What a dialing session asks of the disk, carried out in order. Pure but for the partner's store.

Call `carry_out` where a slow disk delays nothing else, and give its answers to the session where that lives.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from crdt_sync.protocol.dialer import Dialer
from crdt_sync.protocol.effects import Acknowledge, Compare, Effect, Integrate, Owe
from crdt_sync.replica.partner import Partner

_JOINED_MAX = 64  # effects that share one commit
_JOINED_UPDATES_MAX = 512  # updates that do: a tenth of a second, for which edits wait

Answer = Callable[[int], None]
"""Tells the session that something was carried out, at the time given."""


def take_work(work: deque[Effect]) -> list[Effect]:
    """Take the next effect, or a run of `Integrate` that can share a commit. `work` must not be empty."""
    first = work.popleft()
    effects = [first]
    updates = len(first.entries) if isinstance(first, Integrate) else 0
    while (
        isinstance(first, Integrate)
        and work
        and len(effects) < _JOINED_MAX
        and isinstance(following := work[0], Integrate)
        and following.owe == first.owe
        and (updates := updates + len(following.entries)) <= _JOINED_UPDATES_MAX
    ):
        effects.append(work.popleft())
    return effects


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
            cursors = [effect.cursor for effect in run if effect.cursor is not None]
            entries = tuple(entry for effect in run for entry in effect.entries)
            head = max(effect.head for effect in run)
            joined = Integrate(run[-1].number, entries, cursors[-1] if cursors else None, head, run[0].owe)
            gaps = partner.integrate(joined, refused)
            answers = [_integrated(dialer, effect.number, ()) for effect in run[:-1]]
            return [*answers, _integrated(dialer, joined.number, gaps)]
        case Compare():
            view = partner.compare()
            return [lambda now: dialer.compare(view, now)]
        case Owe() as owe:
            partner.owe(owe)
            return [dialer.owed]
        case Acknowledge() as acknowledge:
            again = partner.acknowledge(acknowledge)
            return [lambda now: dialer.acknowledged(acknowledge.number, again, now)]
    return []


def _integrated(dialer: Dialer, number: int, gaps: Sequence[tuple[str, bytes]]) -> Answer:
    return lambda now: dialer.integrated(number, gaps, now)
