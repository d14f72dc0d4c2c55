"""The command `conflicts`: values that were written without knowing of another, records with one key, and collections
that were defined in ways that do not fit.

Records may come from anybody, and one may hold tens of thousands of values: people are shown the first of each field,
of each record and of all; programs get everything, a record at a time.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import NamedTuple

import click

from crdt_sync.cli import damaged, drawing
from crdt_sync.cli.invocation import Invocation
from crdt_sync.cli.options import LIMIT, all_option, limit_option
from crdt_sync.cli.output import Output, table
from crdt_sync.cli.safe_text import lines, one_line
from crdt_sync.cli.targets import readable_collection, shorts
from crdt_sync.cli.values import (
    DELETED_FIELD,
    conflict_object,
    entry_time,
    entry_value,
    label,
    opposed_value,
    plain,
    shown,
    title,
)
from crdt_sync.records import Conflict, Schema
from crdt_sync.records.entries import ConflictEntry
from crdt_sync.records.version_conflicts import KINDS_OF_VERSIONS
from crdt_sync.replica import Duplicate, RecordView, Replica

_VALUES_MAX = 6  # of one field that people are shown
_FIELDS_MAX = 12  # of one record
_ROWS_MAX = 300  # in all, unless somebody says how many records
_LENGTH_MAX = 300  # characters of one value
_LINES_MAX = 6  # of one value
_SHOWN = "* "  # before the value that is shown: bold alone is lost where the output is no terminal
_SIDES = (
    f"Of counters, sets, notes and timelines {_SHOWN.strip()} stands before what is shown: what the newest import says "
    "and what people changed. Below it is what each import said, without that. The field becomes exactly what you "
    f"decide: to keep what people changed, go by the value after {_SHOWN.strip()}."
)
_BEGUN = (
    "Of notes and counters that were begun apart stands what each began with: the field holds all of it together, "
    "until somebody decides."
)


class _Opposed(NamedTuple):
    """A record with its conflicts."""

    view: RecordView
    conflicts: Sequence[Conflict]


@click.command("conflicts")
@click.argument("collection", required=False)
@all_option
@limit_option
@click.pass_obj
def conflicts(call: Invocation, collection: str | None, everything: bool, limit: int | None) -> None:
    """List what was written without knowing of each other: every value, who wrote it and when.

    Records that show one natural key are listed too, and collections that were defined in ways that do not fit.
    """
    with call.open() as replica:
        chosen = readable_collection(replica, collection) if collection else None
        found = _opposed(replica, chosen, everything)
        duplicates = replica.duplicates(chosen)
        disputed = {name: each for name, each in replica.disputed_schemas().items() if chosen in (None, name)}
        if call.output.as_json:
            most = limit or None
            for view, opposed in itertools.islice(found, most):
                for conflict in opposed:
                    told = conflict_object(view.record, conflict, replica.schema_of(view.record))
                    now = {"now": plain(_now(view, conflict))} if conflict.kind in KINDS_OF_VERSIONS else {}
                    call.output.emit({**told, **now})
            for twice in duplicates[:most]:
                call.output.emit({"kind": "duplicate", **asdict(twice)})
            for name, definitions in disputed.items():
                call.output.emit({"kind": "schema", "collection": name, "definitions": _definitions(definitions)})
        else:
            if disputed:
                _show_disputed(call.output, disputed)
            _show(call, replica, found, duplicates, limit, others=bool(disputed))
        damaged.tell(call.output, replica)


def _opposed(replica: Replica, collection: str | None, everything: bool) -> Iterator[_Opposed]:
    for view in replica.list(collection, deleted=True):
        if everything or view.conflicts:
            opposed = replica.conflicts_of(view.record, superseded=everything)
            if opposed:
                yield _Opposed(view, opposed)


def _show(
    call: Invocation,
    replica: Replica,
    found: Iterator[_Opposed],
    duplicates: Sequence[Duplicate],
    asked: int | None,
    *,
    others: bool,
) -> None:
    output = call.output
    most = LIMIT if asked is None else asked or None
    if duplicates:
        _show_duplicates(output, replica, duplicates, most)
    page = list(_page(found, most, _ROWS_MAX if asked is None else None))
    more = next(found, None) is not None
    if not page:
        if not duplicates and not others:
            output.text("No open conflicts.")
        return
    names = shorts(replica.store, (view.record for view, _ in page))
    output.show(_table(page, names, replica))
    if more:
        records = "record" if len(page) == 1 else f"{len(page)} records"
        output.note(f"The first {records}; --limit 0 shows all, --json every value of them.")
    every = [(view.record, conflict) for view, opposed in page for conflict in opposed]
    if any(conflict.kind in KINDS_OF_VERSIONS and not conflict.begun for _, conflict in every):
        output.note(_SIDES)
    if any(conflict.begun for _, conflict in every):
        output.note(_BEGUN)
    waiting = next(((record, conflict) for record, conflict in every if conflict.open), None)
    marked_one = any(conflict.kind not in KINDS_OF_VERSIONS for _, conflict in every)
    if waiting is None:
        output.note("None of them waits for a decision; the value after * is shown.")
        return
    record, conflict = waiting
    answer = "keep" if conflict.field == DELETED_FIELD else "<value>"  # a shell refuses to run that as it stands
    meanwhile = "The value after * is shown meanwhile. " if marked_one else ""
    output.note(f"{meanwhile}Decide: crdt-sync resolve {names[record]} {conflict.field} {answer}")


def _page(found: Iterator[_Opposed], records: int | None, rows: int | None) -> Iterator[_Opposed]:
    """As many as there may be records and rows, but one."""
    shown_rows = 0
    for each in itertools.islice(found, records):
        yield each
        shown_rows += sum(min(len(conflict.entries), _VALUES_MAX) for conflict in each.conflicts[:_FIELDS_MAX])
        if rows is not None and shown_rows >= rows:
            return


def _table(page: Sequence[_Opposed], names: dict[str, str], replica: Replica) -> "drawing.Table":
    """Conflicts with their values, by whom and when."""
    rows: list[list[str | drawing.Text]] = []
    for view, opposed in page:
        schema = replica.schema_of(view.record)
        head = [names[view.record], _cut(title(view))]
        for conflict in opposed[:_FIELDS_MAX]:
            name = label(schema, conflict.field)
            for value, by, when in _told(conflict, schema, _now(view, conflict)):
                rows.append([*head, name, value, by, when])
                head, name = ["", ""], ""
        if len(opposed) > _FIELDS_MAX:
            rows.append(
                ["", "", "", drawing.Text(f"and {len(opposed) - _FIELDS_MAX} more fields; --json has all"), "", ""]
            )
    return table(("Record", "Name", "Field", "Value", "By", "When"), rows, wrap=True)


def _now(view: RecordView, conflict: Conflict) -> object:
    """What the field of a conflict shows."""
    return view[conflict.field] if conflict.field in view else None  # noqa: SIM401 - `get` raises for what is no field


def _told(conflict: Conflict, schema: Schema | None, value: object) -> "Iterator[tuple[drawing.Text, str, str]]":
    """What `_values` tells; before it what the field shows, where that is none of them: people changed what the newest
    import said."""
    first = conflict.entries[0]
    marked = any(entry.shown for entry in conflict.entries) or conflict.kind not in KINDS_OF_VERSIONS
    alike = not marked and entry_value(conflict, first, schema) == value
    if not (marked or alike):
        yield drawing.Text(_SHOWN + lines(_cut(shown(value))), style="bold"), "", ""
    yield from _values(
        replace(conflict, entries=(replace(first, shown=True), *conflict.entries[1:])) if alike else conflict, schema
    )


def _values(conflict: Conflict, schema: Schema | None) -> "Iterator[tuple[drawing.Text, str, str]]":
    """The first values of a conflict, each once, with who wrote it and when; then how many there are besides."""
    alike: dict[str, list[ConflictEntry]] = {}
    for entry in conflict.entries:
        alike.setdefault(opposed_value(conflict, entry, schema), []).append(entry)
    precise = _look_alike(conflict.entries)
    for told, entries in itertools.islice(alike.items(), _VALUES_MAX):
        value = lines(_cut(told))
        text = drawing.Text(_SHOWN + value, style="bold") if entries[0].shown else drawing.Text(value)
        said = dict.fromkeys((_author(each), entry_time(each.stamp, precise=precise)) for each in entries)
        actors, times = zip(*itertools.islice(said, _VALUES_MAX), strict=True)
        more = ["…"] if len(said) > _VALUES_MAX else []
        yield text, "\n".join([*actors, *more]), "\n".join(times)
    if len(alike) > _VALUES_MAX:
        yield drawing.Text(f"and {len(alike) - _VALUES_MAX} more; --json has all"), "", ""


def _author(entry: ConflictEntry) -> str:
    return one_line(entry.actor) + (f" ({entry.standing})" if entry.standing else "")


def _look_alike(entries: Sequence[ConflictEntry]) -> bool:
    """Whether two were written by one name within one second: two devices may have one."""
    return len({(each.actor, entry_time(each.stamp)) for each in entries}) < len(entries)


def every_value(conflict: Conflict, schema: Schema | None, value: object) -> "drawing.Text":
    """The values of a conflict below each other; above them the one that the field shows, where it is none of them."""
    text = drawing.Text()
    for each, by, when in _told(conflict, schema, value):
        text.append("\n" if text else "").append_text(each)
        said = zip(by.split("\n"), when.split("\n"), strict=False)
        text.append(lines("  " + "; ".join(f"{who}, {time}" for who, time in said)) if by else "", style="dim")
    return text


def marked(text: str) -> "drawing.Text":
    """The name of a field with an open conflict."""
    return drawing.Text(lines(f"{text} ≠"), style="yellow")


def _cut(text: str) -> str:
    kept = "\n".join(text[: _LENGTH_MAX + 1].split("\n")[:_LINES_MAX])[:_LENGTH_MAX]
    return text if len(kept) == len(text) else f"{kept}… ({len(text):,} characters)"


def _definitions(definitions: Sequence[Schema]) -> list[dict[str, object]]:
    """What concurrent definitions of a collection say, the one in use first, as `schema resolve` numbers them."""
    return [
        {
            "number": number,
            "used": number == 1,
            "version": each.version,
            "natural_key": each.natural_key,
            "fields": asdict(each)["fields"],
        }
        for number, each in enumerate(definitions, 1)
    ]


def _show_disputed(output: Output, disputed: Mapping[str, Sequence[Schema]]) -> None:
    rows: list[tuple[str, str, str]] = []
    for collection, definitions in disputed.items():
        for number, each in enumerate(definitions[:_VALUES_MAX], 1):
            own = [_field(each, name) for name in _own(each, definitions)]
            if any(other.natural_key != each.natural_key for other in definitions):
                own.append(lines(f"natural key: {', '.join(each.natural_key) or 'none'}"))
            text = ", ".join(own) or "no field of its own"
            rows.append((collection if number == 1 else "", f"{_SHOWN if number == 1 else ''}{number}", _cut(text)))
        if len(definitions) > _VALUES_MAX:
            rows.append(("", f"and {len(definitions) - _VALUES_MAX} more; --json has all", ""))
    output.show(table(("Collection defined twice", "Definition", "What is its own"), rows, wrap=True))
    name = next(iter(disputed))
    output.note(
        f"The definition after {_SHOWN.strip()} is used everywhere meanwhile; all that was written is kept. Decide: "
        f"crdt-sync schema resolve {name} NUMBER"
    )


def _own(definition: Schema, among: Sequence[Schema]) -> list[str]:
    """The fields that not all definitions have alike."""
    return [name for name, spec in definition.fields.items() if any(each.fields.get(name) != spec for each in among)]


def _field(schema: Schema, name: str) -> str:
    spec = schema.fields[name]
    required = ", required" if spec.required else ""
    order = sorted(spec.states, key=spec.rank) or spec.choices
    return lines(f"{name} ({spec.kind} {spec.type}{required}{': ' + ', '.join(order) if order else ''})")


def _show_duplicates(output: Output, replica: Replica, duplicates: Sequence[Duplicate], most: int | None) -> None:
    rows: list[tuple[str, str, str]] = []
    for twice in duplicates[:most]:
        schema = replica.schemas[twice.collection]
        key = _cut(", ".join(f"{label(schema, field)} {shown(value)}" for field, value in twice.key.items()))
        for number, record in enumerate(twice.records[:_VALUES_MAX]):
            rows.append((record, _cut(title(replica.get(record), twice.key)), key if number == 0 else ""))
        if len(twice.records) > _VALUES_MAX:
            rows.append(("", f"and {len(twice.records) - _VALUES_MAX} more; --json has all", ""))
    output.show(table(("Records with one key", "Name", "Key"), rows, wrap=True))
    if most is not None and len(duplicates) > most:
        output.note(f"and {len(duplicates) - most} more keys; --limit 0 shows all.")
    record = duplicates[0].records[-1]
    field = next(iter(duplicates[0].key))
    output.note(
        f"If they are two, give one another key: crdt-sync set {record} {field}=<value>; if they are one, copy what is "
        f"missing and delete the other: crdt-sync delete {record}"
    )
