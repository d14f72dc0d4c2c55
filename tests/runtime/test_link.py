"""What a link that cannot be opened is told with: always a reason, always the next step."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import NegotiationError, SecurityError

from crdt_sync import Address, Replica, keep_syncing_forever, sync
from crdt_sync.errors import CrdtSyncError, Unreachable, UsageError, VersionMismatch
from crdt_sync.runtime import compare, link


def _attempt(scheme: str, port: int) -> Unreachable:
    with pytest.raises(Unreachable) as failed:
        asyncio.run(link.open_link(Address(f"{scheme}://127.0.0.1:{port}")))
    assert failed.value.hint
    return failed.value


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_who_never_answers_is_told_with_the_time_waited(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_OPEN_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = _attempt(scheme, silent.getsockname()[1])
    assert error.message.endswith(": no answer within 0.2 s")


def test_every_failure_has_a_reason() -> None:
    assert link._reason(EOFError()) == "the connection was closed before anything was said"
    assert link._reason(ConnectionResetError(104, "Connection reset by peer")) == "connection reset by peer"


@contextmanager
def _answering(answer: bytes) -> Iterator[int]:
    """The port of a server that says `answer` to each newcomer, whatever was asked, and closes."""

    def heard() -> None:
        while True:
            try:
                newcomer, _ = server.accept()
            except OSError:
                return
            with newcomer, suppress(OSError):
                newcomer.recv(4096)
                newcomer.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=heard)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _http(status: str, *headers: str, body: str = "") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", body]).encode()


# What may answer on the way, and a part of what is said about it.
ON_THE_WAY = {
    "redirect to a page": ("ws", _http("302 Found", "Location: http://portal.test/"), "to go to 'http://portal.test/'"),
    "redirect to nowhere": ("ws", _http("301 Moved", "Location: ws://h:99999"), "HTTP 301"),
    "redirect without target": ("ws", _http("307 Temporary"), "HTTP 307"),
    "page": ("ws", _http("200 OK", "Content-Type: text/html", body="<html>Sign in</html>"), "HTTP 200"),
    "proxy asks who": ("ws", _http("401 Unauthorized"), "HTTP 401"),
    "forbidden": ("ws", _http("403 Forbidden"), "HTTP 403"),
    "not found": ("ws", _http("404 Not Found"), "HTTP 404"),
    "bad gateway": ("ws", _http("502 Bad Gateway"), "HTTP 502"),
    "upgrade without key": ("ws", b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "WebSocket"),
    "garbage": ("ws", b"\xff\x00 what?\r\n\r\n", "WebSocket"),
    "closes at once": ("ws", b"", ""),
    "no TLS": ("wss", _http("400 Bad Request"), "no secure connection"),
    "TLS closes at once": ("wss", b"", ""),
}


@pytest.mark.parametrize("case", ON_THE_WAY)
def test_whatever_answers_on_the_way_is_unreachable_and_tried_again(case: str) -> None:
    scheme, answer, said = ON_THE_WAY[case]
    with _answering(answer) as port:
        error = _attempt(scheme, port)
    assert error.retryable
    assert said in error.message


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        socket.gaierror(-3, "Temporary failure in name resolution"),
        ConnectionRefusedError(111, "refused"),
        OSError(101, "Network is unreachable"),
        ssl.SSLCertVerificationError("self-signed certificate"),
        EOFError(),
        UnicodeError("label too long"),
        SecurityError("header too long"),
    ],
    ids=repr,
)
def test_whatever_happens_on_the_way_is_tried_again(error: Exception) -> None:
    failure = link.failure(Address("wss://relay.test"), error)
    assert failure.retryable
    assert failure.hint


@pytest.mark.parametrize(
    ("url", "direct", "hint"),
    [
        ("ws://127.0.0.1:8765", False, "'crdt-relay serve'"),
        ("ws://localhost:9000", False, "'crdt-relay serve --port 9000'"),
        ("ws://[::1]:8765", True, "crdt-sync listen"),
        ("ws://relay.test:8765", False, "Check that it runs and the address is right"),
    ],
)
def test_what_is_not_running_on_this_machine_is_named_with_what_starts_it(url: str, direct: bool, hint: str) -> None:
    failure = link.failure(Address(url, direct=direct), ConnectionRefusedError(111, "refused"))
    assert isinstance(failure, Unreachable)
    assert hint in failure.hint
    assert "your edits stay safe" in failure.hint


@pytest.mark.parametrize("direct", [True, False])
def test_who_is_there_and_does_not_answer_is_not_to_be_started_once_more(direct: bool) -> None:
    failure = link.failure(Address("ws://127.0.0.1:8765", direct=direct), TimeoutError())
    assert "does not answer" in failure.hint
    assert "crdt-relay serve" not in failure.hint


def test_another_protocol_is_not_tried_again() -> None:
    failure = link.failure(Address("ws://relay.test"), NegotiationError("unsupported subprotocol: x"))
    assert isinstance(failure, VersionMismatch)
    assert not failure.retryable


def test_a_redirect_does_not_end_staying_in_sync(tmp_path: Path) -> None:
    class Heard(Exception):
        pass

    def heard(error: CrdtSyncError, _: float) -> None:
        assert isinstance(error, Unreachable)
        raise Heard

    answer = _http("302 Found", "Location: http://portal.test/")
    with Replica.create(tmp_path / "store", "ann") as replica, _answering(answer) as port, pytest.raises(Heard):
        asyncio.run(keep_syncing_forever(replica, Address(f"ws://127.0.0.1:{port}"), on_error=heard))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "relay",
        "http://host",
        "ws:/host",
        "WS//host",
        "ws://",
        "ws://:8765",
        "ws://host:99999",
        "ws://host:0",
        "ws://host:-1",
        "ws://host:port",
        "ws://ho st",
        "ws://host ",
        "ws://host\n",
        "ws://[::1",
        "ws://ann:secret@host",
        "ws://ann@host",
        "ws://host/#part",
        "ws://a..b",
        f"ws://{'a' * 64}.test",
        "ws://\u2028host",
    ],
)
@pytest.mark.parametrize("direct", [True, False])
def test_what_is_no_address_is_refused_with_what_one_looks_like(url: str, direct: bool) -> None:
    with pytest.raises(UsageError) as refused:
        Address(url, direct=direct)
    assert "ws://host:8765" in refused.value.hint


@pytest.mark.parametrize(
    "url", ["ws://h", "wss://h:443/path?x=1", "ws://[::1]:8765", "wss://m\u00fcnchen.test", "ws://1.2.3.4:1"]
)
def test_what_is_an_address_is_taken(url: str) -> None:
    assert Address(url).url == url


@pytest.mark.parametrize("call", [sync, compare])
def test_a_plain_call_inside_an_event_loop_names_the_call_for_there(
    call: Callable[[Replica, Address], object], tmp_path: Path
) -> None:
    async def within(replica: Replica) -> None:
        call(replica, Address("ws://127.0.0.1:1"))

    with Replica.create(tmp_path / "store", "ann") as replica, pytest.raises(UsageError) as refused:
        asyncio.run(within(replica))
    assert f"await {call.__name__}_once(" in refused.value.hint
