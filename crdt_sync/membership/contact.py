"""When a device was let in by its relay last, and what its space says of devices that were not for long.

It is a small file beside the store, so that whoever opens the store looks at it first, and needs no key for that. Times
are those of the device's own clock, in microseconds since 1970.

Rules:

1. Contact is being let in by the relay, which has proved that it speaks for the space: no address, other device or
   bundle stands for it.
2. What counts is the highest time that was ever seen since then: a clock that is set back takes nothing away. Contact
   begins anew with what the clock says then, so a clock that was wrong does no harm for longer.
3. Who never had contact by this count has it from the first look on.
"""

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from crdt_sync.errors import KeyUnusable
from crdt_sync.files import replaced
from crdt_sync.limits import SILENT_DAYS_MAX
from crdt_sync.strict_cbor import dumps, loads

CONTACT_FILE = "contact"
DAY_US = 24 * 3600 * 1_000_000
_KEPT_US = 3600 * 1_000_000  # how far the highest time that is kept lags behind: days are counted
_AGAIN_US = 60_000_000  # between two contacts that are noted
_FORMAT = 1
_BYTES_MAX = 256


class Standing(Enum):
    """What a device may do with its store."""

    OPEN = "open"
    LOCKED = "locked"
    OVER = "over"
    """It is to be destroyed."""


@dataclass(frozen=True, slots=True)
class Contact:
    """See the module. `last` is the last contact, 0 for none yet, `latest` the highest time seen; 0 days are never."""

    last: int = 0
    latest: int = 0
    lock_days: int = 0
    wipe_days: int = 0

    @property
    def limited(self) -> bool:
        """Whether it makes any difference."""
        return bool(self.lock_days or self.wipe_days)

    def seen_at(self, now: int) -> "Contact":
        """With this time seen."""
        return replace(self, last=self.last or now, latest=max(self.latest, now))

    def silent_days(self, now: int) -> int:
        """For how many whole days there was no contact."""
        return max(0, max(self.latest, now) - self.last) // DAY_US if self.last else 0

    def standing(self, now: int) -> Standing:
        """What the device may do now."""
        silent = self.silent_days(now)
        if self.wipe_days and silent >= self.wipe_days:
            return Standing.OVER
        return Standing.LOCKED if self.lock_days and silent >= self.lock_days else Standing.OPEN


class ContactFile:
    """The contact of the device whose store is, or was, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / CONTACT_FILE
        self.contact = _read(self._path)

    def look(self, now: int) -> Standing:
        """What the device may do; the time is kept. Raises `KeyUnusable` where that cannot be written."""
        seen = self.contact.seen_at(now)
        if seen.limited and (seen.last != self.contact.last or seen.latest - self.contact.latest >= _KEPT_US):
            self._keep(seen)
        return seen.standing(now)

    def made(self, now: int) -> None:
        """The relay has let the device in. Raises `KeyUnusable`."""
        if self.contact.last <= now < self.contact.last + _AGAIN_US and self.contact.standing(now) is Standing.OPEN:
            return
        self._keep(replace(self.contact, last=now, latest=now))

    def allow(self, lock_days: int, wipe_days: int) -> None:
        """This is what the space says from now on. Raises `KeyUnusable`."""
        allowed = replace(self.contact, lock_days=lock_days, wipe_days=wipe_days)
        if allowed != self.contact:
            self._keep(allowed)

    def _keep(self, contact: Contact) -> None:
        try:
            with replaced(self._path) as file:
                file.write(dumps((_FORMAT, contact.last, contact.latest, contact.lock_days, contact.wipe_days)))
        except OSError as error:
            raise KeyUnusable(f"{self._path} cannot be written: {error.strerror}", "Check its folder.") from error
        self.contact = contact


def _read(path: Path) -> Contact:
    """What is kept; nothing where that cannot be read: the device's first look begins anew, and the policy is told
    again with the next session.
    """
    try:
        with path.open("rb") as file:
            kept = loads(file.read(_BYTES_MAX), items_max=8, depth_max=2)
    except (OSError, ValueError):
        return Contact()
    match kept:
        case (1, int(last), int(latest), int(lock_days), int(wipe_days)) if (
            last >= 0 and latest >= last and 0 <= lock_days <= SILENT_DAYS_MAX and 0 <= wipe_days <= SILENT_DAYS_MAX
        ):
            return Contact(last, latest, lock_days, wipe_days)
    return Contact()
