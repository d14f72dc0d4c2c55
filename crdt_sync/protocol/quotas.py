"""How much may be stored, and how fast, by whom: a session, a device, a user, and the space. Pure.

Rules:

1. An update counts for each of its owners at once: its session, the device whose key was proved (without users: the
   replica that it names itself), that device's user, and the space. It is refused where it is too much for one of them,
   and then counts for none.
2. It counts from when it is taken, so that nobody stores beyond a quota by what is under way; what is refused later
   counts no more. What brings nothing new counts as well.
3. A day is one of UTC, by the wall clock; a session has its quotas for as long as it lasts. What a day's counts are is
   the host's to keep: it takes `changed` along with each commit, and `restore`s them.
4. A rate is a token bucket: so much a second, over a burst. An update passes as long as anything is left, so that the
   largest one passes, too. What was refused otherwise has used it all the same, as it was work.
5. A refusal says after which time it is worth another try, and whether anything else is before that.

Counts are in bounded tables. Where there are too many, whoever stored longest ago is forgotten.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from crdt_sync import limits
from crdt_sync.principal import Principal
from crdt_sync.verdicts import RetryAfter, Verdict, VerdictCode

Kind = Literal["session", "device", "user", "space"]

_NAME_SHOWN = 60  # characters of a user's name in a reason
_WHAT_NOW = "whoever runs the relay can allow more"


class Allowance(NamedTuple):
    """What may be stored; None is no limit. `growth` is in bytes of updates of one record."""

    bytes: int | None = None
    records: int | None = None
    growth: int | None = None


class Rate(NamedTuple):
    """What may come in a second; None is no limit."""

    bytes: int | None = None
    updates: int | None = None


UNLIMITED = Allowance()
ANY_RATE = Rate()


class Bounds(NamedTuple):
    """All that is set: what may be stored in a session, and in a day by each device, user, and the space; how fast that
    may come, with bursts of so many seconds; and how large the space's store may be, in bytes.
    """

    session: Allowance = UNLIMITED
    device: Allowance = UNLIMITED
    user: Allowance = UNLIMITED
    space: Allowance = UNLIMITED
    device_rate: Rate = ANY_RATE
    user_rate: Rate = ANY_RATE
    space_rate: Rate = ANY_RATE
    burst_s: int = limits.RATE_BURST_S
    store_bytes: int | None = None


UNBOUNDED = Bounds()


class Owner(NamedTuple):
    """Who something counts for; `name` is that of a user, the id of a device in hexadecimal, or a session's number."""

    kind: Kind
    name: str = ""


SPACE = Owner("space")


@dataclass(slots=True)
class Used:
    """What one owner has stored. `lifted`: no limit holds for it until the day is over."""

    bytes: int = 0
    records: int = 0
    lifted: bool = False
    told: set[str] = field(default_factory=set)  # limits that were met


@dataclass(slots=True)
class _Bucket:
    """When what was taken is paid for, by the steady clock."""

    bytes_due: int = 0
    updates_due: int = 0


