"""A proxy that speaks HTTP/1.1 and no more: it breaks websockets, and what else it is told to break."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import h11

from crdt_bench.local_server import LocalServer, Reader, Writer

_READ_BYTES = 64 * 1024
_HEAD_ONLY = {"connection", "keep-alive", "upgrade", "transfer-encoding"}  # of one hop: RFC 9110, 7.6.1


@dataclass
class Habits:
    """What a proxy does. `upgrades` is the status that a websocket is answered with, "drop", "hang" or "mute".

    "mute" lets the upgrade pass and nothing after it. With `collects` an answer is passed on once it is complete.
    `trickles` passes on the first bytes of an answer, and the rest once it is complete. `cut` is asked of each request
    whether the connection is lost: "before" the relay sees it, "after", or within the "answer".
    """

    upgrades: int | str = 403
    collects: bool = False
    trickles: bool = False
    chunks_refused: bool = True
    cut: Callable[[h11.Request], str] = lambda _: ""


class Proxy(LocalServer):
    """Listens on a free `port` and passes requests on to `onward`. `seen` has what was asked, in order."""

    def __init__(self, onward: int, habits: Habits) -> None:
        super().__init__()
        self.onward = onward
        self.habits = habits
        self.seen: list[str] = []

    async def serve(self, reader: Reader, writer: Writer) -> None:
        try:
            http = h11.Connection(h11.SERVER)
            while True:
                request, body = await _message(http, reader)
                if not isinstance(request, h11.Request):
                    return
                self.seen.append(f"{request.method.decode()} {request.target.decode()}")
                await self._pass_on(http, reader, writer, request, body)
                if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                    return
                http.start_next_cycle()
        except h11.ProtocolError:
            pass
        finally:
            writer.transport.abort()

    async def _pass_on(
        self,
        http: h11.Connection,
        reader: Reader,
        writer: Writer,
        request: h11.Request,
        body: bytes,
    ) -> None:
        names = {name for name, _ in request.headers}
        if b"upgrade" in names:
            await self._upgrade(http, reader, writer, request)
            return
        if b"transfer-encoding" in names and self.habits.chunks_refused:
            _say(http, writer, h11.Response(status_code=411, headers=[("Content-Length", "0")]), b"")
            return
        cut = self.habits.cut(request)
        if cut == "before":
            raise ConnectionAbortedError
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self.onward)
        try:
            onward = h11.Connection(h11.CLIENT)
            headers = [(n, v) for n, v in request.headers if n.decode() not in _HEAD_ONLY]
            onward_writer.write(
                (onward.send(h11.Request(method=request.method, target=request.target, headers=headers)) or b"")
                + (onward.send(h11.Data(data=body)) or b"")
                + (onward.send(h11.EndOfMessage()) or b"")
            )
            await self._answer(http, writer, onward, onward_reader, cut)
        finally:
            onward_writer.transport.abort()

    async def _answer(
        self,
        http: h11.Connection,
        writer: Writer,
        onward: h11.Connection,
        reader: Reader,
        cut: str,
    ) -> None:
        head = await _event(onward, reader)
        assert isinstance(head, h11.Response)
        headers = [(n, v) for n, v in head.headers if n.decode() not in _HEAD_ONLY]
        began, held = False, b""
        while isinstance(event := await _event(onward, reader), h11.Data):
            held += bytes(event.data)
            if cut == "answer" and len(held) > 1:
                raise ConnectionAbortedError
            if self.habits.collects or (self.habits.trickles and began):
                continue
            if not began:
                writer.write(http.send(h11.Response(status_code=head.status_code, headers=headers)) or b"")
                began = True
            writer.write(http.send(h11.Data(data=held)) or b"")
            await writer.drain()
            held = b""
        if cut == "after" or not isinstance(event, h11.EndOfMessage):
            raise ConnectionAbortedError
        if not began:
            writer.write(http.send(h11.Response(status_code=head.status_code, headers=headers)) or b"")
        if held:
            writer.write(http.send(h11.Data(data=held)) or b"")
        writer.write(http.send(h11.EndOfMessage()) or b"")
        await writer.drain()

    async def _upgrade(self, http: h11.Connection, reader: Reader, writer: Writer, request: h11.Request) -> None:
        habit = self.habits.upgrades
        if habit == "hang":
            await asyncio.Event().wait()
        elif habit == "drop":
            raise ConnectionAbortedError
        elif habit == "mute":
            onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self.onward)
            head = b"".join(name + b": " + value + b"\r\n" for name, value in request.headers)
            onward_writer.write(b"GET " + request.target + b" HTTP/1.1\r\n" + head + b"\r\n")
            writer.write(await onward_reader.readuntil(b"\r\n\r\n"))
            try:
                while await reader.read(_READ_BYTES):
                    pass
            finally:
                onward_writer.transport.abort()
        else:
            assert isinstance(habit, int)
            _say(http, writer, h11.Response(status_code=habit, headers=[("Content-Length", "6")]), b"Sorry.")


def _say(http: h11.Connection, writer: Writer, head: h11.Response, body: bytes) -> None:
    writer.write(http.send(head) or b"")
    writer.write(http.send(h11.Data(data=body)) or b"")
    writer.write(http.send(h11.EndOfMessage()) or b"")


async def _event(http: h11.Connection, reader: Reader) -> object:
    while (event := http.next_event()) is h11.NEED_DATA:
        http.receive_data(await reader.read(_READ_BYTES))
    return event


async def _message(http: h11.Connection, reader: Reader) -> tuple[object, bytes]:
    """A request and all of its body: this is how request buffering looks."""
    head = await _event(http, reader)
    body = b""
    if isinstance(head, h11.Request):
        while isinstance(event := await _event(http, reader), h11.Data):
            body += bytes(event.data)
    return head, body
