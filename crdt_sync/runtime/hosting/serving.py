"""The port that devices connect to: websockets, bounded from their first byte on, and HTTP for networks that break
them; each channel is handed to the engine."""

import asyncio
import http
import logging
import os
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Self, cast

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol

from crdt_sync.errors import InvalidSettings
from crdt_sync.limits import COMING_BYTES_MAX, HANDSHAKE_BYTES_MAX, HANDSHAKE_TIMEOUT_US, HELLO_BYTES_MAX
from crdt_sync.protocol import SUBPROTOCOL
from crdt_sync.runtime.guests import Guest, Introduce, Told
from crdt_sync.runtime.hosting.engine import Engine
from crdt_sync.runtime.hosting.front import Front
from crdt_sync.runtime.hosting.link import BUFFER_BYTES, SEND_TIMEOUT_S, DeviceLink
from crdt_sync.runtime.hosting.parsing import ParsedInTurns
from crdt_sync.runtime.hosting.places import Places
from crdt_sync.runtime.hosting.proxies import NO_PROXIES, Proxies
from crdt_sync.runtime.hosting.strangers import Strangers, address_of
from crdt_sync.runtime.network import network_of
from crdt_sync.runtime.transports import channel
from crdt_sync.runtime.transports.http.accepted import AcceptedChannel
from crdt_sync.runtime.transports.http.door import Door, Met
from crdt_sync.runtime.transports.pieces import InPieces
from crdt_sync.runtime.transports.room import Room
from crdt_sync.runtime.transports.websocket import WebsocketChannel

_QUEUED_FRAMES = 4  # per device, read from the socket and not looked at yet
_HANDSHAKE_S = 0.0005  # that a websocket takes from its request to its first frame, in a task
_STRANGERS_MAX = 256  # connections beyond the devices allowed, so that those hear why they are turned away

# What strangers do to the port is no event of ours; what a session does is logged where it happens.
_quiet = logging.getLogger("crdt_sync.websockets")
_quiet.setLevel(logging.CRITICAL)


Elsewhere = Callable[[str, Told], tuple[Engine, Guest] | None]
"""Tells, by the target and the headers of a request, whose another engine is to be; None: of the one that listens."""


