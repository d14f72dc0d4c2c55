"""Commands that change records: `set`, `delete`, `restore`, `resolve`."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import click

from crdt_sync import ids
from crdt_sync.cli import schemaless
from crdt_sync.cli.finding import field_named
from crdt_sync.cli.hints import filled_in
from crdt_sync.cli.invocation import Invocation
from crdt_sync.cli.options import record_argument
from crdt_sync.cli.output import Output
from crdt_sync.cli.references import missing, whole_ids, with_whole_ids
from crdt_sync.cli.targets import Assignment, apply, existing, meant_field, parse_assignment, short
from crdt_sync.cli.typed_values import doubtful, read_text
from crdt_sync.cli.values import DELETED_FIELD
from crdt_sync.errors import InvalidRecordId, KeyTaken, UnknownCollection, UnknownRecord, UsageError
from crdt_sync.records import Schema
from crdt_sync.records.comparing import filled
from crdt_sync.records.field_values import parse_text
from crdt_sync.records.natural_key import may_be_one, tells_apart
from crdt_sync.records.roots import Layout
from crdt_sync.replica import EditedRecord, Replica

records_argument = click.argument(
    "records", nargs=-1, required=True, metavar="RECORD...", help="Record ids, or unambiguous starts of them."
)
_NUMBERS = {"ignore_unknown_options": True}  # a negative number is a value
_DELETED_WORDS = {
    "delete": True,
    "deleted": True,
    "true": True,
    "yes": True,
    "keep": False,
    "false": False,
    "no": False,
}


@click.command("set", context_settings=_NUMBERS)
@click.argument("target", metavar="RECORD|COLLECTION", help="Record to change, or a collection for a new record.")
@click.argument(
    "assignments",
    nargs=-1,
    required=True,
    metavar="FIELD=VALUE...",
    help="Also += for counters, sets, logs and notes, and -= for counters and sets.",
)
@click.option("--create", is_flag=True, help="Make the record with that id if it is not there.")
@click.pass_obj
def set_fields(call: Invocation, target: str, assignments: Sequence[str], create: bool) -> None:
    """Change a record, or make a new one: set customers name="Müller GmbH" tags+=vip visits+=1.

    Members of a set are separated by semicolons, else by commas: tags="vip, new"; '["Kiel, north"]' is exactly one."""
    wanted = [parse_assignment(text) for text in assignments]
    with call.open() as replica:
        before = replica.count()
        meant = _target(replica, target, create)
        former = _shown(replica, meant)
        known_schema = replica.schemas.get(meant if meant in replica.schemas else ids.collection_of(meant))
        if known_schema is not None:
            _check_said_once(known_schema, wanted)
        if meant in replica.schemas:
            _check_same_customer(replica, replica.schemas[meant], wanted)
        edited = _edit(replica, meant, wanted, create)
        created = replica.count() > before
        schema = replica.schemas[ids.collection_of(edited.record)]
        fields = list(dict.fromkeys(field_named(schema, each.field) or each.field for each in wanted))
        if former is not None:
            now = _shown(replica, meant) or {}
            fields = [field for field in fields if former.get(field) != now.get(field)]
        elif not edited.changed:
            fields = []
        key = ", ".join(schema.natural_key)
        contacts = _contacts(replica, edited.record, former or {}, fields)
        absent = missing(replica, schema, edited.record, fields)
    record = edited.record
    data: dict[str, Any] = {"record": record, "created": created, "changed": edited.changed, "fields": fields}
    data.update((name, found) for name, found in contacts.items() if found)
    if absent:
        data["missing"] = absent
    known = f"{record} has that {key} already. " if edited.merged is not None else ""
    if created:
        text = f"Created {record}"
    else:
        text = f"Changed {record}: {', '.join(fields)}" if fields else f"{record} says so already; nothing changed."
    call.output.result(data, known + text)
    for text in contacts["odd"]:
        call.output.note(f"{text}; it was taken all the same.", "yellow")
    for each in contacts["shared"]:
        who = f"{each['name'] or 'another customer'} ({each['record']})"
        call.output.note(f"{each['field']}: {who} has the same {each['what']}.", "yellow")
    for each in absent:
        text = f"{each['field']}: there is no record {each['record']} here"
        call.output.note(f"{text}, which may be on another device, or a slip.", "yellow")
    _tell_doubts(call.output, schema, [each for each in wanted if field_named(schema, each.field) in fields])


def _check_same_customer(replica: Replica, schema: Schema, wanted: list[Assignment]) -> None:
    """Raise `KeyTaken` where the natural key that is entered for a new record is somebody else's, by the name."""
    given = {
        field: read_text(field, schema.fields[field], each.text)
        for each in wanted
        if each.operator == "=" and (field := field_named(schema, each.field)) is not None
        if field in schema.natural_key or tells_apart(schema, field)
    }
    if not all(filled(given.get(field)) for field in schema.natural_key) or not schema.natural_key:
        return  # no natural key, or an incomplete one, of which the edit complains
    standing = replica.key_standing(schema.collection, given)
    for record in standing.shown_by[: min(standing.own, 1)]:  # who came to the key by a change is told by the edit
        held = replica.get(record).raw
        for field, value in given.items():
            if field not in schema.natural_key and not may_be_one([value, held.get(field)]):
                key = ", ".join(str(given[part]) for part in schema.natural_key)
                raise KeyTaken(
                    f"{key} is the {', '.join(schema.natural_key)} of {held[field]} ({record})",
                    f"To change that one: crdt-sync set {record} {field}=... Else give another "
                    f"{' or '.join(schema.natural_key)}.",
                    record,
                )


