"""Rows whose key was edited: those that would make a second customer, and those that have the key of somebody else.

Who a row is besides its key, its name tells, or an e-mail address or a phone that is no key: of the records that its
source told of, of an export of all. The record must be the only one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from crdt_sync.exchange.names import name_of
from crdt_sync.exchange.persons import agrees, is_contact_field, words_of
from crdt_sync.exchange.port import ReadableRecord
from crdt_sync.exchange.record_key import RecordKeys
from crdt_sync.exchange.table import MISSING, Row
from crdt_sync.records.comparing import folded

_SHARING_MAX = 8  # records with one phone that are looked at: a switchboard has thousands


@dataclass(slots=True)
class EditedKeys:
    """Answers about the rows of one table, of which `keys` looks ahead."""

    keys: RecordKeys
    everybody: bool = False  # whatever brought them
    _ready: bool = False
    _named: dict[str, list[str]] = field(default_factory=dict)
    _reached: dict[tuple[str, str], list[str]] = field(default_factory=dict)  # by field and what it holds

    @property
    def nobody(self) -> bool:
        """Whether there is no record that a row may have been."""
        self._look()
        return not (self._named or self._reached)

    def before(self, row: Row) -> ReadableRecord | None:
        """The record that a new row may be, but for what rows are known by: that key, or without one a cell.

        No row is that record any more, and half of what both say besides is equal.
        """
        carriers = self.keys.carriers(row)
        found = [each for each in self._alike(carriers) if self._is_gone(each)]
        return next((each for each in found if self._agrees(row, carriers, each)), None)

    def like(self, row: Row) -> ReadableRecord | None:
        """The record that a row is by what it says, whether another row is that, too, or not."""
        carriers = self.keys.carriers(row)
        return next((each for each in self._alike(carriers) if self._agrees(row, carriers, each)), None)

    def another(self, row: Row, here: ReadableRecord) -> ReadableRecord | None:
        """The record that a row is by all but its key, which is that of `here`, somebody else."""
        carriers = self.keys.carriers(row)
        if words_of(carriers) & words_of(here.raw) or any(agrees(at, carriers[at], here) for at in _contacts(carriers)):
            return None
        found = (each for each in self._alike(carriers) if each.record != here.record)
        return next((each for each in found if self._agrees(row, carriers, each)), None)

    def _agrees(self, row: Row, carriers: Mapping[str, object], before: ReadableRecord) -> bool:
        """Whether half of what a row and a record say, besides name and key, is equal; of rows as wholes one cell may
        differ."""
        both = [name for name in self.keys.telling(carriers) if before.raw.get(name) not in (None, "")]
        equal = sum(agrees(name, carriers[name], before) for name in both)
        whole = not self.keys.key_positions
        one_cell = whole and not any(row.cells[at] is not MISSING for at in self.keys.without_field)
        return len(both) - equal <= max(equal, one_cell)

    def _alike(self, carriers: Mapping[str, object]) -> Iterator[ReadableRecord]:
        """The only record with the name, if no other row has it; then any with an address or phone and, where the table
        is no export, a word of the name."""
        self._look()
        name, words = name_of(carriers), words_of(carriers)
        named = self._named.get(folded(name), []) if name else []
        if len(named) == 1 and self.keys.rows_named(name) == 1:
            yield from self._present(named[0])
        for at in _contacts(carriers):
            for record in self._reached.get((at, folded(str(carriers[at]))), ())[:_SHARING_MAX]:
                for each in self._present(record):
                    others = words_of(each.raw)
                    if record not in named and (self.keys.exported or not words or not others or words & others):
                        yield each

    def _present(self, record: str) -> Iterator[ReadableRecord]:
        if (present := self.keys.present(record)) is not None:
            yield present

    def _is_gone(self, before: ReadableRecord) -> bool:
        """Whether no row of the table is a record, or has the address or phone by which it is known."""
        if self.keys.contact and self.keys.key_fields:
            known = all(before.raw.get(at) not in (None, "") for at in self.keys.fields_of_key())
            return known and not self.keys.is_claimed(before)
        return before.record not in self.keys.named_by_rows()

    def _look(self) -> None:
        if self._ready:
            return
        self._ready = True
        key = self.keys.fields_of_key()
        for view in self.keys.records():
            if view.deleted or not (self.everybody or self.keys.exported or self.keys.is_ours(view)):
                continue
            if name := folded(name_of(view.raw)):
                self._named.setdefault(name, []).append(view.record)
            for at in _contacts(view.raw):
                if at not in key and view.raw[at] not in (None, ""):
                    self._reached.setdefault((at, folded(str(view.raw[at]))), []).append(view.record)


def _contacts(carriers: Mapping[str, object]) -> list[str]:
    return [name for name in carriers if is_contact_field(name)]
