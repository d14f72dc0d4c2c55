"""The audit log of a store: entries by number, chained in the transaction of what they tell of."""

from collections.abc import Callable, Sequence
from itertools import islice

from crdt_sync.audit_log.chain import LINK_FIRST, chained, seal_of
from crdt_sync.limits import AUDIT_DROPPED_MAX, AUDIT_SCANNED_MAX
from crdt_sync.storage.lmdb.codec import seq_key
from crdt_sync.storage.lmdb.reads import walk
from crdt_sync.storage.lmdb.tables import Tables, Transaction


def append(transaction: Transaction, tables: Tables, bodies: Sequence[bytes]) -> None:
    """Chain entries to the last one. `Environment.make_audit` is to be called before."""
    assert tables.audit is not None
    with transaction.cursor(db=tables.audit) as cursor:
        number, link = (int.from_bytes(cursor.key(), "big"), seal_of(cursor.value())) if cursor.last() else _NOTHING
        cursor.putmulti([(seq_key(at), value) for at, value in chained(number, link, bodies)], append=True)


def head(transaction: Transaction, tables: Tables) -> tuple[int, bytes]:
    """See `AuditLog`."""
    if tables.audit is None:
        return _NOTHING
    with transaction.cursor(db=tables.audit) as cursor:
        return (int.from_bytes(cursor.key(), "big"), seal_of(cursor.value())) if cursor.last() else _NOTHING


def size(transaction: Transaction, tables: Tables) -> int:
    """The bytes of its pages."""
    if tables.audit is None:
        return 0
    found = transaction.stat(tables.audit)
    return int(found["psize"] * (found["branch_pages"] + found["leaf_pages"] + found["overflow_pages"]))


def after(transaction: Transaction, tables: Tables, number: int, limit: int) -> list[tuple[int, bytes]]:
    """See `AuditLog`."""
    if tables.audit is None:
        return []
    rows = walk(transaction, tables.audit, seq_key(max(number, 0) + 1))
    return [(int.from_bytes(key, "big"), value) for key, value in islice(rows, max(limit, 0))]


def before(
    transaction: Transaction, tables: Tables, number: int, limit: int, wanted: Callable[[bytes], bool]
) -> tuple[list[tuple[int, bytes]], int]:
    """See `AuditLog`."""
    found: list[tuple[int, bytes]] = []
    if tables.audit is None or limit <= 0:
        return found, 0
    with transaction.cursor(db=tables.audit) as cursor:
        there = cursor.prev() if cursor.set_range(seq_key(max(number, 0))) else cursor.last()
        rows = cursor.iterprev(keys=True, values=True) if there else iter(())
        for scanned, (key, value) in enumerate(rows, 1):
            if wanted(value):
                found.append((int.from_bytes(key, "big"), value))
            if len(found) == limit or scanned == AUDIT_SCANNED_MAX:
                return found, int.from_bytes(key, "big")
    return found, 0


def drop(transaction: Transaction, tables: Tables, number: int) -> int:
    """Drop the oldest entries with lower numbers, `AUDIT_DROPPED_MAX` at most; returns how many."""
    if tables.audit is None:
        return 0
    keys = [key for key, _ in islice(walk(transaction, tables.audit, b"\x00"), AUDIT_DROPPED_MAX)]
    dropped = [key for key in keys if int.from_bytes(key, "big") < number]
    for key in dropped:
        transaction.delete(key, db=tables.audit)
    return len(dropped)


_NOTHING = (0, LINK_FIRST)
