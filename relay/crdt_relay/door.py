"""Who is let into a space."""

import hmac
from collections.abc import Sequence
from typing import Any

import structlog

from crdt_relay.administration import Administration
from crdt_relay.authority import Authority
from crdt_relay.device_guest import introduced
from crdt_sync.policy.in_force import InForce
from crdt_sync.protocol.acceptor import Refusal
from crdt_sync.protocol.messages import Hello
from crdt_sync.protocol.principal import Principal, everybody
from crdt_sync.runtime.guests import IDENTITY_NEEDED, Guest, Told
from crdt_sync.runtime.hosting.engine import Engine


class Door:
    """Who is let in: whoever proves an identity where the space has those; else whoever presents one of the tokens, or
    anybody where there is none. `bound_to` is the SHA-256 of the certificate that devices see, or nothing.
    """

    def __init__(self, tokens: Sequence[str], bound_to: bytes = b"", log: Any = None) -> None:
        self.tokens = encoded(tokens)
        self.bound_to = bound_to
        self._log = log or structlog.get_logger("relay")
        self._authority: Authority | None = None

    def identify(self, engine: Engine, people: Administration) -> None:
        """Go by what the space said: at the start, and again whenever it said more."""
        if people.authority is not None:
            engine.people.identities = self._authority = people.authority
            engine.people_changed()

    def in_force(self) -> InForce | None:
        """The policy that is in force; None where the space has no identities."""
        return None if self._authority is None else self._authority.in_force()

    def introduce(self, told: Told) -> Guest | None:
        """See `Introduce`."""
        return None if self._authority is None else introduced(self._authority, self.bound_to, told, self._log)

    def authorise(self, hello: Hello) -> Principal | Refusal:
        """See `Authorise`. All are compared, so that the time tells nothing."""
        if self._authority is not None:
            return IDENTITY_NEEDED
        given = hello.token.encode()
        matches = [hmac.compare_digest(given, token) for token in self.tokens]
        if matches and not any(matches):
            return Refusal("unauthorized", "the token is not valid here")
        return everybody(hello)


def encoded(tokens: Sequence[str]) -> tuple[bytes, ...]:
    """Tokens as they are compared."""
    return tuple(token.encode() for token in tokens)
