"""Who is connected over websockets, and that strangers give way where too many are.

Those go first of whose address the most are here, the oldest of them first: whoever opens many connections makes room
for others by his own.
"""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Guest(Protocol):
    """A connection."""

    @property
    def address(self) -> str:
        """Where it comes from, or the network of that."""

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
        # By address, the oldest first, and some that are strangers no more.
        self._strangers: dict[str, dict[G, None]] = {}
        self.taken: set[G] = set()

    @property
    def full(self) -> bool:
        """Whether more are here than may be."""
        return len(self.taken) + self._others() > self._places_max

    def come(self, newcomer: G) -> None:
        """Somebody has connected."""
        self.taken.add(newcomer)
        self.make_way()
        self._strangers.setdefault(newcomer.address, {})[newcomer] = None

    def move(self, guest: G, move: Callable[[], None]) -> None:
        """Its address is another one since `move`, which this calls."""
        waited = guest in self._strangers.get(guest.address, {})
        self._forget(guest)
        move()
        if waited:
            self._strangers.setdefault(guest.address, {})[guest] = None

    def leave(self, guest: G) -> None:
        """The connection has ended."""
        self.taken.discard(guest)
        self._forget(guest)

    def make_way(self) -> bool:
        """Cut strangers off while the places are full. Returns whether they are full all the same."""
        while self.full and self._strangers:
            fullest: dict[G, None] = max(self._strangers.values(), key=len)
            oldest = next(iter(fullest))
            self._forget(oldest)
            if oldest.is_stranger:
                self.taken.discard(oldest)
                oldest.cut_off()
        return self.full

    def _forget(self, guest: G) -> None:
        beside = self._strangers.get(guest.address, {})
        beside.pop(guest, None)
        if not beside:
            self._strangers.pop(guest.address, None)
