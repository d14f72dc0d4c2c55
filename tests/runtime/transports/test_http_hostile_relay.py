"""What a device takes from a relay over HTTP is bounded too."""

import asyncio
from collections.abc import Callable

import pytest

from crdt_sync import limits
from crdt_sync.limits import HTTP_PART_BYTES_FIRST
from crdt_sync.protocol import SUBPROTOCOL
from crdt_sync.runtime.transports.channel import ChannelClosed
from crdt_sync.runtime.transports.http import dialed
from crdt_sync.runtime.transports.http.requests import Broken

HEAD = f"HTTP/1.1 200 OK\r\nCrdt-Sync-Protocol: {SUBPROTOCOL}\r\n"
Answer = Callable[[str], bytes]


def whole(body: bytes) -> bytes:
    return f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def _talk(answer: Answer, *, polls: bool) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = [
                    line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith("content-length")
                ]
                await reader.readexactly(int(length[0]) if length else 0)
                writer.write(whole(b"0" * 32) if "=open" in head else answer(head))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    async with asyncio.timeout(60), await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        channel = await dialed.open_channel(f"ws://127.0.0.1:{port}", None, polls=polls)
        channel.send(b"hello")
        try:
            with pytest.raises(ChannelClosed):
                await channel.receive()
            assert channel.coming.came <= 2 * HTTP_PART_BYTES_FIRST
        finally:
            await channel.close()


def _post_or_wait(said: bytes) -> Answer:
    return lambda head: whole(said if head.startswith("POST") else b"")


def _get(said: bytes) -> Answer:
    return lambda head: whole(b"0 0") if head.startswith("POST") else said


@pytest.mark.parametrize("polls", [False, True])
@pytest.mark.parametrize(
    "answer",
    [
        _post_or_wait(b"1000 0"),
        _post_or_wait(b"-1 0"),
        _post_or_wait(b"nonsense"),
        _get(whole(bytes(4 * HTTP_PART_BYTES_FIRST))),
        _get(whole(b"\0" + b"\xff\xff\xff\xfe")),
        _get(f"HTTP/1.1 409 Conflict\r\nCrdt-Sync-Protocol: {SUBPROTOCOL}\r\nContent-Length: 0\r\n\r\n".encode()),
    ],
    ids=["takes more than there is", "takes less than nothing", "nonsense", "too much", "frame too large", "refuses"],
)
def test_a_relay_that_breaks_the_rules_ends_the_channel(
    answer: Answer, polls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialed, "_AGAIN_S", 0.01)
    monkeypatch.setattr(limits, "HTTP_RESUME_S", 0.1)
    asyncio.run(_talk(answer, polls=polls))


@pytest.mark.parametrize("polls", [False, True])
def test_a_relay_whose_answers_do_not_wait_is_not_asked_without_a_pause(
    polls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialed, "_AGAIN_S", 0.05)
    asked = {"GET": 0, "POST": 0}

    def answer(head: str) -> bytes:
        asked[head.split(maxsplit=1)[0]] += 1
        if asked["POST"] > 4:
            return whole(b"the end")
        return whole(b"0 0" if head.startswith("POST") else b"" if polls else b"\0")

    asyncio.run(_talk(answer, polls=polls))
    assert asked["GET"] <= 3 * asked["POST"]


@pytest.mark.parametrize("said", [b"", b"\xff\x00 what?\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"x" * 100_000])
def test_what_is_no_answer_opens_nothing(said: bytes) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    async def story() -> None:
        async with asyncio.timeout(60), await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            with pytest.raises(Broken):
                await dialed.open_channel(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", None)
            await asyncio.sleep(0)

    asyncio.run(story())
