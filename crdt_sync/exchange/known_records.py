"""Finding the record of a row among those that are here: by what its source said of the key, or by what they hold."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crdt_sync.exchange.port import ReadableRecord
from crdt_sync.limits import NUMBERING_SOURCES_MAX
from crdt_sync.records.comparing import folded
from crdt_sync.records.memory.sources import COLUMNS, earlier_edits_of, edits_of, mark, newest
from crdt_sync.records.values import canonical


@dataclass(frozen=True, slots=True)
class LastColumns:
    """How the last import of a source read its table: the headers that identified rows, and the headers that somebody
    mapped to a field, or to None to leave them out."""

    key: tuple[str, ...] = ()
    mapping: Mapping[str, str | None] = field(default_factory=dict)

    def said(self) -> list[str | None]:
        """The form that is remembered."""
        mapped = [each for header in sorted(self.mapping) for each in (header, self.mapping[header])]
        return [*self.key, *([None, *mapped] if mapped else [])]


def last_columns(records: Iterable[ReadableRecord], source: str) -> LastColumns:
    """How the table of a source was read before; nothing where that is not known.

    The key is that of most of its records, by what each heard last: what one record says may come from anybody. Of
    equally many the first by name. The mapping is the newest that more than one record tells, if any does: cells that
    are no news do not tell of it.
    """
    keys: Counter[tuple[str, ...]] = Counter()
    mappings: dict[tuple[tuple[str, str | None], ...], list[int]] = {}
    for record in records:
        read = [memory for memory in record.sources if memory.said.get(COLUMNS)]
        mine = [memory for memory in read if memory.name == source]
        mine = mine or [memory for memory in read if memory.name in (edits_of(source), earlier_edits_of(source))]
        last = max(mine, key=lambda memory: memory.stamp, default=None)
        if last is None or not isinstance(said := last.said[COLUMNS], list):
            continue
        key, mapping = _read(said)
        keys[key] += bool(key)
        if mapping:
            mappings.setdefault(mapping, []).append(last.stamp)
    key = min(keys, key=lambda headers: (-keys[headers], headers), default=())
    told = max(mappings, key=lambda each: (sorted(mappings[each])[:-1][-1:], repr(each)), default=())
    return LastColumns(key, dict(told))


def _read(said: list[Any]) -> tuple[tuple[str, ...], tuple[tuple[str, str | None], ...]]:
    at = said.index(None) if None in said else len(said)
    headers, fields = said[at + 1 :: 2], said[at + 2 :: 2]
    sound = len(headers) == len(fields) and all(isinstance(header, str) for header in headers)
    sound = sound and all(field is None or isinstance(field, str) for field in fields)
    return tuple(map(str, said[:at])), tuple(zip(headers, fields, strict=True)) if sound else ()


def numbering_sources(records: Iterable[ReadableRecord]) -> tuple[str, ...]:
    """The sources of the records, those of most of them first, up to `NUMBERING_SOURCES_MAX`."""
    counts = Counter(name for record in records for name in {memory.account for memory in record.sources})
    return tuple(sorted(counts, key=lambda name: (-counts[name], name))[:NUMBERING_SOURCES_MAX])


@dataclass(slots=True)
class KnownRecords:
    """The records of a collection by their values of the key `fields`."""

    fields: tuple[str, ...]
    _said: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _held: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, records: Iterable[ReadableRecord], source: str, fields: Sequence[str]) -> "KnownRecords":
        """Reads all `records`, deleted ones too: those are known by what the source said alone."""
        known = cls(tuple(fields))
        for record in records:
            for memory in (*record.sources, *newest(record.sources).values()):
                if memory.name == source and all(name in memory.said for name in fields):
                    _add(known._said, canonical([memory.said[name] for name in fields]), record.record)
            if not record.deleted and (text := _held(record.raw, fields)) is not None:
                _add(known._held, text, record.record)
        return known

    def said(self, key: Sequence[object]) -> str | None:
        """The record of which the source said these values (carriers) last; none where it said them of several."""
        records = self._said.get(canonical([mark(carrier) for carrier in key]), ())
        return records[0] if len(records) == 1 else None

    def held(self, key: Sequence[object]) -> tuple[str, ...]:
        """The records that hold these values."""
        return self._held.get(_folded(key), ())


def same_value(one: object, other: object) -> bool:
    """Whether two carriers are there and say the same, as keys are compared."""
    return one not in (None, "") and other not in (None, "") and _folded([one]) == _folded([other])


def _held(raw: Mapping[str, object], fields: Sequence[str]) -> str | None:
    values = [raw.get(name) for name in fields]
    return None if any(value is None or value == "" for value in values) else _folded(values)


def _folded(values: Sequence[object]) -> str:
    return canonical([folded(value) if isinstance(value, str) else folded(canonical(value)) for value in values])


def _add(records: dict[str, tuple[str, ...]], text: str, record: str) -> None:
    present = records.get(text, ())
    if record not in present:
        records[text] = (*present, record)
