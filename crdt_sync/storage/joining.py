"""Which space a store belongs to once it was told to join one."""

from crdt_sync.errors import ForeignSpace
from crdt_sync.ids import Space


def joining(ours: Space, space: bytes, *, leave: bool) -> Space:
    """The space afterwards. Raises `ForeignSpace` where another one was joined, unless `leave`."""
    if ours.joined and ours.id != space and not leave:
        raise ForeignSpace(f"space {space.hex()[:8]}")
    return Space(space, joined=True)
