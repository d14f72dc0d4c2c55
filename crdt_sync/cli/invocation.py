"""One run of the command: which store, how to print, and the replica that the store holds."""

import os
from dataclasses import dataclass
from pathlib import Path

import typer

from crdt_sync.cli.output import Output
from crdt_sync.cli.sharing import open_replica
from crdt_sync.errors import StoreCorrupt, StoreMissing
from crdt_sync.replica import Replica

STORE_VARIABLE = "CRDT_SYNC_STORE"


@dataclass(frozen=True, slots=True)
class Invocation:
    """What the global options said."""

    store: Path
    output: Output

    def open(self) -> Replica:
        """The replica, to be used in a `with`; waits a little where another command has it. Raises `StoreError`."""
        try:
            return open_replica(self.store)
        except StoreMissing as error:
            raise StoreMissing(
                error.message, "Make one with 'crdt-sync init', or name another directory with --store."
            ) from error

    def open_to_repair(self) -> Replica:
        """`open`, also where settings of the replica are damaged; to be followed by `Replica.repair`."""
        try:
            return self.open()
        except StoreCorrupt:
            return Replica.open_to_repair(self.store)


def invocation(context: typer.Context) -> Invocation:
    """The invocation that a command belongs to."""
    found = context.obj
    assert isinstance(found, Invocation)
    return found


def default_store() -> Path:
    """Where the store is unless somebody says otherwise: in the user's data directory."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "crdt-sync"
