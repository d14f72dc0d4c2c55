"""What `verify --repair` tells of a repair."""

import asyncio
import itertools
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace

from crdt_sync.cli.output import Output
from crdt_sync.errors import EditsLost, RecordUnreadable, StoreCorrupt, UnknownRecord
from crdt_sync.replica import Repair, Replica
from crdt_sync.replica.rescue import Loss, said
from crdt_sync.runtime.loadable import Unloadable, unloadable
from crdt_sync.storage.values import Batch

SHOWN_MAX = 20  # of each list; --json has all of them
NOTHING = Repair(0, (), ())


def both(first: Repair, settled: Repair) -> Repair:
    """A repair, and what was settled of it once a partner was asked."""
    rewritten = {
        record: sorted({*first.rewritten.get(record, ()), *settled.rewritten.get(record, ())})
        for record in sorted({*first.rewritten, *settled.rewritten})
    }
    losses = (*first.losses, *settled.losses)
    return replace(first, rewritten=rewritten, awaited=settled.awaited, shown=settled.shown, losses=losses)


def as_json(mended: Repair) -> dict[str, object]:
    """What `--json` tells of a repair."""
    return {
        "findings": mended.findings,
        "salvaged": mended.salvaged,
        "lost": mended.lost,
        "rewritten": mended.rewritten,
        "awaited": mended.awaited,
        "shown": mended.shown,
        "losses": [asdict(loss) for loss in mended.losses],
        "identity": mended.identity,
    }


def summary(mended: Repair) -> str:
    """In one line."""
    return (
        f"{mended.findings} damaged values here, which are set aside. Records rebuilt: {len(mended.salvaged)}; "
        f"not here now: {len(mended.lost)}; things lost: {len(mended.losses)}."
    )


def tell_losses(output: Output, mended: Repair) -> None:
    """What was written again, what is with partners, and what is lost: the first of each; --json has all."""
    if mended.identity:
        output.note(
            f"The id of this device was damaged: it has a new one, {mended.identity}. Its records are kept, and what "
            "waits to be sent; to its partners it is another device, which compares everything at the next sync.",
            "yellow",
        )
    for record, names in itertools.islice(mended.rewritten.items(), SHOWN_MAX):
        output.note(f"{record}: written again from what was shown: {', '.join(names)}")
    for record, urls in itertools.islice(mended.awaited.items(), SHOWN_MAX):
        showed = ", ".join(f"{field} showed {said(value)}" for field, value in mended.shown.get(record, {}).items())
        lacking = f" ({showed})" if showed else ""
        output.note(f"{record}: the next sync with {' or '.join(urls)} is to bring the rest{lacking}")
    for loss in mended.losses[:SHOWN_MAX]:
        where = " ".join(part for part in (loss.record, loss.field) if part)
        output.note(f"Lost: {where}: {loss.detail}", "red")
    if len(mended.losses) > SHOWN_MAX:
        output.note(f"{len(mended.losses) - SHOWN_MAX} more things are lost; --json names them.", "red")


def complain_of(losses: Sequence[Loss]) -> None:
    """Raise `EditsLost` where there are any."""
    if losses:
        raise EditsLost(
            f"{len(losses)} things could not be brought back",
            "They are named above, and with --json in 'losses'. What was damaged is kept aside, see 'crdt-sync verify "
            "--aside'; a copy of the directory from before, or another device, may have them.",
        )


def repaired(replica: Replica) -> Repair:
    """Mend what can be mended here. That takes the store alone: beside a program that owns it nothing may be damaged.

    Raises `NotServed`.
    """
    if (owner := replica.owner) is None:
        return replica.repair()
    if replica.store.verify().findings:
        raise owner.refusal("mending what is damaged here")
    return NOTHING


def set_aside(replica: Replica, records: Sequence[str]) -> None:
    """Take records out, and keep what is stored of them aside. Raises `UnknownRecord`, `NotServed`."""
    if not records:
        return
    replica.alone("setting a record aside")
    for record in records:
        with suppress(StoreCorrupt):
            if replica.store.record_head(record) is None:
                raise UnknownRecord(record)
    replica.store.replace(records, Batch())


def tell_unloadable(output: Output, found: Sequence[Unloadable]) -> None:
    """Name records that no worker can load, with who wrote them."""
    for each in found:
        told = f"{each.record} ({each.bytes} bytes) cannot be loaded; written by {each.written_by}"
        output.warning({"error": RecordUnreadable.code, "message": told, **each.as_dict()}, told)


def renew_unloadable(output: Output, replica: Replica) -> list[str]:
    """Write anew what those records show that no worker can load; returns their ids. Raises `StoreCorrupt` for others.

    They are loaded in this process for that, without a limit: who ends it can set them aside instead.
    """
    found = asyncio.run(unloadable(replica.store))
    tell_unloadable(output, found)
    left = [each.record for each in found if not _is_renewed(replica, each.record)]
    renewed = [each.record for each in found if each.record not in left]
    left += [each.record for each in asyncio.run(unloadable(replica.store, renewed))] if renewed else []
    if left:
        chosen = " ".join(f"--set-aside {shlex.quote(record)}" for record in left[:SHOWN_MAX])
        raise StoreCorrupt(
            f"{'1 record' if len(left) == 1 else f'{len(left)} records'} cannot be loaded, and not written anew",
            f"'crdt-sync verify --local --repair {chosen}' sets aside what is stored of them; the next sync brings "
            "them from the relay or another device that holds them.",
            left[0],
        )
    return renewed


def _is_renewed(replica: Replica, record: str) -> bool:
    try:
        return replica.renew(record)
    except StoreCorrupt:
        return False


def settled(replica: Replica) -> Repair:
    """What was awaited of partners, and did not come, after `repaired`."""
    return replica.settle() if replica.owner is None else NOTHING


def repair_store(output: Output, replica: Replica) -> None:
    """Mend what can be mended here, and tell. Raises `EditsLost`."""
    mended = repaired(replica)
    renewed = renew_unloadable(output, replica) if replica.owner is None else []
    nothing = "No stored value is damaged." if renewed else "Nothing is damaged."
    output.result({**as_json(mended), "renewed": renewed}, summary(mended) if mended.findings else nothing)
    tell_losses(output, mended)
    for record in renewed:
        output.note(f"{record}: written anew from what it shows")
    if mended.findings or mended.awaited or mended.rewritten or renewed:
        output.note("Now run 'crdt-sync sync': it compares everything, and fetches what others have.")
    if mended.awaited:
        output.note("Then 'crdt-sync verify --repair' once more: it saves, or names, what they turn out not to have.")
    complain_of(mended.losses)
