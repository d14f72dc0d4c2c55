"""The command `verify`: do both hold the same, which records differ, and repair."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Annotated

import typer

from crdt_sync.cli import devices, partners
from crdt_sync.cli.invocation import invocation
from crdt_sync.cli.options import AuthoritiesOption, RelayOption, TokenFileOption, TokenOption
from crdt_sync.cli.output import Output, table
from crdt_sync.cli.progress import spinner
from crdt_sync.cli.targets import shorts
from crdt_sync.errors import EditsLost, Mismatch, StoreCorrupt
from crdt_sync.protocol.messages import Standing
from crdt_sync.replica import Repair, Replica
from crdt_sync.replica.disorder import disordered_records
from crdt_sync.replica.rescue import Loss, said
from crdt_sync.runtime import Address, Audit, Difference, Mended, audit_once, heal_once
from crdt_sync.storage import Store

_SHOWN_MAX = 20  # records in the table; --json has all of them
_KINDS = {
    "here": "only here",
    "there": "only there",
    "state": "other operations",
    "content": "same operations, other content",
    "damaged": "damaged bytes",
}
_STANDINGS = {
    Standing.AGREES: "its log agrees",
    Standing.DISAGREES: "its log contradicts it",
    Standing.INCOMPLETE: "its log is compacted",
    Standing.CHANGING: "it is changing",
    Standing.UNREADABLE: "it is damaged",
    Standing.ABSENT: "not held",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify")(verify)


def verify(
    context: typer.Context,
    peer: Annotated[
        str | None,
        typer.Argument(metavar="[PEER]", help="Another device instead of the relay: HOST[:PORT], a name or an id."),
    ] = None,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep",
            help="Compare the content of every record too, read from both disks; with --local, check its order.",
        ),
    ] = False,
    local: Annotated[bool, typer.Option("--local", help="Check every stored value here; needs no relay.")] = False,
    mend: Annotated[
        bool, typer.Option("--repair", help="Mend what is damaged here, and heal with the other side what differs.")
    ] = False,
    url: RelayOption = None,
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    authorities: AuthoritiesOption = None,
) -> None:
    """Exchange everything with the relay or a device, compare what both hold then, and name the records that differ."""
    call = invocation(context)
    lost: Sequence[Loss] = ()
    with call.open_to_repair() if mend else call.open() as replica:
        given = partners.token_from(token, token_file)
        address = None
        if peer is not None and not local:
            address = devices.resolved(replica, peer, devices.space_token(call, given)).address
        elif not local:
            address = partners.chosen(call.store, url, given, authorities, required=not mend)
        if address is None:
            _repair_store(call.output, replica) if mend else _verify_store(call.output, replica, deep=deep)
            return
        if mend:
            set_aside = set(replica.store.quarantined())
            local_repair = replica.repair()
            if local_repair.findings:
                call.output.note(_mended_here(local_repair), "yellow")
            _tell_losses(call.output, local_repair)
            with spinner(call.output, f"Healing with {address.url}") as moved:
                mended = asyncio.run(heal_once(replica, address, content=deep, on_progress=moved))
            found = mended.after
            settled = replica.settle()
            lost = (*local_repair.losses, *settled.losses)
            if settled.rewritten or settled.losses:
                call.output.note(f"{address.url} did not bring all that was awaited from it.", "yellow")
                _tell_losses(call.output, settled)
                call.output.note("Now run 'crdt-sync sync', which sends what was written again.")
            returned = set_aside - set(replica.store.quarantined())  # which comparing brings, before the audit looks
            brought = sorted(returned | set(mended.healed))
            _tell_repair(call.output, replica.store, address, _both(local_repair, settled), mended, brought)
        else:
            with spinner(call.output, f"Comparing with {address.url}") as moved:
                found = asyncio.run(audit_once(replica, address, content=deep, on_progress=moved))
            _tell_audit(call.output, replica.store, address, found)
    _complain_of(lost)
    if not found.equal:
        raise Mismatch(f"this device and {address.url} do not hold the same data", _hint(found, address, mended=mend))


def _hint(found: Audit, address: Address, *, mended: bool) -> str:
    if not mended:
        return "Heal it with 'crdt-sync verify --repair', with --deep if that was given."
    if any(difference.there.standing is not Standing.AGREES for difference in found.differences):
        there = (
            "on that device, 'crdt-sync verify --repair'"
            if address.direct
            else "by its operator, on the stopped relay, 'crdt-relay verify --repair --set-aside RECORD'"
        )
        return (
            f"What its own log cannot mend is mended there: {there}, and this device brings the record back with its "
            "next sync. 'crdt-sync status --waiting' tells what it refuses."
        )
    return "Others may be writing: repeat it; 'crdt-sync status --waiting' tells what is refused there."


def _tell_audit(output: Output, store: Store, address: Address, found: Audit) -> None:
    if output.as_json:
        output.emit(_as_json(address, found))
        return
    ours, theirs = found.comparison.ours, found.comparison.theirs
    rows = [("here", str(ours.count), ours.root.hex()), (address.url, str(theirs.count), theirs.root.hex())]
    output.show(table(("", "Records", "Root digest"), rows, wrap=True))
    if found.equal:
        deep = ", in every operation and every value" if found.content else ""
        output.text(f"Equal: both hold the same data{deep}.", "green")
        return
    output.text("Different.", "red")
    _show_differences(output, store, found)


def _show_differences(output: Output, store: Store, found: Audit) -> None:
    shown = found.differences[:_SHOWN_MAX]
    names = shorts(store, [difference.record for difference in shown])
    if shown:
        rows = [
            (
                names[difference.record],
                _KINDS[difference.kind],
                _STANDINGS[difference.here.standing],
                _STANDINGS[difference.there.standing],
            )
            for difference in shown
        ]
        output.show(table(("Record", "Difference", "Here", "There"), rows, wrap=True))
    rest = len(found.differences) - len(shown) + found.more
    if rest:
        output.text(f"{rest} more differ; --json names {'most' if found.more else 'all'} of them.")
    if found.changing:
        output.text(f"{len(found.changing)} records are being changed and could not be compared.")


def _as_json(address: Address, found: Audit) -> dict[str, object]:
    ours, theirs = found.comparison.ours, found.comparison.theirs
    return {
        "equal": found.equal,
        "url": address.url,
        "deep": found.content,
        "here": {"records": ours.count, "root": ours.root.hex()},
        "relay": {"records": theirs.count, "root": theirs.root.hex()},
        "differences": _differences(found.differences),
        "changing": list(found.changing),
        "more": found.more,
    }


def _differences(differences: Sequence[Difference]) -> list[dict[str, str]]:
    return [
        {
            "record": difference.record,
            "kind": difference.kind,
            "here": difference.here.standing.name.lower(),
            "relay": difference.there.standing.name.lower(),
        }
        for difference in differences
    ]


def _tell_repair(
    output: Output, store: Store, address: Address, local: Repair, mended: Mended, healed: Sequence[str]
) -> None:
    if output.as_json:
        repair = {**_local(local), "differed": _differences(mended.before.differences)}
        output.emit({**_as_json(address, mended.after), "repair": {**repair, "healed": list(healed)}})
        return
    if mended.before.differences:
        _show_differences(output, store, mended.before)
        output.text(f"Healed: {len(mended.healed)} of {len(mended.before.differences) + mended.before.more}.")
    elif healed:
        output.text(f"Brought back: {len(healed)} records that had been set aside here.")
    elif not local.findings:
        output.text("Nothing had to be mended.")
    output.text("Compared again:")
    _tell_audit(output, store, address, mended.after)


def _both(first: Repair, settled: Repair) -> Repair:
    """A repair, and what was settled of it once a partner was asked."""
    rewritten = {
        record: sorted({*first.rewritten.get(record, ()), *settled.rewritten.get(record, ())})
        for record in sorted({*first.rewritten, *settled.rewritten})
    }
    losses = (*first.losses, *settled.losses)
    return replace(first, rewritten=rewritten, awaited=settled.awaited, shown=settled.shown, losses=losses)


def _local(mended: Repair) -> dict[str, object]:
    return {
        "findings": mended.findings,
        "salvaged": mended.salvaged,
        "lost": mended.lost,
        "rewritten": mended.rewritten,
        "awaited": mended.awaited,
        "shown": mended.shown,
        "losses": [asdict(loss) for loss in mended.losses],
    }


def _mended_here(mended: Repair) -> str:
    return (
        f"{mended.findings} damaged values here, which are set aside. Records rebuilt: {len(mended.salvaged)}; "
        f"not here now: {len(mended.lost)}; things lost: {len(mended.losses)}."
    )


def _tell_losses(output: Output, mended: Repair) -> None:
    """What was written again, what is with partners, and what is lost: the first of each; --json has all."""
    for record, names in itertools.islice(mended.rewritten.items(), _SHOWN_MAX):
        output.note(f"{record}: written again from what was shown: {', '.join(names)}")
    for record, urls in itertools.islice(mended.awaited.items(), _SHOWN_MAX):
        showed = ", ".join(f"{field} showed {said(value)}" for field, value in mended.shown.get(record, {}).items())
        lacking = f" ({showed})" if showed else ""
        output.note(f"{record}: the next sync with {' or '.join(urls)} is to bring the rest{lacking}")
    for loss in mended.losses[:_SHOWN_MAX]:
        where = " ".join(part for part in (loss.record, loss.field) if part)
        output.note(f"Lost: {where}: {loss.detail}", "red")
    if len(mended.losses) > _SHOWN_MAX:
        output.note(f"{len(mended.losses) - _SHOWN_MAX} more things are lost; --json names them.", "red")


def _complain_of(losses: Sequence[Loss]) -> None:
    if losses:
        raise EditsLost(
            f"{len(losses)} things could not be brought back",
            "They are named above, and with --json in 'losses'. What was damaged is kept aside in the store; a copy of "
            "the directory from before, or another device, may have them.",
        )


def _repair_store(output: Output, replica: Replica) -> None:
    mended = replica.repair()
    output.result(_local(mended), _mended_here(mended) if mended.findings else "Nothing is damaged.")
    _tell_losses(output, mended)
    if mended.findings or mended.awaited or mended.rewritten:
        output.note("Now run 'crdt-sync sync': it compares everything, and fetches what others have.")
    if mended.awaited:
        output.note("Then 'crdt-sync verify --repair' once more: it saves, or names, what they turn out not to have.")
    _complain_of(mended.losses)


def _verify_store(output: Output, replica: Replica, *, deep: bool) -> None:
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
    data: dict[str, object] = {"checked": report.checked, "damaged": 0}
    if deep:
        found = dict(disordered_records(replica.store))
        data["disordered"] = found
        for record, roots in found.items():
            what = ", ".join(root[2:] or root for root in roots)
            told = f"{record}: replicas may show {what} in different orders; clear what it says and write it anew"
            output.warning({"error": "disordered", "message": told}, told)
    output.result(data, f"{report.checked} stored values checked, all intact.")
