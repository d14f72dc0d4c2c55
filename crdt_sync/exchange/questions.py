"""What is asked about a table before anything of it is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crdt_sync.exchange.look_ahead import (
    OtherKey,
    Present,
    check_keys,
    check_list,
    check_named,
    check_new,
    check_source,
)
from crdt_sync.exchange.mapping import ColumnMapping
from crdt_sync.exchange.record_key import RecordKeys
from crdt_sync.exchange.table import BASE_HEADER, Table
from crdt_sync.exchange.working_keys import Meant, working_key
from crdt_sync.records.schema import Schema


@dataclass(frozen=True, slots=True)
class Questions:
    """About one table. `keys_by` gives the keys of some columns; the rest is what somebody answered beforehand."""

    table: Table
    matched: ColumnMapping
    schema: Schema
    present: Present
    keys_by: Callable[[Sequence[str]], RecordKeys]
    as_new: bool
    same_source: bool
    given: str | None  # the source
    named: bool  # the key was given

    def ask(self, keys: RecordKeys) -> None:
        """Raise what is to be asked first, see `import_table`; nothing where all is clear."""
        self._ask(keys, self._other_key)

    def _ask(self, keys: RecordKeys, other_key: OtherKey) -> None:
        table, present = self.table, self.present
        based = BASE_HEADER in table.columns
        if not self.same_source and not based:
            check_list(table, keys, present, keys.source, given=self.named)
        if not self.as_new:
            check_new(table, keys, present, self.schema, other_key)
        check_keys(table, keys, present, other_key, as_new=self.as_new, same_source=self.same_source)
        if not self.same_source and (based or keys.record_position is not None):
            check_named(table, keys, present)
        if self.given is None and not (self.as_new or self.same_source or keys.exported or keys.own.named):
            check_source(table, keys, present)

    def _other_key(self, meant: Meant) -> Sequence[str]:
        if self.schema.natural_key:
            return ()
        return working_key(self.table, self.matched, self.schema, meant, self.present, self.keys_by, self._try)

    def _try(self, keys: RecordKeys) -> None:
        self._ask(keys, lambda _: ())
