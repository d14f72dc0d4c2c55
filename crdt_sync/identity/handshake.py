"""How both ends of a connection prove their keys to each other.

Each side draws a nonce for each connection. A proof is an Ed25519 signature over these, each prefixed with its length,
two bytes, big-endian: `crdt-sync proof 2`; what is proved, one of `ROLES`; the dialer's nonce; the acceptor's; the
binding, which is the SHA-256 of the acceptor's certificate (DER), or nothing without TLS; the space; and the SHA-256
of what the proof belongs to: the token, an id token, or the secret of an invite, or nothing. So a proof is worth
nothing on another connection, at the other end, behind another certificate, or with another token. Which of these it
was cannot be told: a signature holds or does not.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

from crdt_sync.identity.claims import Claims
from crdt_sync.identity.keys import KeyPair, PublicKey
from crdt_sync.identity.presented import Enrolment, LoggedIn, Renewal, SpaceProof, TokenProof, Unsent, Wiped, read
from crdt_sync.identity.refusals import Reason, refused
from crdt_sync.identity.space_keys import SpaceKeys
from crdt_sync.identity.tokens import Tokens
from crdt_sync.ids import SPACE_BYTES

CONTEXT = b"crdt-sync proof 2"
NONCE_BYTES = 16
BINDING_BYTES = 32
Role = Literal["dialer", "acceptor", "space", "enrol", "login", "renew", "wiped", "unsent"]
End = Literal["dialer", "acceptor"]


@dataclass(frozen=True, slots=True)
class Handshake:
    """One connection, as both ends see it. The nonces are 16 random bytes each; `binding` is 32 bytes, or none."""

    space: bytes
    dialer_nonce: bytes
    acceptor_nonce: bytes
    binding: bytes

    def __post_init__(self) -> None:
        sizes = len(self.space), len(self.dialer_nonce), len(self.acceptor_nonce)
        if sizes != (SPACE_BYTES, NONCE_BYTES, NONCE_BYTES) or len(self.binding) not in {0, BINDING_BYTES}:
            raise ValueError("a part of a handshake has another size")

    def prove_device(self, end: End, pair: KeyPair, token: str) -> str:
        """What a device shows at either end."""
        return str(TokenProof(token, pair.sign(self._signed(end, token.encode()))))

    def check_device(self, end: End, text: str, tokens: Tokens, now: int) -> Claims:
        """Which device is at the other end, `end`. Raises `IdentityRefused`.

        Whether its token holds still is told only to who proved the key.
        """
        shown = read(text, TokenProof)
        claims = tokens.read(shown.token)
        self._check(claims.key, self._signed(end, shown.token.encode()), shown.signature)
        tokens.check_standing(claims, now)
        return claims

    def prove_space(self, pair: KeyPair) -> str:
        """What a relay shows, which has the space's key."""
        return str(SpaceProof(pair.public.kid, pair.sign(self._signed("space", b""))))

    def check_space(self, text: str, keys: SpaceKeys) -> PublicKey:
        """With which key of the space the other end proves that it speaks for it. Raises `IdentityRefused`."""
        shown = read(text, SpaceProof)
        key = keys.find(shown.kid)
        if key is None:
            raise refused(
                Reason.PROOF_INVALID, f"the other side has the key {shown.kid.hex()}, which is none of this space"
            )
        self._check(key, self._signed("space", b""), shown.signature)
        return key

    def enrol(self, pair: KeyPair, secret: bytes) -> str:
        """What a device shows that has an invite. Only to who proved the space's key: the secret is for nobody else."""
        return str(Enrolment(secret, pair.public, pair.sign(self._signed("enrol", secret))))

    def check_enrolment(self, text: str) -> Enrolment:
        """The secret and the key of who comes with an invite, and has that key. Raises `IdentityRefused`."""
        shown = read(text, Enrolment)
        self._check(shown.key, self._signed("enrol", shown.secret), shown.signature)
        return shown

    def login(self, pair: KeyPair, token: str) -> str:
        """What a device shows whose user has logged in, and has this id token. Only to who proved the space's key."""
        return str(LoggedIn(token, pair.public, pair.sign(self._signed("login", token.encode()))))

    def check_login(self, text: str) -> LoggedIn:
        """The id token and the key of who comes with one, and has that key. Raises `IdentityRefused`."""
        shown = read(text, LoggedIn)
        self._check(shown.key, self._signed("login", shown.token.encode()), shown.signature)
        return shown

    def renew(self, pair: KeyPair) -> str:
        """What a device shows that asks for a new token, whatever became of its last one."""
        return str(Renewal(pair.public, pair.sign(self._signed("renew", b""))))

    def check_renewal(self, text: str) -> PublicKey:
        """The key of who asks for a new token, and has it. Raises `IdentityRefused`."""
        shown = read(text, Renewal)
        self._check(shown.key, self._signed("renew", b""), shown.signature)
        return shown.key

    def confirm_wiped(self, pair: KeyPair) -> str:
        """What a device shows that was to destroy what it held, and has."""
        return str(Wiped(pair.public, pair.sign(self._signed("wiped", b""))))

    def check_wiped(self, text: str) -> PublicKey:
        """The key of who says that it has destroyed what it held, and has that key. Raises `IdentityRefused`."""
        shown = read(text, Wiped)
        self._check(shown.key, self._signed("wiped", b""), shown.signature)
        return shown.key

    def hand_in(self, pair: KeyPair) -> str:
        """What a device shows that is out, and hands in for review what it had not sent."""
        return str(Unsent(pair.public, pair.sign(self._signed("unsent", b""))))

    def check_hand_in(self, text: str) -> PublicKey:
        """The key of who hands in what it had not sent, and has that key. Raises `IdentityRefused`."""
        shown = read(text, Unsent)
        self._check(shown.key, self._signed("unsent", b""), shown.signature)
        return shown.key

    def _signed(self, role: Role, subject: bytes) -> bytes:
        digest = hashlib.sha256(subject).digest() if subject else b""
        parts = (CONTEXT, role.encode(), self.dialer_nonce, self.acceptor_nonce, self.binding, self.space, digest)
        return b"".join(len(part).to_bytes(2, "big") + part for part in parts)

    def _check(self, key: PublicKey, signed: bytes, signature: bytes) -> None:
        if not key.signed(signed, signature):
            raise refused(Reason.PROOF_INVALID, "the other side does not prove its key on this connection")
