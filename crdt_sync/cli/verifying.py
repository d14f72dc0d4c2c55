"""The command `verify`: do both hold the same, which records differ, and repair."""

import asyncio
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import click

from crdt_sync.cli import aside, devices, missing, partners, repairing
from crdt_sync.cli.invocation import Invocation
from crdt_sync.cli.options import Way, relay_option, way_options
from crdt_sync.cli.output import Output, table
from crdt_sync.cli.progress import spinner
from crdt_sync.cli.repairing import SHOWN_MAX
from crdt_sync.cli.schemaless import tell_disputed
from crdt_sync.cli.targets import shorts
from crdt_sync.cli.values import many
from crdt_sync.errors import Mismatch, RecordsMissing, StoreCorrupt, UsageError
from crdt_sync.protocol.messages import Standing
from crdt_sync.replica import Repair, Replica
from crdt_sync.replica.disorder import disordered_records
from crdt_sync.replica.repair import still_lost
from crdt_sync.replica.rescue import Loss
from crdt_sync.runtime import Address, Audit, Difference, Mended, audit_once, heal_once
from crdt_sync.runtime.loadable import unloadable
from crdt_sync.storage import Store

_SET_ASIDE_NAMED = 3  # records in a hint
_KINDS = {
    "here": "only here",
    "there": "only there",
    "state": "other operations",
    "content": "same operations, other content",
    "damaged": "damaged bytes",
}
_SCHEMAS = (
    "Schemas that were added, and the book of imports, are records here, too. Schemas that come with the program are "
    "not compared: 'crdt-sync schema show --toml' prints what is used."
)
_STANDINGS = {
    Standing.AGREES: "its log agrees",
    Standing.DISAGREES: "its log contradicts it",
    Standing.INCOMPLETE: "its log is compacted",
    Standing.CHANGING: "it is changing",
    Standing.UNREADABLE: "it is damaged",
    Standing.ABSENT: "not held",
}


class _Left(NamedTuple):
    """What was not exchanged: records with edits that the other side refused, and what it has and did not send.

    Digests of operations may be equal all the same.
    """

    refused: int
    missing: RecordsMissing | None

    def __bool__(self) -> bool:
        return bool(self.refused) or self.missing is not None


@click.command("verify")
@click.argument("peer", required=False, help="Another device instead of the relay: HOST[:PORT], a name or an id.")
@click.option(
    "--deep",
    is_flag=True,
    help="Compare the content of every record too, read from both disks; with --local, check its order.",
)
@click.option("--local", is_flag=True, help="Check every stored value here; needs no relay.")
@click.option(
    "--repair", "mend", is_flag=True, help="Mend what is damaged here, and heal with the other side what differs."
)
@click.option(
    "--set-aside",
    multiple=True,
    metavar="RECORD",
    help="With --repair: set this one aside here, until the relay or another device brings it again.",
)
@click.option(
    "--aside", "show_aside", is_flag=True, help="Only list the damaged values that repairs have set aside here."
)
@click.option("--drop", is_flag=True, help="With --aside: drop them for good.")
@relay_option
@way_options
@click.pass_obj
def verify(
    call: Invocation,
    peer: str | None,
    deep: bool,
    local: bool,
    mend: bool,
    set_aside: Sequence[str],
    show_aside: bool,
    drop: bool,
    url: str | None,
    way: Way,
) -> None:
    """Exchange everything with the relay or a device, compare what both hold then, and name the records that differ."""
    _check_pairs(drop, show_aside, set_aside, mend)
    if show_aside:
        aside.tell(call.output, call.store, drop=drop)
        return
    lost: Sequence[Loss] = ()
    with call.open_to_repair() if mend else call.open() as replica:
        repairing.set_aside(replica, set_aside)
        tell_disputed(call.output, replica)
        address = None
        if peer is not None and not local:
            resolved = devices.resolved(replica, peer, devices.space_token(call, way.token, [peer])).address
            address = devices.reached(resolved, way)
        elif not local:
            address = partners.chosen(call.store, url, way, required=not mend)
        if address is None:
            repairing.repair_store(call.output, replica) if mend else _verify_store(call.output, replica, deep=deep)
            return
        if mend:
            quarantined = set(replica.store.quarantined())
            local_repair = repairing.repaired(replica)
            if local_repair.findings:
                call.output.note(repairing.summary(local_repair), "yellow")
            try:
                with spinner(call.output, f"Healing with {address.url}") as moved:
                    mended = asyncio.run(heal_once(replica, address, content=deep, on_progress=moved))
            except BaseException:
                repairing.tell_losses(call.output, local_repair)
                raise
            # Not told before: what is lost here, or awaited, may have come from there.
            local_repair = replace(local_repair, losses=still_lost(replica, local_repair.losses), awaited={}, shown={})
            repairing.tell_losses(call.output, local_repair)
            found = mended.after
            settled = repairing.settled(replica)
            lost = (*local_repair.losses, *settled.losses)
            if settled.rewritten or settled.losses:
                call.output.note(f"{address.url} did not bring all that was awaited from it.", "yellow")
            repairing.tell_losses(call.output, settled)
            if settled.rewritten or settled.losses:
                call.output.note("Now run 'crdt-sync sync', which sends what was written again.")
            returned = quarantined - set(replica.store.quarantined())  # which comparing brings, before the audit looks
            brought = sorted(returned | set(mended.healed))
            left = _left(replica, address)
            _tell_repair(
                call.output,
                replica.store,
                address,
                repairing.both(local_repair, settled),
                mended,
                brought,
                left,
            )
        else:
            with spinner(call.output, f"Comparing with {address.url}") as moved:
                found = asyncio.run(audit_once(replica, address, content=deep, on_progress=moved))
            left = _left(replica, address)
            _tell_audit(call.output, replica.store, address, found, left)
    repairing.complain_of(lost)
    _judge(found, address, left, mended=mend, deep=deep)


