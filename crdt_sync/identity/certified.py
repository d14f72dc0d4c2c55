"""What devices sign beyond a session: checked later, by anybody of the space, without asking anybody.

A token is the space's word that a key is the device of a user. That it expires bounds sessions, and not what was signed
with the key. That the space retires the key which signed the token ends both: a thief could sign tokens of any date.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from crdt_sync.errors import IdentityRefused
from crdt_sync.identity.claims import Claims
from crdt_sync.identity.keys import KeyPair, PublicKey
from crdt_sync.identity.space_keys import SpaceKeys
from crdt_sync.identity.tokens import opened
from crdt_sync.limits import SIGNATURES_CACHED_MAX, TOKENS_CACHED_MAX
from crdt_sync.principal import Issuer

_HASH_BYTES = 16
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Verifier:
    """Checks what devices of a space signed, by the space's keys that hold. What was found is remembered by content."""

    def __init__(self, issuer: Issuer) -> None:
        self.space = issuer.space
        self._keys = SpaceKeys(tuple(map(PublicKey, issuer.keys)))
        self._known: dict[str, Claims | None] = {}
        self._checked: dict[bytes, bool] = {}

    def claims(self, token: str) -> Claims | None:
        """Whose device a token is of, be it expired; None for one that no key of the space has signed."""
        if token in self._known:
            return self._known[token]
        try:
            claims = opened(token, self.space, self._keys)[1]
        except IdentityRefused:
            claims = None
        _keep(self._known, token, claims, TOKENS_CACHED_MAX)
        return claims

    def holds(self, key: PublicKey, message: bytes, signature: bytes) -> bool:
        """Whether the signature is that key's, of that message."""
        told = hashlib.blake2b(key.raw + signature + message, digest_size=_HASH_BYTES).digest()
        if told in self._checked:
            return self._checked[told]
        good = key.signed(message, signature)
        _keep(self._checked, told, good, SIGNATURES_CACHED_MAX)
        return good


@dataclass(frozen=True, slots=True)
class DeviceSigner:
    """A device that signs: its key, and the token that says whose it is, which is checked as others will check it."""

    verifier: Verifier
    user: str
    token: str
    pair: KeyPair

    @property
    def device(self) -> bytes:
        """The id of the device, 16 bytes."""
        return self.pair.public.device


@lru_cache(maxsize=16)
def verifier_for(issuer: Issuer) -> Verifier:
    """The one that all of a process share."""
    return Verifier(issuer)


def _keep(known: dict[_Key, _Value], key: _Key, value: _Value, most: int) -> None:
    known[key] = value
    if len(known) > most:
        known.pop(next(iter(known)), None)
