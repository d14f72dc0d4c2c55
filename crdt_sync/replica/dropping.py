"""What stays of records that a relay says may not be held here any more: what of them it had not taken.

An edit that it forbade is put aside by field, with the reason (see `refused`); what was not sent is kept as it is (see
`unsent`), and listed by field as far as that can be told.
"""

from collections.abc import Mapping, Sequence

from crdt_sync.replica import unsent
from crdt_sync.replica.context import Context
from crdt_sync.replica.readable import readable
from crdt_sync.replica.refused import RefusedEdit, kept
from crdt_sync.replica.withdrawing import never_made, not_sent


def put_aside(context: Context, partner: bytes, records: Sequence[str]) -> Mapping[str, bytes | None]:
    """The meta to commit with the drop of these records. The lock is held."""
    store = context.store
    forbidden = _forbidden_new(context, partner, records)
    rows = [edit for each in forbidden.values() for edit in each]
    refused = kept(store, rows)
    if refused is None:  # there is no room for what each of their fields said
        forbidden, refused, rows = {}, {}, []
    edits, unsent_fields, listed = [], list[RefusedEdit](), set[str]()
    for record in records:
        context.recent.forget(partner, record)
        entry = store.outbox_entry(partner, record)
        if entry is None or record in forbidden or _told_all_of(context, partner, record):
            continue
        if (update := _update_or_none(context, record, entry.acknowledged)) is not None:
            edits.append((record, update, entry.edit))
            fields, complete = not_sent(context, entry)
            unsent_fields += fields
            if complete:
                listed.add(record)
    shown = kept(store, [*rows, *unsent_fields]) if unsent_fields else None
    if shown is None:  # there is no room for them, or none
        listed.clear()
    return {**unsent.set_aside(store, edits, context.wall_clock(), listed), **(shown or refused)}


def _forbidden_new(context: Context, partner: bytes, records: Sequence[str]) -> dict[str, Sequence[RefusedEdit]]:
    """The new ones among these that the partner forbade, field by field."""
    entries = (context.store.outbox_entry(partner, record) for record in records)
    found = {entry.record: never_made(context, entry, partner) for entry in entries if entry is not None}
    return {record: edits for record, edits in found.items() if edits}


def _told_all_of(context: Context, partner: bytes, record: str) -> bool:
    """Whether this partner has told all that is here of a record, and nothing of it was written here.

    It is owed for all that where digests were compared and the record was hidden by then.
    """
    head = context.store.record_head(record)
    history = [] if head is None or head.lineage else context.store.history(record)
    return bool(history) and not history[0].previous and all(each.origin == partner for each in history)


def _update_or_none(context: Context, record: str, acknowledged: bytes) -> bytes | None:
    diff = readable(lambda: context.diff(record, acknowledged))
    return diff.update if diff is not None else None
