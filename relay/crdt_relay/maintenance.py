"""What an operator does to a store, with the relay stopped or through the running one.

Each function returns what it did as a plain dict, the same for people's tables and for `--json`.
"""

import asyncio
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from crdt_relay.auditing import note, operator
from crdt_relay.control import NotRunning, ask
from crdt_relay.ownership import give_to_owner
from crdt_relay.settings import TOKENS_MAX
from crdt_relay.store_keys import prepare
from crdt_sync.errors import (
    StoreCorrupt,
    StoreExists,
    StoreFailed,
    StoreForbidden,
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
from crdt_sync.storage.encryption import key_box
from crdt_sync.storage.encryption.cipher import KEY_BYTES
from crdt_sync.storage.file_failures import FREE_SPACE, FULL
from crdt_sync.storage.lmdb import LmdbStore, changing, copies
from crdt_sync.storage.lmdb.directory import claimed
from crdt_sync.storage.lmdb.environment import READERS_NAME
from crdt_sync.storage.lmdb.failures import translate
from crdt_sync.storage.lmdb.lock import StoreLock
from crdt_sync.storage.lmdb.mended_identity import mend_identity
from crdt_sync.storage.lmdb.shared import opened_to_read
from crdt_sync.storage.port import Identity, Records, Store
from crdt_sync.storage.values import Batch, Change, Remains

_DATA_FILE = "data.mdb"
_ASIDE_MAX = 1000  # stores that are put aside within one second
_RESTORING = "restoring"
_TOKEN_BYTES = 32


def status(data: Path) -> dict[str, Any]:
    """How the running relay is, or what a stopped one holds. Raises `StoreError`, `ControlFailed`."""
    try:
        return ask(data, "status")
    except NotRunning:
        with _to_read(data) as store:
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
    with _opened_to_repair(data) as (store, identity):
        about: dict[str, Any] = {"set_aside": ",".join(named)} if named else {}
        note(store, "repair", **about)
        for record in named:
            if not _is_held(store, record):
                raise UnknownRecord(record)
        found = [each for each in asyncio.run(unloadable(store)) if each.record not in named]
        mended = mend(store, [*named, *(each.record for each in found)])
        mended.findings += len(identity)
        told = {"identity": store.replica.hex() if "replica" in identity else ""}
        return {"data": str(data), **asdict(mended), **told, "unloadable": [each.as_dict() for each in found]}


@dataclass(slots=True)
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
        store = _to_read(data)
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
        return ask(data, "compact", by=operator())
    except NotRunning:
        with _opened(data) as store:
            note(store, "compact")
            report = store.compact()
            return {"dropped": report.dropped, "dropped_bytes": report.dropped_bytes, "kept": report.kept}


def backup(data: Path, target: Path) -> dict[str, Any]:
    """Write a compact copy of the store into the new directory `target`, while the relay runs or not."""
    target = target.absolute()
    try:
        done = ask(data, "backup", to=str(target), by=operator())
    except NotRunning:
        with _to_read(data) as store:
            with suppress(StoreForbidden, StoreFailed):  # a medium that is only read is backed up all the same
                note(store, "backup", to=target)
            store.copy(target)
            done = {"records": store.count(), "bytes": (target / _DATA_FILE).stat().st_size}
    return {"backup": str(target), **done}


def restore(source: Path, data: Path, replace: bool) -> dict[str, Any]:
    """Make the backup `source` the store in `data`, under a new epoch; `source` is only read.

    All of it happens within `data`, which may be a mount point, or all that the relay's user may write to. A store that
    is there already is kept in a directory in it with `replace`, and refused without. The backup is checked before
    anything is moved. Root's files get the owner of `data`. Raises `StoreExists`, `StoreInUse`, `StoreError`.
    """
    try:
        if not (source / _DATA_FILE).is_file():
            raise StoreMissing(f"there is no backup in {source}", "Name the directory that 'crdt-relay backup' made.")
    except OSError as error:
        raise translate(error, source) from error
    try:
        made = not data.exists()
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = StoreLock(data)
    except OSError as error:
        raise translate(error, data) from error
    try:
        done = _restored(source, data, replace)
        made = False
        return done
    except OSError as error:
        raise translate(error, data) from error
    finally:
        lock.release()
        if made:
            shutil.rmtree(data, ignore_errors=True)


def _restored(source: Path, data: Path, replace: bool) -> dict[str, Any]:
    occupied = LmdbStore.exists(data)
    if occupied and not replace:
        raise StoreExists(
            f"there is a store in {data} already", "Keep it aside with --replace, or name another --data."
        )
    partial = data / _RESTORING
    with claimed(partial):
        shutil.copyfile(source / _DATA_FILE, partial / _DATA_FILE)
        os.chmod(partial / _DATA_FILE, 0o600)
        key_box.copy_key(source, partial)
        with LmdbStore.open(partial) as store:
            findings = store.verify().findings
            if findings:
                raise StoreFailed(
                    f"the backup in {source} is damaged: {findings[0].problem} ({len(findings)} findings)",
                    "Restore another backup; nothing was changed here.",
                )
            store.renew_epoch()
            note(store, "restore", source=source.absolute())
            records, head = store.count(), store.head()
        kept = _put_aside(data) if occupied else None
        if key_box.exists(partial):
            key_box.write(data, key_box.read(partial), key_box.CHANGING_NAME)
        elif key_box.exists(data):
            os.replace(data / key_box.NAME, data / key_box.CHANGING_NAME)
        (data / READERS_NAME).unlink(missing_ok=True)  # of the store that was here; it is made anew
        os.replace(partial / _DATA_FILE, data / _DATA_FILE)
        changing.settle(data)
        shutil.rmtree(partial)
        give_to_owner(data)
        sync_folder(data)
        sync_folder(data.parent)
    return {"data": str(data), "records": records, "head": head, "previous": str(kept) if kept else None}


def encrypt(data: Path, key_file: Path) -> dict[str, Any]:
    """Encrypt the store of a stopped relay, or have the one that the first start makes be encrypted.

    The key file is made where it is not there. Raises `KeyUnusable`, `StoreExists` where it is encrypted, `StoreError`.
    """
    if not key_file.exists():
        key_box.make_key_file(key_file)
    if LmdbStore.exists(data):
        key = secrets.token_bytes(KEY_BYTES)
        changing.encrypt(data, key, key_box.by_key_file(key, key_file))
        give_to_owner(data)
    elif not key_box.exists(data):
        prepare(data, key_file)
    return {"data": str(data), "key_file": str(key_file)}


def decrypt(data: Path) -> dict[str, Any]:
    """Decrypt the store of a stopped relay. Raises `StoreMissing` where it is not encrypted, `StoreError`."""
    changing.decrypt(data)
    give_to_owner(data)
    return {"data": str(data)}


def write_token(file: Path, force: bool) -> None:
    """Write a new strong token to `file`, readable by its owner alone. Raises `UsageError`."""
    try:
        with replaced(file) if force else created(file) as stream:
            stream.write(f"{new_token()}\n".encode())
    except FileExistsError:
        raise UsageError(f"{file} exists already", "Replace the token in it with --force.") from None
    except OSError as error:
        way_out = FREE_SPACE if error.errno in FULL else "Name a file in a directory of yours."
        raise UsageError(f"cannot write {file}: {error.strerror}", way_out) from error


def rotate_token(file: Path, *, drop_old: bool = False) -> None:
    """Put a new strong token before the one in `file`. One that was before that goes with `drop_old`, and else nothing
    is written: devices may still hold it. Raises `UsageError`.
    """
    try:
        held = file.read_text("utf-8").split()
        if len(held) >= TOKENS_MAX and not drop_old:
            raise UsageError(
                f"{file} still holds the token before the last rotation: devices that have no other would be shut out",
                "Give all devices the first line, remove the second, have the relay read it, and then rotate again; or "
                "shut out who still has the old one: --drop-old.",
            )
        kept = held[:1]
        with replaced(file) as stream:
            stream.write("".join(f"{token}\n" for token in (new_token(), *kept)).encode())
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        full = isinstance(error, OSError) and error.errno in FULL
        way_out = FREE_SPACE if full else f"Make one: crdt-relay token {file}"
        raise UsageError(f"cannot rotate the token in {file}: {why}", way_out) from error


def new_token() -> str:
    """A token that nobody guesses: 43 characters."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def _opened(data: Path, opens: Callable[[Path], LmdbStore] = LmdbStore.open) -> LmdbStore:
    """The store of a stopped relay. Raises `StoreError`."""
    try:
        return opens(data)
    except StoreMissing as error:
        raise StoreMissing(
            error.message, "Name the relay's directory with --data; 'crdt-relay serve' makes it at its first start."
        ) from error


@contextmanager
def _opened_to_repair(data: Path) -> Iterator[tuple[LmdbStore, tuple[str, ...]]]:
    """`_opened`, also where the format or the replica id is damaged; which of them were, and are mended now."""
    identity: tuple[str, ...] = ()
    try:
        opened = _opened(data)
    except StoreCorrupt:
        identity = mend_identity(data, lambda: time.time_ns() // 1000)
        if not identity:
            raise
        opened = _opened(data)
    with opened as store:
        yield store, identity


def _put_aside(data: Path) -> Path:
    """The store in `data` under another name there, too; the caller holds its lock, and puts another in its place."""
    name = f"before-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    for suffix in ("", *(f"-{number}" for number in range(2, _ASIDE_MAX))):
        aside = data / (name + suffix)
        with suppress(FileExistsError):
            aside.mkdir(mode=0o700)
            try:
                os.link(data / _DATA_FILE, aside / _DATA_FILE)  # so that there is a store here at any moment
            except OSError:  # a file system without links
                os.replace(data / _DATA_FILE, aside / _DATA_FILE)
            key_box.copy_key(data, aside)
            sync_folder(aside)
            return aside
    raise StoreExists(f"{name} and those after it exist already", "Wait a second, and restore again.")


def _to_read(data: Path) -> LmdbStore:
    """The same, where it is only read: also on a medium that cannot be written to."""
    return _opened(data, opened_to_read)
