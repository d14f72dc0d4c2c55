"""The record that a source made of a row before, where its key was another then, or was read in another way."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from crdt_sync.exchange.keyed_rows import KeyedRows
from crdt_sync.exchange.known_records import same_value
from crdt_sync.exchange.lost_digits import only_lost_digits
from crdt_sync.exchange.names import name_of
from crdt_sync.exchange.persons import is_contact_field, words_of
from crdt_sync.exchange.port import ReadableRecord
from crdt_sync.exchange.table import Row, Shown
from crdt_sync.exchange.whole_rows import WholeRows, text_of
from crdt_sync.ids import natural_record
from crdt_sync.records.comparing import folded
from crdt_sync.records.memory.sources import COLUMNS, mark, newest, same
from crdt_sync.records.roots import Layout


@dataclass(slots=True)
class EarlierKeys(KeyedRows):
    """The records of the source of a table, and which of them a row was under an earlier key."""

    source: str = ""
    found: bool = False  # nobody named the key columns
    by_row: bool = False  # somebody asked for rows as a whole: an edited one is another record
    contact: bool = False  # the key is one column with addresses or phones, that was found
    numbered: bool = False  # the key is one column with numbers that some program gave
    present: Callable[[str], ReadableRecord | None] = lambda _: None
    records: Callable[[], Iterable[ReadableRecord]] = lambda: ()
    whole: set[str] = field(default_factory=set)  # records of rows with a key that were made of the row as a whole
    _ours_by_name: dict[str, list[str]] | None = None
    _claimed: dict[str, set[frozenset[str]]] | None = None  # key to the words of the names of its rows
    _contents: WholeRows = field(init=False)

    def __post_init__(self) -> None:
        self._contents = WholeRows(self.collection, self.headers)

    @property
    def source_is_new(self) -> bool:
        """Whether no record with a name is of this source."""
        return not self._named_ours()

    def is_ours(self, present: ReadableRecord) -> bool:
        """Whether the source of the table said anything of a record."""
        return any(memory.name == self.source for memory in present.sources)

    def is_claimed(self, present: ReadableRecord) -> bool:
        """Whether some row of the table has the key of a record; no row of another name."""
        if self._claimed is None:
            self._claimed = {}
            (position,) = self.key_positions
            for row in self.rows():
                if isinstance(row, Row):
                    words = frozenset(words_of(self.carriers(row)))
                    self._claimed.setdefault(folded(self._key_text(row.cells[position])), set()).add(words)
        mine = words_of(present.raw)
        keys = [present.raw.get(name) for _, name, _ in self.key_fields]
        rows = [said for key in keys for said in self._claimed.get(folded(str(key)), ())]
        return any(not said or not mine or said & mine for said in rows)

    def _said_here(self, present: ReadableRecord, carriers: Mapping[str, object]) -> bool:
        """Whether it is this source that the record has its key from: a customer of its who has another by now."""
        last = newest(present.sources).get(self.source)
        return last is not None and all(
            name in last.said and same(last.said[name], mark(carrier)) for name, carrier in carriers.items()
        )

    def _before_format(self, row: Row, parts: list[str]) -> str | None:
        """The record that this source made of the numbers in a row before a sheet showed them in another form."""
        cells = [row.cells[position] for position in self.key_positions]
        plain = [text_of(cell.value) if isinstance(cell, Shown) else text_of(cell) for cell in cells]
        record = natural_record(self.collection, [*plain, self.source] if self.found and self.numbered else plain)
        present = self.present(record) if plain != parts else None
        return None if present is None or not self.is_ours(present) else record

    def _whole_before(self, row: Row) -> str | None:
        """The record that this source made of a row as a whole, before a key was found in a column without a field."""
        if not self.found or self.key_fields:
            return None
        record: str | None = self._contents.record_of(row)
        present = self.present(record) if record is not None else None
        if present is None or not self.is_ours(present):
            record = self._moved(self.carriers(row), whole=True)
        if record is not None:
            self.whole.add(record)
        return record

    def _filled_in(self, row: Row) -> str | None:
        """The record of an earlier row that this one repeats, with cells that it lacked or that could not be read.

        It is the one of this source with the name, which no other row has. None where numbers tell rows apart.
        """
        if self.by_row or self.source_is_new or (self.key_positions and not (self.contact and self.key_fields)):
            return None
        carriers = self.carriers(row, with_key=True)
        if (before := self._only_one_named(name_of(carriers))) is None:
            return None
        said = newest(before.sources)[self.source].said
        single = [name for name in said if name in self.fields and self.fields[name].rules.layout is Layout.ENTRIES]
        kept = all(name in carriers and same(said[name], mark(carriers[name])) for name in single)
        return before.record if single and kept else None

    def _moved(
        self, carriers: Mapping[str, object], key: Mapping[str, object] | None = None, *, whole: bool = False
    ) -> str | None:
        """The one record of this source with the same name and another equal address or phone, whose key no row has.

        Or whose `key` the row says without leading zeros. With `whole` of those records alone that were made of rows as
        wholes.
        """
        contacts = [name for name in carriers if is_contact_field(name)]
        key = key or {}
        if not (contacts or key):
            return None
        found = [
            each
            for each in self._ours_named(name_of(carriers))
            if any(same_value(carriers[at], each.raw.get(at)) for at in contacts)
            or any(only_lost_digits(at, self.fields[at], each.raw.get(at), said) for at, said in key.items())
        ]
        if whole:
            last = [newest(each.sources)[self.source] for each in found]
            found = [each for each, told in zip(found, last, strict=True) if not told.said.get(COLUMNS)]
        return found[0].record if len(found) == 1 and not (self.key_fields and self.is_claimed(found[0])) else None

    def _only_one_named(self, name: str) -> ReadableRecord | None:
        """The one record of this source with the name of a row, if no other row of the table has it."""
        ours = self._ours_named(name)
        return ours[0] if len(ours) == 1 and self.rows_named(name) == 1 else None

    def _ours_named(self, name: str) -> list[ReadableRecord]:
        """The records of this source with that name."""
        return [
            present for each in self._named_ours().get(folded(name), ()) if (present := self.present(each)) is not None
        ]

    def _named_ours(self) -> Mapping[str, list[str]]:
        if self._ours_by_name is None:
            self._ours_by_name = {}
            for view in self.records():
                if not view.deleted and self.is_ours(view) and (held := folded(name_of(view.raw))):
                    self._ours_by_name.setdefault(held, []).append(view.record)
        return self._ours_by_name
