"""Editing a Yjs text by code point. pycrdt's own indices are UTF-8 byte offsets, unchecked."""

from collections.abc import Callable

from crdt_sync.errors import InvalidValue
from crdt_sync.limits import TEXT_BYTES_MAX
from crdt_sync.records.document import Document
from crdt_sync.records.text_diff import Replacement, edits
from crdt_sync.records.values import text_carrier


class TextField:
    """One text field of a record being edited. Indices count code points, as Python's `str` does.

    Read it with `str()` and `len()`. Edits raise `InvalidValue` for text that cannot be stored and for
    indices outside the text. `check` is called before each edit and raises where none may be made any more.
    """

    def __init__(self, document: Document, field: str, check: Callable[[], object] = lambda: None) -> None:
        self._document = document
        self._check = check
        self._field = field
        self._root = f"t.{field}"
        self.changed = False

    def __str__(self) -> str:
        with self._document.transaction() as transaction:
            return self._document.text(transaction, self._root).get_string(transaction)

    def __len__(self) -> int:
        return len(str(self))

    def insert(self, index: int, text: str) -> None:
        """Insert `text` before the code point at `index`; `len(field)` appends."""
        self._splice(str(self), [(index, index, text)])

    def delete(self, start: int, stop: int) -> None:
        """Delete the code points from `start` up to, not including, `stop`."""
        self._splice(str(self), [(start, stop, "")])

    def replace(self, text: str, compare: Callable[[str, str], list[Replacement]] = edits) -> None:
        """Make the text equal to `text` by the words that differ, so that edits made elsewhere survive.

        `compare` finds them: imports write theirs as `differences`, which the merging of versions goes by.
        """
        current = str(self)
        self._splice(current, compare(current, text_carrier(self._field, text, TEXT_BYTES_MAX)))

    def _splice(self, current: str, changes: list[tuple[int, int, str]]) -> None:
        self._check()
        size = len(current.encode("utf-8"))
        for start, stop, text in changes:
            if not 0 <= start <= stop <= len(current):
                raise InvalidValue(self._field, f"{start} to {stop} is outside the text of {len(current)} characters")
            size += len(text_carrier(self._field, text, TEXT_BYTES_MAX).encode("utf-8"))
            size -= len(current[start:stop].encode("utf-8"))
        if size > TEXT_BYTES_MAX:
            raise InvalidValue(self._field, f"the text would have {size} bytes, the limit is {TEXT_BYTES_MAX}")
        splice(self._document, self._root, current, changes)
        self.changed = self.changed or any(stop > start or text for start, stop, text in changes)


def splice(document: Document, root: str, current: str, changes: list[tuple[int, int, str]]) -> None:
    """Make the replacements `(start, stop, text)`, in ascending order, in a text root that now holds `current`."""
    with document.transaction() as transaction:
        shared = document.text(transaction, root)
        for start, stop, text in reversed(changes):  # from the end, so that earlier offsets stay valid
            offset = len(current[:start].encode("utf-8"))
            if stop > start:
                shared.remove_range(transaction, offset, len(current[start:stop].encode("utf-8")))
            if text:
                shared.insert(transaction, offset, text)
