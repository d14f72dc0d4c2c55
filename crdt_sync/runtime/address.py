"""Where a partner is, by itself: to know it takes no network code."""

from dataclasses import dataclass
from pathlib import Path

from crdt_sync.errors import UsageError


@dataclass(frozen=True, slots=True)
class Address:
    """Where a partner is and how we prove ourselves. `authorities` is a PEM file to trust for `wss:` links.

    `direct` is for another device: it must prove that it knows the token too, whatever its certificate.
    """

    url: str
    token: str = ""
    authorities: Path | None = None
    direct: bool = False

    def __post_init__(self) -> None:
        if not self.url.startswith(("ws://", "wss://")):
            raise UsageError(
                f"{self.url!r} is not the address of a {self._kind}", "It looks like ws://host:8765 or wss://host."
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