class _Counts:
    """What was stored, by owner, in a bounded number of rows."""

    def __init__(self) -> None:
        self.used: OrderedDict[Owner, Used] = OrderedDict()
        self.grown: OrderedDict[tuple[Owner, str], int] = OrderedDict()
        self.changed: set[Owner] = set()  # since they were written last; who was forgotten, too

    def of(self, owner: Owner) -> Used:
        """Its row, which is the newest from now on."""
        used = self.used.get(owner)
        if used is None:
            used = self.used[owner] = Used()
            if len(self.used) > limits.QUOTA_OWNERS_MAX:
                self.changed.add(self.used.popitem(last=False)[0])
        self.used.move_to_end(owner)
        return used

    def add(self, owner: Owner, record: str, size: int, *, new: bool, growth: bool) -> None:
        used = self.of(owner)
        used.bytes += size
        used.records += new
        self.changed.add(owner)
        if growth:
            self.grown[owner, record] = self.grown.pop((owner, record), 0) + size
            if len(self.grown) > limits.QUOTA_RECORDS_MAX:
                self.grown.popitem(last=False)

    def take_back(self, owner: Owner, record: str, size: int, *, new: bool) -> None:
        if (used := self.used.get(owner)) is not None:
            used.bytes = max(0, used.bytes - size)
            used.records = max(0, used.records - new)
            self.changed.add(owner)
        if (owner, record) in self.grown:
            self.grown[owner, record] = max(0, self.grown[owner, record] - size)

    def forget(self, owner: Owner) -> None:
        """It has stored nothing."""
        if self.used.pop(owner, None) is not None:
            self.changed.add(owner)
        for each in [each for each in self.grown if each[0] == owner]:
            del self.grown[each]

    def met(self, owner: Owner, record: str, size: int, allowed: Allowance, *, new: bool) -> tuple[str, bool]:
        """The limit that an update would pass, and whether any other would, too; nothing where it passes none."""
        used = self.used.get(owner) or Used()
        if used.lifted:
            return "", False
        if allowed.bytes is not None and used.bytes + size > allowed.bytes:
            return f"{allowed.bytes:,} bytes", True
        if allowed.growth is not None and self.grown.get((owner, record), 0) + size > allowed.growth:
            return f"{allowed.growth:,} bytes of one record", False
        if allowed.records is not None and new and used.records >= allowed.records:
            return f"{allowed.records:,} new records", False
        return "", False


class Charge(NamedTuple):
    """What an update counts, and where."""

    counted: tuple[tuple[_Counts, Owner], ...]
    record: str
    size: int
    new: bool


class Usage(NamedTuple):
    """What an owner has stored today, and what it may."""

    owner: Owner
    bytes: int
    records: int
    allowed: Allowance
    lifted: bool
    met: tuple[str, ...]  # limits, sorted


