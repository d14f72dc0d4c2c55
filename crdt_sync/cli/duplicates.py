"""The command `duplicates`: records that may be one customer, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import click

from crdt_sync.cli import damaged
from crdt_sync.cli.invocation import Invocation
from crdt_sync.cli.options import LIMIT, collection_option, limit_option
from crdt_sync.cli.output import Output, table
from crdt_sync.cli.targets import known_collection, named_once
from crdt_sync.cli.values import shown, title
from crdt_sync.exchange.suspects import Suspects, suspects
from crdt_sync.replica import Replica

_RECORDS_MAX = 6  # of one group that people are shown
_LENGTH_MAX = 120  # characters of a name or of what is equal


@click.command("duplicates")
@click.argument("named", required=False, metavar="[COLLECTION]")
@collection_option
@limit_option
@click.pass_obj
def duplicates(call: Invocation, named: str | None, collection: str | None, limit: int | None) -> None:
    """List records that may be one customer: an equal e-mail address, phone or natural key, or name with birthday,
    postal code or city, however they are written."""
    collection = named_once(named, collection)
    with call.open() as replica:
        chosen = [known_collection(replica, collection)] if collection else list(replica.schemas)
        found = [group for name in chosen for group in _of(replica, name)]
        most = limit or None if limit is not None or call.output.as_json else LIMIT
        page = found[:most]
        if call.output.as_json:
            for group in page:
                call.output.emit(asdict(group))
        elif not page:
            call.output.text("No two records look like one customer.")
        else:
            _show(call.output, replica, page, len(found))
        damaged.tell(call.output, replica)


def _of(replica: Replica, collection: str) -> Iterator[Suspects]:
    """Those that show one natural key first."""
    keyed = set()
    for twice in replica.duplicates(collection):
        key = ", ".join(shown(value) for value in twice.key.values())
        keyed.add(tuple(sorted(twice.records)))
        yield Suspects(collection, twice.records, {"natural key": key}, True)
    for group in suspects(collection, replica.schemas[collection].fields, replica.list(collection)):
        if group.records not in keyed:
            yield group


def _show(output: Output, replica: Replica, page: Sequence[Suspects], total: int) -> None:
    rows: list[tuple[str, str, str]] = []
    for group in page:
        why = [f"{what}: {_cut(text)}" for what, text in group.why.items()]
        why += [] if group.names_agree else ["other names"]
        for number, record in enumerate(group.records[:_RECORDS_MAX]):
            rows.append((record, _cut(title(replica.get(record))), "\n".join(why) if number == 0 else ""))
        if len(group.records) > _RECORDS_MAX:
            rows.append(("", f"and {len(group.records) - _RECORDS_MAX} more; --json has all", ""))
    output.show(table(("Record", "Name", "Equal"), rows, wrap=True))
    if total > len(page):
        output.note(f"The first {len(page)} of {total} groups; --limit 0 shows all.")
    keep, drop = page[0].records[:2]
    output.note(
        f"If two are one: compare them (crdt-sync get {drop}), set what is missing in the one that stays (crdt-sync "
        f"set {keep} FIELD=VALUE), and delete the other: crdt-sync delete {drop}"
    )


def _cut(text: str) -> str:
    return text if len(text) <= _LENGTH_MAX else f"{text[:_LENGTH_MAX]}…"
