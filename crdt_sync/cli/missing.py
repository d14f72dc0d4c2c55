"""What commands say where a partner has something that is not here, although it was asked for.

Each cause is mended elsewhere: what is damaged here on this device, what the partner cannot read there. What this
device refuses stays refused until it is another update, or another release here.
"""

from collections.abc import Collection
from itertools import islice

from crdt_sync.cli.partners import called
from crdt_sync.errors import RecordsMissing
from crdt_sync.replica import PartnerStatus, Replica, unread
from crdt_sync.replica.damage import loads
from crdt_sync.replica.reading import REPAIR_HINT

_NAMED_MAX = 3
_THERE = (
    "What is damaged there is mended there, by its operator on the stopped relay with 'crdt-relay verify --repair', on "
    "a device with 'crdt-sync verify --repair'; then the next sync brings it."
)
_REFUSED = (
    "What this device refuses, for the reasons above, it takes once it is set right where it was written, or where a "
    "newer release here can read it."
)

BRING = (
    "What others wrote is taken from a device or a bundle only where the user who brings it may write it, too, or its "
    "author signed it: sync with the relay, which brings all that this device may hold."
)


def error_of(replica: Replica, partner: PartnerStatus | None) -> RecordsMissing | None:
    """What to raise; None where all has come."""
    if partner is None or not partner.missing:
        return None
    missing = unread.reasons_of(unread.known(replica.store), bytes.fromhex(partner.replica))
    what = "1 record is" if len(missing) == 1 else f"{len(missing)} records are"
    named = "; ".join(f"{record}: {why}" for record, why in islice(missing.items(), _NAMED_MAX))
    named += "; ..." if len(missing) > _NAMED_MAX else ""
    here = damaged_here(replica, missing)
    others = [why for record, why in missing.items() if record not in here]
    hints = [REPAIR_HINT] if here else []
    hints += [_THERE] if any(unread.is_unserved(why) for why in others) else []
    hints += [BRING] if any(map(unread.is_forbidden, others)) else []
    hints += [_REFUSED] if any(not (unread.is_unserved(why) or unread.is_forbidden(why)) for why in others) else []
    return RecordsMissing(
        f"not all that {called(partner)} has is here: {what} missing: {named}",
        " ".join(["All else was exchanged.", *hints]),
        missing,
    )


def damaged_here(replica: Replica, records: Collection[str]) -> set[str]:
    """Those of the records that this device cannot read itself, so that it can take nothing of them."""
    return {record for record in records if not loads(replica.store, record)}
