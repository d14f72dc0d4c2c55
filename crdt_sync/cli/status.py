"""The command `status`: what partners have, lack and refuse, in counts or record by record."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from crdt_sync.cli import partners
from crdt_sync.cli.invocation import Invocation, invocation
from crdt_sync.cli.output import Output, table
from crdt_sync.cli.targets import existing, short
from crdt_sync.cli.values import local_time, title, utc_time
from crdt_sync.replica import Replica

_PAGE = 1000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(
    context: typer.Context,
    record: Annotated[str | None, typer.Argument(metavar="RECORD", help="Where this record stands.")] = None,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="List the records that a relay has not stored, and why.")
    ] = False,
) -> None:
    """Show what is stored on the relay, pending, or refused: in counts, or of one record."""
    call = invocation(context)
    with call.open() as replica:
        if record is not None:
            _record_status(call.output, replica, existing(replica, record))
        elif waiting:
            _waiting(call.output, replica)
        else:
            _status(call, replica)


def _record_status(output: Output, replica: Replica, record: str) -> None:
    standing = replica.record_status(record)
    data = {"record": record, "state": standing.state, "stored_at": list(standing.stored_at), "reason": standing.reason}
    text = {
        "stored": f"{record} is stored at {', '.join(standing.stored_at)}",
        "pending": f"{record} is pending: it is safe here and goes out with the next sync",
        "refused": f"{record} was refused: {standing.reason}",
    }.get(standing.state, f"{record} is on this device only; it has not synced with a relay yet")
    output.result(data, text)


def _status(call: Invocation, replica: Replica) -> None:
    standing = replica.status()
    conflicts = sum(1 for view in replica.list(deleted=True) if view.conflicts)
    kept = partners.load(call.store)
    if call.output.as_json:
        seen = [{**asdict(partner), "last_seen": utc_time(partner.last_seen)} for partner in standing.partners]
        data = {"name": standing.name, "store": str(call.store), "replica": replica.id.hex()}
        counts = {"records": standing.records, "conflicts": conflicts, "relay": kept.url if kept else None}
        call.output.emit({**data, **counts, "partners": seen, "unreadable": standing.unreadable})
        return
    call.output.text(f"{standing.name}: {standing.records} records, {conflicts} with open conflicts, in {call.store}")
    if standing.partners:
        rows = [
            (
                partner.url,
                str(partner.pending),
                Text(str(partner.refused), style="red" if partner.refused else ""),
                local_time(partner.last_seen),
            )
            for partner in standing.partners
        ]
        call.output.show(table(("Relay", "Pending", "Refused", "Last exchange"), rows))
    else:
        where = (
            f"crdt-sync sync will use {kept.url}" if kept else "choose a relay with crdt-sync relay URL --token TOKEN"
        )
        call.output.text(f"Nothing has been synced yet; {where}")

    if standing.unreadable:
        reasons = [(short(record), reason) for record, reason in sorted(standing.unreadable.items())]
        call.output.text("Updates of these records could not be read here; the relay and its other devices have them:")
        call.output.show(table(("Record", "Reason"), reasons, wrap=True))


def _waiting(output: Output, replica: Replica) -> None:
    rows: list[tuple[str, str, str, str, str]] = []
    for record, url, state, reason in _entries(replica):
        if output.as_json:
            output.emit({"record": record, "relay": url, "state": state, "reason": reason})
        else:
            rows.append((short(record), title(replica.get(record)), state, reason, url))
    if output.as_json:
        return
    if rows:
        output.show(table(("Record", "Name", "State", "Reason", "Relay"), rows, wrap=True))
    else:
        output.text("Nothing waits: every relay that this device knows has stored everything.")


def _entries(replica: Replica) -> Iterator[tuple[str, str, str, str]]:
    """What partners lack as (record, url, state, reason)."""
    for partner in replica.partners():
        after = ""
        while page := replica.store.outbox(bytes.fromhex(partner.replica), after, _PAGE):
            for entry in page:
                refused = entry.refusal is not None
                reason = f"{entry.refusal}: {entry.reason}" if refused else ""
                yield entry.record, partner.url, "refused" if refused else "pending", reason
            after = page[-1].record
