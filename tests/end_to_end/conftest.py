"""A real relay in this process, on a thread of its own, and replicas in directories that sync with it."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from crdt_relay.server import Relay
from crdt_relay.settings import Settings
from crdt_sync import Address, Replica, bundled_schema
from tests.runtime import test_syncing

_PATIENCE_S = 120.0


class RelayThread:
    """A relay that runs while the block does, at a free port or the one given, and logs nothing."""

    def __init__(self, data: Path, port: int = 0, token: str | None = None) -> None:
        self._settings = Settings(
            data=data, port=port, token=None if token is None else SecretStr(token), metrics=False
        )
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started: Future[str] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Address:
        self._thread.start()
        return Address(self._started.result(_PATIENCE_S))

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_PATIENCE_S)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            relay = await Relay.start(self._settings, keep_spare=False)
        except BaseException as error:
            self._started.set_exception(error)
            raise
        try:
            self._started.set_result(relay.url)
            await self._stop.wait()
        finally:
            await relay.stop()


def free_port() -> int:
    """A port that relays can have one after another."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """The address of a relay that all tests of one file share."""
    with RelayThread(tmp_path_factory.mktemp("relay")) as address:
        yield address


@pytest.fixture
def own_relay(tmp_path: Path) -> Iterator[Address]:
    """The address of a relay for one test."""
    with RelayThread(tmp_path / "relay") as address:
        yield address


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Callable[..., Replica]]:
    """device("anna", *schemas) makes a replica in a directory; all are closed in the end."""
    made: list[Replica] = []

    def make(name: str, *schemas: object) -> Replica:
        made.append(Replica.create(tmp_path / name, name, schemas))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for replica in made:
        replica.close()


@dataclass(frozen=True)
class Pair:
    """Two devices that know customers, and the relay that they sync with, whose store can be looked into."""

    ann: Replica
    bob: Replica
    relay: test_syncing.RelayThread
    address: Address


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    schema = bundled_schema("customers")
    relay = test_syncing.RelayThread(tmp_path / "relay")
    try:
        with (
            Replica.create(tmp_path / "ann", "ann", [schema]) as ann,
            Replica.create(tmp_path / "bob", "bob", [schema]) as bob,
        ):
            yield Pair(ann, bob, relay, Address(relay.url, test_syncing.TOKEN))
    finally:
        relay.stop()
