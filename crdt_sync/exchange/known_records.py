"""Finding the record of a row among those that are here: by what its source said of the key, or by what they hold."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from crdt_sync.exchange.port import ReadableRecord
from crdt_sync.records.comparing import folded
from crdt_sync.records.sources import mark
from crdt_sync.records.values import canonical

KEY = ""
"""Where the memory of a source keeps the headers by which its rows were identified; no field has this name."""


def last_key(records: Iterable[ReadableRecord], source: str) -> tuple[str, ...]:
    """The columns by which the rows of a source were identified before; none where that is not known."""
    for record in records:
        for memory in record.sources:
            if memory.name == source and isinstance(headers := memory.said.get(KEY), list) and headers:
                return tuple(map(str, headers))
    return ()


@dataclass(slots=True)
class KnownRecords:
    """The records of a collection by their values of the key `fields`. Values that several have name none of them."""

    fields: tuple[str, ...]
    _said: dict[str, str | None] = field(default_factory=dict)
    _held: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(cls, records: Iterable[ReadableRecord], source: str, fields: Sequence[str]) -> "KnownRecords":
        """Reads all `records`, deleted ones too: those are known by what the source said alone."""
        known = cls(tuple(fields))
        for record in records:
            for memory in record.sources:
                if memory.name == source and all(name in memory.said for name in fields):
                    _add(known._said, canonical([memory.said[name] for name in fields]), record.record)
            if not record.deleted and (text := _held(record.raw, fields)) is not None:
                _add(known._held, text, record.record)
        return known

    def said(self, key: Sequence[object]) -> str | None:
        """The record of which the source said these values (carriers) last."""
        return self._said.get(canonical([mark(carrier) for carrier in key]))

    def held(self, key: Sequence[object]) -> tuple[str | None, bool]:
        """The one record that holds these values, and whether several do."""
        text = _folded(key)
        return self._held.get(text), text in self._held and self._held[text] is None


def same_value(one: object, other: object) -> bool:
    """Whether two carriers are there and say the same, as keys are compared."""
    return one not in (None, "") and other not in (None, "") and _folded([one]) == _folded([other])


def _held(raw: Mapping[str, object], fields: Sequence[str]) -> str | None:
    values = [raw.get(name) for name in fields]
    return None if any(value is None or value == "" for value in values) else _folded(values)


def _folded(values: Sequence[object]) -> str:
    return canonical([folded(value) if isinstance(value, str) else folded(canonical(value)) for value in values])


def _add(records: dict[str, str | None], text: str, record: str) -> None:
    records[text] = record if records.setdefault(text, record) == record else None
