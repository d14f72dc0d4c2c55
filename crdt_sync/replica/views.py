"""Views: the current values of a record, kept beside it so that reading needs no document."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from crdt_sync.errors import UnknownField
from crdt_sync.records import Document, Schema, restore


def encode_view(document: Document, schema: Schema | None) -> bytes:
    """The stored form: compact JSON of the shown values, the open conflicts and the delete flag."""
    reading = document.read(schema)
    view = {
        "fields": reading.values,
        "conflicts": sorted(conflict.field for conflict in reading.conflicts),
        "deleted": reading.deleted,
    }
    return json.dumps(view, ensure_ascii=False, separators=(",", ":")).encode()


class RecordView(Mapping[str, Any]):
    """One record as it is shown: field names to typed values. A field that was never set is absent.

    Iterates in the order of the schema, then over fields that this schema does not know. `raw` has the stored
    forms, `conflicts` the fields whose concurrent values wait for a decision.
    """

    def __init__(self, record: str, stored: bytes, schema: Schema | None) -> None:
        view = json.loads(stored)
        self.record = record
        self.raw: dict[str, Any] = view["fields"]
        self.conflicts: tuple[str, ...] = tuple(view["conflicts"])
        self.deleted: bool = view["deleted"]
        self._schema = schema

    def __getitem__(self, field: str) -> Any:
        carrier = self.raw[field]
        spec = self._schema.fields.get(field) if self._schema else None
        return carrier if spec is None else restore(spec, carrier)

    def get(self, field: str, default: Any = None) -> Any:
        """The value, or `default` where the field was never set. Raises `UnknownField` for a mistyped name."""
        if field in self.raw:
            return self[field]
        if self._schema is not None and field not in self._schema.fields:
            raise UnknownField(f"collection {self._schema.collection!r} has no field {field!r}")
        return default

    def __iter__(self) -> Iterator[str]:
        known = self._schema.fields if self._schema else {}
        yield from (field for field in known if field in self.raw)
        yield from sorted(field for field in self.raw if field not in known)

    def __len__(self) -> int:
        return len(self.raw)

    def __repr__(self) -> str:
        return f"RecordView({self.record!r}, {dict(self)!r})"