def _shown(replica: Replica, target: str) -> Mapping[str, object] | None:
    """What a record shows, None where it is not there yet."""
    with suppress(UnknownRecord):
        return replica.get(target).raw if ids.is_record(target) else None
    return None


def _contacts(replica: Replica, record: str, former: Mapping[str, object], fields: list[str]) -> dict[str, list[Any]]:
    """What is to be said of the e-mail addresses and phones just written: what cannot be one, and who else has it."""
    from crdt_sync.exchange.contacts import cannot_be, contact_of, holder_of, texts_of  # noqa: PLC0415 - `set` only
    from crdt_sync.exchange.names import name_of  # noqa: PLC0415

    collection = ids.collection_of(record)
    specs = replica.schemas[collection].fields
    now = replica.get(record).raw
    odd: list[str] = []
    shared: list[dict[str, str]] = []
    for field in fields:
        if (contact := contact_of(field, specs[field])) is None:
            continue
        before = list(texts_of(former.get(field)))
        for text in texts_of(now.get(field)):
            if text in before:
                continue
            if cannot_be(contact, text):
                odd.append(f"{field}: {text[:60]!r} is no {contact}")
                continue
            others = (view for view in replica.list(collection) if view.record != record)
            if (holder := holder_of(text, contact, specs, others)) is not None:
                name = name_of(holder.raw)
                shared.append({"field": field, "what": contact, "record": holder.record, "name": name})
    return {"odd": odd, "shared": shared}


def _tell_doubts(output: Output, schema: Schema, written: list[Assignment]) -> None:
    """Numbers that some people would read otherwise."""
    for each in written:
        field = field_named(schema, each.field) or each.field
        if each.operator != "-=" and (other := doubtful(schema.fields[field], each.text)) is not None:
            output.note(
                f"{field}: the point of {each.text.strip()} was taken as a decimal point. If {other} is meant, write "
                f"{field}{each.operator}{other}.",
                "yellow",
            )


def _target(replica: Replica, text: str, create: bool) -> str:
    if text in replica.schemas or (create and ids.is_record(text)):
        return text
    try:
        return existing(replica, text)
    except InvalidRecordId:
        if not ids.is_collection(text):
            raise
    known = ", ".join(replica.schemas) or "none"
    hint = schemaless.none_here(replica) or f"Collections: {known}."
    raise UnknownCollection(f"{text[:60]!r} is neither a record nor a collection here", hint)


def _check_said_once(schema: Schema, wanted: Sequence[Assignment]) -> None:
    """Raise `UsageError` where a field is given two values."""
    fields = [field_named(schema, each.field) or each.field for each in wanted if each.operator == "="]
    for field in fields:
        if fields.count(field) > 1:
            raise UsageError(
                f"{field!r} is given twice", f"Leave out one of them; add to what is there with {field}+=."
            )


