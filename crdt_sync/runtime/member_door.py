"""A device in a space with identities that others call: both prove their keys, by their tokens, asking nobody.

What either knows of who is out counts, the newest of it as soon as it is passed on.
"""

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress

from crdt_sync.errors import IdentityRefused
from crdt_sync.identity.claims import Claims
from crdt_sync.identity.handshake import Handshake
from crdt_sync.identity.known import KNOWS_HEADER, STATEMENT_HEADER, Known, read_known, statement_text
from crdt_sync.identity.statements import Statements
from crdt_sync.limits import STATEMENTS_LEADING_MAX
from crdt_sync.membership.contact import Standing
from crdt_sync.membership.member import Membership
from crdt_sync.protocol import proof
from crdt_sync.protocol.acceptor import Refusal
from crdt_sync.protocol.messages import Hello
from crdt_sync.protocol.principal import Principal
from crdt_sync.runtime.guests import Guest, Told, header, refusal, stranger
from crdt_sync.runtime.hosting.engine import Engine

_AGAIN_US = 60_000_000  # by then either may have met the relay


class MemberDoor:
    """See the module. `binding` is the SHA-256 of this device's certificate, empty without TLS; `wall` its clock."""

    def __init__(
        self, member: Membership, replica: bytes, binding: bytes, engine: Engine, wall: Callable[[], int]
    ) -> None:
        self._member = member
        self._wall = wall
        self._replica = replica
        self._binding = binding
        engine.people.identities = self
        self._engine = engine
        member.listen(self._news)
        engine.people_changed()

    def _news(self) -> None:
        """The device has heard something, in whatever thread."""
        with suppress(RuntimeError):  # the loop was closed a moment ago
            self._engine.loop.call_soon_threadsafe(self._engine.people_changed)

    @property
    def statements(self) -> Statements:
        """See `Identities`."""
        return self._member.statements

    def hear(self, statements: Sequence[bytes]) -> bool:
        """See `Identities`."""
        return self._member.hear(statements)

    def introduce(self, told: Told) -> Guest:
        """See `Introduce`."""
        nonce, known = proof.read_nonce(header(told, proof.NONCE_HEADER)), read_known(header(told, KNOWS_HEADER))
        if nonce is None or known is None:
            return Guest(stranger)
        handshake = Handshake(self._member.space, nonce, secrets.token_bytes(proof.NONCE_BYTES), self._binding)
        return _Member(self._member, self._replica, handshake, known, self._wall)


class _Member(Guest):
    """Another device that calls this one."""

    def __init__(
        self, member: Membership, replica: bytes, handshake: Handshake, known: Known, wall: Callable[[], int]
    ) -> None:
        leading = member.statements.leading(known.versions.keys, known.kid, STATEMENTS_LEADING_MAX)
        headers = [
            (proof.NONCE_HEADER, handshake.acceptor_nonce.hex()),
            (proof.PROOF_HEADER, handshake.prove_device("acceptor", member.pair, member.facts.token)),
            (proof.REPLICA_HEADER, replica.hex()),
            (KNOWS_HEADER, str(member.known)),
            *((STATEMENT_HEADER, statement_text(raw)) for raw in leading),
        ]
        super().__init__(self._admitted, headers, known.versions)
        self._member = member
        self._wall = wall
        self._handshake = handshake
        self._claims: Claims | None = None

    def check(self) -> Refusal | None:
        """See `Guest`."""
        try:
            if self._claims is not None:
                self._check(self._claims)
        except IdentityRefused as error:
            return self._refusal(error)
        return self._out()

    def _admitted(self, hello: Hello) -> Principal | Refusal:
        member = self._member
        if (out := self._out()) is not None:
            return out
        try:
            claims = self._handshake.check_device("dialer", hello.token, member.tokens, member.now())
            self._check(claims)
        except IdentityRefused as error:
            return self._refusal(error)
        self._claims = claims
        return Principal(claims.device, member.space, claims.user)

    def _check(self, claims: Claims) -> None:
        """Raises `IdentityRefused` where the caller may not exchange anything."""
        self._member.tokens.check_standing(claims, self._member.now())
        self._member.check_user(claims.user)

    def _out(self) -> Refusal | None:
        """Why nobody is let in where this device itself is out, as far as it has heard."""
        try:
            self._member.check_out()
        except IdentityRefused:
            return Refusal("unavailable", "the device that was called is out itself", _AGAIN_US)
        if self._member.standing(self._wall()) is not Standing.OPEN:
            return Refusal("unavailable", "the device that was called is locked: it met no relay for long", _AGAIN_US)
        return None

    def _refusal(self, error: IdentityRefused) -> Refusal:
        return refusal(error, self._member.statements, self.known, _AGAIN_US)
