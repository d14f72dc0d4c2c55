"""Mutants of channels over HTTP, seen by the sessions that go over them."""

from crdt_bench.simulator.mutants import Method, Mutant
from crdt_sync.runtime.transports.http.dialed import DialedChannel
from crdt_sync.runtime.transports.http.streams import Incoming, Outgoing

_CUTS = {"cut": 0.4}


def takes_twice(_: Method) -> Method:
    """Whatever its offset, a part is taken as new."""

    def feed(self: Incoming, part: bytes, offset: int) -> None:
        self._buffer += part
        self.came = max(self.came, offset) + len(part)
        self._next_length()

    return feed


def never_goes_back(_: Method) -> Method:
    """What was handed out is not handed out again."""

    def resume(self: Outgoing, offset: int) -> None:
        self.acknowledge(offset)

    return resume


def believes_it_was_taken(post: Method) -> Method:
    """A part whose answer came was taken, whatever the answer says."""

    async def mutated(self: DialedChannel, offset: int, part: bytes) -> tuple[int, int]:
        taken, sent = await post(self, offset, part)
        return offset + len(part), max(sent, taken)

    return mutated


HTTP_MUTANTS = (
    Mutant(
        "a part that comes twice over HTTP counts twice",
        "what a proxy says again, or a device that got no answer, is taken once",
        ((Incoming, "feed", takes_twice),),
        _CUTS,
        http=1.0,
    ),
    Mutant(
        "what was lost over HTTP is not sent again",
        "a session outlives the connections that it goes over",
        ((Outgoing, "resume", never_goes_back),),
        _CUTS,
        http=1.0,
        seeds_from=2,
    ),
)
