"""Replicas in memory that meet by bundle only, and a vetting without processes."""

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from crdt_sync import Replica, bundled_schema
from crdt_sync.errors import UpdateRefused
from crdt_sync.exchange.bundle import Applied, Created, apply, create
from crdt_sync.records import Integrator, scan
from crdt_sync.records.updates import bytes_diff
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.values import Batch
from crdt_sync.verdicts import Verdict
from tests.replica.wire import VirtualTime

SCHEMA = bundled_schema("customers")


class InProcess:
    """The gate, without a process around it: for honest updates."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def judge(
        self, updates: Sequence[tuple[str, Sequence[bytes]]], stamp_max: int | None, user: str | None = None
    ) -> Sequence[Sequence[Verdict]]:
        verdicts = []
        for record, group in updates:
            stored = self._replica.store.load(record).updates
            integrator = Integrator(documents_max=1)
            done = integrator.integrate(record, stored, group, stamp_max, checked=True, snapshot=False)
            verdicts.append(done.verdicts)
        return verdicts

    def trim(self, updates: Sequence[tuple[str, bytes, bytes]]) -> Sequence[bytes | None]:
        trimmed: list[bytes | None] = []
        for _, update, state_vector in updates:
            try:
                scan(update)
                trimmed.append(bytes_diff.diff((update,), state_vector))
            except UpdateRefused:
                trimmed.append(None)
        return trimmed


class Device:
    """A replica over a store in memory and a folder to write bundles into."""

    def __init__(self, name: str, folder: Path, time: VirtualTime, seed: int, store: MemoryStore | None = None) -> None:
        self.name = name
        self._folder = folder
        self._time = time
        self._seed = seed
        self._rng = random.Random(seed)
        self._written = 0
        self.store = store or MemoryStore(rng=self._rng)
        self.store.commit([Batch(meta={"name": name.encode()})])
        self.open(self.store)

    def open(self, store: MemoryStore) -> None:
        """Go on with this store: after a restart, or from a copy."""
        self.store = store
        self.replica = Replica.over(store, self._time.clock(), self._rng)
        self.replica.add_schema(SCHEMA)

    def write(self, partner: str | None = None, token: str | None = None) -> Path:
        """A bundle in a new file."""
        self._written += 1
        path = self._folder / f"{self.name}-{self._seed}-{self._written}.bundle"
        self.made: Created = create(self.replica, path, partner=partner, token=token)
        return path

    def read(self, path: Path, token: str | None = None) -> Applied:
        """Apply a bundle."""
        return apply(self.replica, path, InProcess(self.replica), token=token)

    def new(self, **fields: object) -> str:
        """A new customer."""
        with self.replica.edit("customers") as customer:
            for field, value in fields.items():
                customer[field] = value
        return customer.record

    def state(self) -> object:
        """Everything that devices have to agree on."""
        receipt = self.replica.receipt()
        views = [(view.record, view.raw, view.conflicts, view.deleted) for view in self.replica.list(deleted=True)]
        return receipt.count, receipt.root, views, self.replica.conflicts()


MakeDevice = Callable[..., Device]


@pytest.fixture(autouse=True)
def _no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody pulls the plug here, and thousands of syncs take minutes."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def time() -> VirtualTime:
    return VirtualTime()


@pytest.fixture
def device(tmp_path: Path, time: VirtualTime) -> MakeDevice:
    """device("anna")"""
    seeds = iter(range(1, 1000))
    return lambda name: Device(name, tmp_path, time, next(seeds))
