"""Whether a row and a record can be one customer, by what both say besides the key."""

import re
from collections.abc import Collection, Mapping

from crdt_sync.exchange.known_records import same_value
from crdt_sync.exchange.mapping import loose
from crdt_sync.exchange.port import ReadableRecord
from crdt_sync.records.comparing import folded
from crdt_sync.records.schema import FieldSpec
from crdt_sync.records.sources import mark, same

_WORDS = re.compile(r"\w+")
_TELLING = frozenset({"string", "date", "datetime", "integer", "decimal"})  # of few choices many people have the same

Carriers = Mapping[str, object]


def is_name(field: str) -> bool:
    """Whether a field holds a name."""
    return "name" in loose(field)


def name_of(carriers: Carriers) -> str:
    """All names in some fields, for people."""
    return " ".join(str(value) for field, value in carriers.items() if is_name(field) and value not in (None, ""))


def named_alike(one: Carriers, other: Carriers) -> bool | None:
    """Whether one name is the other, or a part of it, in any order of its words; None where either has none."""
    words, others = _words(one), _words(other)
    return (words <= others or others <= words) if words and others else None


def is_another(row: Carriers, record: ReadableRecord, telling: Collection[str]) -> bool:
    """Whether the names share no word, and nothing in the `telling` fields agrees, nor with what sources said there."""
    words, others = _words(row), _words(record.raw)
    if not words or not others or words & others:
        return False
    return not any(_agrees(field, row[field], record) for field in telling if row.get(field) not in (None, ""))


def is_telling(spec: FieldSpec) -> bool:
    """Whether equal values in a field speak for one customer."""
    return spec.kind in ("value", "review") and spec.type in _TELLING


def _agrees(field: str, carrier: object, record: ReadableRecord) -> bool:
    if same_value(carrier, record.raw.get(field)):
        return True
    return any(field in memory.said and same(memory.said[field], mark(carrier)) for memory in record.sources)


def _words(carriers: Carriers) -> set[str]:
    return set(_WORDS.findall(folded(name_of(carriers))))
