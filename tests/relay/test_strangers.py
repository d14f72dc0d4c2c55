"""What is said to those who do not follow the rules, and that nobody else notices them."""

import asyncio
import logging
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import structlog
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, NegotiationError
from websockets.frames import Frame, Opcode
from websockets.typing import Origin

from crdt_relay.server import Relay
from crdt_sync import limits
from crdt_sync.protocol import SUBPROTOCOL, codec
from crdt_sync.protocol.messages import Bye, Hello, Ping, Pong, VerdictCode, Welcome
from crdt_sync.protocol.versions import GREETING
from crdt_sync.runtime.transports.http.dialed import open_channel

from .devices import Device, eventually, make_certificate, running, update

pytestmark = pytest.mark.usefixtures("local_workers")

TOKEN = "a-token-that-nobody-guesses"
Misbehave = Callable[[Device], Awaitable[None]]


def serve(scenario: Callable[[Relay], Awaitable[None]], data: Path, **settings: Any) -> None:
    async def whole() -> None:
        async with running(data, **settings) as relay:
            await scenario(relay)
            await eventually("all sessions over", lambda: len(relay.engine.hub) == 0)

    asyncio.run(whole())


async def answers(relay: Relay, token: str = "") -> None:
    """Another device is served as ever."""
    async with await Device.join(relay.url, token=token) as device:
        assert await device.store(("customers/a", update(1))) == [VerdictCode.ACCEPTED]


def test_a_wrong_token_is_refused_for_good(tmp_path: Path) -> None:
    async def scenario(relay: Relay) -> None:
        for token in ("", TOKEN + " ", "another-token-of-that-kind"):
            async with await Device.open(relay.url) as device:
                await device.hello(token=token)
                bye = await device.bye()
                assert (bye.code, bye.retry_after_ms) == ("unauthorized", None)
        await answers(relay, TOKEN)

    serve(scenario, tmp_path, token=TOKEN)


def test_a_version_that_we_do_not_speak_is_refused(tmp_path: Path) -> None:
    async def scenario(relay: Relay) -> None:
        async with await Device.open(relay.url) as device:
            await device.hello(versions=(7, 8))
            assert (await device.bye()).code == "version_mismatch"

    serve(scenario, tmp_path)


async def text(device: Device) -> None:
    await device.websocket.send("hello")


async def garbage(device: Device) -> None:
    await device.websocket.send(b"\x00\x01garbage")


async def a_flipped_bit(device: Device) -> None:
    frame = bytearray(codec.encode(Ping(1)))
    frame[-1] ^= 1
    await device.websocket.send(bytes(frame))


async def nothing(device: Device) -> None:
    await device.websocket.send(b"")


async def a_message_out_of_turn(device: Device) -> None:
    await device.send(Welcome(1, bytes(16), 0, bytes(16), 0, 0, limits.FRAME_BYTES_MAX))


MISBEHAVIOUR = [text, garbage, a_flipped_bit, nothing, a_message_out_of_turn]


@pytest.mark.parametrize("greeted", [False, True])
def test_what_is_not_the_protocol_ends_the_session_with_a_reason(tmp_path: Path, greeted: bool) -> None:
    async def scenario(relay: Relay) -> None:
        for misbehave in MISBEHAVIOUR:
            async with await Device.open(relay.url) as device:
                if greeted:
                    await device.hello()
                    await device.expect(Welcome)
                await misbehave(device)
                bye = await device.bye()
                assert bye.code == "protocol_violation"
                assert bye.message
        await answers(relay)

    serve(scenario, tmp_path)


@pytest.mark.parametrize(("greeted", "limit"), [(False, limits.HELLO_BYTES_MAX), (True, limits.FRAME_BYTES_MAX)])
def test_a_frame_over_the_limit_is_not_even_read(tmp_path: Path, greeted: bool, limit: int) -> None:
    async def scenario(relay: Relay) -> None:
        for size, code in ((limit, 1000), (limit + 1, 1009)):
            device = await (Device.join(relay.url) if greeted else Device.open(relay.url))
            with suppress(ConnectionClosed):
                await device.websocket.send(bytes(size))
                while True:
                    await device.receive()
            assert device.websocket.close_code == code
        await answers(relay)

    serve(scenario, tmp_path)


