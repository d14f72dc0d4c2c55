"""Where a replica and each of its records stand with its partners."""

from dataclasses import dataclass, field

from crdt_sync.storage.port import Peer, Store


@dataclass(frozen=True, slots=True)
class PartnerStatus:
    """One partner: what it may still lack, what it refused, and how far its feed was read."""

    url: str
    replica: str  # hexadecimal
    pending: int
    refused: int
    cursor: int
    last_seen: int  # microseconds since 1970, by the device's clock


@dataclass(frozen=True, slots=True)
class Status:
    """The whole replica. `unreadable` names records with an update that could not be integrated here, and why."""

    name: str
    records: int
    partners: tuple[PartnerStatus, ...]
    unreadable: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordStatus:
    """One record: `stored` at `stored_at`; else `pending`, `refused` with a reason, or `local` without a partner."""

    state: str
    stored_at: tuple[str, ...]
    reason: str = ""


def partner_status(store: Store, peer: Peer) -> PartnerStatus:
    """The standing of one partner."""
    entries, refused = store.outbox_count(peer.replica)
    return PartnerStatus(peer.url, peer.replica.hex(), entries - refused, refused, peer.cursor, peer.last_seen)


def record_status(store: Store, record: str) -> RecordStatus:
    """The standing of one record with all partners."""
    stored_at: list[str] = []
    state, reason = "stored", ""
    for peer in store.peers():
        if not peer.url:
            continue  # another partner answers at its address now
        entry = store.outbox_entry(peer.replica, record)
        if entry is None:
            stored_at.append(peer.url)
        elif entry.refusal is not None:
            state, reason = "refused", f"{entry.refusal}: {entry.reason}"
        elif state != "refused":
            state = "pending"
    if not stored_at and state == "stored":
        state = "local"
    return RecordStatus(state, tuple(stored_at), reason)
