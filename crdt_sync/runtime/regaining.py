"""A device that was locked for want of contact, and meets its relay: it is let in without its store being opened.

It asks for a new token: a token comes only to who is let in. What the space has said meanwhile is taken on the way, an
order to be wiped included.
"""

import asyncio
import secrets
import time
from pathlib import Path

from crdt_sync.errors import ConnectionLost, Timeout
from crdt_sync.membership.member import Membership
from crdt_sync.protocol import codec
from crdt_sync.protocol.effects import Closed
from crdt_sync.protocol.messages import Bye, Hello, NewToken, Said
from crdt_sync.protocol.versions import NEWEST, VERSIONS
from crdt_sync.runtime.address import Address
from crdt_sync.runtime.endings import as_error
from crdt_sync.runtime.member_talk import opened_by
from crdt_sync.runtime.transports.channel import Channel, ChannelClosed, Open
from crdt_sync.runtime.wiping import wiped

_ANSWER_S = 20.0


async def regained(folder: Path, member: Membership, address: Address, open_channel: Open) -> None:
    """Have the device let in whose closed store is in `folder`; `address`, that of its relay, names `member`.

    Raises `RemoteError`: `IdentityRefused` where it is out, and after it was wiped as the space ordered; `StoreError`.
    """
    member.renew()
    opened = await opened_by(open_channel, address)
    try:
        async with asyncio.timeout(_ANSWER_S):
            await _let_in(opened.channel, opened.token, member, address)
    except TimeoutError:
        raise Timeout(f"{address.whom} did not answer in time", "Try again.") from None
    except ChannelClosed:
        raise ConnectionLost(f"the connection to {address.url} was lost", "Try again.") from None
    finally:
        await opened.channel.close()
    if member.wiping:
        raise await wiped(folder, address, open_channel)


async def _let_in(channel: Channel, shown: str, member: Membership, address: Address) -> None:
    """Say hello with nothing but who this is, and hear the answer. Raises `ChannelClosed`, `RemoteError`,
    `StoreError`.
    """
    now = time.time_ns() // 1000
    hello = Hello(VERSIONS, secrets.token_bytes(16), shown, now, None, follow=False, count=0, agent="crdt-sync")
    channel.send(codec.encode(hello))
    while not member.wiping:
        match codec.decode(await channel.receive(), version=NEWEST):
            case Said(statements):
                member.hear(statements)
            case NewToken(token):
                issued = member.take_token(token).issued  # just now, by the relay's clock
                member.let_in(time.time_ns() // 1000, issued)
                return
            case Bye(code, message, retry_after_ms):
                again = None if retry_after_ms is None else retry_after_ms * 1000
                raise as_error(Closed(code, message, again, by_partner=True), address)
