"""What a device does that hears that it is out: it hands in what it had not sent, where its space asks for that, and
destroys what it holds, where it is to.
"""

import asyncio
from contextlib import suppress

from crdt_sync.errors import IdentityRefused, StoreError
from crdt_sync.membership.member import Membership
from crdt_sync.replica import Replica
from crdt_sync.runtime.address import Address
from crdt_sync.runtime.handing_in import hand_in
from crdt_sync.runtime.transports.channel import Open
from crdt_sync.runtime.wiping import wiped


async def handed_in(replica: Replica, member: Membership, address: Address, open_channel: Open) -> str:
    """Hand in what is asked for, to the relay at `address`, or the one that is known where that is a device's; what to
    add to what people are told. Raises `StoreError`.
    """
    relay = Address(member.facts.address) if address.direct else address
    told = await hand_in(replica, member, relay, open_channel)
    return f": {told}" if told else ""


async def destroyed(replica: Replica, member: Membership, address: Address, open_channel: Open) -> IdentityRefused:
    """Destroy what this device holds, once it has tried to hand in what it had not sent. What to tell people is
    returned.
    """
    folder = replica.folder
    assert folder is not None, "what is kept of a membership is in a folder"
    told = ""
    with suppress(StoreError):  # a damaged store is wiped as well
        told = await handed_in(replica, member, address, open_channel)
    await asyncio.to_thread(replica.close)
    refusal = await wiped(folder, address, open_channel)
    return IdentityRefused(refusal.reason, refusal.message + told, refusal.hint)
