"""What strangers may do over HTTP is bounded, and nobody else notices them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from crdt_relay.server import Relay
from crdt_sync import Address, Replica, bundled_schema, limits, sync_once
from crdt_sync.protocol import SUBPROTOCOL, codec
from crdt_sync.protocol.messages import Hello
from crdt_sync.protocol.versions import GREETING
from crdt_sync.runtime.hosting.fair_queue import FairQueue
from crdt_sync.runtime.hosting.front import Front
from crdt_sync.runtime.hosting.strangers import Strangers
from crdt_sync.runtime.transports import channel
from crdt_sync.runtime.transports.http.dialed import open_channel
from crdt_sync.runtime.transports.http.door import Door
from crdt_sync.runtime.transports.room import Room

from .devices import eventually, running

pytestmark = pytest.mark.usefixtures("local_workers")

KEY = "0" * 32
HEADERS = f"Host: relay\r\nCrdt-Sync-Protocol: {SUBPROTOCOL}\r\n"
Story = Callable[[Relay], Awaitable[None]]


@pytest.fixture(autouse=True)
def _no_long_goodbyes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "CLOSE_TIMEOUT_S", 0.1)


def serve(story: Story, data: Path, **settings: Any) -> None:
    async def whole() -> None:
        async with asyncio.timeout(60), running(data / "relay", **settings) as relay:
            await story(relay)
            with Replica.create(data / "honest", "honest", [bundled_schema("customers")]) as honest:
                with honest.edit("customers") as customer:
                    customer["name"] = "Muster AG"
                await sync_once(honest, Address(relay.url, transport="http"))
            assert relay.store.count() == 1

    asyncio.run(whole())


class Stranger:
    """A connection on which requests are made by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def come(cls, port: int) -> "Stranger":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def say(self, text: str, body: bytes = b"") -> None:
        self.writer.write(text.encode() + body)

    async def answer(self) -> tuple[int, bytes]:
        """Status and body; 0 where the connection is closed instead."""
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0, b""
        lengths = [line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith("content-length")]
        return int(head.split()[1]), await self.reader.readexactly(int(lengths[0])) if lengths else b""

    async def ask(
        self, method: str, query: str, body: bytes | None = None, more: str = "", key: str = KEY
    ) -> tuple[int, bytes]:
        length = "" if body is None else f"Content-Length: {len(body)}\r\n"
        said = f"{method} /?crdt-sync={query} HTTP/1.1\r\n{HEADERS}Crdt-Sync-Key: {key}\r\n{length}{more}\r\n"
        self.say(said, body or b"")
        return await self.answer()

    async def opened(self) -> str:
        status, name = await self.ask("POST", "open", b"")
        assert status == 200
        return name.decode()

    def close(self) -> None:
        self.writer.transport.abort()


def channels(relay: Relay) -> int:
    return len(relay._port._door)


def test_a_flood_of_channels_leaves_room_for_who_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HTTP_STRANGERS_MAX", 5)

    async def story(relay: Relay) -> None:
        with Replica.create(tmp_path / "known", "known", [bundled_schema("customers")]):
            known = await open_channel(relay.url, None)
            first = await Stranger.come(relay.port)
            name = await first.opened()
            others = [await Stranger.come(relay.port) for _ in range(30)]
            for other in others:
                await other.opened()
                other.close()
            assert channels(relay) <= 6
            await eventually("those who gave way left the hub", lambda: len(relay.engine.hub) <= 6)
            assert (await first.ask("POST", f"{name}&from=0", b"")) == (404, b"")
            known.abort()
            await known.close()
            first.close()

    serve(story, tmp_path)


WRONG = {
    "{name}&from=1": 409,
    "{name}&from=0&ack=1": 409,
    "{name}&from=-1": 400,
    "{name}&from=9999999999999999999": 400,
    "{name}&from=x": 400,
    "{other}&from=0": 404,
    "no-name&from=0": 400,
}


