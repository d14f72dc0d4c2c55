"""How commands that listen share a store and a port: one at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from crdt_sync.errors import InvalidSettings
from crdt_sync.storage.file_failures import failed
from crdt_sync.storage.lmdb.directory import exists

_LISTENING_LOCK = "listening"  # holds the port; stays behind, as a lock that is removed could be held twice
_PORT_AT = 1  # Windows locks the byte at 0, and lets nobody else read it


@contextmanager
def listening_alone(store: Path, port: int) -> Iterator[None]:
    """While the block runs, no other process listens for this store: two would take turns at it, and at the port.

    Raises `InvalidSettings` where one does, `StoreError`.
    """
    from filelock import lock_descriptor  # noqa: PLC0415 - most commands do not listen

    path = store / _LISTENING_LOCK
    if not exists(store):  # opening it says so; nothing is to be written into another directory
        yield
        return
    try:
        file = path.open("a+", encoding="utf-8", errors="replace")
    except OSError as error:
        raise failed(error, f"{path} cannot be written") from error
    with file:
        if not lock_descriptor(file.fileno(), blocking=False):
            file.seek(_PORT_AT)
            there = file.read(5).strip()
            raise InvalidSettings(
                f"another command listens for this store already, with --port {there if there.isdecimal() else '?'}",
                "Devices can call that one; to listen elsewhere, end it and start again with --port.",
            )
        with suppress(OSError):  # the port is a courtesy: on a full disk devices can still call
            file.truncate(0)
            os.write(file.fileno(), f"\n{port}\n".encode())
        yield
