"""The relay's audit log, for its operator: asked, verified, signed, exported, and kept within bounds.

It is read beside the running relay, as LMDB lets other processes read, so a long search costs that nothing but a core.
"""

import getpass
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crdt_sync.audit_log.asking import Asked, Sieve
from crdt_sync.audit_log.chain import body_of, is_sealed, link_of, seal_of
from crdt_sync.audit_log.checkpoint import Checkpoint, checkpoint
from crdt_sync.audit_log.entry import TIME_BYTES, Act, Entry, administered, decode, encode
from crdt_sync.audit_log.verifying import Verification
from crdt_sync.errors import StoreInUse, UsageError
from crdt_sync.files import created
from crdt_sync.identity.keys import KeyPair, PublicKey
from crdt_sync.limits import AUDIT_SCANNED_MAX
from crdt_sync.storage.file_failures import FREE_SPACE, FULL
from crdt_sync.storage.lmdb import LmdbStore
from crdt_sync.storage.lmdb.shared import SharedStore, opened_to_read
from crdt_sync.storage.port import AuditLog, Store
from crdt_sync.storage.values import Batch

NEWEST = 1 << 62
_DAY_US = 86_400_000_000
_COMMANDS = {
    "apply": "policy apply",
    "invite": "invite",
    "withdraw": "invite withdraw",
    "revoke": "device revoke",
    "unsent": "device review",
    "user": "user",
    "rotate": "key rotate",
    "retire": "key retire",
}
_NAMED = ("source", "user", "device", "wipe", "unsent", "disabled", "invite", "days", "to", "key")  # of a request


@contextmanager
def opened_beside(data: Path) -> Iterator[LmdbStore]:
    """The store, to be read, whether a relay has it or not. Raises `StoreError`."""
    try:
        opened: LmdbStore = opened_to_read(data)
    except StoreInUse:
        opened = SharedStore.beside(data)
    with opened as store:
        yield store


def operator() -> str:
    """Who runs a command on this machine, as the audit log names them."""
    try:
        return f"operator {getpass.getuser()}"
    except (KeyError, OSError):  # a user without a name
        return f"operator {os.geteuid()}"


def now_us() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


def note(store: Store, command: str, *, begins: bool = False, **about: object) -> None:
    """Write what an operator is about to do to a stopped relay's store, if it has an audit log, or with `begins`.

    Raises `StoreError`.
    """
    if begins or store.audit_head()[0]:
        store.commit([Batch(audit=(encode(administered(now_us(), operator(), command, **about)),))])


def act_of(request: Mapping[str, Any]) -> tuple[str, dict[str, object]] | None:
    """The command of an operator that a request about a space's people carries out, and what it names; None for one
    that changes nothing. The text of a policy is left out.
    """
    command = _COMMANDS.get(str(request.get("act")))
    if command is None:
        return None
    return command, {name: request[name] for name in _NAMED if request.get(name) not in (None, "")}


def search(data: Path, asked: Asked, limit: int, before: int = NEWEST) -> dict[str, Any]:
    """The newest `limit` entries before that number that are asked for; `next` is where to go on, 0 at the end."""
    with opened_beside(data) as store:
        return found(store, asked, limit, before)


def found(store: AuditLog, asked: Asked, limit: int, before: int = NEWEST) -> dict[str, Any]:
    """`search` of a store that is open."""
    entries: list[dict[str, object]] = []
    wanted = Sieve(asked)
    while before and len(entries) < limit:
        rows, before = store.audit_before(before, limit - len(entries), wanted)
        entries += [_told(number, value) for number, value in rows]
    return {"entries": entries, "next": before}