def test_wrong_numbers_and_names_are_refused(tmp_path: Path) -> None:
    async def story(relay: Relay) -> None:
        for query, status in WRONG.items():
            stranger = await Stranger.come(relay.port)
            name = await stranger.opened()
            asked = query.format(name=name, other="0" * 32)
            assert await stranger.ask("POST", asked, b"x") == (status, b""), query
            assert (name in relay._port._door._channels) == (status != 409), query
            stranger.close()

    serve(story, tmp_path)


def test_what_is_refused_ends_the_connection(tmp_path: Path) -> None:
    """Thousands of requests that are sent at once would keep everybody else waiting."""

    async def story(relay: Relay) -> None:
        for query, more, status in (
            ("no-name&from=0", "", 400),
            ("0" * 32 + "&from=0", "", 404),
            ("open", "Origin: http://evil.test\r\n", 403),
        ):
            stranger = await Stranger.come(relay.port)
            assert await stranger.ask("POST", query, b"", more) == (status, b"")
            assert await stranger.answer() == (0, b"")
            stranger.close()
        stranger = await Stranger.come(relay.port)
        first = await stranger.opened()
        assert await stranger.ask("GET", f"{first}&from=0&most=9&wait=0") == (200, b"")
        assert await stranger.opened() != first  # as by a proxy that has one connection for two devices
        assert await stranger.answer() == (0, b"")
        stranger.close()

    serve(story, tmp_path)


def test_an_answer_to_what_was_not_read_says_that_the_connection_ends(tmp_path: Path) -> None:
    """A proxy that did not know would make the next request of somebody else on it."""

    async def story(relay: Relay) -> None:
        for body in ("Content-Length: 5\r\n\r\n12", "Transfer-Encoding: chunked\r\n\r\nzz\r\nno chunks"):
            stranger = await Stranger.come(relay.port)
            stranger.say(f"POST /?crdt-sync=open HTTP/1.1\r\n{HEADERS}Crdt-Sync-Key: {KEY}\r\n{body}")
            head = await stranger.reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert b"\r\nConnection: close\r\n" in head
            stranger.close()

    serve(story, tmp_path)


def test_who_sends_many_requests_at_once_lets_others_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = 0
    request = Door._request

    async def counted(door: Door, *arguments: Any) -> None:
        nonlocal served
        served += 1
        await request(door, *arguments)

    monkeypatch.setattr(Door, "_request", counted)

    async def story(relay: Relay) -> None:
        many, other = await Stranger.come(relay.port), await Stranger.come(relay.port)
        name, theirs = await many.opened(), await other.opened()
        one = f"GET /?crdt-sync={name}&from=0&most=9&wait=0 HTTP/1.1\r\n{HEADERS}Crdt-Sync-Key: {KEY}\r\n\r\n"
        many.say(one * 2000)
        await many.answer()
        assert await other.ask("GET", f"{theirs}&from=0&most=9&wait=0") == (200, b"")
        assert served < 50
        many.close()
        other.close()

    serve(story, tmp_path)


def test_an_id_is_worth_nothing_without_its_key(tmp_path: Path) -> None:
    async def story(relay: Relay) -> None:
        stranger = await Stranger.come(relay.port)
        name = await stranger.opened()
        for key in ("1" * 32, "", "0" * 31):
            thief = await Stranger.come(relay.port)
            status, _ = await thief.ask("POST", name, b"", key=key)
            assert status in {400, 404}
            thief.close()
        assert channels(relay) == 1
        assert await stranger.ask("POST", name, b"") == (200, b"")
        assert channels(relay) == 0
        stranger.close()

    serve(story, tmp_path)


def test_bodies_say_their_length_and_are_not_larger_than_allowed(tmp_path: Path) -> None:
    async def story(relay: Relay) -> None:
        for more, status in (
            ("Transfer-Encoding: chunked\r\n", 411),
            (f"Content-Length: {limits.HTTP_PART_BYTES_MAX + 1}\r\n", 413),
            (f"Content-Length: {'9' * 18}\r\n", 413),
        ):
            stranger = await Stranger.come(relay.port)
            name = await stranger.opened()
            assert await stranger.ask("POST", f"{name}&from=0", None, more) == (status, b"")
            stranger.close()
        stranger = await Stranger.come(relay.port)
        name = await stranger.opened()
        hello = (limits.HELLO_BYTES_MAX + 1).to_bytes(4, "big")
        assert await stranger.ask("POST", f"{name}&from=0", hello) == (413, b"")
        stranger.close()
        await eventually("every channel is over", lambda: channels(relay) <= 3)

    serve(story, tmp_path)


