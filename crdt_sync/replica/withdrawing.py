"""What a relay forbids is taken back: the record becomes what the relay holds, and loses nothing that was written.

Rules:

1. The relay's record takes the place of ours, what it forbids is put aside (see `refused`), and what else was written
   here is written again upon it, as new edits: all in one commit. Until then the outbox says that it was refused, so
   that whatever ends in between, it begins again at the next session.
2. A refusal names one field, or the record as a whole: then all is put aside. What is written again may be refused for
   another field, and so on: each time there is one less. What does not show beside what the partner holds is put
   aside, too: written again, it would be the newest.
3. Nobody writes under a writer id again whose operations are gone.
4. A new record that a relay forbids is held by nobody there: it goes, and each of its fields is put aside.
5. What a mask shows is nobody's edit: it becomes what the relay holds, and nothing of it is put aside.
6. Where somebody else has used a writer id under which something was written here, nothing is put aside: the very
   operations go under another id, with their authors, stamps and signatures.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Any, NamedTuple

from crdt_sync.errors import CrdtSyncError, StoreCorrupt, UpdateRefused
from crdt_sync.ids import collection_of, is_masked, whole_record
from crdt_sync.ids import is_reserved as is_reserved_record
from crdt_sync.protocol.effects import Pushed
from crdt_sync.records import Document, Editor, Schema, restore, value_of
from crdt_sync.records.deleted import is_deleted
from crdt_sync.records.entries import is_entry
from crdt_sync.records.gate.touches import Touch, touches_between
from crdt_sync.records.lineages.renewal import carried
from crdt_sync.records.memory.sources import IMPORTED
from crdt_sync.records.roots import DELETED, DELETED_ROOT, Layout, is_reserved
from crdt_sync.records.text_diff import Comparing, differences
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.updates.update import scan
from crdt_sync.records.values import canonical, parse_decimal, restore_value
from crdt_sync.replica import unread, unsent
from crdt_sync.replica.allowed import field_and_rule
from crdt_sync.replica.context import Context
from crdt_sync.replica.intake import owed
from crdt_sync.replica.loading import loaded
from crdt_sync.replica.refused import RefusedEdit, forget_unsent, kept
from crdt_sync.replica.taken_writers import under_other_writers
from crdt_sync.replica.unsent import Unsent
from crdt_sync.replica.views import encode_view
from crdt_sync.storage.values import Batch, Change, OutboxEntry
from crdt_sync.verdicts import VerdictCode

_PAIRS_MAX = 1_000_000  # of letters that are compared to find what was put into a text
NOT_SENT = "it was not sent before its record left this device"


class _Edit(NamedTuple):
    """What was written into one field: what it was to show, see `RefusedEdit`, and by whom."""

    field: str
    value: Any
    author: str
    shows: bool = True  # beside what the partner holds


def withdraw(context: Context, record: str, update: bytes, state_vector: bytes, partner: bytes) -> bool:
    """Take `update`, the record as the partner that forbade our edits has it whole, in the place of ours.

    Returns whether that was done: not where it is not the whole record, where nothing is refused there any more, or
    where there is no room for what would have to be put aside. The lock is held.
    """
    store = context.store
    entry = store.outbox_entry(partner, record)
    if entry is None or entry.refusal != VerdictCode.FORBIDDEN:
        return False
    theirs = _whole(record, update, state_vector)
    if theirs is None:
        return False
    ours = loaded(record, store.load(record).updates)
    context.abandon_writer()
    document = under_other_writers(context, record, theirs, ours, entry.acknowledged, entry.reason)
    aside: list[_Edit] = []
    if document is None:
        document, aside = _written_again(context, record, theirs, ours, entry.reason)
    now = context.wall_clock()
    meta = kept(
        store,
        [
            RefusedEdit(0, whole_record(record), edit.field, edit.value, edit.author, now, entry.reason)
            for edit in aside
        ],
    )
    if meta is None:
        return False
    _replace(context, document, theirs, entry, partner, meta)
    return True


def begun_anew(context: Context, entry: OutboxEntry, partner: bytes, reason: str) -> bool:
    """Where the partner has nothing of a record from here, and refused it for a writer id: write it under another one.

    Returns whether that was done: then a new edit of it stands in the outbox. The lock is held.
    """
    store, record = context.store, entry.record
    if entry.acknowledged.strip(b"\0") or any(each.origin == partner for each in store.history(record)):
        return False
    theirs = Document.load(())
    document = under_other_writers(
        context, record, theirs, loaded(record, store.load(record).updates), vectors.EMPTY, reason
    )
    if document is None:
        return False
    context.abandon_writer()
    # What it has of the record under the old ids was taken for ours: it is asked for once it has this.
    meta = unread.note(unread.known(store), partner, {record: reason}, ())
    _replace(context, document, theirs, entry, partner, meta)
    return True


def _replace(
    context: Context,
    document: Document,
    theirs: Document,
    entry: OutboxEntry,
    partner: bytes,
    meta: dict[str, bytes | None],
) -> None:
    """Store `document` in the place of the record, of which the partner has `theirs`."""
    store, record = context.store, entry.record
    head = store.record_head(record)
    whole, vector = document.diff(), document.state_vector()
    change = Change(
        record,
        (whole,),
        context.id,
        context.author,
        context.wall_clock(),
        vector,
        whole,
        encode_view(document, context.schema_of(record)),
        renewed=True,
        lineage=document.lineage_writer(),
    )
    written = vector != theirs.state_vector() or document.digest() != theirs.digest()
    outbox = owed(context, record, head, partner)
    if written:
        outbox.append((partner, OutboxEntry(record, theirs.state_vector(), context.next_edit())))
    done = () if written else ((partner, record, entry.edit),)
    meta["clock"] = context.clock.last.to_bytes(8, "big")
    store.commit([Batch(changes=(change,), outbox=tuple(outbox), outbox_done=done, meta=meta)])
    for peer in (partner, *(peer for peer, _ in outbox)):
        context.recent.forget(peer, record)
    context.announce("received", [record], owed=bool(outbox))


def never_made(context: Context, entry: OutboxEntry, partner: bytes) -> list[RefusedEdit]:
    """The fields of a new record that a partner forbade, as edits to put aside; none where it is no such record, or one
    that cannot be read.
    """
    if entry.refusal != VerdictCode.FORBIDDEN or entry.acknowledged.strip(b"\0") or is_masked(entry.record):
        return []
    try:
        if any(each.origin == partner for each in context.store.history(entry.record)):
            return []
        updates = context.store.load(entry.record).updates
    except StoreCorrupt:
        return []
    return _all_of(context, entry.record, updates, entry.reason)


def forbidden_after_all(
    context: Context, verdicts: Mapping[str, Pushed], gone: Sequence[Unsent]
) -> dict[str, bytes | None]:
    """The meta to commit where new records are forbidden that went before the partner had said so, and are kept as
    unsent: they become refused edits, with the reason. Those for which there is no room stay. `gone` are those of which
    nothing is kept any more.
    """
    store = context.store
    moved: list[Unsent] = []
    edits: list[RefusedEdit] = []
    for each in unsent.known(store) if verdicts else ():
        pushed = verdicts.get(each.record)
        if pushed is None or pushed.edit != each.edit:
            continue
        with suppress(StoreCorrupt, UpdateRefused):
            update = unsent.update_of(store, each) or b""
            found = _all_of(context, each.record, (update,), pushed.verdict.reason)
            if found and _holds_all(loaded(each.record, (update,)), update):
                moved.append(each)
                edits += found
    forgotten = forget_unsent(store, [*gone, *moved])
    rows = kept(store, edits, [key for key, value in forgotten.items() if value is None])
    return forget_unsent(store, gone) if rows is None else {**forgotten, **rows}


def not_sent(context: Context, entry: OutboxEntry) -> tuple[list[RefusedEdit], bool]:
    """The fields of a record that were written here and that a partner has not taken, as edits to put aside when the
    record leaves, and whether that is all that it has not taken; none where that cannot be told.
    """
    record = entry.record
    if is_reserved_record(record) or is_masked(record):
        return [], False
    with suppress(StoreCorrupt, UpdateRefused):
        updates = context.store.load(record).updates
        known = vectors.decode(entry.acknowledged)
        taken = [update for update in updates if _is_known(update, known)]
        theirs = loaded(record, taken)
        schema = context.schema_of(record)
        if schema is not None and vectors.dominates(vectors.decode(theirs.state_vector()), known):
            edits = list(_edits(theirs, loaded(record, updates), schema, context.author))
            now, whole = context.wall_clock(), whole_record(record)
            own = [edit for edit in edits if edit.author == context.author]
            added = [_added(theirs, schema, edit) for edit in own]
            found = [
                RefusedEdit(0, whole, edit.field, value, edit.author, now, NOT_SENT, entry.edit)
                for edit, (value, _) in zip(own, added, strict=True)
                if value not in ("", [])
            ]
            return found, len(found) == len(edits) and all(complete for _, complete in added)
    return [], False


def _added(theirs: Document, schema: Schema, edit: _Edit) -> tuple[object, bool]:
    """The value of an edit without what the partner has: of a text what was put in, of a set the members that are new,
    as the rest of them may be of a record that is not to be held here; and whether nothing else was done to the field.
    """
    spec = schema.fields.get(edit.field)
    if spec is None or spec.rules.layout not in (Layout.TEXT, Layout.MEMBERS):
        return edit.value, True
    before = value_of(theirs, edit.field, schema)
    if spec.rules.layout == Layout.MEMBERS:
        had = set(map(canonical, before)) if isinstance(before, list) else set()
        new = [each for each in edit.value or [] if canonical(each) not in had]
        return new, had <= set(map(canonical, edit.value or []))
    changes = differences(str(before or ""), str(edit.value or ""), Comparing(_PAIRS_MAX))
    text = "\n".join(new.strip() for _, _, new in changes if new.strip())
    return text, all(start == stop for start, stop, _ in changes)


def _is_known(update: bytes, known: Mapping[int, int]) -> bool:
    """Whether who has these operations has all of an update."""
    return all(end <= known.get(writer, 0) for writer, (_, end) in scan(update).clients.items())


def _holds_all(document: Document, update: bytes) -> bool:
    """Whether an update builds on nothing that is not in it. One of a new life of a writer begins at 0, and may.

    Raises `UpdateRefused`.
    """
    said = scan(update)
    whole = {writer: end for writer, (_, end) in said.clients.items()}
    return vectors.decode(document.state_vector()) == whole and whole.keys() >= said.deletes.keys()


def _all_of(context: Context, record: str, updates: Sequence[bytes], reason: str) -> list[RefusedEdit]:
    """All fields of a record that is whole in these updates, as edits to put aside; none where it is not.

    Raises `StoreCorrupt`.
    """
    if is_reserved_record(record):
        return []
    edits = _edits(Document.load(()), loaded(record, updates), context.schema_of(record), context.author)
    now, whole = context.wall_clock(), whole_record(record)
    return [RefusedEdit(0, whole, edit.field, edit.value, edit.author, now, reason) for edit in edits]


def _written_again(
    context: Context, record: str, theirs: Document, ours: Document, reason: str
) -> tuple[Document, list[_Edit]]:
    """What the partner holds with what was written here and it does not forbid, as new edits; and what is put aside."""
    schema = context.schema_of(record)
    merged = _together(theirs, ours)
    edits = [] if is_masked(record) else list(_edits(theirs, merged, schema, context.author))
    field, _ = field_and_rule(reason)
    aside = [edit for edit in edits if edit.field == field] if field and schema is not None else []
    aside = aside or edits  # so there is less to be refused each time
    document = Document.load((theirs.diff(),), context.new_writer())
    if len(aside) < len(edits) and schema is not None:
        signing = context.signing(record)
        editor = Editor(document, schema, context.clock, context.author, collection_of(record), signing)
        for edit in edits:
            if edit not in aside and not _written(editor, schema, edit):
                aside.append(edit)
    return document, aside


def _whole(record: str, update: bytes, state_vector: bytes) -> Document | None:
    """The document of an update that is a whole record of that state vector; None for any other."""
    theirs = loaded(record, (update,))
    return theirs if state_vector and theirs.state_vector() == state_vector else None


def _together(theirs: Document, ours: Document) -> Document:
    """What both know."""
    if theirs.lineage_writer() != ours.lineage_writer():
        return carried(theirs, ours)
    merged = Document.load((theirs.diff(),))
    merged.join(ours.diff(theirs.state_vector()))
    return merged


def _edits(theirs: Document, merged: Document, schema: Schema | None, author: str) -> Iterator[_Edit]:
    """What was written beyond what the partner has, by field."""
    before = theirs.contents()
    for root, touch in sorted(touches_between(before, merged.contents()).items()):
        if root == DELETED_ROOT or is_reserved(root):
            continue  # what sources are remembered to say is said again by the next import
        field = root[2:]
        spec = None if schema is None else schema.fields.get(field)
        entries = sorted((entry for entry in touch.values if is_entry(entry)), key=itemgetter(1), reverse=True)
        by = next((entry[2] for entry in entries if entry[1] != IMPORTED), author)
        if schema is None or spec is None:
            yield _Edit(field, touch.values or None, by)
            continue
        value = _value(theirs, merged, schema, field, touch)
        if not (entries and root.startswith(Layout.ENTRIES)):
            yield _Edit(field, value, by)
            continue
        shown, found = canonical(value), list[_Edit]()
        for place, entry in enumerate(_once(entries)):
            shows = canonical(entry[0]) == shown
            if shows or not place or entry[1] != IMPORTED:
                told = value if shows else entry[0]
                found.append(_Edit(field, told, author if entry[1] == IMPORTED else entry[2], shows))
        # The one that shows comes last, as it does where they are made again one after the other.
        found.reverse()
        yield from sorted(found, key=lambda edit: edit.shows)
    if is_deleted(merged) != is_deleted(theirs):
        yield _Edit(DELETED, is_deleted(merged), author)


def _once(entries: list[list[Any]]) -> list[list[Any]]:
    """The entries, newest first, without those that say the same as a newer one."""
    return list({canonical(entry[0]): entry for entry in reversed(entries)}.values())[::-1]


def _value(theirs: Document, merged: Document, schema: Schema, field: str, touch: Touch) -> object:
    layout = schema.fields[field].rules.layout
    shown = value_of(merged, field, schema)
    if layout == Layout.COUNTS:
        before = parse_decimal(field, value_of(theirs, field, schema) or 0)
        return str(parse_decimal(field, shown or 0) - before)
    if layout == Layout.LOG:
        return [entry[0] for entry in touch.values if is_entry(entry)]
    return shown


def _written(editor: Editor, schema: Schema, edit: _Edit) -> bool:
    """Write it again; whether that went."""
    field, value = edit.field, edit.value
    if not edit.shows:
        return False
    try:
        if field == DELETED:
            editor.delete() if value else editor.restore()
        elif field not in schema.fields:
            return False
        else:
            write(editor, schema, field, value)
    except CrdtSyncError:
        return False
    return True


def write(editor: Editor, schema: Schema, field: str, value: Any) -> None:
    """Make one edit again: `value` is as in `RefusedEdit`. Raises what the editor raises."""
    spec = schema.fields[field]
    match spec.rules.layout:
        case Layout.COUNTS:
            amount = parse_decimal(field, value)
            editor.increment(field, int(amount) if spec.type == "integer" else amount)
        case Layout.LOG:
            for each in value:
                editor.append(field, restore_value(spec, each))
        case _:
            editor[field] = None if value is None else restore(spec, value)
