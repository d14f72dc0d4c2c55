"""What `status --waiting` shows: which records a relay or another device does not have yet, and why.

Where nothing was ever exchanged with somebody, all that is here waits for it: no partner is said to hold what it was
not heard to hold.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from crdt_sync.cli import partners
from crdt_sync.cli.output import Output, table
from crdt_sync.cli.targets import short
from crdt_sync.cli.values import many, title
from crdt_sync.errors import StoreCorrupt, UnknownRecord
from crdt_sync.replica import Replica
from crdt_sync.replica.callers import callers
from crdt_sync.replica.carried import carried
from crdt_sync.replica.readers import Reader, lacking, lacks
from crdt_sync.replica.status import why

_PAGE = 1000


class _Entry(NamedTuple):
    record: str
    partner: str
    state: str
    reason: str


def show(output: Output, replica: Replica, relay: str | None) -> None:
    """Print it, for people or programs. `relay` is the address that this store syncs with unless told otherwise."""
    rows = []
    for entry in _entries(replica):
        if output.as_json:
            output.emit(entry._asdict())
        else:
            name = _title(replica, entry.record)
            rows.append((short(replica.store, entry.record), name, entry.state, entry.reason, entry.partner))
    never = relay is not None and all(partner.url != relay for partner in replica.partners())
    if never and output.as_json:
        for record in _records(replica):
            output.emit(_Entry(record, str(relay), "pending", "nothing has been synced with it yet")._asdict())
    if output.as_json:
        return
    if rows:
        output.show(table(("Record", "Name", "State", "Reason", "For"), rows, wrap=True))
    said = list(_sentences(replica, str(relay) if never else None))
    for sentence in said:
        output.text(sentence)
    if not rows and not said:
        output.text("Nothing waits: every relay and device that this one knows has everything, as of the last contact.")


def _title(replica: Replica, record: str) -> str:
    with suppress(StoreCorrupt, UnknownRecord):
        return title(replica.get(record))
    return "damaged"


def _sentences(replica: Replica, never: str | None) -> Iterator[str]:
    """What goes for all records at once."""
    count = replica.count()
    if never is not None and count:
        yield f"{many(count)} to send to {never}, as far as is known: nothing has been synced with it yet."
    for partner in replica.partners():
        if partner.is_compared:
            yield (
                f"What else {partners.called(partner)} lacks is not known: its history has changed, and the next sync "
                "compares everything."
            )
    for known in replica.status().carried:
        if known.through and known.to_send:
            yield (
                f"What {known.replica[:8]}, known through {known.through}, lacks is not known: the next bundle for it "
                f"would hold at most {many(known.to_send)}."
            )
    if never is None and not (replica.partners() or carried(replica.store) or callers(replica.store)):
        if count:
            yield f"Nobody else is known to this device, so all is here only: {many(count)}."
        else:
            yield "There are no records here, and nobody else is known to this device."


def _entries(replica: Replica) -> Iterator[_Entry]:
    """What is known to wait, record by record."""
    readers = {reader.replica: reader for _, reader in _readers(replica)}
    for partner in replica.partners():
        after, reader = "", readers.get(bytes.fromhex(partner.replica))
        while page := replica.store.outbox(bytes.fromhex(partner.replica), after, _PAGE):
            for entry in page:
                if reader is not None and entry.refusal is None and not lacks(replica.store, reader, entry.record):
                    continue  # it fetched it by itself, which our own next session will notice
                state = "pending" if entry.refusal is None else "refused"
                yield _Entry(entry.record, partners.called(partner), state, why(entry))
            after = page[-1].record
    called = {bytes.fromhex(partner.replica) for partner in replica.partners()}
    for way, reader in _readers(replica):
        if reader.replica not in called:
            called.add(reader.replica)
            for record in lacking(replica.store, reader):
                yield _Entry(record, reader.label, "pending", f"waits for the next {way}")


def _readers(replica: Replica) -> Iterator[tuple[str, Reader]]:
    for caller in callers(replica.store).values():
        yield "call", caller.reader(replica.store)
    for known in carried(replica.store).values():
        yield "bundle", known.reader(replica.store)


def _records(replica: Replica) -> Iterator[str]:
    after = ""
    while page := replica.store.records(after, _PAGE):
        yield from page
        after = page[-1]
