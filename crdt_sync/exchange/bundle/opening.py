"""How a device opens a bundle that is sealed: with its own key, if it is one of those for whom it is."""

from crdt_sync.errors import BundleSealed, ForeignBundle
from crdt_sync.exchange.bundle.envelope import Envelope
from crdt_sync.membership.member import Membership


def opened_by(member: Membership | None, envelope: Envelope, name: str) -> bytes:
    """The key of the bundle in the file `name`. Raises `BundleSealed`, `ForeignBundle`, `ValueError` for damage."""
    if member is None:
        raise BundleSealed(
            f"{name} is sealed to {envelope.to}, and this device is in no space with people",
            "Apply it on one of their devices. A device joins by an invite: crdt-sync join LINK.",
        )
    if envelope.space != member.space:
        raise ForeignBundle(name, envelope.to)
    key = envelope.key(member.pair)
    if key is None:
        claims = member.claims()
        who = claims.user if claims is not None else "nobody yet"
        raise BundleSealed(
            f"{name} is sealed to {envelope.to}, and this device, {who}'s, is none of theirs",
            "Apply it there. If it is meant for this one, too: whoever made it had not heard yet that this one joined; "
            "let them sync, and make another one.",
        )
    return key
