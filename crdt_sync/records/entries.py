"""Entries `[value, stamp, actor]` of a field, and which of several is shown.

A write deletes every entry that it has seen and appends its own, so several entries mean concurrent writes.
All replicas hold the same set of entries in some order; the one shown must depend on the set alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from crdt_sync.records.comparing import identity
from crdt_sync.records.signature_text import bare
from crdt_sync.records.values import canonical

if TYPE_CHECKING:
    from crdt_sync.records.field_settings import FieldSettings

Entry = list[Any]  # [value, stamp, actor, ...]: what newer versions may append is kept
Doubt = Literal["unsure", "perhaps old"] | None
"""Fourth in an entry of a value: what an export says of which the importing device did not know what it was edited
from, beside what is shown. It may be no edit at all, so whatever else people edited is shown before it; and what tables
say, where it may be from before they said so."""
FIRST = "first"  # fourth in a log entry that was the first content of a record: equal ones are one
Age = Callable[[Entry], tuple[bool, int]]
"""Of entries of one stamp, which imports write, those that people edited in exports come first, then the last said."""


@dataclass(frozen=True, slots=True)
class ConflictEntry:
    """One of several values: its carrier, when (stamp, microseconds; None: not known) and by whom it was written.

    `shown`: it is what the field shows. `standing`: what is known of who wrote it, where the schema asks for
    signatures, see `signatures.Standing`; else empty.
    """

    value: object
    stamp: int | None
    actor: str
    shown: bool
    standing: str = ""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field with concurrent values; the shown one comes first. `kind` is that of the field, or 'deleted'.

    Where a counter, set, log or text has what imports said, the newest comes first, and none need be `shown`: the field
    shows that one with what people changed since.

    `open`: it waits for a decision. Otherwise the latest value is shown and the others are kept beside it until
    somebody writes the field again.

    `begun`: the entries are what people who knew nothing of each other began the field with. It shows all of them
    together, with what was changed since, see `beginnings`; none is `shown`.
    """

    field: str
    kind: str
    entries: tuple[ConflictEntry, ...]
    open: bool = True
    begun: bool = False


def well_formed(raw: Sequence[object]) -> list[Entry]:
    """The entries among what an array root holds; anything else was not written by this program."""
    return [entry for entry in raw if is_entry(entry)]


def is_entry(entry: object) -> TypeGuard[Entry]:
    """Whether `entry` is `[value, stamp, actor, ...]`."""
    return isinstance(entry, list) and len(entry) >= 3 and type(entry[1]) is int and type(entry[2]) is str


def precedence(entry: Entry) -> tuple[object, object, str]:
    """The order of entries: stamp, then actor, then canonical value."""
    return entry[1], entry[2], canonical(entry[0])


def latest_first(entries: list[Entry], age: Age | None = None) -> list[Entry]:
    """Entries in the order in which they are shown, where the kind of the field does not say otherwise.

    `age` says of entries that imports wrote when their source said them last.
    """
    return sorted(entries, key=lambda entry: by_time(entry, age), reverse=True)


def by_time(entry: Entry, age: Age | None) -> tuple[Any, ...]:
    """The order of entries by when they were written; of those of imports, without a time, by when they were said."""
    stamp, actor, text = precedence(entry)
    return stamp, age(entry) if age else (False, 0), actor, text


def last_said(entries: Sequence[Entry], age: Age | None) -> Callable[[Entry], bool]:
    """Whether an entry is what its author says now: what an import says goes before what its source said earlier."""
    never = (False, -1)
    last: dict[str, tuple[bool, int]] = {}
    for entry in entries:
        last[entry[2]] = max(last.get(entry[2], never), age(entry) if age else never)
    return lambda entry: entry[1] != 0 or not age or age(entry) == last[entry[2]]


def timeline(entries: list[Entry], name: Callable[[Entry], str]) -> list[dict[str, object]]:
    """The entries of a log as `{"value", "at", "by"}`, oldest first; `name` says who wrote one.

    An author writes nothing twice at one time, so equal entries are one, imported on several devices, or first content
    on another. Of equal first content the oldest is shown.
    """
    shown: dict[str, Entry] = {}
    entries = [bare(entry) for entry in entries]
    began = {canonical(entry[:3]) for entry in entries if _is_first(entry)}
    for entry in sorted(entries, key=_time):
        first = _is_first(entry)
        if first or not began or canonical(entry) not in began:
            shown.setdefault(canonical([entry[0], *entry[3:]] if first else entry), entry)
    return [{"value": entry[0], "at": entry[1], "by": name(entry)} for entry in shown.values()]


def doubt_of(entry: Entry) -> Doubt:
    """What nobody knew of the value, see `Doubt`."""
    fourth = entry[3] if len(entry) > 3 else None
    return fourth if fourth in ("unsure", "perhaps old") else None


def _is_first(entry: Entry) -> bool:
    return len(entry) > 3 and bool(entry[3] == FIRST)


def _time(entry: Entry) -> tuple[object, ...]:
    """Entries without a time of their own, which imports write, stay in the order of their table."""
    return precedence(entry) if entry[1] else (0, "", "")


def conflict(
    field: str,
    kind: str,
    entries: list[Entry],
    spec: "FieldSettings | None",
    name: Callable[[Entry], str],
    time: Callable[[Entry], int],
) -> Conflict | None:
    """The conflict that ordered entries make, or None when they say the same, see `comparing`.

    `name` says who wrote one, `time` when.
    """
    if len(entries) < 2 or len({identity(entry[0], spec) for entry in entries}) < 2:
        return None
    return Conflict(
        field,
        kind,
        tuple(ConflictEntry(e[0], time(e), name(e), index == 0) for index, e in enumerate(entries)),
    )
