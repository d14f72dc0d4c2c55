"""What commands say of damaged records that they came by: they go on with the rest, and name them."""

from collections.abc import Mapping

from crdt_sync.cli.output import Output
from crdt_sync.errors import StoreCorrupt
from crdt_sync.replica import Replica
from crdt_sync.replica.reading import REPAIR_HINT

_NAMED_MAX = 5


def tell(output: Output, replica: Replica) -> None:
    """Name what was met damaged. Raises `StoreCorrupt` where a record could not be shown, as the result lacks it."""
    for record, what in replica.damaged.items():
        if record not in replica.unshown:
            message = f"{record} is shown, but damaged: {what}"
            output.warning({"warning": "damaged", "record": record, "message": message, "hint": REPAIR_HINT}, message)
    complain_of({record: replica.damaged[record] for record in sorted(replica.unshown)}, "could not be shown")


def complain_of(records: Mapping[str, str], what: str) -> None:
    """Raise `StoreCorrupt` for damaged records, if there are any."""
    if records:
        names = ", ".join(list(records)[:_NAMED_MAX]) + (", ..." if len(records) > _NAMED_MAX else "")
        count = "1 damaged record" if len(records) == 1 else f"{len(records)} damaged records"
        raise StoreCorrupt(f"{count} {what}: {names}", REPAIR_HINT, next(iter(records)))
