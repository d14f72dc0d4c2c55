"""Keys that are one of a record that is here but for leading zeros: `17` for `00017`, as spreadsheets write it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from crdt_sync.exchange.port import ReadableRecord
from crdt_sync.ids import natural_record
from crdt_sync.records.comparing import folded

_DIGITS_MAX = 12  # of a key that goes to no field, of which only the id is known: each number of zeros is tried

Key = tuple[str, ...]


@dataclass(slots=True)
class ShortKeys:
    """The records that were here before an import, by their keys without leading zeros; read once, when first asked.

    `fields` are those of the key, none where a column of it has no field; `counts` tells which records may be meant.
    """

    collection: str
    source: str
    fields: Sequence[str]
    records: Callable[[], Iterable[ReadableRecord]]
    counts: Callable[[ReadableRecord], bool]
    _known: dict[Key, str] | None = None
    _ids: set[str] = field(default_factory=set)
    _tried: dict[str, str | None] = field(default_factory=dict)  # digits to record: rows are looked at several times

    def meant(self, parts: Sequence[str], more: Sequence[str] = ()) -> str | None:
        """The record whose key, another one, differs from these texts in leading zeros alone.

        `more` is what its id follows from besides its key.
        """
        if not any(map(_is_number, parts)):
            return None
        known = self._read()
        if self.fields or len(parts) != 1 or not self._ids:
            return known.get(_short(parts))
        (digits,) = _short(parts)
        if digits not in self._tried:
            widths = range(len(digits), _DIGITS_MAX + 1)
            ids = (natural_record(self.collection, [digits.zfill(width), *more]) for width in widths)
            self._tried[digits] = next((record for record in ids if record in self._ids), None)
        return self._tried[digits]

    def _read(self) -> dict[Key, str]:
        if self._known is None:
            self._known = {}
            for view in filter(self.counts, self.records()):
                if not self.fields:
                    self._ids.add(view.record)
                    continue
                said = [memory.said for memory in view.sources if memory.name == self.source]
                for held in [*said, *([] if view.deleted else [view.raw])]:
                    texts = [text for name in self.fields if isinstance(text := held.get(name), str)]
                    if len(texts) == len(self.fields) and any(map(_is_number, texts)):
                        self._known.setdefault(_short(texts), view.record)
        return self._known


def _is_number(text: str) -> bool:
    return text.strip().isdecimal()


def _short(texts: Sequence[str]) -> Key:
    return tuple(text.strip().lstrip("0") if _is_number(text) else folded(text) for text in texts)
