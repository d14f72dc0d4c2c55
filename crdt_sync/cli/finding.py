"""What `crdt-sync find` looks for: fields with given values, and words anywhere in a record."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from crdt_sync.errors import UnknownField
from crdt_sync.ids import collection_of
from crdt_sync.records.comparing import folded
from crdt_sync.records.schema import FieldSpec
from crdt_sync.records.text_input import parse_text
from crdt_sync.records.values import normalise
from crdt_sync.replica import RecordView, Replica
from crdt_sync.replica.finding import contains, holds

_EQUALS = re.compile(r"([a-z][a-z0-9_-]*)=(.*)\Z", re.DOTALL)


class Search:
    """Terms `field=value` (for a set: one of its members; an empty value: nothing there) and words; all must match.

    Records whose schema is not here are looked through as well: their values as they are stored, ignoring case.

    Raises `UnknownField` and `InvalidValue` for terms that no schema here could match.
    """

    def __init__(self, replica: Replica, terms: Sequence[str], collection: str | None) -> None:
        self._replica = replica
        self._collection = collection
        self._words = [folded(term) for term in terms if not _EQUALS.match(term)]
        wanted = [(found[1], found[2]) for term in terms if (found := _EQUALS.match(term))]
        schemas = {name: schema for name, schema in replica.schemas.items() if collection in (None, name)}
        self._raw = wanted
        unknown = bool(replica.schemaless(collection))
        for field, _ in wanted:
            if not unknown and not any(field in schema.fields for schema in schemas.values()):
                known = ", ".join(dict.fromkeys(name for schema in schemas.values() for name in schema.fields))
                raise UnknownField(f"no field {field[:60]!r} here", f"Fields: {known}.")
        self._wanted: dict[str, list[tuple[str, FieldSpec, object]]] = {
            name: [(field, schema.fields[field], _carrier(field, schema.fields[field], text)) for field, text in wanted]
            for name, schema in schemas.items()
            if all(field in schema.fields for field, _ in wanted)
        }

    def matches(self) -> Iterator[RecordView]:
        """The records that match, in the order of their ids."""
        for view in self._replica.list(self._collection):
            if not self._has_values(view):
                continue
            if not self._words or self._has_words(view):
                yield view

    def _has_values(self, view: RecordView) -> bool:
        collection = collection_of(view.record)
        if collection not in self._replica.schemas:
            return all(_holds_raw(view.raw.get(field), folded(text)) for field, text in self._raw)
        wanted = self._wanted.get(collection)
        return wanted is not None and all(_holds(view, *term) for term in wanted)

    def _has_words(self, view: RecordView) -> bool:
        return all(contains(view.raw, word) or contains(view.record, word) for word in self._words)


def _carrier(field: str, spec: FieldSpec, text: str) -> object:
    if not text or spec.kind in ("text", "log"):
        return text
    value = parse_text(field, spec, text)
    if isinstance(value, list):
        return [normalise(field, spec, member) for member in value]
    return None if value is None else normalise(field, spec, value)


def _holds(view: RecordView, field: str, spec: FieldSpec, wanted: object) -> bool:
    value: Any = view.raw.get(field)
    if wanted in ("", None):
        return value in (None, "", [], 0) if spec.kind != "value" else value in (None, "")
    if spec.kind in ("text", "log"):
        return contains(value, folded(str(wanted)))
    return holds(field, spec, value, wanted)


def _holds_raw(value: object, sought: str) -> bool:
    """Whether a stored value, or one in it, is the folded text; an empty text: nothing there."""
    if not sought:
        return value in (None, "", [], 0)
    return any(folded(str(member)) == sought for member in (value if isinstance(value, list) else [value]))
