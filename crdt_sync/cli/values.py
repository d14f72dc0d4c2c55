"""Values as people read them and as programs get them."""

import json
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal

from crdt_sync.cli import safe_text
from crdt_sync.limits import KIB, SOURCE_TEXT_BYTES_MAX, STAMP_TIME_US_MIN
from crdt_sync.records import Conflict, restore
from crdt_sync.records.entries import ConflictEntry
from crdt_sync.records.kinds import KINDS
from crdt_sync.records.memory.sources import IMPORTED
from crdt_sync.records.roots import Layout
from crdt_sync.records.schema import FieldSpec, Schema
from crdt_sync.records.values import restore_value
from crdt_sync.replica import RecordView

NOTHING = "–"
DELETED_FIELD = "_deleted"


def shown(value: object) -> str:
    """A typed value, as `RecordView` gives it, as text for people. It may hold line breaks and is not made safe."""
    match value:
        case None:
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case Decimal():
            return format(value, "f")
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        case date():
            return value.isoformat()
        case list():
            return _shown_list(value)
        case dict():
            return json.dumps(plain(value), ensure_ascii=False)
        case _:
            return str(value)


def _shown_list(value: list[object]) -> str:
    if value and all(isinstance(entry, dict) and entry.keys() == {"value", "at", "by"} for entry in value):
        return "\n".join(
            f"{entry_time(entry['at'])} {entry['by']}: {shown(entry['value'])}"
            for entry in value
            if isinstance(entry, dict)
        )
    return ", ".join(_member(member) for member in value)


def _member(member: object) -> str:
    """In double quotes where it would be taken for several, or for a quoted one, if somebody typed it again."""
    text = shown(member)
    quoted = isinstance(member, str) and ("," in text or ";" in text or text.startswith('"'))
    return '"' + text.replace('"', '""') + '"' if quoted else text


def plain(value: object) -> object:
    """A typed value as JSON can carry it: decimals, dates and times become texts."""
    match value:
        case Decimal():
            return format(value, "f")
        case date():
            return value.isoformat()
        case Mapping():
            if value.keys() == {"value", "at", "by"}:
                return {"value": plain(value["value"]), "at": entry_utc_time(value["at"]), "by": value["by"]}
            return {str(key): plain(member) for key, member in value.items()}
        case list() | tuple():
            return [plain(member) for member in value]
        case _:
            return value


def record_object(view: RecordView) -> dict[str, object]:
    """A record for programs."""
    return {
        "record": view.record,
        "deleted": view.deleted,
        "conflicts": list(view.conflicts),
        "fields": {field: plain(value) for field, value in view.items()},
        **({"masked": {field: part.mask for field, part in view.masked.items()}} if view.masked else {}),
    }


def conflict_object(record: str, conflict: Conflict, schema: Schema | None) -> dict[str, object]:
    """A conflict for programs; the first entry is the one that is shown, if one is, see `Conflict`."""
    entries = [
        {
            "value": plain(entry_value(conflict, entry, schema)),
            "by": entry.actor,
            "at": entry_utc_time(entry.stamp),
            "shown": entry.shown,
            **({"known": entry.standing} if entry.standing else {}),
        }
        for entry in conflict.entries
    ]
    found = {"record": record, "field": conflict.field, "kind": conflict.kind, "open": conflict.open}
    return {**found, **({"begun": True} if conflict.begun else {}), "entries": entries}


def entry_value(conflict: Conflict, entry: ConflictEntry, schema: Schema | None) -> object:
    """The typed value of one side of a conflict."""
    spec = schema.fields.get(conflict.field) if schema else None
    if spec is None:
        return entry.value
    if isinstance(entry.value, list):  # what a version of a table said of a set or log
        return [restore_value(spec, member) for member in entry.value]
    return restore_value(spec, entry.value)


def opposed_value(conflict: Conflict, entry: ConflictEntry, schema: Schema | None) -> str:
    """One side of a conflict as people read it."""
    if conflict.kind == "deleted":
        return "deleted, but edited elsewhere"
    if (summary := KINDS[conflict.kind].summary(entry.value)) is not None:
        return summary
    if entry.value is None and KINDS[conflict.kind].layout is Layout.TEXT:
        kept = "is in the field" if conflict.begun else "is not kept"
        return f"a text over {SOURCE_TEXT_BYTES_MAX // KIB} KiB, which {kept}"
    return shown(entry_value(conflict, entry, schema))


def label(schema: Schema | None, field: str) -> str:
    """What a field is called."""
    spec = schema.fields.get(field) if schema else None
    return safe_text.one_line(spec.label or field) if spec else safe_text.name(field)


def counted(count: int, what: str) -> str:
    """So many of them."""
    return f"{count} {what}" + "s" * (count != 1)


def many(count: int) -> str:
    """So many records."""
    return counted(count, "record")


def title(view: RecordView, but: Collection[str] = ()) -> str:
    """A few words by which a person knows the record: its first text of one line, but for some fields."""
    opposed = frozenset(view.conflicts)
    for field, value in view.items():
        if isinstance(value, str) and value.strip() and field not in opposed and field not in but:
            return value
    return ""


def local_time(stamp: object, *, precise: bool = False) -> str:
    """Microseconds since 1970 in the time of this machine."""
    moment = _moment(stamp)
    return NOTHING if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S{'.%f' if precise else ''}}"


def utc_time(stamp: object) -> object:
    """Microseconds since 1970 as an ISO 8601 text in UTC; what is out of range stays a number."""
    moment = _moment(stamp)
    return stamp if moment is None else moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def entry_time(stamp: object, *, precise: bool = False) -> str:
    """When an entry was written, for people: not known of what an unset clock stamped, nor of what an import wrote and
    its source says no more."""
    if stamp == IMPORTED:
        return "imported"
    return "unknown time" if _of_unset_clock(stamp) else local_time(stamp, precise=precise)


def entry_utc_time(stamp: object) -> object:
    """When an entry was written, for programs; None where that is not known, as `entry_time` says."""
    return None if stamp == IMPORTED or _of_unset_clock(stamp) else utc_time(stamp)


def _of_unset_clock(stamp: object) -> bool:
    """Whether a device wrote this before anybody had told it the time: the stamp orders entries and says no time."""
    return isinstance(stamp, int) and stamp < STAMP_TIME_US_MIN


def _moment(stamp: object) -> datetime | None:
    if not isinstance(stamp, int):
        return None
    try:
        return datetime.fromtimestamp(stamp // 1_000_000, UTC).replace(microsecond=stamp % 1_000_000)
    except (OverflowError, ValueError, OSError):
        return None


def restored(spec: FieldSpec | None, carrier: object) -> object:
    """The typed value of a whole field."""
    return carrier if spec is None else restore(spec, carrier)