def _edit(replica: Replica, target: str, wanted: list[Assignment], create: bool) -> EditedRecord:
    known = replica.schemas.get(target if target in replica.schemas else ids.collection_of(target))
    if known is not None:
        wanted = [with_whole_ids(replica, known, assignment) for assignment in wanted]
    with replica.edit(target, create=create) as editor:
        schema = replica.schemas[ids.collection_of(editor.record)]
        for assignment in wanted:
            known_words = {"VALUE": assignment.text} if assignment.operator == "=" else {}
            with filled_in(RECORD=short(replica.store, editor.record), **known_words):
                apply(editor, schema, assignment)
    return editor


@click.command("delete")
@records_argument
@click.pass_obj
def delete(call: Invocation, records: Sequence[str]) -> None:
    """Delete records. An edit made elsewhere at the same time wins and is listed as a conflict."""
    _each(call, records, Replica.delete, "deleted", "Deleted {}", "{} is deleted already.")


@click.command("restore")
@records_argument
@click.pass_obj
def restore(call: Invocation, records: Sequence[str]) -> None:
    """Take deletions back, and say which other records may be the same customer, entered again meanwhile."""
    _each(call, records, Replica.restore, "restored", "Restored {}", "{} is not deleted; nothing to restore.", _alike)


def _alike(replica: Replica, record: str) -> Sequence[str]:
    from crdt_sync.exchange.suspects import records_like  # noqa: PLC0415 - `restore` alone

    collection = ids.collection_of(record)
    return records_like(replica.get(record), replica.schemas[collection].fields, replica.list(collection))


def _each(
    call: Invocation,
    given: Sequence[str],
    change: Callable[[Replica, str], bool],
    word: str,
    done: str,
    nothing: str,
    alike: Callable[[Replica, str], Sequence[str]] = lambda *_: (),
) -> None:
    with call.open() as replica:
        records = list(dict.fromkeys(existing(replica, text) for text in given))
        with replica.batch():
            changed = {record: change(replica, record) for record in records}
        others = {record: alike(replica, record) for record in records if changed[record]}
    for record in records:
        text = done if changed[record] else nothing
        found = {"alike": list(others[record])} if others.get(record) else {}
        call.output.result({"record": record, word: changed[record], **found}, text.format(record))
        if found:
            other, collection = others[record][0], ids.collection_of(record)
            more = f" and {len(others[record]) - 1} more" if len(others[record]) > 1 else ""
            call.output.note(
                f"It looks like {other}{more}. If they are one customer, compare them (crdt-sync duplicates "
                f"{collection}, crdt-sync get {other}), set what is missing in the one that stays, and delete the "
                f"other: crdt-sync delete {record}",
                "yellow",
            )


@click.command("resolve", context_settings=_NUMBERS)
@record_argument
@click.argument("field", help="Field that 'crdt-sync conflicts' lists.")
@click.argument(
    "value",
    help="What it shall be; for _deleted: delete or keep. Empty clears it. Of a set: its members, as for 'set'. "
    "Of a log: the lines that stay.",
)
@click.pass_obj
def resolve(call: Invocation, record: str, field: str, value: str) -> None:
    """Decide a conflict: VALUE takes the place of every value that is known here."""
    with call.open() as replica:
        found = existing(replica, record)
        with replica.edit(found) as editor:
            schema = replica.schemas[ids.collection_of(editor.record)]
            field = field if field == DELETED_FIELD else meant_field(editor, schema, field)
            if field != DELETED_FIELD:
                value = whole_ids(replica, field, schema.fields[field], value)
            editor.resolve(field, _decision(schema, field, value))
        left = list(replica.get(found).conflicts)
    data = {"record": found, "field": field, "open": left}
    rest = f"; still open: {', '.join(left)}" if left else ""
    call.output.result(data, f"Resolved {field} of {found}{rest}")


def _decision(schema: Schema, field: str, text: str) -> object:
    if field == DELETED_FIELD:
        decision = _DELETED_WORDS.get(text.strip().casefold())
        if decision is None:
            raise UsageError(f"{text[:60]!r} does not decide whether to delete", "Write 'delete' or 'keep'.")
        return decision
    spec = schema.fields[field]
    if spec.rules.layout is Layout.LOG:
        return [parse_text(field, spec, line) for line in text.splitlines() if line.strip()]
    return read_text(field, spec, text)