def test_headers_without_end_are_not_kept(tmp_path: Path) -> None:
    async def story(relay: Relay) -> None:
        for begins in ("POST /?crdt-sync=open HTTP/1.1\r\n", "POST /?crdt-sync=open"):
            stranger = await Stranger.come(relay.port)
            stranger.say(begins + "x" * 4 * limits.HANDSHAKE_BYTES_MAX)
            assert await stranger.answer() == (0, b"")
            stranger.close()
        stranger = await Stranger.come(relay.port)
        name = await stranger.opened()
        assert (await stranger.ask("POST", name, b"", f"X: {'x' * 3 * limits.HANDSHAKE_BYTES_MAX}\r\n"))[0] == 0
        stranger.close()

    serve(story, tmp_path)


def test_who_speaks_too_slowly_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(relay: Relay) -> None:
        stranger = await Stranger.come(relay.port)
        name = await stranger.opened()
        monkeypatch.setattr(limits, "HTTP_BODY_GRACE_S", 0.05)
        monkeypatch.setattr(limits, "LINK_BYTES_PER_S_MIN", 1_000_000)
        length = "Content-Length: 1000\r\n"
        stranger.say(
            f"POST /?crdt-sync={name}&from=0 HTTP/1.1\r\n{HEADERS}Crdt-Sync-Key: {KEY}\r\n{length}\r\n", b"\0\0\0\5"
        )
        assert await stranger.answer() == (0, b"")
        stranger.close()
        monkeypatch.setattr(limits, "HANDSHAKE_TIMEOUT_US", 50_000)
        for begins in ("", "POST /?crdt-sync=op", "POST /?crdt-sync=open HTTP/1.1\r\nHost: "):
            stranger = await Stranger.come(relay.port)
            stranger.say(begins)
            assert await stranger.answer() == (0, b"")
            stranger.close()
        monkeypatch.undo()

    serve(story, tmp_path)


def test_one_channel_has_so_many_requests_at_a_time(tmp_path: Path) -> None:
    async def story(relay: Relay) -> None:
        stranger = await Stranger.come(relay.port)
        name = await stranger.opened()
        others = [await Stranger.come(relay.port) for _ in range(limits.HTTP_REQUESTS_MAX)]
        for other in others:
            other.say(
                f"POST /?crdt-sync={name}&from=0 HTTP/1.1\r\n{HEADERS}Crdt-Sync-Key: {KEY}\r\nContent-Length: 4\r\n\r\n"
            )
        door = relay._port._door
        await eventually("all are served", lambda: len(door._channels[name].connections) == limits.HTTP_REQUESTS_MAX)
        assert await stranger.ask("POST", f"{name}&from=0", b"x") == (429, b"")
        for each in (stranger, *others):
            each.close()

    serve(story, tmp_path)


def test_without_a_token_no_web_page_comes_in(tmp_path: Path) -> None:
    async def story(relay: Relay) -> None:
        stranger = await Stranger.come(relay.port)
        assert await stranger.ask("POST", "open", b"", "Origin: http://evil.test\r\n") == (403, b"")
        stranger.close()
        stranger = await Stranger.come(relay.port)
        assert await stranger.ask("GET", "open&from=0", None) == (405, b"")
        stranger.close()

    serve(story, tmp_path)


def test_a_channel_that_nobody_asks_for_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(relay: Relay) -> None:
        monkeypatch.setattr(limits, "HTTP_LINGER_S", 0.05)
        stranger = await Stranger.come(relay.port)
        await stranger.opened()
        assert channels(relay) == 1
        await eventually("it is over", lambda: channels(relay) == 0)
        await eventually("its session, too", lambda: len(relay.engine.hub) == 0)
        monkeypatch.undo()
        stranger.close()

    serve(story, tmp_path)


