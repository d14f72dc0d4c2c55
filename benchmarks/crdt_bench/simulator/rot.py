"""Bit rot: stored values of a virtual disk that fail their checksum when they are read, as in `storage.lmdb`.

A value is named by its table and key: `("head", record)`, `("snapshot", record)`, `("log", seq)`, `("feed", seq)` or
`("view", record)`. Whatever is written anew is sound again.
"""

import random
from collections.abc import Sequence

from crdt_sync.errors import StoreCorrupt
from crdt_sync.storage.memory_state import MemoryState
from crdt_sync.storage.values import Batch, Head, Remains

Value = tuple[str, str | int]


class Rot:
    """What of one disk is damaged."""

    def __init__(self, values: "set[Value] | None" = None) -> None:
        self.values = values or set()

    def __bool__(self) -> bool:
        return bool(self.values)

    def clone(self) -> "Rot":
        """The same damage, of a copy of the disk."""
        return Rot(set(self.values))

    def strike(self, state: MemoryState, rng: random.Random) -> str:
        """Damage one stored value; returns its name, empty where nothing is stored."""
        tables: list[list[Value]] = [
            [("head", record) for record in state.names],
            [("snapshot", record) for record in sorted(state.snapshots)],
            [("log", seq) for seq in sorted(state.log)],
            [("feed", seq) for seq in state.feed_seqs],
            [("view", record) for record in sorted(state.views)],
        ]
        present = [values for values in tables if values]
        if not present:
            return ""
        value = rng.choice(rng.choice(present))
        self.values.add(value)
        return f"{value[0]} {value[1]}"

    def check(self, table: str, key: str | int, record: str | None = None) -> None:
        """Raise `StoreCorrupt` where this value is damaged; `record` says whose primary data it is."""
        if (table, key) in self.values:
            raise StoreCorrupt(f"entry {key} of {table!r} fails its checksum", record=record)

    def check_record(self, state: MemoryState, record: str) -> None:
        """Raise `StoreCorrupt` where the record cannot be loaded."""
        self.check("head", record, record)
        head = state.heads.get(record)
        if head is None:
            return
        for seq in _tail(state, record, head):
            self.check("log", seq, record)
        if head.snapshot_seq and record not in state.in_log:
            self.check("snapshot", record, record)
        elif head.snapshot_seq:
            self.check("log", head.snapshot_seq, record)

    def check_commit(self, batches: Sequence[Batch]) -> None:
        """Raise `StoreCorrupt` where a batch builds on a damaged head."""
        for batch in batches:
            for record in (*(change.record for change in batch.changes), *batch.digests, *batch.views):
                self.check("head", record, record)

    def written(self, batches: Sequence[Batch], state: MemoryState) -> None:
        """These batches were stored."""
        for batch in batches:
            self.values.difference_update(("view", record) for record in batch.views)
            for change in batch.changes:
                if change.view is not None:
                    self.values.discard(("view", change.record))
                if change.snapshot is not None:
                    self.values.discard(("snapshot", change.record))
        self.gone(state)

    def forget(self, record: str) -> None:
        """The record was taken out; only its log stays."""
        self.values -= {(table, record) for table in ("head", "snapshot", "view")}

    def rebuilt(self) -> None:
        """What follows from other values was derived anew."""
        self.values = {(table, key) for table, key in self.values if table not in ("feed", "view", "log")}

    def remains(self, record: str, found: Remains) -> Remains:
        """What is sound of a record of which a disk without damage would have `found`."""
        head = ("head", record) not in self.values
        return Remains(
            found.head if head else None,
            found.digest if head else None,
            found.snapshot if ("snapshot", record) not in self.values else None,
            found.view if ("view", record) not in self.values else None,
            tuple(entry for entry in found.entries if ("log", entry.seq) not in self.values),
            broken=any(
                table == "log" or value == record for table, value in self.values if table in ("log", "snapshot")
            ),
        )

    def gone(self, state: MemoryState) -> None:
        """Entries that are no longer there do no harm."""
        self.values = {
            (table, key)
            for table, key in self.values
            if not isinstance(key, int) or key in (state.log if table == "log" else state.feed)
        }


def _tail(state: MemoryState, record: str, head: Head) -> list[int]:
    seqs = state.seqs[record]
    return seqs[len(seqs) - head.tail :]