class Port:
    """A listening port. Make it with `open`; call `close`, then, once every session was told bye, `wait_closed`."""

    def __init__(
        self,
        server: Server,
        places: "Places[_Known]",
        strangers: Strangers,
        newcomers: set[asyncio.Transport],
        door: Door,
    ) -> None:
        self._server = server
        self._places = places
        self._strangers = strangers
        self._newcomers = newcomers
        self._door = door
        self.number = int(next(iter(server.sockets)).getsockname()[1])

    @classmethod
    async def open(
        cls,
        engine: Engine,
        host: str,
        port: int,
        *,
        certificate: ssl.SSLContext | None,
        browsers: bool,
        sessions_max: int,
        send_timeout_s: float = SEND_TIMEOUT_S,
        introduce: Introduce | None = None,
        elsewhere: Elsewhere = lambda _target, _told: None,
        proxies: Proxies = NO_PROXIES,
        http_too: bool = False,
    ) -> Self:
        """Listen. `browsers` admits web pages: they cannot be kept out of a port of this machine by the network.
        `http_too` accepts channels over HTTP beside websockets. Who is `elsewhere` has the turns of another engine, one
        that is beside this, from the answer to its request on; until then all have this one's. `proxies` tell where
        somebody comes from.

        Raises `InvalidSettings` where the address cannot be listened on.
        """
        newcomers: set[asyncio.Transport] = set()
        unknown = Strangers(engine.loop, engine.queue)
        channels_max = sessions_max + _STRANGERS_MAX

        async def talk(host: Engine, opened: AcceptedChannel) -> None:
            link = DeviceLink(opened, host, send_timeout_s, opened.guest)
            opened.held = partial(host.hold, link.session)
            await link.read()

        def met(target: str, told: Told) -> Met | None:
            found = elsewhere(target, told)
            return None if found is None else Met(found[1], partial(talk, found[0]), found[0].untaken)

        taken: Places[_Known] = Places(channels_max, lambda: len(door))
        for_frames = Room(engine.loop, COMING_BYTES_MAX)
        door = Door(
            partial(talk, engine),
            BUFFER_BYTES,
            taken.make_way,
            for_frames,
            engine.untaken,
            unknown,
            connections_max=2 * channels_max,
            browsers=browsers,
            introduce=introduce,
            elsewhere=met,
            caller=proxies.caller,
        )

        class Known(_Known):
            places = taken
            strangers = unknown
            queue = engine.queue
            room = for_frames
            host = engine

        async def handle(websocket: ServerConnection) -> None:
            assert isinstance(websocket, Known)
            opened = WebsocketChannel(websocket, BUFFER_BYTES, websocket.caller)
            let_in = partial(unknown.leave, websocket.transport)
            host = websocket.host
            link = DeviceLink(opened, host, send_timeout_s, websocket.guest, websocket.small_message, let_in)
            websocket.queue, websocket.flow = host.queue, partial(host.flow, link.session)
            websocket.held = partial(host.hold, link.session)
            try:
                await link.read()
            finally:
                websocket.leave_room()

        async def turn_away(websocket: ServerConnection, request: Request) -> Response | None:
            cast(_Known, websocket).find_caller(proxies, request.headers.get_all)
            await unknown.turn(websocket.transport, _HANDSHAKE_S)
            if not taken.full:
                return None
            return websocket.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "As many devices are here as may be.\n")

        def answer(websocket: ServerConnection, request: Request, response: Response) -> Response:
            assert isinstance(websocket, Known)
            if response.status_code != http.HTTPStatus.SWITCHING_PROTOCOLS:
                websocket.forget_failures()  # its end may have come before
            else:
                found = elsewhere(request.path, request.headers.get_all)
                if found is not None:
                    websocket.host, websocket.guest = found
                elif introduce is not None:
                    websocket.guest = introduce(request.headers.get_all)
                for name, value in websocket.guest.headers if websocket.guest is not None else ():
                    response.headers[name] = value
            return response

        def connect(protocol: ServerProtocol, *args: Any, **settings: Any) -> InPieces:
            # The library has begun its parser, which refers to itself.
            unused = protocol.parser.close
            websocket = partial(Known, protocol, *args, **settings)
            return InPieces(Front(websocket, door.take if http_too else None, unknown, newcomers, unused))

        origins: list[Origin | None] | None = None if browsers else [None]
        try:
            server = await serve(
                handle,
                host,
                port,
                create_connection=cast(type[ServerConnection], connect),  # or what wraps one
                origins=origins,
                process_request=turn_away,
                process_response=answer,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                ssl=certificate,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT_US / 1e6 if certificate else None,
                compression=None,
                max_size=HELLO_BYTES_MAX,  # until somebody is let in
                max_queue=_QUEUED_FRAMES,
                open_timeout=HANDSHAKE_TIMEOUT_US / 1e6,
                ping_interval=None,
                close_timeout=channel.CLOSE_TIMEOUT_S,
                server_header=None,
                logger=_quiet,
                reuse_address=True,
            )
        except OSError as error:
            raise InvalidSettings(
                f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}",
                "Choose another address with --host or --port, or stop the program that uses this one.",
            ) from error
        return cls(server, taken, unknown, newcomers, door)

    def close(self) -> None:
        """Let nobody in any more; those who are connected stay."""
        self._server.close(close_connections=False)
        self._door.close()

    async def wait_closed(self) -> None:
        """Wait until every device has taken its bye, then cut off those that have not."""
        self._cut_off(lambda websocket: websocket.state is State.CONNECTING)
        for newcomer in list(self._newcomers):
            newcomer.abort()
        patience_s = channel.CLOSE_TIMEOUT_S + 0.5
        await asyncio.gather(self._door.wait_closed(patience_s), self._websockets_closed(patience_s))

    async def _websockets_closed(self, patience_s: float) -> None:
        try:
            async with asyncio.timeout(patience_s):
                await self._server.wait_closed()
        except TimeoutError:
            self._cut_off(lambda _: True)
            await self._server.wait_closed()

    def _cut_off(self, chosen: Callable[[ServerConnection], bool]) -> None:
        for websocket in list(self._places.taken):
            if chosen(websocket):
                websocket.cut_off()


class _Known(ParsedInTurns, ServerConnection):
    """A connection that is known from its first byte on, so that it can be cut off before it says a word."""

    places: ClassVar[Places["_Known"]]
    strangers: ClassVar[Strangers]
    host: Engine
    guest: Guest | None = None
    caller: str | None = None  # who came through a proxy
    address = ""
    _asked_bytes = 0
    _greeted = False

    @property
    def is_stranger(self) -> bool:
        """See `Guest`."""
        return not self._greeted or self.state is not State.OPEN

    def cut_off(self) -> None:
        """See `Guest`."""
        self.drop()

    def find_caller(self, proxies: Proxies, told: Told) -> None:
        """Count as of the address from which it came to a proxy, from here on."""
        peer = self.remote_address
        caller = proxies.caller(str(peer[0]) if peer else None, told)
        if caller is None or (peer and caller == str(peer[0])):
            return
        self.caller, address = caller, network_of(caller)

        def move() -> None:
            self.address = address

        self.places.move(self, move)
        self.strangers.move(self.transport, address)
        self.flow = partial(self.queue.stranger, address)

    def read_on(self, size: int) -> None:
        """See `Arrivals`."""
        self._greeted = True
        super().read_on(size)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`. The library would keep a megabyte of headers of each connection for the time-out."""
        if self.state is State.CONNECTING:
            self._asked_bytes += len(data)
            if self._asked_bytes > HANDSHAKE_BYTES_MAX:
                self.transport.abort()
                return
        super().data_received(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self.address = address_of(self.transport)
        self.flow = partial(self.queue.stranger, self.address)
        self.places.come(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`. It counts until what came was parsed, or else whoever comes and goes has no bound."""
        if self.is_unheard and not self.strangers.linger(self.transport, self.drop):
            self._unparsed.clear()  # it gave way
        super().connection_lost(exc)

    def ended(self) -> None:
        """See `ParsedInTurns`."""
        self.places.leave(self)
        self.strangers.leave(self.transport)
