"""What a bundle tells of its source: how far its history is the one that is known here, and what it has read of ours.

A source begins a life with each bundle, and says where its past lives ended. So a history that went on is told from one
that lost its end, as when a directory was put back: what both have in common keeps its meaning, the rest has none.
"""

from dataclasses import replace

from crdt_sync.exchange.bundle.header import Header
from crdt_sync.limits import BUNDLE_LIVES_KEPT_MAX
from crdt_sync.replica import Carried, Replica
from crdt_sync.replica.carried import carried, honoured


def known_source(replica: Replica, header: Header) -> Carried | None:
    """The source as it is known from this bundle on; None where the bundle is our own, or of a history that is over."""
    if header.source == replica.id:
        return None
    before = carried(replica.store).get(header.source)
    known = _begun(replica, header) if before is None else _followed(before, header, replica.store.head())
    if known is None:
        return None
    newest = before is None or header.created >= before.created
    read = [row for row in header.known if row.replica == replica.id]
    _, ours, told = max(read, key=lambda row: honoured(replica.store, *row[1:]), default=(b"", b"", 0))
    if newest or honoured(replica.store, ours, told) > known.told_now(replica.store):
        known = replace(known, ours=ours, told=told)  # who says less than before has lost what it had read
    return replace(
        known,
        name=header.name if newest else known.name,
        created=max(known.created, header.created),
        head=max(known.head, header.head),
    )


def _begun(replica: Replica, header: Header) -> Carried:
    lives = header.lives[-BUNDLE_LIVES_KEPT_MAX:]
    return Carried(header.source, header.name, header.epoch, header.created, replica.store.head(), lives=lives)


def _followed(known: Carried, header: Header, our_head: int) -> Carried | None:
    """The source after the bundle, as far as it has the history that is known; None where that history is newer."""
    earlier = dict(known.lives).get(header.epoch)
    if header.epoch == known.epoch or (earlier is not None and header.head <= earlier):
        return known
    common = _common(known, header)
    if common < known.head and header.created < known.created:
        return None
    kept = replace(known, epoch=header.epoch, lives=header.lives[-BUNDLE_LIVES_KEPT_MAX:])
    if common >= known.head:
        return kept
    return replace(kept, cursor=min(known.cursor, common), head=common, floor=our_head, told=0)


def _common(known: Carried, header: Header) -> int:
    """Up to which sequence number the log of the source that is known is the one that the bundle is of."""
    there = {**dict(header.lives), header.epoch: header.head}
    here = {**dict(known.lives), known.epoch: known.head}
    return max((min(end, there[life]) for life, end in here.items() if life in there), default=0)
