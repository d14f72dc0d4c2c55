"""What an address of a host says about who can reach it, and those of this machine."""

import ipaddress
import socket
from contextlib import suppress


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`; names other than localhost are taken to be reachable."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def network_of(address: str) -> str:
    """What one customer of a provider has: an address of IPv4, or the network of 64 bits around one of IPv6."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address) or found.is_loopback:
        return address
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False).network_address)


def own_addresses() -> list[str]:
    """The addresses at which other machines reach this one, the most likely one first; else the loopback address."""
    found: list[str] = []
    for family, elsewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        # Nothing is sent: the system only says from which address it would be (RFC 5737 and 3849 name these).
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))
            found.append(str(probe.getsockname()[0]))
    return found or ["127.0.0.1"]
