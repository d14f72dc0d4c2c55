"""Records of a source that no row of its table is any more, and the new rows that may be edited ones of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from crdt_sync.exchange.persons import words_of
from crdt_sync.exchange.port import ReadableRecord


@dataclass(frozen=True, slots=True)
class PerhapsEdited:
    """A row that is a new `record`, and the record with its name that its source told of and no row is any more."""

    line: int
    name: str
    record: str
    before: str


@dataclass(slots=True)
class RowsGone:
    """Those of one import; empty for a source that is new."""

    _left: set[str] = field(default_factory=set)
    _named: dict[frozenset[str], list[str]] = field(default_factory=dict)
    _new: list[tuple[int, str, str, frozenset[str]]] = field(default_factory=list)  # line, name, record, its words

    @classmethod
    def of(cls, records: Iterable[ReadableRecord], source: str) -> "RowsGone":
        """Before the first row: none of the records of `source` is a row yet."""
        gone = cls()
        for record in records:
            if any(told.name == source for told in record.sources):
                gone._left.add(record.record)
                if words := words_of(record.raw):
                    gone._named.setdefault(frozenset(words), []).append(record.record)
        return gone

    def is_here(self, record: str) -> None:
        """A row is this record."""
        self._left.discard(record)

    def is_new(self, line: int, name: str, record: str) -> None:
        """A row is a record that was not here before."""
        if self._named and (words := frozenset(words_of({"name": name}))) in self._named:
            self._new.append((line, name, record, words))

    def perhaps_edited(self) -> list[PerhapsEdited]:
        """After the last row: each new row and each record that is gone at most once."""
        taken: set[str] = set()
        pairs = []
        for line, name, record, words in self._new:
            before = next((each for each in self._named[words] if each in self._left and each not in taken), None)
            if before is not None:
                taken.add(before)
                pairs.append(PerhapsEdited(line, name, record, before))
        return pairs

    def count(self) -> int:
        """The records that are gone."""
        return len(self._left)
