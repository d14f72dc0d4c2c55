"""How much of the data file is in use: the file itself never shrinks, and free pages of it are written again."""

from dataclasses import fields

from crdt_sync.storage.lmdb.tables import PlaceTables, Tables, Transaction


def used_bytes(transaction: Transaction, tables: Tables) -> int:
    """The bytes of all pages that hold something, at the cost of a few reads of the environment's own figures."""
    handles = [getattr(tables, each.name) for each in fields(tables)]
    size = 0
    for handle in handles:
        for table in (handle.shown, handle.places) if isinstance(handle, PlaceTables) else (handle,):
            if table is not None:
                found = transaction.stat(table)
                size += found["psize"] * (found["branch_pages"] + found["leaf_pages"] + found["overflow_pages"])
    return size
