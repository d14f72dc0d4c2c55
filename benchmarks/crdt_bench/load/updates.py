"""Updates made in advance, so that making them costs nothing while the relay is measured."""

import random

from crdt_sync import ids
from crdt_sync.clock import HybridClock
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import Push, PushEntry
from crdt_sync.records import Document, Editor, Schema, bundled_schema

COLLECTION = "customers"
HOT = ids.new_record(COLLECTION, random.Random(0))  # where one device edits one record
_FIELDS = ("phone", "city", "website", "owner", "source")


class EditedRecord:
    """One record as one device edits it, and its next edit as an update of about 70 bytes."""

    def __init__(self, rng: random.Random, schema: Schema, clock: HybridClock, record: str | None = None) -> None:
        self.record = record or ids.new_record(COLLECTION, rng)
        self.writer = ids.new_writer(rng)
        self._rng = rng
        self._document = Document(self.writer)
        self._editor = Editor(self._document, schema, clock, "bench", COLLECTION)
        self._editor["name"] = "Bench"
        self._known, self._deleted = b"\x00", b""
        self._edits = 0

    def next_update(self, edits: int = 1) -> bytes:
        """Overwrite that many fields with new values, one after the other: an operation each.

        As devices say it, without what was deleted before: each update would delete all of that again.
        """
        for _ in range(edits):
            self._edits += 1
            self._editor[_FIELDS[self._edits % len(_FIELDS)]] = f"{self._rng.randrange(10**9):09d}"
        update = self._document.diff_of_edit(self._known, self._deleted)
        self._known, self._deleted = self._document.state_vector(), self._document.deletions()
        return update


class Device:
    """One device with records of its own, or with the one that is named; `push` gives its next push as a frame."""

    def __init__(self, seed: int, records: int, wall_clock: int, record: str | None = None) -> None:
        rng = random.Random(seed)
        schema = bundled_schema(COLLECTION)
        clock = HybridClock(lambda: wall_clock)
        self.replica = ids.new_replica(rng)
        self._records = [EditedRecord(rng, schema, clock, record) for _ in range(1 if record else records)]
        self._next = 0
        self._number = 0

    def push(self, updates: int, edits: int = 1) -> bytes:
        """The next push with that many updates of as many edits, each of another record where there are as many."""
        entries = []
        for _ in range(updates):
            edited = self._records[self._next % len(self._records)]
            self._next += 1
            entries.append(PushEntry(edited.record, edited.next_update(edits)))
        self._number += 1
        return codec.encode(Push(self._number, tuple(entries)))
