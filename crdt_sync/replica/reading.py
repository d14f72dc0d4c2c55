"""What a replica shows: its records, one by one, listed or found, and their conflicts.

A view that is damaged is made anew from its document. A record of which that is damaged too is shown by nothing, and
named in `Context.unshown`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from crdt_sync import ids, limits
from crdt_sync.errors import StoreCorrupt, UnknownCollection, UnknownRecord
from crdt_sync.nearest import suggestion
from crdt_sync.records import Conflict, Document, reading_of
from crdt_sync.records.authors import Authored, authored, with_standing
from crdt_sync.records.comparing import folded
from crdt_sync.replica import collections
from crdt_sync.replica.collections import Schemaless
from crdt_sync.replica.context import Context
from crdt_sync.replica.finding import holds, holds_text
from crdt_sync.replica.loading import loaded, stored_document
from crdt_sync.replica.views import RecordView, encode_view
from crdt_sync.storage.port import Records

REPAIR_HINT = "Run 'crdt-sync verify --repair': it saves what is intact, and names what is lost."
_PAGE = 1000


def get(context: Context, record: str, pending: Callable[[str], Document | None]) -> RecordView:
    """See `Replica.get`. `pending` gives a record as an open batch has it, if one does."""

    def stored(record: str) -> bytes | None:
        edited = pending(record)
        return encode_view(edited, context.schema_of(record)) if edited else _view(context, record)

    view = stored(record)
    if view is None:
        if record in context.unshown:
            raise StoreCorrupt(f"{record} is damaged: {context.damaged[record]}", REPAIR_HINT, record)
        raise UnknownRecord(record)
    return _shown(context, record, view, lambda section: stored(ids.in_section(record, section)))


def _shown(context: Context, record: str, stored: bytes, companion: Callable[[str], bytes | None]) -> RecordView:
    """The view of a record with what is in its sections; `companion` gives the stored view of each, if there is one.

    What is seen in part is shown where nothing of its section is here.
    """
    schema = context.schema_of(record)
    view = RecordView(record, stored, schema)
    if schema is None or ids.section_of(record) or not schema.sections:
        return view
    masks = context.masks_of(schema.collection)
    for section, fields in schema.sections.items():
        view.leave_out(fields.fields)
        if (found := companion(section)) is not None:
            view.join(found, fields)
            continue
        for field, mask in masks:
            if field in fields.fields and (found := companion(f"{field}{ids.SECTION_MARK}{mask}")) is not None:
                view.join_masked(found, field, mask)
    return view


def document(store: Records, record: str) -> Document:
    """See `Replica.document`."""
    stored = store.load(ids.check_record(record))
    if stored.head is None:
        raise UnknownRecord(record)
    return loaded(record, stored.updates)


def count(store: Records) -> int:
    """See `Replica.count`."""
    reserved = (store.records("", limits.RESERVED_COUNTED_MAX, f"{each}/") for each in sorted(ids.RESERVED))
    return store.count() - sum(map(len, reserved)) - collections.count_companions(store)


def schemaless(context: Context, collection: str | None = None) -> tuple[Schemaless, ...]:
    """See `Replica.schemaless`."""
    return collections.schemaless(context.store, {*context.schemas, *ids.RESERVED}, collection)


def check_collection(context: Context, collection: str | None) -> None:
    """Raise `UnknownCollection` where nobody here knows a collection, neither a schema nor a record; None is any."""
    if collection is None or collection in context.schemas:
        return
    if not ids.is_collection(collection) or not context.store.records("", 1, f"{collection}/"):
        raise UnknownCollection(
            f"no collection {collection[:60]!r} here", suggestion(collection, context.schemas, "collections")
        )


def listed(context: Context, collection: str | None, *, deleted: bool) -> Iterator[RecordView]:
    """See `Replica.list`."""
    check_collection(context, collection)
    return _listed(context, f"{collection}/" if collection else "", deleted)


def _listed(context: Context, prefix: str, deleted: bool) -> Iterator[RecordView]:
    beside: dict[str, _Beside] = {}
    for record, stored in _views_in_order(context, prefix):
        if not prefix and (ids.is_reserved(record) or ids.section_of(record)):
            continue
        if stored is not None:
            view = _shown(context, record, stored, partial(_companion, context, beside, record))
            if deleted or not view.deleted:
                yield view


def _companion(context: Context, beside: "dict[str, _Beside]", record: str, section: str) -> bytes | None:
    collection = ids.collection_of(ids.in_section(record, section))
    if collection not in beside:
        beside[collection] = _Beside(_views_in_order(context, f"{collection}/"))
    return beside[collection].view(ids.in_section(record, section))


class _Beside:
    """The views of one section, read on beside those of the records."""

    def __init__(self, views: Iterator[tuple[str, bytes | None]]) -> None:
        self._views = views
        self._next = next(views, None)

    def view(self, record: str) -> bytes | None:
        """That of a companion; each is asked for behind the last."""
        while self._next is not None and self._next[0] < record:
            self._next = next(self._views, None)
        return self._next[1] if self._next is not None and self._next[0] == record else None


def _views_in_order(context: Context, prefix: str) -> Iterator[tuple[str, bytes | None]]:
    after = ""
    while page := _views(context, after, prefix):
        yield from page
        after = page[-1][0]


def _views(context: Context, after: str, prefix: str) -> Sequence[tuple[str, bytes | None]]:
    """A page of views, one by one where one of them is damaged; None for a record that cannot be shown."""
    try:
        return context.store.views(after, _PAGE, prefix)
    except StoreCorrupt:
        return [(record, _view(context, record)) for record in context.store.records(after, _PAGE, prefix)]


def _view(context: Context, record: str) -> bytes | None:
    try:
        return context.store.view(record)
    except StoreCorrupt as corrupt:
        context.note_damage(record, corrupt.message)
    try:
        return encode_view(stored_document(context.store, record), context.schema_of(record))
    except StoreCorrupt:
        context.unshown.add(record)
        return None


def found(context: Context, collection: str | None, text: str, equals: Mapping[str, object]) -> Iterator[RecordView]:
    """See `Replica.find`."""
    schemas = [context.schemas.get(collection)] if collection is not None else list(context.schemas.values())
    for field in equals:
        if schemas and not any(schema is None or field in schema.fields for schema in schemas):
            for schema in filter(None, schemas):
                schema.field(field)
    return _found(context, listed(context, collection, deleted=False), folded(text), equals)


def _found(
    context: Context, views: Iterable[RecordView], sought: str, equals: Mapping[str, object]
) -> Iterator[RecordView]:
    for view in views:
        if sought and not holds_text(view, sought):
            continue
        specs = getattr(context.schema_of(view.record), "fields", {})
        if view.masked.keys() & equals.keys():
            continue  # what they hold is not known here
        if all(holds(name, specs.get(name), view.raw.get(name), value) for name, value in equals.items()):
            yield view


def conflicts(context: Context, collection: str | None, *, superseded: bool) -> tuple[tuple[str, Conflict], ...]:
    """See `Replica.conflicts`."""
    views = listed(context, collection, deleted=True)
    chosen = (view.record for view in views if superseded or view.conflicts)
    return tuple(
        (record, conflict) for record in chosen for conflict in conflicts_of(context, record, superseded=superseded)
    )


def authors(context: Context, record: str) -> Sequence[Authored]:
    """See `Replica.authors`."""
    return _authored(context, record, document(context.store, record))


def _authored(context: Context, record: str, held: Document) -> Sequence[Authored]:
    in_force = context.in_force()
    if in_force is None or in_force.issuer is None:
        return authored(held, record, None)
    from crdt_sync.identity.certified import verifier_for  # noqa: PLC0415 - cryptography, which most need not

    return authored(held, record, verifier_for(in_force.issuer))


def conflicts_of(context: Context, record: str, *, superseded: bool) -> tuple[Conflict, ...]:
    """See `Replica.conflicts_of`."""
    schema = context.schema_of(record)
    apart = {} if schema is None or ids.section_of(record) else schema.sections
    masks = context.masks_of(ids.collection_of(record)) if apart else ()
    found = [
        each
        for each in _conflicts_of(context, record, superseded)
        if not any(each.field in section.fields for section in apart.values())
    ]
    for section, fields in apart.items():
        companion = ids.in_section(record, section)
        if context.store.record_head(companion) is not None:
            conflicts = _conflicts_of(context, companion, superseded)
            found += [each for each in conflicts if each.field in fields.fields]
            continue
        shown = {field: ids.in_part(record, field, mask) for field, mask in masks if field in fields.fields}
        for masked in shown.values():
            if context.store.record_head(masked) is not None:
                found += _conflicts_of(context, masked, superseded)
    return tuple(found)


def _conflicts_of(context: Context, record: str, superseded: bool) -> tuple[Conflict, ...]:
    try:
        schema, held = context.schema_of(record), document(context.store, record)
        found = reading_of(held, schema, all_kinds=superseded).conflicts
        if schema is None or not schema.signed:
            return found
        known = _authored(context, record, held)
        return tuple([with_standing(conflict, known) for conflict in found])
    except StoreCorrupt as corrupt:
        context.note_damage(record, corrupt.message)
        context.unshown.add(record)
        return ()
