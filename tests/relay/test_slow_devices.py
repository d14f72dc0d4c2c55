"""Devices that read slowly or not at all cost a bounded amount of memory, and the others nothing."""

import asyncio
import socket
from pathlib import Path

import pytest

from crdt_relay.server import Relay
from crdt_sync import limits
from crdt_sync.protocol.messages import (
    Changes,
    Ping,
    Pong,
    Presence,
    PresenceEntry,
    Updates,
    VerdictCode,
    Want,
    WantEntry,
)

from .devices import Device, eventually, running, seen, update

pytestmark = pytest.mark.usefixtures("local_workers")

BUFFER_BYTES = 64 * 1024
SLACK_BYTES = 1024 * 1024  # one frame of the batch size, its neighbours, and rounding


@pytest.fixture(autouse=True)
def small_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crdt_sync.runtime.hosting.link.BUFFER_BYTES", BUFFER_BYTES)
    monkeypatch.setattr("crdt_sync.runtime.hosting.serving.BUFFER_BYTES", BUFFER_BYTES)


def unsent(relay: Relay) -> int:
    """The most that waits unsent for any device, in bytes."""
    links = [websocket.transport.get_write_buffer_size() for websocket in relay._port._server.all_connections]
    return max(links, default=0)


def shrink(relay: Relay) -> None:
    """Have the system buffer little for the devices connected now, so that a test needs to send little."""
    for websocket in relay._port._server.all_connections:
        link = websocket.transport.get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


async def slow_and_writer(relay: Relay) -> tuple[Device, Device]:
    """A device that follows through small buffers, and one that only pushes."""
    slow = await Device.join(relay.url, small_buffers=True)
    await slow.expect(Changes)
    shrink(relay)
    return slow, await Device.join(relay.url, follow=False)


def test_a_follower_that_never_reads_is_cut_off_and_nobody_else_waits(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, send_timeout_s=0.3) as relay:
            stuck = await Device.join(relay.url, small_buffers=True)
            await stuck.expect(Changes)
            shrink(relay)
            reader, writer = await Device.join(relay.url), await Device.join(relay.url, follow=False)
            session = min(relay.engine._filling.seats)
            most, came, number = 0, 0, 0
            while session in relay.engine._filling.seats:
                assert await writer.store((f"customers/{number % 500}", update(number, 20_000))) == [
                    VerdictCode.ACCEPTED
                ]
                number += 1
                while came < number:
                    came += len((await reader.expect(Updates)).entries)
                most = max(most, unsent(relay))
                assert number < 5_000
            assert BUFFER_BYTES < most < BUFFER_BYTES + SLACK_BYTES
            await reader.close()
            await writer.close()
            await stuck.drop()

    asyncio.run(scenario())


def test_what_a_slow_reader_says_is_taken_while_much_waits_for_it(tmp_path: Path) -> None:
    """Its pings above all: it would be given up as silent in the midst of a long download."""

    async def scenario() -> None:
        async with running(tmp_path) as relay:
            slow, writer = await slow_and_writer(relay)
            number = 0
            while unsent(relay) <= BUFFER_BYTES:
                await writer.store((f"customers/{number}", update(number, 20_000)))
                number += 1
            for mine in range(3):
                await slow.push((f"customers/mine-{mine}", update(mine)))
            await eventually("the slow device's edits", lambda: relay.store.count() == number + 3)
            assert unsent(relay) > BUFFER_BYTES // 4
            await writer.close()
            await slow.drop()

    asyncio.run(scenario())


def test_a_device_that_asks_and_never_reads_the_answers_is_not_read_either(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, send_timeout_s=0.5) as relay:
            stuck = await Device.join(relay.url, small_buffers=True)
            shrink(relay)
            session = min(relay.engine._filling.seats)
            other = await Device.join(relay.url, follow=False)

            async def ask() -> None:
                for number in range(10_000_000):
                    await stuck.send(Ping(number))

            asking = asyncio.create_task(ask())
            most, number = 0, 0
            while session in relay.engine._filling.seats:
                assert await other.store(("customers/a", update(number))) == [VerdictCode.ACCEPTED]
                most = max(most, unsent(relay))
                number += 1
            assert most < BUFFER_BYTES + SLACK_BYTES
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await stuck.drop()
            await other.close()

    asyncio.run(scenario())


