"""Who may join, and who gets a new token: decided by whoever issues tokens, after a key was proved on the connection.

| the invite is | the device | | answer |
|---|---|---|---|
| any | revoked | | `device_revoked` |
| unknown | | | `invite_unknown` |
| of a user who is disabled | | | `user_disabled` |
| used | it was this one | expired or not | once more: the first answer may have been lost |
| used | it was another | | `invite_used` |
| unused | | expired | `invite_expired` |
| unused | belongs to another user | | `invite_other_user` |
| unused | else | | joins, and the invite is used |

A device that joined is known by its key for ever after, so it gets a new token whatever became of its old one, unless
it or its user is out.
"""

from dataclasses import dataclass
from typing import Protocol

from crdt_sync.identity.invites import lookup
from crdt_sync.identity.keys import PublicKey
from crdt_sync.identity.presented import Enrolment
from crdt_sync.identity.refusals import Reason, refused
from crdt_sync.identity.revocations import Revocations


@dataclass(frozen=True, slots=True)
class Invite:
    """One invite as it is kept: for whom, until when, in microseconds since 1970, and which device opened it."""

    lookup: bytes
    user: str
    expires: int
    device: bytes | None = None


class Invites(Protocol):
    """What who issues tokens keeps. What `use` writes is durable when it returns."""

    def find(self, lookup: bytes) -> Invite | None:
        """The invite that is known by `invites.lookup` of its secret."""

    def use(self, lookup: bytes, device: bytes) -> Invite | None:
        """Note that a device opened an invite, and is its user's, unless another device did before. Returns the invite
        as it is now: of two devices that come at once one is in it. None where the invite is gone.
        """

    def owner(self, device: bytes) -> str | None:
        """The user whose device it is, since it joined; None where it never did."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Who is to get a token: the user, the device's key, whether the device had joined before, and by which invite it
    joined now, as it is known by.
    """

    user: str
    key: PublicKey
    again: bool
    invite: bytes = b""


def join(shown: Enrolment, invites: Invites, revocations: Revocations, now: int) -> Joined:
    """What comes of an invite that a device opens, whose key was proved. Raises `IdentityRefused`."""
    device = shown.key.device
    revocations.check_device(device)
    invite = invites.find(lookup(shown.secret))
    if invite is None:
        raise refused(Reason.INVITE_UNKNOWN, "this invite is not known here: it was withdrawn, or is of another relay")
    revocations.check_user(invite.user)
    if invite.device is None:
        if now >= invite.expires:
            hours = (now - invite.expires) // 3_600_000_000
            raise refused(Reason.INVITE_EXPIRED, f"the invite expired {hours} hours ago")
        if invites.owner(device) not in {None, invite.user}:
            raise refused(Reason.INVITE_OTHER_USER, "the device is that of another user than the invite is for")
    used = invites.use(invite.lookup, device)
    if used is None:
        raise refused(Reason.INVITE_UNKNOWN, "this invite was withdrawn just now")
    if used.device != device:
        raise refused(Reason.INVITE_USED, "another device opened this invite before")
    return Joined(invite.user, shown.key, invite.device is not None, invite.lookup)


def renew(key: PublicKey, invites: Invites, revocations: Revocations) -> Joined:
    """Whose new token it is that a device asks for, whose key was proved. Raises `IdentityRefused`."""
    revocations.check_device(key.device)
    user = invites.owner(key.device)
    if user is None:
        raise refused(Reason.DEVICE_UNKNOWN, f"the device {key.device.hex()} never joined here")
    revocations.check_user(user)
    return Joined(user, key, again=True)
