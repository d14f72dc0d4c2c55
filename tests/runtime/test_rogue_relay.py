"""A relay that sends what nobody asked for, as much as it can: memory stays bounded, and the session ends some time."""

import asyncio
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from crdt_sync import Address, Replica, limits
from crdt_sync.protocol import codec
from crdt_sync.protocol.dialer import Dialer
from crdt_sync.protocol.messages import MODE_CHANGES, Changes, ChangesEntry, Updates, UpdatesEntry, Welcome
from crdt_sync.records import Document, bundled_schema
from crdt_sync.runtime import conversation
from crdt_sync.runtime.conversation import Conversation
from crdt_sync.runtime.outside import OUTSIDE
from crdt_sync.runtime.transports.channel import ChannelClosed, Opened
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch, Committed

TURNS = 500  # of the event loop, in each of which a frame could be read
DOCUMENT = Document(writer=5)
with DOCUMENT.transaction() as _transaction:
    DOCUMENT.array(_transaction, "c.name").insert(_transaction, 0, ["x" * 1000, 1, "m"])
UPDATE, VECTOR = DOCUMENT.diff(), DOCUMENT.state_vector()


class RogueChannel:
    """What comes never ends; what is sent is taken by nobody."""

    peer = None
    arriving_bytes = 0

    def __init__(self, frame: Callable[[int], bytes]) -> None:
        self._frame = frame
        self.read = 0
        self._gone = asyncio.Event()

    def take_up_to(self, frame_bytes: int) -> None:
        pass

    def send(self, frame: bytes) -> None:
        pass

    @property
    def unsent_bytes(self) -> int:
        return 1 << 30

    @property
    def has_room(self) -> bool:
        return False

    async def room(self) -> None:
        await self._gone.wait()
        raise ChannelClosed

    async def receive(self) -> bytes:
        await asyncio.sleep(0)
        self.read += 1
        if self.read == 1:
            return codec.encode(Welcome(1, bytes(15) + b"r", 1, bytes(15) + b"e", 1 << 40, MODE_CHANGES, 1 << 22, None))
        return self._frame(self.read)

    def taken(self) -> None:
        pass

    async def close(self) -> None:
        self._gone.set()

    def abort(self) -> None:
        self._gone.set()


class StuckStore(MemoryStore):
    """A disk that is far slower than the network."""

    stuck: threading.Event | None = None

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        if self.stuck is not None and any(batch.changes or batch.peers for batch in batches):
            self.stuck.wait(20)
        return super().commit(batches)


def updates(number: int) -> bytes:
    entries = tuple(UpdatesEntry(f"customers/{number}-{each}", UPDATE, VECTOR) for each in range(100))
    return codec.encode(Updates(number, number, 1 << 40, False, entries))


FLOODS: dict[str, Callable[[int], bytes]] = {
    "updates": updates,
    "empty pages": lambda number: codec.encode(Changes(number, number, ())),
    "pages": lambda number: codec.encode(
        Changes(number, number, (ChangesEntry(f"customers/{number}", number, VECTOR),))
    ),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_device_reads_no_more_than_it_can_store_and_say(flood: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "UNSTORED_BYTES_MAX", 1_000_000)
    monkeypatch.setattr(conversation, "UNSTORED_PARTS_MAX", 20)
    monkeypatch.setattr(conversation, "UNSENT_BYTES_MAX", 300)
    rng = random.Random(1)

    async def talk() -> int:
        store = StuckStore(rng=rng)
        replica = Replica.over(store, rng=rng)
        replica.name = "ann"
        replica.add_schema(bundled_schema("customers"))
        store.stuck = threading.Event()
        channel = RogueChannel(FLOODS[flood])

        async def opened(_address: Address) -> Opened:
            return Opened(channel, "")

        talking = Conversation(replica, Address("ws://rogue"), outside=replace(OUTSIDE, open_channel=opened))
        session = asyncio.create_task(talking.run(Conversation.settled))
        for _ in range(TURNS):
            await asyncio.sleep(0)
        while channel.read < 5:  # until the welcome is stored
            await asyncio.sleep(0.001)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        read = channel.read
        store.stuck.set()
        session.cancel()
        await asyncio.gather(session, return_exceptions=True)
        return read

    assert 5 <= asyncio.run(talk()) < 60


class TalkingChannel(RogueChannel):
    """It takes what is sent."""

    async def room(self) -> None:
        pass


class StuckAtOnce(StuckStore):
    """The welcome too has to wait."""

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        if self.stuck is not None:
            self.stuck.wait(20)
        return super().commit(batches)


@pytest.mark.parametrize("stuck", [StuckStore, StuckAtOnce])
def test_a_device_whose_own_disk_is_busy_does_not_say_that_its_partner_fell_silent(
    stuck: type[StuckStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "KEEPALIVE_US", 20_000)
    monkeypatch.setattr(limits, "SILENCE_US_MAX", 100_000)
    monkeypatch.setattr(conversation, "UNSTORED_PARTS_MAX", 2)

    looked: list[bool] = []
    timer = Dialer.timer

    def look(dialer: Dialer, now: int) -> None:
        timer(dialer, now)
        looked.append(dialer.closed)

    monkeypatch.setattr(Dialer, "timer", look)

    async def talk() -> None:
        rng = random.Random(1)
        store = stuck(rng=rng)
        replica = Replica.over(store, rng=rng)
        replica.name = "ann"
        replica.add_schema(bundled_schema("customers"))
        store.stuck = threading.Event()
        channel = TalkingChannel(FLOODS["updates"])

        async def opened(_address: Address) -> Opened:
            return Opened(channel, "")

        talking = Conversation(replica, Address("ws://rogue"), outside=replace(OUTSIDE, open_channel=opened))
        session = asyncio.create_task(talking.run(Conversation.settled))
        while len(looked) < 15 and not any(looked):  # one each 20 ms: three times as long as a silence lasts
            await asyncio.sleep(0.001)
        assert not any(looked)
        read = channel.read
        store.stuck.set()
        while channel.read < read + 10 and not session.done():
            await asyncio.sleep(0.001)
        assert not session.done()
        session.cancel()
        await asyncio.gather(session, return_exceptions=True)

    asyncio.run(talk())
