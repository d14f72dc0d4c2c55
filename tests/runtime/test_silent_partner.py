"""A partner that accepts the connection and then says nothing, or lives and does nothing."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from websockets.asyncio.server import ServerConnection, serve

from crdt_sync import Address, Replica, limits
from crdt_sync.errors import Rejected, Timeout
from crdt_sync.protocol import SUBPROTOCOL, codec, pushing
from crdt_sync.protocol.messages import (
    MODE_CHANGES,
    Ack,
    Changes,
    Hello,
    Ping,
    Pong,
    Push,
    Verdict,
    VerdictCode,
    Welcome,
)
from crdt_sync.records import bundled_schema
from crdt_sync.runtime import conversation, sync_once
from crdt_sync.storage.memory import MemoryStore


async def _synced(answer: Callable[[ServerConnection], Awaitable[None]], *, customer: bool = True) -> None:
    """A sync of a device, with a new customer or without, at a server that answers so; raises what it raises."""
    rng = random.Random(1)
    replica = Replica.over(MemoryStore(rng=rng), rng=rng)
    if customer:
        replica.name = "ann"
        replica.add_schema(bundled_schema("customers"))
        with replica.edit("customers") as editor:
            editor["name"] = "Müller GmbH"
    async with serve(answer, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL], close_timeout=0.1) as server:  # type: ignore[list-item]
        port = next(iter(server.sockets)).getsockname()[1]
        await asyncio.wait_for(sync_once(replica, Address(f"ws://127.0.0.1:{port}")), 60)


async def _welcome(connection: ServerConnection) -> None:
    """Answer a hello as a relay that holds nothing."""
    welcome = Welcome(1, bytes(15) + b"r", 1, bytes(15) + b"e", 0, MODE_CHANGES, 1 << 22, None)
    await connection.send(codec.encode(welcome))
    await connection.send(codec.encode(Changes(1, 0, ())))


def test_a_session_ends_although_the_silent_partner_never_closes_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HANDSHAKE_TIMEOUT_US", 50_000)

    async def say_nothing(connection: ServerConnection) -> None:
        await connection.wait_closed()

    with pytest.raises(Timeout):
        asyncio.run(_synced(say_nothing, customer=False))


def test_a_sync_with_a_relay_that_answers_pings_and_stores_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where its commit never returns."""
    monkeypatch.setattr(limits, "KEEPALIVE_US", 20_000)
    monkeypatch.setattr(limits, "SILENCE_US_MAX", 10_000_000)
    monkeypatch.setattr(limits, "ANSWER_US_MAX", 100_000)
    monkeypatch.setattr(limits, "LINK_BYTES_PER_S_MIN", 1_000_000)
    monkeypatch.setattr(limits, "WINDOW_BYTES_FIRST", limits.WINDOW_BYTES_MAX)
    pings = []

    async def store_nothing(connection: ServerConnection) -> None:
        async for frame in connection:
            assert isinstance(frame, bytes)
            match codec.decode(frame):
                case Hello():
                    await _welcome(connection)
                case Ping(number):
                    pings.append(number)
                    await connection.send(codec.encode(Pong(number)))

    with pytest.raises(Timeout, match="answers, but stored nothing of what was sent"):
        asyncio.run(_synced(store_nothing))
    assert pings


def test_a_sync_with_a_relay_that_finds_gaps_in_whatever_is_sent_pauses_and_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conversation, "_REFUSING_US_MAX", 100_000)
    monkeypatch.setattr(pushing, "_RETRY_AFTER_US", 30_000)
    pushes = []

    async def lack_something(connection: ServerConnection) -> None:
        async for frame in connection:
            assert isinstance(frame, bytes)
            match codec.decode(frame):
                case Hello():
                    await _welcome(connection)
                case Push(number):
                    pushes.append(number)
                    gap = Verdict(VerdictCode.GAP, state_vector=b"\0")
                    await connection.send(codec.encode(Ack(number, None, 0, (gap,))))

    with pytest.raises(Rejected):
        asyncio.run(_synced(lack_something))
    assert 4 <= len(pushes) < 20
