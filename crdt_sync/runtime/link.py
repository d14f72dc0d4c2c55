"""Websocket links to a partner: how they are opened, and what their failures are called here.

A relay is trusted for its certificate, and told the token. A device is not told it: both prove that they know it. In a
space with identities each side proves its own key, see `greeting`.
"""

import asyncio
import os
import secrets
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus, InvalidURI, NegotiationError, WebSocketException
from websockets.typing import Subprotocol

from crdt_sync.errors import CrdtSyncError, Unauthorized, Unreachable, UsageError, VersionMismatch
from crdt_sync.limits import FRAME_BYTES_MAX
from crdt_sync.protocol import SUBPROTOCOL, proof
from crdt_sync.runtime import certificate
from crdt_sync.runtime.address import Address
from crdt_sync.runtime.network import is_loopback
from crdt_sync.runtime.transports import channel
from crdt_sync.runtime.transports.arrivals import Arrivals
from crdt_sync.runtime.transports.channel import Opened
from crdt_sync.runtime.transports.websocket import WebsocketChannel

if TYPE_CHECKING:
    from crdt_sync.runtime.greeting import Greeting

_RELAY_PORT = 8765  # where one listens unless it is told otherwise
_OPEN_TIMEOUT_S = 10.0


class Dialed(Arrivals, ClientConnection):
    """A connection that we opened."""


class _Dialing(connect):
    """Follows no redirect: whoever answers on the way would choose whom the token is told."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


async def open_link(address: Address, *, try_out: bool = False) -> Opened:
    """Open a channel. With `try_out` frames have gone to and fro on it: some proxies let the upgrade pass, but no more.

    Raises `Unreachable`, `VersionMismatch`, `Unauthorized`, `UsageError`.
    """
    nonce = secrets.token_bytes(proof.NONCE_BYTES)
    greeting = _greeting(address)
    plain = ((proof.NONCE_HEADER, nonce.hex()),) if address.direct else ()
    connection = await _connect(address, dict(plain if greeting is None else greeting.headers))
    if connection.subprotocol != SUBPROTOCOL:  # a server that knows no subprotocols accepts without one
        await WebsocketChannel(connection).close()
        raise mismatch(address)
    if try_out:
        await _try_out(connection, address)
    if greeting is None and not address.direct:
        return Opened(WebsocketChannel(connection), address.token)
    try:
        return _met(connection, address, greeting) if greeting else _proved(connection, address, nonce)
    except CrdtSyncError:
        await WebsocketChannel(connection).close()
        raise


async def _connect(address: Address, headers: dict[str, str]) -> Dialed:
    """Keepalive is the session's own, so that the simulator sees it; compression costs 43 kB a connection."""
    try:
        connection = await _Dialing(
            address.url,
            create_connection=Dialed,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            additional_headers=headers,
            ssl=security(address),
            compression=None,
            max_size=FRAME_BYTES_MAX,
            max_queue=16,
            open_timeout=_OPEN_TIMEOUT_S,
            close_timeout=channel.CLOSE_TIMEOUT_S,
            ping_interval=None,
            user_agent_header=None,
            proxy=None,
        )
        assert isinstance(connection, Dialed)
        return connection
    except (OSError, EOFError, ValueError, WebSocketException) as error:
        raise failure(address, error) from error


async def _try_out(connection: Dialed, address: Address) -> None:
    try:
        async with asyncio.timeout(_OPEN_TIMEOUT_S):
            await (await connection.ping())
    except (TimeoutError, WebSocketException) as error:
        connection.transport.abort()
        raise failure(address, error) from error


