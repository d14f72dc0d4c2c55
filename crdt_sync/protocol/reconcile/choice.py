"""Whether a range that differs is listed at once or split further. A matter of cost, so each side chooses freely."""

from collections.abc import Iterable
from math import isqrt

from crdt_sync import limits
from crdt_sync.protocol.reconcile.run import Compare, Todo

ITEM_BYTES = 44  # a record id, front coded, and its digest
PRINT_BYTES = 20  # a count, a fingerprint and a short bound
_ROUND_WORTH = 1.25  # a list may cost a quarter more than a split, which costs a round
_ALWAYS_LISTED_RECORDS = limits.RECONCILE_LEAF_RECORDS // 4
_LEVELS_BYTES_PER_RECORD = 2 * PRINT_BYTES / limits.RECONCILE_LEAF_RECORDS  # splits on all levels, down to half a leaf


class Choice:
    """The choice for the ranges of one message, by what is known of them together.

    `different_share` is the share of records that differ by the listings of this run so far. How many of the leaves
    compared now differ says more: if all do, most of their records probably do, too.
    """

    def __init__(self, todo: Iterable[Todo], different_share: float, frame_bytes: int) -> None:
        leaves = [leaf for leaf in todo if isinstance(leaf, Compare) and leaf.ours <= limits.RECONCILE_LEAF_RECORDS]
        different = [leaf for leaf in leaves if not leaf.equal]
        self._crowded = sum(leaf.ours for leaf in different) * ITEM_BYTES > frame_bytes
        self._share = different_share
        if different:
            records = sum(leaf.theirs.records for leaf in leaves) / len(leaves)
            equal_share = (len(leaves) - len(different) + 0.5) / (len(leaves) + 0.5)
            self._share = max(self._share, 1 - equal_share ** (1 / records))

    def parts(self, ours: int, theirs: int) -> int:
        """Into how many parts to split a range of so many records on either side; 0 to list it.

        As long as the lists of all leaves fit the frame, they save a round. Beyond that they would cost rounds.
        """
        if ours <= _ALWAYS_LISTED_RECORDS or (ours <= limits.RECONCILE_LEAF_RECORDS and not self._crowded):
            return 0
        share = max(self._share, abs(ours - theirs) / max(ours, theirs))
        if ours <= limits.RECONCILE_LEAF_RECORDS:
            parts = isqrt(2 * ours)  # where the prints cost about as much as the list of the one part that differs
            splits = parts * PRINT_BYTES + _expected(theirs, theirs / parts, share)
        else:
            parts = limits.RECONCILE_FAN_OUT
            splits = theirs * _LEVELS_BYTES_PER_RECORD + _expected(theirs, limits.RECONCILE_LEAF_RECORDS, share)
        return 0 if ours * ITEM_BYTES <= _ROUND_WORTH * splits else parts


def _expected(records: int, together: float, share: float) -> float:
    """The bytes of those lists of `together` records each in which something differs."""
    all_equal: float = (1 - share) ** together
    return records * ITEM_BYTES * (1 - all_equal)