@asynccontextmanager
async def hosted(*, full: bool = False) -> AsyncIterator[tuple[Door, Strangers, int]]:
    """A door for two connections, behind which nothing happens, and the port that leads there."""
    loop = asyncio.get_running_loop()
    strangers = Strangers(loop, FairQueue(loop))
    door = Door(
        lambda _: asyncio.sleep(0),
        1,
        lambda: full,
        Room(loop, 1),
        Room(loop, 1),
        strangers,
        connections_max=2,
        browsers=True,
    )
    server = await loop.create_server(lambda: Front(asyncio.Protocol, door.take, strangers, set()), "127.0.0.1", 0)
    async with server:
        yield door, strangers, server.sockets[0].getsockname()[1]
        await door.wait_closed(1)


def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STRANGERS_MAX", 5)
    monkeypatch.setattr(limits, "STRANGER_S_MIN", 0.0)

    async def story() -> None:
        async with hosted() as (door, strangers, port):
            callers = [await Stranger.come(port) for _ in range(2)]
            for caller in callers:
                await caller.opened()
            third = await Stranger.come(port)
            assert (await third.ask("POST", "open", b""))[0] == 200
            assert await callers[0].answer() == (0, b"")  # the oldest gives way
            assert len(door.connections) == 2
            silent = [await Stranger.come(port) for _ in range(3)]
            await eventually("they are known", lambda: len(strangers) == 5)
            fourth = await Stranger.come(port)
            assert await callers[1].answer() == (0, b"")  # the oldest gives way
            assert len(strangers) == 5
            for each in (*callers, third, *silent, fourth):
                each.close()
            await eventually("none is left", lambda: not len(strangers))

    asyncio.run(story())


def test_connections_that_ask_for_nothing_give_way_to_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crdt_sync.runtime.hosting.serving._STRANGERS_MAX", 1)

    async def story(relay: Relay) -> None:
        strangers = [await Stranger.come(relay.port) for _ in range(9)]
        for stranger in strangers:
            stranger.say("POST /?crdt-sync=open HTTP/1.1\r\nHost: ")
        door = relay._port._door
        await eventually("as many as may be are here", lambda: len(door.connections) == 4)
        with Replica.create(tmp_path / "other", "other", [bundled_schema("customers")]) as other:
            await sync_once(other, Address(relay.url, transport="http"))
        for stranger in strangers:
            stranger.close()

    serve(story, tmp_path, sessions_max=1)


def test_who_is_known_keeps_its_connections_whoever_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crdt_sync.runtime.hosting.serving._STRANGERS_MAX", 1)

    async def story(relay: Relay) -> None:
        door, known = relay._port._door, await Stranger.come(relay.port)
        name = await known.opened()
        hello = codec.encode(Hello((GREETING,), bytes(16), "", 0, None, True, 0, "test"))
        said = len(hello).to_bytes(4, "big") + hello
        assert (await known.ask("POST", f"{name}&from=0", said))[0] == 200
        await eventually("it is known", lambda: door._channels[name].greeted)
        assert (await known.ask("GET", f"{name}&from=0&most=9&wait=0"))[0] == 200
        strangers = []
        for _ in range(9):
            strangers.append(await Stranger.come(relay.port))
            strangers[-1].say("POST /?crdt-sync=open HTTP/1.1\r\nHost: ")
            before = len(door.connections)
            await eventually("it was taken", lambda count=before: len(door.connections) in {count + 1, 4})
        assert await strangers[0].answer() == (0, b"")
        assert (await known.ask("POST", name, b""))[0] == 200
        for each in (known, *strangers):
            each.close()

    serve(story, tmp_path, sessions_max=1)


def test_a_relay_that_is_full_says_so_before_anything_is_opened(tmp_path: Path) -> None:
    async def story() -> None:
        async with hosted(full=True) as (_, _, port):
            stranger = await Stranger.come(port)
            assert await stranger.ask("POST", "open", b"") == (503, b"")
            stranger.close()

    asyncio.run(story())
