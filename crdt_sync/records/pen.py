"""What a kind writes with: the document that is edited, a clock and who edits, and the steps that kinds share.

What the record shows depends on its schema, which knows the kinds: whoever has one says so, see `Editor`.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from functools import partial

from crdt_sync.clock import HybridClock
from crdt_sync.errors import NoConflict
from crdt_sync.limits import REPLACED_KEPT_US
from crdt_sync.records.document import Document
from crdt_sync.records.entries import Age, Conflict, Entry, is_entry, well_formed
from crdt_sync.records.memory.memories import settle, sources_of
from crdt_sync.records.memory.memory_index import MemoryIndex
from crdt_sync.records.memory.sources import Source
from crdt_sync.records.replaced import fourth
from crdt_sync.records.roots import DELETED_ROOT, is_reserved
from crdt_sync.records.signature_text import signature_of
from crdt_sync.records.signatures import Signing
from crdt_sync.records.text_bringing import write_down
from crdt_sync.records.text_field import TextField
from crdt_sync.records.values import Carrier
from crdt_sync.records.write_once import write_once


class Pen(ABC):
    """Writes into one document. `check` is asked before a text that was handed out is edited, with its field. `signing`
    signs entries of fields.
    """

    def __init__(
        self,
        document: Document,
        clock: HybridClock,
        actor: str,
        check: Callable[[str], object],
        signing: Signing | None = None,
    ) -> None:
        self._signing = signing
        self.document = document
        self.clock = clock
        self.actor = actor
        self.changed = False  # whether anything was written, but into texts
        self.resolved = False  # whether a conflict was decided
        self.texts: list[TextField] = []
        self._check = check

    @abstractmethod
    def value(self, field: str) -> object:
        """The carrier that a field shows; None where it holds nothing."""

    @abstractmethod
    def conflict(self, field: str) -> Conflict | None:
        """What stands against each other in a field; see `Editor.conflict`."""

    @abstractmethod
    def is_asked(self, field: str, carriers: Sequence[object]) -> bool:
        """Whether concurrent values of a field wait for a decision."""

    def entries(self, root: str) -> list[Entry]:
        """What an array holds."""
        with self.document.transaction() as transaction:
            return well_formed(json.loads(self.document.array(transaction, root).to_json(transaction)))

    def map(self, root: str) -> dict[str, object]:
        """What a map holds."""
        with self.document.transaction() as transaction:
            held: dict[str, object] = json.loads(self.document.map(transaction, root).to_json(transaction))
        return held

    def sources(self) -> list[Source]:
        """What sources of imports said last, the newest first."""
        return sources_of(self.document)

    def age(self, field: str) -> Age:
        """When sources said what is in the entries of a field, see `MemoryIndex.age`."""
        index: list[MemoryIndex] = []

        def age(entry: Entry) -> tuple[bool, int]:
            if not index:
                index.append(MemoryIndex(self.sources()))
            return index[0].age(entry, field)

        return age

    def observe(self, superseded: list[Entry]) -> None:
        """A write comes after everything that it supersedes."""
        for entry in superseded:
            self.clock.observe(entry[1])

    def append_entry(self, root: str, carrier: Carrier, *, superseding: bool) -> None:
        """Write an entry at the end of an array, or in the place of all that are there."""
        more: list[object] = []
        with self.document.transaction() as transaction:
            array = self.document.array(transaction, root)
            length = array.len(transaction)
            if superseding and length:
                superseded = well_formed(json.loads(array.to_json(transaction)))
                more = fourth(carrier, superseded, after=self.clock.latest() - REPLACED_KEPT_US)
                array.remove_range(transaction, 0, length)
                length = 0
            entry: Entry = [carrier, self.clock.tick(), self.actor, *more]
            if self._signing is not None and not is_reserved(root):
                entry = self._signing.signed(root, entry)
            array.insert(transaction, length, entry)
        if self._signing is not None and signature_of(entry) is not None:
            self._signing.leave_token(self.document)
        self.changed = True

    def write_shared(self, root: str, carrier: Carrier, replaced: Collection[object]) -> None:
        """Write an entry, in the place of those with the values `replaced`, as the same operations on every device."""
        write_once(self.document, partial(_put, root=root, carrier=carrier, replaced=replaced))
        self.changed = True

    def clear_array(self, root: str) -> None:
        """Remove all that an array holds."""
        with self.document.transaction() as transaction:
            array = self.document.array(transaction, root)
            length = array.len(transaction)
            if length:
                array.remove_range(transaction, 0, length)
                self.changed = True

    def open_text(self, field: str) -> TextField:
        """The text of a field, to be edited in place."""
        write_down(self.document, field)
        text = TextField(self.document, field, lambda: self._check(field))
        self.texts.append(text)
        return text

    def end_waiting(self, field: str) -> None:
        """No text of a source waits beside that of a field any more: it is decided what that is."""
        if self.entries(DELETED_ROOT):
            # A decision is an edit that a delete has not seen, also for what is shown already.
            text = self.open_text(field)
            text.insert(end := len(text), " ")
            text.delete(end, end + 1)
        write_down(self.document, field, waiting=True)

    def check_disputed(self, field: str) -> None:
        """Raise `NoConflict` where nothing stands against each other in a field."""
        if self.conflict(field) is None:
            raise NoConflict(field, "nothing to decide: nobody disagrees about it", "Write it as usual.")

    def settle(self, field: str) -> None:
        """What versions of imports say of a field, or what people began it with, was decided."""
        settle(self.document, field)
        self.resolved = self.changed = True


_SHARED = [0, "schema"]
"""Stamp and author of what every device writes alike: before whatever a person writes."""


def _put(document: Document, root: str, carrier: Carrier, replaced: Collection[object]) -> None:
    with document.transaction() as transaction:
        array = document.array(transaction, root)
        raw = json.loads(array.to_json(transaction)) if array.len(transaction) else []
        for index in reversed(range(len(raw))):
            if is_entry(raw[index]) and raw[index][0] in replaced:
                array.remove_range(transaction, index, 1)
        array.insert(transaction, array.len(transaction), [carrier, *_SHARED])
