"""What a delete of a record says: the state vector that its author had seen, against which it holds; and the marks of
what sources said then of texts and was not in their fields, see `source_texts`: these are memories and no edits.

    [vector, stamp, actor]  or  [vector, stamp, actor, [mark, ...]]
"""

import base64
import binascii
from collections.abc import Collection, Iterable
from typing import Any

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


TEXTS_MAX = 64  # that one delete names


def texts_named(texts: Collection[str]) -> list[list[str]]:
    """What follows in an entry after its actor: `texts` are the marks of what its author had seen."""
    return [sorted(texts)[:TEXTS_MAX]] if texts else []


def texts_seen(entries: Iterable[Any]) -> set[str]:
    """The marks that entries name: anybody may have written something else."""
    named = [entry[3] for entry in entries if len(entry) > 3 and isinstance(entry[3], list)]
    return {each for marks in named for each in marks[:TEXTS_MAX] if isinstance(each, str)}
