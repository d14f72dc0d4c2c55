"""A checkpoint: which entry was the last at some time, signed with the space's key, to be kept elsewhere.

Whoever can write to the disk can write the log anew from some entry on, or cut its end, without a trace in itself. It
cannot write it so that it fits a checkpoint that it does not hold.
"""

import json
from typing import Final, NamedTuple

from crdt_sync import limits
from crdt_sync.audit_log.chain import SEAL_BYTES
from crdt_sync.errors import IdentityRefused, InvalidCheckpoint
from crdt_sync.identity.keys import KEY_BYTES, SIGNATURE_BYTES, KeyPair, PublicKey
from crdt_sync.strict_cbor import dumps

_CONTEXT = b"crdt-sync audit checkpoint 1\x00"
_SPACE_BYTES = 16
_NUMBER_MAX = (1 << 63) - 1
_LENGTHS: Final = {"space": _SPACE_BYTES, "seal": SEAL_BYTES, "key": KEY_BYTES, "signature": SIGNATURE_BYTES}


class Checkpoint(NamedTuple):
    """The log of `space` had, `at` that time (µs since 1970), `number` entries, the last of that `seal`.

    `key` is the public one that signed it, and may be anybody's: see `signed_by`. Both are empty where the space has
    no key.
    """

    space: bytes
    number: int
    seal: bytes
    at: int
    key: bytes = b""
    signature: bytes = b""

    @property
    def text(self) -> str:
        """One line of JSON."""
        named = {name: value.hex() if isinstance(value, bytes) else value for name, value in self._asdict().items()}
        return json.dumps(named)

    @property
    def kid(self) -> str:
        """By which a space's key is named; empty where it is not signed."""
        return PublicKey(self.key).kid.hex() if self.key else ""

    def signed_by(self, trusted: PublicKey | None) -> bool:
        """Whether it was signed, with that key where one is given. Without one it only shows that nothing was changed
        since somebody signed it.
        """
        if not self.key or (trusted is not None and trusted.raw != self.key):
            return False
        return PublicKey(self.key).signed(_message(self), self.signature)


def checkpoint(space: bytes, number: int, seal: bytes, at: int, key: KeyPair | None) -> Checkpoint:
    """A checkpoint of now, signed where the space has a key."""
    made = Checkpoint(space, number, seal, at)
    if key is None:
        return made
    return made._replace(key=key.public.raw, signature=key.sign(_message(made)))


def read_checkpoint(text: str) -> Checkpoint:
    """What `text` is the text of. Raises `InvalidCheckpoint`."""
    try:
        if len(text) > limits.AUDIT_ABOUT_LENGTH_MAX:
            raise ValueError("it is too long")
        found = json.loads(text)
        raw = {name: bytes.fromhex(found[name]) for name in _LENGTHS}
        for name, value in raw.items():
            unsigned = name in {"key", "signature"} and not found["key"] and not found["signature"]
            if len(value) != (0 if unsigned else _LENGTHS[name]):
                raise ValueError(f"{name} has {len(value)} bytes")
        for name in ("number", "at"):
            if type(found[name]) is not int or not 0 <= found[name] <= _NUMBER_MAX:
                raise ValueError(f"{name} is none")
        if raw["key"]:
            PublicKey(raw["key"])
    except IdentityRefused as error:
        raise _invalid(error.message) from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _invalid(str(error)) from None
    return Checkpoint(raw["space"], found["number"], raw["seal"], found["at"], raw["key"], raw["signature"])


def _invalid(why: str) -> InvalidCheckpoint:
    return InvalidCheckpoint(
        f"this is no checkpoint of an audit log: {why}", "Give the file that 'crdt-relay audit checkpoint' wrote."
    )


def _message(made: Checkpoint) -> bytes:
    return _CONTEXT + dumps((made.space, made.number, made.seal, made.at))
