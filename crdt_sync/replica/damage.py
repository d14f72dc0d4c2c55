"""Damaged records that were met in passing, so that the status names them until the store is mended.

They are kept in the store; no more than `DAMAGED_NAMED_MAX`. Whoever meets damage goes on with the rest.
"""

import json
from collections.abc import Mapping
from contextlib import suppress

from crdt_sync.errors import StoreCorrupt, StoreError
from crdt_sync.limits import DAMAGED_NAMED_MAX
from crdt_sync.storage.port import Settings, Store
from crdt_sync.storage.values import Batch

_META = "damaged"


def known(store: Settings) -> dict[str, str]:
    """The records that were met, and what is wrong with each."""
    with suppress(StoreCorrupt):
        found: dict[str, str] = json.loads(store.meta(_META) or b"{}")
        return found
    return {}


def note(store: Store, found: Mapping[str, str]) -> None:
    """Keep the names of damaged records; where the disk refuses, they are met again."""
    before = known(store)
    if found.keys() <= before.keys() or len(before) >= DAMAGED_NAMED_MAX:
        return
    kept = dict(list({**before, **found}.items())[:DAMAGED_NAMED_MAX])
    with suppress(StoreError):
        store.commit([Batch(meta={_META: json.dumps(kept).encode()})])


def forgotten() -> dict[str, bytes | None]:
    """What to commit once the store was mended."""
    return {_META: None}
