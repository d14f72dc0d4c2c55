"""The databases of a store, and the transactions in which they are read and written."""

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Tables:
    """Handles of the databases; `damaged` is None where nothing was set aside yet, `audit` where none was audited."""

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
