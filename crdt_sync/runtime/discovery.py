"""Devices that are near: announced and found on the local network by multicast DNS, only where somebody asks for it.

What is announced is the device's name, its replica id, where it listens, and a word that tells the devices of one space
from others without telling the token (`proof.space_of`). Nothing about customers: not how many, not when they changed.
"""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from zeroconf import Error, InterfaceChoice, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from crdt_sync.errors import Unreachable
from crdt_sync.ids import REPLICA_BYTES
from crdt_sync.limits import ACTOR_LENGTH_MAX, NEARBY_DEVICES_MAX
from crdt_sync.protocol import proof

SERVICE = "_crdt-sync._tcp.local."
_VERSION = b"1"
_ASK_MS = 3000
_PORT_MAX = 65535

Interfaces = InterfaceChoice | Sequence[str]


@dataclass(frozen=True, slots=True)
class Nearby:
    """A device that announces itself. What it says of itself is not proved before a session begins."""

    name: str
    replica: bytes
    space: bytes
    host: str
    port: int

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
) -> AsyncIterator[None]:
    """Announce a device that listens at `port` of `hosts` while the block runs. Raises `Unreachable`."""
    info = AsyncServiceInfo(
        SERVICE,
        f"{replica.hex()}.{SERVICE}",  # not the name: a label has 63 bytes, and no two devices may share it
        parsed_addresses=list(hosts),
        port=port,
        properties={b"v": _VERSION, b"name": name.encode(), b"replica": replica.hex(), b"space": _space(token)},
        server=f"{replica.hex()}.local.",
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
) -> list[Nearby]:
    """The devices that answer within `seconds`, those of the token's space only unless it is None, by name.

    Returns sooner once `enough` of them were found. Raises `Unreachable` where there is no multicast.
    """
    zeroconf = _open(interfaces)
    found: dict[bytes, Nearby] = {}
    asking: set[asyncio.Task[None]] = set()
    complete = asyncio.Event()

    async def ask(service: str) -> None:
        info = AsyncServiceInfo(SERVICE, service)
        if not await info.async_request(zeroconf.zeroconf, _ASK_MS):
            return
        device = _read(info)
        if device is not None and (token is None or device.space == proof.space_of(token)):
            found[device.replica] = device
            if len(found) >= min(enough, NEARBY_DEVICES_MAX):
                complete.set()

    def changed(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:  # noqa: ARG001
        if state_change is not ServiceStateChange.Removed and len(asking) < NEARBY_DEVICES_MAX:
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
    return sorted(found.values(), key=lambda device: (device.name, device.replica))


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


def _preference(address: str) -> tuple[bool, str]:
    return ipaddress.ip_address(address.partition("%")[0]).version != 4, address


def _bytes(text: bytes | None, count: int) -> bytes | None:
    try:
        value = bytes.fromhex((text or b"").decode("ascii"))
    except ValueError:
        return None
    return value if len(value) == count else None