def _check_pairs(drop: bool, show_aside: bool, set_aside: Sequence[str], mend: bool) -> None:
    """Raise `UsageError` for an option that means something only beside another one."""
    if drop and not show_aside:
        raise UsageError("nothing is dropped without --aside", "Give both.")
    if set_aside and not mend:
        raise UsageError("nothing is set aside without --repair", "Give both.")


def _judge(found: Audit, address: Address, left: _Left, *, mended: bool, deep: bool) -> None:
    """Raises `Mismatch` where the two do not hold the same."""
    if not found.equal:
        hint = _hint(found, address) if mended else f"Heal it with 'crdt-sync verify --repair{' --deep' * deep}'."
        raise Mismatch(f"this device and {address.url} do not hold the same data", hint)
    if left.refused:
        raise Mismatch(
            f"{address.url} refused edits of this device in {many(left.refused)}",
            "'crdt-sync status --waiting' names them and says why.",
        )
    if left.missing is not None:
        raise Mismatch(left.missing.message, left.missing.hint)


def _left(replica: Replica, address: Address) -> _Left:
    standing = partners.standing(replica, address.url)
    return _Left(standing.refused if standing else 0, missing.error_of(replica, standing))


def _hint(found: Audit, address: Address) -> str:
    """What is left to do about what a repair left."""
    wrong = [difference.record for difference in found.differences if difference.there.standing is not Standing.AGREES]
    if wrong:
        aside = " ".join(f"--set-aside {shlex.quote(record)}" for record in wrong[:_SET_ASIDE_NAMED])
        others = f", and likewise {len(wrong) - _SET_ASIDE_NAMED} more" if len(wrong) > _SET_ASIDE_NAMED else ""
        there = (
            "on that device, 'crdt-sync verify --repair'"
            if address.direct
            else f"by its operator, on the stopped relay, 'crdt-relay verify --repair {aside}'{others}"
        )
        return (
            f"What its own log cannot mend is mended there: {there}, and this device brings the record back with its "
            "next sync. 'crdt-sync status --waiting' tells what it refuses."
        )
    return "Others may be writing: repeat it; 'crdt-sync status --waiting' tells what is refused there."


def _tell_audit(output: Output, store: Store, address: Address, found: Audit, left: _Left) -> None:
    if output.as_json:
        output.emit(_as_json(address, found, left))
        return
    ours, theirs = found.comparison.ours, found.comparison.theirs
    rows = [("here", str(ours.count), ours.root.hex()), (address.url, str(theirs.count), theirs.root.hex())]
    output.show(table(("", "Records", "Root digest"), rows, wrap=True))
    if found.equal and left.refused:
        output.text("The same operations are known on both sides, but edits of this device were refused there.", "red")
        return
    if found.equal and left.missing is not None:
        output.text("The digests are equal, but not all that the other side has is here.", "red")
        return
    if found.equal:
        deep = ", in every operation and every value" if found.content else ""
        output.text(f"Equal: both hold the same data{deep}.", "green")
        output.note(_SCHEMAS)
        return
    output.text("Different.", "red")
    _show_differences(output, store, found)


def _show_differences(output: Output, store: Store, found: Audit) -> None:
    shown = found.differences[:SHOWN_MAX]
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


def _as_json(address: Address, found: Audit, left: _Left) -> dict[str, object]:
    ours, theirs = found.comparison.ours, found.comparison.theirs
    return {
        "equal": found.equal and not left,
        "refused": left.refused,
        "missing": dict(left.missing.records) if left.missing else {},
        "url": address.url,
        "deep": found.content,
        "schemas_compared": False,
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
    output: Output,
    store: Store,
    address: Address,
    local: Repair,
    mended: Mended,
    healed: Sequence[str],
    left: _Left,
) -> None:
    if output.as_json:
        repair = {**repairing.as_json(local), "differed": _differences(mended.before.differences)}
        output.emit({**_as_json(address, mended.after, left), "repair": {**repair, "healed": list(healed)}})
        return
    if mended.before.differences:
        _show_differences(output, store, mended.before)
        output.text(f"Healed: {len(mended.healed)} of {len(mended.before.differences) + mended.before.more}.")
    elif healed:
        output.text(f"Brought back: {len(healed)} records that had been set aside here.")
    elif not local.findings:
        output.text("Nothing had to be mended.")
    output.text("Compared again:")
    _tell_audit(output, store, address, mended.after, left)


def _load_all(output: Output, replica: Replica) -> None:
    """Load every record as a worker does. Raises `StoreCorrupt` where one of them cannot be."""
    with spinner(output, "Loading every record"):
        found = asyncio.run(unloadable(replica.store))
    repairing.tell_unloadable(output, found)
    if found:
        what = "1 record" if len(found) == 1 else f"{len(found)} records"
        raise StoreCorrupt(
            f"every checksum is right, and {what} cannot be loaded within the time and memory that a worker has",
            "Run 'crdt-sync verify --local --repair': it writes anew what they show, or says how to set them aside.",
            found[0].record,
        )


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
    _load_all(output, replica)
    data: dict[str, object] = {"checked": report.checked, "damaged": 0, "set_aside": report.set_aside}
    if deep:
        found = dict(disordered_records(replica.store))
        data["disordered"] = found
        for record, roots in found.items():
            what = ", ".join(root[2:] or root for root in roots)
            told = f"{record}: replicas may show {what} in different orders; clear what it says and write it anew"
            output.warning({"error": "disordered", "message": told}, told)
    output.result(data, f"{report.checked} stored values checked, all intact.{aside.told(report.set_aside)}")
