"""What all devices together have under way is bounded, whatever each of them does, and honest ones are served."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from crdt_relay.server import Relay
from crdt_sync import limits
from crdt_sync.limits import COMING_BYTES_MAX, FRAME_BYTES_MAX, SMALL_FRAME_BYTES, UNTAKEN_BYTES_MAX
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import Changes, Hello, Push, PushEntry, Updates, VerdictCode, Want, WantEntry
from crdt_sync.protocol.versions import GREETING
from crdt_sync.runtime.hosting.link import BUFFER_BYTES
from crdt_sync.runtime.transports.pieces import PIECE_BYTES

from .devices import Device, eventually, running, update
from .test_http_strangers import Stranger
from .test_slow_devices import shrink

pytestmark = pytest.mark.usefixtures("local_workers")

MANY = 12
LARGE = 3_000_000


def websockets(relay: Relay) -> list[Any]:
    return list(relay._port._places.taken)


def came(relay: Relay) -> int:
    """Bytes that came on websockets and are no frame yet, or wait to be parsed."""
    return sum(len(each.protocol.reader.buffer) + sum(map(len, each._unparsed)) for each in websockets(relay))


def begin(device: Device, size: int = FRAME_BYTES_MAX, sent: int = LARGE) -> None:
    """The beginning of a large frame, the rest of which never comes."""
    device.websocket.transport.write(b"\x82\xff" + size.to_bytes(8, "big") + bytes(4 + sent))


@asynccontextmanager
async def dawdling(relay: Relay) -> AsyncIterator[None]:
    """Many devices, each of which has begun a large frame, until the end of the block."""
    dawdlers = [await Device.join(relay.url, follow=False) for _ in range(MANY)]
    for dawdler in dawdlers:
        begin(dawdler)
    yield
    for dawdler in dawdlers:
        await dawdler.drop()


async def edit(device: Device, number: int, padding: int = 0) -> None:
    assert await device.store((f"customers/{number}", update(number, padding))) == [VerdictCode.ACCEPTED]


def test_frames_that_never_end_take_no_more_than_there_is_room_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as relay:
            honest = await Device.join(relay.url, follow=False)
            async with dawdling(relay):
                await eventually("all that may", lambda: came(relay) > 2 * LARGE)
                for number in range(20):
                    await edit(honest, number)
                await edit(honest, 20, SMALL_FRAME_BYTES - 200)
                assert came(relay) <= COMING_BYTES_MAX + MANY * (SMALL_FRAME_BYTES + PIECE_BYTES)
            await eventually("all of it is given back", lambda: websockets(relay)[0].room.held == 0)
            await honest.close()

    asyncio.run(scenario())


def test_a_large_edit_waits_for_others_that_dawdle_and_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ROOM_S", 0.3)

    async def scenario() -> None:
        async with running(tmp_path) as relay:
            honest = await Device.join(relay.url, follow=False)
            async with dawdling(relay):
                await edit(honest, 0, 60_000)
            await honest.close()

    asyncio.run(scenario())


def test_a_large_edit_waits_for_nobody_who_announces_much_and_sends_little(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as relay:
            honest = await Device.join(relay.url, follow=False)
            drippers = [await Device.join(relay.url, follow=False) for _ in range(MANY)]
            for dripper in drippers:
                begin(dripper, sent=2 * SMALL_FRAME_BYTES)
            await eventually("they are read", lambda: came(relay) >= MANY * SMALL_FRAME_BYTES)
            for number in range(3):
                await edit(honest, number, 60_000)
            assert len(websockets(relay)) == 1 + MANY
            await honest.close()
            for dripper in drippers:
                await dripper.drop()

    asyncio.run(scenario())


def test_a_large_frame_is_forgotten_once_it_was_taken(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as relay:
            devices = [await Device.join(relay.url, follow=False) for _ in range(4)]
            for number, device in enumerate(devices):
                entries = [(f"customers/{number}-{part}", update(part, 60_000)) for part in range(20)]
                assert set(await device.store(*entries)) == {VerdictCode.ACCEPTED}
            assert websockets(relay)[0].room.held == 0
            for websocket in websockets(relay):
                parsing = websocket.protocol.parser.gi_yieldfrom
                assert parsing is None or "frame" not in parsing.gi_frame.f_locals
            for device in devices:
                await device.close()

    asyncio.run(scenario())


def test_what_followers_do_not_take_is_bounded_for_all_together(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as relay:
            stuck = [await Device.join(relay.url, small_buffers=True) for _ in range(40)]
            for device in stuck:
                await device.expect(Changes)
            shrink(relay)
            reader, writer = await Device.join(relay.url), await Device.join(relay.url, follow=False)
            await edit(writer, 0, 1_000_000)
            await edit(writer, 1)

            def unsent() -> int:
                return sum(each.transport.get_write_buffer_size() for each in websockets(relay))

            await eventually("much is not taken", lambda: unsent() > UNTAKEN_BYTES_MAX // 2)
            assert unsent() < UNTAKEN_BYTES_MAX + len(stuck) * BUFFER_BYTES + 1_100_000
            for device in stuck:
                await device.drop()
            heard = 0
            while heard < 2:
                heard += len((await reader.expect(Updates)).entries)
            await eventually("all of it is given back", lambda: relay.engine.untaken.held == 0)
            await reader.close()
            await writer.close()

    asyncio.run(scenario())


async def followers_that_take_nothing(relay: Relay, count: int) -> list[Device]:
    """Once they have been told the first page: from then on."""
    stuck = [await Device.join(relay.url, small_buffers=True) for _ in range(count)]
    for device in stuck:
        await device.expect(Changes)
    shrink(relay)
    return stuck


def test_who_does_not_take_what_it_is_told_gives_way_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ROOM_S", 0.3)
    monkeypatch.setattr(limits, "UNTAKEN_BYTES_MAX", 1_500_000)

    async def scenario() -> None:
        async with running(tmp_path) as relay:
            stuck = await followers_that_take_nothing(relay, 3)
            writer = await Device.join(relay.url, follow=False)
            for number in range(4):  # their library takes some
                await edit(writer, number, 1_000_000)
            engine = relay.engine
            await eventually("there is no room left, or was", lambda: engine.untaken.full or len(engine.hub) < 4)
            reader = await Device.join(relay.url)
            assert len(await reader.catch_up()) == 4
            await eventually("they were sent away", lambda: len(engine.hub) == 2)
            for device in stuck:
                await device.drop()
            await reader.close()
            await writer.close()

    asyncio.run(scenario())


def test_who_takes_what_it_is_told_waits_for_nobody_who_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "UNTAKEN_BYTES_MAX", 1_500_000)
    monkeypatch.setattr(limits, "ROOM_S", 1e6)  # nobody gives way
    monkeypatch.setattr(limits, "ROOM_HELD_S", 1e6, raising=False)

    async def scenario() -> None:
        async with running(tmp_path) as relay:
            stuck = await followers_that_take_nothing(relay, 6)
            writer = await Device.join(relay.url, follow=False)
            for number in range(1000, 1004):
                await edit(writer, number, 1_000_000)
            await eventually("there is no room left", lambda: relay.engine.untaken.full)
            for number in range(300):
                await edit(writer, number, 500)
            reader = await Device.join(relay.url)
            fetched: set[str] = set()
            while len(fetched) < 300:
                message = await reader.receive()
                if isinstance(message, Changes):
                    wanted = [entry.record for entry in message.entries if len(entry.record) < len("customers/1000")]
                    await reader.send(Want(message.page, tuple(WantEntry(record, b"\x00") for record in wanted)))
                elif isinstance(message, Updates):
                    fetched |= {entry.record for entry in message.entries}
            assert relay.engine.untaken.full
            assert len(relay.engine.hub) == len(stuck) + 2
            for device in (*stuck, reader):
                await device.drop()
            await writer.close()

    asyncio.run(scenario())


async def greeted(relay: Relay, number: int) -> tuple[Stranger, str, int]:
    """A device over HTTP, the name of its channel, and where its stream stands."""
    stranger = await Stranger.come(relay.port)
    name = await stranger.opened()
    frame = codec.encode(Hello((GREETING,), number.to_bytes(16, "big"), "", 1, None, False, 0, "test"))
    said = len(frame).to_bytes(4, "big") + frame
    status, _ = await stranger.ask("POST", f"{name}&from=0", said)
    assert status == 200
    await eventually("it is let in", lambda: relay._port._door._channels[name].coming.limit == FRAME_BYTES_MAX)
    return stranger, name, len(said)


async def dawdle(stranger: Stranger, name: str, at: int) -> None:
    """Send a large frame but for its end, as far as it is taken."""
    said, reached = FRAME_BYTES_MAX.to_bytes(4, "big") + bytes(limits.HTTP_PART_BYTES_MAX - 4), at
    while reached < at + LARGE:
        _, answer = await stranger.ask("POST", f"{name}&from={reached}", said)
        before, reached = reached, int(answer.split()[0])
        if reached < before + len(said):
            break
        said = bytes(limits.HTTP_PART_BYTES_MAX)


def channels(relay: Relay) -> list[Any]:
    return list(relay._port._door._channels.values())


def test_frames_over_http_that_never_end_take_no_more_than_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HTTP_HOLD_S", 0.05)

    async def scenario() -> None:
        async with running(tmp_path) as relay:
            dawdlers = [await greeted(relay, number) for number in range(1, 5)]
            for dawdler in dawdlers:
                await dawdle(*dawdler)
            held = sum(len(channel.coming._buffer) for channel in channels(relay))
            assert held > 2 * 3_000_000
            assert held < COMING_BYTES_MAX + 4 * (limits.HTTP_QUEUED_BYTES + 2 * PIECE_BYTES)
            honest, name, at = await greeted(relay, 9)
            edit = codec.encode(Push(1, (PushEntry("customers/a", update(1)),)))
            assert (await honest.ask("POST", f"{name}&from={at}", len(edit).to_bytes(4, "big") + edit))[0] == 200
            await eventually("it is stored", lambda: relay.store.count() == 1)
            for stranger, _, _ in [*dawdlers, (honest, "", 0)]:
                stranger.close()

    asyncio.run(scenario())
