"""What an operator does to a store, with the relay stopped or through the running one.

Each function returns what it did as a plain dict, the same for people's tables and for `--json`.
"""

import asyncio
import os
import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from crdt_relay.control import NotRunning, ask
from crdt_sync.errors import (
    StoreCorrupt,
    StoreExists,
    StoreFailed,
    StoreFull,
    StoreInUse,
    StoreMissing,
    UnknownRecord,
    UsageError,
)
from crdt_sync.files import created, replaced, sync_folder
from crdt_sync.ids import is_record
from crdt_sync.limits import REPAIR_RECORDS
from crdt_sync.records import EMPTY_STATE_VECTOR
from crdt_sync.replica.rescue import is_complete, rescued
from crdt_sync.runtime.loadable import unloadable
from crdt_sync.storage.lmdb import LmdbStore, copies
from crdt_sync.storage.lmdb.directory import claimed
from crdt_sync.storage.port import Identity, Records, Store
from crdt_sync.storage.values import Batch, Change, Remains

_DATA_FILE = "data.mdb"
_ASIDE_MAX = 1000  # stores that are put aside within one second
_TOKEN_BYTES = 32


def status(data: Path) -> dict[str, Any]:
    """How the running relay is, or what a stopped one holds. Raises `StoreError`, `ControlFailed`."""
    try:
        return ask(data, "status")
    except NotRunning:
        with _opened(data) as store:
            return {
                "running": False,
                "data": str(data),
                "epoch": store.epoch.hex(),
                "records": store.count(),
                "head": store.head(),
                "store_bytes": store.size_bytes(),
                "quarantined": len(store.quarantined()),
                "copies": [str(each) for each in copies.found(data)],
            }


def repair(data: Path, named: Sequence[str] = ()) -> dict[str, Any]:
    """Save what is intact of damaged records, and begin a new epoch, so that devices bring back the rest.

    `named` records are set aside: those of which devices say that they are wrong, though their checksums are right. So
    is a record of which nothing is left, and one that no worker can load, which is in `unloadable` too. `incomplete`
    are records that lack edits until a device brings them.

    Raises `UnknownRecord` for one that is not held, `StoreInUse` while the relay runs, `StoreError`.
    """
    with _opened(data) as store:
        for record in named:
            if not _is_held(store, record):
                raise UnknownRecord(record)
        found = [each for each in asyncio.run(unloadable(store)) if each.record not in named]
        mended = mend(store, [*named, *(each.record for each in found)])
        return {"data": str(data), **asdict(mended), "unloadable": [each.as_dict() for each in found]}


@dataclass(frozen=True, slots=True)
class Mended:
    """What a repair found, and what became of the damaged records."""

    findings: int
    set_aside: list[str] = field(default_factory=list)
    salvaged: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)


def mend(store: Store, named: Sequence[str] = ()) -> Mended:
    """`repair` of an open store."""
    mended = Mended(len(store.verify().findings))
    if not mended.findings and not named:
        return mended
    damaged = [record for record in store.damaged() if is_record(record) and record not in named]
    # The new epoch first: were it missing, devices would believe that their records are still here.
    store.renew_epoch()
    for start in range(0, len(damaged), REPAIR_RECORDS):
        group = damaged[start : start + REPAIR_RECORDS]
        changes = [_salvaged(store, record, remains, mended) for record, remains in store.remains(group).items()]
        store.replace(group, Batch(changes=tuple(change for change in changes if change is not None)))
    store.replace(named, Batch())
    mended.set_aside.extend(sorted({*named, *store.rebuild()}))
    mended.set_aside.sort()
    return mended


def _salvaged(store: Identity, record: str, remains: Remains, mended: Mended) -> Change | None:
    """What is intact of a damaged record, as a whole; None where nothing is."""
    document, _ = rescued(record, remains)
    vector = document.state_vector()
    if not is_complete(document, remains):
        (mended.set_aside if vector == EMPTY_STATE_VECTOR else mended.incomplete).append(record)
    if vector == EMPTY_STATE_VECTOR:
        return None
    mended.salvaged.append(record)
    whole = document.diff()
    now, lineage = time.time_ns() // 1000, document.lineage_writer()
    return Change(record, (whole,), store.replica, "", now, vector, whole, renewed=True, lineage=lineage)


def _is_held(store: Records, record: str) -> bool:
    try:
        return store.record_head(record) is not None
    except StoreCorrupt:
        return True


