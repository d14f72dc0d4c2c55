"""Views: the current values of a record, kept beside it so that reading needs no document."""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from crdt_sync.errors import StoreCorrupt
from crdt_sync.ids import SECTION_MARK
from crdt_sync.policy.masks import MASKS
from crdt_sync.records import Document, Schema, reading_of, restore
from crdt_sync.records.masking import masked_schema
from crdt_sync.records.memory.sources import Source, parse_source, standing
from crdt_sync.records.natural_key import tells_apart
from crdt_sync.replica.loading import stored_document
from crdt_sync.storage.port import Store
from crdt_sync.storage.values import Batch

_VIEWS_PER_COMMIT = 1000
_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def encode_view(document: Document, schema: Schema | None) -> bytes:
    """The stored form: compact JSON of the shown values, the open conflicts, the delete flag and what sources said."""
    reading = reading_of(document, schema)
    view: dict[str, object] = {
        "fields": reading.values,
        "conflicts": sorted(conflict.field for conflict in reading.conflicts),
        "deleted": reading.deleted,
    }
    if reading.sources:
        view["sources"] = [[source.account, source.stamp, source.text] for source in reading.sources]
    return _compact.encode(view).encode()


def rules(schema: Schema) -> dict[str, object]:
    """What a stored view depends on: how each field merges, where it is not read as without a schema."""
    return {
        field: (spec.kind, spec.rules.merges_by(spec))
        for field, spec in schema.fields.items()
        if spec.rules.merges_by(spec) or field in schema.natural_key or tells_apart(schema, field)
    }


def refresh_views(store: Store, schema: Schema) -> None:
    """Make the views of a collection anew, as `schema` reads its records; a damaged one waits until it is mended."""
    _refresh_views(store, schema.collection, schema)
    for section, fields in schema.sections.items():
        _refresh_views(store, f"{schema.collection}{SECTION_MARK}{section}", fields)
        for field in fields.fields:
            if (shown := masked_schema(schema, field)) is not None:
                for mask in MASKS:
                    _refresh_views(store, f"{schema.collection}{SECTION_MARK}{field}{SECTION_MARK}{mask}", shown)


def _refresh_views(store: Store, collection: str, schema: Schema) -> None:
    after = ""
    while page := store.records(after, _VIEWS_PER_COMMIT, f"{collection}/"):
        views = {}
        for record in page:
            with suppress(StoreCorrupt):
                views[record] = encode_view(stored_document(store, record), schema)
        store.commit([Batch(views=views)])
        after = page[-1]


class Part(NamedTuple):
    """What a mask shows of a value that is seen in part: a text such as `****1234`."""

    text: str
    mask: str


class RecordView(Mapping[str, Any]):
    """One record as it is shown: field names to typed values. A field that was never set is absent.

    Iterates in the order of the schema, then over fields that this schema does not know. `raw` has the stored
    forms, `conflicts` the fields whose concurrent values wait for a decision, `sources` what imports said last.
    `masked` has the fields that are seen in part: for these the text is given that their mask shows, which is no value,
    and not among the stored forms.
    """

    def __init__(self, record: str, stored: bytes, schema: Schema | None) -> None:
        view = json.loads(stored)
        self.record = record
        self.raw: dict[str, Any] = view["fields"]
        self.conflicts: tuple[str, ...] = tuple(view["conflicts"])
        self.deleted: bool = view["deleted"]
        parsed = (parse_source(*source) for source in view.get("sources", ()))
        self.sources: tuple[Source, ...] = tuple(standing([source for source in parsed if source is not None]))
        self.masked: dict[str, Part] = {}
        self._schema = schema

    def join(self, stored: bytes, section: Schema) -> None:
        """Show what a companion holds as well, whose stored view this is: the fields of a section."""
        companion = RecordView(self.record, stored, section)
        self.raw.update({field: companion.raw[field] for field in section.fields if field in companion.raw})
        self.conflicts = tuple(sorted({*self.conflicts, *section.fields.keys() & set(companion.conflicts)}))
        joined = (*self.sources, *companion.sources)
        self.sources = tuple(sorted(joined, key=lambda source: source.stamp, reverse=True))

    def join_masked(self, stored: bytes, field: str, mask: str) -> None:
        """Show what a mask shows of a field, whose stored view this is."""
        view = json.loads(stored)
        shown = view["fields"].get(field)
        if isinstance(shown, str):
            self.masked[field] = Part(shown, mask)
            if field in view["conflicts"]:
                self.conflicts = tuple(sorted({*self.conflicts, field}))

    def leave_out(self, fields: Collection[str]) -> None:
        """Show nothing of these fields."""
        self.raw = {field: carrier for field, carrier in self.raw.items() if field not in fields}
        self.conflicts = tuple(field for field in self.conflicts if field not in fields)

    def __contains__(self, field: object) -> bool:
        return field in self.raw or field in self.masked

    def __getitem__(self, field: str) -> Any:
        """The value. Raises `KeyError` for a field that was never set, `UnknownField` for a mistyped name."""
        if field in self.masked:
            return self.masked[field].text
        if field not in self.raw and self._schema is not None:
            self._schema.field(field)
        carrier = self.raw[field]
        spec = self._schema.fields.get(field) if self._schema else None
        return carrier if spec is None else restore(spec, carrier)

    def get(self, field: str, default: Any = None) -> Any:
        """The value, or `default` where the field was never set. Raises `UnknownField` for a mistyped name."""
        if field in self:
            return self[field]
        if self._schema is not None:
            self._schema.field(field)
        return default

    def __iter__(self) -> Iterator[str]:
        known = self._schema.fields if self._schema else {}
        yield from (field for field in known if field in self)
        yield from sorted(field for field in self.raw if field not in known)

    def __len__(self) -> int:
        return len(self.raw) + len(self.masked)

    def __repr__(self) -> str:
        return f"RecordView({self.record!r}, {dict(self)!r})"
