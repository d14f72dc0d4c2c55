"""Invites: links with which somebody's device joins a space.

    CRDT-SYNC://JOIN#PAYLOAD        PAYLOAD: base32 of the bytes below

    version 1, one byte | space, 16 | its public key, 32 | secret, 16 | length of the next, one byte: 0 or 32
    | SHA-256 of the relay's certificate | the relay's address, ASCII | first 4 bytes of the SHA-256 of all before

Whoever has the link is let in once, so it is as secret as a password; it stands behind a `#`, which programs that open
addresses do not send anywhere. Capitals and digits make the smaller picture for cameras. The relay keeps no secret, but
the hash that `lookup` returns.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from crdt_sync.errors import IdentityRefused, InvalidInvite
from crdt_sync.identity.keys import KEY_BYTES, PublicKey
from crdt_sync.ids import SPACE_BYTES
from crdt_sync.limits import INVITE_ADDRESS_LENGTH_MAX, INVITE_LINK_LENGTH_MAX, INVITE_SECRET_BYTES

BEGINNING = "CRDT-SYNC://JOIN#"
_VERSION = 1
_CERTIFICATE_BYTES = 32
_CHECKSUM_BYTES = 4
_FIXED_BYTES: Final = 1 + SPACE_BYTES + KEY_BYTES + INVITE_SECRET_BYTES + 1
_ADDRESS = re.compile(rf"wss?://[!-~]{{1,{INVITE_ADDRESS_LENGTH_MAX - 6}}}\Z")
_COPY = "Copy the whole link, from CRDT-SYNC:// to its last letter, or scan its picture; else ask for a new invite."


NO_SECRET = bytes(INVITE_SECRET_BYTES)
"""In the place of an invite's secret: the link lets nobody in by itself, but who logs in."""


@dataclass(frozen=True, slots=True)
class Link:
    """What an invite tells the device that opens it. `certificate` is the hash of the relay's, or nothing without TLS
    and where an authority vouches for it. `secret` is 16 random bytes.
    """

    address: str
    space: bytes
    key: PublicKey
    certificate: bytes
    secret: bytes

    def __post_init__(self) -> None:
        sizes = len(self.space), len(self.secret), len(self.certificate)
        if sizes[:2] != (SPACE_BYTES, INVITE_SECRET_BYTES) or sizes[2] not in {0, _CERTIFICATE_BYTES}:
            raise InvalidInvite("a part of the invite has another size", _COPY)
        if _ADDRESS.match(self.address) is None:
            raise InvalidInvite(
                f"the address {self.address!r:.80} in the invite is none",
                "It begins with wss:// or ws://, and has at most 200 characters, all ASCII.",
            )

    def __str__(self) -> str:
        certificate = bytes([len(self.certificate)]) + self.certificate
        content = bytes([_VERSION]) + self.space + self.key.raw + self.secret + certificate + self.address.encode()
        payload = content + _checksum(content)
        return BEGINNING + base64.b32encode(payload).decode("ascii").rstrip("=")

    @property
    def lookup(self) -> bytes:
        """What the relay knows the invite by."""
        return lookup(self.secret)


def lookup(secret: bytes) -> bytes:
    """What a relay keeps of an invite's secret, and finds it by: nobody who reads it can open the invite."""
    return hashlib.sha256(b"crdt-sync invite 1" + secret).digest()


def read_link(text: str) -> Link:
    """The invite in a link as people paste it, with the line breaks of a mail. Raises `InvalidInvite`."""
    if len(text) > INVITE_LINK_LENGTH_MAX:
        raise InvalidInvite("the link is too long for an invite", _COPY)
    link = re.sub(r"\s+", "", text).upper()
    if not link.startswith(BEGINNING):
        raise InvalidInvite(f"this is no invite: its link begins with {BEGINNING}", _COPY)
    content = _content(link.removeprefix(BEGINNING))
    if content[0] != _VERSION:
        raise InvalidInvite(
            f"the invite is of a later form, {content[0]}", "Open it with a newer release of crdt-sync on this device."
        )
    certificate = content[_FIXED_BYTES - 1]
    space, rest = content[1 : 1 + SPACE_BYTES], content[1 + SPACE_BYTES :]
    key, secret, rest = rest[:KEY_BYTES], rest[KEY_BYTES:][:INVITE_SECRET_BYTES], content[_FIXED_BYTES:]
    try:
        return Link(rest[certificate:].decode("ascii"), space, PublicKey(key), rest[:certificate], secret)
    except (IdentityRefused, UnicodeDecodeError):
        raise InvalidInvite("the invite holds what no invite has", _COPY) from None


def _content(payload: str) -> bytes:
    """The bytes in front of a checksum that fits. Raises `InvalidInvite`."""
    try:
        raw = base64.b32decode(payload + "=" * (-len(payload) % 8))
    except (ValueError, binascii.Error):
        raw = b""
    content, checksum = raw[:-_CHECKSUM_BYTES], raw[-_CHECKSUM_BYTES:]
    canonical = base64.b32encode(raw).decode("ascii").rstrip("=") == payload
    if len(content) < _FIXED_BYTES or not canonical or checksum != _checksum(content):
        raise InvalidInvite("the link of the invite is cut off or damaged", _COPY)
    return content


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:_CHECKSUM_BYTES]
