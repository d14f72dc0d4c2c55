"""A partner that accepts the connection and then says nothing, as behind a half-open link."""

import asyncio
import random

import pytest
from websockets.asyncio.server import ServerConnection, serve

from crdt_sync import Address, Replica, limits
from crdt_sync.errors import Timeout
from crdt_sync.protocol import SUBPROTOCOL
from crdt_sync.runtime import sync_once
from crdt_sync.storage.memory import MemoryStore


def test_a_session_ends_although_the_silent_partner_never_closes_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HANDSHAKE_TIMEOUT_US", 50_000)
    rng = random.Random(1)

    async def say_nothing(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async def talk() -> None:
        async with serve(say_nothing, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL], close_timeout=0.1) as server:  # type: ignore[list-item]
            port = next(iter(server.sockets)).getsockname()[1]
            replica = Replica.over(MemoryStore(rng=rng), rng=rng)
            with pytest.raises(Timeout):
                await asyncio.wait_for(sync_once(replica, Address(f"ws://127.0.0.1:{port}")), 10)

    asyncio.run(talk())
