"""Links that are delayed, torn, reset or half open: afterwards all agree and nothing is missing."""

import asyncio
import contextlib
import random

import pytest

from crdt_bench.campaign import spoiled_links
from crdt_bench.campaign.proxy import FAULTS, Proxy
from crdt_sync import Replica


def test_after_rounds_over_spoiled_links_all_agree_and_nothing_is_missing():
    tally = spoiled_links.run(1, len(FAULTS))
    assert tally.findings == []
    assert tally.ran == 2 * len(FAULTS)


def test_an_edit_that_is_missing_is_noticed(monkeypatch):
    monkeypatch.setattr(spoiled_links, "_edit", lambda device, rng, number: {f"{device.name} {number}"})
    monkeypatch.setattr(Replica, "list", lambda replica, collection: iter(()))
    assert any("anna lacks 4 edits" in finding for finding in spoiled_links.run(1, 2).findings)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_spoils_a_link_and_where_there_is_none_all_bytes_pass(fault):
    sent = bytes(range(256)) * 40

    async def through() -> bytes:
        async def serve(reader, writer):
            await reader.readexactly(10)
            writer.write(sent)
            await writer.drain()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server, Proxy(server.sockets[0].getsockname()[1], fault, random.Random(1), 5000) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(b"x" * 10)
            got = b""
            with contextlib.suppress(OSError, TimeoutError):
                got = await asyncio.wait_for(reader.read(-1), 0.5)
            writer.transport.abort()
            await asyncio.sleep(0)
            return got

    whole = asyncio.run(through()) == sent
    assert whole == (fault in {"none", "delay", "trickle", "one way"})
