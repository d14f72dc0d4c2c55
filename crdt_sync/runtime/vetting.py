"""Foreign bytes examined in the killable worker, for plain code: a pool of workers behind a thread of its own.

with vetting(replica) as vetted:
    results = vetted.vet([Item(record, (update,))], stamp_max)
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

from crdt_sync.policy.in_force import InForce
from crdt_sync.replica import Event, Replica
from crdt_sync.runtime.worker.pool import IntegrationPool
from crdt_sync.runtime.worker.ruling import standing_at
from crdt_sync.runtime.worker.values import Item, Result

_Answer = TypeVar("_Answer")


class Vetting:
    """Verdicts on updates against what `load` returns of their records, see `IntegrationPool`.

    Nothing is stored here: what was accepted is to be committed before the next call that has updates of its record.
    Calls may come from any thread; they are served one after the other. Each raises `WorkerUnavailable`. With a policy,
    updates are to be allowed to who brings them: unless that is proved, to the user whose device this is.
    """

    def __init__(
        self,
        load: Callable[[str], Sequence[bytes]],
        seq: Callable[[str], int] = lambda _: 0,
        in_force: Callable[[], InForce | None] = lambda: None,
        user: str = "",
    ) -> None:
        self._pool = IntegrationPool(load, keep_spare=False, seq=seq)
        self._in_force = in_force
        self._user = user
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="crdt-sync vetting", daemon=True)

    def vet(self, items: Sequence[Item], stamp_max: int | None, user: str | None = None) -> list[Result]:
        """One result for each item, whatever its bytes; entries stamped later than `stamp_max` µs are refused. `user`
        is who brings them, where that is proved.
        """
        in_force = self._in_force()
        if in_force is not None:
            brings = self._user if user is None else user
            items = [replace(item, users=(brings,) * len(item.updates)) for item in items]
        return self._answer(self._pool.integrate(items, stamp_max, in_force))

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
    context = replica.context
    vetted = Vetting(
        lambda record: replica.store.load(record).updates,
        lambda record: standing_at(replica.store, record),
        context.in_force,
        context.author,
    )

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
