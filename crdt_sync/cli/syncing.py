"""The command `sync`."""

import asyncio
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import typer

from crdt_sync.cli import partners
from crdt_sync.cli.invocation import Invocation, invocation
from crdt_sync.cli.options import AuthoritiesOption, RelayOption, TokenFileOption, TokenOption
from crdt_sync.cli.output import Output
from crdt_sync.cli.progress import spinner
from crdt_sync.cli.watching import watch
from crdt_sync.errors import UpdateRefused
from crdt_sync.limits import STAMP_AHEAD_US_MAX
from crdt_sync.replica import PartnerStatus, Replica
from crdt_sync.runtime import Address, Progress, sync_once

_PAGE = 1000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sync")(sync)


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
        with spinner(call.output, f"Syncing with {address.url}") as moved:
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
