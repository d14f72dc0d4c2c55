"""What waits stays bounded, however slow the disk or the other side: nobody is sent more than it can take up.

And nothing of it is dropped."""

from collections.abc import Iterable

from crdt_bench.simulator.failure import Failure
from crdt_sync import limits
from crdt_sync.protocol.effects import Effect, Integrate
from crdt_sync.protocol.hub import Hub
from crdt_sync.runtime.transports.http.streams import LENGTH_BYTES, Incoming

_OTHER_FRAMES_MAX = 64  # wants, confirmations, pings: none of which a session may pile up


def check_device(name: str, work: Iterable[Effect]) -> None:
    """`work` is what a device has received and not stored yet."""
    sizes = [len(entry.update) for effect in work if isinstance(effect, Integrate) for entry in effect.entries]
    allowed = limits.UNCONFIRMED_BYTES_MAX + limits.FRAME_BYTES_TARGET + max(sizes, default=0)
    if sum(sizes) > allowed:
        raise Failure("memory", f"{name} holds {sum(sizes)} bytes that it has not stored, of at most {allowed}")


def frames_in(coming: Incoming) -> int:
    """How many whole frames have come over HTTP and wait to be received."""
    buffer, at, frames = coming._buffer, 0, 0
    while at + LENGTH_BYTES <= len(buffer):
        at += LENGTH_BYTES + int.from_bytes(buffer[at : at + LENGTH_BYTES], "big")
        frames += at <= len(buffer)
    return frames


def check_decided(name: str, hub: Hub) -> None:
    """A host with nothing to do has decided on everything that it took, also of sessions that had ended by then."""
    if hub.idle and hub.taken != hub.verdicts.total():
        raise Failure("dropped", f"{name} took {hub.taken} updates, and decided on {hub.verdicts.total()}")
    if hub.idle and hub.held_bytes:
        raise Failure("memory", f"{name} has nothing to do, and counts {hub.held_bytes} bytes that it holds")


def check_host(name: str, held: int) -> None:
    """So many frames of one session are `held`: the host does not read them yet."""
    allowed = limits.PUSHES_IN_FLIGHT_MAX + _OTHER_FRAMES_MAX
    if held > allowed:
        raise Failure("memory", f"{held} frames of {name} wait at the host, of at most {allowed}")
