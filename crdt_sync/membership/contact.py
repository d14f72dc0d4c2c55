"""When a device was let in by its relay last, and what its space says of devices that were not for long.

It is a small file beside the store, so that whoever opens the store looks at it first, and needs no key for that. Times
are in microseconds since 1970.

Rules:

1. Contact is being let in by the relay, which has proved that it speaks for the space: no address, other device or
   bundle stands for it.
2. When that was is the relay's time, where a session tells it, and what the device's clock is ahead of it is kept: a
   clock that was wrong then neither locks the device nor puts the lock off, whether it stays wrong or is put right.
3. What counts is the highest time that was ever seen since then: a clock that is set back takes nothing away.
4. One look locks, and contact unlocks. It takes a later look to destroy, after the machine has run for `SURE_US` since
   the first, in this run or another: a clock that was wrong for a moment destroys nothing.
5. Who never had contact by this count has it from the first look on.
"""

import time
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from crdt_sync.errors import KeyUnusable
from crdt_sync.files import replaced
from crdt_sync.limits import SILENT_DAYS_MAX
from crdt_sync.strict_cbor import dumps, loads

CONTACT_FILE = "contact"
DAY_US = 24 * 3600 * 1_000_000
_KEPT_US = 3600 * 1_000_000  # how far the highest time that is kept lags behind: days are counted
_AGAIN_US = 60_000_000  # between two contacts that are noted
SURE_US = 3600 * 1_000_000  # for which a machine runs until what its clock said is believed
_FORMAT = 2
_BYTES_MAX = 256
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Standing(Enum):
    """What a device may do with its store."""

    OPEN = "open"
    LOCKED = "locked"
    OVER = "over"
    """It is to be destroyed."""


class Run(NamedTuple):
    """For how long a machine has run, in microseconds, and in which of its runs, as far as it tells."""

    boot: bytes
    us: int

    @classmethod
    def now(cls) -> "Run":
        """This one."""
        try:
            boot = _BOOT.read_bytes()[:36]
        except OSError:
            boot = b""
        clock = getattr(time, "CLOCK_BOOTTIME", None)  # which counts on while a phone sleeps
        ns = time.monotonic_ns() if clock is None else time.clock_gettime_ns(clock)
        return cls(boot, max(0, ns) // 1000)

    def since(self, earlier: "Run") -> int:
        """For how long it has run since then; of another run what this one has lasted."""
        return self.us - earlier.us if self.boot == earlier.boot and self.us >= earlier.us else self.us


_NO_RUN = Run(b"", 0)


@dataclass(frozen=True, slots=True)
class Contact:
    """See the module. `last` is the last contact, 0 for none yet, `latest` the highest time seen; 0 days are never.

    `ahead` is what the device's clock was ahead of the relay's at the last contact. `sure` is the highest time that a
    later look has agreed with, `said` what an earlier look saw, and `run` when that was.
    """

    last: int = 0
    latest: int = 0
    lock_days: int = 0
    wipe_days: int = 0
    ahead: int = 0
    sure: int = 0
    said: int = 0
    run: Run = _NO_RUN

    @property
    def limited(self) -> bool:
        """Whether it makes any difference."""
        return bool(self.lock_days or self.wipe_days)

    def time(self, now: int) -> int:
        """What time it is by a clock that says `now`; no less than was ever seen."""
        return max(self.latest, self._shown(now))

    def _shown(self, now: int) -> int:
        """The same without that. The clock may be as wrong as at the last contact, or have been put right since."""
        either = now, now - self.ahead
        return min((each for each in either if each >= self.latest - DAY_US), default=max(either))

    def seen_at(self, now: int, run: Run) -> "Contact":
        """With what the clock says seen, when the machine has run for so long."""
        at, shown = self.time(now), self._shown(now)
        seen = replace(self, last=self.last or at, latest=at)
        if not self.said or shown < self.said:  # a first look, or a clock that was put back
            return replace(seen, said=shown, run=run)
        if run.since(self.run) < SURE_US:
            return seen
        return replace(seen, sure=max(self.sure, self.said), said=shown, run=run)

    def silent_days(self, now: int) -> int:
        """For how many whole days there was no contact."""
        return max(0, self.time(now) - self.last) // DAY_US if self.last else 0

    def standing(self, now: int) -> Standing:
        """What the device may do now."""
        silent = self.silent_days(now)
        if self.wipe_days and self.last and (self.sure - self.last) // DAY_US >= self.wipe_days:
            return Standing.OVER
        allowed = min(filter(None, (self.lock_days, self.wipe_days)), default=0)
        return Standing.LOCKED if allowed and silent >= allowed else Standing.OPEN


class ContactFile:
    """The contact of the device whose store is, or was, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / CONTACT_FILE
        self.contact = _read(self._path)

    def look(self, now: int, run: Run | None = None) -> Standing:
        """What the device may do; what its clock says is kept. Raises `KeyUnusable` where that cannot be written.

        `run`: for how long the machine has run; None asks it.
        """
        before = self.contact
        seen = before.seen_at(now, Run.now() if run is None else run)
        news = seen.last != before.last or seen.said < before.said or seen.sure != before.sure
        if seen.limited and (news or not before.said or seen.latest - before.latest >= _KEPT_US):
            self._keep(seen)
        return seen.standing(now)

    def made(self, now: int, told: int | None = None) -> None:
        """The relay has let the device in, whose clock says `now`, and the relay's `told`, where it is known.

        Raises `KeyUnusable`.
        """
        at = now if told is None else told
        lately = self.contact.last <= at < self.contact.last + _AGAIN_US
        if lately and self.contact.ahead == now - at and self.contact.standing(now) is Standing.OPEN:
            return
        allowed = self.contact.lock_days, self.contact.wipe_days
        self._keep(Contact(at, at, *allowed, ahead=now - at))

    def allow(self, lock_days: int, wipe_days: int) -> None:
        """This is what the space says from now on. Raises `KeyUnusable`."""
        allowed = replace(self.contact, lock_days=lock_days, wipe_days=wipe_days)
        if allowed != self.contact:
            self._keep(allowed)

    def _keep(self, contact: Contact) -> None:
        try:
            with replaced(self._path) as file:
                told = (contact.last, contact.latest, contact.lock_days, contact.wipe_days, contact.ahead)
                file.write(dumps((_FORMAT, *told, contact.sure, contact.said, *contact.run)))
        except OSError as error:
            raise KeyUnusable(f"{self._path} cannot be written: {error.strerror}", "Check its folder.") from error
        self.contact = contact


def _read(path: Path) -> Contact:
    """What is kept; nothing where that cannot be read: the device's first look begins anew, and the policy is told
    again with the next session.
    """
    try:
        with path.open("rb") as file:
            kept = loads(file.read(_BYTES_MAX), items_max=16, depth_max=2)
    except (OSError, ValueError):
        return Contact()
    match kept:
        case (1, int(last), int(latest), int(lock_days), int(wipe_days)) if (
            last >= 0 and latest >= last and 0 <= lock_days <= SILENT_DAYS_MAX and 0 <= wipe_days <= SILENT_DAYS_MAX
        ):
            return Contact(last, latest, lock_days, wipe_days)
        case (
            2,
            int(last),
            int(latest),
            int(lock),
            int(wipe),
            int(ahead),
            int(sure),
            int(said),
            bytes(boot),
            int(us),
        ) if min(last, sure, said, us, lock, wipe) >= 0 and latest >= last and max(lock, wipe) <= SILENT_DAYS_MAX:
            return Contact(last, latest, lock, wipe, ahead, sure, said, Run(boot, us))
    return Contact()
