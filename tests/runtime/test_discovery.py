"""Devices that announce themselves on the local network, here on the loopback interface.

All who run on this machine hear each other there, other tests too: so each has a service and devices of its own.
"""

import asyncio
import os
import socket
from itertools import count

import pytest
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from crdt_sync.identity import rotation
from crdt_sync.identity.devices import Devices
from crdt_sync.protocol import proof
from crdt_sync.runtime import discovery
from crdt_sync.runtime.discovery import Nearby, announced, nearby
from tests.runtime.test_members import FOREIGN_KEY, NOW, member, said

LOOPBACK = "127.0.0.1"
TOKEN = "a-token-of-the-space"
PATIENCE_S = 30.0
ANNA, BEN, STRANGER = (os.urandom(16) for _ in range(3))
_numbers = count()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> str:
    own = f"_t{os.getpid():x}-{next(_numbers):x}._tcp.local."
    monkeypatch.setattr(discovery, "SERVICE", own)
    return own


@pytest.fixture(autouse=True)
def _multicast(service: str) -> None:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(LOOPBACK))
            probe.sendto(b"", ("224.0.0.251", 9))
    except OSError as error:
        pytest.skip(f"no multicast on this machine: {error}")


def test_devices_of_a_space_find_each_other_and_no_others() -> None:
    async def scenario() -> None:
        async with (
            announced("anna-phone", ANNA, TOKEN, 8767, [LOOPBACK], [LOOPBACK]),
            announced("ben-till", BEN, TOKEN, 8768, [LOOPBACK], [LOOPBACK]),
            announced("stranger", STRANGER, "another-token-entirely", 8769, [LOOPBACK], [LOOPBACK]),
        ):
            everybody = await nearby(PATIENCE_S, None, [LOOPBACK], enough=3)
            assert [device.name for device in everybody] == ["anna-phone", "ben-till", "stranger"]
            found = await nearby(PATIENCE_S, TOKEN, [LOOPBACK], enough=2)
            assert [(device.name, device.replica, device.url) for device in found] == [
                ("anna-phone", ANNA, "wss://127.0.0.1:8767"),
                ("ben-till", BEN, "wss://127.0.0.1:8768"),
            ]

    asyncio.run(scenario())


def test_an_announcement_tells_no_token_and_nothing_of_customers(service: str) -> None:
    async def scenario() -> dict[bytes, bytes | None]:
        async with announced("anna-phone", ANNA, TOKEN, 8767, [LOOPBACK], [LOOPBACK]):
            zeroconf = AsyncZeroconf(interfaces=[LOOPBACK])
            info = AsyncServiceInfo(service, f"{ANNA.hex()}.{service}")
            assert await info.async_request(zeroconf.zeroconf, 3000)
            await zeroconf.async_close()
            return dict(info.properties)

    assert asyncio.run(scenario()) == {
        b"v": b"1",
        b"name": b"anna-phone",
        b"replica": ANNA.hex().encode(),
        b"space": proof.space_of(TOKEN).hex().encode(),
    }


def test_in_a_space_with_identities_devices_find_each_other_by_their_keys(service: str) -> None:
    anna, ben = member(11, "anna"), member(12, "ben")
    stranger = member(13, "anna", [rotation.begun(bytes(16), FOREIGN_KEY, NOW)], space=bytes(16), by=FOREIGN_KEY)
    listed = Devices({each.pair.public.raw: user for each, user in ((anna, "anna"), (ben, "ben"))})
    for each in (anna, ben):
        each.hear([said(listed)])

    async def scenario() -> list[Nearby]:
        async with (
            announced("anna-phone", ANNA, "", 8767, [LOOPBACK], [LOOPBACK], anna),
            announced("anna-phone", STRANGER, "", 8768, [LOOPBACK], [LOOPBACK], stranger),
            announced("anna-phone", STRANGER, anna.space.hex(), 8769, [LOOPBACK], [LOOPBACK]),
            announced("anna-tablet", BEN, "", 8770, [LOOPBACK], [LOOPBACK], member(14, "anna")),
        ):
            return await nearby(PATIENCE_S, "", [LOOPBACK], enough=2, member=ben)

    found = asyncio.run(scenario())
    assert [(device.name, device.port, device.device, device.user) for device in found] == [
        ("anna-phone", 8767, anna.device, "anna"),
        ("anna-tablet", 8770, b"", ""),  # it joined a moment ago, and is not listed here yet
    ]


def test_strange_announcements_are_passed_over(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    strange: list[dict[str, str]] = [
        {},
        {"v": "2", "name": "x", "replica": "03" * 16, "space": "00" * 8},
        {"v": "1", "name": "x", "replica": "zz" * 16, "space": "00" * 8},
        {"v": "1", "name": "", "replica": "03" * 16, "space": "00" * 8},
        {"v": "1", "name": "x", "replica": "03" * 15, "space": "00" * 8},
    ]
    read, heard, all_heard = discovery._read, set[str](), asyncio.Event()

    def noted(info: AsyncServiceInfo) -> Nearby | None:
        heard.add(info.name)
        if len(heard) == len(strange):
            all_heard.set()
        return read(info)

    async def scenario() -> list[Nearby]:
        infos = [
            AsyncServiceInfo(
                service,
                f"strange{number}.{service}",
                parsed_addresses=[LOOPBACK],
                port=1,
                properties=said,
                server=f"{STRANGER.hex()}.local.",
            )
            for number, said in enumerate(strange)
        ]
        zeroconf = AsyncZeroconf(interfaces=[LOOPBACK])
        try:
            looking = asyncio.create_task(nearby(PATIENCE_S, None, [LOOPBACK], enough=1))
            await asyncio.gather(*map(zeroconf.async_register_service, infos))
            await asyncio.wait_for(all_heard.wait(), PATIENCE_S)
            async with announced("anna-phone", ANNA, TOKEN, 8767, [LOOPBACK], [LOOPBACK]):
                return await looking
        finally:
            await zeroconf.async_unregister_all_services()
            await zeroconf.async_close()

    monkeypatch.setattr(discovery, "_read", noted)
    assert [device.name for device in asyncio.run(scenario())] == ["anna-phone"]
