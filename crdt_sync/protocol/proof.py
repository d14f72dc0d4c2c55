"""How two devices prove to each other that they know the space's token, without telling it.

Each side gives a nonce with the websocket's upgrade, as the headers below. The acceptor proves itself in the answer to
the upgrade, the dialer with the token field of its hello: so nothing is added to the round trips. A proof is
HMAC-SHA256, keyed with the token, over who proves, both nonces, and the binding: the SHA-256 of the acceptor's
certificate, or nothing without TLS. A stranger between the two has another certificate, so what either side proves to
him is worth nothing to the other (RFC 5929, tls-server-end-point, is the same idea). Pure.
"""

import hashlib
import hmac
from dataclasses import dataclass

NONCE_HEADER = "Crdt-Sync-Nonce"  # 16 bytes in hexadecimal, from both sides
PROOF_HEADER = "Crdt-Sync-Proof"  # the acceptor's proof, 32 bytes in hexadecimal
REPLICA_HEADER = "Crdt-Sync-Replica"  # the acceptor's replica id in hexadecimal, so that the dialer knows its cursor
NONCE_BYTES = 16
PROOF_BYTES = 32
SPACE_BYTES = 8
_CONTEXT = b"crdt-sync proof 1"
_SPACE = b"crdt-sync space 1"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One handshake, as both sides see it: its nonces, and the certificate that it is bound to."""

    dialer_nonce: bytes
    acceptor_nonce: bytes
    binding: bytes

    def dialer(self, token: str) -> str:
        """The dialer's proof, in hexadecimal."""
        return self._proof(token, b"dialer")

    def acceptor(self, token: str) -> str:
        """The acceptor's proof, in hexadecimal."""
        return self._proof(token, b"acceptor")

    def _proof(self, token: str, role: bytes) -> str:
        parts = (_CONTEXT, role, self.dialer_nonce, self.acceptor_nonce, self.binding)
        material = b"".join(len(part).to_bytes(2, "big") + part for part in parts)
        return hmac.new(token.encode(), material, hashlib.sha256).hexdigest()


def equal(proof: str, expected: str) -> bool:
    """Whether two proofs are the same, in a time that tells nothing of where they differ."""
    return hmac.compare_digest(proof.encode("utf-8", "replace"), expected.encode())


def read_nonce(text: str | None) -> bytes | None:
    """The nonce of a header; None where it is none."""
    return _read(text, NONCE_BYTES)


def read_replica(text: str | None) -> bytes | None:
    """The replica id of a header; None where it is none."""
    return _read(text, 16)


def space_of(token: str) -> bytes:
    """What tells the devices of one space from others that are near: 8 bytes that do not tell the token."""
    return hmac.new(token.encode(), _SPACE, hashlib.sha256).digest()[:SPACE_BYTES]


def _read(text: str | None, count: int) -> bytes | None:
    if text is None or len(text) != 2 * count:
        return None
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None
