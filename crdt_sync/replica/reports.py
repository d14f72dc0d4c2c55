"""What was done on this device with what it holds, kept until its relay has it in the audit log: exports and bundles.

Only where a policy is in force: without one there is nobody who asks. At most `REPORTS_KEPT_MAX` are kept, and of more
the newest. A report says how many records went where, and nothing of them.
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from crdt_sync.limits import REPORT_ABOUT_LENGTH_MAX, REPORTS_KEPT_MAX, REPORTS_TOLD_MAX
from crdt_sync.protocol.entries import ReportEntry
from crdt_sync.storage.values import Batch
from crdt_sync.strict_cbor import dumps, loads

if TYPE_CHECKING:
    from crdt_sync.replica.context import Context

_META = "reports"
_ITEMS_MAX = 5 * REPORTS_KEPT_MAX + 1
_DEPTH_MAX = 2


def report(context: "Context", kind: str, about: str, records: int) -> None:
    """Keep that something was done with so many records, for the relay. Raises what a commit raises."""
    if context.in_force() is None:
        return
    if (owner := context.owner) is not None:
        owner.ask("report", kind, about, records)
        return
    with context.lock:
        entry = ReportEntry(context.wall_clock(), kind, about[:REPORT_ABOUT_LENGTH_MAX], records)
        _keep(context, [*_kept(context), entry][-REPORTS_KEPT_MAX:])
    context.reported()


def waiting(context: "Context") -> Sequence[ReportEntry]:
    """What the relay is to hear next, oldest first; `REPORTS_TOLD_MAX` at most."""
    return _kept(context)[:REPORTS_TOLD_MAX]


def forget(context: "Context", noted: Collection[ReportEntry]) -> None:
    """The relay has noted these. Raises what a commit raises."""
    with context.lock:
        _keep(context, [entry for entry in _kept(context) if entry not in noted])


def _kept(context: "Context") -> list[ReportEntry]:
    """What is kept; nothing where that was damaged, which a repair has told then."""
    raw = context.store.meta(_META)
    try:
        rows = loads(raw, items_max=_ITEMS_MAX, depth_max=_DEPTH_MAX) if raw else ()
        return [ReportEntry(*row) for row in rows] if isinstance(rows, tuple) else []
    except (ValueError, TypeError):
        return []


def _keep(context: "Context", entries: Sequence[ReportEntry]) -> None:
    context.store.commit([Batch(meta={_META: dumps(tuple(map(tuple, entries))) if entries else None})])
