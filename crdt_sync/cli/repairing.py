"""What `verify --repair` tells of a repair."""

import itertools
from collections.abc import Sequence
from dataclasses import asdict, replace

from crdt_sync.cli.output import Output
from crdt_sync.errors import EditsLost
from crdt_sync.replica import Repair, Replica
from crdt_sync.replica.rescue import Loss, said

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
    }


def summary(mended: Repair) -> str:
    """In one line."""
    return (
        f"{mended.findings} damaged values here, which are set aside. Records rebuilt: {len(mended.salvaged)}; "
        f"not here now: {len(mended.lost)}; things lost: {len(mended.losses)}."
    )


def tell_losses(output: Output, mended: Repair) -> None:
    """What was written again, what is with partners, and what is lost: the first of each; --json has all."""
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


def settled(replica: Replica) -> Repair:
    """What was awaited of partners, and did not come, after `repaired`."""
    return replica.settle() if replica.owner is None else NOTHING


def repair_store(output: Output, replica: Replica) -> None:
    """Mend what can be mended here, and tell. Raises `EditsLost`."""
    mended = repaired(replica)
    output.result(as_json(mended), summary(mended) if mended.findings else "Nothing is damaged.")
    tell_losses(output, mended)
    if mended.findings or mended.awaited or mended.rewritten:
        output.note("Now run 'crdt-sync sync': it compares everything, and fetches what others have.")
    if mended.awaited:
        output.note("Then 'crdt-sync verify --repair' once more: it saves, or names, what they turn out not to have.")
    complain_of(mended.losses)
