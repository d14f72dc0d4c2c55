"""The command `sync`."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import click

from crdt_sync.cli import damaged, devices, last_failure, missing, partners, refusals
from crdt_sync.cli.devices import Device
from crdt_sync.cli.invocation import Invocation
from crdt_sync.cli.last_failure import Failure
from crdt_sync.cli.options import AS_KEPT, Way, relay_option, way_options
from crdt_sync.cli.output import Output
from crdt_sync.cli.policy_remarks import tell_no_role
from crdt_sync.cli.progress import spinner
from crdt_sync.cli.renewed_token import Renewal
from crdt_sync.cli.schemaless import tell_schemaless
from crdt_sync.cli.staying import stay
from crdt_sync.cli.watching import Watched
from crdt_sync.errors import CrdtSyncError, ForeignRelay, PutOff, RemoteError, Unreachable, UpdateRefused
from crdt_sync.limits import STAMP_AHEAD_US_MAX
from crdt_sync.replica import PartnerStatus, Replica
from crdt_sync.replica.opening import MEMBER_FILE
from crdt_sync.runtime import Address, Progress, sync_once
from crdt_sync.runtime.outside import OUTSIDE
from crdt_sync.runtime.worker.process import WorkerUnavailable
from crdt_sync.storage.lmdb.directory import exists

_PAGE = 1000


@click.command("sync")
@click.argument(
    "peers", nargs=-1, metavar="[PEER]...", help="Other devices instead of the relay: HOST[:PORT], a name or an id."
)
@click.option("--nearby", is_flag=True, help="With all devices near that announce themselves.")
@click.option("--watch", "-w", "watching", is_flag=True, help="Stay connected until Ctrl-C.")
@click.option("--insist", is_flag=True, help="Send, though the relay said that it takes nothing yet: see status.")
@relay_option
@way_options
@click.pass_obj
def sync(
    call: Invocation,
    peers: Sequence[str],
    nearby: bool,
    watching: bool,
    insist: bool,
    url: str | None,
    way: Way,
) -> None:
    """Exchange everything with the relay, or directly with other devices: once, or for as long as you like."""
    confirm_wiped(call.store)
    if not peers and not nearby:
        meet_again(call.store, url, way)
    with call.open() as replica:
        if peers or nearby:
            found = _devices(call, replica, peers, way.token, nearby)
            chosen = [replace(device, address=devices.reached(device.address, way)) for device in found]
        else:
            address = partners.chosen(call.store, url, way)
            assert address is not None
            chosen = [devices.Device(address.url, replace(address, insist=insist))]
        if watching:
            addresses = [device.address for device in chosen]
            watch(call, replica, addresses, "crdt-sync sync --watch", token_file=way.token_file)
            return
        failures = [failure for device in chosen if (failure := _exchange(call, replica, device, chosen)) is not None]
        if failures:
            raise failures[0]
        damaged.tell_synced(call.output, replica)


def confirm_wiped(store: Path) -> None:
    """Where this device was told to destroy what it holds: see that it has, and tell the relay. Raises
    `IdentityRefused` then.
    """
    if not (store / MEMBER_FILE).exists():
        return
    from crdt_sync.membership import folder  # noqa: PLC0415 - most devices are in no space with identities

    member = folder.load(store)
    if member is not None and member.wiping and not exists(store):
        from crdt_sync.runtime.wiping import wiped  # noqa: PLC0415

        relay = Address(member.facts.address, member=member)
        raise asyncio.run(wiped(store, relay, OUTSIDE.open_channel))


def meet_again(store: Path, url: str | None = None, way: Way = AS_KEPT) -> None:
    """Where this device was without contact for too long: have its relay let it in. Raises as `silence.regain`."""
    if (store / MEMBER_FILE).exists():
        from crdt_sync.cli.silence import regain  # noqa: PLC0415 - most devices are in no space with identities

        regain(store, url, way)


def _devices(call: Invocation, replica: Replica, given: Sequence[str], token: str | None, nearby: bool) -> list[Device]:
    secret = devices.space_token(call, token, given)
    chosen = [devices.resolved(replica, peer, secret) for peer in given]
    if nearby:
        found = devices.look_around(replica, secret)
        if not found:
            raise Unreachable("no device of this space is near", "On the other device run: crdt-sync listen --announce")
        found = devices.proving_it(replica, found, secret)
        if not found:
            raise Unreachable(
                "devices near say that they are of this space, and none of them proves it",
                "Try again, or give the address of one: crdt-sync sync HOST:PORT",
            )
        chosen += [devices.near(device, secret) for device in found]
    return chosen


def watch(
    call: Invocation,
    replica: Replica,
    addresses: list[Address],
    role: str,
    beside_it: Sequence[Callable[[], Coroutine[object, object, None]]] = (),
    token_file: Path | None = None,
) -> None:
    """Stay in sync until it is ended; other programs see `role`. `beside_it` runs meanwhile. `token_file` is where the
    token was read from, if it was.
    """
    alone = len(addresses) == 1
    lines = [
        Watched(address, beside_others=not alone, store=call.store, renewal=Renewal(call.store, token_file))
        for address in addresses
    ]

    def work(replica: Replica) -> Sequence[Coroutine[object, object, None]]:
        return [*(line.stay(replica, alone=alone) for line in lines), *(each() for each in beside_it)]

    stay(replica, lines, work, call.output, role)
    for line in lines:
        line.state, line.problem = "ended", ""
        counts = f"{line.received} received, {line.pushed} sent, {line.waiting}"
        whom = "" if alone else f" with {line.url}"
        call.output.result(line.data(), f"Ended{whom}: {counts}.")


def _exchange(call: Invocation, replica: Replica, device: Device, chosen: list[Device]) -> CrdtSyncError | None:
    """Exchange everything with one partner and tell how it went; beside others, a failure is told and returned."""
    address = device.address
    try:
        progress = _talk(call.output, replica, address)
    except (RemoteError, WorkerUnavailable) as error:
        last_failure.note(call.store, Failure(address.url, replica.wall_clock(), error.message, error.code))
        if len(chosen) > 1:
            call.output.error(error)
            return error
        raise
    last_failure.forget(call.store, address.url)
    devices.note_name(replica, device)
    standing = partners.standing(replica, address.url)
    conflicts = sum(1 for view in replica.list(deleted=True) if view.conflicts)
    _tell_sync(call.output, address, progress, standing, conflicts)
    refusals.tell(call.output, replica)
    tell_schemaless(call.output, replica)
    if not address.direct:
        tell_clock(call.output, replica.clock.offset)
    if (member := replica.membership) is not None:
        tell_no_role(call.output, member.in_force(), member.user)
    if standing is not None and standing.put_off is not None and (standing.pending or standing.refused):
        return PutOff(partners.put_off(standing, standing.put_off), partners.ASK_AGAIN)
    if standing is not None and standing.refused:
        return UpdateRefused("refused", _refused(standing.refused))
    left = missing.error_of(replica, standing)
    # What is damaged here is mended first: `damaged.tell_synced` complains of it.
    return None if left is not None and missing.damaged_here(replica, left.records) else left


def _talk(output: Output, replica: Replica, address: Address) -> Progress:
    try:
        with spinner(output, f"Syncing with {address.url}") as moved:
            return asyncio.run(sync_once(replica, address, moved))
    except ForeignRelay as foreign:
        if not _is_meant(output, foreign):
            raise
        return _talk(output, replica, replace(address, adopt=True))


def _is_meant(output: Output, foreign: ForeignRelay) -> bool:
    """Ask whoever sits at a terminal whether a relay that is new here is to have everything."""
    if not output.can_ask:
        return False
    output.note(f"Careful: {foreign.message}.", "yellow")
    output.note("Give it all of them? Type yes, or anything else to stop.")
    return sys.stdin.readline().strip().lower() == "yes"


def _refused(count: int) -> str:
    what = "1 record was" if count == 1 else f"{count} records were"
    return f"{what} refused there; 'crdt-sync status --waiting' says why"


def _tell_sync(
    output: Output, address: Address, progress: Progress, standing: PartnerStatus | None, conflicts: int
) -> None:
    pending = standing.pending if standing else 0
    data = {
        "relay": address.url,
        **asdict(progress),
        "pending": pending,
        "refused": standing.refused if standing else 0,
        "put_off": partners.told_hold(standing.put_off) if standing else None,
        "conflicts": conflicts,
    }
    whom = partners.called(standing) if standing else address.url
    counts = f"{progress.received} received, {progress.pushed} sent"
    behind = pending or (standing and (standing.refused or standing.missing))
    left = f", {pending} still pending" if pending else ""
    left += f", {standing.missing} missing here" if standing and standing.missing else ""
    output.result(data, f"{'Synced' if behind else 'In sync'} with {whom}: {counts}{left}.")
    if conflicts:
        many = "1 record has" if conflicts == 1 else f"{conflicts} records have"
        output.note(f"{many} open conflicts: crdt-sync conflicts", "yellow")


def tell_clock(output: Output, offset_us: int) -> None:
    """Say so where this device's clock is far off: edits are corrected, but other programs here are not."""
    if abs(offset_us) < STAMP_AHEAD_US_MAX:
        return
    off = f"{timedelta(seconds=abs(offset_us) // 1_000_000)} {'behind' if offset_us > 0 else 'ahead of'} the relay's"
    message = f"The clock of this device is {off}; edits are stamped with the relay's time. Set the clock."
    output.warning({"warning": "clock_off", "message": message, "offset_us": offset_us}, message)
