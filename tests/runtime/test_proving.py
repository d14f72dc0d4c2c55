"""Of several who say that they are a device, the one that proves it is found, whatever the others do."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from crdt_sync import Address
from crdt_sync.runtime.listening import listening
from crdt_sync.runtime.proving import Proven, proven
from tests.runtime.test_members import NOW, device, member

PATIENCE_S = 30.0


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes a connection and never says a word."""
    while await reader.read(1000):
        pass
    writer.close()


async def _rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"HTTP/1.1 200 OK\r\n\r\nI am anna")
    writer.close()


def enough(count: int) -> Callable[[Sequence[Proven]], bool]:
    return lambda found: len(found) >= count


def found(tmp_path, token: str = "") -> list[tuple[str, bytes]]:
    """Anna's device beside three who say that they are her; which of the four is told from the others."""
    anna = None if token else member(11, "anna")
    ben = None if token else member(12, "ben")
    thief = None if token else member(13, "anna")
    if ben is not None:
        ben.now = lambda: NOW
    if thief is not None:
        thief.facts = member(11, "anna").facts  # her token, without her key

    async def story() -> list[tuple[str, bytes]]:
        async with AsyncExitStack() as opened:
            replicas = [
                opened.enter_context(device(tmp_path / name, who)) for name, who in (("anna", anna), ("thief", thief))
            ]
            listens = await opened.enter_async_context(listening(replicas[0], "127.0.0.1", 0, token, None))
            wrong = await opened.enter_async_context(
                listening(replicas[1], "127.0.0.1", 0, "another-token-entirely" if token else "", None)
            )
            urls = [wrong.url, "ws://127.0.0.1:9"]
            for fake in (_silent, _rude):
                server = await opened.enter_async_context(await asyncio.start_server(fake, "127.0.0.1", 0))
                urls.append(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            addresses = [Address(url, token, direct=True, member=ben) for url in (*urls, listens.url)]
            answers = await proven(addresses, enough(1), PATIENCE_S)
            assert [answer.address.url for answer in answers] == [listens.url]
            assert answers[0].replica == replicas[0].id
            return [(answer.claims.user, answer.claims.device) for answer in answers if answer.claims]

    return asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


def test_the_one_that_proves_its_key_is_found_and_the_others_delay_nobody(tmp_path) -> None:
    assert found(tmp_path) == [("anna", member(11, "anna").device)]


def test_the_one_that_proves_the_token_is_found_and_the_others_delay_nobody(tmp_path) -> None:
    assert found(tmp_path, "a-token-of-the-space") == []


def test_whoever_never_answers_is_waited_for_no_longer_than_was_said(tmp_path) -> None:
    async def story() -> list[Proven]:
        async with await asyncio.start_server(_silent, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            return await proven([Address(url, direct=True, member=member(12, "ben"))], seconds=0.05)

    assert asyncio.run(asyncio.wait_for(story(), PATIENCE_S)) == []