def test_who_says_nothing_is_sent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HANDSHAKE_TIMEOUT_US", 50_000)

    async def scenario(relay: Relay) -> None:
        async with await Device.open(relay.url) as device:
            bye = await device.bye()
            assert (bye.code, bye.retry_after_ms) == ("timeout", 0)

    serve(scenario, tmp_path)


def test_who_falls_silent_is_asked_and_then_sent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HANDSHAKE_TIMEOUT_US", 100_000)  # the first timer, and so the first look at the clock
    monkeypatch.setattr(limits, "KEEPALIVE_US", 100_000)
    monkeypatch.setattr(limits, "SILENCE_US_MAX", 400_000)

    async def scenario(relay: Relay) -> None:
        async with await Device.join(relay.url) as device:
            for _ in range(3):
                await device.send(Pong((await device.expect(Ping)).number))
            assert (await device.bye()).code == "timeout"

    serve(scenario, tmp_path)


def test_one_device_more_than_allowed_is_asked_to_come_later(tmp_path: Path) -> None:
    async def scenario(relay: Relay) -> None:
        first, second = await Device.join(relay.url), await Device.join(relay.url)
        async with await Device.open(relay.url) as third:
            await third.hello()
            bye = await third.bye()
            assert bye.code == "too_many_sessions"
            assert bye.retry_after_ms is not None
            assert bye.retry_after_ms > 0
        await first.close()
        await eventually("one left", lambda: len(relay.engine.hub) == 1)
        await answers(relay)
        await second.close()

    serve(scenario, tmp_path, sessions_max=2)


def test_who_was_sent_away_is_refused_before_its_time_and_others_of_its_address_are_served(tmp_path: Path) -> None:
    async def scenario(relay: Relay) -> None:
        async with await Device.join(relay.url) as bad:
            relay.engine.admission.cost("127.0.0.1", bad.replica, limits.POISON_STRIKES_MAX)
            assert await bad.store(("customers/c", update(1))) == [VerdictCode.ACCEPTED], (
                "that of a session that is here"
            )
        again = codec.encode(Hello((GREETING,), bad.replica, "", 0, None, True, 0, "test"))
        async with await Device.open(relay.url) as device:
            await device.websocket.send(again)
            told = [await device.bye()]
        channel = await open_channel(relay.url, None)
        channel.send(again)
        bye = codec.decode(await channel.receive())
        assert isinstance(bye, Bye)
        told.append(bye)
        await channel.close()
        for bye in told:
            assert bye.code == "poisoned"
            assert bye.retry_after_ms is not None
            assert 0 < bye.retry_after_ms <= limits.BAN_US_FIRST // 1000
        await answers(relay)

    serve(scenario, tmp_path)


def test_a_session_that_pushed_leaves_a_line_that_names_it_and_what_became_of_its_updates(tmp_path: Path) -> None:
    async def scenario(relay: Relay) -> None:
        with structlog.testing.capture_logs() as lines:
            async with await Device.join(relay.url) as device:
                verdicts = await device.store(
                    ("customers/a", update(1)), ("customers/b", update(2)), ("customers/b", b"x")
                )
                assert verdicts[2] is VerdictCode.MALFORMED
            async with await Device.join(relay.url) as bad:
                await garbage(bad)
                await bad.bye()
            await eventually("both are over", lambda: not relay.engine._links)
        by_event = {line["event"]: line for line in lines}
        pushed, closed = by_event["session_pushed"], by_event["session_closed"]
        assert pushed["updates"] == {"accepted": 2, "malformed": 1}
        for line, replica in ((pushed, device.replica), (closed, bad.replica)):
            assert (line["replica"], line["address"], line["user"]) == (replica.hex(), "127.0.0.1", "")
        assert len(lines) == 2, "who pushed nothing and broke no rule leaves none"

    serve(scenario, tmp_path)


def test_strangers_take_no_place_of_a_device(tmp_path: Path) -> None:
    async def scenario(relay: Relay) -> None:
        strangers = [await Device.open(relay.url) for _ in range(5)]
        await eventually("they are here", lambda: len(relay.engine.hub) == 5)
        await answers(relay)
        for stranger in strangers:
            await stranger.close()

    serve(scenario, tmp_path, sessions_max=2)


