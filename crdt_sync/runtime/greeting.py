"""How a device of a space proves itself to whoever it calls, and has that one prove itself first.

The nonces, and how far each side knows what the space said, travel with the transport's own greeting; the device's
proof is the token of its hello (`crdt_sync.identity.handshake`).
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crdt_sync.errors import IdentityRefused, Unreachable
from crdt_sync.identity.claims import Claims
from crdt_sync.identity.handshake import Handshake
from crdt_sync.identity.known import KNOWS_HEADER, STATEMENT_HEADER, Known, read_known, read_statement
from crdt_sync.identity.refusals import Reason, refused
from crdt_sync.limits import STATEMENTS_LEADING_MAX
from crdt_sync.membership.member import Membership
from crdt_sync.protocol import proof

Told = Callable[[str], Sequence[str]]
"""The values of a header, by its name."""


class LedOn(Unreachable):
    """More keys of the space were heard than are told at once: another connection brings the next ones."""


@dataclass(frozen=True, slots=True)
class Met:
    """Who answered, proved: what to say as token in the hello, and how far the other side knows what the space said.

    `replica` is that of a device, and `claims` what its token says.
    """

    token: str
    known: Known
    replica: bytes | None = None
    claims: Claims | None = None


_NOT_HERE = (
    "The space is closed there, or was never there: check the address, and ask who runs the space. What was not sent "
    "is kept on this device. If that relay is of an old release, update it."
)


class Greeting:
    """One connection that `member` opens, to another device where `direct`, else to a relay."""

    def __init__(self, member: Membership, *, direct: bool) -> None:
        self._member = member
        self._direct = direct
        self._nonce = secrets.token_bytes(proof.NONCE_BYTES)
        self.headers = ((proof.NONCE_HEADER, self._nonce.hex()), (KNOWS_HEADER, str(member.known)))

    def met(self, told: Told, binding: bytes, whom: str) -> Met:
        """What `whom` told in the answer; `binding` is the SHA-256 of its certificate, or nothing without TLS.

        Raises `IdentityRefused` where it does not prove who it is: nothing is to be said to it then. Raises `LedOn`
        where it may prove that the next time.
        """
        nonce, known = proof.read_nonce(_one(told(proof.NONCE_HEADER))), read_known(_one(told(KNOWS_HEADER)))
        shown = _one(told(proof.PROOF_HEADER))
        if nonce is None or known is None or shown is None:
            message = f"{whom} does not prove that it is of this space"
            if self._direct:
                raise refused(Reason.PROOF_MALFORMED, message)
            raise IdentityRefused(Reason.PROOF_MALFORMED, message, _NOT_HERE)
        handshake = Handshake(self._member.space, self._nonce, nonce, binding)
        led = self._led_on(told(STATEMENT_HEADER))
        try:
            if self._direct:
                return self._met_device(handshake, shown, known, told)
            handshake.check_space(shown, self._member.statements.keys)
        except IdentityRefused as error:
            if led == STATEMENTS_LEADING_MAX:
                raise LedOn(f"{whom} has changed its key several times", "Try again: some were heard.") from error
            raise
        return Met(self._credential(handshake), known)

    def _led_on(self, headers: Sequence[str]) -> int:
        """Take the newer keys of the space that the other side tells; how many it told."""
        told = headers[:STATEMENTS_LEADING_MAX]
        raws = [raw for raw in map(read_statement, told) if raw is not None]
        if raws:
            self._member.hear(raws)
        return len(raws)

    def _met_device(self, handshake: Handshake, shown: str, known: Known, told: Told) -> Met:
        member = self._member
        member.check_out()  # who is out has nothing to say to other devices
        claims = handshake.check_device("acceptor", shown, member.tokens, member.now())
        member.check_user(claims.user)
        replica = proof.read_replica(_one(told(proof.REPLICA_HEADER)))
        token = handshake.prove_device("dialer", member.pair, member.facts.token)
        return Met(token, known, replica, claims)

    def _credential(self, handshake: Handshake) -> str:
        """What the device shows to who speaks for its space."""
        member = self._member
        if member.handing_in:
            return handshake.hand_in(member.pair)
        if member.wiping:
            return handshake.confirm_wiped(member.pair)
        if member.login:
            return handshake.login(member.pair, member.login)
        if member.secret:
            return handshake.enrol(member.pair, member.secret)
        if member.renews(member.now()):
            return handshake.renew(member.pair)
        return handshake.prove_device("dialer", member.pair, member.facts.token)


def _one(values: Sequence[str]) -> str | None:
    return values[0] if len(values) == 1 else None
