"""A writer of honest updates, a store in memory, and a pool that is closed at the end."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pycrdt
import pytest

from crdt_sync.runtime.worker import process
from crdt_sync.runtime.worker.pool import IntegrationPool
from crdt_sync.runtime.worker.values import Item, Result

ROGUE = Path(__file__).with_name("rogue_worker.py")


class Writer:
    """Edits one record as a device would and hands out the updates."""

    def __init__(self, identity: int = 1) -> None:
        self._document: pycrdt.Doc[Any] = pycrdt.Doc(client_id=identity)
        self._stamp = 1_000_000
        self.actor = "anna"

    def write(self, value: str, field: str = "c.phone", stamp: int | None = None) -> bytes:
        """The update of one edit."""
        self._stamp += 1
        before = self._document.get_state()
        entries = self._document.get(field, type=pycrdt.Array)
        with self._document.transaction():
            if len(entries):
                del entries[0 : len(entries)]
            entries.append([value, self._stamp if stamp is None else stamp, self.actor])
        return self._document.get_update(before)


class Shelf:
    """What is stored: `load` for the pool, and the bookkeeping of a caller."""

    def __init__(self) -> None:
        self.updates: dict[str, list[bytes]] = {}
        self.loads: list[str] = []

    def load(self, record: str) -> list[bytes]:
        self.loads.append(record)
        return list(self.updates.get(record, []))

    def keep(self, items: list[Item], results: list[Result]) -> None:
        """Store what was accepted and new."""
        for item, result in zip(items, results, strict=True):
            for update, verdict in zip(item.updates, result.verdicts, strict=True):
                if verdict.code == "accepted" and verdict.new:
                    self.updates.setdefault(item.record, []).append(update)


Scenario = Callable[[IntegrationPool, Shelf], Awaitable[None]]
RunScenario = Callable[..., None]


@pytest.fixture
def run_scenario() -> RunScenario:
    """Run an asynchronous scenario with a started pool; most need no spare, which takes as long to start."""

    def run(scenario: Scenario, *, keep_spare: bool = False) -> None:
        async def whole() -> None:
            shelf = Shelf()
            pool = IntegrationPool(shelf.load, keep_spare=keep_spare)
            await pool.start()
            try:
                await scenario(pool, shelf)
            finally:
                await pool.close()

        asyncio.run(whole())

    return run


@pytest.fixture
def rogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that obey the orders in `rogue_worker.py`."""
    monkeypatch.setattr(process, "worker_command", lambda: [sys.executable, str(ROGUE)])


def codes(results: list[Result]) -> list[list[str]]:
    """The verdict codes of each result."""
    return [[verdict.code for verdict in result.verdicts] for result in results]
