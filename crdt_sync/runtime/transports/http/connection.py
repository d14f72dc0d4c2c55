"""One connection on which requests come, read with h11; what a stranger may say is bounded in bytes and in time."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import cast

import h11

from crdt_sync.limits import HANDSHAKE_BYTES_MAX
from crdt_sync.protocol import SUBPROTOCOL
from crdt_sync.runtime.transports.http.wire import PROTOCOL_HEADER

_READ_BYTES = 16 * 1024
_LAST_BYTES_S = 2.0
_FIXED_HEADERS = (
    (PROTOCOL_HEADER, SUBPROTOCOL),
    ("Content-Type", "application/octet-stream"),
    ("Cache-Control", "no-store, no-transform"),
    ("X-Accel-Buffering", "no"),
)


class Gone(Exception):
    """The connection is of no use any more: it was lost, or what came is no HTTP, or came too slowly."""


class Connection:
    """See the module. Every method but `abort` raises `Gone`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._unread = False
        self.opened = False  # a channel was opened by it
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HANDSHAKE_BYTES_MAX)
        self.transport = cast(asyncio.Transport, writer.transport)  # one that reads, too

    async def request(self, patience_s: float) -> h11.Request:
        """The next request, without its body."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        try:
            async with asyncio.timeout(patience_s):
                event = await self._event()
        except TimeoutError:
            raise Gone from None
        if not isinstance(event, h11.Request):
            raise Gone
        return event

    async def piece(self, until: float) -> bytes | None:
        """The next piece of a body, None after the last one. It must come before `until`, by the clock of the loop."""
        if self._http.they_are_waiting_for_100_continue:
            self._write(self._http.send(h11.InformationalResponse(status_code=100, headers=[])))
        try:
            async with asyncio.timeout_at(until):
                event = await self._event()
        except TimeoutError:
            raise Gone from None
        if isinstance(event, h11.Data):
            return bytes(event.data)
        if isinstance(event, h11.EndOfMessage):
            return None
        raise Gone

    async def answer(
        self, status: int, body: bytes = b"", *, last: bool = False, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Answer a request as a whole. Where its body was not read, or with `last`, the connection ends with it.

        The answer says so: a proxy would make the next request on it, of somebody else.
        """
        closing = {"Connection": "close"} if last or self._is_unread() else {}
        await self.begin(status, {"Content-Length": str(len(body)), **closing}, headers)
        if body:
            await self.write(body)
        await self.end()

    async def begin(self, status: int, headers: Mapping[str, str], more: Sequence[tuple[str, str]] = ()) -> None:
        """Begin an answer; without a `Content-Length` its end is told by its form, or by the end of the connection."""
        said = [*_FIXED_HEADERS, *headers.items(), *more]
        try:
            self._write(self._http.send(h11.Response(status_code=status, headers=said)))
        except h11.LocalProtocolError:
            raise Gone from None

    async def write(self, piece: bytes) -> None:
        """Go on with an answer; returns when little of it still waits here."""
        self._write(self._http.send(h11.Data(data=piece)))
        await self._drained()

    async def end(self) -> None:
        """End an answer. Raises `Gone` where there can be no other request on this connection."""
        self._write(self._http.send(h11.EndOfMessage()))
        await self._drained()
        if self._is_unread():
            raise Gone
        if self._http.their_state is not h11.DONE or self._http.our_state is not h11.DONE:
            raise Gone

    def _is_unread(self) -> bool:
        """Whether something of the request's body is still to come, or to be read."""
        if not self._unread and self._http.their_state is h11.SEND_BODY:
            try:
                self._unread = not isinstance(self._http.next_event(), h11.EndOfMessage)
            except h11.RemoteProtocolError:
                self._unread = True
        return self._unread

    async def close(self) -> None:
        """Close it after what was written. What is still on the way to us would destroy an answer on its way back."""
        if self._unread:
            with suppress(TimeoutError, OSError):
                async with asyncio.timeout(_LAST_BYTES_S):
                    while await self._reader.read(_READ_BYTES):
                        pass
        self._writer.close()

    def abort(self) -> None:
        """Close it now."""
        self.transport.abort()

    async def _event(self) -> h11.Event | type[h11.PAUSED]:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                data = await self._reader.read(_READ_BYTES)
                self._http.receive_data(data)
        except (h11.RemoteProtocolError, OSError):
            raise Gone from None
        return event  # type: ignore[return-value]  # h11 types its sentinels as one

    def _write(self, data: bytes | None) -> None:
        if data and not self.transport.is_closing():
            self._writer.write(data)

    async def _drained(self) -> None:
        try:
            await self._writer.drain()
        except OSError:
            raise Gone from None
