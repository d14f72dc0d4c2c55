"""Until when a partner takes nothing more, as it said with a verdict: kept, so that other sessions heed it as well.

Rules:

1. While a hold of all lasts, nothing is pushed. While one of some lasts, what was refused is not offered again.
2. The longer one counts. One that lies further ahead than any partner may say is none: the clock was set back.
3. A hold ends before its time where the partner says that its limits have changed, and where somebody here asks for it.
"""

import json
from typing import NamedTuple

from crdt_sync.errors import StoreError
from crdt_sync.limits import RETRY_AFTER_MS_MAX
from crdt_sync.storage.port import Settings

_HOLD = "hold/"  # meta, by replica id in hexadecimal


class Hold(NamedTuple):
    """Until when (microseconds since 1970, by the device's clock), why, and whether it is of all updates."""

    until: int
    reason: str
    all: bool


def note_hold(replica: bytes, hold: Hold | None) -> dict[str, bytes | None]:
    """What to keep in `meta` of a hold; None: there is none any more."""
    return {_HOLD + replica.hex(): None if hold is None else json.dumps(hold).encode()}


def read_hold(store: Settings, replica: bytes, wall: int) -> Hold | None:
    """The hold that lasts at `wall`."""
    try:
        kept = store.meta(_HOLD + replica.hex())
        hold = None if kept is None else Hold(*json.loads(kept))
    except (StoreError, ValueError, TypeError):
        return None  # damaged: the partner says it again
    if hold is None or not 0 < hold.until - wall <= RETRY_AFTER_MS_MAX * 1000:
        return None
    return hold


def longer(one: Hold | None, other: Hold) -> Hold:
    """The hold that counts where both were said; one of all comes before one of some."""
    return other if one is None else max(one, other, key=lambda hold: (hold.all, hold.until))