def test_a_crowd_of_one_address_keeps_nobody_of_another_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STRANGERS_MAX", 8)

    async def scenario(relay: Relay) -> None:
        strangers = relay._port._strangers
        silent = [await asyncio.open_connection("127.0.0.1", relay.port) for _ in range(20)]
        upgraded = [await Device.open(relay.url, local_addr=("127.0.0.3", 0)) for _ in range(3)]
        await eventually("those that may be are here", lambda: len(strangers) == 8)
        async with await Device.join(relay.url, local_addr=("127.0.0.2", 0)) as device:
            assert await device.store(("customers/a", update(1))) == [VerdictCode.ACCEPTED]
            await eventually("it is no stranger, and one gave way", lambda: len(strangers) == 7)
            silent.append(await asyncio.open_connection("127.0.0.1", relay.port))
            await eventually("its place was taken", lambda: len(strangers) == 8)
            with pytest.raises((InvalidHandshake, OSError)):  # its address has too many, which are all new
                await Device.join(relay.url)
            monkeypatch.setattr(limits, "STRANGER_S_MIN", 0.0)
            await answers(relay)
            for stranger in upgraded:
                await stranger.hello()
                await stranger.expect(Welcome)
                await stranger.close()
        for _, writer in silent:
            writer.close()
        await eventually("none is left", lambda: len(strangers) == 0)

    serve(scenario, tmp_path)


def test_who_has_no_token_is_a_stranger_to_its_end(tmp_path: Path) -> None:
    async def scenario(relay: Relay) -> None:
        strangers = relay._port._strangers
        wrong = await Device.open(relay.url)
        await wrong.hello(token=TOKEN + "x")
        assert (await wrong.bye()).code == "unauthorized"
        async with await Device.join(relay.url, token=TOKEN):
            assert len(strangers) <= 1
        await wrong.close()
        await eventually("none is left", lambda: len(strangers) == 0)

    serve(scenario, tmp_path, token=TOKEN)


