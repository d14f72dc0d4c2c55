"""Marks of a store: numbers of its log, encrypted by a key of the store, so that they tell nothing to who is given
them.

They are AES-SIV (RFC 5297) over the number and what no other mark has: the store's life, the session, and how many
marks it was given before. The user and the replica are authenticated with it. Were two marks of one number equal, they
would show that nothing was written in between.
"""

from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from crdt_sync.principal import Principal
from crdt_sync.protocol.entries import MARK_BYTES

SECRET_BYTES = 32
_NUMBER_BYTES, _PART_BYTES = 8, 4
_PART = (1 << 8 * _PART_BYTES) - 1


class StoreMarks:
    """The marks of one session; see `protocol.marks.Marks`. `session` is its number in this `life` of the store."""

    def __init__(self, secret: bytes, life: bytes, session: int, principal: Principal) -> None:
        cipher = AESSIV(secret)
        self._encrypt: Callable[[bytes, list[bytes]], bytes] = cipher.encrypt
        self._decrypt: Callable[[bytes, list[bytes]], bytes] = cipher.decrypt
        self._whose = [principal.user.encode(), principal.device]
        self._unlike = life[:_PART_BYTES] + (session & _PART).to_bytes(_PART_BYTES, "big")
        self._made = 0

    def make(self, number: int) -> bytes:
        """See `Marks.make`."""
        self._made = (self._made + 1) & _PART
        plain = number.to_bytes(_NUMBER_BYTES, "big") + self._unlike + self._made.to_bytes(_PART_BYTES, "big")
        return self._encrypt(plain, self._whose)

    def read(self, mark: bytes) -> int | None:
        """See `Marks.read`."""
        if len(mark) != MARK_BYTES:
            return None
        try:
            plain = self._decrypt(mark, self._whose)
        except InvalidTag:
            return None
        return int.from_bytes(plain[:_NUMBER_BYTES], "big")
