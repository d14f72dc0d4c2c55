"""A device that was told to destroy what it holds does so, and confirms it to a relay of its space.

Both may be cut short, and are begun again whenever the device would sync: the order is kept until it was confirmed.
"""

import asyncio
import secrets
import time
from contextlib import suppress
from pathlib import Path

from crdt_sync.errors import CrdtSyncError, IdentityRefused, StoreError
from crdt_sync.identity.refusals import Reason
from crdt_sync.membership import folder as kept
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import Bye, Hello
from crdt_sync.protocol.versions import NEWEST, VERSIONS
from crdt_sync.runtime.address import Address
from crdt_sync.runtime.transports.channel import Channel, ChannelClosed, Open
from crdt_sync.storage.wiping import wipe

_ANSWER_S = 10.0


async def wiped(folder: Path, address: Address | None, open_channel: Open) -> IdentityRefused:
    """Destroy what is in `folder`, whose store is closed, and confirm it to the relay at `address`.

    Returns what to tell people. Raises `StoreError` where it cannot be destroyed.
    """
    await asyncio.to_thread(wipe, folder)
    confirmed = address is not None and not address.direct and await _confirmed(address, open_channel)
    if confirmed:
        with suppress(OSError, StoreError):
            await asyncio.to_thread(wipe, folder)  # what was learnt of the way to the relay
            await asyncio.to_thread(kept.forget, folder)
    told = "and the relay has noted that" if confirmed else "and the relay is to be told that yet: crdt-sync sync"
    message = f"this device was wiped, as its space ordered: what it held is gone, {told}"
    return IdentityRefused(Reason.DEVICE_REVOKED, message, "To join again, ask who runs the space for a new invite.")


async def _confirmed(address: Address, open_channel: Open) -> bool:
    """Whether a relay has noted that this device has nothing any more."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            opened = await open_channel(address)
            try:
                return await _told(opened.channel, opened.token)
            finally:
                await opened.channel.close()
    except (CrdtSyncError, ChannelClosed, TimeoutError):
        return False


async def _told(channel: Channel, shown: str) -> bool:
    """Say hello with nothing but that, and hear the answer. Raises `ChannelClosed`, `ProtocolViolation`."""
    now = time.time_ns() // 1000
    hello = Hello(VERSIONS, secrets.token_bytes(16), shown, now, None, follow=False, count=0, agent="crdt-sync")
    channel.send(codec.encode(hello))
    while True:
        answer = codec.decode(await channel.receive(), version=NEWEST)
        if isinstance(answer, Bye):
            return answer.code == Reason.DEVICE_REVOKED
