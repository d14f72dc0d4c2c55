"""What commands say of damaged records that they came by: they go on with the rest, and name them."""

from collections.abc import Mapping

from crdt_sync.cli.output import Output
from crdt_sync.errors import StoreCorrupt
from crdt_sync.replica import Replica
from crdt_sync.replica.damage import loads
from crdt_sync.replica.reading import REPAIR_HINT

_NAMED_MAX = 5


def tell(output: Output, replica: Replica) -> None:
    """Name what was met damaged. Raises `StoreCorrupt` where a record could not be shown, as the result lacks it."""
    met, unshown = replica.damaged, replica.unshown
    _warn_of(output, {record: what for record, what in met.items() if record not in unshown}, "is shown, but damaged")
    complain_of({record: met[record] for record in sorted(unshown)}, "could not be shown")


def tell_synced(output: Output, replica: Replica) -> None:
    """Name what is damaged after a sync. Raises `StoreCorrupt` where that is more than what shows a record."""
    met = replica.status().damaged
    sent = {record for record in replica.context.still_damaged() if loads(replica.store, record)}
    _warn_of(output, {record: met[record] for record in sorted(sent)}, "is synced, but damaged")
    complain_of({record: met[record] for record in met if record not in sent}, "could not be synced; all others were")


def _warn_of(output: Output, records: Mapping[str, str], what: str) -> None:
    for record, damage in records.items():
        message = f"{record} {what}: {damage}"
        output.warning({"warning": "damaged", "record": record, "message": message, "hint": REPAIR_HINT}, message)


def complain_of(records: Mapping[str, str], what: str) -> None:
    """Raise `StoreCorrupt` for damaged records, if there are any."""
    if records:
        names = ", ".join(list(records)[:_NAMED_MAX]) + (", ..." if len(records) > _NAMED_MAX else "")
        count = "1 damaged record" if len(records) == 1 else f"{len(records)} damaged records"
        raise StoreCorrupt(f"{count} {what}: {names}", REPAIR_HINT, next(iter(records)))
