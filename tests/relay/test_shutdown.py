"""A relay that is told to stop loses nothing, keeps nobody waiting, and goes on where it stopped."""

import asyncio
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from crdt_relay import server
from crdt_sync.protocol.messages import Ack, Bye, Changes, Place, Resume, Updates, VerdictCode, Welcome
from crdt_sync.runtime.transports import channel
from crdt_sync.storage.lmdb import environment

from .devices import PATIENCE_S, Device, Load, eventually, running, stored_markers, update


def test_everybody_hears_when_to_come_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as relay:
            devices = [await Device.join(relay.url) for _ in range(20)]
            stopping = asyncio.create_task(relay.stop())
            for device in devices:
                bye = await device.bye()
                assert (bye.code, bye.retry_after_ms) == ("going_away", 2000)
            await stopping
            with pytest.raises(OSError, match="Connect call failed"):
                await Device.open(relay.url)

    asyncio.run(scenario())


def test_what_was_taken_is_stored_and_acknowledged_before_the_bye(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_disk = threading.Event()
    commit = environment.commit

    def slow(transaction: Any) -> None:
        slow_disk.wait(5)
        commit(transaction)

    async def scenario() -> None:
        async with running(tmp_path) as relay:
            monkeypatch.setattr(environment, "commit", slow)
            async with await Device.join(relay.url, follow=False) as device:
                for number in range(10):
                    await device.push(("customers/a", update(number)))
                await eventually("hello and pushes taken", lambda: relay.engine.metrics.frames_received == 11)
                assert not relay.engine.hub.verdicts
                stopping = asyncio.create_task(relay.stop())
                await eventually("stopping", lambda: relay.engine.stopping)
                slow_disk.set()
                verdicts: list[VerdictCode] = []
                while not isinstance(message := await device.receive(), Bye):
                    if isinstance(message, Ack):
                        verdicts += [verdict.code for verdict in message.verdicts]
                assert verdicts == [VerdictCode.ACCEPTED] * 10
                await stopping

    asyncio.run(scenario())


async def follow(url: str) -> Resume:
    """Read everything until the link ends; returns where the reader stands then."""
    device = await Device.open(url)
    await device.hello()
    epoch = (await device.expect(Welcome)).epoch
    cursor: Place = 0
    with suppress(ConnectionClosed):
        while True:
            message = await device.receive()
            if isinstance(message, Changes | Updates) and message.cursor is not None:
                cursor = message.cursor
    return Resume(epoch, cursor, cursor)


def test_under_load_nothing_acknowledged_is_lost_and_the_restart_resumes(tmp_path: Path) -> None:
    loads = [Load(name) for name in "abc"]

    async def scenario() -> None:
        async with running(tmp_path) as relay:
            working = [asyncio.create_task(load.run(relay.url)) for load in loads]
            following = asyncio.create_task(follow(relay.url))
            await eventually("some are stored", lambda: relay.store.head() > 200)
            await asyncio.wait_for(relay.stop(), PATIENCE_S)
            await asyncio.wait_for(asyncio.gather(*working), PATIENCE_S)
            resume = await following
        total = sum(load.count for load in loads)
        assert total >= 200
        async with running(tmp_path) as relay:
            assert relay.store.head() >= total
            device = await Device.join(relay.url, resume=resume)
            welcome = device.received[0]
            assert isinstance(welcome, Welcome)
            assert (welcome.epoch != resume.epoch, welcome.mode) == (True, 0)  # another life of the same history
            await device.catch_up()
            assert await device.store(("customers/0", update("after"))) == [VerdictCode.ACCEPTED]
            await device.close()

    asyncio.run(scenario())
    stored = stored_markers(tmp_path)
    for load in loads:
        for record, markers in load.acknowledged.items():
            assert markers <= stored[record]


def test_stuck_devices_do_not_hold_it_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "CLOSE_TIMEOUT_S", 0.3)

    async def scenario() -> None:
        async with running(tmp_path) as relay:
            stuck = [await Device.join(relay.url, small_buffers=True) for _ in range(3)]
            for websocket in relay._port._server.all_connections:
                link = websocket.transport.get_extra_info("socket")
                link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            mute = socket.create_connection(("127.0.0.1", relay.port))  # connected, and not a word of HTTP
            writer = await Device.join(relay.url)
            for number in range(60):
                assert await writer.store((f"customers/{number}", update(number, 20_000))) == [VerdictCode.ACCEPTED]
            await asyncio.wait_for(relay.stop(), PATIENCE_S)
            assert not relay._port._server.all_connections
            for device in stuck:
                await device.drop()
            mute.close()
            await writer.close()

    asyncio.run(scenario())


def test_a_disk_that_hangs_does_not_hold_it_up_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_GRACE_S", 0.1)
    hanging = threading.Event()
    commit = environment.commit

    def hang(transaction: Any) -> None:
        hanging.wait(10)
        commit(transaction)

    async def scenario() -> None:
        async with running(tmp_path) as relay:
            monkeypatch.setattr(environment, "commit", hang)
            device = await Device.join(relay.url)
            await device.push(("customers/a", update(1)))
            await eventually("taken", lambda: "customers/a" in relay.engine._uncommitted)
            stopping = asyncio.create_task(relay.stop())
            bye = await device.bye()
            assert bye.code == "going_away"
            assert not any(isinstance(message, Ack) for message in device.received)
            hanging.set()
            await stopping

    asyncio.run(scenario())
    assert stored_markers(tmp_path) == {"customers/a": {1}}


def test_nothing_is_left_running(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, metrics=True, metrics_port=0) as relay:
            for number in range(5):
                async with await Device.join(relay.url) as device:
                    await device.store(("customers/a", update(number)))
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left

    threads = threading.active_count()
    asyncio.run(scenario())
    assert threading.active_count() <= threads
