"""For how long a device may be without contact to its relay, as a policy says it."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from crdt_sync.limits import SILENT_DAYS_MAX
from crdt_sync.policy.problems import Problems
from crdt_sync.policy.settings import Path, check_settings, table

_LOCK, _WIPE = "lock_after_days", "wipe_after_days"


class Silence(NamedTuple):
    """After how many days without contact a device locks its store, and destroys it; 0: never."""

    lock_days: int = 0
    wipe_days: int = 0

    @property
    def told(self) -> str:
        """In words."""
        parts = [("lock after {} days", self.lock_days), ("wipe themselves after {} days", self.wipe_days)]
        return ", ".join(text.format(days) for text, days in parts if days) or "never lock"


UNLIMITED: Final = Silence()
"""What holds where a policy says nothing of it."""


def read_silence(problems: Problems, path: Path, value: object, otherwise: Silence) -> Silence:
    """What `[devices]` says, of all or of a role; what it leaves out is as `otherwise` says. What is wrong with it goes
    to `problems`.
    """
    given = table(problems, path, value)
    check_settings(problems, path, given, (_LOCK, _WIPE), "devices")
    lock, wipe = (
        _days(problems, path, given, name, days) for name, days in zip((_LOCK, _WIPE), otherwise, strict=True)
    )
    found = Silence(lock, wipe)
    if found.wipe_days and found.lock_days > found.wipe_days:
        hint = "Let them lock first: who comes back in time keeps what was not sent."
        problems.add(path, f"devices would wipe themselves before they lock ({found.told})", hint)
    return found


def _days(problems: Problems, path: Path, given: Mapping[str, Any], name: str, otherwise: int) -> int:
    value = given.get(name, otherwise)
    if type(value) is int and 0 <= value <= SILENT_DAYS_MAX:
        return value
    hint = f"Whole days, 1 to {SILENT_DAYS_MAX:,}; 0: never."
    problems.add((*path, name), f"{name!r} is no number of days", hint)
    return otherwise
