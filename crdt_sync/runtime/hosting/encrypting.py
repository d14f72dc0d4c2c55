"""A newcomer to a port with TLS, until its handshake is done.

An event loop that listens with TLS makes handshakes by itself, for whoever connects: a millisecond each, before anybody
counts who is there. Here a newcomer counts as a stranger from its first byte on, and its handshake waits for a turn of
its address.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from crdt_sync.limits import HANDSHAKE_TIMEOUT_US
from crdt_sync.runtime.hosting.strangers import Strangers

_HANDSHAKE_S = 0.001  # what one takes of the loop, with a key of 2,048 bits
_EARLY_BYTES_MAX = 64 * 1024  # that came with the end of the handshake: what one read of the socket may hold


class Encrypting(asyncio.Protocol):
    """Goes on with what `front` makes, once there is a transport that decrypts. `waiting` has its own until then;
    `unused` is called where none comes to be.
    """

    def __init__(
        self,
        front: Callable[[], asyncio.BufferedProtocol],
        certificate: ssl.SSLContext,
        strangers: Strangers,
        waiting: set[asyncio.Transport],
        unused: Callable[[], object],
    ) -> None:
        self._front = front
        self._certificate = certificate
        self._strangers = strangers
        self._waiting = waiting
        self._unused = unused
        self._early = bytearray()
        self._over = False
        self._shaking: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.pause_reading()
        if not self._strangers.come(self._transport):
            self._transport.abort()
            return
        self._waiting.add(self._transport)
        self._strangers.take(self._transport, self._begin, _HANDSHAKE_S)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`. Something said came with the end of the handshake."""
        self._early += data
        if len(self._early) > _EARLY_BYTES_MAX:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`. It ended before its turn, or before anybody went on with it."""
        self._give_up()

    def _begin(self) -> None:
        if self._transport in self._waiting and not self._transport.is_closing():
            self._shaking = asyncio.get_running_loop().create_task(self._shake())

    async def _shake(self) -> None:
        try:
            secured = await asyncio.get_running_loop().start_tls(
                self._transport,
                self,
                self._certificate,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT_US / 1e6,
            )
        except OSError:  # what strangers do is no event of ours; a handshake that takes too long ends as one, too
            secured = None
        if secured is None or secured.is_closing():
            self._transport.abort()
            self._give_up()
            return
        self._leave()
        front = self._front()
        secured.set_protocol(front)
        front.connection_made(secured)
        if self._early and not secured.is_closing():
            _hand_on(front, bytes(self._early))

    def _give_up(self) -> None:
        """Nobody goes on with it. Both the connection's end and the handshake's may say so."""
        self._leave()
        if not self._over:
            self._over = True
            self._unused()

    def _leave(self) -> None:
        self._waiting.discard(self._transport)
        self._strangers.leave(self._transport)


def _hand_on(front: asyncio.BufferedProtocol, said: bytes) -> None:
    while said:
        piece = memoryview(cast(bytearray, front.get_buffer(len(said))))
        count = min(len(piece), len(said))
        piece[:count] = said[:count]
        said = said[count:]
        front.buffer_updated(count)