def verify(data: Path, against: Checkpoint | None, trusted: PublicKey | None) -> dict[str, Any]:
    """Whether the log is whole and unchanged; see `crdt_sync.audit_log.verifying`."""
    verification = Verification(against)
    with opened_beside(data) as store:
        for number, value in _rows(store):
            verification.take(number, value)
        flaws = verification.finish(store.space.id, trusted)
    cut = verification.cut
    return {
        "data": str(data),
        "entries": verification.entries,
        "last": verification.last[0],
        "seal": verification.last[1].hex(),
        "cut": None if cut is None else {"to": cut.number, "at_us": cut.at, "signed_by": cut.kid},
        "flaws": [{"entry": flaw.number, "problem": flaw.problem} for flaw in flaws],
    }


def sign(data: Path, key: KeyPair) -> Checkpoint:
    """A checkpoint of the log as it is now. Raises `UsageError` where there is none."""
    with opened_beside(data) as store:
        number, seal = store.audit_head()
        if not number:
            raise UsageError(f"nothing was audited in {data}", "Turn it on: CRDT_RELAY_AUDIT=true, or audit = true.")
        return checkpoint(store.space.id, number, seal, now_us(), key)


def export(data: Path, file: Path) -> int:
    """Write all entries to a new file, the oldest first, one JSON object a line; returns how many. Raises `UsageError`.

    Each has its number, its link, its seal and its bytes, so that the chain can be followed without this program.
    """
    count = 0
    try:
        with opened_beside(data) as store, created(file) as stream:
            for number, value in _rows(store):
                raw = {"link": link_of(value).hex(), "seal": seal_of(value).hex(), "bytes": body_of(value).hex()}
                stream.write(json.dumps({**_told(number, value), **raw}).encode() + b"\n")
                count += 1
    except FileExistsError:
        raise UsageError(f"{file} exists already", "Name a new file.") from None
    except OSError as error:
        way_out = FREE_SPACE if error.errno in FULL else "Name a file in a directory of yours."
        raise UsageError(f"cannot write {file}: {error.strerror}", way_out) from error
    return count


def bound(
    store: Store,
    commit: Callable[[Batch], object],
    days: int | None,
    bytes_max: int | None,
    key: KeyPair | None,
    now: int,
) -> int:
    """Drop the oldest entries beyond what the operator wants to keep, after a note in the log; returns how many.

    The note is a checkpoint of the last that goes, signed where there is a key. The newest entry stays. Entries are
    dropped by their share of the bytes, as they are about alike.
    """
    rows = store.audit_after(0, 1)
    last = store.audit_head()[0]
    if not rows:
        return 0
    first = keep = rows[0][0]
    if days is not None:
        keep = _first_since(store, now - days * _DAY_US)
    size = store.audit_bytes() if bytes_max is not None else 0
    if bytes_max is not None and size > bytes_max:
        keep = max(keep, last - (last - first + 1) * bytes_max // size)
    keep = min(keep, last)
    if keep <= first:
        return 0
    (number, value), *_ = store.audit_after(keep - 2, 1)
    of = checkpoint(store.space.id, number, seal_of(value), now, key)
    commit(Batch(audit=(encode(Entry(now, Act.CUT, times=number - first + 1, about=of.text)),)))
    return store.drop_audit(number + 1)


def _first_since(store: AuditLog, at: int) -> int:
    """The number of the first entry that is not older; that of the last where all are."""
    since = max(at, 0).to_bytes(TIME_BYTES, "big")
    young = (number for number, value in _rows(store) if body_of(value)[:TIME_BYTES] >= since)
    return next(young, store.audit_head()[0])


def _rows(store: AuditLog) -> Iterator[tuple[int, bytes]]:
    """All entries, in reads that hold up nobody."""
    after = 0
    while rows := store.audit_after(after, AUDIT_SCANNED_MAX):
        yield from rows
        after = rows[-1][0]


def _told(number: int, value: bytes) -> dict[str, object]:
    """An entry for JSON."""
    try:
        told = decode(body_of(value)).as_dict()
    except ValueError:
        told = {}
    return {"entry": number, **told, **({} if told and is_sealed(number, value) else {"damaged": True})}
