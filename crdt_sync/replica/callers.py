"""Who calls this device while it listens, and how far each has read our feed.

A caller gets what it lacks by calling, so nothing is owed to it. What it holds is known by its place in our feed, which
it tells itself: who calls has proved that it knows the token, and is believed in what it says of itself.

Invariants:

1. Everything up to `cursor`, in our life `life`, was on the caller's disk at `at`, by its own word.
2. `floor` is our head when it called last: what it brought after that, it holds. What it brought in earlier calls it
   may have lost since, where its `cursor` does not cover it.
3. At most `PARTNERS_MAX` callers are remembered: those that called last.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crdt_sync.limits import PARTNERS_MAX
from crdt_sync.replica.carried import honoured
from crdt_sync.replica.readers import Reader
from crdt_sync.storage.port import Log, Settings

_CALLERS = "callers"


@dataclass(frozen=True, slots=True)
class Caller:
    """One caller, see the module. `at` is when it was heard last, in microseconds since 1970, by our clock."""

    replica: bytes
    name: str
    at: int
    life: bytes
    cursor: int
    floor: int

    def reader(self, store: Log) -> Reader:
        """What it holds of the history that is here now: what is beyond that counts for nothing."""
        known = store.reach(self.life) is not None
        place = honoured(store, self.life, self.cursor)
        return Reader(self.replica, self.name, place, self.floor if known else store.head())


def callers(store: Settings) -> dict[bytes, Caller]:
    """The callers that are remembered, by replica id."""
    rows: dict[str, list[Any]] = json.loads(store.meta(_CALLERS) or b"{}")
    return {
        bytes.fromhex(replica): Caller(bytes.fromhex(replica), name, at, bytes.fromhex(life), cursor, floor)
        for replica, (name, at, life, cursor, floor) in rows.items()
    }


def remembered(known: Mapping[bytes, Caller]) -> dict[str, bytes | None]:
    """What to commit so that these are known; whoever called longest ago makes room."""
    kept = sorted(known.values(), key=lambda caller: caller.at, reverse=True)[:PARTNERS_MAX]
    rows = {
        caller.replica.hex(): [caller.name, caller.at, caller.life.hex(), caller.cursor, caller.floor]
        for caller in kept
    }
    return {_CALLERS: json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()}
