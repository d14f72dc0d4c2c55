"""What a device of a space with identities tells the network, so that others of its space find it by its key.

A *label*, in hexadecimal: 8 random bytes, drawn at each start; a hint, by which who knows the device's id knows it
again; and a tag, by which who knows the space's id knows that somebody who knows it made both. To everybody else a
label is noise, and another one after each start. The name is encrypted with a key that follows from the space's id.

None of it proves anything: a member may announce what he likes, and what was announced may be repeated. It tells whom
to ask for a proof, and keeps those who know nothing of the space from being asked at all.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from crdt_sync.limits import ACTOR_LENGTH_MAX

_PART_BYTES = 8
LABEL_LENGTH = 2 * 3 * _PART_BYTES


@dataclass(frozen=True, slots=True)
class Beacon:
    """What one device announces: a label, and its name as it is encrypted."""

    label: str
    name: bytes


@dataclass(frozen=True, slots=True)
class Seen:
    """Who a beacon says it is: the id of a device, empty where none of those that are known fits, and its name."""

    device: bytes
    name: str


def beacon(space: bytes, device: bytes, name: str) -> Beacon:
    """A new one."""
    nonce = secrets.token_bytes(_PART_BYTES)
    hint = _hint(space, nonce, device)
    sealed = _cipher(space, nonce).encrypt(bytes(12), name.encode(), hint)
    return Beacon((nonce + hint + _tag(space, nonce, hint)).hex(), sealed)


class Lookout:
    """Reads the beacons of one space, whose `devices` are known by their ids."""

    def __init__(self, space: bytes, devices: Iterable[bytes]) -> None:
        self._space = space
        self._devices = tuple(devices)

    def is_of_space(self, label: str) -> bool:
        """Whether somebody who knows the space made a label."""
        return self._parts(label) is not None

    def seen(self, label: str, name: bytes) -> Seen | None:
        """Who it says it is; None where it is none of this space."""
        parts = self._parts(label)
        if parts is None:
            return None
        nonce, hint = parts
        device = next((each for each in self._devices if _hint(self._space, nonce, each) == hint), b"")
        try:
            told = _cipher(self._space, nonce).decrypt(bytes(12), name, hint).decode("utf-8", "replace")
        except InvalidTag:
            return None
        return Seen(device, told[:ACTOR_LENGTH_MAX])

    def _parts(self, label: str) -> tuple[bytes, bytes] | None:
        try:
            raw = bytes.fromhex(label[:LABEL_LENGTH])  # what follows was added as two were the same
        except ValueError:
            return None
        nonce, hint, tag = (raw[at : at + _PART_BYTES] for at in range(0, 3 * _PART_BYTES, _PART_BYTES))
        return (nonce, hint) if tag == _tag(self._space, nonce, hint) else None


def _hint(space: bytes, nonce: bytes, device: bytes) -> bytes:
    return blake2b(device, digest_size=_PART_BYTES, key=space, salt=nonce, person=b"beacon device").digest()


def _tag(space: bytes, nonce: bytes, hint: bytes) -> bytes:
    return blake2b(hint, digest_size=_PART_BYTES, key=space, salt=nonce, person=b"beacon space").digest()


def _cipher(space: bytes, nonce: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(blake2b(b"", digest_size=32, key=space, salt=nonce, person=b"beacon name").digest())
