"""The command `status`: what partners have, lack and refuse, in counts or record by record."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import click

from crdt_sync.cli import drawing, last_failure, missing, owners, partners, refusals, transports, waiting
from crdt_sync.cli.invocation import Invocation
from crdt_sync.cli.last_failure import Failure
from crdt_sync.cli.output import Output, table
from crdt_sync.cli.schemaless import tell_schemaless
from crdt_sync.cli.targets import existing, shorts
from crdt_sync.cli.values import local_time, many, utc_time
from crdt_sync.errors import ForeignRelay
from crdt_sync.replica import CallerStatus, CarriedStatus, PartnerStatus, Replica, Status, unread
from crdt_sync.replica.refused import refused_edits
from crdt_sync.storage.lmdb import copies

_COUNTED_RECORDS_MAX = 10_000  # beyond them, conflicts are not counted: that reads every view
_ID_SHOWN = 8  # characters of a replica id
_BY = {"call": "as of its last call", "bundle": "by bundle"}
_NEXT = {"call": "the next call of", "bundle": "the next bundle for"}


@click.command("status")
@click.argument("record", required=False, help="Where this record stands.")
@click.option(
    "--waiting",
    "list_waiting",
    is_flag=True,
    help="List the records that a relay or a device does not have yet, and why.",
)
@click.pass_obj
def status(call: Invocation, record: str | None, list_waiting: bool) -> None:
    """Show what is to be sent and fetched, per partner; or where one record is stored, pending or refused."""
    with call.open() as replica:
        if record is not None:
            _record_status(call, replica, existing(replica, record))
        elif list_waiting:
            kept = partners.load(call.store)
            waiting.show(call.output, replica, kept.url if kept else None)
        else:
            _status(call, replica)


def _record_status(call: Invocation, replica: Replica, record: str) -> None:
    standing = replica.record_status(record)
    if call.output.as_json:
        call.output.emit({"record": record, **asdict(standing)})
        return
    known = replica.partners()
    called = {partner.url: partners.called(partner) for partner in known}
    lines = [f"{record} is damaged here: {standing.reason}"] if standing.state == "damaged" else []
    if standing.stored_at:
        lines.append(f"{record} is stored at {', '.join(called[url] for url in standing.stored_at)}")
    lines += [f"{record} is pending at {called[url]}: {reason}" for url, reason in standing.pending_at.items()]
    lines += [f"{record} was refused at {called[url]}: {reason}" for url, reason in standing.refused_at.items()]
    lines += [
        f"{record}: whether {called[url]} has it is not known; the next sync compares everything"
        for url in standing.unknown_at
    ]
    lines += [f"{name} has {record}, {_BY[way]}" for name, way in standing.held_by.items()]
    lines += [f"{record} waits for {_NEXT[way]} {name}" for name, way in standing.waits_for.items()]
    kept = partners.load(call.store)
    if kept is not None and kept.url not in called:
        lines.append(f"{record} was never sent to {kept.url}: nothing has been synced with it yet")
    if not lines or standing.state == "local":
        lines.insert(0, f"{record} is on this device only, as far as is known here")
    call.output.text("\n".join(lines))
    if replica.schema_of(record) is None:
        tell_schemaless(call.output, replica, record.partition("/")[0])


def _emit(call: Invocation, replica: Replica, standing: Status, counted: Mapping[str, int | None]) -> None:
    kept = partners.load(call.store)
    failed = last_failure.load(call.store)
    relay = kept.url if kept else None
    data = {"name": standing.name, "store": str(call.store), "replica": replica.id.hex(), "relay": relay}
    counts = {"records": standing.records, **counted, "refused_edits": len(refused_edits(replica.store))}
    seen = [_partner(standing, partner) for partner in standing.partners]
    met = [{**asdict(partner), "as_of": utc_time(partner.as_of)} for partner in standing.carried]
    calling = [{**asdict(caller), "last_seen": utc_time(caller.last_seen)} for caller in standing.callers]
    found = {"partners": seen, "by_bundle": met, "callers": calling, "unreadable": standing.unreadable}
    told = None if failed is None else failed.data()
    unknown = [each._asdict() for each in standing.schemaless]
    rest = {"damaged": standing.damaged, "without_schema": unknown, "last_failure": told}
    rest["transport"] = transports.described(kept)
    rest["unsent"] = [
        {"record": each.record, "since": utc_time(each.at), "bytes": each.size} for each in standing.unsent
    ]
    owner = None if replica.owner is None else owners.described(replica.owner.about)
    kept_copies = [str(each) for each in copies.found(call.store)]
    call.output.emit({**data, **counts, **found, **rest, "owner": owner, "copies": kept_copies})


def _status(call: Invocation, replica: Replica) -> None:
    standing = replica.status()
    conflicts, deleted = _conflicts_and_deleted(replica, standing.records)
    duplicates = None if conflicts is None else len(replica.duplicates())
    kept = partners.load(call.store)
    failed = last_failure.load(call.store)
    if call.output.as_json:
        _emit(call, replica, standing, {"deleted": deleted, "conflicts": conflicts, "duplicates": duplicates})
        return
    opposed = "" if conflicts is None else f", {conflicts} with open conflicts"
    if deleted is None:
        opposed = " (deleted ones counted)"
    elif deleted:
        opposed = f" ({deleted} of them deleted){opposed}"
    if duplicates:
        opposed += f", {duplicates} natural {'key' if duplicates == 1 else 'keys'} that several records show"
    call.output.text(
        f"{standing.name} ({replica.id.hex()[:_ID_SHOWN]}): {many(standing.records)}{opposed}, in {call.store}"
    )
    if replica.owner is not None:
        call.output.text(owners.sentence(replica.owner.about))
    refusals.tell(call.output, replica)
    if standing.partners:
        columns = ("Partner", "In sync", "To send", "To fetch", "Refused", "As of")
        call.output.show(table(columns, [_row(standing, partner) for partner in standing.partners]))
        for partner in standing.partners:
            _tell_reserved(call.output, standing, partner)
            _tell_oldest(call.output, standing, partner)
            if partner.put_off is not None:
                call.output.note(f"{partners.put_off(partner, partner.put_off)}. {partners.ASK_AGAIN}", "yellow")
    if standing.carried:
        rows = [
            (
                _carried(partner, standing.name),
                _at_most(partner.to_send, partner.to_send_bytes),
                local_time(partner.as_of),
            )
            for partner in standing.carried
        ]
        call.output.show(table(("By bundle", "Next bundle", "As of"), rows))
    if standing.callers:
        rows = [(_caller(caller), _waits(caller), local_time(caller.last_seen)) for caller in standing.callers]
        call.output.show(table(("Calls here", "Next call", "As of"), rows))
    if kept is not None and not any(partner.url == kept.url for partner in standing.partners):
        call.output.text(_never_synced(kept.url, standing.records, failed))
    elif not (standing.partners or standing.carried or standing.callers):
        call.output.text(
            "Nothing has been synced yet; choose a relay with crdt-sync relay URL --token TOKEN, or let devices call "
            "with crdt-sync listen"
        )
    if how := transports.sentence(kept):
        call.output.text(how)
    for copy in copies.found(call.store):
        call.output.text(
            f"As it was before its upgrade, the store is in {copy}. When no earlier release is needed any more: "
            f"rm -r {shlex.quote(str(copy))}"
        )
    if failed is not None:
        call.output.text(failed.sentence())
    _tell_missing(call.output, replica, standing)
    tell_schemaless(call.output, replica)
    if standing.damaged:
        call.output.text("Stored values of these records are damaged. Save what is intact: crdt-sync verify --repair")
        damages = _named(replica, standing.damaged)
        call.output.show(table(("Record", "Damage"), damages, wrap=True))
    _tell_unsent(call.output, standing)


def _tell_missing(output: Output, replica: Replica, standing: Status) -> None:
    """What partners have and is not here."""
    if standing.unreadable:
        output.text("Of these records something is elsewhere and not here; each sync asks for it again:")
        output.show(table(("Record", "Reason"), _named(replica, standing.unreadable), wrap=True))
        if any(map(unread.is_forbidden, standing.unreadable.values())):
            output.text(missing.BRING)


def _tell_unsent(output: Output, standing: Status) -> None:
    """What was not sent of records that may not be held here any more."""
    if standing.unsent:
        output.text(
            "These records may not be held here any more. What was edited and not sent is kept aside, as bytes. What "
            "of it can be told by field is in 'crdt-sync refused list', and 'refused apply' makes it again, here or at "
            "somebody who may. All of it is handed in when the device is revoked with '--unsent review'; 'refused drop "
            "--all' forgets it."
        )
        rows = [(each.record, local_time(each.at), str(each.size)) for each in standing.unsent]
        output.show(table(("Record", "Since", "Bytes"), rows))


def _never_synced(url: str, records: int, failed: Failure | None) -> str:
    """What is to be said of a relay that was chosen, and what takes to give it the records."""
    if failed is None or failed.url != url or not failed.foreign:
        return (
            f"Nothing has been synced with {url} yet: {many(records)} to send, as far as is known; crdt-sync sync "
            "sends them"
        )
    if failed.code == ForeignRelay.code:
        gives = "crdt-sync sync --new-relay gives it what is here"
    else:
        gives = f"crdt-sync space move {url} goes over to its space"
    return (
        f"Nothing was given to {url}, and crdt-sync sync gives it nothing: see below. If the address is right, "
        f"{gives}; else choose another with crdt-sync relay URL"
    )


def _named(replica: Replica, found: Mapping[str, str]) -> list[tuple[str, str]]:
    """Short ids, and what is said of each."""
    names = shorts(replica.store, sorted(found))
    return [(name, found[record]) for record, name in names.items()]


def _conflicts_and_deleted(replica: Replica, records: int) -> tuple[int | None, int | None]:
    """How many records have open conflicts, and are deleted; None where looking for them would take long."""
    if records > _COUNTED_RECORDS_MAX:
        return None, None
    views = [(bool(view.conflicts), view.deleted) for view in replica.list(deleted=True)]
    return sum(open_ for open_, _ in views), sum(deleted for _, deleted in views)


def _partner(standing: Status, partner: PartnerStatus) -> dict[str, object]:
    waiting = standing.backlogs[partner.replica]
    oldest = waiting.oldest
    return {
        **asdict(partner),
        "last_seen": utc_time(partner.last_seen),
        "put_off": partners.told_hold(partner.put_off),
        "to_send_bytes": waiting.bytes,
        "to_send_reserved": waiting.reserved,
        "to_send_bytes_exact": waiting.sized == partner.pending,
        "oldest": None if oldest is None else {**asdict(oldest), "since": utc_time(oldest.since)},
    }


def _row(standing: Status, partner: PartnerStatus) -> "Sequence[str | drawing.Text]":
    waiting = standing.backlogs[partner.replica]
    least = "" if waiting.sized == partner.pending else "at least "
    sent = f"{partner.pending} ({least}{drawing.decimal(waiting.bytes)})" if partner.pending else "0"
    done = "unknown" if partner.percent is None else f"{partner.percent} %"
    return (
        partners.called(partner),
        drawing.Text(done, style="green" if partner.percent == 100 else ""),
        sent,
        _fetched(partner),
        drawing.Text(str(partner.refused), style="red" if partner.refused else ""),
        local_time(partner.last_seen),
    )


def _fetched(partner: PartnerStatus) -> str:
    if partner.is_compared:
        return "unknown: all is compared"
    if partner.to_fetch is None:
        return "unknown"
    return _at_most(partner.to_fetch, partner.to_fetch_bytes)


def _at_most(records: int, size: int | None) -> str:
    if not records:
        return "0"
    return f"at most {records}" if size is None else f"at most {records} (about {drawing.decimal(size)})"


def _tell_reserved(output: Output, standing: Status, partner: PartnerStatus) -> None:
    count = standing.backlogs[partner.replica].reserved
    if count:
        those = f"Of the {partner.pending} to send to {partners.called(partner)}"
        about = "on how collections are defined and what was imported"
        output.text(f"{those}, {count} {'is' if count == 1 else 'are'} {about}")


def _tell_oldest(output: Output, standing: Status, partner: PartnerStatus) -> None:
    oldest = standing.backlogs[partner.replica].oldest
    if oldest is not None:
        since = f" since {local_time(oldest.since)}" if oldest.since else ""
        output.text(f"Waiting longest for {partners.called(partner)}: {oldest.record}{since}: {oldest.reason}")


def _carried(partner: CarriedStatus, own: str) -> str:
    short = partner.replica[:_ID_SHOWN]
    if partner.through:
        return f"{short} (through {partner.through})"
    return f"{partner.name} ({short}, called as this device)" if partner.name == own else partner.name


def _caller(caller: CallerStatus) -> str:
    return f"{caller.name} ({caller.replica[:_ID_SHOWN]})" if caller.name else caller.replica[:_ID_SHOWN]


def _waits(caller: CallerStatus) -> str:
    return f"at most {caller.waiting}" if caller.waiting else "0"
