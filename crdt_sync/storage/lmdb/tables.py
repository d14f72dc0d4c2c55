"""The databases of a store, and the transactions in which they are read and written."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import lmdb

if TYPE_CHECKING:  # the binding is written in C: its classes cannot be subscripted at run time
    Transaction: TypeAlias = lmdb.Transaction[bytes]
    Table: TypeAlias = lmdb._Database
else:
    Transaction = Table = Any

TABLE_NAMES = (
    "log", "heads", "docs", "feed", "stale", "views", "peers",
    "outbox", "outbox_counts", "quarantine", "index", "meta", "store",
)  # fmt: skip


PLACE_NAMES = ("shown", "places")


@dataclass(frozen=True, slots=True)
class PlaceTables:
    """Handles of what is kept of what records show."""

    shown: Table
    places: Table


@dataclass(frozen=True, slots=True)
class Tables:
    """Handles of the databases. `damaged` is None where nothing was ever set aside, `placed` where no places are kept,
    `audit` where none was audited: releases that do not know them take them for damage.
    """

    log: Table
    heads: Table
    docs: Table
    feed: Table
    stale: Table
    views: Table
    peers: Table
    outbox: Table
    outbox_counts: Table
    quarantine: Table
    index: Table
    meta: Table
    store: Table
    damaged: Table | None = None
    audit: Table | None = None
    placed: PlaceTables | None = field(default=None, kw_only=True)
