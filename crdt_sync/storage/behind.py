"""How much a reader of the feed has not read: counted where that is little, reckoned where it is much."""

from collections.abc import Iterable
from itertools import islice

from crdt_sync.limits import BEHIND_BYTES_MAX, BEHIND_SIZED_MAX


def reckon(records: int, sizes: Iterable[int]) -> tuple[int, int]:
    """Records and bytes. `sizes` are those of the records, and cost a read each: of many, the first stand for all."""
    sized = total = 0
    for size in islice(sizes, BEHIND_SIZED_MAX):
        sized, total = sized + 1, total + size
        if total >= BEHIND_BYTES_MAX:
            break
    return records, -(-total * records // max(sized, 1))
