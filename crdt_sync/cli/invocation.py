"""One run of the command: which store, how to print, and the replica that the store holds."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from crdt_sync.cli.output import Output
from crdt_sync.errors import StoreCorrupt, StoreMissing
from crdt_sync.ids import is_reserved, whole_record
from crdt_sync.replica import Event, Replica
from crdt_sync.replica.opening import MEMBER_FILE, obey
from crdt_sync.storage.lmdb.directory import prepare

STORE_VARIABLE = "CRDT_SYNC_STORE"


@dataclass(slots=True)
class StoredEdits:
    """The records that this run has edited, and whose edits are stored: to run it again would make them twice."""

    records: dict[str, None] = field(default_factory=dict)

    def note(self, events: Sequence[Event]) -> None:
        """To be called after each commit."""
        edited = (event.record for event in events if event.kind == "edited")
        self.records.update(dict.fromkeys(whole_record(record) for record in edited if not is_reserved(record)))

    def advice(self) -> str:
        """What not to do; empty where nothing was edited."""
        if not self.records:
            return ""
        first, *others = self.records
        if others:
            return f"The edits of {len(self.records)} records are stored; do not repeat them. See 'crdt-sync list'."
        return f"The edit is stored; do not repeat it. See 'crdt-sync get {first}'."


_MAKE_ONE = "Make one with 'crdt-sync init', or name another directory with --store."


@dataclass(frozen=True, slots=True)
class Invocation:
    """What the global options said, and what became of the run so far."""

    store: Path
    output: Output
    stored: StoredEdits

    def open(self) -> Replica:
        """The replica, to be used in a `with`; waits a little where another command has it. Raises `StoreError`."""
        self._hear_before_the_end()
        try:
            replica = Replica.open(self.store, share=False)
        except StoreMissing as error:
            if (self.store / MEMBER_FILE).exists():
                raise StoreMissing(
                    f"there is no store in {self.store}: this device was wiped, as its space ordered, or is joining",
                    "If it was wiped, 'crdt-sync sync' tells the relay; else open the invite: 'crdt-sync join LINK'.",
                ) from error
            raise StoreMissing(error.message, _MAKE_ONE) from error
        replica.subscribe(self.stored.note)
        return replica

    def must_exist(self) -> None:
        """For commands that do something else before they open it. Raises `StoreMissing`, or why there can be none."""
        try:
            prepare(self.store, create=False)
        except StoreMissing as error:
            raise StoreMissing(error.message, _MAKE_ONE) from error
        self._hear_before_the_end()
        obey(self.store)

    def _hear_before_the_end(self) -> None:
        """A device that is to destroy what it holds asks its relay first: its clock may be wrong."""
        if (self.store / MEMBER_FILE).exists():
            from crdt_sync.cli.silence import regain  # noqa: PLC0415 - most devices are in no such space

            regain(self.store, over_only=True)

    def open_to_repair(self) -> Replica:
        """`open`, also where settings of the replica are damaged; to be followed by `Replica.repair`."""
        try:
            return self.open()
        except StoreCorrupt:
            replica = Replica.open_to_repair(self.store)
            replica.subscribe(self.stored.note)
            return replica


def invocation(context: click.Context) -> Invocation:
    """The invocation that a command belongs to."""
    found = context.obj
    assert isinstance(found, Invocation)
    return found


def default_store() -> Path:
    """Where the store is unless somebody says otherwise: in the user's data directory."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "crdt-sync"
