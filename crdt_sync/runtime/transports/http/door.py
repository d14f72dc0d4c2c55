"""The accepting side of channels over HTTP: their table, and how each request is served.

What strangers may cost is bounded: the connections, the channels, and among these the ones that nobody has proved
himself in; the oldest connection that served nobody who has gives way to a new one. Of a request without a channel no
body is read, and its connection ends with the answer; so it does where a second channel is opened by one, as a proxy
may do that has one for several devices.
"""

import asyncio
import hmac
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol, cast

import h11

from crdt_sync import limits
from crdt_sync.protocol import SUBPROTOCOL
from crdt_sync.runtime.guests import Guest, Introduce, Told
from crdt_sync.runtime.transports.http.accepted import PIECE_BYTES, AcceptedChannel
from crdt_sync.runtime.transports.http.connection import Connection, Gone
from crdt_sync.runtime.transports.http.streams import FrameTooLarge, OffsetUnknown
from crdt_sync.runtime.transports.http.wire import KEY_HEADER, OPEN, PROTOCOL_HEADER, TOKEN_BYTES, Target, is_key
from crdt_sync.runtime.transports.pieces import InPieces
from crdt_sync.runtime.transports.room import Room

_PROBE = b"\0"
_BUFFERED_BYTES = 16 * 1024  # of an answer, in this process beyond the system's own buffers
_REQUEST_S = 0.0005  # that one takes

Welcome = Callable[[AcceptedChannel], Awaitable[None]]
"""Talks over a new channel until it ends."""


class Met(NamedTuple):
    """Who opens a channel that is not for whom the door is, and who talks over it."""

    guest: Guest
    welcome: Welcome
    kept_room: Room


Elsewhere = Callable[[str, Told], Met | None]
"""Tells, by the target and the headers of a request, of whom the door is not; None: it is."""

Caller = Callable[[str | None, Told], str | None]
"""The address of who called, by that of the connection and the headers of a request."""


class Strangers(Protocol):
    """Connections that served no session that was let in."""

    def leave(self, connection: asyncio.Transport) -> None:
        """It is none of them any more. May be called again."""

    async def turn(self, connection: asyncio.Transport, counted_s: float) -> None:
        """Return when it is its turn for what takes about so many seconds; at once if it is none of them."""


