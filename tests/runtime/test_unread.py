"""A partner that sends and does not read: what a device says to it stays a bounded number of frames."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from crdt_bench.simulator.virtual_loop import LoopExecutor, VirtualLoop
from crdt_sync import Address, Replica, limits
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import (
    MODE_CHANGES,
    Changes,
    Message,
    Ping,
    Presence,
    Updates,
    UpdatesEntry,
    Welcome,
)
from crdt_sync.records import Document, bundled_schema
from crdt_sync.runtime.conversation import Conversation
from crdt_sync.runtime.outside import OUTSIDE
from crdt_sync.runtime.presence import PresenceBoard
from crdt_sync.runtime.transports.channel import ChannelClosed, Opened
from crdt_sync.storage.memory import MemoryStore

ARRIVING = 200  # frames that the partner sends
EACH_S = 0.05
BESIDE = 3  # hello, bye, and the ping that asks whether it reads
DOCUMENT = Document(writer=5)
with DOCUMENT.transaction() as _transaction:
    DOCUMENT.array(_transaction, "c.name").insert(_transaction, 0, ["Müller", 1, "m"])
UPDATE = DOCUMENT.diff()


class DeafChannel:
    """Frames come one after the other, each once what the one before led to is done; the link takes all that is said.
    Nobody reads that.
    """

    peer = None
    arriving_bytes = unsent_bytes = 0
    has_room = True

    def __init__(self, frame: Callable[[int], bytes]) -> None:
        self.said: list[Message] = []
        self.all_came = asyncio.Event()
        self._frame = frame
        self._came = 0

    def take_up_to(self, frame_bytes: int) -> None:
        pass

    def send(self, frame: bytes) -> None:
        self.said.append(codec.decode(frame))

    async def room(self) -> None:
        pass

    async def receive(self) -> bytes:
        self._came += 1
        if self._came == 1:
            return codec.encode(Welcome(1, bytes(15) + b"r", 1, bytes(15) + b"e", 1 << 40, MODE_CHANGES, 1 << 22, None))
        if self._came == 2:
            return codec.encode(Changes(1, 0, ()))
        await asyncio.sleep(EACH_S)
        if self._came - 2 > ARRIVING:
            self.all_came.set()
            await asyncio.Event().wait()
        return self._frame(self._came - 2)

    def taken(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def abort(self) -> None:
        raise ChannelClosed


def update(number: int) -> bytes:
    return codec.encode(Updates(0, number, number, True, (UpdatesEntry(f"customers/{number}", UPDATE, b""),)))


def ping(number: int) -> bytes:
    return codec.encode(Ping(number))


def said_to_a_deaf_partner(frame: Callable[[int], bytes], changes: int = 0) -> list[Message]:
    """What a device says to a partner that sends such frames, and while its user opens that many records."""
    with VirtualLoop(random.Random(1)) as loop:
        return loop.run_until_complete(_talk(loop, frame, changes))


def presence(_: int) -> bytes:
    return codec.encode(Presence(()))


async def _talk(loop: VirtualLoop, frame: Callable[[int], bytes], changes: int) -> list[Message]:
    rng = random.Random(1)
    replica = Replica.over(MemoryStore(rng=rng), rng=rng)
    replica.name = "ann"
    replica.add_schema(bundled_schema("customers"))
    channel, board = DeafChannel(frame), PresenceBoard("ann")

    async def opened(_address: Address) -> Opened:
        return Opened(channel, "")

    async def until_all_came(_: Conversation) -> None:
        await channel.all_came.wait()
        for number in range(changes):
            board.open([f"customers/{number}"])
            await asyncio.sleep(EACH_S)

    outside = replace(OUTSIDE, open_channel=opened, make_thread=lambda: LoopExecutor(loop))
    await Conversation(replica, Address("ws://deaf"), presence=board, outside=outside).run(until_all_came)
    return channel.said


@pytest.mark.parametrize("frame", [update, ping])
def test_what_comes_is_answered_by_a_bounded_number_of_frames(frame: Callable[[int], bytes]) -> None:
    said = said_to_a_deaf_partner(frame)
    assert limits.UNREAD_FRAMES_MAX < len(said) <= limits.UNREAD_FRAMES_MAX + BESIDE


def test_what_a_user_has_open_is_told_by_a_bounded_number_of_frames() -> None:
    said = said_to_a_deaf_partner(presence, changes=ARRIVING)
    assert sum(isinstance(message, Presence) for message in said) == limits.UNREAD_FRAMES_MAX
