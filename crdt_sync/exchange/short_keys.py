"""Keys that are one of a record that is here but for leading zeros: `17` for `00017`, as spreadsheets write it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from crdt_sync.exchange.port import ReadableRecord
from crdt_sync.ids import natural_record
from crdt_sync.records.comparing import folded

_DIGITS_MAX = 20  # of a key: of one that goes to no field only its id is known, and each number of zeros is tried

Key = tuple[str, ...]


@dataclass(slots=True)
class ShortKeys:
    """The records that were here before an import, by their keys without leading zeros; read once, when first asked.

    `fields` are those of the key, none where a column of it has no field; `counts` tells which records may be meant.
    """

    collection: str
    fields: Sequence[str]
    records: Callable[[], Iterable[ReadableRecord]]
    counts: Callable[[ReadableRecord], bool]
    _held: dict[Key, str] | None = None
    _ids: set[str] = field(default_factory=set)

    def meant(self, parts: Sequence[str], more: Sequence[str] = ()) -> str | None:
        """The record whose key, another one, differs from these texts in leading zeros alone.

        `more` is what its id follows from besides its key.
        """
        if not any(map(_is_number, parts)):
            return None
        held = self._read()
        if (record := held.get(_short(parts))) is not None or len(parts) != 1 or not self._ids:
            return record
        digits = parts[0].strip().lstrip("0")
        ids = (natural_record(self.collection, [digits.zfill(width), *more]) for width in range(1, _DIGITS_MAX + 1))
        return next((record for record in ids if record in self._ids), None)

    def _read(self) -> dict[Key, str]:
        if self._held is None:
            self._held = {}
            for view in self.records():
                if not self.counts(view):
                    continue
                self._ids.add(view.record)
                texts = [text for name in self.fields if isinstance(text := view.raw.get(name), str)]
                if not view.deleted and texts and len(texts) == len(self.fields) and any(map(_is_number, texts)):
                    self._held.setdefault(_short(texts), view.record)
        return self._held


def _is_number(text: str) -> bool:
    return text.strip().isdecimal()


def _short(texts: Sequence[str]) -> Key:
    return tuple(text.strip().lstrip("0") if _is_number(text) else folded(text) for text in texts)
