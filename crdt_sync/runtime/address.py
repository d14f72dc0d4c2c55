"""Where a partner is, by itself: to know it takes no network code."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from crdt_sync.errors import UsageError


@dataclass(frozen=True, slots=True)
class Address:
    """Where a partner is and how we prove ourselves. `authorities` is a PEM file to trust for `wss:` links.

    `direct` is for another device: it must prove that it knows the token too, whatever its certificate. `adopt` says
    that a relay which shares no history with those known to the store is to have its records all the same.
    Raises `UsageError` for what cannot be an address, or a token.
    """

    url: str
    token: str = ""
    authorities: Path | None = None
    direct: bool = False
    adopt: bool = False

    def __post_init__(self) -> None:
        fault = _fault(self.url)
        if fault is not None:
            raise UsageError(
                f"{self.url!r} is not the address of a {self._kind}: {fault}",
                "It looks like ws://host:8765 or wss://host.",
            )
        if not self.token.isascii() or not self.token.isprintable():
            raise UsageError("the token is not printable ASCII", "Copy it again from where it was made.")

    @property
    def whom(self) -> str:
        """Who is there, as messages say it."""
        return f"the {self._kind} at {self.url}"

    @property
    def _kind(self) -> str:
        return "device" if self.direct else "relay"


def _fault(url: str) -> str | None:
    """What is wrong with an address, None if nothing is."""
    if not url.startswith(("ws://", "wss://")):
        return "it does not begin with ws:// or wss://"
    if not url.isprintable() or " " in url:
        return "it holds a blank or a control character"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return str(error)
    if port == 0:
        return "a port is from 1 to 65535"
    if not parts.hostname:
        return "it names no host"
    if "@" in parts.netloc:
        return "a user and a password do not belong there; what a relay asks for is a token"
    if "#" in url:
        return "a fragment ('#') does not belong there"
    try:
        parts.hostname.encode("idna")  # as the network code does, which fails with an error of its own
    except UnicodeError:
        return "its host cannot be a name on the network"
    return None
