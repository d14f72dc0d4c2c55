"""Damaged records that were met in passing, so that the status names them for as long as they are damaged.

They are kept in the store; no more than `DAMAGED_NAMED_MAX`. Whoever meets damage goes on with the rest. An edit, what
a partner sends, or a repair may make a record whole again: so each is looked at once more before it is named.
"""

import json
from collections.abc import Collection, Mapping
from contextlib import suppress

from crdt_sync.errors import StoreCorrupt, StoreError
from crdt_sync.limits import DAMAGED_NAMED_MAX
from crdt_sync.replica.loading import stored_document
from crdt_sync.replica.readable import readable
from crdt_sync.storage.port import Records, Settings, Store
from crdt_sync.storage.values import Batch

_META = "damaged"


def known(store: Settings) -> dict[str, str]:
    """The records that were met, and what is wrong with each."""
    with suppress(StoreCorrupt):
        found: dict[str, str] = json.loads(store.meta(_META) or b"{}")
        return found
    return {}


def is_whole(store: Records, record: str) -> bool:
    """Whether what is stored of a record, and what shows it, is intact."""
    return loads(store, record) and readable(lambda: (store.view(record),)) is not None


def loads(store: Records, record: str) -> bool:
    """Whether the record itself is intact, so that partners get it, whatever became of its view."""
    return readable(lambda: stored_document(store, record)) is not None


def note(store: Store, found: Mapping[str, str]) -> None:
    """Keep the names of damaged records; where the disk refuses, they are met again."""
    before = known(store)
    if found.keys() <= before.keys() or len(before) >= DAMAGED_NAMED_MAX:
        return
    kept = dict(list({**before, **found}.items())[:DAMAGED_NAMED_MAX])
    with suppress(StoreError):
        store.commit([Batch(meta={_META: json.dumps(kept).encode()})])


def forget(store: Store, mended: Collection[str]) -> None:
    """These records are whole again; where the disk refuses, that is found once more."""
    before = known(store)
    left = {record: what for record, what in before.items() if record not in mended}
    if left != before:
        with suppress(StoreError):
            store.commit([Batch(meta={_META: json.dumps(left).encode() if left else None})])


def forgotten() -> dict[str, bytes | None]:
    """What to commit once the store was mended."""
    return {_META: None}
