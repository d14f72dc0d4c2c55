"""The accepting end of a hand-in, beside the hub: whoever hands in has no session, and so hears of no record."""

import asyncio
from collections.abc import Callable

from crdt_sync import limits
from crdt_sync.errors import ProtocolViolation
from crdt_sync.identity.presented import HANDS_IN
from crdt_sync.protocol import codec
from crdt_sync.protocol.acceptor import Authorise, Refusal
from crdt_sync.protocol.handing_in import HandedIn, welcome
from crdt_sync.protocol.messages import DONE, Bye, Hello, Push, Said
from crdt_sync.protocol.versions import PEOPLE
from crdt_sync.runtime.guests import Guest
from crdt_sync.runtime.transports.channel import Channel, ChannelClosed, RulesBroken


def hello_of(frame: bytes) -> Hello | None:
    """The hello of who hands in; None for all other frames."""
    if HANDS_IN.encode() not in frame[: limits.HELLO_BYTES_MAX]:
        return None
    try:
        hello = codec.decode(frame, limits.HELLO_BYTES_MAX)
    except ProtocolViolation:
        return None
    return hello if isinstance(hello, Hello) and hello.token.startswith(HANDS_IN) else None


async def attend(
    channel: Channel, hello: Hello, guest: Guest, authorise: Authorise, replica: bytes, wall: Callable[[], int]
) -> str:
    """Take what is handed in, keep it, and say so; returns the code of the bye. `replica` is our id.

    Raises `ChannelClosed` where the device is gone before that; nothing is kept then.
    """
    try:
        admitted = authorise(hello)  # who has begun may be refused all the same, as it is to wait
        if isinstance(admitted, Refusal):
            if admitted.statements and PEOPLE in hello.versions:
                channel.send(codec.encode(welcome(replica, wall())))
                channel.send(codec.encode(Said(admitted.statements), PEOPLE))
            return _bye(channel, admitted)
        channel.take_up_to(limits.FRAME_BYTES_MAX)
        channel.send(codec.encode(welcome(replica, wall())))
        async with asyncio.timeout(limits.HAND_IN_S_MAX) as time_left:
            guest.hand_in_begun(lambda: None if time_left.expired() else time_left.reschedule(0))
            came = await _collected(channel)
        return _bye(channel, await guest.handed_in(came))
    except TimeoutError:
        return _bye(channel, Refusal("timeout", "what is handed in did not come in time"))
    except ProtocolViolation as violation:
        return _bye(channel, Refusal("protocol_violation", violation.message))
    finally:
        guest.hand_in_ended()


async def _collected(channel: Channel) -> HandedIn:
    """All of it. Raises `ChannelClosed`, `ProtocolViolation`."""
    came = HandedIn()
    while True:
        try:
            message = codec.decode(await channel.receive(), version=PEOPLE)
        except RulesBroken as broken:
            raise ProtocolViolation(str(broken)) from None
        channel.taken()
        match message:
            case Push():
                came.take(message)
            case Bye(code) if code == DONE:
                return came
            case Bye():
                raise ChannelClosed
            case _:
                raise ProtocolViolation("who hands in says nothing else")


def _bye(channel: Channel, said: Refusal) -> str:
    again = None if said.retry_after_us is None else said.retry_after_us // 1000
    channel.send(codec.encode(Bye(said.code, said.message[: limits.REASON_LENGTH_MAX], again)))
    return said.code
