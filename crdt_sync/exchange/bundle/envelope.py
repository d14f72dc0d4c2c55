"""The outside of a sealed bundle: for whom it is, and its key, sealed to each of their devices.

It is all that can be read without a key: the id of the bundle, the space, whom it is for in words, and a row for each
device: its id, and the key of the bundle in HPKE (RFC 9180, base mode: X25519, HKDF-SHA256, ChaCha20-Poly1305), the
encapsulated key before the ciphertext. `info` binds a row to its bundle, its space, its words and its device, so that
none is worth anything elsewhere. Who made the bundle, and of what, stands inside.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from crdt_sync.exchange.bundle.header import ID_BYTES
from crdt_sync.exchange.bundle.protection import KEY_BYTES, TAG_BYTES
from crdt_sync.identity.keys import DEVICE_BYTES, KeyPair, PublicKey
from crdt_sync.ids import SPACE_BYTES
from crdt_sync.limits import BUNDLE_DEVICES_MAX, BUNDLE_ENVELOPE_BYTES_MAX, USER_LENGTH_MAX
from crdt_sync.protocol.checks import check_bytes, check_text
from crdt_sync.strict_cbor import dumps, loads

CONTEXT: Final = b"crdt-sync bundle 3"
SEALED_BYTES: Final = 32 + KEY_BYTES + TAG_BYTES
_ROW_BYTES = DEVICE_BYTES + SEALED_BYTES
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_TO = re.compile(r"(?:user|role):.+|device:[0-9a-f]{32}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Envelope:
    """See the module. `to` is `user:NAME`, `role:NAME` or `device:ID`; `rows` has the sealed key by device."""

    bundle: bytes
    space: bytes
    to: str
    rows: dict[bytes, bytes]

    def __post_init__(self) -> None:
        check_bytes("envelope.bundle", self.bundle, ID_BYTES, ID_BYTES)
        check_bytes("envelope.space", self.space, SPACE_BYTES, SPACE_BYTES)
        check_text("envelope.to", self.to, USER_LENGTH_MAX + len("device:"))
        if not _TO.fullmatch(self.to) or not self.to.isprintable():
            raise ValueError("envelope.to names nobody")
        if not 1 <= len(self.rows) <= BUNDLE_DEVICES_MAX:
            raise ValueError(f"an envelope is for 1 to {BUNDLE_DEVICES_MAX} devices")

    def encode(self) -> bytes:
        """The body of its frame."""
        rows = b"".join(device + self.rows[device] for device in sorted(self.rows))
        return dumps((self.bundle, self.space, self.to, rows))

    def key(self, pair: KeyPair) -> bytes | None:
        """The key of the bundle, for the device whose key this is; None where it is not among them.

        Raises `ValueError` where what is there for it cannot be opened.
        """
        sealed = self.rows.get(pair.public.device)
        if sealed is None:
            return None
        try:
            key = _SUITE.decrypt(sealed, pair.sealing_key, _info(self.bundle, self.space, self.to, pair.public.device))
        except (InvalidTag, ValueError):
            raise ValueError("its key, as it is sealed to this device, cannot be opened") from None
        if len(key) != KEY_BYTES:
            raise ValueError("its key is none")
        return key


def sealed_to(devices: Iterable[PublicKey], key: bytes, bundle: bytes, space: bytes, to: str) -> Envelope:
    """The envelope that these devices can open."""
    rows = {
        device.device: _SUITE.encrypt(key, device.sealing_key, _info(bundle, space, to, device.device))
        for device in devices
    }
    return Envelope(bundle, space, to, rows)


def decode_envelope(body: bytes) -> Envelope:
    """The envelope in the body of its frame. Raises `ValueError`."""
    if len(body) > BUNDLE_ENVELOPE_BYTES_MAX:
        raise ValueError("an envelope is too large")
    fields = loads(body, items_max=8, depth_max=1)
    if type(fields) is not tuple or len(fields) != 4:
        raise ValueError("an envelope is an array of 4")
    bundle, space, to, rows = fields
    if type(rows) is not bytes or len(rows) % _ROW_BYTES:
        raise ValueError("the rows of an envelope have another size")
    cut = [rows[at : at + _ROW_BYTES] for at in range(0, len(rows), _ROW_BYTES)]
    found = {row[:DEVICE_BYTES]: row[DEVICE_BYTES:] for row in cut}
    if list(found) != sorted(found) or len(found) != len(cut):
        raise ValueError("the rows of an envelope are out of order")
    return Envelope(bundle, space, to, found)


def _info(bundle: bytes, space: bytes, to: str, device: bytes) -> bytes:
    return CONTEXT + bundle + space + device + to.encode()
