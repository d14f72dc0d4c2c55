"""The documents of one record that are edited together: its own, and the companions that hold what is in sections.

A companion is a record of its own to the log, to cursors and to partners; people see one record. It is there once
something was written into its section, and is shown, deleted and restored with its record: nothing in it says whether
that is deleted.
"""

from collections.abc import Callable, Mapping

from crdt_sync import ids
from crdt_sync.errors import InvalidValue
from crdt_sync.records import Document, Editor
from crdt_sync.records.signatures import Signing
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.replica.copies import Copy


class Companions:
    """Copies of the companions of one record, taken when they are first read or written; `copy` makes one, and
    `signing` tells how what is written into it is signed.
    """

    def __init__(self, copy: Callable[[str], Copy], signing: Callable[[str], Signing | None]) -> None:
        self._copy = copy
        self._signing = signing
        self.copies: dict[str, Copy] = {}

    def document(self, section: str) -> Document:
        """The document that holds the fields of a section."""
        if section not in self.copies:
            self.copies[section] = self._copy(section)
        return self.copies[section].document

    def opened(self, section: str) -> tuple[Document, Signing | None]:
        """The same with how it is signed, as an `Editor` asks for it."""
        return self.document(section), self._signing(section)

    def by_record(self, record: str) -> Mapping[str, Copy]:
        """All that were taken, by their ids."""
        return {ids.in_section(record, section): copy for section, copy in sorted(self.copies.items())}


def edited(editor: Editor, record: str, copy: Copy, companions: Companions) -> Mapping[str, Copy]:
    """What an edit wrote into, by the ids of records, the record itself first. Raises `InvalidValue`."""
    if not companions.copies:
        copy.may_add |= editor.resolved
        return {record: copy}
    found: dict[str, Copy] = {}
    changed = editor.changed_sections
    if editor.changed_outside:
        copy.may_add |= editor.resolved
        found[record] = copy
    elif copy.new and copy.document.state_vector() == vectors.EMPTY:
        raise InvalidValue(
            "record",
            f"a new record needs a field that is in no section, beside what is in {', '.join(map(repr, changed))}",
            "Give it a name, or whatever else everybody sees of it.",
        )
    for section, resolved in sorted(changed.items()):
        companion = companions.copies[section]
        companion.may_add |= resolved
        found[ids.in_section(record, section)] = companion
    return found
