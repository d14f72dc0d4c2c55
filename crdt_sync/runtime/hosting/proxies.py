"""Where somebody comes from who comes through a proxy: what it says of that, where it may be believed.

Rules:

1. Only a trusted proxy is believed, and only by the one header that it writes: the other may have been sent by anybody,
   and passed on.
2. Each proxy appends whom it was called by, so entries are read from the right, as long as they are proxies that are
   trusted. The first that is none is the address, whatever stands before it: that was said by the caller.
3. Where an entry is no address, the proxy that wrote it is taken for the caller.
"""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Literal

from crdt_sync.runtime.guests import Told

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
ForwardedHeader = Literal["x-forwarded-for", "forwarded"]

_HOPS_MAX = 16  # proxies behind one another, that are looked at
_BRACKETS = re.compile(r"\[([^\]]*)\](?::\d+)?\Z")
_PORT = re.compile(r"([\d.]+):\d+\Z", re.ASCII)


class Proxies:
    """See the module. `trusted` are networks of proxies, and of nobody else; `header` is what they write."""

    def __init__(self, trusted: Sequence[Network] = (), header: ForwardedHeader = "x-forwarded-for") -> None:
        self.trusted = tuple(trusted)
        self.header: ForwardedHeader = header

    def caller(self, peer: str | None, told: Told) -> str | None:
        """The address of who called: of `peer`, whose connection it is, or of whom that speaks for."""
        found = peer
        for hop in self._hops(told):
            if found is None or not self._is_trusted(found):
                return found
            address = _address(hop)
            if address is None:
                return found
            found = address
        return found

    def _hops(self, told: Told) -> Iterator[str]:
        """The entries of the header, the last first."""
        if not self.trusted:
            return
        # No address has a comma in it, and quotes that somebody left open are not to swallow what a proxy appended.
        for entry in ",".join(told(self.header)).split(",")[: -_HOPS_MAX - 1 : -1]:
            yield _forwarded_for(entry) if self.header == "forwarded" else entry

    def _is_trusted(self, address: str) -> bool:
        found = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found.version == network.version and found in network for network in self.trusted)


NO_PROXIES = Proxies()
"""Nobody is believed."""


def _forwarded_for(element: str) -> str:
    """Whom an element of a `Forwarded` header (RFC 7239) is for; nothing where it does not say."""
    for pair in element.split(";"):
        name, _, value = pair.partition("=")
        if name.strip().lower() == "for":
            value = value.strip()
            return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    return ""


def _address(hop: str) -> str | None:
    """The address in an entry, which may have a port behind it."""
    text = hop.strip()
    for form in (_BRACKETS, _PORT):
        if (found := form.match(text)) is not None:
            text = found[1]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
