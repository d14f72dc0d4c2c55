"""How far somebody knows what a space said, as both ends of a connection tell it before anything else.

As text, in the header `KNOWS_HEADER`: `KEYS.POLICY.REVOCATIONS.DEVICES.KID`, four versions and the newest key that is
known, as in `2.7.12.31.0123456789abcdef`. Statements of keys that the other end lacks travel beside it, one a header.
"""

import re
from dataclasses import dataclass

from crdt_sync.identity.base64url import decoded, encoded
from crdt_sync.identity.keys import KID_BYTES
from crdt_sync.identity.statements import Statements, Versions
from crdt_sync.limits import INTEGER_EXACT_MAX

KNOWS_HEADER = "Crdt-Sync-Knows"
STATEMENT_HEADER = "Crdt-Sync-Statement"
_KNOWS = re.compile(r"(0|[1-9]\d{0,15})\." * len(Versions._fields) + r"([0-9a-f]{16})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Known:
    """See the module. `kid` names the newest key."""

    versions: Versions
    kid: bytes

    def __post_init__(self) -> None:
        if len(self.kid) != KID_BYTES or not all(0 <= version <= INTEGER_EXACT_MAX for version in self.versions):
            raise ValueError("nobody knows so far")

    def __str__(self) -> str:
        return ".".join((*map(str, self.versions), self.kid.hex()))

    @classmethod
    def of(cls, statements: Statements) -> "Known":
        """How far these go."""
        return cls(statements.versions, statements.keys.newest.kid)


def read_known(text: str | None) -> Known | None:
    """What a header says; None where it says nothing of the kind."""
    found = _KNOWS.fullmatch(text or "")
    if found is None:
        return None
    *versions, kid = found.groups()
    numbers = Versions(*map(int, versions))
    return Known(numbers, bytes.fromhex(kid)) if max(numbers) <= INTEGER_EXACT_MAX else None


def statement_text(raw: bytes) -> str:
    """A statement of keys as a header carries it."""
    return encoded(raw)


def read_statement(text: str) -> bytes | None:
    """The statement in a header; None where it is none."""
    return decoded(text)
