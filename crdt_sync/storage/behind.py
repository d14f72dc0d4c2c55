"""How much a reader of the feed has not read: counted where that is little, reckoned where it is much."""

from collections.abc import Sequence


def reckon(records: int, sized: Sequence[int]) -> tuple[int, int]:
    """Records and bytes: `sized` has the bytes of some of the records, whose average stands for the others."""
    if not records or not sized:
        return records, 0
    return records, -(-sum(sized) * records // len(sized))
