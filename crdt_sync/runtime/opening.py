"""Opens a channel by the transport that passes: a websocket where it does, HTTP on the same port where it does not."""

from websockets.exceptions import InvalidHandshake, WebSocketException

from crdt_sync.errors import Unreachable
from crdt_sync.limits import HTTP_WAIT_S_MAX
from crdt_sync.runtime.address import Address
from crdt_sync.runtime.link import failure, mismatch, open_link, security
from crdt_sync.runtime.transports import ways
from crdt_sync.runtime.transports.channel import Opened

# What a proxy that breaks websockets does. Where there is no way at all, HTTP has none either.
_BROKEN_UPGRADES = (InvalidHandshake, WebSocketException, EOFError, TimeoutError, ConnectionResetError, BrokenPipeError)


async def open_channel(address: Address) -> Opened:
    """Open a channel. Raises `Unreachable`, `VersionMismatch`, `Unauthorized`, `UsageError`."""
    if address.direct or address.transport == "websocket":
        return await open_link(address)
    if address.transport == "http":
        return await _open_over_http(address)
    way = ways.known(address)
    over_http = way is not None and way.transport == "http"
    if over_http:
        try:
            return await _open_over_http(address)
        except Unreachable:
            ways.forget(address)
    try:
        opened = await open_link(address, try_out=way is None)
    except Unreachable as failed:
        ways.forget(address)
        if over_http or not isinstance(failed.__cause__, _BROKEN_UPGRADES):
            raise
        try:
            opened = await _open_over_http(address)
        except Unreachable:
            raise failed from failed.__cause__
        ways.http_passes(address, polls=False)
    else:
        if way is None:
            ways.websocket_passes(address)
    return opened


async def _open_over_http(address: Address) -> Opened:
    """Raises `Unreachable`, `VersionMismatch`, `UsageError`, and `Unauthorized` for a member of a space."""
    # Most devices never need this: it is loaded where a websocket failed.
    from crdt_sync.runtime.greeting import Greeting, Met  # noqa: PLC0415
    from crdt_sync.runtime.transports.http import dialed  # noqa: PLC0415
    from crdt_sync.runtime.transports.http.requests import Broken, Head  # noqa: PLC0415

    way = ways.known(address)
    greeting = None if address.member is None else Greeting(address.member, direct=False)
    found: list[Met] = []

    def met(head: Head, binding: bytes) -> None:
        assert greeting is not None
        found.append(greeting.met(head.told, binding, address.whom))

    try:
        channel = await dialed.open_channel(
            address.url,
            security(address),
            polls=way is not None and way.polls,
            wait_s=address.ping_interval_s or HTTP_WAIT_S_MAX,
            held_back=lambda: ways.http_passes(address, polls=True),
            headers=() if greeting is None else greeting.headers,
            met=None if greeting is None else met,
        )
    except dialed.Refused as refused:
        head = refused.head
        if head.protocol is not None and not head.ours:
            raise mismatch(address) from refused
        raise Unreachable(
            f"cannot reach {address.url} over HTTP: it answered with HTTP {head.status}",
            "It is full, or stops." if head.ours else "Check the address; a proxy may answer in its place.",
        ) from refused
    except Broken as broken:
        raise failure(address, broken.__cause__ if isinstance(broken.__cause__, Exception) else broken) from broken
    return Opened(channel, found[0].token, None, found[0].known) if found else Opened(channel, address.token)
