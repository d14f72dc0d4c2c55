"""Channels over HTTP as they are shipped, on virtual time and connections that break: one story for each seed.

Both ends send frames while connections are cut, swallow what is sent, are refused, and requests come twice. Then that
ends. What an end has received must be what the other one has sent, from its beginning, each frame once. Where nothing
was swallowed it is all of it, and the channel is still open.
"""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field

from crdt_bench.simulator.byte_streams import ByteNetwork, Weather
from crdt_bench.simulator.failure import Failure
from crdt_bench.simulator.virtual_loop import VirtualLoop
from crdt_sync import limits
from crdt_sync.runtime.hosting.fair_queue import FairQueue
from crdt_sync.runtime.hosting.strangers import Strangers
from crdt_sync.runtime.transports.channel import Channel, ChannelClosed
from crdt_sync.runtime.transports.http.dialed import BUFFER_BYTES, open_channel
from crdt_sync.runtime.transports.http.door import Door
from crdt_sync.runtime.transports.room import Room

DEVICE, RELAY = "device", "relay"
_FRAMES_MAX = 30
_SIZES = (0, 1, 40, 900, 20_000, 150_000)
_PAUSES_S = (0.0, 0.0, 0.05, 1.5)
_BUSY_S = 1.2 * limits.HTTP_HOLD_S
_FAULTY_S_MAX = 30.0
_QUIET_S = _FRAMES_MAX * _BUSY_S
_LATENCIES_US = (500, 20_000, 200_000)
_CALLBACKS_MAX = 200_000


@dataclass(slots=True)
class Side:
    """One end: what it sends and how fast, what it received, and whether it has seen the end of the channel."""

    frames: list[bytes]
    rng: random.Random = field(compare=False)
    busy: float  # how often it does something else for longer than a request waits
    sent: int = 0
    received: list[bytes] = field(default_factory=list)
    ended: bool = False

    async def talk(self, channel: Channel) -> None:
        """Send and receive until the channel ends."""
        sending = asyncio.create_task(self._send(channel))
        with suppress(ChannelClosed):
            while True:
                self.received.append(await channel.receive())
                await asyncio.sleep(_BUSY_S if self.rng.random() < self.busy else self.rng.choice(_PAUSES_S))
        self.ended = True
        sending.cancel()

    async def _send(self, channel: Channel) -> None:
        with suppress(ChannelClosed):
            for frame in self.frames:
                await channel.room()
                self.sent += 1
                channel.send(frame)
                await asyncio.sleep(self.rng.choice(_PAUSES_S))


@dataclass(slots=True)
class Story:
    """What happened."""

    sides: dict[str, Side]
    faults: int = 0
    callbacks: int = 0


def tell(seed: int) -> Story:
    """Run the story of this seed. Raises `Failure` where a promise was broken."""
    rng = random.Random(f"http/{seed}")
    sides = {
        name: Side(_frames(rng), random.Random(f"{name}/{seed}"), rng.choice((0.0, 0.0, 0.3)))
        for name in (DEVICE, RELAY)
    }
    story = Story(sides)
    with VirtualLoop(random.Random(f"loop/{seed}")) as loop:
        loop.callbacks_max = _CALLBACKS_MAX
        loop.run_until_complete(_told(loop, rng, story))
        story.callbacks = loop.callbacks
    return story


def _frames(rng: random.Random) -> list[bytes]:
    return [rng.randbytes(rng.choice(_SIZES)) for _ in range(rng.randint(1, _FRAMES_MAX))]


def _weather(rng: random.Random) -> Weather:
    weather = Weather(rng.choice(_LATENCIES_US))
    if rng.random() < 0.7:
        weather.cut = rng.choice((0.005, 0.02, 0.05))
    if rng.random() < 0.3:
        weather.refuse = rng.choice((0.05, 0.2))
    if rng.random() < 0.2:
        weather.swallow = 0.01
    if rng.random() < 0.5:
        weather.repeat = 0.3
    return weather


async def _told(loop: VirtualLoop, rng: random.Random, story: Story) -> None:
    room = Room(loop, limits.COMING_BYTES_MAX)
    kept_room = Room(loop, limits.UNTAKEN_BYTES_MAX)
    strangers = Strangers(loop, FairQueue(loop))
    door = Door(
        story.sides[RELAY].talk,
        BUFFER_BYTES,
        lambda: False,
        room,
        kept_room,
        strangers,
        connections_max=256,
        browsers=False,
    )
    network = ByteNetwork(loop, rng, lambda stream: door.take(stream, b""))
    channel = await open_channel("ws://relay", None, polls=rng.random() < 0.3)
    network.weather = weather = _weather(rng)
    device = asyncio.create_task(story.sides[DEVICE].talk(channel))
    await asyncio.sleep(rng.uniform(0, _FAULTY_S_MAX))
    network.weather = Weather(weather.latency_us_max)
    await asyncio.sleep(_QUIET_S)
    story.faults += network.faults
    _check(story, sure=not weather.swallow)
    channel.abort()
    await device
    await channel.close()
    door.close()
    await door.wait_closed(1)


def _check(story: Story, *, sure: bool) -> None:
    """What is swallowed without a word is found out by the sessions above, which end the channel for it."""
    device, relay = story.sides[DEVICE], story.sides[RELAY]
    for name, here, there in ((DEVICE, device, relay), (RELAY, relay, device)):
        came = here.received
        if came != there.frames[: len(came)]:
            raise Failure("http", f"the {name} received what was not sent, or not as it was sent: frame {len(came)}")
        if sure and not here.ended and len(came) != len(there.frames):
            raise Failure("http", f"the {name} has {len(came)} of {len(there.frames)} frames, and waits for ever")
        if sure and here.ended:
            raise Failure("http", f"the channel has ended for the {name}, though no fault lasted")
