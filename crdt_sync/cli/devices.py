"""Other devices, as people name them: by address, by name, or by the beginning of their replica id."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from crdt_sync.cli import partners
from crdt_sync.cli.invocation import Invocation
from crdt_sync.cli.options import Way
from crdt_sync.errors import Unreachable, UsageError
from crdt_sync.limits import ACTOR_LENGTH_MAX, LISTENING_PORT
from crdt_sync.replica import Replica
from crdt_sync.replica.names import note_announced
from crdt_sync.runtime import Address, discovery

SEARCH_S = 3.0
_NAMED = r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:\d)"  # a bare word is a host only with a port after it
_HOST = re.compile(rf"\A(\[[0-9a-fA-F:%.]+\]|localhost|{_NAMED})(?::(\d{{1,5}}))?\Z")
_ID_LENGTH_MIN = 4  # characters of a replica id: fewer may mean anybody


@dataclass(frozen=True, slots=True)
class Device:
    """A device to talk to: what it is called here, and its address; `found` is how it announced itself, if it did."""

    name: str
    address: Address
    found: discovery.Nearby | None = None


def resolved(replica: Replica, given: str, token: str) -> Device:
    """The device that somebody means by `given`. Raises `UsageError`, `Unreachable` where it cannot be found."""
    if (address := _addressed(given, token)) is not None:
        return Device(given, address)
    found = [device for device in look_around(replica, token) if _is(device, given)]
    if len(found) > 1:
        raise UsageError(f"{len(found)} devices near are called {given!r}", "Name it by its id: crdt-sync peers.")
    if found:
        return near(found[0], token)
    known = [partner for partner in replica.partners() if given == partner.name or _begins(partner.replica, given)]
    if len(known) == 1:
        return Device(given, Address(known[0].url, token, direct=True))
    raise Unreachable(
        f"no device {given!r} of this space was found near",
        "'crdt-sync peers' lists those that announce themselves; or give its address, as HOST or HOST:PORT.",
    )


def near(device: discovery.Nearby, token: str) -> Device:
    """A device that was found."""
    return Device(device.name, Address(device.url, token, direct=True), device)


def reached(address: Address, way: Way) -> Address:
    """The address of a device, to be reached as options say."""
    return replace(address, ping_interval_s=way.ping_interval, transport=way.transport or "auto")


def note_name(replica: Replica, device: Device) -> None:
    """Remember what a device is called that announced itself, once the one that was meant has answered there."""
    found = device.found
    if found is not None and any(
        (partner.url, partner.replica) == (found.url, found.replica.hex()) for partner in replica.partners()
    ):
        note_announced(replica.store, found.replica, found.name[:ACTOR_LENGTH_MAX])


def look_around(replica: Replica, token: str) -> list[discovery.Nearby]:
    """The devices of this space that are near, but for this one. Raises `Unreachable`."""
    found = asyncio.run(discovery.nearby(SEARCH_S, token))
    return [device for device in found if device.replica != replica.id]


def space_token(call: Invocation, token: str | None, peers: Sequence[str] = ()) -> str:
    """The token that devices of this space know. Raises `UsageError` where none is known, and first for an address
    among `peers` that is none.
    """
    for peer in peers:
        _addressed(peer, "")
    if token is None and (space := partners.space_of_member(call.store)):
        return space
    known = partners.token(call.store) if token is None else token
    if not known:
        raise UsageError(
            "no token is known: it is what tells the devices of one space from strangers",
            "Keep the relay's with 'crdt-sync relay URL --token TOKEN', or one without a relay with 'crdt-sync token'.",
        )
    return known


def _addressed(given: str, token: str) -> Address | None:
    """The address that is given; None for a name or an id. Raises `UsageError`."""
    if given.startswith(("ws://", "wss://")):
        return Address(given, token, direct=True)
    host = _HOST.match(given)
    return None if host is None else Address(f"wss://{host[1]}:{host[2] or LISTENING_PORT}", token, direct=True)


def _is(device: discovery.Nearby, given: str) -> bool:
    return device.name == given or _begins(device.replica.hex(), given)


def _begins(replica: str, given: str) -> bool:
    return len(given) >= _ID_LENGTH_MIN and replica.startswith(given.lower())
