"""What a delete of a record says: the state vector that its author had seen. It holds against all of that."""

import base64
import binascii

from crdt_sync.errors import UpdateRefused
from crdt_sync.records.updates import state_vector as vectors


def deletion_text(state_vector: bytes) -> str:
    """What a delete entry carries: the state vector that the deleter had seen, its own delete included."""
    return base64.urlsafe_b64encode(state_vector).decode("ascii").rstrip("=")


def seen_by(text: str) -> dict[int, int]:
    """The state vector that a delete entry carries; nothing where this program did not write it."""
    try:
        return vectors.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error, UpdateRefused):
        return {}  # not written by this program: it deletes nothing
