"""What a status says of the transport to the relay."""

from crdt_sync.cli.values import local_time, utc_time
from crdt_sync.runtime import Address
from crdt_sync.runtime.transports import ways

_US_PER_S = 1_000_000


def described(relay: Address | None) -> dict[str, object] | None:
    """For programs: what was chosen, and what was found to pass until when, if anything is known."""
    if relay is None:
        return None
    way = ways.known(relay)
    found = None
    if way is not None:
        found = {"transport": way.transport, "polls": way.polls, "until": utc_time(int(way.until * _US_PER_S))}
    return {"chosen": relay.transport, "found": found}


def sentence(relay: Address | None) -> str:
    """For people; empty where a websocket is used, or nothing is known."""
    if relay is None or relay.transport == "websocket":
        return ""
    if relay.transport == "http":
        return f"Over HTTP with {relay.url}, as chosen; crdt-sync relay --transport auto tries a websocket first."
    way = ways.known(relay)
    if way is None or way.transport != "http":
        return ""
    held = ", and holds back what is streamed" if way.polls else ""
    again = local_time(int(way.until * _US_PER_S))
    return (
        f"Over HTTP with {relay.url}: something on the way breaks websockets{held}. One is tried again after {again}."
    )
