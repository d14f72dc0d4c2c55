"""Whether a row and a record can be one customer, by what both say besides the key."""

import re
from collections.abc import Collection, Iterable, Mapping

from crdt_sync.exchange.key_columns import names_a_customer
from crdt_sync.exchange.known_records import same_value
from crdt_sync.exchange.names import is_name, name_of
from crdt_sync.exchange.port import ReadableRecord
from crdt_sync.records.comparing import folded
from crdt_sync.records.memory.sources import mark, same
from crdt_sync.records.schema import FieldSpec

_WORDS = re.compile(r"\w+")
_TELLING = frozenset({"string", "date", "datetime", "integer", "decimal"})  # of few choices many people have the same

Carriers = Mapping[str, object]


def named_alike(one: Carriers, other: Carriers) -> bool | None:
    """Whether one name is the other, or a part of it, in any order of its words; None where either has none."""
    words, others = words_of(one), words_of(other)
    return (words <= others or others <= words) if words and others else None


def is_another(row: Carriers, record: ReadableRecord, telling: Collection[str]) -> bool:
    """Whether the names share no word, and nothing in the `telling` fields agrees, nor with what sources said there."""
    words, others = words_of(row), words_of(record.raw)
    if not words or not others or words & others:
        return False
    return not any(agrees(field, row[field], record) for field in telling if row.get(field) not in (None, ""))


class KnownPeople:
    """The records that are here and not deleted, by name; found by it and an equal address or phone."""

    def __init__(self, records: Iterable[ReadableRecord]) -> None:
        self._records: dict[frozenset[str], list[tuple[str, dict[str, object], frozenset[str]]]] = {}
        for record in records:
            contacts = {field: record.raw[field] for field in record.raw if is_contact_field(field)}
            if not record.deleted and contacts and (words := frozenset(words_of(record.raw))):
                sources = frozenset(memory.name for memory in record.sources)
                self._records.setdefault(words, []).append((record.record, contacts, sources))

    def like(self, carriers: Carriers) -> list[tuple[str, frozenset[str]]]:
        """The records that look like the customer of a row, and the sources of each."""
        contacts = {field: carriers[field] for field in carriers if is_contact_field(field)}
        known = self._records.get(frozenset(words_of(carriers)), ()) if contacts else ()
        return [
            (record, sources)
            for record, held, sources in known
            if any(same_value(value, held.get(field)) for field, value in contacts.items())
        ]


def is_contact_field(field: str) -> bool:
    """Whether a field holds an e-mail address or a phone."""
    return names_a_customer(field) and not is_name(field)


def is_telling(spec: FieldSpec) -> bool:
    """Whether equal values in a field speak for one customer."""
    return spec.rules.in_key and spec.type in _TELLING


def agrees(field: str, carrier: object, record: ReadableRecord) -> bool:
    """Whether a record holds what a row says in a field, or a source said so there."""
    if same_value(carrier, record.raw.get(field)):
        return True
    return any(field in memory.said and same(memory.said[field], mark(carrier)) for memory in record.sources)


def words_of(carriers: Carriers) -> set[str]:
    """The words of the name."""
    return set(_WORDS.findall(folded(name_of(carriers))))
