"""Whoever asks the pool several times at once has the answers in the order of the questions."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from crdt_bench.simulator.virtual_loop import VirtualLoop
from crdt_bench.simulator.workers import LoopWorker
from crdt_sync.errors import StoreCorrupt
from crdt_sync.runtime.worker.pool import IntegrationPool
from crdt_sync.runtime.worker.values import Item

_EMPTY = b"\x00\x00"


def load(record: str) -> Sequence[bytes]:
    if record == "damaged":
        raise StoreCorrupt("a stored value fails its checksum", record=record)
    return ()


async def start() -> LoopWorker:
    return LoopWorker(random.Random(1), 10, 300, lambda: False)


@pytest.mark.parametrize(
    "records", [("a", "damaged"), ("a", "damaged", "b"), ("damaged", "a", "damaged", "damaged")], ids=str
)
def test_a_call_that_asks_the_worker_nothing_does_not_overtake_the_one_before(records: Sequence[str]) -> None:
    """A host gives each answer to the batch that has waited longest: another order mixes up the verdicts of batches."""
    answered: list[int] = []

    async def ask(pool: IntegrationPool, number: int, record: str) -> str:
        (result,) = await pool.integrate([Item(record, (_EMPTY,))], None)
        answered.append(number)
        return result.verdicts[0].code

    async def story() -> list[str]:
        pool = IntegrationPool(load, keep_spare=False, start_worker=start)
        asked = [ask(pool, number, record) for number, record in enumerate(records)]
        codes = await asyncio.gather(*asked)
        await pool.close()
        return codes

    with VirtualLoop() as loop:
        codes = loop.run_until_complete(story())
    assert answered == sorted(answered)
    assert codes == ["retry" if record == "damaged" else "accepted" for record in records]
