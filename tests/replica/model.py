"""A plain model of a record: events, who replaced what, and what a device shows that knows some of them.

Every event that adds something takes a range of its writer's clock, so a state vector says which events a device
knows. What only takes away (a member, a log, a piece of text) takes none; `Model.taken` has it for all devices.
"""

import json
import re
from collections.abc import Iterable, Set
from dataclasses import dataclass, field

from crdt_sync.records import Schema, parse_schema

SCHEMA: Schema = parse_schema(
    """
    collection = "shops"
    version = 1
    [fields.city]
    [fields.phone]
    kind = "review"
    [fields.level]
    kind = "stage"
    states = ["open", "won", "lost"]
    [fields.visits]
    kind = "counter"
    [fields.tags]
    kind = "set"
    [fields.timeline]
    kind = "log"
    [fields.notes]
    kind = "text"
    """,
    "model",
)
ENTRIES = ("city", "phone", "level")
ASKED = ("phone", "level")  # concurrent values of these are open conflicts
DELETED = "_deleted"
MARK = re.compile(r"<\d+>")


@dataclass(frozen=True)
class Event:
    """Something written: known to a device whose state vector gives `writer` at least `clock`."""

    number: int
    record: str
    field: str
    value: object
    stamp: int
    actor: str
    writer: int
    clock: int
    replaces: frozenset[int]  # entries that it superseded
    covers: frozenset[int]  # for a delete: all events that it had seen, and itself


@dataclass
class Shown:
    """What a device that knows some events must show; of what may have been taken away, the least and the most."""

    entries: dict[str, object] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    deleted: bool = False
    visits: int | None = None
    least: dict[str, list[object]] = field(default_factory=dict)
    most: dict[str, list[object]] = field(default_factory=dict)


@dataclass
class Model:
    """All events of all devices."""

    events: list[Event] = field(default_factory=list)
    taken: set[int] = field(default_factory=set)

    def known(self, record: str, vector: dict[int, int]) -> list[Event]:
        """The events of a record that somebody with this state vector knows."""
        return [e for e in self.events if e.record == record and vector.get(e.writer, 0) >= e.clock]

    def shown(self, known: Iterable[Event], own_taken: Set[int]) -> Shown:
        """What is shown to somebody who knows these events and has taken away `own_taken`."""
        known = list(known)
        shown = Shown()
        for name in ENTRIES:
            entries = live(known, name)
            if entries:
                shown.entries[name] = max(entries, key=_precedence).value
            if name in ASKED and len({json.dumps(entry.value) for entry in entries}) > 1:
                shown.conflicts.append(name)
        shown.deleted = is_deleted(known)
        if not shown.deleted and any(entry.value for entry in live(known, DELETED)):
            shown.conflicts.append(DELETED)
        counts = [event.value for event in known if event.field == "visits"]
        shown.visits = sum(counts) if counts else None  # type: ignore[arg-type]
        for name in ("tags", "timeline", "notes"):
            added = [event for event in known if event.field == name]
            shown.least[name] = [event.value for event in added if event.number not in self.taken]
            shown.most[name] = [event.value for event in added if event.number not in own_taken]
        return shown


def live(known: Iterable[Event], name: str) -> list[Event]:
    """The entries of a field that nothing known has superseded."""
    mine = [event for event in known if event.field == name]
    gone = {number for event in mine for number in event.replaces}
    return [event for event in mine if event.number not in gone]


def is_deleted(known: Iterable[Event]) -> bool:
    """Whether those who deleted had, together, seen everything."""
    known = list(known)
    deletes = [entry for entry in live(known, DELETED) if entry.value]
    covered = {number for entry in deletes for number in entry.covers}
    return bool(deletes) and all(event.number in covered for event in known)


def check(shown: Shown, raw: dict[str, object], conflicts: Iterable[str], deleted: bool) -> None:
    """Compare with what a replica shows."""
    assert {name: raw[name] for name in ENTRIES if name in raw} == shown.entries
    assert sorted(conflicts) == sorted(shown.conflicts)
    assert deleted == shown.deleted
    assert raw.get("visits") == shown.visits
    notes = raw.get("notes", "")
    assert MARK.sub("", notes) == ""  # type: ignore[call-overload]
    found = {
        "tags": raw.get("tags", []),
        "timeline": [entry["value"] for entry in raw.get("timeline", [])],  # type: ignore[attr-defined]
        "notes": MARK.findall(notes),  # type: ignore[call-overload]
    }
    for name, values in found.items():
        assert len(set(values)) == len(values), name
        assert set(shown.least[name]) <= set(values) <= set(shown.most[name]), name


def _precedence(entry: Event) -> tuple[object, ...]:
    rank = SCHEMA.fields["level"].rank(entry.value) if entry.field == "level" else 0
    return rank, entry.stamp, entry.actor, json.dumps(entry.value)
