"""Both stores, and helpers to make changes."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crdt_sync.storage import Change, LmdbStore, MemoryStores, Store, Stores
from crdt_sync.storage.encryption import key_box

ORIGIN = b"o" * 16
KEY = bytes(range(32))  # of an encrypted store
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


class DirectoryStores:
    """The `Stores` of a device, with a small map."""

    def open(self, path: Path, *, create: bool = False) -> LmdbStore:
        return LmdbStore.open(path, create=create, rng=random.Random(1), map_bytes=1 << 26)

    def exists(self, path: Path) -> bool:
        return LmdbStore.exists(path)


class EncryptedStores(DirectoryStores):
    """The `Stores` of a device whose stores are encrypted, by a key file."""

    def open(self, path: Path, *, create: bool = False) -> LmdbStore:
        return encrypted_store(path) if create else super().open(path)


def encrypted_store(path: Path) -> LmdbStore:
    """A new store that is encrypted, by a key file beside its directory."""
    file = path.parent / "wrapping-key"
    if not file.exists():
        key_box.make_key_file(file)
    if LmdbStore.exists(path):
        return LmdbStore.open(path, create=True)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    key_box.write(path, key_box.by_key_file(KEY, file))
    return LmdbStore.open(path, create=True, rng=random.Random(1), map_bytes=1 << 26, key=KEY)


class Opened:
    """One store under test, which can be opened again as after a restart."""

    def __init__(self, stores: Stores, path: Path) -> None:
        self.stores = stores
        self.path = path
        self.store = stores.open(path, create=True)

    def reopen(self) -> Store:
        self.store.close()
        self.store = self.stores.open(self.path)
        return self.store


@pytest.fixture(params=["memory", "lmdb", "encrypted"])
def stores(request: pytest.FixtureRequest) -> Stores:
    if request.param == "memory":
        return MemoryStores(random.Random(1))
    return EncryptedStores() if request.param == "encrypted" else DirectoryStores()


@pytest.fixture
def opened(stores: Stores, tmp_path: Path) -> Iterator[Opened]:
    kept = Opened(stores, tmp_path / "store")
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
