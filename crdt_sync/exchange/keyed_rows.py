"""What the rows of a table say: in the columns by which they are told apart, and besides."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from crdt_sync.errors import InvalidValue
from crdt_sync.exchange.changes import single_value
from crdt_sync.exchange.names import is_name, name_of
from crdt_sync.exchange.persons import is_telling
from crdt_sync.exchange.table import MISSING, Cell, Row, RowError
from crdt_sync.exchange.whole_rows import text_of
from crdt_sync.records.comparing import folded
from crdt_sync.records.field_values import normalise
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import FieldSpec


def _as_written(_: int, cell: Cell) -> Cell:
    return cell


@dataclass(slots=True)
class KeyedRows:
    """The rows of one table, and the columns that identify them."""

    collection: str
    headers: tuple[str, ...]
    key_positions: tuple[int, ...]
    record_position: int | None
    natural: dict[int, tuple[str, FieldSpec]]  # column position to the field of the natural key; empty without one
    typed: bool
    key_fields: tuple[tuple[int, str, FieldSpec], ...] = ()  # of the key columns: column, field; else none
    fields: Mapping[str, FieldSpec] = field(default_factory=dict)
    rows: Callable[[], Iterable[Row | RowError]] = lambda: ()
    read: Callable[[int, Cell], Cell] = _as_written  # a cell of a column as its field takes it
    read_row: Callable[[Row], Mapping[str, Sequence[Cell]]] = lambda _: {}  # the cells of each field, in the same way
    carried: Callable[[Row], str | RowError | None] = lambda _: None  # the record that a row says it was exported from
    _names: Counter[str] | None = None  # of the rows

    @property
    def key(self) -> tuple[str, ...]:
        """The headers of the columns that identify rows."""
        return tuple(self.headers[position] for position in self.key_positions)

    @property
    def record_column(self) -> str | None:
        """The header of the column with record ids."""
        return None if self.record_position is None else self.headers[self.record_position]

    def key_of(self, row: Row) -> tuple[str, ...]:
        """What a row says in these columns, as keys are compared."""
        return tuple(folded(self._key_text(row.cells[position])) for position in self.key_positions)

    def fields_of_key(self) -> set[str]:
        """The fields with the key; none where a column of it has no field."""
        return {name for _, name in self.columns_of_key()}

    def columns_of_key(self) -> list[tuple[int, str]]:
        """The columns of the key and their fields; none where one has no field."""
        natural = [(position, name) for position, (name, _) in self.natural.items()]
        return natural or [(position, name) for position, name, _ in self.key_fields]

    def is_named(self, row: Row) -> bool:
        """Whether a row says itself by its id which record it is."""
        given = self.record_position is not None and row.cells[self.record_position] is not MISSING
        return given or self.carried(row) is not None

    def name_in(self, row: Row) -> str:
        """The name that a row says."""
        return name_of(self.carriers(row))

    def rows_named(self, name: str) -> int:
        """How many rows of the table say that name."""
        if self._names is None:
            self._names = Counter(folded(self.name_in(row)) for row in self.rows() if isinstance(row, Row))
        return self._names[folded(name)]

    def telling(self, carriers: Mapping[str, object]) -> list[str]:
        """The fields besides the name of which equal values speak for one customer."""
        return [name for name in carriers if not is_name(name) and is_telling(self.fields[name])]

    def carriers(self, row: Row, *, with_key: bool = False) -> dict[str, object]:
        """What a row says in fields with one value, but the key, unless `with_key`."""
        keys = set() if with_key else self.fields_of_key()
        carriers: dict[str, object] = {}
        for name, (cell, *_) in self.read_row(row).items():
            if name not in keys and cell is not MISSING and self.fields[name].rules.layout is Layout.ENTRIES:
                with suppress(InvalidValue):
                    carriers[name] = self._carrier(cell, name, self.fields[name])
        return carriers

    def _carrier(self, cell: Cell, name: str, spec: FieldSpec) -> object:
        return normalise(name, spec, single_value(name, spec, cell, typed=self.typed))

    def _key_text(self, cell: Cell) -> str:
        """The text of a key; of several addresses of one customer, whose field takes one, the first."""
        first = bool(self.key_fields) and isinstance(cell, list) and len(cell) > 0 and isinstance(cell[0], str)
        return text_of(cell[0] if first and isinstance(cell, list) else cell)
