"""The operator's way into a running relay: a Unix socket in its data directory.

Who may open the directory may use it; nobody else, and nothing over the network. A request is one line of JSON,
`{"do": "status" | "backup" | "compact" | "people" | "usage", ...}`; the answer is one line, `{"ok": ...}` or an error
as `CrdtSyncError.as_dict` gives it.
"""

import asyncio
import contextlib
import json
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import structlog

from crdt_sync.errors import CrdtSyncError, StoreFailed, UsageError

SOCKET_NAME = "control"
_LINE_BYTES_MAX = 8 * 1024 * 1024  # a policy, with six characters for each letter that is not ASCII
_REQUEST_TIMEOUT_S = 5.0
_log = structlog.get_logger("relay")

Action = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


class NotRunning(Exception):
    """No relay listens on the directory's socket."""


class ControlFailed(CrdtSyncError):
    """The running relay answered with an error; it carries that error's code."""

    exit_code = StoreFailed.exit_code

    def __init__(self, answer: Mapping[str, Any]) -> None:
        super().__init__(str(answer.get("message", "")), str(answer.get("hint", "")))
        self.answer = dict(answer)

    def as_dict(self) -> dict[str, object]:
        """The relay's error as it was."""
        return self.answer


class ControlServer:
    """Answers requests with `actions`, by name. Make it with `start`, end it with `stop`."""

    def __init__(self, path: Path, actions: Mapping[str, Action]) -> None:
        self._path = path
        self._actions = actions
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @classmethod
    async def start(cls, directory: Path, actions: Mapping[str, Action]) -> Self:
        """Listen in `directory`, which the caller must hold for itself. Raises `StoreFailed`."""
        control = cls(directory / SOCKET_NAME, actions)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            control._path.unlink(missing_ok=True)  # left by a relay that was killed
            with _short(directory) as path:
                mask = os.umask(0o177)
                try:
                    listener.bind(path)
                finally:
                    os.umask(mask)
            control._server = await asyncio.start_unix_server(control._connected, sock=listener, limit=_LINE_BYTES_MAX)
        except OSError as error:
            listener.close()
            raise StoreFailed(
                f"cannot listen on {control._path}: {error.strerror}", "Use a file system that holds sockets."
            ) from error
        return control

    async def stop(self) -> None:
        """Close; a request that is being carried out is left to its end."""
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            if _is_ours(writer):
                async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                    line = await reader.readline()
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError, TimeoutError) as error:
            _log.info("control_request_failed", error=str(error))
        finally:
            self._serving.discard(task)
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            action = self._actions.get(request["do"])
        except (ValueError, KeyError, TypeError):
            action, request = None, {}
        try:
            if action is None:
                raise UsageError("the relay does not know that request", "Use the same version as the relay.")
            return {"ok": await action(request)}
        except CrdtSyncError as error:
            return error.as_dict()
        except Exception as error:
            _log.exception("control_action_failed")
            return CrdtSyncError(f"the relay failed: {type(error).__name__}", "See the relay's log.").as_dict()


def ask(directory: Path, do: str, **arguments: object) -> dict[str, Any]:
    """Have the relay that runs in `directory` do something. Raises `NotRunning`, `ControlFailed`."""
    try:
        if not stat.S_ISSOCK((directory / SOCKET_NAME).lstat().st_mode):
            raise NotRunning  # a link, say, that leads to somebody else's
        with _short(directory) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.connect(path)
            link.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")
            with link.makefile("rb") as stream:
                line = stream.readline()
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
        raise NotRunning from error
    except OSError as error:
        raise ControlFailed(
            {"error": "control", "message": f"cannot ask the relay in {directory}: {error.strerror or error}",
             "hint": "Run this as the user who runs the relay."}
        ) from error  # fmt: skip
    try:
        answer = json.loads(line)
    except ValueError:
        raise ControlFailed(
            {"error": "control", "message": "the relay gave no answer", "hint": "It may have stopped; try again."}
        ) from None
    if "ok" not in answer:
        raise ControlFailed(answer)
    result: dict[str, Any] = answer["ok"]
    return result


def _is_ours(writer: asyncio.StreamWriter) -> bool:
    link = writer.get_extra_info("socket")
    _, user, _ = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return user in {0, os.geteuid()}


@contextlib.contextmanager
def _short(directory: Path) -> Iterator[str]:
    """A name of the socket within the 107 bytes that one may have, however deep the directory is."""
    handle = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}/{SOCKET_NAME}"
    finally:
        os.close(handle)
