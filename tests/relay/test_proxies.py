"""Behind a trusted proxy each caller counts as where it comes from; who is no trusted proxy says so in vain."""

import asyncio
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import structlog

from crdt_relay.server import Relay
from crdt_sync import limits
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import Bye, Hello, VerdictCode
from crdt_sync.protocol.versions import GREETING
from crdt_sync.runtime.transports.http.dialed import open_channel

from .devices import Device, eventually, running, update

pytestmark = pytest.mark.usefixtures("local_workers")

TOKEN = "a-token-that-nobody-guesses"
TRUSTED: dict[str, Any] = {"trusted_proxies": "127.0.0.0/8", "token": TOKEN}


async def refused(relay: Relay, forwarded: str, replica: bytes, token: str = "wrong") -> str:
    """The code with which a hello over a websocket is refused."""
    async with await Device.open(relay.url, additional_headers={"X-Forwarded-For": forwarded}) as device:
        device.replica = replica
        await device.hello(token=token)
        return (await device.bye()).code


async def refused_over_http(relay: Relay, forwarded: str, replica: bytes, token: str = "wrong") -> str:
    channel = await open_channel(relay.url, None, headers=[("X-Forwarded-For", forwarded)])
    try:
        channel.send(codec.encode(Hello((GREETING,), replica, token, 0, None, False, 0, "test")))
        bye = codec.decode(await channel.receive())
        assert isinstance(bye, Bye)
        return bye.code
    finally:
        channel.abort()


@pytest.mark.parametrize("refuse", [refused, refused_over_http])
def test_guesses_count_for_the_address_that_a_trusted_proxy_tells(tmp_path: Path, refuse: Any) -> None:
    async def scenario() -> list[Any]:
        with structlog.testing.capture_logs() as lines:
            async with running(tmp_path, **TRUSTED) as relay:
                codes = [
                    await refuse(relay, "203.0.113.5, 192.0.2.7", bytes([number]) * 16)
                    for number in range(limits.TOKEN_GUESSES_MAX + 1)
                ]
                assert codes == ["unauthorized"] * limits.TOKEN_GUESSES_MAX + ["unavailable"]
                assert await refuse(relay, "192.0.2.7", b"x" * 16, TOKEN) == "unavailable"
                assert await refuse(relay, "192.0.2.8", b"y" * 16) == "unauthorized"
                async with await Device.join(
                    relay.url, token=TOKEN, additional_headers={"X-Forwarded-For": "192.0.2.8"}
                ) as other:
                    assert await other.store(("customers/a", update(1))) == [VerdictCode.ACCEPTED]
        return list(lines)

    lines = asyncio.run(scenario())
    assert {line["address"] for line in lines if line["event"] == "session_closed"} == {"192.0.2.7", "192.0.2.8"}
    assert [line["address"] for line in lines if line["event"] == "session_pushed"] == ["192.0.2.8"]


@pytest.mark.parametrize("settings", [{}, {"trusted_proxies": "10.0.0.0/8"}, {**TRUSTED, "proxy_header": "forwarded"}])
def test_a_header_of_who_is_not_trusted_counts_for_nothing(tmp_path: Path, settings: dict[str, Any]) -> None:
    async def scenario() -> list[Any]:
        with structlog.testing.capture_logs() as lines:
            async with running(tmp_path, **{"token": TOKEN, **settings}) as relay:
                await refused(relay, "192.0.2.7", bytes(16))
                await refused_over_http(relay, "192.0.2.7", bytes(16))
        return list(lines)

    lines = asyncio.run(scenario())
    assert [line["address"] for line in lines if line["event"] == "session_closed"] == ["127.0.0.1"] * 2


def test_strangers_make_room_by_their_own_behind_a_proxy_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, **TRUSTED) as relay:
            opened = [
                await Device.open(relay.url, additional_headers={"X-Forwarded-For": address})
                for address in ("192.0.2.7", "192.0.2.7", "2001:db8::7", "2001:db8::9")
            ]
            strangers, places = relay._port._strangers, relay._port._places
            counted = {"192.0.2.7": 2, "2001:db8::": 2}
            assert {address: len(each) for address, each in strangers._here.items()} == counted
            assert {address: len(each) for address, each in places._strangers.items()} == counted
            for device in opened:
                await device.drop()
            await eventually("all have left", lambda: not len(strangers) and not places._strangers)
            assert not strangers._here

    asyncio.run(scenario())


def test_proxies_are_read_again_while_the_relay_runs(tmp_path: Path) -> None:
    async def scenario() -> list[Any]:
        with structlog.testing.capture_logs() as lines:
            async with running(tmp_path, token=TOKEN) as relay:
                await refused(relay, "192.0.2.7", bytes(16))
                changed = relay.settings.model_copy(update={"trusted_proxies": (ip_network("127.0.0.1/32"),)})
                assert relay.reload(changed) == []
                await refused(relay, "192.0.2.7", bytes(16))
        return list(lines)

    lines = asyncio.run(scenario())
    assert [line["address"] for line in lines if line["event"] == "session_closed"] == ["127.0.0.1", "192.0.2.7"]
