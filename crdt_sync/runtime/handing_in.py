"""A device that was shut out, and whose space asks for that, hands in to its relay what it had not sent.

Rules:

1. It is asked for by a signed statement of the space, and goes to who proved the space's key alone.
2. It counts as handed in once the relay has it on its disk, and once only. It stays here, too.
3. It has an end: a device that is to be wiped comes again when the relay says, while there is time, and is wiped,
   whatever comes of it. Any other one tries once: its next contact is another occasion.
"""

import asyncio
import copy
from contextlib import suppress
from dataclasses import replace

from crdt_sync import limits
from crdt_sync.errors import CrdtSyncError, StoreError
from crdt_sync.membership.member import Membership
from crdt_sync.protocol import codec
from crdt_sync.protocol.handing_in import KEPT, TAKEN, pushes
from crdt_sync.protocol.messages import DONE, Bye, Hello, Message, Welcome
from crdt_sync.protocol.versions import NEWEST, PEOPLE, VERSIONS
from crdt_sync.replica import Replica
from crdt_sync.replica.handed_in import HandedIn, Unsent, note, noted, to_hand_in
from crdt_sync.replica.partner import Partner
from crdt_sync.runtime.address import Address
from crdt_sync.runtime.member_talk import opened_by
from crdt_sync.runtime.transports.channel import Channel, ChannelClosed, Open

_PAUSE_S_MIN = 1.0  # whatever the relay says


async def hand_in(replica: Replica, member: Membership, address: Address, open_channel: Open) -> str:
    """Hand in what is asked for and was not handed in before; what to tell people of it, nothing where nothing is asked
    for. `address` is the relay's. Raises `StoreError`.
    """
    if not member.asked_for_review:
        return ""
    if (before := noted(replica.store)) is not None:
        return f"what it had not sent by then, {_edits(before.records)}, was handed in for review"
    relay = Partner(replica, address.url).id
    unsent = await asyncio.to_thread(to_hand_in, replica.context, relay)
    if not unsent.entries:
        return "there was nothing that it had not sent"
    told = f"what it had not sent, {_edits(unsent.records)}, "
    seconds = limits.HAND_IN_BEFORE_WIPE_S if member.wiping else limits.HAND_IN_S_MAX
    try:
        async with asyncio.timeout(seconds) as time_left:
            said = await _handed_in(member, address, open_channel, replica.id, unsent)
            while member.wiping and (pause := _pause(said, time_left)) is not None:
                await asyncio.sleep(pause)
                said = await _handed_in(member, address, open_channel, replica.id, unsent)
    except TimeoutError:
        return told + "could not be handed in for review in time"
    except ChannelClosed:
        return told + "could not be handed in for review: the connection was lost"
    except StoreError:
        raise
    except CrdtSyncError as error:
        return told + f"could not be handed in for review: {error.message}"
    if said.code not in {KEPT, TAKEN}:
        return told + f"could not be handed in for review: {said.message}"
    with suppress(StoreError):  # the relay knows it, too
        note(replica.context, HandedIn(replica.wall_clock(), unsent.records))
    left = f"; {unsent.left} more did not fit, or cannot be read, and stay here" if unsent.left else ""
    return told + ("was handed in for review" if said.code == KEPT else "was handed in for review before") + left


def _pause(said: Bye, time_left: asyncio.Timeout) -> float | None:
    """In how many seconds to come again; None where that would be too late, or of no use."""
    end = time_left.when()
    if said.code != "unavailable" or said.retry_after_ms is None or end is None:
        return None
    pause = max(said.retry_after_ms / 1000, _PAUSE_S_MIN)
    return pause if asyncio.get_running_loop().time() + pause < end else None


async def _handed_in(member: Membership, address: Address, open_channel: Open, replica: bytes, unsent: Unsent) -> Bye:
    """What the relay says in the end. Raises `RemoteError`, `ChannelClosed`."""
    handing = copy.copy(member)  # who else talks for this device goes on showing what it shows
    handing.handing_in = True
    opened = await opened_by(open_channel, replace(address, member=handing))
    channel = opened.channel
    try:
        hello = Hello(VERSIONS, replica, opened.token, member.now(), None, follow=False, count=0, agent="crdt-sync")
        channel.send(codec.encode(hello))
        welcomed = await _answer(channel, Welcome)
        if isinstance(welcomed, Bye):
            return welcomed
        with suppress(ChannelClosed):  # it may have said why
            for push in pushes(unsent.entries):
                channel.send(codec.encode(push, PEOPLE))
                await channel.room()
        channel.send(codec.encode(Bye(DONE, "", None)))
        said = await _answer(channel)
        assert isinstance(said, Bye)
        return said
    finally:
        await channel.close()


async def _answer(channel: Channel, *kinds: type[Message]) -> Message:
    """The next message that is of these kinds, or a bye. Raises `ChannelClosed`, `ProtocolViolation`."""
    while True:
        message = codec.decode(await channel.receive(), version=NEWEST)
        channel.taken()
        if isinstance(message, (*kinds, Bye)):
            return message


def _edits(records: int) -> str:
    return "edits of 1 record" if records == 1 else f"edits of {records} records"
