"""What other replicas are called: as they said when they called or in a bundle, or as they announced themselves.

For people alone: two may have one name, and whoever knows the token may take any.
"""

import json

from crdt_sync.limits import PARTNERS_MAX
from crdt_sync.replica.callers import callers
from crdt_sync.replica.carried import carried
from crdt_sync.storage.port import Settings, Store
from crdt_sync.storage.values import Batch

_ANNOUNCED = "announced_names"


def names(store: Settings) -> dict[bytes, str]:
    """The names that are known, by replica id."""
    announced: dict[str, str] = json.loads(store.meta(_ANNOUNCED) or b"{}")
    by_bundle = {known.replica: known.name for known in carried(store).values()}
    by_call = {known.replica: known.name for known in callers(store).values() if known.name}
    return {bytes.fromhex(replica): name for replica, name in announced.items()} | by_bundle | by_call


def note_announced(store: Store, replica: bytes, name: str) -> None:
    """Remember what a device announces itself as; the last `PARTNERS_MAX` are kept. Raises as `Store.commit` does."""
    known: dict[str, str] = json.loads(store.meta(_ANNOUNCED) or b"{}")
    if not name or known.get(replica.hex()) == name:
        return
    known.pop(replica.hex(), None)
    known[replica.hex()] = name
    kept = dict(list(known.items())[-PARTNERS_MAX:])
    store.commit([Batch(meta={_ANNOUNCED: json.dumps(kept, ensure_ascii=False).encode()})])
