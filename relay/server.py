"""The relay's process: opens the store, listens, serves, and shuts down without losing anything."""

import asyncio
import hmac
import ssl
import time
from pathlib import Path

import structlog
from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from crdt_sync.errors import InvalidSettings, StoreMissing
from crdt_sync.limits import FRAME_BYTES_MAX, HANDSHAKE_TIMEOUT_US
from crdt_sync.protocol import SUBPROTOCOL
from crdt_sync.protocol.acceptor import Authorise, Refusal
from crdt_sync.protocol.effects import Closed
from crdt_sync.protocol.messages import Hello
from crdt_sync.storage.lmdb import LmdbStore
from relay.engine import Engine
from relay.settings import Settings

_SEND_TIMEOUT_S = 60.0  # a device that reads nothing for this long is cut off
_BUFFER_BYTES = 256 * 1024  # unsent bytes per device before it has to read first
_RESTART_RETRY_US = 2_000_000
_log = structlog.get_logger("relay")


class DeviceLink:
    """One device's websocket, as the engine sees it."""

    def __init__(self, websocket: ServerConnection, engine: Engine) -> None:
        self._websocket = websocket
        self._engine = engine
        self._waiting: asyncio.Task[None] | None = None
        self.session = engine.connect(self)
        self.resumed = asyncio.Event()

    def send(self, frame: bytes) -> None:
        """See `Link.send`."""
        broadcast((self._websocket,), frame)

    def has_room(self) -> bool:
        """See `Link.has_room`."""
        return not self._websocket.paused

    def call_when_room(self) -> None:
        """See `Link.call_when_room`."""
        if self._waiting is None:
            self._waiting = asyncio.create_task(self._wait_for_room())

    def hangup(self, closed: Closed) -> None:
        """See `Link.hangup`."""
        if closed.code not in {"done", "connection_lost"}:
            _log.info("session_closed", session=self.session, code=closed.code, reason=closed.message)
        self._closing = asyncio.create_task(self._websocket.close())

    async def read(self) -> None:
        """Hand frames to the engine until the link ends; pause while the device is ahead of the disk."""
        engine, session = self._engine, self.session
        try:
            async for frame in self._websocket:
                if isinstance(frame, str):
                    await self._websocket.close(1003, "binary frames only")
                    return
                engine.receive(session, frame)
                while engine.hub.congested(session):
                    await asyncio.sleep(0.001)
        except ConnectionClosed:
            pass
        finally:
            if self._waiting is not None:
                self._waiting.cancel()
            engine.lost(session)

    async def _wait_for_room(self) -> None:
        try:
            async with asyncio.timeout(_SEND_TIMEOUT_S):
                await self._websocket.drain()
        except TimeoutError:
            _log.warning("device_does_not_read", session=self.session)
            self._websocket.transport.abort()
            return
        finally:
            self._waiting = None
        self._engine.fill(self.session)


class Relay:
    """A running relay. Make it with `start`, end it with `stop`."""

    def __init__(self, settings: Settings, engine: Engine, server: Server) -> None:
        self.settings = settings
        self.engine = engine
        self._server = server

    @classmethod
    async def start(cls, settings: Settings) -> "Relay":
        """Open the store and listen. Raises `StoreError`, `InvalidSettings`, `WorkerUnavailable`."""
        store = open_store(settings.data)
        engine = Engine(store, _authoriser(settings), _wall_clock, settings.sessions_max)
        try:
            await engine.start()
            server = await _listen(settings, engine)
        except BaseException:
            await engine.stop(0)
            raise
        return cls(settings, engine, server)

    @property
    def port(self) -> int:
        """The port that the relay listens on."""
        return int(next(iter(self._server.sockets)).getsockname()[1])

    async def stop(self) -> None:
        """Take no more, put everything taken on disk, say bye, and release the store."""
        self._server.close(close_connections=False)
        await self.engine.stop(_RESTART_RETRY_US)
        self._server.close()
        await self._server.wait_closed()


def open_store(data: Path) -> LmdbStore:
    """Open the relay's store, making it on the first start. Raises `StoreError`."""
    try:
        return LmdbStore.open(data, create=False)
    except StoreMissing:
        return LmdbStore.open(data, create=True)


async def _listen(settings: Settings, engine: Engine) -> Server:
    async def handle(websocket: ServerConnection) -> None:
        websocket.transport.set_write_buffer_limits(high=_BUFFER_BYTES)
        await DeviceLink(websocket, engine).read()

    try:
        return await serve(
            handle,
            settings.host,
            settings.port,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            ssl=_tls(settings),
            compression=None,
            max_size=FRAME_BYTES_MAX,
            max_queue=16,
            open_timeout=HANDSHAKE_TIMEOUT_US / 1e6,
            ping_interval=None,
            close_timeout=2.0,
            server_header=None,
        )
    except OSError as error:
        raise InvalidSettings(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}",
            "Choose another port with --port, or stop the program that uses this one.",
        ) from error


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise InvalidSettings(
            f"cannot use the certificate {settings.tls_certificate}: {error}",
            "Give PEM files with --tls-certificate and --tls-key.",
        ) from error
    return context


def _authoriser(settings: Settings) -> Authorise:
    token = settings.token.get_secret_value().encode() if settings.token else b""

    def authorise(hello: Hello) -> Refusal | None:
        if token and not hmac.compare_digest(hello.token.encode(), token):
            return Refusal("unauthorized", "the token is not valid here")
        return None

    return authorise


def _wall_clock() -> int:
    return time.time_ns() // 1000
