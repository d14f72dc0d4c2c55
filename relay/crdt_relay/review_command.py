"""`crdt-relay review`: what devices that were shut out had not sent, to be looked at, applied, or dropped."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from crdt_relay.administration import Administration
from crdt_relay.auditing import note, now_us, operator
from crdt_relay.control import NotRunning, ask
from crdt_relay.options import json_option, space_options
from crdt_relay.reviewing import Reviewing, named
from crdt_relay.settings import Settings
from crdt_relay.space import open_store
from crdt_sync.cli.commands import Commands
from crdt_sync.cli.output import Output, table
from crdt_sync.cli.safe_text import one_line
from crdt_sync.cli.values import counted, local_time, plain, shown
from crdt_sync.records import Document, conflicts_of, values_of
from crdt_sync.replica.readable import readable
from crdt_sync.verdicts import VerdictCode

_SHOWN = 12  # characters of a device's id
_FIELDS_SHOWN = 8  # in one row
_device = click.argument("which", metavar="DEVICE", help="Its name, or the beginning of its id.")
_records = click.option(
    "--record", "records", multiple=True, metavar="ID", help="Of this record alone; repeat it for several."
)


@click.group("review", cls=Commands, no_args_is_help=True)
def review() -> None:
    """What devices that were shut out had not sent: look at it, apply it, or drop it.

    A device hands it in that was revoked with '--unsent review', or of which 'device review' was said.
    """


@review.command("list")
@space_options
@json_option
def review_list(settings: Settings, as_json: bool) -> None:
    """List what was handed in and waits, with the fields that it touches; no values."""
    found = _asked(settings, "list")["handed_in"]
    output = Output(as_json=as_json)
    if as_json:
        for each in found:
            output.emit(dict(each))
        return
    if not found:
        output.text("Nothing waits for review.")
        return
    rows = [
        (each["device"][:_SHOWN], each["name"], each["user"], local_time(each["at"]), str(each["records"]), _may(each))
        for each in found
    ]
    output.show(table(("Device", "Name", "User", "Handed in", "Records", "May be applied"), rows))
    for each in found:
        output.text(f"{each['name'] or each['device'][:_SHOWN]} touches {_fields(each['updates'])}")
    output.note("To see the values: crdt-relay review show DEVICE")


@review.command("show")
@_device
@_records
@space_options
@json_option
def review_show(which: str, records: Sequence[str], settings: Settings, as_json: bool) -> None:
    """Show what a device handed in: each field that changes, with its value before and after."""
    output = Output(as_json=as_json)
    after = ""
    while True:
        found = _asked(settings, "show", device=which, records=list(records), after=after)
        told = [_read(each) for each in found["shown"]]
        if as_json:  # a line for each page
            output.emit({**found, "shown": [{key: plain(value) for key, value in each.items()} for each in told]})
        else:
            if not after:
                named_so = f"{_named(found)}, handed in {local_time(found['at'])}"
                output.text(f"{named_so}: {counted(found['records'], 'record')}")
            for each in told:
                _tell(output, each, [update for update in found["updates"] if update["record"] == each["record"]])
        if not (after := found["next"]):
            return


@review.command("apply")
@_device
@_records
@space_options
@json_option
def review_apply(which: str, records: Sequence[str], settings: Settings, as_json: bool) -> None:
    """Apply what a device handed in, as edits of its user, where the policy in force allows them now."""
    found = _asked(settings, "apply", device=which, records=list(records))
    output = Output(as_json=as_json)
    output.result(dict(found), f"{_named(found)}: {counted(found['applied'], 'edit')} applied, {found['left']} left.")
    for each in found["updates"] if not as_json else ():
        if each["verdict"] != VerdictCode.ACCEPTED.value:
            output.note(f"{each['record']}: {_verdict(each)}", "yellow")
    if found["left"] and not as_json:
        output.note(f"To be rid of what is left: crdt-relay review drop {found['device'][:_SHOWN]}")


@review.command("drop")
@_device
@_records
@space_options
@json_option
def review_drop(which: str, records: Sequence[str], settings: Settings, as_json: bool) -> None:
    """Drop what a device handed in, for good."""
    found = _asked(settings, "drop", device=which, records=list(records))
    Output(as_json=as_json).result(dict(found), f"{counted(found['dropped'], 'edit')} dropped.")


def _asked(settings: Settings, act: str, **arguments: Any) -> Mapping[str, Any]:
    """Have it done by the relay that runs, or on the store of one that does not. Raises `CrdtSyncError`."""
    try:
        return ask(settings.data, "review", act=act, by=operator(), **arguments)
    except NotRunning:
        with open_store(settings.data, settings.store_key_file, create=False) as store:
            people = Administration(store, settings.space_key, now_us)
            if act != "list":
                note(store, f"review {act}", device=arguments["device"], records=named(arguments["records"]))
            return asyncio.run(Reviewing(store, people, now_us).do({"act": act, **arguments}))


def _named(found: Mapping[str, Any]) -> str:
    return f"{found['name'] or found['device'][:_SHOWN]} of {found['user']}"


def _may(found: Mapping[str, Any]) -> str:
    updates = found["updates"]
    good = sum(1 for each in updates if each["verdict"] == VerdictCode.ACCEPTED.value)
    return "all" if good == len(updates) else f"{good} of {len(updates)}"


def _fields(updates: Sequence[Mapping[str, Any]]) -> str:
    fields = sorted({field for each in updates for field in each["fields"]})
    more = f" and {len(fields) - _FIELDS_SHOWN} more" if len(fields) > _FIELDS_SHOWN else ""
    return (", ".join(fields[:_FIELDS_SHOWN]) + more) or "nothing that could be read"


def _verdict(update: Mapping[str, Any]) -> str:
    if update["verdict"] != VerdictCode.ACCEPTED.value:
        return f"not to be applied, {update['verdict']}: {update['reason']}"
    return "may be applied" if update["new"] else "is known already"


def _tell(output: Output, told: Mapping[str, Any], updates: Sequence[Mapping[str, Any]]) -> None:
    """One record: what becomes of the updates, alike ones together, and which values change."""
    output.text("")
    verdicts = Counter(map(_verdict, updates))
    if len(verdicts) == 1:
        output.text(f"{told['record']}  {_verdict(updates[0])}")
    else:
        output.text(f"{told['record']}  {counted(len(updates), 'edit')}")
        for verdict, times in verdicts.items():
            output.text(f"  {counted(times, 'edit')}: {verdict}")
    fields = {field for each in updates for field in each["fields"]}
    if told["after"] is not None:
        for change in _changes(told["before"], told["after"], fields):
            output.text(f"  {change}")
    if told["if_all"] is not None:
        if told["after"] is not None:
            output.text("  Were all allowed:")
        for change in _changes(told["before"], told["if_all"], fields):
            output.text(f"  {change}")


def _read(told: Mapping[str, Any]) -> dict[str, Any]:
    """The values of one record, each with the other values that are kept beside, by field."""
    before = _document(told["before"])
    return {
        "record": told["record"],
        "before": {} if before is None else dict(values_of(before)),
        "after": _after(told["after"]),
        "if_all": _after(told["if_all"]),
    }


def _after(snapshot: str | None) -> dict[str, Any] | None:
    """What a record shows by then, and by field what is kept beside that; None where it cannot be read."""
    found = None if snapshot is None else _document([snapshot])
    if found is None:
        return None
    conflicts = conflicts_of(found, all_kinds=True)
    beside = {each.field: [entry.value for entry in each.entries if not entry.shown] for each in conflicts}
    return {"values": dict(values_of(found)), "beside": beside}


def _document(updates: Sequence[str]) -> Document | None:
    raws = [bytes.fromhex(update) for update in updates]
    return readable(lambda: Document.load(raws)) if raws else None


def _changes(before: Mapping[str, Any], then: Mapping[str, Any], fields: Iterable[str]) -> list[str]:
    """Of each field that changes, or is touched, what it shows before and after, and what is kept beside that."""
    after, beside = then["values"], then["beside"]
    changed = {field for field in before.keys() | after.keys() if before.get(field) != after.get(field)}
    told = []
    for field in sorted(changed | {*fields}):
        was, comes = (one_line(shown(values.get(field))) for values in (before, after))
        others = ", ".join(one_line(shown(value)) for value in beside.get(field, ()))
        told.append(f"{one_line(field)}: {was} -> {comes}" + (f", and beside it {others}" if others else ""))
    return told
