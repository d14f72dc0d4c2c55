"""Whoever the tests of identity are about, and what came of something."""

from collections.abc import Callable
from typing import TypeVar

from crdt_sync.errors import IdentityRefused
from crdt_sync.identity.keys import KeyPair
from crdt_sync.identity.refusals import NEXT_STEPS, Reason
from crdt_sync.identity.space_keys import SpaceKeys
from crdt_sync.identity.statement import Body, Statement
from crdt_sync.identity.tokens import claims_for, issue

Made = TypeVar("Made")

SPACE = bytes(range(16))
OTHER_SPACE = bytes(16)
SPACE_KEY, NEXT_KEY, LAST_KEY, FOREIGN_KEY = (KeyPair(bytes([number]) * 32) for number in range(1, 5))
PHONE, LAPTOP = (KeyPair(bytes([number]) * 32) for number in (11, 12))
DAY_US = 24 * 3600 * 1_000_000
NOW = 1_790_000_000_000_000  # microseconds since 1970


def outcome(call: Callable[[], Made]) -> tuple[str | None, Made | None]:
    """Why a call was refused, and else what it returned. Any other error is a failure of the test."""
    try:
        return None, call()
    except IdentityRefused as refusal:
        if refusal.hint != NEXT_STEPS[Reason(refusal.reason)] or not refusal.message:
            raise AssertionError("a refusal has a message, and the next step of its reason") from refusal
        return refusal.reason, None


def reason(call: Callable[[], object]) -> str | None:
    """Why a call was refused; None where it was not."""
    return outcome(call)[0]


def flipped(raw: bytes, bit: int) -> bytes:
    """`raw` with one bit changed; `bit` is of any size."""
    changed = bytearray(raw)
    changed[bit // 8 % len(raw)] ^= 1 << bit % 8
    return bytes(changed)


def said(body: Body, pair: KeyPair = SPACE_KEY, version: int = 1, space: bytes = SPACE, issued: int = NOW) -> bytes:
    """A statement of the space, or of somebody who would like to be it."""
    return Statement(space, version, issued, body).signed_by(pair)


def keys(*pairs: KeyPair) -> SpaceKeys:
    """The keys of a space."""
    return SpaceKeys(tuple(pair.public for pair in pairs))


def token(
    pair: KeyPair = PHONE, user: str = "anna", by: KeyPair = SPACE_KEY, space: bytes = SPACE, now: int = NOW
) -> str:
    """A token that the space issued, or somebody who would like to be it."""
    return issue(claims_for(space, user, pair.public, bytes(16), now), by)
