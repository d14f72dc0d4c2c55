"""What a sealed bundle holds beside records: who made it, and what the space said, as its maker knew it.

Both are packed as one frame. The signature of the maker's device stands at the end of the file: over `CONTEXT`, the
checksum of the last frame before the end, which stands for all of them, and the end. So nobody to whom a bundle was
sealed can change it, or seal it to others in its maker's name.
"""

import zlib
from dataclasses import dataclass
from typing import NamedTuple

from crdt_sync.errors import IdentityRefused
from crdt_sync.exchange.bundle.envelope import CONTEXT
from crdt_sync.identity.claims import Claims
from crdt_sync.identity.refusals import NEXT_STEPS, Reason, refused
from crdt_sync.limits import (
    FRAME_BYTES_MAX,
    SIGNED_TOKEN_LENGTH_MAX,
    STATEMENT_BYTES_MAX,
    STATEMENTS_SAID_MAX,
    TOKEN_SKEW_US,
)
from crdt_sync.membership.member import Membership
from crdt_sync.protocol.checks import check_bytes, check_length, check_text
from crdt_sync.strict_cbor import dumps, loads

_LEVEL = 6
_OUT = "Ask who runs the space what is to become of it."
_HINTS: dict[str, str] = {
    Reason.TOKEN_EXPIRED: "Sync this device with the relay, so that it knows who is out by now, and apply it again.",
    Reason.DEVICE_REVOKED: _OUT,
    Reason.USER_DISABLED: _OUT,
}


@dataclass(frozen=True, slots=True)
class Said:
    """The token of the maker's device, and statements of its space. One that exists is valid, and proves nothing."""

    token: str
    statements: tuple[bytes, ...]

    def __post_init__(self) -> None:
        check_text("said.token", self.token, SIGNED_TOKEN_LENGTH_MAX)
        check_length("said.statements", self.statements, STATEMENTS_SAID_MAX)
        for statement in self.statements:
            check_bytes("said.statements", statement, 1, STATEMENT_BYTES_MAX)

    def encode(self) -> bytes:
        """The body of its frame, before it is encrypted."""
        return zlib.compress(dumps((self.token, self.statements)), _LEVEL)


def decode_said(packed: bytes) -> Said:
    """What a frame says. Raises `ValueError`."""
    unpacker = zlib.decompressobj()
    try:
        body = unpacker.decompress(packed, FRAME_BYTES_MAX)
    except zlib.error as error:
        raise ValueError(f"what the space said cannot be unpacked: {error}") from None
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("what the space said is too large, or goes on")
    fields = loads(body, items_max=STATEMENTS_SAID_MAX + 8, depth_max=2)
    if type(fields) is not tuple or len(fields) != 2 or type(fields[1]) is not tuple:
        raise ValueError("what the space said is not an array of 2")
    return Said(*fields)


class Signed(NamedTuple):
    """The signature at the end of a bundle, and what it is over."""

    message: bytes
    signature: bytes


def message(checksum: bytes, end: bytes) -> bytes:
    """What the maker's device signs: `checksum` is that of the last frame before the end."""
    return CONTEXT + checksum + end


def check_maker(member: Membership, said: Said, signed: Signed, created: int) -> Claims:
    """Who made a bundle that is for this device, from what it says; what the space said in it was taken over before.

    A token that is over by now is taken if it held when the bundle was made, and this device has heard from the space
    since: so it would know that the maker is out. Raises `IdentityRefused`, also where this device itself is out.
    """
    member.check_out()
    claims = member.tokens.read(said.token)
    if not claims.key.signed(signed.message, signed.signature):
        raise refused(Reason.PROOF_INVALID, "the bundle is not signed by the device that it says it is of")
    try:
        member.statements.revocations.check(claims.device, claims.user)
        member.check_user(claims.user)
        claims.check_times(created)
        claims.check_times(member.now(), expired_too=_heard(member) >= claims.expires + TOKEN_SKEW_US)
    except IdentityRefused as error:
        hint = _HINTS.get(error.reason, NEXT_STEPS[Reason(error.reason)])
        told = f"nothing of the bundle was taken up, for who made it: {error.message}"
        raise IdentityRefused(error.reason, told, hint) from None
    return claims


def _heard(member: Membership) -> int:
    """When this device knew last that nobody else is out, in microseconds since 1970; 0 where it never did."""
    age = member.statements.age(member.now())
    return 0 if age is None else member.now() - age
