"""Which of several addresses are devices of our space: all are asked at once to prove it, and nothing is told to them.

So somebody who takes the name of another, or of many, is in nobody's way: not by answering, nor by not answering.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crdt_sync.errors import CrdtSyncError
from crdt_sync.identity.claims import Claims
from crdt_sync.runtime.address import Address
from crdt_sync.runtime.outside import OUTSIDE
from crdt_sync.runtime.transports.channel import Open

PROVE_S = 3.0  # on one network, beside strangers who never answer


@dataclass(frozen=True, slots=True)
class Proven:
    """An address where a device of our space is: its replica id, and what its token says where it has one."""

    address: Address
    replica: bytes
    claims: Claims | None


async def proven(
    addresses: Sequence[Address],
    enough: Callable[[Sequence[Proven]], bool] = lambda _: False,
    seconds: float = PROVE_S,
    open_channel: Open = OUTSIDE.open_channel,
) -> list[Proven]:
    """Those that prove it within `seconds`, in the order of their answers; sooner, once they are `enough`."""
    found: list[Proven] = []
    asked = {asyncio.create_task(_asked(address, open_channel)) for address in addresses}
    waiting = set(asked)
    try:
        async with asyncio.timeout(seconds):
            while waiting and not enough(found):
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                found += [answer for task in done if (answer := task.result()) is not None]
    except TimeoutError:
        pass
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    return found


async def _asked(address: Address, open_channel: Open) -> Proven | None:
    try:
        opened = await open_channel(address)
    except CrdtSyncError:
        return None
    opened.channel.abort()
    return None if opened.replica is None else Proven(address, opened.replica, opened.claims)
