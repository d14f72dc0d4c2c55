"""How much a session, and a device in a day, may store: bytes of updates, new records, and growth of one record. Pure.

An update counts from when it is taken, so that no session stores beyond a quota by what it has under way; what is
refused then counts no more. What brings nothing new counts as well.

The day is that of the wall clock, in UTC. Counts are kept in bounded tables, in memory: a restart forgets them, as do
others that come in great numbers. A device is the user where the principal names one, else the replica id.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from crdt_sync import limits
from crdt_sync.principal import Principal
from crdt_sync.verdicts import Verdict, VerdictCode, refused

_DAY_US = 24 * 60 * 60 * 1_000_000
_WHAT_NOW = "it keeps the edit, and offers it again with each sync; whoever runs the relay can allow more"


class Allowance(NamedTuple):
    """What may be stored; None is no limit. `growth` is in bytes of updates of one record."""

    bytes: int | None = None
    records: int | None = None
    growth: int | None = None


UNLIMITED = Allowance()


@dataclass(slots=True)
class _Used:
    bytes: int = 0
    records: int = 0


class _Counts:
    """What was stored, by session or by device. Where there are too many, whoever stored longest ago is forgotten."""

    def __init__(self) -> None:
        self.used: OrderedDict[Hashable, _Used] = OrderedDict()
        self.grown: OrderedDict[tuple[Hashable, str], int] = OrderedDict()
        self._told: OrderedDict[tuple[Hashable, str], None] = OrderedDict()

    def add(self, key: Hashable, record: str, size: int, *, new: bool, growth: bool) -> None:
        used = self.used.setdefault(key, _Used())
        self.used.move_to_end(key)
        used.bytes += size
        used.records += new
        if len(self.used) > limits.QUOTA_USERS_MAX:
            self.used.popitem(last=False)
        if growth:
            self.grown[key, record] = self.grown.pop((key, record), 0) + size
            if len(self.grown) > limits.QUOTA_RECORDS_MAX:
                self.grown.popitem(last=False)

    def take_back(self, key: Hashable, record: str, size: int, *, new: bool) -> None:
        if (used := self.used.get(key)) is not None:
            used.bytes = max(0, used.bytes - size)
            used.records = max(0, used.records - new)
        if (key, record) in self.grown:
            self.grown[key, record] = max(0, self.grown[key, record] - size)

    def met(self, key: Hashable, record: str, size: int, allowed: Allowance, *, new: bool) -> str:
        """The limit that an update would pass; nothing where it passes none."""
        used = self.used.get(key) or _Used()
        if allowed.bytes is not None and used.bytes + size > allowed.bytes:
            return f"{allowed.bytes} bytes"
        if allowed.growth is not None and self.grown.get((key, record), 0) + size > allowed.growth:
            return f"{allowed.growth} bytes of one record"
        if allowed.records is not None and new and used.records >= allowed.records:
            return f"{allowed.records} new records"
        return ""

    def tells(self, key: Hashable, limit: str) -> bool:
        """Whether it is the first time that this limit is met."""
        if (key, limit) in self._told:
            return False
        self._told[key, limit] = None
        if len(self._told) > limits.QUOTA_USERS_MAX:
            self._told.popitem(last=False)
        return True


class Charge(NamedTuple):
    """What an update counts, and where."""

    counted: tuple[tuple[_Counts, Hashable], ...]
    record: str
    size: int
    new: bool


class Quotas:
    """Counts what is stored, and says what is too much.

    `is_known` tells whether a record is held; `reached` hears in which session a limit was met, and which, once for
    each session and day.
    """

    def __init__(
        self,
        wall_clock: Callable[[], int],
        is_known: Callable[[str], bool],
        reached: Callable[[int, str], None] = lambda _session, _limit: None,
    ) -> None:
        self.session = UNLIMITED
        self.day = UNLIMITED
        self._wall_clock = wall_clock
        self._is_known = is_known
        self._reached = reached
        self._today = 0
        self._coming: set[str] = set()  # new records that were taken, and not decided on
        self._sessions = _Counts()
        self._days = _Counts()

    @property
    def off(self) -> bool:
        """Whether nothing is counted."""
        return self.session == UNLIMITED == self.day

    def take(self, session: int, principal: Principal, record: str, size: int) -> Charge | Verdict | None:
        """Count an update of `size` bytes; the charge is to be settled or given back. A verdict where it is too much.

        None where nothing is counted.
        """
        if self.off:
            return None
        new = record not in self._coming and not self._is_known(record)
        spans = list(self._spans(session, principal))
        for counts, key, allowed, span in spans:
            limit = counts.met(key, record, size, allowed, new=new)
            if limit:
                limit = f"{limit} {span}"
                if counts.tells(key, limit):
                    self._reached(session, limit)
                return refused(VerdictCode.QUOTA, f"this device may store {limit} here, no more: {_WHAT_NOW}")
        for counts, key, allowed, _ in spans:
            counts.add(key, record, size, new=new, growth=allowed.growth is not None)
        if new:
            self._coming.add(record)
        return Charge(tuple((counts, key) for counts, key, _, _ in spans), record, size, new)

    def settle(self, charge: Charge) -> None:
        """It was accepted."""
        if charge.new:
            self._coming.discard(charge.record)

    def give_back(self, charge: Charge) -> None:
        """It was refused, and counts no more."""
        self.settle(charge)
        for counts, key in charge.counted:
            counts.take_back(key, charge.record, charge.size, new=charge.new)

    def _spans(self, session: int, principal: Principal) -> "Iterator[tuple[_Counts, Hashable, Allowance, str]]":
        today = self._wall_clock() // _DAY_US
        if today != self._today:
            self._today, self._days = today, _Counts()
        if self.session != UNLIMITED:
            yield self._sessions, session, self.session, "in one session"
        if self.day != UNLIMITED:
            yield self._days, principal.user or principal.device, self.day, "in one day (UTC)"
