"""The command `status`: what partners have, lack and refuse, in counts or record by record."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.filesize import decimal
from rich.text import Text

from crdt_sync.cli import partners
from crdt_sync.cli.invocation import Invocation, invocation
from crdt_sync.cli.output import Output, table
from crdt_sync.cli.targets import existing, short
from crdt_sync.cli.values import local_time, title, utc_time
from crdt_sync.replica import PartnerStatus, Replica, Status
from crdt_sync.replica.status import why

_PAGE = 1000
_COUNTED_RECORDS_MAX = 10_000  # beyond them, conflicts are not counted: that reads every view


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
    """Show what is to be sent and fetched, per partner; or where one record is stored, pending or refused."""
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
    if output.as_json:
        output.emit({"record": record, **asdict(standing)})
        return
    lines = []
    if standing.stored_at:
        lines.append(f"{record} is stored at {', '.join(standing.stored_at)}")
    lines += [f"{record} is pending at {url}: {reason}" for url, reason in standing.pending_at.items()]
    lines += [f"{record} was refused at {url}: {reason}" for url, reason in standing.refused_at.items()]
    lines += [
        f"{record}: whether {url} has it is not known; the next sync compares everything" for url in standing.unknown_at
    ]
    output.text("\n".join(lines) or f"{record} is on this device only; it has not synced with a relay yet")


def _status(call: Invocation, replica: Replica) -> None:
    standing = replica.status()
    conflicts = _conflicts(replica, standing.records)
    kept = partners.load(call.store)
    if call.output.as_json:
        data = {"name": standing.name, "store": str(call.store), "replica": replica.id.hex()}
        counts = {"records": standing.records, "conflicts": conflicts, "relay": kept.url if kept else None}
        seen = [_partner(standing, partner) for partner in standing.partners]
        met = [{**asdict(partner), "as_of": utc_time(partner.as_of)} for partner in standing.carried]
        found = {"partners": seen, "by_bundle": met, "unreadable": standing.unreadable}
        call.output.emit({**data, **counts, **found})
        return
    opposed = "" if conflicts is None else f", {conflicts} with open conflicts"
    count = "1 record" if standing.records == 1 else f"{standing.records} records"
    call.output.text(f"{standing.name}: {count}{opposed}, in {call.store}")
    if standing.partners:
        columns = ("Partner", "In sync", "To send", "To fetch", "Refused", "As of")
        call.output.show(table(columns, [_row(standing, partner) for partner in standing.partners]))
        for partner in standing.partners:
            _tell_oldest(call.output, standing, partner)
    if standing.carried:
        rows = [
            (partner.name, _at_most(partner.to_send, partner.to_send_bytes), local_time(partner.as_of))
            for partner in standing.carried
        ]
        call.output.show(table(("By bundle", "Next bundle", "As of"), rows))
    if kept is not None and not any(partner.url == kept.url for partner in standing.partners):
        call.output.text(f"Nothing has been synced with {kept.url} yet; crdt-sync sync will use it")
    elif not (standing.partners or standing.carried):
        call.output.text("Nothing has been synced yet; choose a relay with crdt-sync relay URL --token TOKEN")
    if standing.unreadable:
        reasons = [(short(record), reason) for record, reason in sorted(standing.unreadable.items())]
        call.output.text("Updates of these records could not be read here; the relay and its other devices have them:")
        call.output.show(table(("Record", "Reason"), reasons, wrap=True))


def _conflicts(replica: Replica, records: int) -> int | None:
    """How many records have open conflicts; None where looking for them would take long."""
    if records > _COUNTED_RECORDS_MAX:
        return None
    return sum(1 for view in replica.list(deleted=True) if view.conflicts)


def _partner(standing: Status, partner: PartnerStatus) -> dict[str, object]:
    waiting = standing.backlogs[partner.replica]
    oldest = waiting.oldest
    return {
        **asdict(partner),
        "last_seen": utc_time(partner.last_seen),
        "to_send_bytes": waiting.bytes,
        "to_send_bytes_exact": waiting.sized == partner.pending,
        "oldest": None if oldest is None else {**asdict(oldest), "since": utc_time(oldest.since)},
    }


def _row(standing: Status, partner: PartnerStatus) -> Sequence[str | Text]:
    waiting = standing.backlogs[partner.replica]
    least = "" if waiting.sized == partner.pending else "at least "
    sent = f"{partner.pending} ({least}{decimal(waiting.bytes)})" if partner.pending else "0"
    done = "unknown" if partner.percent is None else f"{partner.percent} %"
    return (
        partner.url,
        Text(done, style="green" if partner.percent == 100 else ""),
        sent,
        _fetched(partner),
        Text(str(partner.refused), style="red" if partner.refused else ""),
        local_time(partner.last_seen),
    )


def _fetched(partner: PartnerStatus) -> str:
    if partner.to_fetch is None:
        return "unknown: all is compared"
    return _at_most(partner.to_fetch, partner.to_fetch_bytes)


def _at_most(records: int, size: int | None) -> str:
    if not records:
        return "0"
    return f"at most {records}" if size is None else f"at most {records} (about {decimal(size)})"


def _tell_oldest(output: Output, standing: Status, partner: PartnerStatus) -> None:
    oldest = standing.backlogs[partner.replica].oldest
    if oldest is not None:
        since = f" since {local_time(oldest.since)}" if oldest.since else ""
        output.text(f"Waiting longest for {partner.url}: {short(oldest.record)}{since}: {oldest.reason}")


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
                yield entry.record, partner.url, "pending" if entry.refusal is None else "refused", why(entry)
            after = page[-1].record
