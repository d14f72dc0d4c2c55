"""How a signature stands in an entry: its last element."""

from collections.abc import Sequence
from typing import Any, Final

from crdt_sync.identity.base64url import decoded, encoded

_PREFIX: Final = "sig:"
_DEVICE_BYTES: Final = 16
_SIGNATURE_BYTES: Final = 64
_LENGTH: Final = len(_PREFIX) + -(-8 * (_DEVICE_BYTES + _SIGNATURE_BYTES) // 6)


def signature_text(device: bytes, signature: bytes) -> str:
    """The element."""
    return _PREFIX + encoded(device + signature)


def signature_of(entry: Sequence[Any]) -> tuple[bytes, bytes] | None:
    """The device that an entry says it is signed by, and the signature; None where it has none."""
    if not _has(entry):
        return None
    raw = decoded(entry[-1][len(_PREFIX) :])
    return None if raw is None else (raw[:_DEVICE_BYTES], raw[_DEVICE_BYTES:])


def bare(entry: Sequence[Any]) -> list[Any]:
    """An entry without its signature."""
    return list(entry[:-1] if _has(entry) else entry)


def _has(entry: Sequence[Any]) -> bool:
    if len(entry) < 4 or not isinstance(entry[-1], str):
        return False
    return len(entry[-1]) == _LENGTH and entry[-1].startswith(_PREFIX)
