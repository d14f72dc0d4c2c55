"""Who is connected and was not let in yet, over whatever transport: how many there are, and what they cost, is bounded.

Rules:

1. There are `STRANGERS_MAX` at most. One more, and one of the address goes of which the most are here: whoever opens
   many connections makes room for others by his own. Of two addresses with as many it is not the newcomer's.
2. Of that address the oldest goes. Others of it have no claim to the place of one that came less than `STRANGER_S_MIN`
   ago: else whoever comes quickly enough would take that of each who has a slow link, before it can say hello. The
   newcomer is sent away then.
3. Who is lost while something of what it said waits for its turn counts until that was done. Where it gives way, that
   is given up.
4. What they cause is done in turns, in one flow for each address; see `fair_queue`.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from crdt_sync import limits
from crdt_sync.runtime.hosting.fair_queue import FairQueue
from crdt_sync.runtime.hosting.flow import Flow
from crdt_sync.runtime.network import network_of


class Connection(Protocol):
    """A transport."""

    def abort(self) -> None:
        """End it now."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """See `asyncio.BaseTransport`."""


class Strangers:
    """See the module. Times are of the loop's clock."""

    def __init__(self, loop: asyncio.AbstractEventLoop, queue: FairQueue) -> None:
        self._loop = loop
        self._queue = queue
        self._addresses: dict[Connection, str] = {}
        self._here: dict[str, dict[Connection, float]] = {}  # by address, with when they came, the oldest first
        self._lingering: dict[Connection, Callable[[], object]] = {}  # those that are lost, and what gives up the rest

    def __len__(self) -> int:
        return len(self._addresses)

    def come(self, connection: Connection) -> bool:
        """Somebody has connected; False: it is to be sent away."""
        address, now = address_of(connection), self._loop.time()
        beside = self._here.setdefault(address, {})
        beside[connection] = now
        self._addresses[connection] = address
        if len(self._addresses) <= limits.STRANGERS_MAX:
            return True
        fullest = max(self._here.values(), key=lambda each: (len(each), each is not beside))
        oldest, since = next(iter(fullest.items()))
        if fullest is beside and now - since < limits.STRANGER_S_MIN:
            self.leave(connection)
            return False
        give_up = self._lingering.get(oldest, oldest.abort)
        self.leave(oldest)
        give_up()
        return oldest is not connection

    def linger(self, connection: Connection, give_up: Callable[[], object]) -> bool:
        """It is lost, and counts until `leave` all the same; `give_up` is called where it gives way before. False: it
        counts no more.
        """
        if connection not in self._addresses:
            return False
        self._lingering[connection] = give_up
        return True

    def leave(self, connection: Connection) -> None:
        """It was let in, or is gone. May be called again."""
        self._lingering.pop(connection, None)
        address = self._addresses.pop(connection, None)
        if address is not None:
            beside = self._here[address]
            del beside[connection]
            if not beside:
                del self._here[address]

    def move(self, connection: Connection, address: str) -> None:
        """It came through a proxy, from that address, and counts there."""
        before = self._addresses.get(connection)
        if before is not None:
            since = self._here[before][connection]
            lingering = self._lingering.pop(connection, None)
            self.leave(connection)
            self._addresses[connection] = address
            self._here.setdefault(address, {})[connection] = since
            if lingering is not None:
                self._lingering[connection] = lingering

    def flow(self, connection: Connection) -> Flow:
        """The flow of what it causes."""
        address = self._addresses.get(connection)
        return self._queue.stranger(address_of(connection) if address is None else address)

    def take(self, connection: Connection, step: Callable[[], None]) -> None:
        """Run `step` now, or when its turn comes."""
        self._queue.take(self.flow(connection), step)

    async def turn(self, connection: Connection, counted_s: float) -> None:
        """Return when it is its turn for what takes about so many seconds, unless it is a stranger no more."""
        if connection in self._addresses:
            await self._queue.wait(self.flow(connection), _nothing, counted_s)


def address_of(connection: Connection) -> str:
    """Where it comes from, or the network of that; the same for all of whom it is not known."""
    peer = connection.get_extra_info("peername")
    return network_of(str(peer[0])) if peer else ""


def _nothing() -> None:
    """What is done follows in a task."""
