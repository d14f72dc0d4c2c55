"""Where a partner is, by itself: to know it takes no network code."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from crdt_sync.errors import UsageError
from crdt_sync.limits import PING_S_MAX, PING_S_MIN

if TYPE_CHECKING:
    from crdt_sync.membership.member import Membership

TRANSPORTS = ("auto", "websocket", "http")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a partner is and how we prove ourselves. `authorities` is a PEM file to trust for `wss:` links.

    `direct` is for another device: it must prove that it knows the token too, whatever its certificate. `adopt` says
    that a relay which shares no history with those known to the store is to have its records all the same.
    `ping_interval_s` is after how many seconds of silence to ask whether the partner lives, `PING_S_MIN` to
    `PING_S_MAX`; None: the longest. Shorter ones keep a proxy from cutting the link that cuts silent ones sooner.
    `transport` is "websocket", "http" for networks that break those, or "auto", which finds out; devices speak
    websockets only. What was found out is kept in the file `memory`; None: while the process runs.
    `insist`: push all the same where the partner said that it takes nothing yet, as it may have changed its mind.
    `member` is who calls, where this device is in a space with identities; a token is not shown then.
    Raises `UsageError` for what cannot be an address, a token, an interval or a transport.
    """

    url: str
    token: str = ""
    authorities: Path | None = None
    direct: bool = False
    adopt: bool = False
    ping_interval_s: float | None = None
    transport: str = "auto"
    memory: Path | None = field(default=None, compare=False)
    insist: bool = field(default=False, compare=False)
    member: "Membership | None" = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        fault = _fault(self.url)
        if fault is not None:
            raise UsageError(
                f"{self.url!r} is not the address of a {self._kind}: {fault}",
                "It looks like ws://host:8765 or wss://host.",
            )
        if not self.token.isascii() or not self.token.isprintable():
            raise UsageError("the token is not printable ASCII", "Copy it again from where it was made.")

        ping_us(self.ping_interval_s)
        if self.transport not in TRANSPORTS:
            raise UsageError(f"{self.transport[:40]!r} is no transport", f"Take one of: {', '.join(TRANSPORTS)}.")
        if self.direct and self.transport == "http":
            raise UsageError("devices that listen speak websockets only", "Leave out --transport.")

    @property
    def ping_us(self) -> int | None:
        """`ping_interval_s` in microseconds."""
        return ping_us(self.ping_interval_s)

    @property
    def whom(self) -> str:
        """Who is there, as messages say it."""
        return f"the {self._kind} at {self.url}"

    @property
    def _kind(self) -> str:
        return "device" if self.direct else "relay"


def ping_us(interval_s: float | None) -> int | None:
    """A settable ping interval in microseconds. Raises `UsageError` for one that is too short or too long."""
    if interval_s is None:
        return None
    if not PING_S_MIN <= interval_s <= PING_S_MAX:
        raise UsageError(
            f"a ping interval is {PING_S_MIN:g} to {PING_S_MAX:g} s of silence, and the one given is not",
            "Take a third of the time after which the proxy cuts silent connections.",
        )
    return int(interval_s * 1e6)


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