def test_silent_websockets_give_way_to_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest first; who has said hello stays, whoever comes."""
    monkeypatch.setattr("crdt_sync.runtime.hosting.serving._STRANGERS_MAX", 2)

    async def scenario(relay: Relay) -> None:
        async with await Device.join(relay.url) as known:
            silent = [await Device.open(relay.url) for _ in range(9)]
            await answers(relay)
            assert len(relay.engine.hub) <= 4
            assert await known.store(("customers/b", update(2))) == [VerdictCode.ACCEPTED]
            with pytest.raises(ConnectionClosed):
                await silent[0].receive()
            await silent[-1].hello()
            await silent[-1].expect(Welcome)
            for device in silent:
                await device.close()

    serve(scenario, tmp_path, sessions_max=2)


def test_connections_without_a_word_give_way_to_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crdt_sync.runtime.hosting.serving._STRANGERS_MAX", 1)

    async def scenario(relay: Relay) -> None:
        silent = [await asyncio.open_connection("127.0.0.1", relay.port) for _ in range(9)]
        for _, writer in silent[5:]:
            writer.write(b"GET / HTTP/1.1\r\nHost: ")  # a request of which the end does not come
        await answers(relay)
        for _, writer in silent:
            writer.close()

    serve(scenario, tmp_path, sessions_max=1)


def test_where_nobody_can_give_way_a_newcomer_is_told_so_before_the_handshake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crdt_sync.runtime.hosting.serving._STRANGERS_MAX", 1)

    async def scenario(relay: Relay) -> None:
        channels = [await open_channel(relay.url, None) for _ in range(2)]  # over HTTP, where they are counted apart
        with pytest.raises(InvalidStatus) as refusal:
            await Device.open(relay.url)
        assert refusal.value.response.status_code == 503
        for each in channels:
            await each.close()
        await answers(relay)

    serve(scenario, tmp_path, sessions_max=1)


def test_another_subprotocol_or_none_is_refused_at_the_door(tmp_path: Path) -> None:
    async def scenario(relay: Relay) -> None:
        with pytest.raises((InvalidStatus, NegotiationError)):
            await Device.open(relay.url, subprotocols=["graphql-ws"])
        with pytest.raises((InvalidStatus, NegotiationError)):
            await Device.open(relay.url, subprotocols=None)
        await answers(relay)

    serve(scenario, tmp_path)


def test_web_pages_may_not_use_a_relay_that_asks_for_no_token(tmp_path: Path) -> None:
    async def scenario(relay: Relay) -> None:
        with pytest.raises(InvalidStatus) as refusal:
            await Device.open(relay.url, origin=Origin("https://evil.example"))
        assert refusal.value.response.status_code == 403
        await answers(relay)

    serve(scenario, tmp_path / "open")

    async def with_token(relay: Relay) -> None:
        async with await Device.open(relay.url, origin=Origin("https://app.example")) as device:
            await device.hello(token=TOKEN)
            await device.expect(Welcome)

    serve(with_token, tmp_path / "token", token=TOKEN)


def test_bytes_that_are_no_http_are_survived(tmp_path: Path) -> None:
    async def scenario(relay: Relay) -> None:
        for request in (b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n" * 100, b""):
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
            writer.write(request)
            writer.write_eof()
            await reader.read()
            writer.close()
        await answers(relay)

    serve(scenario, tmp_path)


async def is_cut_off(relay: Relay, *parts: bytes) -> bool:
    """Whether a connection that sends `parts` is ended without an answer, long before the time-out."""
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    try:
        with suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
        async with asyncio.timeout(limits.HANDSHAKE_TIMEOUT_US / 2e6):
            return not await reader.read()
    except ConnectionError:
        return True
    finally:
        writer.close()


def test_a_flood_of_headers_is_cut_off_and_others_are_answered(tmp_path: Path) -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\n"
    header = b"X: " + b"a" * 8000 + b"\r\n"
    upgrade = (
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AOJ944zJ62HPY/XpYaneHg==\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: " + SUBPROTOCOL.encode() + b"\r\n\r\n"
    )
    fragments = b"\x02\x80\0\0\0\0" + b"\x00\x80\0\0\0\0" * 10_000

    async def scenario(relay: Relay) -> None:
        assert await is_cut_off(relay, request, *[header] * 127)
        assert await is_cut_off(relay, request + header * 2 + b"X: ", *[b"a" * 100] * 10)
        assert await is_cut_off(relay, request + upgrade + fragments)  # before anybody could have answered
        async with await Device.open(relay.url, additional_headers={"Cookie": "a" * 8000}) as device:
            await device.hello()
            await device.expect(Welcome)
        await answers(relay)

    serve(scenario, tmp_path)


def test_a_bye_reaches_a_device_whose_frames_are_still_under_way(tmp_path: Path) -> None:
    async def scenario(relay: Relay) -> None:
        async with await Device.join(relay.url) as device:
            for _ in range(50):
                await device.websocket.send(b"garbage")
            assert (await device.bye()).code == "protocol_violation"
        assert isinstance(device.received[-1], Bye)

    serve(scenario, tmp_path)


def test_a_hello_sent_twice_is_a_violation(tmp_path: Path) -> None:
    async def scenario(relay: Relay) -> None:
        async with await Device.join(relay.url) as device:
            await device.send(Hello((1,), bytes(16), "", 0, None, True, 0, "x"))
            assert (await device.bye()).code == "protocol_violation"

    serve(scenario, tmp_path)


def test_the_link_is_encrypted_with_the_certificate_given(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    trusting = ssl.create_default_context(cafile=certificate)

    async def scenario(relay: Relay) -> None:
        assert relay.url.startswith("wss://")
        async with await Device.join(relay.url, ssl=trusting, server_hostname="localhost") as device:
            assert await device.store(("customers/a", update(1))) == [VerdictCode.ACCEPTED]
        with pytest.raises(ssl.SSLError):
            await Device.open(relay.url, ssl=ssl.create_default_context())

    serve(scenario, tmp_path / "data", tls_certificate=certificate, tls_key=key)


def test_pings_of_somebody_who_is_gone_are_not_answered_and_fill_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pings = Frame(Opcode.PING, b"").serialize(mask=True) * 5_000

    async def scenario(relay: Relay) -> None:
        stranger = await Device.open(relay.url)
        link = stranger.websocket.transport.get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # what is unsent is lost
        stranger.websocket.transport.write(pings)
        await stranger.drop()
        await eventually("it is noticed", lambda: not relay._port._places.taken)
        await answers(relay)

    with caplog.at_level(logging.WARNING, "asyncio"):
        serve(scenario, tmp_path)
    assert [record for record in caplog.records if record.name == "asyncio"] == []