def test_presence_is_not_piled_up_for_a_device_that_does_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crdt_sync.runtime.hosting.engine._PRESENCE_EVERY_S", 0.0)

    async def scenario() -> None:
        async with running(tmp_path) as relay:
            stuck, other = await Device.join(relay.url, small_buffers=True), await Device.join(relay.url)
            await stuck.expect(Changes)
            shrink(relay)
            for number in range(300):
                entries = tuple(PresenceEntry(f"customers/{number}-{part}", "x" * 60) for part in range(64))
                await other.send(Presence(entries))
                await other.send(Ping(number))
                await other.expect(Pong)
            assert BUFFER_BYTES // 2 < unsent(relay) < BUFFER_BYTES + SLACK_BYTES // 16
            while (await stuck.expect(Presence)).entries[0].record != "customers/299-0":
                pass
            await stuck.close()
            await other.close()

    asyncio.run(scenario())


def test_a_slow_but_steady_reader_is_never_cut_off(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, send_timeout_s=0.5) as relay:
            writer = await Device.join(relay.url, follow=False)
            for number in range(40):
                await writer.store((f"customers/{number}", update(number, 60_000)))
            slow = await Device.join(relay.url, small_buffers=True)
            fetching = asyncio.create_task(slow.catch_up())
            transport = slow.websocket.transport
            pauses = 0
            while not fetching.done():
                await asyncio.sleep(0.002)
                transport.pause_reading()
                await asyncio.sleep(0.1)  # less than the relay's patience, again and again
                transport.resume_reading()
                pauses += 1
            assert len(await fetching) == 40
            assert pauses > 10, "it was not slow: this tried nothing"
            await slow.close()
            await writer.close()

    asyncio.run(scenario())


def test_a_reader_far_behind_gets_the_feed_and_not_every_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SILENCE_US_MAX", 3_600_000_000)  # a busy machine takes longer than a silence may

    async def scenario() -> None:
        async with running(tmp_path) as relay:
            slow, writer = await slow_and_writer(relay)
            markers = 3000
            for start in range(0, markers, 100):
                pushed = [(f"customers/{number % 7}", update(number, 1500)) for number in range(start, start + 100)]
                assert set(await writer.store(*pushed)) == {VerdictCode.ACCEPTED}
            live: dict[str, list[bytes]] = {}
            while True:
                message = await slow.receive()
                if isinstance(message, Changes):
                    break
                if isinstance(message, Ping):
                    continue
                assert isinstance(message, Updates)
                for entry in message.entries:
                    live.setdefault(entry.record, []).append(entry.update)
            assert len(message.entries) == 7
            assert sum(len(updates) for updates in live.values()) < markers - 500
            await slow.close()
            again = await Device.join(relay.url)
            fetched = await again.catch_up()
            found = {marker for updates in fetched.values() for marker in seen(updates)}
            assert found == set(range(markers))
            await again.close()
            await writer.close()

    asyncio.run(scenario())


def test_a_live_device_is_answered_while_others_have_much_to_fetch(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as relay:
            writer = await Device.join(relay.url, follow=False)
            for start in range(0, 500, 250):
                await writer.store(*((f"customers/{n}", update(n, 4000)) for n in range(start, start + 250)))
            fetchers = [await Device.join(relay.url, small_buffers=True) for _ in range(5)]
            shrink(relay)
            for fetcher in fetchers:
                page = await fetcher.expect(Changes)
                await fetcher.send(Want(page.page, tuple(WantEntry(entry.record, b"\x00") for entry in page.entries)))
            for number in range(20):
                assert await writer.store(("customers/live", update(number))) == [VerdictCode.ACCEPTED]
            assert unsent(relay) > 0, "nobody has what it asked for: the live one waited for none of them"
            for fetcher in fetchers:
                assert len(await fetcher.catch_up()) in {500, 501}
            for device in (*fetchers, writer):
                await device.close()
            await eventually("all gone", lambda: not len(relay.engine.hub))

    asyncio.run(scenario())
