"""The operator's socket in the data directory."""

import asyncio
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from crdt_relay.control import SOCKET_NAME, ControlFailed, ControlServer, NotRunning, ask
from crdt_sync.errors import StoreFull


async def double(request: Mapping[str, Any]) -> dict[str, Any]:
    return {"twice": request["number"] * 2}


async def fail(_: Mapping[str, Any]) -> dict[str, Any]:
    raise StoreFull("no room", "Free some.")


async def break_(_: Mapping[str, Any]) -> dict[str, Any]:
    raise ZeroDivisionError


async def asked(directory: Path, do: str, **arguments: object) -> dict[str, Any]:
    return await asyncio.to_thread(ask, directory, do, **arguments)


def test_requests_are_answered_and_errors_travel_whole(tmp_path: Path) -> None:
    # Deeper than the 107 bytes that the name of a socket may have.
    directory = tmp_path / ("deep" * 30) / ("deeper" * 20)
    directory.mkdir(parents=True)

    async def scenario() -> None:
        server = await ControlServer.start(directory, {"double": double, "fail": fail, "break": break_})
        assert stat.S_IMODE((directory / SOCKET_NAME).stat().st_mode) == 0o600
        assert await asked(directory, "double", number=21) == {"twice": 42}
        with pytest.raises(ControlFailed) as failure:
            await asked(directory, "fail")
        assert failure.value.as_dict()["error"] == "store_full"
        assert (failure.value.message, failure.value.hint) == ("no room", "Free some.")
        with pytest.raises(ControlFailed, match="ZeroDivisionError"):
            await asked(directory, "break")
        with pytest.raises(ControlFailed, match="does not know"):
            await asked(directory, "fly")
        await server.stop()
        assert not (directory / SOCKET_NAME).exists()
        with pytest.raises(NotRunning):
            await asked(directory, "double", number=1)

    asyncio.run(scenario())


def test_a_socket_left_by_a_killed_relay_means_that_none_runs_and_is_replaced(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    handle = os.open(tmp_path, os.O_PATH)
    left.bind(f"/proc/self/fd/{handle}/{SOCKET_NAME}")
    os.close(handle)
    left.close()
    with pytest.raises(NotRunning):
        ask(tmp_path, "double")

    async def scenario() -> None:
        server = await ControlServer.start(tmp_path, {"double": double})
        assert await asked(tmp_path, "double", number=1) == {"twice": 2}
        await server.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("line", [b"", b"\n", b"[]\n", b"\xff\xfe\n", b'{"do": 7}\n', b"x" * 100_000])
def test_what_is_no_request_is_survived(tmp_path: Path, line: bytes) -> None:
    async def scenario() -> None:
        server = await ControlServer.start(tmp_path, {"double": double})
        handle = os.open(tmp_path, os.O_PATH)
        reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{handle}/{SOCKET_NAME}")
        writer.write(line)
        writer.write_eof()
        await reader.read()
        writer.close()
        os.close(handle)
        assert await asked(tmp_path, "double", number=3) == {"twice": 6}
        await server.stop()

    asyncio.run(scenario())


def test_a_link_in_the_place_of_the_socket_leads_nowhere(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    ours.mkdir()
    (ours / SOCKET_NAME).symlink_to(theirs / SOCKET_NAME)

    async def scenario() -> None:
        other = await ControlServer.start(theirs, {"double": double})
        with pytest.raises(NotRunning):
            await asked(ours, "double", number=1)
        relay = await ControlServer.start(ours, {"double": double})
        assert not (ours / SOCKET_NAME).is_symlink()
        assert await asked(theirs, "double", number=1) == {"twice": 2}
        await relay.stop()
        await other.stop()

    asyncio.run(scenario())
