"""What commands say where a partner has something that did not come, although it was asked for."""

from itertools import islice

from crdt_sync.cli.partners import called
from crdt_sync.errors import RecordsMissing
from crdt_sync.replica import PartnerStatus, Replica, unread

_NAMED_MAX = 3


def error_of(replica: Replica, partner: PartnerStatus | None) -> RecordsMissing | None:
    """What to raise; None where all has come."""
    if partner is None or not partner.missing:
        return None
    missing = unread.reasons_of(unread.known(replica.store), bytes.fromhex(partner.replica))
    what = "1 record" if len(missing) == 1 else f"{len(missing)} records"
    named = "; ".join(f"{record}: {why}" for record, why in islice(missing.items(), _NAMED_MAX))
    named += "; ..." if len(missing) > _NAMED_MAX else ""
    return RecordsMissing(
        f"not all that {called(partner)} has is here: {what} did not come: {named}",
        "All else was exchanged. What is damaged there is mended there, by its operator on the stopped relay with "
        "'crdt-relay verify --repair', on a device with 'crdt-sync verify --repair'; then the next sync brings it.",
        missing,
    )
