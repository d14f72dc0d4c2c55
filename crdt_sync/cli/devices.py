"""Other devices, as people name them: by address, by name, or by the beginning of their replica id."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from crdt_sync.cli import partners
from crdt_sync.cli.invocation import Invocation
from crdt_sync.cli.options import Way
from crdt_sync.errors import Unreachable, UsageError
from crdt_sync.limits import ACTOR_LENGTH_MAX, LISTENING_PORT
from crdt_sync.replica import Replica
from crdt_sync.replica.names import note_announced
from crdt_sync.runtime import Address

if TYPE_CHECKING:
    from crdt_sync.runtime import discovery, proving

SEARCH_S = 3.0
_NAMED = r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:\d)"  # a bare word is a host only with a port after it
_HOST = re.compile(rf"\A(\[[0-9a-fA-F:%.]+\]|localhost|{_NAMED})(?::(\d{{1,5}}))?\Z")
_ID_LENGTH_MIN = 4  # characters of a replica id: fewer may mean anybody


@dataclass(frozen=True, slots=True)
class Device:
    """A device to talk to: what it is called here, and its address; `found` is how it announced itself, if it did."""

    name: str
    address: Address
    found: "discovery.Nearby | None" = None


def resolved(replica: Replica, given: str, token: str) -> Device:
    """The device that somebody means by `given`. Of several near that say they are it, the one that proves it.

    Raises `UsageError`, `Unreachable` where it cannot be found.
    """
    if (address := _addressed(given, token)) is not None:
        return Device(given, address)
    found = [device for device in look_around(replica, token) if _is(device, given)]
    if len(found) > 1:
        found = proving_it(replica, found, token)
        if not found:
            raise Unreachable(
                f"several devices near say that they are {given!r}, and none of them proves that it is of this space",
                "Try again, or give its address, as HOST or HOST:PORT.",
            )
    if len(found) > 1:
        ids = ", ".join(device.id.hex()[:8] for device in found)
        raise UsageError(f"{len(found)} devices near are called {given!r}", f"Name it by its id, one of: {ids}.")
    if found:
        return near(found[0], token)
    known = [partner for partner in replica.partners() if given == partner.name or _begins(partner.replica, given)]
    if len(known) == 1:
        return Device(given, Address(known[0].url, token, direct=True))
    raise Unreachable(
        f"no device {given!r} of this space was found near",
        "'crdt-sync peers' lists those that announce themselves; or give its address, as HOST or HOST:PORT.",
    )


def proving_it(replica: Replica, found: "Sequence[discovery.Nearby]", token: str) -> "list[discovery.Nearby]":
    """Those of the devices near that prove that they are of this space, each once."""
    from crdt_sync.runtime import proving  # noqa: PLC0415 - a command that goes to a relay looks for nobody

    member = replica.membership
    by_url = {device.url: device for device in found}
    listed = {device.device for device in found if device.device}

    def all_listed(answers: "Sequence[proving.Proven]") -> bool:
        """Whoever fits no device that is known is not waited for, once all have answered that do."""
        return bool(listed) and listed <= {each.claims.device for each in answers if each.claims is not None}

    addresses = [Address(url, token, direct=True, member=member) for url in by_url]
    answers = asyncio.run(proving.proven(addresses, all_listed))
    proved: dict[bytes, discovery.Nearby] = {}
    for answer in answers:
        device = by_url[answer.address.url]
        own = answer.replica if answer.claims is None else answer.claims.device
        if own == device.id or not device.id:  # else it took the beacon, or the id, of another one
            whose = device.user if answer.claims is None else answer.claims.user
            proved.setdefault(own, replace(device, device=device.device or (own if answer.claims else b""), user=whose))
    return list(proved.values())


def near(device: "discovery.Nearby", token: str) -> Device:
    """A device that was found."""
    return Device(device.name, Address(device.url, token, direct=True), device)


def reached(address: Address, way: Way) -> Address:
    """The address of a device, to be reached as options say."""
    return replace(address, ping_interval_s=way.ping_interval, transport=way.transport or "auto")


def note_name(replica: Replica, device: Device) -> None:
    """Remember what a device is called that announced itself, once the one that was meant has answered there."""
    found = device.found
    if found is None:
        return
    there = [partner.replica for partner in replica.partners() if partner.url == found.url]
    if found.replica.hex() in there or (found.device and len(there) == 1):
        note_announced(replica.store, bytes.fromhex(there[0]), found.name[:ACTOR_LENGTH_MAX])


def look_around(replica: Replica, token: str, seconds: float = SEARCH_S) -> "list[discovery.Nearby]":
    """The devices of this space that are near, but for this one. Raises `Unreachable`."""
    from crdt_sync.runtime import discovery  # noqa: PLC0415 - likewise

    member = replica.membership
    found = asyncio.run(discovery.nearby(seconds, token, member=member))
    own = replica.id if member is None else member.device
    return [device for device in found if device.id != own]


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


def _is(device: "discovery.Nearby", given: str) -> bool:
    return given in {device.name, device.user} or _begins(device.id.hex(), given)


def _begins(replica: str, given: str) -> bool:
    return len(given) >= _ID_LENGTH_MIN and replica.startswith(given.lower())
