"""Parts of a bundle encrypted and authenticated: with a key made of the space's token, or one that was sealed.

Of a token the key is made by HKDF-SHA256 of the token and a random salt, so each bundle has its own, and the number of
a chunk can be its nonce. Each chunk is bound to the checksum of the header, its kind and its number: none can be
moved, dropped, or put into another bundle, and the header, which is readable without the token, cannot be changed
either.

HKDF is for tokens as `crdt-relay token` makes them. It does not slow down the guessing of a weak one.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crdt_sync.exchange.bundle.frames import Kind
from crdt_sync.exchange.bundle.header import CHECK_BYTES, Protection

TAG_BYTES = 16
KEY_BYTES = 32
_PURPOSE = b"crdt-sync bundle 1"


class Key:
    """The key of one bundle, 32 bytes. `protection` belongs into its header, where it was made of a token."""

    def __init__(self, key: bytes, protection: Protection | None = None) -> None:
        self._cipher = ChaCha20Poly1305(key)
        self.protection = protection

    @classmethod
    def of_token(cls, token: str, salt: bytes) -> "Key":
        """The key that holders of a token make."""
        made = HKDF(SHA256(), KEY_BYTES + CHECK_BYTES, salt, _PURPOSE).derive(token.encode("utf-8", "surrogatepass"))
        return cls(made[:KEY_BYTES], Protection(salt, made[KEY_BYTES:]))

    def seal(self, pinned: bytes, kind: Kind, number: int, content: bytes, beside: bytes = b"") -> bytes:
        """`content` encrypted, with a tag over it, over `beside` and over its place behind the header `pinned`."""
        return self._cipher.encrypt(_nonce(number), content, _place(pinned, kind, number, beside))

    def open(self, pinned: bytes, kind: Kind, number: int, sealed: bytes, beside: bytes = b"") -> bytes:
        """What `seal` was given. Raises `ValueError`."""
        try:
            return self._cipher.decrypt(_nonce(number), sealed, _place(pinned, kind, number, beside))
        except InvalidTag:
            raise ValueError("was not written by a holder of its key") from None


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


def _place(pinned: bytes, kind: Kind, number: int, beside: bytes) -> bytes:
    return pinned + bytes([kind]) + number.to_bytes(8, "big") + beside
