"""Who is connected over websockets, and that strangers give way where too many are: the oldest first, as over HTTP."""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Guest(Protocol):
    """A connection."""

    @property
    def is_stranger(self) -> bool:
        """Whether no frame was received on it yet, or it is ending."""

    def cut_off(self) -> None:
        """End it now."""


G = TypeVar("G", bound=Guest)


class Places(Generic[G]):
    """`places_max` connections, those of another transport counted (`others`); beyond them strangers give way."""

    def __init__(self, places_max: int, others: Callable[[], int]) -> None:
        self._places_max = places_max
        self._others = others
        self._strangers: dict[G, None] = {}  # oldest first, and some that are strangers no more
        self.taken: set[G] = set()

    @property
    def full(self) -> bool:
        """Whether more are here than may be."""
        return len(self.taken) + self._others() > self._places_max

    def come(self, newcomer: G) -> None:
        """Somebody has connected."""
        self.taken.add(newcomer)
        self.make_way()
        self._strangers[newcomer] = None

    def leave(self, guest: G) -> None:
        """The connection has ended."""
        self.taken.discard(guest)
        self._strangers.pop(guest, None)

    def make_way(self) -> bool:
        """Cut strangers off while the places are full. Returns whether they are full all the same."""
        while self.full and self._strangers:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            if oldest.is_stranger:
                self.taken.discard(oldest)
                oldest.cut_off()
        return self.full
