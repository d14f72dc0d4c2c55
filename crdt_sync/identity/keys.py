"""Ed25519 keys of spaces and devices, and the ids that follow from them."""

import hashlib
from functools import cached_property

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from crdt_sync.identity.refusals import Reason, refused

KEY_BYTES = 32  # of a public key, and of the seed that a private one is made of
SIGNATURE_BYTES = 64
DEVICE_BYTES = 16
KID_BYTES = 8
_SIGN_BIT = 0x80  # of the last byte: of x, which is no part of what makes a point weak
# Points of small order, by their y: under such a key one signature is valid for every message.
_P = 2**255 - 19
_EIGHTH = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
_WEAK = frozenset({0, 1, _EIGHTH, _P - _EIGHTH, _P - 1, _P, _P + 1})


def device_of(raw: bytes) -> bytes:
    """The id of the device with this public key: the first 16 bytes of its SHA-256."""
    return hashlib.sha256(raw).digest()[:DEVICE_BYTES]


class PublicKey:
    """A key that signatures are checked with."""

    def __init__(self, raw: bytes) -> None:
        """Raises `IdentityRefused` where `raw` is no key, or one under which anybody can sign."""
        if len(raw) != KEY_BYTES:
            raise refused(Reason.KEY_MALFORMED, f"a public key has {KEY_BYTES} bytes, and not {len(raw)}")
        if int.from_bytes(raw[:-1] + bytes([raw[-1] & ~_SIGN_BIT]), "little") in _WEAK:
            raise refused(Reason.KEY_MALFORMED, "the public key is one under which anybody can sign")
        self.raw = raw

    @cached_property
    def kid(self) -> bytes:
        """What tokens and statements name a space's key by: the first 8 bytes of its SHA-256."""
        return hashlib.sha256(self.raw).digest()[:KID_BYTES]

    @cached_property
    def device(self) -> bytes:
        """The id of the device whose key this is."""
        return device_of(self.raw)

    @cached_property
    def _key(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self.raw)

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's, of `message`."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    @cached_property
    def sealing_key(self) -> X25519PublicKey:
        """The same key as it is sealed to: the point on Curve25519 that it stands for (RFC 7748, 4.1)."""
        y = int.from_bytes(self.raw[:-1] + bytes([self.raw[-1] & ~_SIGN_BIT]), "little")
        u = (1 + y) * pow(1 - y, -1, _P) % _P
        return X25519PublicKey.from_public_bytes(u.to_bytes(KEY_BYTES, "little"))

    def library_key(self) -> Ed25519PublicKey:
        """The key as libraries take it."""
        return self._key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self.raw == other.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return f"PublicKey({self.raw.hex()})"


class KeyPair:
    """A key that signs, with its public half. `seed` is 32 bytes, drawn at random by whoever makes it."""

    def __init__(self, seed: bytes) -> None:
        """Raises `IdentityRefused` where `seed` has another length."""
        if len(seed) != KEY_BYTES:
            raise refused(Reason.KEY_MALFORMED, f"a private key has {KEY_BYTES} bytes, and not {len(seed)}")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey(self._key.public_key().public_bytes_raw())

    @classmethod
    def from_pem(cls, text: bytes) -> "KeyPair":
        """A key as `pem` writes it, or OpenSSL. Raises `IdentityRefused`."""
        try:
            key = load_pem_private_key(text, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it has a password
            raise refused(Reason.KEY_MALFORMED, f"this is no private key in PEM: {_first_line(error)}") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise refused(Reason.KEY_MALFORMED, "the private key is of another kind than Ed25519")
        return cls(key.private_bytes_raw())

    @property
    def pem(self) -> bytes:
        """The private key in PKCS 8, without a password."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes."""
        return self._key.sign(message)

    @cached_property
    def sealing_key(self) -> X25519PrivateKey:
        """The private half of `PublicKey.sealing_key`: the scalar that Ed25519 makes of the seed (RFC 8032, 5.1.5)."""
        return X25519PrivateKey.from_private_bytes(hashlib.sha512(self._key.private_bytes_raw()).digest()[:KEY_BYTES])

    def library_key(self) -> Ed25519PrivateKey:
        """The key as libraries take it."""
        return self._key

    def __repr__(self) -> str:
        return f"KeyPair(of {self.public!r})"


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:100]