class Door:
    """See the module. `crowded` says whether no other channel may be opened; `browsers` admits web pages. `room` is for
    large frames that come, `kept_room` for what was handed out and is not confirmed."""

    def __init__(
        self,
        welcome: Welcome,
        buffer_bytes: int,
        crowded: Callable[[], bool],
        room: Room,
        kept_room: Room,
        strangers: Strangers,
        *,
        connections_max: int,
        browsers: bool,
        introduce: Introduce | None = None,
        elsewhere: Elsewhere = lambda _target, _told: None,
        caller: Caller = lambda peer, _told: peer,
    ) -> None:
        self._welcome = welcome
        self._buffer_bytes = buffer_bytes
        self._crowded = crowded
        self._room = room
        self._kept_room = kept_room
        self._newcomers = strangers
        self._connections_max = connections_max
        self._browsers = browsers
        self._introduce = introduce
        self._elsewhere = elsewhere
        self._caller = caller
        self._channels: dict[str, AcceptedChannel] = {}
        self._strangers: dict[str, AcceptedChannel] = {}  # and some of whom it is known by now who they are
        self._talks: set[asyncio.Task[None]] = set()
        self.connections: set[asyncio.Transport] = set()
        self._unknown: dict[asyncio.Transport, None] = {}  # of them, those that served no session, the oldest first
        self.serving: set[asyncio.Task[None]] = set()
        self.open = True

    def __len__(self) -> int:
        """How many channels there are."""
        return len(self._channels)

    def take(self, transport: asyncio.Transport, said: bytes) -> None:
        """A new connection begins with a request for us."""
        if len(self.connections) >= self._connections_max:
            oldest = next(iter(self._unknown), transport)
            self.left(oldest)
            oldest.abort()
            if oldest is transport:
                return
        transport.set_write_buffer_limits(high=_BUFFERED_BYTES)
        reader = asyncio.StreamReader(limit=PIECE_BYTES // 2)  # it takes twice as much
        protocol = _Caller(reader, self)
        transport.set_protocol(InPieces(protocol))
        protocol.connection_made(transport)
        protocol.data_received(said)

    def came(self, connection: asyncio.Transport) -> None:
        """Requests come by this connection from now on."""
        self.connections.add(connection)
        self._unknown[connection] = None

    def left(self, connection: asyncio.Transport) -> None:
        """None does any more."""
        self.connections.discard(connection)
        self._is_known(connection)

    async def serve(self, connection: Connection) -> None:
        """Serve the requests of one connection until it ends."""
        patience_s = limits.HANDSHAKE_TIMEOUT_US / 1e6
        try:
            while True:
                request = await connection.request(patience_s)
                await self._newcomers.turn(connection.transport, _REQUEST_S)
                await self._request(connection, request)
                await asyncio.sleep(0)  # who sends many requests at once has others wait no longer than who sends one
                patience_s = limits.HTTP_IDLE_S
        except Gone:
            pass
        finally:
            await connection.close()

    def close(self) -> None:
        """Open no more channels."""
        self.open = False

    async def wait_closed(self, patience_s: float) -> None:
        """Wait until every channel has ended, then cut off those that have not, and every connection."""
        if self._talks:
            await asyncio.wait(self._talks, timeout=patience_s)
        for channel in list(self._channels.values()):
            channel.abort()
        for connection in list(self.connections):
            connection.abort()
        if self.serving:
            await asyncio.wait(self.serving)

    async def _request(self, connection: Connection, request: h11.Request) -> None:
        target = Target.read(request.target.decode("ascii", "replace"))
        said = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
        key = said.get(KEY_HEADER.lower(), "")
        posted = request.method == b"POST"
        if target is None or not is_key(key) or not (posted or target.offset is not None):
            await connection.answer(400, last=True)
        elif "origin" in said and not self._browsers:
            await connection.answer(403, last=True)
        elif target.channel == OPEN:
            await (self._opened(connection, key, request) if posted else connection.answer(405, last=True))
        elif (channel := self._known(target.channel, key)) is None:
            await connection.answer(404, last=True)
        elif len(channel.connections) >= limits.HTTP_REQUESTS_MAX:
            await connection.answer(429)
        else:
            channel.enter(connection.transport)
            if channel.greeted:
                self._is_known(connection.transport)
            try:
                if not posted:
                    await self._down(connection, channel, target)
                elif target.offset is None:
                    channel.abort(connection.transport)
                    await connection.answer(200)
                else:
                    await self._up(connection, channel, target, said.get("content-length"))
            except (OffsetUnknown, FrameTooLarge) as broken:
                channel.abort(connection.transport)
                await connection.answer(413 if isinstance(broken, FrameTooLarge) else 409)
            finally:
                channel.leave(connection.transport)
                if channel.greeted:
                    self._is_known(connection.transport)

    async def _opened(self, connection: Connection, key: str, request: h11.Request) -> None:
        def told(name: str) -> list[str]:
            wanted = name.lower().encode()
            return [value.decode("latin-1") for known, value in request.headers if known == wanted]

        if told(PROTOCOL_HEADER)[-1:] != [SUBPROTOCOL]:
            await connection.answer(400, last=True)
        elif not self.open or self._crowded():
            await connection.answer(503, last=True)
        else:
            self._make_way()
            name = secrets.token_hex(TOKEN_BYTES)
            address = connection.transport.get_extra_info("peername")
            peer = self._caller(str(address[0]) if address else None, told)
            met = self._elsewhere(request.target.decode("ascii", "replace"), told)
            kept_room = self._kept_room if met is None else met.kept_room
            channel = AcceptedChannel(key, peer, self._buffer_bytes, lambda: self._left(name), self._room, kept_room)
            if met is not None:
                channel.guest = met.guest
            elif self._introduce is not None:
                channel.guest = self._introduce(told)
            headers = channel.guest.headers if channel.guest is not None else ()
            self._channels[name] = self._strangers[name] = channel
            talk = asyncio.create_task(self._talk(channel, self._welcome if met is None else met.welcome))
            self._talks.add(talk)
            talk.add_done_callback(self._talks.discard)
            again, connection.opened = connection.opened, True
            await connection.answer(200, name.encode(), last=again, headers=headers)

    async def _talk(self, channel: AcceptedChannel, welcome: Welcome) -> None:
        try:
            await welcome(channel)
        finally:
            channel.abort()
            channel.leave_room()

    def _make_way(self) -> None:
        """Who has not proved himself, or is on his way out, waits no longer where too many do."""
        waiting = {name: each for name, each in self._strangers.items() if not each.greeted or each.closing}
        while len(waiting) >= limits.HTTP_STRANGERS_MAX:  # the oldest of whose address the most wait
            most = Counter(each.peer for each in waiting.values()).most_common(1)[0][0]
            waiting.pop(next(name for name, each in waiting.items() if each.peer == most)).abort()
        self._strangers = waiting

    def _left(self, name: str) -> None:
        self._channels.pop(name, None)
        self._strangers.pop(name, None)

    def _is_known(self, connection: asyncio.Transport) -> None:
        self._unknown.pop(connection, None)
        self._newcomers.leave(connection)

    def _known(self, name: str, key: str) -> AcceptedChannel | None:
        channel = self._channels.get(name)
        return channel if channel is not None and hmac.compare_digest(channel.key, key) else None

    async def _up(self, connection: Connection, channel: AcceptedChannel, target: Target, length: str | None) -> None:
        """Take a part of the device's stream, as far as there is room for it."""
        if length is None or not length.isdigit():
            await connection.answer(411)
        elif len(length) > len(str(limits.HTTP_PART_BYTES_MAX)) or int(length) > limits.HTTP_PART_BYTES_MAX:
            await connection.answer(413)
        else:
            channel.confirm(target.acknowledged)
            offset = target.offset or 0
            until = asyncio.get_running_loop().time() + limits.HTTP_BODY_GRACE_S
            until += int(length) / limits.LINK_BYTES_PER_S_MIN
            while await _room(channel) and (piece := await connection.piece(until)) is not None:
                channel.came(piece, offset)
                offset += len(piece)
            await connection.answer(200, f"{channel.coming.came} {channel.outgoing.sent}".encode())

    async def _down(self, connection: Connection, channel: AcceptedChannel, target: Target) -> None:
        """Answer with our stream. A newer request takes the place of this one."""
        former, channel.down = channel.down, connection.transport
        if former is not None and former is not channel.down and former in channel.connections:
            former.abort()
        channel.resume(target.offset or 0)
        most = min(max(target.most, limits.HTTP_PART_BYTES_MIN), limits.HTTP_PART_BYTES_MAX)
        try:
            if target.wait is None:
                await self._streamed(connection, channel, most)
            else:
                await _filled(channel, connection.transport, min(target.wait, limits.HTTP_WAIT_S_MAX))
                await connection.answer(200, channel.hand_out(most))
        finally:
            if channel.down is connection.transport:
                channel.down = None
            channel.moved()

    async def _streamed(self, connection: Connection, channel: AcceptedChannel, most: int) -> None:
        await connection.begin(200, {})
        await connection.write(_PROBE)
        until = asyncio.get_running_loop().time() + limits.HTTP_STREAM_S_MAX
        outgoing = channel.outgoing
        while most > 0 and channel.down is connection.transport:
            piece = channel.hand_out(min(most, PIECE_BYTES))
            if piece:
                most -= len(piece)
                await connection.write(piece)
                channel.moved()
                continue
            left_s = until - asyncio.get_running_loop().time()
            if left_s <= 0 or channel.over or outgoing.ended or outgoing.waiting:
                break  # with some waiting, the device is to confirm what it has, by its next request
            await _filled(channel, connection.transport, left_s)
        await connection.end()


class _Caller(asyncio.StreamReaderProtocol):
    """Serves a connection for as long as it lasts, and not a moment longer."""

    def __init__(self, reader: asyncio.StreamReader, door: Door) -> None:
        super().__init__(reader)
        self._into = reader
        self._door = door
        self._serving: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._link = cast(asyncio.Transport, transport)
        self._door.came(self._link)
        loop = asyncio.get_running_loop()
        writer = asyncio.StreamWriter(self._link, self, self._into, loop)
        self._serving = loop.create_task(self._door.serve(Connection(self._into, writer)))
        self._door.serving.add(self._serving)
        self._serving.add_done_callback(self._door.serving.discard)

    def eof_received(self) -> bool:
        """See `asyncio.Protocol`. Nobody would read an answer any more."""
        super().eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        super().connection_lost(exc)
        self._door.left(self._link)
        if self._serving is not None:
            self._serving.cancel()
            self._serving = None  # which has us in its frames, and those are kept with what it is cancelled by


async def _room(channel: AcceptedChannel) -> bool:
    """Whether there is room for more of the device's stream, or will be soon."""
    try:
        async with asyncio.timeout(limits.HTTP_HOLD_S):
            await channel.until(channel.has_room_for_more)
    except TimeoutError:
        return False
    return True


async def _filled(channel: AcceptedChannel, connection: asyncio.Transport, patience_s: float) -> None:
    """Wait until there is something to say, a newer request is to have it, or time is up."""
    try:
        async with asyncio.timeout(patience_s):
            await channel.until(lambda: channel.outgoing.waiting > 0 or channel.down is not connection)
    except TimeoutError:
        pass
