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
    merged = joined(mended(updates))
    if state_vector == vectors.EMPTY:
        return merged
    vectors.decode(state_vector)
    return yrs.get_update(merged, state_vector)
