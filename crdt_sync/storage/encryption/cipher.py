"""The cipher of a store: AES-256-GCM for values, keyed BLAKE2b for keys that must be found again.

Rules:

1. A nonce is never used twice under a key. Each `Cipher`, so each opening of a store, draws 12 random bytes, derives a
   key of its own from them, and counts what it seals. So neither a crash, nor a backup that was put back, nor a copy of
   the store that goes on by itself leads to the same key and number again.
2. What is sealed names the place that it is for, as associated data: it opens nowhere else.
3. A key on disk is the keyed hash of what it stands for, with the hash of its group before it, so that a group can be
   read by itself. It tells neither names nor their order, only what is equal.
"""

import os
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
ID_BYTES = 16
GROUP_BYTES = 8
NAME_BYTES = 16
TAG_BYTES = 16
SALT_BYTES = 12
NUMBER_BYTES = 6
_NONCE_BYTES = 12
_HEADER_BYTES = SALT_BYTES + NUMBER_BYTES
SEALED_BYTES = _HEADER_BYTES + TAG_BYTES  # what sealing adds
_NUMBER_PAD = bytes(_NONCE_BYTES - NUMBER_BYTES)
_FIRST_BLOCK = (2).to_bytes(4, "big")  # GCM's counter for the first block of what is encrypted
_SALTS_KEPT = 1024  # keys of openings that are kept derived: a kilobyte each
_NAMES_KEPT = 8192  # as many as a large commit touches


def key_id(key: bytes) -> bytes:
    """16 bytes by which a key is known, which tell nothing of it. Raises `ValueError` unless it has 32 bytes."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"a store's key has {KEY_BYTES} bytes, not {len(key)}")
    return blake2b(key=key, digest_size=ID_BYTES, person=b"crdt-sync key id").digest()


class Cipher:
    """Seals and opens rows under one key of 32 bytes. Thread-safe.

    `salt` draws 12 random bytes; nothing but a test hands in another one.
    """

    def __init__(self, key: bytes, salt: Callable[[], bytes] = lambda: os.urandom(SALT_BYTES)) -> None:
        self.id = key_id(key)
        self.key = key
        self._names = blake2b(key=key, digest_size=KEY_BYTES, person=b"crdt-sync names").digest()
        self._of_salt = lru_cache(_SALTS_KEPT)(self._derived)
        self.name = lru_cache(_NAMES_KEPT)(self._name)
        self.group = lru_cache(_SALTS_KEPT)(self._group)
        self._salt = salt()
        self._seal = self._of_salt(self._salt)[1].encrypt
        self._numbers = count()

    def seal(self, place: bytes, plain: bytes) -> bytes:
        """`plain` sealed for this place: salt (12), number (6), what is encrypted, tag (16)."""
        number = next(self._numbers).to_bytes(NUMBER_BYTES, "big")
        return b"".join((self._salt, number, self._seal(_NUMBER_PAD + number, plain, place)))

    def open(self, place: bytes, sealed: bytes) -> bytes | None:
        """What was sealed for this place; None where this is not it."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - imported with the first key

        try:
            aead = self._of_salt(sealed[:SALT_BYTES])[1]
            return aead.decrypt(_NUMBER_PAD + sealed[SALT_BYTES:_HEADER_BYTES], sealed[_HEADER_BYTES:], place)
        except (InvalidTag, ValueError):
            return None

    def legible(self, damaged: bytes) -> bytes:
        """What of a damaged value can still be read, or what damage made of it. Nothing of it is to be trusted."""
        from cryptography.hazmat.primitives.ciphers import Cipher as Stream  # noqa: PLC0415
        from cryptography.hazmat.primitives.ciphers import algorithms, modes  # noqa: PLC0415

        if len(damaged) < SEALED_BYTES:
            return b""
        nonce = _NUMBER_PAD + damaged[SALT_BYTES:_HEADER_BYTES]
        key = self._of_salt(damaged[:SALT_BYTES])[0]
        stream = Stream(algorithms.AES(key), modes.CTR(nonce + _FIRST_BLOCK)).decryptor()
        return stream.update(damaged[_HEADER_BYTES:-TAG_BYTES]) + stream.finalize()

    def _derived(self, salt: bytes) -> "tuple[bytes, AESGCM]":
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - most stores need none

        key = blake2b(salt, key=self.key, digest_size=KEY_BYTES, person=b"crdt-sync rows").digest()
        return key, AESGCM(key)

    def _group(self, group: bytes) -> bytes:
        return blake2b(group, key=self._names, digest_size=GROUP_BYTES, person=b"crdt-sync group").digest()

    def _name(self, name: bytes) -> bytes:
        group = self.group(group_of(name))
        return group + blake2b(name, key=self._names, digest_size=NAME_BYTES, person=b"crdt-sync name").digest()


def group_of(name: bytes) -> bytes:
    """What names of one group begin with: up to the first slash; all of a name that has none."""
    group, slash, _ = name.partition(b"/")
    return group + slash
