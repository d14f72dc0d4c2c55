"""Devices that are near: announced and found on the local network by multicast DNS, only where somebody asks for it.

What is announced is where the device listens, and who it is: in a space with identities what only its devices can read
(`beacons`), else its name, its replica id, and a word that tells the devices of one space from others without telling
the token (`proof.space_of`). Nothing about customers: not how many, not when they changed.
"""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zeroconf import Error, InterfaceChoice, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from crdt_sync.errors import Unreachable
from crdt_sync.ids import REPLICA_BYTES
from crdt_sync.limits import ACTOR_LENGTH_MAX, NEARBY_DEVICES_MAX
from crdt_sync.protocol import proof
from crdt_sync.runtime.beacons import Lookout, beacon

if TYPE_CHECKING:
    from crdt_sync.membership.member import Membership

SERVICE = "_crdt-sync._tcp.local."
_VERSION = b"1"
_BEACON_VERSION = b"2"
_ASKED_MAX = 16 * NEARBY_DEVICES_MAX  # announcements that are looked into, one after the other where they are many
_ASK_MS = 3000
_PORT_MAX = 65535

Interfaces = InterfaceChoice | Sequence[str]


@dataclass(frozen=True, slots=True)
class Nearby:
    """A device that announces itself. What it says of itself is not proved before a session begins.

    In a space with identities `device` is the id of the one that its beacon fits, empty for one that is not listed
    yet, and `user` whose that is; `replica` is empty then, and `space` the space's id.
    """

    name: str
    replica: bytes
    space: bytes
    host: str
    port: int
    device: bytes = b""
    user: str = ""

    @property
    def id(self) -> bytes:
        """What it is known by."""
        return self.device or self.replica

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"wss://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@asynccontextmanager
async def announced(
    name: str,
    replica: bytes,
    token: str,
    port: int,
    hosts: Sequence[str],
    interfaces: Interfaces = InterfaceChoice.Default,
    member: "Membership | None" = None,
) -> AsyncIterator[None]:
    """Announce a device that listens at `port` of `hosts` while the block runs, where it is a `member` of a space with
    identities to that one's devices alone. Raises `Unreachable`.
    """
    properties: dict[bytes, str | bytes | None]
    if member is None:
        label = replica.hex()  # not the name: a label has 63 bytes, and no two devices may share it
        properties = {b"v": _VERSION, b"name": name.encode(), b"replica": replica.hex(), b"space": _space(token)}
    else:
        made = beacon(member.space, member.device, name)
        label, properties = made.label, {b"v": _BEACON_VERSION, b"name": made.name}
    info = AsyncServiceInfo(
        SERVICE,
        f"{label}.{SERVICE}",
        parsed_addresses=list(hosts),
        port=port,
        properties=properties,
        server=f"{label}.local.",
    )
    zeroconf = _open(interfaces)
    try:
        try:
            await zeroconf.async_register_service(info, allow_name_change=True)
        except (Error, OSError) as error:
            raise _no_multicast(error) from error
        yield
    finally:
        await zeroconf.async_unregister_all_services()
        await zeroconf.async_close()


async def nearby(
    seconds: float,
    token: str | None,
    interfaces: Interfaces = InterfaceChoice.Default,
    enough: int = NEARBY_DEVICES_MAX,
    member: "Membership | None" = None,
) -> list[Nearby]:
    """The devices that answer within `seconds`, those of the token's space only unless it is None, by name. Those of
    the space of a `member`, instead: whoever does not know that space is not looked at.

    Returns sooner once `enough` of them were found. Raises `Unreachable` where there is no multicast.
    """
    zeroconf = _open(interfaces)
    lookout = None if member is None else Lookout(member.space, member.statements.devices)
    found: dict[object, Nearby] = {}
    asking: set[asyncio.Task[None]] = set()
    room = asyncio.Semaphore(NEARBY_DEVICES_MAX)
    complete = asyncio.Event()

    async def ask(service: str) -> None:
        async with room:
            info = AsyncServiceInfo(SERVICE, service)
            if not await info.async_request(zeroconf.zeroconf, _ASK_MS):
                return
        if member is None or lookout is None:
            device = _read(info)
            wanted = device is not None and (token is None or device.space == proof.space_of(token))
        else:
            device = _seen(info, member, lookout)
            wanted = device is not None
        if device is not None and wanted and len(found) < NEARBY_DEVICES_MAX:
            found[device.replica or service] = device
            if len(found) >= min(enough, NEARBY_DEVICES_MAX):
                complete.set()

    def changed(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:  # noqa: ARG001
        is_looked_at = lookout is None or lookout.is_of_space(name)
        if state_change is not ServiceStateChange.Removed and is_looked_at and len(asking) < _ASKED_MAX:
            asking.add(asyncio.ensure_future(ask(name)))

    browser = AsyncServiceBrowser(zeroconf.zeroconf, SERVICE, handlers=[changed])
    try:
        async with asyncio.timeout(seconds):
            await complete.wait()
    except TimeoutError:
        pass
    finally:
        await browser.async_cancel()
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await zeroconf.async_close()
    return sorted(found.values(), key=lambda device: (device.name, device.id, device.url))


def _open(interfaces: Interfaces) -> AsyncZeroconf:
    try:
        return AsyncZeroconf(interfaces=interfaces)
    except OSError as error:
        raise _no_multicast(error) from error


def _no_multicast(error: Exception) -> Unreachable:
    return Unreachable(
        f"devices near this one cannot be looked for: {error}",
        "The network must let multicast DNS pass (UDP port 5353). Name the device instead: crdt-sync sync HOST:PORT.",
    )


def _space(token: str) -> str:
    return proof.space_of(token).hex()


def _read(info: AsyncServiceInfo) -> Nearby | None:
    """What an announcement says; None where it is not of a device that this version understands."""
    said = info.properties
    addresses = info.parsed_scoped_addresses()
    name = (said.get(b"name") or b"").decode("utf-8", "replace")[:ACTOR_LENGTH_MAX]
    replica, space = _bytes(said.get(b"replica"), REPLICA_BYTES), _bytes(said.get(b"space"), proof.SPACE_BYTES)
    if said.get(b"v") != _VERSION or not replica or not space or not name or not addresses:
        return None
    if not info.port or info.port > _PORT_MAX:
        return None
    return Nearby(name, replica, space, min(addresses, key=_preference), info.port)


def _seen(info: AsyncServiceInfo, member: "Membership", lookout: Lookout) -> Nearby | None:
    """What a beacon says; None where it is none of our space."""
    addresses = info.parsed_scoped_addresses()
    seen = lookout.seen(info.name, info.properties.get(b"name") or b"")
    if info.properties.get(b"v") != _BEACON_VERSION or seen is None or not addresses:
        return None
    if not info.port or info.port > _PORT_MAX:
        return None
    user = member.statements.devices.user(seen.device) or ""
    return Nearby(seen.name, b"", member.space, min(addresses, key=_preference), info.port, seen.device, user)


def _preference(address: str) -> tuple[bool, str]:
    return ipaddress.ip_address(address.partition("%")[0]).version != 4, address


def _bytes(text: bytes | None, count: int) -> bytes | None:
    try:
        value = bytes.fromhex((text or b"").decode("ascii"))
    except ValueError:
        return None
    return value if len(value) == count else None
