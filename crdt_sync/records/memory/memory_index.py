"""What one reading of a record asks of the memories of sources, each answered without a look at all of them.

A record may hold as many entries of imports as its bytes allow, and as many memories up to `MEMORIES_MAX`: whoever
wrote them, the work of reading must stay in proportion to the bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from crdt_sync.records.entries import Entry, doubt_of
from crdt_sync.records.memory.sources import (
    IMPORTED,
    Source,
    accounts,
    actor_of,
    is_edits,
    mark,
    newest,
    read_sources,
    standing_in_accounts,
    whole_text,
)
from crdt_sync.records.roots import SOURCES_ROOT

_SCALARS = (str, int, float, bool, type(None))
_Said = tuple[str, str, type, object]  # actor, field, and a mark with its class: True == 1 in Python


class MemoryIndex:
    """The memories of one record; `sources` has the newest first."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = tuple(sources)

    @cached_property
    def newest(self) -> dict[str, Source]:
        """Source name to what it said last of each field."""
        return newest(self.sources)

    @cached_property
    def accounts(self) -> dict[str, Source]:
        """Account to what it said last of each field."""
        return accounts(self.sources)

    @cached_property
    def in_accounts(self) -> tuple[Source, ...]:
        """The memories without what later ones of their account had seen."""
        return tuple(standing_in_accounts(self.sources))

    def saying(self, field: str) -> Sequence[Source]:
        """What each source said last, of those that said anything of a field."""
        return self._saying.get(field, ())

    @property
    def fields(self) -> Iterable[str]:
        """The fields that any source said anything of."""
        return self._saying.keys()

    @cached_property
    def _saying(self) -> dict[str, list[Source]]:
        return _by_field(self.newest.values())

    def said_of(self, field: str) -> Sequence[Source]:
        """The memory in which each account said what it says of a field now, the oldest first."""
        return self._said_of.get(field, ())

    @cached_property
    def _said_of(self) -> dict[str, list[Source]]:
        found: dict[str, dict[str, Source]] = {}
        for source in self.sources:
            for field in source.said:
                found.setdefault(field, {}).setdefault(source.account, source)
        return {field: [*reversed(last.values())] for field, last in found.items()}

    def texts(self, actor: str, field: str) -> list[str]:
        """The texts of a field that the versions of one account say, the newest first."""
        return list(self._texts.get((actor, field), ()))

    @cached_property
    def _texts(self) -> dict[tuple[str, str], dict[str, None]]:
        found: dict[tuple[str, str], dict[str, None]] = {}
        for source in self.in_accounts:
            actor = actor_of(source.account)
            for field, said in source.said.items():
                if text := whole_text(said):
                    found.setdefault((actor, field), {})[text] = None
        return found

    @cached_property
    def _names(self) -> dict[str, str]:
        names = {actor_of(source.account): source.account for source in reversed(self.sources)}
        return names | {actor_of(source.name): source.name for source in reversed(self.sources)}

    @cached_property
    def _stamps(self) -> dict[_Said, int]:
        found: dict[_Said, int] = {}
        for source in self.sources:
            actor = actor_of(source.name)
            for field, said in source.said.items():
                if isinstance(said, _SCALARS):
                    found.setdefault((actor, field, said.__class__, said), source.stamp)
        return found

    def shown_actor(self, entry: Entry) -> str:
        """Who wrote an entry, as people read it: of an import `import` and the name of its source, if that is known."""
        actor: str = entry[2]
        if entry[1] != IMPORTED or not actor.startswith("@"):
            return actor
        name = self._names.get(actor)
        return "import" if name is None else f"import {name}"

    def time(self, field: str, entry: Entry) -> int:
        """When an entry was written, of one that an import wrote when its source said that last, if that is known."""
        return entry[1] if entry[1] != IMPORTED else max(self._said_at(entry, field), IMPORTED)

    @cached_property
    def _edits(self) -> frozenset[str]:
        return frozenset(actor for actor, name in self._names.items() if is_edits(name))

    def age(self, entry: Entry, field: str) -> tuple[bool, int]:
        """Of an entry that an import wrote: whether a person edited it in an export, which goes before what any source
        says; and when its source said this last, -1 where no memory says so, or nobody knew whether it was edited."""
        if entry[1] != IMPORTED:
            return False, -1
        match doubt_of(entry):
            case "perhaps old":
                return False, -1
            case "unsure":
                return entry[2] in self._edits, -1
            case None:
                return entry[2] in self._edits, self._said_at(entry, field)

    def _said_at(self, entry: Entry, field: str) -> int:
        if not isinstance(entry[0], _SCALARS):
            return -1
        said: Any = mark(entry[0])
        return self._stamps.get((entry[2], field, said.__class__, said), -1)


def _by_field(sources: Iterable[Source]) -> dict[str, list[Source]]:
    found: dict[str, list[Source]] = {}
    for source in sources:
        for field in source.said:
            found.setdefault(field, []).append(source)
    return found


def memories_of(contents: Mapping[str, object]) -> MemoryIndex:
    """What sources said, as the contents of a record, by root, hold it."""
    return MemoryIndex(read_sources(contents.get(SOURCES_ROOT)))
