"""Websocket links to a partner: how they are opened, and what their failures are called here."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidURI, NegotiationError
from websockets.typing import Subprotocol

from crdt_sync.errors import Unreachable, UsageError, VersionMismatch
from crdt_sync.limits import FRAME_BYTES_MAX
from crdt_sync.protocol import SUBPROTOCOL

_OPEN_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a partner is and how we prove ourselves. `authorities` is a PEM file to trust for `wss:` links."""

    url: str
    token: str = ""
    authorities: Path | None = None

    def __post_init__(self) -> None:
        if not self.url.startswith(("ws://", "wss://")):
            raise UsageError(
                f"{self.url!r} is not the address of a relay", "It looks like ws://host:8765 or wss://host."
            )
        if not self.token.isascii() or not self.token.isprintable():
            raise UsageError("the token is not printable ASCII", "Copy it again from the relay's operator.")


async def open_link(address: Address) -> ClientConnection:
    """Open a link. Raises `Unreachable`, `VersionMismatch`, `UsageError`.

    Keepalive is the session's own, so that the simulator sees it; compression costs 43 kB a connection.
    """
    try:
        link = await connect(
            address.url,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            ssl=_context(address),
            compression=None,
            max_size=FRAME_BYTES_MAX,
            max_queue=16,
            open_timeout=_OPEN_TIMEOUT_S,
            close_timeout=_CLOSE_TIMEOUT_S,
            ping_interval=None,
            user_agent_header=None,
            proxy=None,
        )
    except InvalidURI as error:
        raise UsageError(f"{address.url!r} is not a valid address", "It looks like ws://host:8765.") from error
    except NegotiationError as error:
        raise _mismatch(address) from error
    except ssl.SSLError as error:
        raise Unreachable(
            f"no secure connection to {address.url}: {error.reason or error}",
            "Check the relay's certificate, or name the authority with --ca.",
        ) from error
    except (OSError, TimeoutError, InvalidHandshake, EOFError) as error:
        raise Unreachable(
            f"cannot reach {address.url}: {_reason(error)}",
            "Check that the relay runs and the address is right; your edits stay safe here until then.",
        ) from error
    if link.subprotocol != SUBPROTOCOL:  # a server that knows no subprotocols accepts without one
        await link.close()
        raise _mismatch(address)
    return link


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_OPEN_TIMEOUT_S:g} s"
    return str(error) or "the connection was closed before anything was said"


def _mismatch(address: Address) -> VersionMismatch:
    return VersionMismatch(
        f"{address.url} does not speak {SUBPROTOCOL}", "Update the older side, and check the address."
    )


def _context(address: Address) -> ssl.SSLContext | None:
    if not address.url.startswith("wss://"):
        return None
    try:
        return ssl.create_default_context(cafile=address.authorities)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"cannot read {address.authorities}: {error}", "Give a PEM file of certificates.") from error
