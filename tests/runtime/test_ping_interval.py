"""How soon a silent link is asked whether it lives: settable at both ends, for proxies with little patience."""

import asyncio
from pathlib import Path

import pytest

from crdt_relay import settings
from crdt_sync import Address, Replica, bundled_schema, keep_syncing_forever, limits
from crdt_sync.errors import InvalidSettings, UsageError
from crdt_sync.protocol import codec
from crdt_sync.protocol.acceptor import Acceptor
from crdt_sync.protocol.dialer import Dialer
from crdt_sync.protocol.messages import Changes, Ping
from crdt_sync.protocol.principal import everybody
from crdt_sync.protocol.session import Session
from tests.protocol.scripted import ScriptedLog, ScriptedOutbox, drain, hello, say, welcome
from tests.relay.devices import PATIENCE_S, Device, running

SECOND = 1_000_000


@pytest.fixture
def nothing_else_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is told no interval asks after an hour, and a handshake may take one."""
    for name in ("KEEPALIVE_US", "HANDSHAKE_TIMEOUT_US"):
        monkeypatch.setattr(limits, name, 3600 * SECOND)


def asks_at(session: Session) -> int:
    """When the session sends its first ping, in seconds."""
    now = 0
    while True:
        timer = session.next_timer()
        assert timer is not None
        now = max(now + 1, timer)
        session.timer(now)
        if any(isinstance(message, Ping) for message in drain(session)[0]):
            return now // SECOND


@pytest.mark.parametrize("seconds", [1, 5, 20])
def test_a_session_asks_after_the_interval_that_was_set(seconds: int) -> None:
    relay = Acceptor(ScriptedLog(), everybody, lambda: 0, 0, seconds * SECOND)
    say(relay, hello())
    assert asks_at(relay) == seconds
    source = ScriptedOutbox()
    device = Dialer(source, resume=None, token="", follow=True, agent="", wall=0, now=0, ping_us=seconds * SECOND)
    say(device, welcome(), Changes(1, 0, ()))
    device.integrated(1, [], 0)
    drain(device)
    assert asks_at(device) == seconds


def test_a_relay_asks_as_soon_as_its_setting_says(tmp_path: Path, nothing_else_asks: None) -> None:
    """Also before the time that a handshake may take is over."""

    async def scenario() -> None:
        async with running(tmp_path, ping_interval=1.0) as relay:
            device = await Device.join(relay.url)
            await device.expect(Ping)
            await device.close()

    asyncio.run(scenario())


def test_a_device_asks_as_soon_as_its_address_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_else_asks: None
) -> None:
    asked = asyncio.Event()
    receive = Acceptor.receive

    def heard(acceptor: Acceptor, frame: bytes, now: int) -> None:
        if acceptor.partner and isinstance(codec.decode(frame, version=acceptor.version), Ping):
            asked.set()
        receive(acceptor, frame, now)

    monkeypatch.setattr(Acceptor, "receive", heard)

    async def scenario() -> None:
        with Replica.create(tmp_path / "ann", "ann", [bundled_schema("customers")]) as ann:
            async with running(tmp_path / "relay") as relay:
                syncing = asyncio.create_task(keep_syncing_forever(ann, Address(relay.url, ping_interval_s=1)))
                await asyncio.wait_for(asked.wait(), PATIENCE_S)
                syncing.cancel()
                await asyncio.gather(syncing, return_exceptions=True)

    asyncio.run(scenario())


@pytest.mark.parametrize("seconds", [limits.PING_S_MIN, limits.PING_S_MAX])
def test_both_ends_of_the_range_can_be_set(seconds: float) -> None:
    assert Address("ws://relay", ping_interval_s=seconds).ping_us == seconds * SECOND
    assert settings.load({"ping_interval": seconds}).ping_interval == seconds


@pytest.mark.parametrize("seconds", [0.0, 0.9, 20.1, float("nan"), float("inf"), -1.0])
def test_what_would_flood_or_be_given_up_is_refused(seconds: float) -> None:
    with pytest.raises(UsageError):
        Address("ws://relay", ping_interval_s=seconds)
    with pytest.raises(InvalidSettings):
        settings.load({"ping_interval": seconds})
