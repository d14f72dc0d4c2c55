"""What an update of another lineage knows of operations that are gone, and that nobody here has seen.

A document tells of such of its own operations where they stood. Of those that its lineage covers it tells nothing:
there anybody may claim that something was written and deleted again which its author has yet to send.
"""

from collections.abc import Mapping
from typing import NamedTuple

from crdt_sync.records.document import Document
from crdt_sync.records.gate.touches import Touch
from crdt_sync.records.lineages.dots import Dots
from crdt_sync.records.lineages.lineage import lineage_of
from crdt_sync.records.roots import LINEAGE_ROOT
from crdt_sync.records.updates.delete_set import Ranges, without
from crdt_sync.records.updates.lists import Lists
from crdt_sync.records.updates.update import scan


class Unseen(NamedTuple):
    """`touched` is what stood in each root, and is deleted; `hidden`: a lineage covers more than it shows."""

    touched: Mapping[str, Touch]
    hidden: bool


def unseen(came: Document, dots: Dots, known: Mapping[int, int]) -> Unseen:
    """What is gone in the document `came`, whose state is `dots`, beyond the dots that are `known` here."""
    lineage = lineage_of(came)
    touched: dict[str, Touch] = {}
    items = scan(came.diff()).items
    lists = Lists(items)
    for item in items:
        if item.deleted and item.writer != lineage.writer and item.clock + item.length > known.get(item.writer, 0):
            root = lists.name((item.writer, item.clock)).root
            if root != LINEAGE_ROOT:
                touched.setdefault(root, Touch()).items += item.length
    covered: Ranges = {
        writer: [(known.get(writer, 0), clock - known.get(writer, 0))]
        for writer, clock in lineage.cover.items()
        if clock > known.get(writer, 0)
    }
    return Unseen(touched, bool(without(covered, dots.live_ranges())))
