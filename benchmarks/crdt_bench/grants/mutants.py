"""Bugs in who may hold what, to be planted: the oracle notices each."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from unittest.mock import patch

from crdt_sync.policy.values import Forms, Whereabouts
from crdt_sync.protocol.hub.audience import Audience
from crdt_sync.protocol.hub.presence import OpenRecords
from crdt_sync.protocol.selecting import Picked, Selected, Step
from crdt_sync.protocol.sight import Sight
from crdt_sync.replica.partner import Partner
from crdt_sync.replica.sights import StoreSights
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.places import Row

Planted = Callable[[], AbstractContextManager[object]]

_pick, _next = Selected.pick, Selected.next
_compact, _regrant = MemoryStore.compact, Selected.regrant


def _no_live_drop(self: Selected, *told: object) -> Picked:
    return _pick(self, *told)._replace(dropped=())  # type: ignore[arg-type]


def _no_whole(self: Selected, *told: object) -> Picked:
    return _pick(self, *told)._replace(whole=())  # type: ignore[arg-type]


def _no_drop_in_the_feed(self: Selected, cursor: int, records_max: int) -> Step:
    return _next(self, cursor, records_max)._replace(dropped=())


def _compaction_forgets_moves(self: MemoryStore, before: int | None = None) -> object:
    places = self._content.places
    places.rows = {record: replace(row, left=()) for record, row in places.rows.items()}
    return _compact(self, before)


def _old_value(self: StoreSights, record: str, _after: int) -> Whereabouts | None:
    """What it showed first decides."""
    found = self._store.whereabouts(record, 0)
    if found is None or not found.left:
        return found
    return found._replace(forms=found.left[0], left=())


def _old_values(self: StoreSights, records: Sequence[str], after: int) -> list[Whereabouts | None]:
    return [_old_value(self, record, after) for record in records]


@contextmanager
def _old_values_decide() -> Iterator[None]:
    with patch.multiple(StoreSights, whereabouts=_old_value, whereabouts_of=_old_values):
        yield


def _everything_listed(self: Selected, cursor: int, records_max: int) -> Step:
    found = _next(self, cursor, records_max)
    return found._replace(listed=[*found.listed, *self._source.feed(found.cursor, 1)]) if found.listed else found


def _any_condition(self: Sight, record: str, forms: Forms) -> bool:
    collection = record.partition("/")[0]
    return any(cell.atom.collection == collection and cell.atom.field in ("", *forms) for cell in self.cells)


def _rest_not_asked(self: Sight, record: str, forms: Forms) -> bool:
    collection = record.partition("/")[0]
    shown = {("", ""), *forms.items()}
    return any(
        cell.atom.collection == collection and (cell.atom.field, cell.atom.value) in shown for cell in self.cells
    )


def _grant_is_forgotten(self: Selected, sight: Sight) -> bool:
    _regrant(self, sight)
    self._before = ()
    return True


def _settled_at_once(self: Selected) -> bytes:
    return self._sights.epoch(self._principal, (self.sight,))


def _takes_grants_of_others(self: Selected, _resume: object) -> None:
    self._before = ()


def _all_presence(self: OpenRecords, session: int, _sees: object = None) -> object:
    return _tell(self, session)


def _half_a_drop(self: Partner, effect: object) -> None:
    """The records stay, and what stands for them is stored."""


def _moved_forgets(self: Row, _seq: int, forms: object) -> tuple[Row, int]:
    return Row(forms, self.since), 0  # type: ignore[arg-type]


def _woken_if_it_holds_now(self: Audience, record: str, where: Whereabouts) -> set[int]:
    return _reached(self, record, where._replace(left=()))


def _all_held(self: StoreSights, _sight: Sight) -> list[str]:
    return self._store.records("", self._store.count())


def _gained_alone(self: Selected) -> Iterator[tuple[str, bool] | None]:
    return (each if each is None or each[1] else None for each in _difference(self))


def _lost_alone(self: Selected) -> Iterator[tuple[str, bool] | None]:
    return (each if each is None or not each[1] else None for each in _difference(self))


_tell, _reached, _difference = OpenRecords.tell, Audience._reached, Selected._difference

MUTANTS: dict[str, Planted] = {
    "a record that leaves is not dropped, live": lambda: patch.object(Selected, "pick", _no_live_drop),
    "a record that comes is not sent whole": lambda: patch.object(Selected, "pick", _no_whole),
    "what left meanwhile is not dropped": lambda: patch.object(Selected, "next", _no_drop_in_the_feed),
    "compaction forgets what records left": lambda: patch.object(MemoryStore, "compact", _compaction_forgets_moves),
    "a move is forgotten at once": lambda: patch.object(Row, "moved", _moved_forgets),
    "what a record showed first decides": _old_values_decide,
    "one more is listed than may be held": lambda: patch.object(Selected, "next", _everything_listed),
    "any value of a field will do": lambda: patch.object(Sight, "holds", _any_condition),
    "the rest of a condition is not asked": lambda: patch.object(Sight, "holds", _rest_not_asked),
    "an older grant is forgotten": lambda: patch.object(Selected, "regrant", _grant_is_forgotten),
    "older grants are forgotten at the next hello": lambda: patch.object(Selected, "resume", _takes_grants_of_others),
    "an epoch names the newest grant alone": lambda: patch.object(Selected, "epoch", property(_settled_at_once)),
    "what a grant takes away stays": lambda: patch.object(Selected, "_difference", _gained_alone),
    "what a grant gives does not come": lambda: patch.object(Selected, "_difference", _lost_alone),
    "who has a hidden record open is told": lambda: patch.object(OpenRecords, "tell", _all_presence),
    "a device does not delete what is dropped": lambda: patch.object(Partner, "_drop", _half_a_drop),
    "only who holds a record now is woken": lambda: patch.object(Audience, "_reached", _woken_if_it_holds_now),
    "receipts and audits go over all records": lambda: patch.object(StoreSights, "held", _all_held),
    "a want of a hidden record is answered": lambda: patch.object(Selected, "holds", lambda _self, _record: True),
    "a push of a hidden record is taken": lambda: patch.object(Selected, "takes", lambda _self, _record: True),
    "what a session writes and may not hold stays": lambda: patch.object(Selected, "hides", lambda *_: False),
}
