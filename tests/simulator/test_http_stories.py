"""Frames over HTTP while connections break and requests come twice: each arrives once and in order."""

from collections.abc import Callable
from typing import Any

import pytest

from crdt_bench.simulator.byte_streams import is_part
from crdt_bench.simulator.failure import Failure
from crdt_bench.simulator.http_stories import tell
from crdt_bench.simulator.mutants_http import believes_it_was_taken, never_goes_back, takes_twice
from crdt_sync.runtime.transports.http import dialed, wire
from crdt_sync.runtime.transports.http.accepted import AcceptedChannel
from crdt_sync.runtime.transports.http.dialed import DialedChannel
from crdt_sync.runtime.transports.http.streams import Incoming, Outgoing

SEEDS = 80
Patch = tuple[Any, str, Callable[[Any], Any]]


def test_each_frame_arrives_once_and_in_order() -> None:
    stories = [tell(seed) for seed in range(SEEDS)]
    assert sum(story.faults > 3 for story in stories) > SEEDS // 3
    assert sum(len(side.received) for story in stories for side in story.sides.values()) > 10 * SEEDS


def test_the_same_seed_tells_the_same_story() -> None:
    assert [tell(seed) for seed in (3, 4)] == [tell(seed) for seed in (3, 4)]


def test_what_may_come_twice_is_a_part_of_a_stream() -> None:
    part = b"POST /?crdt-sync=%s&from=7 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc" % (b"0" * 32)
    assert [is_part(said) for said in (part, part[:-1], part + b"d")] == [True, False, False]
    assert not is_part(part.replace(b"&from=7", b"")), "the end of a channel comes once"


def keeps_nothing(take: Any) -> Any:
    def mutated(self: Outgoing, most: int) -> bytes:
        part: bytes = take(self, most)
        self.acknowledge(self.sent)
        return part

    return mutated


def gives_up_at_once(_: Any) -> Any:
    async def again(self: dialed.Trying) -> None:
        raise dialed.Lost

    return again


def confirms_what_was_sent(_: Any) -> Any:
    def confirm(self: AcceptedChannel, offset: int) -> None:
        self.outgoing.acknowledge(self.outgoing.sent)

    return confirm


def asks_from_the_beginning(of: Any) -> Any:
    def mutated(self: wire.Target, url: str) -> str:
        target: str = of(self, url)
        return target.replace(f"from={self.offset}", "from=0") if self.most else target

    return mutated


PLANTED: dict[str, Patch] = {
    "a part that comes twice counts twice": (Incoming, "feed", takes_twice),
    "what was lost is not sent again": (Outgoing, "resume", never_goes_back),
    "what was handed out is forgotten": (Outgoing, "take", keeps_nothing),
    "all of a part counts as taken": (DialedChannel, "_post", believes_it_was_taken),
    "one lost request ends the channel": (dialed.Trying, "again", gives_up_at_once),
    "what was sent counts as confirmed": (AcceptedChannel, "confirm", confirms_what_was_sent),
    "an answer is asked for from the beginning": (wire.Target, "of", asks_from_the_beginning),
}


def noticed(seed: int) -> bool:
    try:
        tell(seed)
    except Failure:
        return True
    return False


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_noticed(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, mutate = PLANTED[bug]
    monkeypatch.setattr(where, name, mutate(where.__dict__[name]))
    assert any(noticed(seed) for seed in range(SEEDS))
