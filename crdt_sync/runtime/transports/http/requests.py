"""How a device makes the requests of a channel: one after the other, on a connection that is kept alive, with h11."""

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import h11

from crdt_sync.limits import HANDSHAKE_BYTES_MAX
from crdt_sync.protocol import SUBPROTOCOL
from crdt_sync.runtime import certificate
from crdt_sync.runtime.transports.http.wire import PROTOCOL_HEADER

_READ_BYTES = 64 * 1024
CONNECT_TIMEOUT_S = 10.0


class Broken(Exception):
    """No answer, or none that follows the rules of HTTP: the request may have come, or not."""


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of an answer. `protocol` is what a relay names, None of whatever else answers on the way."""

    status: int
    protocol: str | None
    headers: tuple[tuple[str, str], ...] = ()  # names in lower case

    def told(self, name: str) -> Sequence[str]:
        """The values of a header."""
        return [value for known, value in self.headers if known == name.lower()]

    @property
    def ours(self) -> bool:
        """Whether a relay speaks that we understand."""
        return self.protocol == SUBPROTOCOL


class Requests:
    """See the module. `url` is the address of the relay, `headers` go with every request."""

    def __init__(self, url: str, tls: ssl.SSLContext | None, headers: Sequence[tuple[str, str]]) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or (80 if tls is None else 443)
        self._tls = tls
        self.bound_to: bytes | None = None  # the only certificate whose holder is spoken to, by its SHA-256
        named = self._host.encode("idna").decode()
        named = f"[{named}]" if ":" in named else named
        host = named if parts.port is None else f"{named}:{parts.port}"
        self._headers = [("Host", host), (PROTOCOL_HEADER, SUBPROTOCOL), ("Cache-Control", "no-store"), *headers]
        self._http: h11.Connection | None = None
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @property
    def binding(self) -> bytes:
        """The SHA-256 of the certificate that the relay shows on the connection, nothing without TLS or connection."""
        return b"" if self._streams is None else certificate.binding(self._streams[1].get_extra_info("ssl_object"))

    @property
    def unwritten_bytes(self) -> int:
        """Bytes of a request that wait to be sent."""
        return self._streams[1].transport.get_write_buffer_size() if self._streams is not None else 0

    async def connect(self) -> None:
        """Have a connection, a new one where the last is of no use. Raises `OSError`, `TimeoutError`, and of TLS."""
        http = self._http
        if self._streams is not None and http is not None:
            reader, writer = self._streams
            if http.our_state is http.their_state is h11.DONE:
                http.start_next_cycle()
            if http.our_state is http.their_state is h11.IDLE and not (
                reader.at_eof() or writer.transport.is_closing()
            ):
                return
        self.abort()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            self._streams = await asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=_READ_BYTES)
        if self.bound_to is not None and self.binding != self.bound_to:
            self.abort()
            raise OSError("another certificate is shown than the one that the space's key was proved over")
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HANDSHAKE_BYTES_MAX)

    async def begin(self, method: str, target: str, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()) -> Head:
        """Make a request; `piece` has the body of the answer. Raises `Broken`."""
        length = [("Content-Length", str(len(body)))] if method == "POST" else []
        try:
            await self.connect()
            assert self._http is not None
            assert self._streams is not None
            writer = self._streams[1]
            request = h11.Request(method=method, target=target, headers=[*self._headers, *length, *headers])
            writer.write(self._http.send(request) or b"")
            if body:
                writer.write(self._http.send(h11.Data(data=body)) or b"")
            writer.write(self._http.send(h11.EndOfMessage()) or b"")
            while isinstance(event := await self._event(), h11.InformationalResponse):
                pass
        except (OSError, h11.ProtocolError) as error:
            self.abort()
            raise Broken(str(error)) from error
        if not isinstance(event, h11.Response):
            self.abort()
            raise Broken("the connection was closed")
        said = tuple(
            (name.decode("ascii", "replace"), value.decode("ascii", "replace")) for name, value in event.headers
        )
        head = Head(event.status_code, None, said)
        return replace(head, protocol=next(iter(head.told(PROTOCOL_HEADER)), None))

    async def piece(self) -> bytes | None:
        """The next piece of an answer, None after the last. Raises `Broken`."""
        try:
            event = await self._event()
        except (OSError, h11.ProtocolError) as error:
            self.abort()
            raise Broken(str(error)) from error
        if isinstance(event, h11.Data):
            return bytes(event.data)
        if isinstance(event, h11.EndOfMessage):
            return None
        self.abort()
        raise Broken("the connection was closed")

    async def ask(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        most: int = 256,
        patience_s: float = CONNECT_TIMEOUT_S,
        headers: Sequence[tuple[str, str]] = (),
    ) -> tuple[Head, bytes]:
        """An answer as a whole, of `most` bytes. Raises `Broken`, also where it does not come in time."""
        try:
            async with asyncio.timeout(patience_s):
                head = await self.begin(method, target, body, headers)
                answer = bytearray()
                while (piece := await self.piece()) is not None:
                    answer += piece
                    if len(answer) > most:
                        self.abort()
                        if head.ours:
                            raise Broken("the answer is too long")
                        break
        except TimeoutError:
            self.abort()
            raise Broken(f"no answer within {patience_s:g} s") from None
        return head, bytes(answer)

    def abort(self) -> None:
        """Give the connection up; whoever waits for an answer finds it broken."""
        if self._streams is not None:
            self._streams[1].transport.abort()
        self._streams = self._http = None

    async def close(self) -> None:
        """Give the connection up, and wait until it is gone."""
        streams = self._streams
        self.abort()
        if streams is not None:
            with suppress(OSError):
                await streams[1].wait_closed()

    async def _event(self) -> object:
        http, streams = self._http, self._streams
        if http is None or streams is None:
            raise ConnectionAbortedError("the connection was given up")
        while (event := http.next_event()) is h11.NEED_DATA:
            with suppress(ConnectionResetError):  # an answer may have come before
                await streams[1].drain()
            http.receive_data(await streams[0].read(_READ_BYTES))
        return event
