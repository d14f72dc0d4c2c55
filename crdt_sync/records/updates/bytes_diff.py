"""What a partner lacks, computed on bytes: no document is built, so nothing is integrated."""

from collections.abc import Sequence

from crdt_sync.records import yrs
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.updates.halves import mended

NOTHING = b"\x00\x00"  # the update without operations and without deletions


def joined(updates: Sequence[bytes]) -> bytes:
    """One update with everything that is in these, of which there is one at least."""
    return updates[0] if len(updates) == 1 else yrs.merge_updates(*updates)


def diff(updates: Sequence[bytes], state_vector: bytes) -> bytes:
    """One update with everything in `updates` that a holder of `state_vector` lacks.

    `updates` are verified bytes of one record (its snapshot and what came after). Deletions are all included.
    Raises `UpdateRefused` ('malformed') for bytes that are no state vector.
    """
    if not updates:
        return NOTHING
    return _beyond(joined(mended(updates)), state_vector)


def parts(updates: Sequence[bytes], state_vector: bytes) -> tuple[bytes, ...]:
    """The same as several updates, to be integrated in order: none is larger than what it was stored as.

    Joined, they may be larger than a record may be: nothing is left out that was deleted since.
    """
    return tuple(part for part in (_beyond(update, state_vector) for update in mended(updates)) if part != NOTHING)


def _beyond(update: bytes, state_vector: bytes) -> bytes:
    if state_vector == vectors.EMPTY:
        return update
    vectors.decode(state_vector)
    return yrs.get_update(update, state_vector)
