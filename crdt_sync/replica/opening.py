"""How the store of a replica is opened: made new, alone, or through the program that owns it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from crdt_sync import limits
from crdt_sync.errors import StoreCorrupt, StoreExists, StoreInUse, UsageError
from crdt_sync.replica.owner import local
from crdt_sync.storage.lmdb import LmdbStore
from crdt_sync.storage.lmdb.lock import holder
from crdt_sync.storage.lmdb.mended_identity import mend_identity
from crdt_sync.storage.port import Store, Stores

if TYPE_CHECKING:
    from crdt_sync.replica.owner.asking import Owner

MEMBER_FILE = "member"  # see `crdt_sync.membership.folder`, which takes long to import
_LOOK_S = 0.01
_STORES: Stores = LmdbStore  # where the stores of devices are


class Closable(Protocol):
    """What is to be closed where its opening fails."""

    def close(self) -> None:
        """Release it."""


def wall_clock() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


@contextmanager
def closed_on_failure(opened: Closable) -> Iterator[None]:
    """Close it where the block raises."""
    try:
        yield
    except BaseException:
        opened.close()
        raise


def new_store(path: Path | str, name: str) -> Store:
    """A new store for a replica of this name, or one left by a creation that was cut short.

    Raises what `Replica.create` raises.
    """
    if not name.strip() or len(name) > limits.ACTOR_LENGTH_MAX or not name.isprintable():
        raise UsageError(f"{name!r} cannot name a replica", f"Use 1 to {limits.ACTOR_LENGTH_MAX} printable characters.")
    where = expanded(path)
    try:
        return _STORES.open(where, create=True)
    except StoreExists:
        store = _STORES.open(where)
        with closed_on_failure(store):
            if store.meta("name") is not None or store.count() or store.peers():
                raise
        return store


def open_alone(path: Path | str) -> Store:
    """The store in `path`, for this program alone. Raises what `Replica.open` raises, and `StoreInUse`."""
    obey(expanded(path))
    return _STORES.open(expanded(path))


def obey(path: Path) -> None:
    """Look at how long the device whose closed store is in `path` was without contact to its space.

    Where the space's policy asks for it, raises `DeviceLocked`, and the key that was unlocked is forgotten; or destroys
    the store and raises `DeviceWiped`.
    """
    if (path / MEMBER_FILE).exists():
        from crdt_sync.replica.silence import obeyed  # noqa: PLC0415 - most devices are in no such space

        obeyed(path, wall_clock())


def open_to_repair(path: Path | str) -> tuple[Store, tuple[str, ...]]:
    """`open_alone`, also where the format or the replica id is damaged; which of them were, and are mended now."""
    try:
        return open_alone(path), ()
    except StoreCorrupt:
        mended = mend_identity(expanded(path), wall_clock)
        if not mended:
            raise
        return open_alone(path), mended


def open_store(path: Path | str) -> "tuple[Store, Owner | None]":
    """The store in `path`, and the program that owns it where that is another one. Raises what `Replica.open` does.

    It waits a little for another process that has the store, and serves nobody, to begin to serve, or to end.
    """
    where = expanded(path)
    obey(where)
    found = _beside_owner(where) if local.is_named(where) else None  # locking, which is imported late, is tried after
    if found is not None:
        return found
    until = time.monotonic() + local.SERVES_S
    while True:
        try:
            return open_alone(where), None
        except StoreInUse:
            found = _beside_owner(where)
            if found is not None:
                return found
            if holder(where) == os.getpid() or time.monotonic() > until:
                raise
        time.sleep(_LOOK_S)


def _beside_owner(path: Path) -> "tuple[Store, Owner] | None":
    from crdt_sync.replica.owner.asking import find  # noqa: PLC0415 - most programs need none of it
    from crdt_sync.replica.owner.owned import OwnedStore  # noqa: PLC0415

    owner = find(path)
    if owner is None:
        return None
    with closed_on_failure(owner):
        return OwnedStore.of(owner), owner


def expanded(path: Path | str) -> Path:
    """The path, where `~` is the user's home."""
    return Path(path).expanduser()
