"""Entries `[value, stamp, actor]` of a field, and which of several is shown.

A write deletes every entry that it has seen and appends its own, so several entries mean concurrent writes.
All replicas hold the same set of entries in some order; the one shown must depend on the set alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

from crdt_sync.records.comparing import identity
from crdt_sync.records.values import canonical

if TYPE_CHECKING:
    from crdt_sync.records.schema import FieldSpec

Entry = list[Any]  # [value, stamp, actor, ...]: what newer versions may append is kept


@dataclass(frozen=True, slots=True)
class ConflictEntry:
    """One of several values: its carrier, when (stamp, microseconds) and by whom it was written."""

    value: object
    stamp: int
    actor: str
    shown: bool


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field with concurrent values; the shown one comes first. `kind` is that of the field, or 'deleted'."""

    field: str
    kind: str
    entries: tuple[ConflictEntry, ...]


def well_formed(raw: Sequence[object]) -> list[Entry]:
    """The entries among what an array root holds; anything else was not written by this program."""
    return [entry for entry in raw if is_entry(entry)]


def is_entry(entry: object) -> TypeGuard[Entry]:
    """Whether `entry` is `[value, stamp, actor, ...]`."""
    return isinstance(entry, list) and len(entry) >= 3 and type(entry[1]) is int and type(entry[2]) is str


def precedence(entry: Entry) -> tuple[object, object, str]:
    """The order of entries: stamp, then actor, then canonical value."""
    return entry[1], entry[2], canonical(entry[0])


def ordered(entries: list[Entry], spec: "FieldSpec | None") -> list[Entry]:
    """Entries with the shown one first. Of concurrent stages the one of the highest rank is shown."""
    if len(entries) < 2:
        return entries
    if spec is not None and spec.kind == "stage":
        return sorted(entries, key=lambda entry: (spec.rank(entry[0]), *precedence(entry)), reverse=True)
    return sorted(entries, key=precedence, reverse=True)


def timeline(entries: list[Entry]) -> list[dict[str, object]]:
    """The entries of a log as `{"value", "at", "by"}`, oldest first."""
    return [{"value": value, "at": stamp, "by": actor} for value, stamp, actor, *_ in sorted(entries, key=precedence)]


def conflict(field: str, kind: str, entries: list[Entry], spec: "FieldSpec | None") -> Conflict | None:
    """The conflict that ordered entries make, or None when they say the same, see `comparing`."""
    if len(entries) < 2 or len({identity(entry[0], spec) for entry in entries}) < 2:
        return None
    return Conflict(
        field,
        kind,
        tuple(ConflictEntry(e[0], e[1], e[2], index == 0) for index, e in enumerate(entries)),
    )
