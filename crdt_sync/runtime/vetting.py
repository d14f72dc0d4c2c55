"""Foreign bytes examined in the killable worker, for plain code: a pool of workers behind a thread of its own.

with vetting(replica) as vetted:
    results = vetted.vet([Item(record, (update,))], stamp_max)
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from crdt_sync.replica import Event, Replica
from crdt_sync.runtime.worker.pool import IntegrationPool
from crdt_sync.runtime.worker.values import Item, Result

_Answer = TypeVar("_Answer")


class Vetting:
    """Verdicts on updates against what `load` returns of their records, see `IntegrationPool`.

    Nothing is stored here: what was accepted is to be committed before the next call that has updates of its record.
    Calls may come from any thread; they are served one after the other. Each raises `WorkerUnavailable`.
    """

    def __init__(self, load: Callable[[str], Sequence[bytes]]) -> None:
        self._pool = IntegrationPool(load, keep_spare=False)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="crdt-sync vetting", daemon=True)

    def vet(self, items: Sequence[Item], stamp_max: int | None) -> list[Result]:
        """One result for each item, whatever its bytes; entries stamped later than `stamp_max` µs are refused."""
        return self._answer(self._pool.integrate(items, stamp_max))

    def trim(self, items: Sequence[tuple[str, bytes, bytes]]) -> list[bytes | None]:
        """For each (record, update, state vector) the update without what the state vector covers."""
        return self._answer(self._pool.trim(items))

    def forget(self, records: Sequence[str]) -> None:
        """These records were changed by others: they are loaded again before they are used."""
        with suppress(RuntimeError):  # the loop was closed a moment ago, by who vetted: others still tell of commits
            for record in records:
                self._loop.call_soon_threadsafe(self._pool.forget, record)

    def start(self) -> None:
        """Start thread and workers; `close` is due whether this raises or not."""
        self._thread.start()
        self._answer(self._pool.start())

    def close(self) -> None:
        """End workers and thread; a call under way in another thread fails with `WorkerUnavailable`."""
        self._answer(self._pool.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _answer(self, asked: Coroutine[Any, Any, _Answer]) -> _Answer:
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()


@contextmanager
def vetting(replica: Replica) -> Iterator[Vetting]:
    """Vet updates against what `replica` holds, while the block runs."""
    vetted = Vetting(lambda record: replica.store.load(record).updates)

    def changed(events: Sequence[Event]) -> None:
        vetted.forget([event.record for event in events if event.kind != "stored"])

    try:
        vetted.start()
        unsubscribe = replica.subscribe(changed)
        try:
            yield vetted
        finally:
            unsubscribe()
    finally:
        vetted.close()
