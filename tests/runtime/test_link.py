"""What a link that cannot be opened is told with: always a reason, always the next step."""

import asyncio
import socket

import pytest

from crdt_sync import Address
from crdt_sync.errors import Unreachable
from crdt_sync.runtime import link


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
    assert link._reason(ConnectionResetError(104, "Connection reset by peer")).endswith("Connection reset by peer")
