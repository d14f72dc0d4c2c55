"""Commands that deal with the relay: `sync`, `status`, `verify`."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import typer
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from crdt_sync.cli import partners
from crdt_sync.cli.invocation import Invocation, invocation
from crdt_sync.cli.options import AuthoritiesOption, RelayOption, TokenFileOption, TokenOption
from crdt_sync.cli.output import Output, table
from crdt_sync.cli.targets import existing, short
from crdt_sync.cli.values import local_time, title, utc_time
from crdt_sync.cli.watching import watch
from crdt_sync.errors import Mismatch, StoreCorrupt, UpdateRefused
from crdt_sync.limits import STAMP_AHEAD_US_MAX
from crdt_sync.replica import PartnerStatus, Replica
from crdt_sync.runtime import Address, Comparison, Progress, compare, sync_once

_PAGE = 1000


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("sync")(sync)
    app.command("status")(status)
    app.command("verify")(verify)


def sync(
    context: typer.Context,
    watching: Annotated[bool, typer.Option("--watch", "-w", help="Stay connected until Ctrl-C.")] = False,
    url: RelayOption = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    authorities: AuthoritiesOption = None,
) -> None:
    """Exchange everything with the relay: once, or for as long as you like."""
    call = invocation(context)
    with call.open() as replica:
        address = _address(call, url, token, token_file, authorities)
        if watching:
            watch(call.store, replica, address, call.output)
            return
        with _spinner(call.output, f"Syncing with {address.url}") as moved:
            progress = asyncio.run(sync_once(replica, address, moved))
        standing = _partner(replica, address.url)
        conflicts = sum(1 for view in replica.list(deleted=True) if view.conflicts)
        clock_offset_us = replica.clock.offset
    _tell_sync(call.output, address, progress, standing, conflicts)
    _tell_clock(call.output, clock_offset_us)
    if standing is not None and standing.refused:
        raise UpdateRefused("refused", _refused(standing.refused))


def _refused(count: int) -> str:
    what = "1 record was" if count == 1 else f"{count} records were"
    return f"{what} refused by the relay; 'crdt-sync status --waiting' says why"


def _address(
    call: Invocation, url: RelayOption, token: TokenOption, token_file: TokenFileOption, authorities: AuthoritiesOption
) -> Address:
    address = partners.chosen(call.store, url, partners.token_from(token, token_file), authorities)
    assert address is not None
    return address


def _partner(replica: Replica, url: str) -> PartnerStatus | None:
    known = [partner for partner in replica.partners() if partner.url == url]
    return max(known, key=lambda partner: partner.last_seen) if known else None


def _tell_sync(
    output: Output, address: Address, progress: Progress, standing: PartnerStatus | None, conflicts: int
) -> None:
    pending = standing.pending if standing else 0
    data = {
        "relay": address.url,
        **asdict(progress),
        "pending": pending,
        "refused": standing.refused if standing else 0,
        "conflicts": conflicts,
    }
    text = f"In sync with {address.url}: {progress.received} received, {progress.pushed} sent."
    output.result(data, text if not pending else f"{text} {pending} still pending.")
    if conflicts:
        many = "1 record has" if conflicts == 1 else f"{conflicts} records have"
        output.note(f"{many} open conflicts: crdt-sync conflicts", "yellow")


def _tell_clock(output: Output, offset_us: int) -> None:
    """Say so where this device's clock is far off: edits are corrected, but other programs here are not."""
    if abs(offset_us) < STAMP_AHEAD_US_MAX:
        return
    off = f"{timedelta(seconds=abs(offset_us) // 1_000_000)} {'behind' if offset_us > 0 else 'ahead of'} the relay's"
    message = f"The clock of this device is {off}; edits are stamped with the relay's time. Set the clock."
    output.warning({"warning": "clock_off", "message": message, "offset_us": offset_us}, message)


@contextmanager
def _spinner(output: Output, what: str) -> Iterator[Callable[[Progress], None] | None]:
    if not output.animated:
        yield None
        return
    text = Text(what)
    with Live(Spinner("dots", text), console=output.errors, refresh_per_second=12, transient=True):

        def moved(progress: Progress) -> None:
            text.plain = f"{what}: {progress.received} received, {progress.pushed} sent"

        yield moved


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


def verify(
    context: typer.Context,
    local: Annotated[
        bool, typer.Option("--local", help="Check every stored value here instead; needs no relay.")
    ] = False,
    mend: Annotated[
        bool, typer.Option("--repair", help="Mend damaged values here; the next sync fetches what is missing then.")
    ] = False,
    url: RelayOption = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    authorities: AuthoritiesOption = None,
) -> None:
    """Compare receipts with the relay: how many records, and one digest over all of them."""
    call = invocation(context)
    with call.open() as replica:
        if mend:
            _repair_store(call.output, replica)
            return
        if local:
            _verify_store(call.output, replica)
            return
        address = _address(call, url, token, token_file, authorities)
        with _spinner(call.output, f"Comparing with {address.url}"):
            found = compare(replica, address)
    _tell_comparison(call.output, address, found)
    if not found.equal:
        raise Mismatch(
            f"this device and {address.url} do not hold the same data",
            "Sync and verify again; if it stays so, 'crdt-sync status --waiting' and 'crdt-sync verify --local' "
            "tell what is missing.",
        )


def _tell_comparison(output: Output, address: Address, found: Comparison) -> None:
    ours, theirs = found.ours, found.theirs
    if output.as_json:
        sides = {
            "here": {"records": ours.count, "root": ours.root.hex()},
            "relay": {"records": theirs.count, "root": theirs.root.hex()},
        }
        output.emit({"equal": found.equal, "url": address.url, **sides})
        return
    rows = [("here", str(ours.count), ours.root.hex()), (address.url, str(theirs.count), theirs.root.hex())]
    output.show(table(("", "Records", "Root digest"), rows, wrap=True))
    output.text("Equal: both hold the same data." if found.equal else "Different.", "green" if found.equal else "red")


def _repair_store(output: Output, replica: Replica) -> None:
    mended = replica.repair()
    data = {"findings": mended.findings, "salvaged": mended.salvaged, "lost": mended.lost}
    if not mended.findings:
        output.result(data, "Nothing is damaged.")
        return
    output.result(
        data,
        f"{mended.findings} damaged values. Records taken up from the log: {len(mended.salvaged)}; "
        f"gone from this store: {len(mended.lost)}.\nNow run 'crdt-sync sync': it fetches what the relay has of them.",
    )


def _verify_store(output: Output, replica: Replica) -> None:
    report = replica.store.verify()
    findings = [
        f"{finding.record or finding.key} in {finding.database}: {finding.problem}" for finding in report.findings
    ]
    if findings:
        for finding in findings:
            output.warning({"error": StoreCorrupt.code, "message": finding}, finding)
        raise StoreCorrupt(
            f"{len(findings)} of {report.checked} stored values are damaged",
            "Keep a copy of the directory, run 'crdt-sync verify --repair', then 'crdt-sync sync', which fetches what "
            "is missing.",
        )
    output.result({"checked": report.checked, "damaged": 0}, f"{report.checked} stored values checked, all intact.")
