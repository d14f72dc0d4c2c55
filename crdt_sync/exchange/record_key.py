"""Which record a row is: decided the same way on every device and in every run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from crdt_sync.errors import InvalidValue, KeyTaken
from crdt_sync.exchange.earlier_keys import EarlierKeys
from crdt_sync.exchange.key_columns import names_a_customer
from crdt_sync.exchange.known_records import KnownRecords, same_value
from crdt_sync.exchange.lost_digits import in_short, is_rounded
from crdt_sync.exchange.names import name_of
from crdt_sync.exchange.own_rows import OwnRows
from crdt_sync.exchange.persons import KnownPeople, is_another, is_contact_field, named_alike
from crdt_sync.exchange.port import ReadableRecord
from crdt_sync.exchange.short_keys import ShortKeys
from crdt_sync.exchange.table import BASE_HEADER, MISSING, BrokenCell, Cell, Row, RowError
from crdt_sync.exchange.whole_rows import text_of
from crdt_sync.ids import collection_of, is_record, natural_record
from crdt_sync.records.comparing import folded
from crdt_sync.records.natural_key import key_of, record_of
from crdt_sync.records.schema import Schema
from crdt_sync.replica.keys import check_left


@dataclass(frozen=True, slots=True)
class SharedKey:
    """A row whose key is also that of `other`, which has another name: it is `record`, a new one."""

    line: int
    column: str
    record: str
    other: str
    name: str


@dataclass(slots=True)
class RecordKeys(EarlierKeys):
    """Names the record of each row, in this order of preference.

    1. The record column, if there is one and its cell is not empty: the id itself, where nobody named the column only
       of a record that is here; what a table makes of it would be joined with what other devices have under that id.
       Else the record that an export of this device wrote into the row, key and all, if the row says the same still
       (`own`).
    2. The natural key of the schema, or the key columns: the same key, ignoring case and blanks around it, is the same
       record. An empty key is an error of its row, and so is a key that an earlier, different row had.
       With a natural key the record is the one that shows it, however either is written; with key columns
       a record that is here already is found by what this source said of the key, by the id that follows from the
       key, and by what it holds, in this order; several that hold the key are an error of the row.
       An address or a phone that was found (`contact`) may be shared, see `_by_contact`.
       A number that was found as key (`found`) is that of its source: the id follows from both, and a record of
       another source is meant only where a name, an e-mail address or a phone agrees, and no name contradicts.
       A row that was exported without the key, or was edited since, is the record it was, unless its key names
       another; a key that is new is that of another where the record has one, and the key was not found.
       Without a key, a row that says more of one of several records that were exported alike is an error.
    3. The whole row together with how often an equal row came before: equal tables give equal ids. So are rows without
       a key named where the key columns were found and not given (`found`). A row that its key does not tell from
       others is the record that was made of it as a whole, if there is one; with `as_new` it is made.
    """

    ids_found: bool = False  # nobody named the record column
    as_new: bool = False  # somebody said that rows are new customers
    passed_over: tuple[RowError, ...] = ()  # columns that would identify rows rather, see `FoundKey`
    known: KnownRecords | None = None
    schema: Schema | None = None  # with a natural key, and then also which records show one
    shown_by: Callable[[Mapping[str, object]], Sequence[str]] = lambda _: ()
    sources: Callable[[], Sequence[str]] = lambda: ()  # of the records that are here
    own: OwnRows = field(default_factory=OwnRows)
    recognised: int = 0  # rows that were known as those of an export
    exported: bool = False  # the table is or looks like an export: its rows may be any records
    short: ShortKeys | None = None  # of the records that are here
    shared: list["SharedKey"] = field(default_factory=list)
    matched: int = 0  # rows whose record was found by what it holds
    without_key: int = 0
    without_field: tuple[int, ...] = ()  # columns
    _others: Sequence[str] | None = None  # other sources, once they were needed
    _people: list[KnownPeople] = field(default_factory=list)  # at most one, once needed; shared with a look ahead
    _named: set[str] | None = None
    _seen: dict[str, tuple[int, int]] = field(default_factory=dict)

    def looking(self) -> "RecordKeys":
        """The same keys for a look ahead, which counts nothing."""
        return replace(self, shared=[], _seen={})

    def record_of(self, row: Row) -> str | RowError | None:
        """The record id of a row; None for a row with the key and the cells of an earlier one."""
        if (carried := self.carried(row)) is not None:
            self.recognised += isinstance(carried, str)
            return self._unique(row, carried, BASE_HEADER)
        if self.record_position is not None and (given := row.cells[self.record_position]) is not MISSING:
            return self._unique(row, self._given(row, given))
        own: str | RowError | None
        if (own := self._exported_with_key(row)) is not None:
            return self._unique(row, own)
        if self.natural:
            return self._unique(row, self._by_natural_key(row))
        without = not all(self._key_text(row.cells[position]).strip() for position in self.key_positions)
        if not self.key_positions or (self.found and without):
            content = self._contents.record_of(row) if self.own.elsewhere else None
            if content is None or self.present(content) is None:
                own = self._exported(row, {}) or self._edited(row)
                if own is not None:
                    return self._unique(row, own)
            self.without_key += 1
            record = content or self._contents.record_of(row)
            more = self._filled_in(row) if self.present(record) is None else None
            return record if more is None else self._unique(row, more)
        return self._unique(row, self._by_key(row))

    def _exported_with_key(self, row: Row) -> str | RowError | None:
        """The record that an export wrote into a row together with its key."""
        fields, own = self.fields_of_key(), self.own.same.get(row.line, ())
        return self._exported(row, {}) if fields and fields <= self.own.fields and len(own) == 1 else None

    def _exported(self, row: Row, key: Mapping[str, object]) -> str | RowError | None:
        """The record that an export wrote into a row whose `key` is that of none; an error where it may be several.

        None also where each of them has another key, unless that was found and may have changed.
        """
        own = self.own.same.get(row.line, ())
        may_change = self.found and len(own) == 1
        if not own or (not may_change and all(self._has_another(record, key) for record in own)):
            return None
        if len(own) > 1:
            header = self.headers[self.key_positions[0]] if self.key_positions else ""
            why = f"{len(own)} records were exported with what this row says, and nothing tells which it is"
            hint = "add their record ids (--record-column), or a column that identifies them (--key)"
            return RowError(row.line, header, "key_ambiguous", f"{why}; {hint}")
        self.recognised += 1
        return own[0]

    def _has_another(self, record: str, key: Mapping[str, object]) -> bool:
        held = present.raw if (present := self.present(record)) is not None else {}
        return any(
            held.get(name) not in (None, "") and not same_value(carrier, held[name]) for name, carrier in key.items()
        )

    def _edited(self, row: Row, key: Mapping[str, object] | None = None) -> str | None:
        """The record that an edited row of an export is; whose `key` was edited, too, must not have another name."""
        own = self.own.edited.get(row.line) if not self.by_row else None
        if own is not None and key and (present := self.present(own)) is not None:
            kept = all(same_value(carrier, present.raw.get(name)) for name, carrier in key.items())
            own = own if kept or named_alike(self.carriers(row), present.raw) is not False else None
        self.recognised += own is not None
        return own

    @staticmethod
    def _without(row: Row, header: str) -> RowError:
        hint = "fill it in, or name the record in a column (--record-column)"
        return RowError(row.line, header, "key_missing", f"the key is empty; {hint}")

    def _given(self, row: Row, given: Cell) -> str | RowError:
        record = given if isinstance(given, str) and "/" in given else f"{self.collection}/{given}"
        header = self.headers[self.record_position or 0]
        if is_record(record) and collection_of(record) == self.collection:
            if self.ids_found and self.present(record) is None:
                hint = f"sync first; where no device has it, --record-column {header!r} makes it"
                return RowError(row.line, header, "record_unknown", f"{record} is not on this device; {hint}")
            return record
        return RowError(row.line, header, "invalid_record_id", f"{str(given)[:80]!r} is not one of {self.collection!r}")

    def _by_key(self, row: Row) -> str | RowError:
        parts = []
        for position in self.key_positions:
            header, cell = self.headers[position], row.cells[position]
            if isinstance(cell, BrokenCell):
                return RowError(row.line, header, "broken_cell", cell.reason)
            part = self._key_text(cell)
            if not part.strip():
                return self._exported(row, {}) or self._without(row, header)
            if is_rounded(part):
                return RowError(
                    row.line, header, "invalid_value", f"{in_short(part)}: it identifies nobody; enter it as text"
                )
            parts.append(part)
        return self._here(row, parts)

    def _by_natural_key(self, row: Row) -> str | RowError:
        """The record that shows the key, which whoever enters it by hand gets too; else the first made under it."""
        assert self.schema is not None
        header, carriers = "", {}
        try:
            for position, (name, spec) in self.natural.items():
                header, cell = self.headers[position], self.read(position, row.cells[position])
                if isinstance(cell, BrokenCell):
                    return RowError(row.line, header, "broken_cell", cell.reason)
                carriers[name] = None if cell is MISSING or cell is None else self._carrier(cell, name, spec)
        except InvalidValue as error:
            return RowError(row.line, header, error.code, error.message)
        key = key_of(self.schema, carriers)
        if key is None:
            return self._exported(row, {}) or self._edited(row) or self._without(row, header)
        shown_by = self.shown_by(carriers)
        if len(shown_by) > 1:
            return self._one_of(row, shown_by, header)
        if shown_by:
            return shown_by[0]
        record = record_of(self.collection, key, 0)
        present = self.present(record)
        if present is not None and present.deleted:
            present = None
        if present is not None and self._said_here(present, carriers):
            return record
        if (own := self._exported(row, carriers) or self._edited(row, carriers)) is not None:
            return own
        if present is None:
            new = self.present(record) is None
            texts = [carrier if isinstance(carrier, str) else "" for carrier in carriers.values()]
            return (self._without_zeros(row, header, texts) if new else None) or record
        try:
            check_left(record, self.schema, present.raw, carriers)
        except KeyTaken as error:
            return RowError(row.line, header, error.code, f"{error.message}. {error.hint}")
        return record

    def _here(self, row: Row, parts: list[str]) -> str | RowError:
        """The record that is here already, else the one of the key."""
        header = self.headers[self.key_positions[0]]
        try:
            values = [
                self._carrier(self.read(position, row.cells[position]), name, spec)
                for position, name, spec in self.key_fields
            ]
        except InvalidValue as error:
            return RowError(row.line, header, error.code, error.message)
        key = {name: value for (_, name, _), value in zip(self.key_fields, values, strict=True)}
        if self.contact:
            return self._by_contact(row, parts, key)
        if self.known is not None and (said := self.known.said(values)) is not None:
            return said
        record = natural_record(self.collection, parts)
        own = natural_record(self.collection, [*parts, self.source]) if self.numbered else record
        first = own if self.found else record
        if self.present(first) is not None:
            return first
        if (before := self._before_format(row, parts)) is not None:
            return before
        candidates = self._numbered(parts, record, own)
        ours = [each for each in candidates if self.is_ours(each)]
        if not ours and self.known is not None:
            held = [self.present(each) for each in self.known.held(values)]
            candidates += [each for each in held if each is not None and each not in candidates]
        if self.numbered and self.found and not ours:
            candidates = self._named_alike(row, candidates)
        meant = ours or [each for each in candidates if not each.deleted] or candidates[:1]
        if len(meant) > 1:
            return self._one_of(row, [each.record for each in meant], header)
        if not meant:
            own_row = self._exported(row, key) or (self._edited(row, key) if self.found else None)
            return own_row or self._whole_before(row) or self._without_zeros(row, header, parts) or first
        self.matched += not ours and meant[0].record != record
        return meant[0].record

    def _without_zeros(self, row: Row, header: str, parts: Sequence[str]) -> RowError | None:
        """What is wrong with a row of nobody else whose key differs from that of a record in leading zeros alone."""
        if self.short is None or self.as_new:
            return None
        here = self.short.meant(parts, [self.source] if self.found and self.numbered else [])
        if here is None:
            return None
        why = f"{' / '.join(parts)[:80]!r} differs from the key of {here}, which is here, in leading zeros alone"
        hint = "format the column as text in the spreadsheet and enter it again; --as-new for another customer"
        return RowError(row.line, header, "digits_lost", f"{why}; {hint}")

    def _by_contact(self, row: Row, parts: list[str], key: Mapping[str, object]) -> str | RowError:
        """The record of a row that is known by an address or a phone: several people may share one.

        A record of this source is meant unless it has another name and nothing else in common with the row; any other
        only where the names agree or, if one is missing, no address or phone contradicts.
        """
        header, carriers = self.headers[self.key_positions[0]], self.carriers(row)
        ids = [natural_record(self.collection, [*parts, *more]) for more in self._told_apart(carriers)]
        if self.known is not None:
            values = list(key.values())
            said = self.known.said(values)
            ids += [*([said] if said is not None else []), *self.known.held(values)]
        found = [present for each in dict.fromkeys(ids) if (present := self.present(each)) is not None]
        telling = self.telling(carriers)
        ours = [each for each in found if self.is_ours(each) and not is_another(carriers, each, telling)]
        meant = ours or [each for each in found if not self.is_ours(each) and self._may_be(carriers, each)]
        meant = [each for each in meant if not each.deleted] or meant[:1]
        if len(meant) > 1:
            return self._one_of(row, [each.record for each in meant], header)
        if meant:
            self.matched += not ours
            return meant[0].record
        if (moved := self._exported(row, key) or self._moved(carriers, key) or self._edited(row, key)) is not None:
            return moved
        if (more := self._filled_in(row)) is not None:
            return more
        own, named = (natural_record(self.collection, [*parts, *more]) for more in self._told_apart(carriers)[1:3])
        record = own if self.present(own) is None else named
        others = [each for each in found if not each.deleted]
        if others:
            self.shared.append(SharedKey(row.line, header, record, others[0].record, name_of(others[0].raw)))
        return record

    def _told_apart(self, carriers: Mapping[str, object]) -> list[tuple[str, ...]]:
        """What ids follow from besides the key: nothing, as in earlier releases, the source, and the name; others."""
        own = [(), (self.source,), (self.source, folded(name_of(carriers)))]
        return own + [(other,) for other in self._other_sources()]

    def _other_sources(self) -> Sequence[str]:
        if self._others is None:
            self._others = [source for source in self.sources() if source != self.source]
        return self._others

    @staticmethod
    def _may_be(carriers: Mapping[str, object], present: ReadableRecord) -> bool:
        alike = named_alike(carriers, present.raw)
        if alike is not None:
            return alike
        told = [name for name in carriers if is_contact_field(name)]
        return not any(
            present.raw.get(name) not in (None, "") and not same_value(carriers[name], present.raw[name])
            for name in told
        )

    def is_another(self, row: Row, present: ReadableRecord) -> bool:
        """Whether a row names a record with which it has nothing but the key in common."""
        carriers = self.carriers(row)
        return is_another(carriers, present, self.telling(carriers))

    def known_like(self, row: Row) -> list[tuple[str, frozenset[str]]]:
        """The records of before the import with the name of a row and an equal address or phone, and their sources."""
        if not self._people:
            self._people.append(KnownPeople(self.records()))
        return self._people[0].like(self.carriers(row, with_key=True))

    def entered_again(self, row: Row) -> str | None:
        """The one record that looks like the customer of a row whose own record was deleted; no other row's.

        Nor is it one that another source brought: that was no answer to the deletion.
        """
        alike = [record for record, sources in self.known_like(row) if not sources or self.source in sources]
        if len(alike) != 1 or alike[0] in self._seen or alike[0] in self.named_by_rows():
            return None
        self._seen[alike[0]] = (row.line, hash(repr(row.cells)))
        return alike[0]

    def named_by_rows(self) -> set[str]:
        """The records that the rows of the table are by their keys."""
        if self._named is None:
            ahead = self.looking()
            found = (ahead.record_of(row) for row in self.rows() if isinstance(row, Row))
            self._named = {record for record in found if isinstance(record, str)}
        return self._named

    def _numbered(self, parts: list[str], record: str, own: str) -> list[ReadableRecord]:
        """The records that got their id from the number, by itself or with the name of a source."""
        if not self.numbered:
            return []
        ids = [record, own, *(natural_record(self.collection, [*parts, other]) for other in self._other_sources())]
        return [present for each in ids if (present := self.present(each)) is not None]

    def of_number(self, row: Row) -> ReadableRecord | None:
        """The record of another source with the number that was found in a row and an address or phone of it."""
        if not (self.found and self.numbered):
            return None
        carriers = self.carriers(row, with_key=True)
        parts = [self._key_text(row.cells[position]) for position in self.key_positions]
        own = natural_record(self.collection, [*parts, self.source])
        candidates = self._numbered(parts, natural_record(self.collection, parts), own)
        if self.known is not None:
            held = self.known.held([carriers.get(name) for _, name, _ in self.key_fields])
            candidates += [each for each in map(self.present, held) if each is not None]
        contacts = {name: carrier for name, carrier in carriers.items() if is_contact_field(name)}
        return next(
            (
                each
                for each in candidates
                if not each.deleted and any(same_value(carrier, each.raw.get(at)) for at, carrier in contacts.items())
            ),
            None,
        )

    def _named_alike(self, row: Row, candidates: list[ReadableRecord]) -> list[ReadableRecord]:
        """Those of which the row says the same name, e-mail address or phone, and no other name."""
        if not candidates:
            return []
        carriers = {name: each for name, each in self.carriers(row).items() if names_a_customer(name)}
        return [
            each
            for each in candidates
            if named_alike(carriers, each.raw) is not False
            and any(same_value(carrier, each.raw.get(name)) for name, carrier in carriers.items())
        ]

    def _one_of(self, row: Row, records: Sequence[str], header: str) -> str | RowError:
        """Of several with the key the one that was exported into the row, or an error."""
        own = self.own.same.get(row.line, ())
        if len(own) == 1 and own[0] in records:
            self.recognised += 1
            return own[0]
        if (whole := self._as_whole(row, records)) is not None:
            return whole
        hint = "if they are one customer, delete all but one; if not, give the record ids with --record-column"
        hint += ", or choose another column with --key" if self.found else ""
        return RowError(row.line, header, "key_ambiguous", f"several records have this {header!r}; {hint}")

    def _as_whole(self, row: Row, records: Sequence[str] | None = None) -> str | None:
        """The record of a row as a whole, where its key does not tell which of `records` it is: one that is here, or
        where rows are new, and nobody chose the key."""
        if not self.key_positions or self.natural or self.is_named(row):
            return None
        whole = self._contents.record_of(row)
        here = self.present(whole) is not None if records is None else whole in records
        return whole if here or (self.as_new and self.found) else None

    def _unique(self, row: Row, record: str | RowError, column: str = "") -> str | RowError | None:
        if isinstance(record, RowError):
            return record
        content = hash(repr(row.cells))
        line, earlier = self._seen.setdefault(record, (row.line, content))
        if line == row.line:
            return record
        if earlier == content:
            return None
        if not column and (whole := self._as_whole(row)) is not None:
            return whole
        if column:
            why = f"the row was copied from line {line} and edited; clear this cell in the one that was added"
            return RowError(row.line, column, "duplicate_key", why)
        key = " / ".join(text_of(row.cells[position]) for position in self.key_positions) or record
        header = self.headers[self.key_positions[0]] if self.key_positions else ""
        why = f"the key {key[:80]!r} was in line {line}, with other cells"
        hint = "; correct one of the two, or choose another column with --key" if self.found else ""
        return RowError(row.line, header, "duplicate_key", why + hint)