def verify(data: Path) -> dict[str, Any]:
    """Check every checksum and the chain of the log, and load every record as a worker does.

    Raises `StoreInUse` while the relay runs, `StoreError`, `WorkerUnavailable`.
    """
    try:
        store = _opened(data)
    except StoreInUse as error:
        raise StoreInUse(
            error.message, "Stop the relay first, or make a backup, which needs no stop, and verify that with --data."
        ) from error
    with store:
        report = store.verify()
        found = asyncio.run(unloadable(store))
        return {
            "data": str(data),
            "checked": report.checked,
            "set_aside": report.set_aside,
            "findings": [
                {"place": f"{finding.database} {finding.key}", "record": finding.record, "problem": finding.problem}
                for finding in report.findings
            ],
            "unloadable": [each.as_dict() for each in found],
            "records": store.count(),
        }


def compact(data: Path) -> dict[str, Any]:
    """Drop log entries that snapshots cover; no device notices. Raises `StoreError`, `ControlFailed`."""
    try:
        return ask(data, "compact")
    except NotRunning:
        with _opened(data) as store:
            report = store.compact()
            return {"dropped": report.dropped, "dropped_bytes": report.dropped_bytes, "kept": report.kept}


def backup(data: Path, target: Path) -> dict[str, Any]:
    """Write a compact copy of the store into the new directory `target`, while the relay runs or not."""
    target = target.absolute()
    try:
        done = ask(data, "backup", to=str(target))
    except NotRunning:
        with _opened(data) as store:
            store.copy(target)
            done = {"records": store.count(), "bytes": (target / _DATA_FILE).stat().st_size}
    return {"backup": str(target), **done}


def restore(source: Path, data: Path, replace: bool) -> dict[str, Any]:
    """Make the backup `source` the store in `data`, under a new epoch; `source` is only read.

    A store that is in `data` already is kept beside it with `replace`, and refused without. The backup is checked
    before anything is moved. Raises `StoreExists`, `StoreInUse`, `StoreError`.
    """
    if not (source / _DATA_FILE).is_file():
        raise StoreMissing(f"there is no backup in {source}", "Name the directory that 'crdt-relay backup' made.")
    partial = data.with_name(data.name + ".restoring")
    try:
        with claimed(partial):
            occupied = LmdbStore.exists(data)
            if occupied and not replace:
                raise StoreExists(
                    f"there is a store in {data} already", "Keep it aside with --replace, or name another --data."
                )
            shutil.copyfile(source / _DATA_FILE, partial / _DATA_FILE)
            os.chmod(partial / _DATA_FILE, 0o600)
            with LmdbStore.open(partial) as store:
                findings = store.verify().findings
                if findings:
                    raise StoreFailed(
                        f"the backup in {source} is damaged: {findings[0].problem} ({len(findings)} findings)",
                        "Restore another backup; nothing was changed here.",
                    )
                store.renew_epoch()
                records, head = store.count(), store.head()
            kept = _put_aside(data) if occupied else None
            if kept is None and data.is_dir():
                data.rmdir()
            partial.rename(data)
            sync_folder(data.parent)
    except OSError as error:
        kind = StoreFull if error.errno == 28 else StoreFailed
        raise kind(f"cannot restore into {data}: {error.strerror}", "Free space, or check the permissions.") from error
    return {"data": str(data), "records": records, "head": head, "previous": str(kept) if kept else None}


def write_token(file: Path, force: bool) -> None:
    """Write a new strong token to `file`, readable by its owner alone. Raises `UsageError`."""
    try:
        with replaced(file) if force else created(file) as stream:
            stream.write(f"{new_token()}\n".encode())
    except FileExistsError:
        raise UsageError(f"{file} exists already", "Replace the token in it with --force.") from None
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}", "Name a file in a directory of yours.") from error


def new_token() -> str:
    """A token that nobody guesses: 43 characters."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def _opened(data: Path) -> LmdbStore:
    """The store of a stopped relay. Raises `StoreError`."""
    try:
        return LmdbStore.open(data)
    except StoreMissing as error:
        raise StoreMissing(
            error.message, "Name the relay's directory with --data; 'crdt-relay serve' makes it at its first start."
        ) from error


def _put_aside(data: Path) -> Path:
    with LmdbStore.open(data):
        pass  # nobody uses it
    name = f"{data.name}.before-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    for suffix in ("", *(f"-{number}" for number in range(2, _ASIDE_MAX))):
        aside = data.with_name(name + suffix)
        if not aside.exists():
            data.rename(aside)
            return aside
    raise StoreExists(f"{name} and those after it exist already", "Wait a second, and restore again.")
