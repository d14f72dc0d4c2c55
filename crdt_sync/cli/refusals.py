"""The command `refused`: edits that a policy did not allow, or that were not sent before their record left this device,
kept until somebody makes them again, or drops them."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from crdt_sync.cli.commands import Commands
from crdt_sync.cli.invocation import Invocation, invocation
from crdt_sync.cli.output import Output, table
from crdt_sync.cli.values import local_time, many, shown
from crdt_sync.errors import InvalidTable, UsageError
from crdt_sync.ids import whole_record
from crdt_sync.limits import REFUSED_EDITS_BYTES_MAX, UNSENT_RECORDS_MAX
from crdt_sync.replica import Replica
from crdt_sync.replica.made_again import make_again, parsed
from crdt_sync.replica.refused import RefusedEdit, drop, forget_unsent, refused_edits
from crdt_sync.replica.unsent import Unsent, forget_lost, known, lost
from crdt_sync.storage.values import Batch

_SOME_NOT_MADE = 7  # as of an import
_NUMBERS_SHOWN = 20
_LENGTH_MAX = 60  # characters of a value that people are shown


@click.group("refused", cls=Commands, invoke_without_command=True)
@click.pass_context
def refused(context: click.Context) -> None:
    """List edits that were not allowed, or not sent in time; make them again, hand them to somebody who may, or drop
    them."""
    if context.invoked_subcommand is None:
        _list(invocation(context))


@refused.command("list")
@click.pass_obj
def list_refused(call: Invocation) -> None:
    """List them: what was written, by whom, and why it was not allowed."""
    _list(call)


@refused.command("export")
@click.argument("numbers", nargs=-1, type=int, metavar="[NUMBER]...")
@click.pass_obj
def export(call: Invocation, numbers: Sequence[int]) -> None:
    """Print them as JSON lines, all or those named, for whoever may make them: there, 'refused apply FILE'."""
    with call.open() as replica:
        for edit in _chosen(replica, numbers):
            call.output.text(json.dumps(edit.told, ensure_ascii=False, sort_keys=True))


@refused.command("drop")
@click.argument("numbers", nargs=-1, type=int, metavar="[NUMBER]...")
@click.option("--all", "everything", is_flag=True, help="All that are kept.")
@click.pass_obj
def drop_refused(call: Invocation, numbers: Sequence[int], everything: bool) -> None:
    """Forget them for good."""
    if bool(numbers) == everything:
        raise UsageError(
            "which of them is not said", "Name their numbers, as 'crdt-sync refused list' has them, or --all."
        )
    with call.open() as replica:
        replica.alone("dropping refused edits")
        chosen = [edit.number for edit in _chosen(replica, numbers)]
        drop(replica, chosen)
        told = f"Dropped {len(chosen)}."
        if everything:
            unlisted, gone = _unlisted(replica), lost(replica.store)
            meta = {**forget_unsent(replica.store, unlisted), **(forget_lost() if gone else {})}
            replica.store.commit([Batch(meta=meta)] if meta else [])
            if unlisted:
                told += f" What was not sent of {many(len(unlisted))} that left is forgotten, too."
        call.output.result({"dropped": chosen}, told)


@refused.command("apply")
@click.argument("what", nargs=-1, metavar="NUMBER... | FILE")
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
@click.pass_obj
def apply(call: Invocation, what: Sequence[str], dry_run: bool) -> None:
    """Make them again, as edits of your own: those of this device by number, or what a colleague exported into FILE."""
    with call.open() as replica:
        numbers = [int(each) for each in what if each.isdecimal()]
        if (len(numbers) != len(what) and len(what) > 1) or not what:
            raise UsageError(
                "which of them is not said", "Name their numbers, or one file that 'crdt-sync refused export' wrote."
            )
        edits = _chosen(replica, numbers) if numbers else _read(what[0])
        made = make_again(replica, edits, dry_run=dry_run)
        done = [each.edit.number for each in made if not each.why]
        if numbers and done and not dry_run:
            drop(replica, done)
    for each in made:
        if call.output.as_json:
            call.output.emit({**each.edit.told, "before": each.before, "why": each.why, "dry_run": dry_run})
    if not call.output.as_json:
        rows = [
            (each.edit.record, each.edit.field, _cut(each.before), _cut(each.edit.value), each.edit.author, each.why)
            for each in made
        ]
        call.output.show(table(("Record", "Field", "Now", "Then", "By", "Not made, as"), rows, wrap=True))
        left = len(made) - len(done)
        told = f"{len(done)} would be made" if dry_run else f"{len(done)} made"
        call.output.text(f"{told}{f', {left} not' if left else ''}.")
    if len(done) < len(made):
        raise click.exceptions.Exit(_SOME_NOT_MADE)


def _read(name: str) -> list[RefusedEdit]:
    """The edits in a file. Raises `InvalidTable`."""
    try:
        with sys.stdin.buffer if name == "-" else Path(name).expanduser().open("rb") as file:
            content = file.read(REFUSED_EDITS_BYTES_MAX + 1)
        if len(content) > REFUSED_EDITS_BYTES_MAX:
            raise InvalidTable(f"{name} is larger than what 'refused export' writes", "Export fewer edits at once.")
        rows = [json.loads(line) for line in content.decode().split("\n") if line.strip()]
    except OSError as error:
        raise InvalidTable(f"{name} cannot be read: {error.strerror}", "Name a file that is there.") from None
    except (ValueError, RecursionError):
        raise InvalidTable(f"{name} has no JSON lines", "Give what 'crdt-sync refused export' wrote.") from None
    return parsed(rows)


def tell(output: Output, replica: Replica) -> None:
    """Say that there are some, if there are."""
    kept = refused_edits(replica.store)
    listed = sum(1 for edit in kept if edit.unsent)
    for count, why in (
        (len(kept) - listed, "not allowed, and kept aside"),
        (listed, "not sent before their records left this device, and kept aside"),
    ):
        if count:
            what = "1 edit was" if count == 1 else f"{count} edits were"
            output.note(f"{what} {why}: crdt-sync refused list")
    back = [str(e.number) for e in kept if e.unsent and replica.store.record_head(e.record) is not None]
    if back:
        output.note(f"Records of some are here again: crdt-sync refused apply {' '.join(back[:_NUMBERS_SHOWN])}")
    if unlisted := len(_unlisted(replica)):
        what = "1 record that" if unlisted == 1 else f"{unlisted} records that"
        output.note(f"Edits of {what} left this device are kept aside, and cannot be listed by field: crdt-sync status")
    if gone := lost(replica.store):
        output.note(
            f"What was not sent of {many(gone)} that left this device is lost: no more than {UNSENT_RECORDS_MAX:,} "
            "are kept aside. 'crdt-sync refused drop --all' makes room, and says this no more."
        )


def _unlisted(replica: Replica) -> list[Unsent]:
    """What is kept of records that left, of which no field is listed."""
    listed = {(edit.record, edit.unsent) for edit in refused_edits(replica.store)}
    return [each for each in known(replica.store) if (whole_record(each.record), each.edit) not in listed]


def _chosen(replica: Replica, numbers: Sequence[int]) -> list[RefusedEdit]:
    kept = refused_edits(replica.store)
    known = {edit.number: edit for edit in kept}
    for number in numbers:
        if number not in known:
            raise UsageError(f"no refused edit has the number {number}", "See 'crdt-sync refused list'.")
    return [known[number] for number in dict.fromkeys(numbers)] if numbers else kept


def _list(call: Invocation) -> None:
    with call.open() as replica:
        kept, unlisted = refused_edits(replica.store), _unlisted(replica)
    if unlisted and not call.output.as_json:
        call.output.note(f"Of {many(len(unlisted))} what is kept aside cannot be listed by field: crdt-sync status")
    if call.output.as_json:
        for edit in kept:
            call.output.emit(edit.told)
        return
    if not kept:
        call.output.text("No edit is listed." if unlisted else "No edit is kept aside.")
        return
    rows = [
        (str(edit.number), edit.record, edit.field, _cut(edit.value), edit.author, local_time(edit.at), edit.reason)
        for edit in kept
    ]
    call.output.show(table(("No.", "Record", "Field", "Value", "By", "Put aside", "Why"), rows, wrap=True))


def _cut(value: object) -> str:
    text = shown(value)
    return text if len(text) <= _LENGTH_MAX else f"{text[:_LENGTH_MAX]}…"
