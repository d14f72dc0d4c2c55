"""When a record is renewed by itself: see docs/decisions/0068-a-record-is-renewed-by-what-it-shows.md.

Who edits it renews it, at an edit at which a snapshot is due or the record is full, if it takes several times what it
shows, and if every partner that is known here has told that it knows lineages. Others join at once what comes, so two
who do it at the same time cost one more join. Where another program owns the store, that one does.
"""

from collections.abc import Iterable
from contextlib import suppress

from crdt_sync import limits
from crdt_sync.errors import UpdateRefused
from crdt_sync.ids import REPLICA_BYTES
from crdt_sync.records.lineages.renewal import is_grown, renewed
from crdt_sync.replica.copies import Copy
from crdt_sync.storage.port import Partners, Settings

_KEY = "lineages"


def note_knowing(store: Partners, partner: bytes, *, knows: bool) -> dict[str, bytes | None]:
    """What to keep in `meta` of a partner that told whether it knows lineages; nothing where that is known."""
    before = _knowing(store)
    if (partner in before) is knows:
        return {}
    known = {peer.replica for peer in store.peers()} & before - {partner}
    return {_KEY: b"".join(sorted(known | {partner} if knows else known))}


def may_renew(store: Settings, partners: Iterable[bytes]) -> bool:
    """Whether all of these partners would read a renewed record."""
    return _knowing(store).issuperset(partners)


def renew_grown(copy: Copy, store: Settings, partners: Iterable[bytes]) -> None:
    """Write the record anew if it is due, and what is written is smaller by an eighth; without, no partner takes it."""
    if not is_due(copy, store, partners):
        return
    size = copy.document.size
    with suppress(UpdateRefused):
        fresh = renewed(copy.document, copy.document.writer)
        if 8 * fresh.size < 7 * size or fresh.size <= limits.RECORD_BYTES_MAX < size:
            copy.document = fresh


def is_due(copy: Copy, store: Settings, partners: Iterable[bytes]) -> bool:
    """Whether a snapshot is due, or the record is full, and most of it is traces, or it is more than partners take."""
    document = copy.document
    if copy.new or not (copy.tail >= limits.TAIL_UPDATES_MAX or document.size > limits.RECORD_GROWN_BYTES_MAX):
        return False
    return may_renew(store, partners) and (is_grown(document) or document.size > limits.RECORD_BYTES_MAX)


def _knowing(store: Settings) -> set[bytes]:
    held = store.meta(_KEY) or b""
    return {held[place : place + REPLICA_BYTES] for place in range(0, len(held), REPLICA_BYTES)}
