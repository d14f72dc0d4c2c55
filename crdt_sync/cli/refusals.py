"""The command `refused`: edits that a policy did not allow, kept until somebody makes them again, or drops them."""

import json
from collections.abc import Sequence

import click

from crdt_sync.cli.commands import Commands
from crdt_sync.cli.invocation import Invocation, invocation
from crdt_sync.cli.output import Output, table
from crdt_sync.cli.values import local_time, shown
from crdt_sync.errors import UsageError
from crdt_sync.replica import Replica
from crdt_sync.replica.refused import RefusedEdit, drop, refused_edits

_LENGTH_MAX = 60  # characters of a value that people are shown


@click.group("refused", cls=Commands, invoke_without_command=True)
@click.pass_context
def refused(context: click.Context) -> None:
    """List edits that were not allowed, hand them to somebody who may, or drop them."""
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
    """Print them as JSON lines, all or those named, for whoever may make them."""
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
        call.output.result({"dropped": chosen}, f"Dropped {len(chosen)}.")


def tell(output: Output, replica: Replica) -> None:
    """Say that there are some, if there are."""
    count = len(refused_edits(replica.store))
    if count:
        what = "1 edit was" if count == 1 else f"{count} edits were"
        output.note(f"{what} not allowed, and kept aside: crdt-sync refused list")


def _chosen(replica: Replica, numbers: Sequence[int]) -> list[RefusedEdit]:
    kept = refused_edits(replica.store)
    known = {edit.number: edit for edit in kept}
    for number in numbers:
        if number not in known:
            raise UsageError(f"no refused edit has the number {number}", "See 'crdt-sync refused list'.")
    return [known[number] for number in dict.fromkeys(numbers)] if numbers else kept


def _list(call: Invocation) -> None:
    with call.open() as replica:
        kept = refused_edits(replica.store)
    if call.output.as_json:
        for edit in kept:
            call.output.emit(edit.told)
        return
    if not kept:
        call.output.text("No edit is kept that was not allowed.")
        return
    rows = [
        (str(edit.number), edit.record, edit.field, _cut(edit.value), edit.author, local_time(edit.at), edit.reason)
        for edit in kept
    ]
    call.output.show(table(("No.", "Record", "Field", "Value", "By", "Refused", "Why"), rows, wrap=True))


def _cut(value: object) -> str:
    text = shown(value)
    return text if len(text) <= _LENGTH_MAX else f"{text[:_LENGTH_MAX]}…"