def failure(address: Address, error: Exception) -> CrdtSyncError:
    """What a failure to connect is called. Whatever the way to the partner may cause passes, and is retryable.

    Only an address that is none, and a partner that speaks another protocol, take somebody to change something.
    """
    match error:
        case InvalidURI():
            return UsageError(f"{address.url!r} is not a valid address", "It looks like ws://host:8765.")
        case NegotiationError():
            return mismatch(address)
        case ssl.SSLError():
            return Unreachable(
                f"no secure connection to {address.url}: {getattr(error, 'reason', None) or error}",
                "It may speak no TLS there."
                if address.direct
                else "Check its certificate, or name the authority with --ca; a network that asks you to sign in does "
                "this too.",
            )
        case InvalidStatus():
            return Unreachable(
                f"cannot reach {address.url}: {_answered(error)}",
                "Check the address; a network that asks you to sign in, or a proxy, answers in its place too.",
            )
        case WebSocketException():
            return Unreachable(
                f"cannot reach {address.url}: what answers speaks no WebSocket ({error})",
                "Check the address and its port, and whether it is ws:// or wss://.",
            )
        case _:
            return Unreachable(
                f"cannot reach {address.url}: {_reason(error)}",
                f"{_where_to_look(address, error)}; your edits stay safe here until then.",
            )


def _where_to_look(address: Address, error: Exception) -> str:
    place = urlsplit(address.url)
    if not is_loopback(place.hostname or ""):
        return "Check that it runs and the address is right"
    if isinstance(error, TimeoutError):
        return "What runs there, on this machine, does not answer: let it go on if it is stopped, or start it again"
    if address.direct:
        return "On the device there: crdt-sync listen"
    port = "" if place.port in (None, _RELAY_PORT) else f" --port {place.port}"
    return f"It is of this machine: start a relay with 'crdt-relay serve{port}', or correct the address"


def _answered(error: InvalidStatus) -> str:
    status, target = error.response.status_code, error.response.headers.get_all("Location")
    # Whoever answers writes the target; quoted and cut, it cannot pose as words of ours.
    return f"it answered with HTTP {status}" + (f", to go to {target[0][:80]!r} instead" if target else "")


def _greeting(address: Address) -> "Greeting | None":
    if address.member is None:
        return None
    from crdt_sync.runtime.greeting import Greeting  # noqa: PLC0415 - few devices are in a space with identities

    return Greeting(address.member, direct=address.direct)


def _met(connection: Dialed, address: Address, greeting: "Greeting") -> Opened:
    """The channel, once the other end has proved that it is of our space. Raises what `Greeting.met` does."""
    headers = connection.response.headers if connection.response is not None else Headers()
    met = greeting.met(headers.get_all, _binding(connection), address.whom)
    return Opened(WebsocketChannel(connection), met.token, met.replica, met.known, met.claims)


def _proved(connection: Dialed, address: Address, nonce: bytes) -> Opened:
    """The channel, once the device at its other end has proved that it knows the token. Raises `Unauthorized`."""
    told = connection.response.headers if connection.response is not None else {}
    theirs = proof.read_nonce(told.get(proof.NONCE_HEADER))
    exchange = proof.Exchange(nonce, theirs or b"", _binding(connection))
    if theirs is None or not proof.equal(told.get(proof.PROOF_HEADER, ""), exchange.acceptor(address.token)):
        raise Unauthorized(
            f"the device at {address.url} does not know this space's token",
            "Nothing was sent to it. Give both devices the same token: crdt-sync token --token-file FILE.",
        )
    replica = proof.read_replica(told.get(proof.REPLICA_HEADER))
    return Opened(WebsocketChannel(connection), exchange.dialer(address.token), replica)


def _binding(connection: Dialed) -> bytes:
    return certificate.binding(connection.transport.get_extra_info("ssl_object"))


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_OPEN_TIMEOUT_S:g} s"
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or "the connection was closed before anything was said"


def mismatch(address: Address) -> VersionMismatch:
    """Somebody answers who speaks another protocol."""
    return VersionMismatch(
        f"{address.url} does not speak {SUBPROTOCOL}", "Update the older side, and check the address."
    )


def security(address: Address) -> ssl.SSLContext | None:
    """What makes a link secure; None for one that is not. Raises `UsageError`."""
    if not address.url.startswith("wss://"):
        return None
    if address.direct or (address.member is not None and address.member.facts.pinned):
        return certificate.unchecked()
    try:
        return ssl.create_default_context(cafile=address.authorities)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"cannot read {address.authorities}: {error}", "Give a PEM file of certificates.") from error
