"""The view of content digests that a host keeps: followed by the feed, made anew with age, computed once for all."""

import asyncio
from collections.abc import Sequence

from crdt_sync import limits
from crdt_sync.runtime.hosting.audits import UNREADABLE_THERE, Contents
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch, Change

DIGEST = b"d" * 16


class Host:
    """A store, a clock that a test sets, and what was computed."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.now = 0
        self.computed: list[str] = []
        self.damaged: set[str] = set()
        self.contents = Contents(self.store, self.compute, lambda: self.now)

    async def compute(self, records: Sequence[str]) -> Sequence[bytes | None]:
        await asyncio.sleep(0)
        self.computed += records
        return [None if record in self.damaged else DIGEST for record in records]

    def write(self, *records: str) -> None:
        changes = tuple(Change(record, (b"\0\0",), b"o" * 16, "", 0, b"\0", b"\0\0") for record in records)
        self.store.commit([Batch(changes=changes)])

    async def held(self) -> list[tuple[str, bytes]]:
        return (await self.contents.pin()).items("", None, 99)


def test_only_what_changed_is_computed_again() -> None:
    async def scenario() -> None:
        host = Host()
        host.write("c/a", "c/b", "c/c")
        assert [record for record, _ in await host.held()] == ["c/a", "c/b", "c/c"]
        host.computed.clear()
        await host.held()
        assert host.computed == []
        host.write("c/b", "c/d")
        assert [record for record, _ in await host.held()] == ["c/a", "c/b", "c/c", "c/d"]
        assert host.computed == ["c/b", "c/d"]

    asyncio.run(scenario())


def test_with_age_everything_is_read_again() -> None:
    async def scenario() -> None:
        host = Host()
        host.write("c/a", "c/b")
        await host.held()
        host.now = limits.CONTENT_DIGESTS_AGE_US_MAX
        await host.held()
        assert len(host.computed) == 2
        host.now += 1
        await host.held()
        assert len(host.computed) == 4

    asyncio.run(scenario())


def test_a_record_that_was_set_aside_leaves_the_view() -> None:
    async def scenario() -> None:
        host = Host()
        host.write("c/a", "c/b")
        await host.held()
        host.store.quarantine("c/a")
        assert [record for record, _ in await host.held()] == ["c/b"]

    asyncio.run(scenario())


def test_a_record_that_cannot_be_read_seems_equal_to_nothing() -> None:
    async def scenario() -> None:
        host = Host()
        host.damaged = {"c/b"}
        host.write("c/a", "c/b")
        assert await host.held() == [("c/a", DIGEST), ("c/b", UNREADABLE_THERE)]

    asyncio.run(scenario())


def test_many_who_ask_at_once_cost_one_computation() -> None:
    async def scenario() -> None:
        host = Host()
        host.write(*(f"c/{number}" for number in range(1000)))
        await asyncio.gather(*(host.contents.pin() for _ in range(20)))
        assert len(host.computed) == 1000

    asyncio.run(scenario())
