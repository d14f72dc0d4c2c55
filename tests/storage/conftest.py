"""Both stores, and helpers to make changes."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crdt_sync.storage import Change, LmdbStore, MemoryStore, Store

ORIGIN = b"o" * 16
Reopen = Callable[[], Store]


def make_change(
    record: str,
    *updates: bytes,
    snapshot: bytes | None = None,
    view: bytes | None = None,
    digest: bytes | None = None,
    state_vector: bytes = b"\x01\x07\x05",
) -> Change:
    return Change(record, updates, ORIGIN, "anna", 1_700_000_000_000_000, state_vector, snapshot, view, digest)


@pytest.fixture
def change() -> Callable[..., Change]:
    return make_change


class Opened:
    """One store under test, which can be opened again as after a restart."""

    def __init__(self, kind: str, path: Path) -> None:
        self.kind = kind
        self.path = path
        self.store: Store = (
            MemoryStore(rng=random.Random(1))
            if kind == "memory"
            else LmdbStore.open(path, create=True, rng=random.Random(1), map_bytes=1 << 26)
        )

    def reopen(self) -> Store:
        if isinstance(self.store, MemoryStore):
            self.store, before = self.store.clone(), self.store
            before.close()
        else:
            self.store.close()
            self.store = LmdbStore.open(self.path, map_bytes=1 << 26)
        return self.store


@pytest.fixture(params=["memory", "lmdb"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    kept = Opened(request.param, tmp_path / "store")
    yield kept
    kept.store.close()


@pytest.fixture
def store(opened: Opened) -> Store:
    return opened.store


@pytest.fixture
def lmdb_path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def lmdb_store(lmdb_path: Path) -> Iterator[LmdbStore]:
    store = LmdbStore.open(lmdb_path, create=True, map_bytes=1 << 26)
    yield store
    store.close()