class Quotas:
    """Counts what is stored, and says what is too much.

    `is_known` tells whether a record is held; `reached` hears in which session a limit of which owner was met, once for
    each day. `store_bytes` tells how large the store is, for the bound on that.
    """

    def __init__(
        self,
        wall_clock: Callable[[], int],
        is_known: Callable[[str], bool],
        reached: Callable[[int, Owner, str], None] = lambda _session, _owner, _limit: None,
        store_bytes: Callable[[], int] = lambda: 0,
    ) -> None:
        self._bounds = UNBOUNDED
        self._allowed: dict[str, Allowance] = {}  # by kind of owner, where there is a limit
        self._rates: dict[str, Rate] = {}  # likewise
        self.off = True
        """Whether nothing is counted."""
        self._wall_clock = wall_clock
        self._is_known = is_known
        self._reached = reached
        self._store_bytes = store_bytes
        self._today = wall_clock() // limits.QUOTA_DAY_US
        self._coming: set[str] = set()  # new records that were taken, and not decided on
        self._sessions = _Counts()
        self._days = _Counts()
        self._buckets: OrderedDict[Owner, _Bucket] = OrderedDict()

    @property
    def bounds(self) -> Bounds:
        """What is set."""
        return self._bounds

    def go_by(self, bounds: Bounds) -> None:
        """From now on these hold; what was counted counts on, and under other rates each burst is whole."""
        before, self._bounds = self._bounds, bounds
        allowed = {"session": bounds.session, "device": bounds.device, "user": bounds.user, "space": bounds.space}
        self._allowed = {kind: each for kind, each in allowed.items() if each != UNLIMITED}
        rates = {"device": bounds.device_rate, "user": bounds.user_rate, "space": bounds.space_rate}
        self._rates = {kind: each for kind, each in rates.items() if each != ANY_RATE}
        if rates != {"device": before.device_rate, "user": before.user_rate, "space": before.space_rate}:
            self._buckets.clear()  # what is due in them was reckoned by the rates before
        self.off = bounds._replace(burst_s=UNBOUNDED.burst_s) == UNBOUNDED

    # --- updates ---------------------------------------------------------------------------------------------

    def take(self, session: int, principal: Principal, record: str, size: int, now: int) -> Charge | Verdict | None:
        """Count an update of `size` bytes; the charge is to be settled or given back. A verdict where it is too much.

        None where nothing is counted. `now` is that of the steady clock.
        """
        if self.off:
            return None
        self._turn()
        full = self._too_full(session)
        if full is not None:
            return full
        owners = _owners(session, principal)
        counted = [
            (self._sessions if owner.kind == "session" else self._days, owner, allowed)
            for owner in owners
            if (allowed := self._allowed.get(owner.kind)) is not None
        ]
        new = bool(counted) and record not in self._coming and not self._is_known(record)
        for counts, owner, allowed in counted:
            limit, whole = counts.met(owner, record, size, allowed, new=new)
            if limit:
                return self._refused(session, counts, owner, limit, whole=whole)
        limited = self._limited(session, owners, size, now) if self._rates else None
        if limited is not None:
            return limited
        for counts, owner, allowed in counted:
            counts.add(owner, record, size, new=new, growth=allowed.growth is not None)
        if not counted:
            return None
        if new:
            self._coming.add(record)
        return Charge(tuple((counts, owner) for counts, owner, _ in counted), record, size, new)

    def settle(self, charge: Charge) -> None:
        """It was accepted."""
        if charge.new:
            self._coming.discard(charge.record)

    def give_back(self, charge: Charge) -> None:
        """It was refused, and counts no more."""
        self.settle(charge)
        for counts, owner in charge.counted:
            counts.take_back(owner, charge.record, charge.size, new=charge.new)

    # --- what operators see and decide -----------------------------------------------------------------------

    def usage(self) -> list[Usage]:
        """What each device, each user and the space have stored today, as far as there are quotas for them."""
        self._turn()
        found = []
        for owner, used in self._days.used.items():
            allowed = self._allowed.get(owner.kind, UNLIMITED)
            if allowed != UNLIMITED or used.lifted:
                found.append(Usage(owner, used.bytes, used.records, allowed, used.lifted, tuple(sorted(used.told))))
        return sorted(found)

    def reset(self, owner: Owner) -> None:
        """It has stored nothing today, and its burst is whole."""
        self._turn()
        self._days.forget(owner)
        self._buckets.pop(owner, None)

    def lift(self, owner: Owner) -> None:
        """No limit of a day and no rate holds for it until the day is over."""
        self._turn()
        self._days.of(owner).lifted = True
        self._days.changed.add(owner)

    # --- what the host keeps ---------------------------------------------------------------------------------

    @property
    def day(self) -> int:
        """The day that is counted, from 1970."""
        return self._today

    def restore(self, day: int, rows: Sequence[tuple[Owner, Used]]) -> None:
        """Count on from what was stored on that day; what is of another is passed over."""
        self._turn()
        if day == self._today:
            self._days.used.update(rows[: limits.QUOTA_OWNERS_MAX])

    def changed(self) -> list[tuple[Owner, Used | None]]:
        """The rows of the day that are others than at the last call; None where there is none any more."""
        self._turn()
        changed, self._days.changed = self._days.changed, set()
        return [(owner, self._days.used.get(owner)) for owner in sorted(changed)]

    def unwritten(self, owners: Sequence[Owner]) -> None:
        """What `changed` told of these was not written: it tells of them again."""
        self._days.changed.update(owners)

    # --- parts -----------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        today = self._wall_clock() // limits.QUOTA_DAY_US
        if today != self._today:
            before, self._today, self._days = self._days, today, _Counts()
            self._days.changed.update(before.used, before.changed)

    def _meets(self, session: int, owner: Owner, used: Used, limit: str) -> None:
        if limit not in used.told:
            used.told.add(limit)
            self._reached(session, owner, limit)

    def _refused(self, session: int, counts: _Counts, owner: Owner, limit: str, *, whole: bool) -> Verdict:
        self._meets(session, owner, counts.of(owner), limit)
        if owner.kind == "session":
            return Verdict(VerdictCode.QUOTA, reason=f"one session may store {limit}; {_WHAT_NOW}")
        left_us = (self._today + 1) * limits.QUOTA_DAY_US - self._wall_clock()
        left_ms = min(left_us // 1000 + 1, limits.RETRY_AFTER_MS_MAX)
        reason = f"{_named(owner)} may store {limit} a day (UTC); {_WHAT_NOW}"
        return Verdict(VerdictCode.QUOTA, reason=reason, retry_after=RetryAfter(left_ms, whole))

    def full(self) -> str | None:
        """Why nothing at all is stored now; None where the store is not as large as it may be."""
        most = self._bounds.store_bytes
        if most is None or self._store_bytes() < most:
            return None
        return f"quota: the store of the space is full, it may have {most:,} bytes"

    def _too_full(self, session: int) -> Verdict | None:
        full = self.full()
        if full is None:
            return None
        self._meets(session, SPACE, self._days.of(SPACE), f"a store of {self._bounds.store_bytes:,} bytes")
        reason = f"{full.removeprefix('quota: ')}; {_WHAT_NOW}"
        return Verdict(VerdictCode.QUOTA, reason=reason, retry_after=RetryAfter(limits.STORE_FULL_RETRY_MS, True))

    def _limited(self, session: int, owners: Sequence[Owner], size: int, now: int) -> Verdict | None:
        """Refuse what comes too fast; else have it paid for."""
        burst_us = self._bounds.burst_s * 1_000_000
        paid: list[tuple[_Bucket, int, int]] = []
        for owner in owners:
            rate = self._rates.get(owner.kind)
            if rate is None or ((used := self._days.used.get(owner)) is not None and used.lifted):
                continue
            bucket = self._bucket(owner)
            bytes_due, updates_due = max(bucket.bytes_due, now), max(bucket.updates_due, now)
            late = max(bytes_due, updates_due) - now
            if late >= burst_us:
                by_bytes = bytes_due >= updates_due
                limit = f"{rate.bytes:,} bytes a second" if by_bytes else f"{rate.updates:,} updates a second"
                self._meets(session, owner, self._days.of(owner), limit)
                reason = f"{_named(owner)} may send {limit}; {_WHAT_NOW}"
                wait = RetryAfter(min((late - burst_us // 2) // 1000 + 1, limits.RETRY_AFTER_MS_MAX), True)
                return Verdict(VerdictCode.RATE_LIMITED, reason=reason, retry_after=wait)
            bytes_due += 0 if not rate.bytes else size * 1_000_000 // rate.bytes
            updates_due += 0 if not rate.updates else 1_000_000 // rate.updates
            paid.append((bucket, bytes_due, updates_due))
        for bucket, bytes_due, updates_due in paid:
            bucket.bytes_due, bucket.updates_due = bytes_due, updates_due
        return None

    def _bucket(self, owner: Owner) -> _Bucket:
        bucket = self._buckets.get(owner)
        if bucket is None:
            bucket = self._buckets[owner] = _Bucket()
            if len(self._buckets) > limits.QUOTA_OWNERS_MAX:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(owner)
        return bucket


def _owners(session: int, principal: Principal) -> tuple[Owner, ...]:
    device = Owner("device", principal.device.hex())
    user = (Owner("user", principal.user),) if principal.user else ()
    return (Owner("session", str(session)), device, *user, SPACE)


def _named(owner: Owner) -> str:
    if owner.kind == "user":
        shown = owner.name if len(owner.name) <= _NAME_SHOWN else owner.name[:_NAME_SHOWN] + "…"
        return f"the user {shown}"
    return "this device" if owner.kind == "device" else "the space, all devices together,"
