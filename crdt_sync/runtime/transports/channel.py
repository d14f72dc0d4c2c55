"""The port between sessions and transports: one open way to a partner, the same at both ends.

Rules of every channel; `tests/runtime/transports/test_channels.py` holds each transport to them:

1. Frames are bytes. They arrive whole, in order and once, or not at all; after one that is lost, nothing arrives.
2. `send` neither waits nor raises. What it buffers is bounded by its callers: they send what may be large only while
   there is room. On a channel that has ended it does nothing.
3. Frames wait in the transport, a few at most, until they are received: who does not receive slows the partner down.
   `receive` is called by one task at a time.
4. Each side sees the end once everything that was sent before it has been received: `receive` raises `ChannelClosed`,
   then and ever after, and so does `room`. A channel that fails ends at once at both sides, as far as they can know.
5. `close` ends the channel after what was sent, `abort` at once. `close` gives up a partner that takes nothing any
   more, so it always returns, within `CLOSE_TIMEOUT_S`. Both may be called repeatedly, and while others wait.
6. Who closes goes on receiving until `ChannelClosed`, if it has received before: what is under way must not stand
   in the way of the end.
7. A frame larger than `take_up_to` allows ends the channel, and is not kept in memory.
8. `arriving_bytes` rises while a frame comes in parts, and is 0 where it comes at once: a session lives by bytes that
   move.

All calls are made on the event loop on which the channel was opened.

Proof comes before the channel: whoever opens or accepts one exchanges nonces and proofs in the transport's own
greeting (`crdt_sync.protocol.proof`). The opening side returns `Opened`; the accepting side hands the engine an
`Authorise` that expects the opener's proof as the token of its hello.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from crdt_sync.runtime.address import Address

if TYPE_CHECKING:
    from crdt_sync.identity.claims import Claims
    from crdt_sync.identity.known import Known

CLOSE_TIMEOUT_S = 2.0  # for the other end to take what was sent and to agree that it is the end


class ChannelClosed(Exception):
    """The channel has ended; nothing can be received any more."""


class RulesBroken(Exception):
    """The partner sent something that no session can read, such as text. The channel is as it was."""


class Channel(Protocol):
    """See the module."""

    @property
    def peer(self) -> str | None:
        """Where the partner is, for a log; None where that is not known."""

    def take_up_to(self, frame_bytes: int) -> None:
        """From now on no frame of more bytes is taken."""

    def send(self, frame: bytes) -> None:
        """Send, or buffer until the partner takes it."""

    @property
    def unsent_bytes(self) -> int:
        """How much of what was sent is still buffered here."""

    @property
    def has_room(self) -> bool:
        """Whether the partner takes what is sent fast enough for more."""

    async def room(self) -> None:
        """Return when there is room. Raises `ChannelClosed`."""

    async def receive(self) -> bytes:
        """The next frame. Raises `ChannelClosed` and `RulesBroken`."""

    def taken(self) -> None:
        """The frame that was received last is not needed any more. To ask for the next one says so, too."""

    @property
    def arriving_bytes(self) -> int:
        """How many bytes have come of the frame that will be received next."""

    async def close(self) -> None:
        """End the channel after what was sent; returns when it has ended."""

    def abort(self) -> None:
        """End the channel now."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A channel that was opened to an address, what to say as token in the hello, and what the partner has proved.

    `replica` is the id of a device that proved that it knows the space's token; None of a relay, whose identity
    (a certificate, or the network) the transport checks by itself, or that proved the key of its space. `known` is how
    far the partner knows what the space said, where it told; `claims` what the token says of a device that proved its
    key.
    """

    channel: Channel
    token: str
    replica: bytes | None = None
    known: "Known | None" = None
    claims: "Claims | None" = None


Open = Callable[[Address], Awaitable[Opened]]
"""Opens a channel. Raises `Unreachable`, `VersionMismatch`, `Unauthorized`, `UsageError`."""
