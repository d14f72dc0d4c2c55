"""Commands for bundles, files that carry records by USB stick or mail: `bundle create`, `apply`, `inspect`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from crdt_sync.bundles import apply_bundle, create_bundle, inspect_bundle
from crdt_sync.cli import partners
from crdt_sync.cli.commands import Commands
from crdt_sync.cli.invocation import Invocation
from crdt_sync.cli.missing import BRING
from crdt_sync.cli.options import PATH, token_options
from crdt_sync.cli.output import Output, table
from crdt_sync.cli.schemaless import tell_schemaless
from crdt_sync.cli.values import local_time, many, utc_time
from crdt_sync.errors import UpdateRefused, UsageError
from crdt_sync.exchange.bundle import Applied, Header, Inspection, list_records
from crdt_sync.replica.opening import MEMBER_FILE
from crdt_sync.replica.reading import REPAIR_HINT
from crdt_sync.verdicts import VerdictCode

if TYPE_CHECKING:
    from crdt_sync.membership.member import Membership

SOME_LEFT_OUT = 7
_LEFT_OUT_SHOWN = 20
_WHAT_TO_DO = {
    "gap": "apply the bundle before this one, or sync, then apply this one again",
    "clock_ahead": "set the clock of the device that made the bundle; apply the bundle again when that time has come",
    "retry": "apply the bundle again",
    "forbidden": BRING,
}
_REFUSED = "it was refused for good and is not taken up; tell whoever sent the bundle"
_OBSTACLES = {
    "waiting": "Some of it was left out, so that the next bundle has to begin where this one began.",
    "other_partner": "It was made for another device, so something may be missing; ask for one with everything.",
    "earlier_life": "It was made for this device before its store was restored; send a bundle back, or ask for one "
    "with everything.",
    "earlier_bundle": "It goes on where an earlier bundle ended that was not applied here: apply that one, then this "
    "one again, or ask for one with everything.",
}

file_argument = click.argument("file", type=PATH, help="The bundle.")
plain_option = click.option("--plain", is_flag=True, help="Without protection: anybody may read or make it.")


@click.group("bundle", cls=Commands)
def bundles() -> None:
    """Carry records to another device in a file, by USB stick or mail."""


@bundles.command("create")
@file_argument
@click.option("--for", "partner", metavar="PARTNER", help="Only what this one lacks: its name, replica id or address.")
@click.option("--to", metavar="WHOM", help="Sealed to user:NAME, role:NAME or device:ID, in a space with people.")
@token_options
@plain_option
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.pass_obj
def create(
    call: Invocation,
    file: Path,
    partner: str | None,
    to: str | None,
    token: str | None,
    plain: bool,
    force: bool,
) -> None:
    """Write a bundle: of everything, of what a partner is not known to have, or of what somebody may hold."""
    if to is not None and (plain or token is not None):
        raise UsageError("what is sealed to somebody needs no token", "Leave out the token, --plain, or --to.")
    with call.open() as replica:
        secret = None if to is not None else _token(call, token)
        if plain and token is None:
            secret = None
        elif plain:
            raise UsageError("a token for a bundle without protection", "Leave out the token, or --plain.")
        with _bar(call.output, f"Writing {file.name}") as moved:
            made = create_bundle(
                replica,
                file.expanduser(),
                partner=partner,
                to=to,
                token=secret,
                force=force,
                progress=lambda done, total: moved("", done, total),
            )
    sealed = made.recipients
    for_whom = f"for {partner}" if partner else "for anybody" if sealed is None else f"for {sealed.to}"
    data = {"file": str(file), "bytes": made.size, "records": made.end.updates, "reserved": made.reserved}
    data |= {"left_out": dict(made.left_out)}
    if sealed is not None:
        data |= {"to": sealed.to, "devices": len(sealed.devices), "withheld": made.withheld}
        protected = f"sealed to {_devices(len(sealed.devices))}"
    else:
        protected = "protected by the token" if secret else "not protected"
    aside = f", with {made.reserved} on how collections are defined and what was imported," if made.reserved else ""
    call.output.result(
        {**data, **_told(made.header)},
        f"{many(made.end.updates)}{aside} in {file}, {for_whom}, {made.size} bytes, {protected}.",
    )
    if sealed is not None and made.withheld:
        call.output.note(
            f"Not in it: {many(made.withheld)}, as not all of {sealed.to} may hold them, or this device's user may not "
            "bundle them."
        )
    for record, what in made.left_out.items():
        told = f"{record} is damaged here and not in the bundle: {what}"
        call.output.warning({"warning": "damaged", "record": record, "message": told, "hint": REPAIR_HINT}, told)
    if made.through:
        call.output.note(
            f"It is known through {made.through} only: what that one has of this device is taken to have come by way "
            "of it. Should that not be so, applying the bundle says so; then make one without --for.",
            "yellow",
        )
    call.output.note(f"Next, on the other device: crdt-sync bundle apply {file.name}")
    if secret is None and not plain and sealed is None:
        call.output.note("This device has no token, so anybody who has the file can read it.", "yellow")
    if made.left_out:
        call.output.note(REPAIR_HINT)
        raise click.exceptions.Exit(SOME_LEFT_OUT)


@bundles.command("apply")
@file_argument
@token_options
@click.option("--plain", is_flag=True, help="Take it although it is not protected.")
@click.option("--other-space", is_flag=True, help="Take it although it is of another space.")
@click.pass_obj
def apply(call: Invocation, file: Path, token: str | None, plain: bool, other_space: bool) -> None:
    """Take up what a bundle holds. Safe to run again, also when it was interrupted."""
    with call.open() as replica:
        secret = _token(call, token)
        with _bar(call.output, file.name) as moved:
            done = apply_bundle(
                replica, file.expanduser(), token=secret, plain=plain, other_space=other_space, progress=moved
            )
        _tell_applied(call.output, file, done)
        tell_schemaless(call.output, replica)
    if done.refused:
        raise UpdateRefused("refused", f"{many(done.refused)} of {file.name} refused: see above")
    if done.obstacle is not None:
        raise click.exceptions.Exit(SOME_LEFT_OUT)


@bundles.command("inspect")
@file_argument
@token_options
@click.option("--records", is_flag=True, help="List the records that it holds.")
@click.pass_obj
def inspect(call: Invocation, file: Path, token: str | None, records: bool) -> None:
    """Check a bundle, and show who made it, when, and of what. Changes nothing and needs no store."""
    secret, member = _token(call, token), _member(call)
    path = file.expanduser()
    with _bar(call.output, f"Checking {file.name}") as moved:
        found = inspect_bundle(path, token=secret, member=member, progress=moved)
    if not records:
        _show(call.output, file, found)
        return
    rows = []
    for record, size in list_records(path, token=secret, member=member):
        if call.output.as_json:
            call.output.emit({"record": record, "bytes": size})
        else:
            rows.append((record, str(size)))
    if not call.output.as_json:
        call.output.show(table(("Record", "Bytes"), rows))


def _member(call: Invocation) -> "Membership | None":
    """What this device is in a space with people; None where it is in none."""
    if not (call.store / MEMBER_FILE).exists():
        return None
    from crdt_sync.membership import folder  # noqa: PLC0415 - most devices are in no such space

    return folder.load(call.store)


def _devices(count: int) -> str:
    return "1 device" if count == 1 else f"{count} devices"


def _token(call: Invocation, given: str | None) -> str | None:
    """The token given, else the one that is kept; None where there is none."""
    return (partners.token(call.store) if given is None else given) or None


def _tell_applied(output: Output, file: Path, done: Applied) -> None:
    for number, entry in enumerate(done.left_out):
        advice = _WHAT_TO_DO.get(entry.code, _REFUSED)
        if output.as_json or number < _LEFT_OUT_SHOWN:
            data = {"warning": entry.code, "record": entry.record, "message": entry.reason, "hint": advice}
            more = "" if advice is BRING else f"; {advice}."
            output.warning(data, f"{entry.record} ({entry.code}): {entry.reason}{more}")
    rest = done.refused + done.waiting - min(len(done.left_out), _LEFT_OUT_SHOWN)
    if rest and not output.as_json:
        output.note(f"and {rest} more.", "yellow")
    if not output.as_json and any(entry.code == VerdictCode.FORBIDDEN for entry in done.left_out):
        output.note(BRING, "yellow")
    parts = [
        f"{done.received} new",
        f"{done.known} here already",
        *([f"{done.waiting} left out"] if done.waiting else []),
        *([f"{done.refused} refused"] if done.refused else []),
    ]
    resumed = " It went on where it had stopped." if done.resumed else ""
    nothing = "Nothing new. " if not done.received and not done.waiting and not done.refused else ""
    data = {key: value for key, value in asdict(done).items() if key not in {"header", "left_out"}}
    output.result(
        {"file": str(file), **_told(done.header), **data},
        f"{nothing}{many(done.updates)} from {done.header.name}: {', '.join(parts)}.{resumed}",
    )
    if done.obstacle is not None:
        output.note(_OBSTACLES[done.obstacle], "yellow")


def _show(output: Output, file: Path, found: Inspection) -> None:
    header, end, envelope = found.header, found.end, found.envelope
    if output.as_json:
        known = [
            {"replica": replica.hex(), "epoch": epoch.hex(), "cursor": cursor}
            for replica, epoch, cursor in header.known
        ]
        data = {"file": str(file), "bytes": found.size, "records": end.updates, "unpacked": end.size}
        to = {} if envelope is None else {"to": envelope.to, "devices": len(envelope.rows)}
        output.emit({**data, **_told(header), **to, "known": known, "opened": found.opened})
        return
    whom = f"replica {header.partner.replica.hex()[:12]}" if header.partner else "anybody"
    what = f"what changed after its change {header.base}" if header.base else "everything it holds"
    protected = "by a token" if header.protection else "no"
    if envelope is not None:
        whom, what = envelope.to, "what they and its maker may hold"
        protected = f"sealed to {_devices(len(envelope.rows))}, and signed; 'bundle apply' checks by whom"
    if header.partner:
        what += ", but for what that one is known to have"
    checked = (
        "everything in it was checked" if found.opened else "checksums match; the token is needed to check the rest"
    )
    rows = [
        ("Made by", f"{header.name}, replica {header.source.hex()[:12]}"),
        ("Made at", local_time(header.created)),
        ("For", whom),
        ("Holds", f"{many(end.updates)}: {what}, up to change {header.head}"),
        ("Size", f"{found.size} bytes, {end.size} unpacked"),
        ("Protected", protected),
        ("Space", header.space.hex() if header.space else "not named: applying asks nothing about it"),
        ("State", f"sound: {checked}"),
    ]
    output.show(table(("", file.name), rows, wrap=True))


def _told(header: Header) -> dict[str, object]:
    return {
        "bundle": header.bundle.hex(),
        "from": header.name,
        "replica": header.source.hex(),
        "created": utc_time(header.created),
        "for": header.partner.replica.hex() if header.partner else None,
        "base": header.base,
        "head": header.head,
        "protected": header.protection is not None,
        "space": header.space.hex() if header.space else None,
    }


@contextmanager
def _bar(output: Output, what: str) -> Iterator[Callable[[str, int, int], object]]:
    if not output.animated:
        yield lambda *_: None
        return
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
        console=output.errors,
        transient=True,
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda step, done, total: bar.update(
            task, description=f"{step.title()} {what}" if step else what, completed=done, total=max(total, done) or None
        )
