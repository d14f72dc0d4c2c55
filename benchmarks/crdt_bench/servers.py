"""The servers under measurement, each in a process of its own."""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from crdt_bench.child import Child, hear, say
from crdt_sync.limits import FRAME_BYTES_MAX

if TYPE_CHECKING:
    from crdt_relay.server import Relay


def forwarder() -> None:
    """Child: a bare websockets server that forwards every frame to the neighbour of its connection: the floor."""
    uvloop.run(_forwarder())


async def _forwarder() -> None:
    connections: dict[int, ServerConnection] = {}

    async def handle(websocket: ServerConnection) -> None:
        assert websocket.request is not None
        number = int(websocket.request.path.strip("/"))
        connections[number] = websocket
        neighbour = number ^ 1
        with contextlib.suppress(ConnectionClosed):
            async for frame in websocket:
                await connections[neighbour].send(frame)

    async with serve(handle, "127.0.0.1", 0, compression=None, ping_interval=None, max_size=FRAME_BYTES_MAX) as server:
        say(next(iter(server.sockets)).getsockname()[1])
        await asyncio.get_running_loop().run_in_executor(None, hear)


def broadcaster() -> None:
    """Child: a bare websockets server that sends every frame to all other connections: the floor of following."""
    uvloop.run(_broadcaster())


async def _broadcaster() -> None:
    connections: set[ServerConnection] = set()

    async def handle(websocket: ServerConnection) -> None:
        connections.add(websocket)
        with contextlib.suppress(ConnectionClosed):
            async for frame in websocket:
                broadcast(connections - {websocket}, frame)
        connections.discard(websocket)

    async with serve(handle, "127.0.0.1", 0, compression=None, ping_interval=None, max_size=FRAME_BYTES_MAX) as server:
        say(next(iter(server.sockets)).getsockname()[1])
        await asyncio.get_running_loop().run_in_executor(None, hear)


def relay(data: str, port: int, sessions_max: int | None, observed: bool = False) -> None:
    """Child: the relay as `crdt-relay serve` runs it, on a port of this machine; 0 takes a free one.

    Says its port, and that of its metrics, which is 0 unless it is to be `observed`.
    """
    from crdt_relay.running import run  # noqa: PLC0415 - the forwarder must not pay for importing it
    from crdt_relay.settings import load  # noqa: PLC0415

    def ready(running: "Relay") -> None:
        say((running.port, int(str(running.metrics_url).rpartition(":")[2]) if observed else 0))
        threading.Thread(target=_stop_with_parent, daemon=True).start()

    flags = {"data": data, "port": port, "log_level": "error", "sessions_max": sessions_max}
    run(load({**flags, "metrics": observed, "metrics_port": 0}), ready)


def engine(data: str, policy: str | None, audited: bool) -> None:
    """Child: a relay's engine and port alone, where everybody is the user 'bench' of that policy. Says its port."""
    uvloop.run(_engine(Path(data), policy, audited))


async def _engine(data: Path, policy: str | None, audited: bool) -> None:
    from crdt_bench.contents import make_filtered  # noqa: PLC0415 - likewise
    from crdt_sync.policy.in_force import InForce  # noqa: PLC0415
    from crdt_sync.policy.reading import parse_policy  # noqa: PLC0415
    from crdt_sync.principal import Principal  # noqa: PLC0415
    from crdt_sync.runtime.guests import Guest  # noqa: PLC0415
    from crdt_sync.runtime.hosting.engine import Engine  # noqa: PLC0415
    from crdt_sync.runtime.hosting.serving import Port  # noqa: PLC0415
    from crdt_sync.storage.lmdb import LmdbStore  # noqa: PLC0415

    in_force = None if policy is None else InForce(1, parse_policy(policy, "a benchmark"))
    guest = Guest(lambda hello: Principal(hello.replica, user="bench"))
    make_filtered(data, "region", "stage")
    with LmdbStore.open(data) as store:
        running = Engine(store, guest.authorise, _wall_clock, in_force=lambda: in_force)
        if audited:
            running.audit()
        await running.start()
        port = await Port.open(
            running, "127.0.0.1", 0, certificate=None, browsers=False, sessions_max=200, introduce=lambda _told: guest
        )
        say(port.number)
        await asyncio.get_running_loop().run_in_executor(None, hear)
        port.close()
        await running.stop(0, 1.0)
        await port.wait_closed()


def _wall_clock() -> int:
    return time.time_ns() // 1000


def _stop_with_parent() -> None:
    hear()
    os.kill(os.getpid(), signal.SIGTERM)


def start_forwarder() -> tuple[Child, int]:
    """The floor's process and its port."""
    child = Child("crdt_bench.servers:forwarder")
    return child, int(child.hear())


def start_broadcaster() -> tuple[Child, int]:
    """The process of the floor of following, and its port."""
    child = Child("crdt_bench.servers:broadcaster")
    return child, int(child.hear())


def start_relay(data: Path, port: int = 0, sessions_max: int | None = None) -> tuple[Child, int]:
    """A relay's process and its port."""
    child = Child("crdt_bench.servers:relay", data=str(data), port=port, sessions_max=sessions_max)
    port, _ = child.hear()
    return child, port


@contextlib.contextmanager
def serving(data: Path) -> Iterator[tuple[Child, int]]:
    """A relay's process and its port, until the block ends."""
    relay, port = start_relay(data)
    with relay:
        yield relay, port


def start_observed_relay(data: Path) -> tuple[Child, int, int]:
    """A relay's process, its port, and that of its metrics."""
    child = Child("crdt_bench.servers:relay", data=str(data), port=0, sessions_max=None, observed=True)
    port, metrics_port = child.hear()
    return child, port, metrics_port
