"""How commands share a store that one process at a time can open.

`sync --watch` would keep every other command out, so it gives way: a command that finds the store in use puts a
note into its directory, the watcher sees it, closes the store, and opens it again when that command is done.

Rules:

1. Only the lock of the store decides who has it. Notes are requests: a lost or a stale one costs time, nothing else.
2. Who waits renews the note; one that has not been renewed for `_STALE_S` was left by a process that died.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import lock_descriptor

from crdt_sync.errors import InvalidSettings, StoreForbidden, StoreInUse
from crdt_sync.replica import Replica
from crdt_sync.storage.lmdb.directory import exists

_WATCHER_NOTE = "watched"
_REQUEST_NOTE = "wanted"
_LISTENING_LOCK = "listening"  # holds the port; stays behind, as a lock that is removed could be held twice
_PORT_AT = 1  # Windows locks the byte at 0, and lets nobody else read it
_RETRY_S = 0.05
_STALE_S = 1.0
_PATIENCE_S = 1.0  # for another short command to end
_WATCHER_PATIENCE_S = 10.0  # for a watcher to end its session


def open_replica(store: Path) -> Replica:
    """Open the replica, waiting a little for whoever has it. Raises `StoreError`, `StoreInUse` after the wait."""
    try:
        return Replica.open(store)
    except StoreInUse:
        pass
    until = time.monotonic() + (_WATCHER_PATIENCE_S if (store / _WATCHER_NOTE).exists() else _PATIENCE_S)
    try:
        while True:
            with suppress(OSError):
                (store / _REQUEST_NOTE).touch()
            time.sleep(_RETRY_S)
            try:
                return Replica.open(store)
            except StoreInUse:
                if time.monotonic() > until:
                    raise
    finally:
        _remove(store / _REQUEST_NOTE)


@contextmanager
def watching(store: Path) -> Iterator[None]:
    """While the block runs, others may expect the store to be given to them."""
    with suppress(OSError):
        (store / _WATCHER_NOTE).touch()
    try:
        yield
    finally:
        _remove(store / _WATCHER_NOTE)


@contextmanager
def listening_alone(store: Path, port: int) -> Iterator[None]:
    """While the block runs, no other process listens for this store: two would take turns at it, and at the port.

    Raises `InvalidSettings` where one does, `StoreForbidden`.
    """
    path = store / _LISTENING_LOCK
    if not exists(store):  # opening it says so; nothing is to be written into another directory
        yield
        return
    try:
        file = path.open("a+", encoding="utf-8", errors="replace")
    except OSError as error:
        raise StoreForbidden(
            f"{path} cannot be written: {error.strerror}", "Run as the user who owns the store, or give access."
        ) from error
    with file:
        if not lock_descriptor(file.fileno(), blocking=False):
            file.seek(_PORT_AT)
            there = file.read(5).strip()
            raise InvalidSettings(
                f"another command listens for this store already, with --port {there if there.isdecimal() else '?'}",
                "Devices can call that one; to listen elsewhere, end it and start again with --port.",
            )
        file.truncate(0)
        file.write(f"\n{port}\n")
        file.flush()
        yield


def is_wanted(store: Path) -> bool:
    """Whether another command waits for the store."""
    with suppress(OSError):
        return time.time() - (store / _REQUEST_NOTE).stat().st_mtime < _STALE_S
    return False


def open_when_free(store: Path) -> Replica | None:
    """The replica, or None while another command has it or waits for it."""
    if is_wanted(store):
        return None
    try:
        return Replica.open(store)
    except StoreInUse:
        return None


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
