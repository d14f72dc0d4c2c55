"""Devices that announce themselves on the local network, here on the loopback interface."""

import asyncio
import socket

import pytest
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from crdt_sync.protocol import proof
from crdt_sync.runtime.discovery import SERVICE, announced, nearby

LOOPBACK = "127.0.0.1"
TOKEN = "a-token-of-the-space"
PATIENCE_S = 30.0


@pytest.fixture(autouse=True)
def _multicast() -> None:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(LOOPBACK))
            probe.sendto(b"", ("224.0.0.251", 9))
    except OSError as error:
        pytest.skip(f"no multicast on this machine: {error}")


def test_devices_of_a_space_find_each_other_and_no_others() -> None:
    async def scenario() -> None:
        async with (
            announced("anna-phone", b"\x01" * 16, TOKEN, 8767, [LOOPBACK], [LOOPBACK]),
            announced("ben-till", b"\x02" * 16, TOKEN, 8768, [LOOPBACK], [LOOPBACK]),
            announced("stranger", b"\x03" * 16, "another-token-entirely", 8769, [LOOPBACK], [LOOPBACK]),
        ):
            everybody = await nearby(PATIENCE_S, None, [LOOPBACK], enough=3)
            assert [device.name for device in everybody] == ["anna-phone", "ben-till", "stranger"]
            found = await nearby(PATIENCE_S, TOKEN, [LOOPBACK], enough=2)
            assert [(device.name, device.replica, device.url) for device in found] == [
                ("anna-phone", b"\x01" * 16, "wss://127.0.0.1:8767"),
                ("ben-till", b"\x02" * 16, "wss://127.0.0.1:8768"),
            ]

    asyncio.run(scenario())


def test_an_announcement_tells_no_token_and_nothing_of_customers() -> None:
    async def scenario() -> dict[bytes, bytes | None]:
        async with announced("anna-phone", b"\x01" * 16, TOKEN, 8767, [LOOPBACK], [LOOPBACK]):
            zeroconf = AsyncZeroconf(interfaces=[LOOPBACK])
            info = AsyncServiceInfo(SERVICE, f"{'01' * 16}.{SERVICE}")
            assert await info.async_request(zeroconf.zeroconf, 3000)
            await zeroconf.async_close()
            return dict(info.properties)

    assert asyncio.run(scenario()) == {
        b"v": b"1",
        b"name": b"anna-phone",
        b"replica": b"01" * 16,
        b"space": proof.space_of(TOKEN).hex().encode(),
    }


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"v": "2", "name": "x", "replica": "03" * 16, "space": "00" * 8},
        {"v": "1", "name": "x", "replica": "zz" * 16, "space": "00" * 8},
        {"v": "1", "name": "", "replica": "03" * 16, "space": "00" * 8},
        {"v": "1", "name": "x", "replica": "03" * 15, "space": "00" * 8},
    ],
)
def test_strange_announcements_are_passed_over(said: dict[str, str]) -> None:
    async def scenario() -> None:
        strange = AsyncServiceInfo(
            SERVICE, f"strange.{SERVICE}", parsed_addresses=[LOOPBACK], port=1, properties=said, server="strange.local."
        )
        zeroconf = AsyncZeroconf(interfaces=[LOOPBACK])
        await zeroconf.async_register_service(strange)
        async with announced("anna-phone", b"\x01" * 16, TOKEN, 8767, [LOOPBACK], [LOOPBACK]):
            found = await nearby(PATIENCE_S, None, [LOOPBACK], enough=1)
        await zeroconf.async_unregister_all_services()
        await zeroconf.async_close()
        assert [device.name for device in found] == ["anna-phone"]

    asyncio.run(scenario())
