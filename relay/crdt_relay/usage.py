"""What each owner of a space has stored today against its limits, and what an operator decides about that.

It works on a relay that runs, and on the store of one that does not.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from crdt_relay.auditing import note, now_us, operator
from crdt_relay.control import NotRunning, ask
from crdt_relay.settings import Settings
from crdt_sync.errors import UsageError
from crdt_sync.protocol.quotas import SPACE, Owner, Quotas, Usage
from crdt_sync.runtime.hosting.usage import NO_COMMIT, CountedUsage
from crdt_sync.storage.lmdb import LmdbStore
from crdt_sync.storage.values import Batch

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DEVICE = re.compile(r"[0-9a-f]{6,32}")
CHANGES = frozenset({"reset", "lift"})


def asked(settings: Settings, act: str, owner: str = "") -> dict[str, Any]:
    """Have something done with what a space counts. Raises `UsageError`, `StoreError`, `ControlFailed`."""
    try:
        return ask(settings.data, "usage", act=act, owner=owner, by=operator())
    except NotRunning:
        with LmdbStore.open(settings.data, create=False) as store:
            counted = CountedUsage(
                store, now_us, store.used_bytes, now_us, lambda _record: True, lambda _session, _owner, _limit: None
            )
            counted.allow(settings.bounds)
            if act in CHANGES:
                note(store, f"usage {act}", owner=owner)
            done = do(counted, {"act": act, "owner": owner})
            if rows := counted.rows(NO_COMMIT):
                store.commit([Batch(meta=rows)])
            return done


def do(counted: CountedUsage, request: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out a request: `show`, or `reset` or `lift` of an owner. Raises `UsageError`."""
    quotas = counted.quotas
    match dict(request):
        case {"act": "show"}:
            return _shown(counted)
        case {"act": "reset" | "lift" as act, "owner": str(named)}:
            owner = _owner(quotas, named)
            if act == "reset":
                quotas.reset(owner)
            else:
                quotas.lift(owner)
            return {"of": owner.kind, "name": owner.name, "until": _ends(quotas.day).isoformat()}
    raise UsageError("the relay does not know that request", "Use the same version as the relay.")


def _shown(counted: CountedUsage) -> dict[str, Any]:
    quotas = counted.quotas
    usage = sorted(quotas.usage(), key=lambda each: (each.owner.kind, -each.bytes, each.owner.name))
    return {
        "day": f"{_ends(quotas.day) - timedelta(days=1):%Y-%m-%d}",
        "ends": _ends(quotas.day).isoformat(),
        "counted": not quotas.off,
        "owners": [_row(each) for each in usage],
        "store_bytes": counted.store_bytes(),
        "store_bytes_max": quotas.bounds.store_bytes,
    }


def _row(usage: Usage) -> dict[str, Any]:
    return {
        "of": usage.owner.kind,
        "name": usage.owner.name,
        "bytes": usage.bytes,
        "bytes_max": usage.allowed.bytes,
        "records": usage.records,
        "records_max": usage.allowed.records,
        "growth_max": usage.allowed.growth,
        "lifted": usage.lifted,
        "met": list(usage.met),
    }


def _owner(quotas: Quotas, named: str) -> Owner:
    kind, _, name = named.partition(":")
    if named == "space":
        return SPACE
    if kind == "user" and name:
        return Owner("user", name)
    if kind == "device" and _DEVICE.fullmatch(name):
        found = [each.owner for each in quotas.usage() if each.owner.kind == "device"]
        found = [owner for owner in found if owner.name.startswith(name)]
        if len(found) == 1:
            return found[0]
        if len(name) == 32:
            return Owner("device", name)
        what = "several devices" if found else "no device that stored anything today"
        raise UsageError(f"{what} begin with {name}", "Give more of its id, as 'crdt-relay usage' shows it.")
    raise UsageError(f"{named[:80]!r} is no owner", "Name 'user:anna', 'device:' and its id, or 'space'.")


def _ends(day: int) -> datetime:
    return _EPOCH + timedelta(days=day + 1)
