"""What records show in the fields that choose them: read from documents, kept by the store, read anew where need be.

It is read anew, a page at a time and from where it was left, where a schema declares other filter fields or reads them
otherwise, where an update came without it, and in a store that never kept it. Meanwhile nobody is served whom it
concerns.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b

from crdt_sync import ids
from crdt_sync.limits import FILTER_VALUE_LENGTH_MAX
from crdt_sync.policy.values import Forms, Values, forms_of
from crdt_sync.records import Document, Schema
from crdt_sync.records.reading import value_of
from crdt_sync.replica.readable import readable
from crdt_sync.storage.port import Store
from crdt_sync.storage.values import Batch, Placement
from crdt_sync.strict_cbor import dumps

_FIELDS_BYTES = 16
_PAGE = 256
_NONE: Forms = {}

Schemas = Mapping[str, Schema]
"""By collection."""


def fields_of(schemas: Schemas) -> bytes:
    """A name for the filter fields of all collections, and for how they are read."""
    rows = [
        (name, field, spec.kind, spec.type, tuple(spec.states), tuple(spec.choices))
        for name, schema in sorted(schemas.items())
        for field, spec in sorted(schema.fields.items())
        if spec.filter
    ]
    return blake2b(dumps(tuple(rows)), digest_size=_FIELDS_BYTES, person=b"filter fields").digest()


def values_shown(document: Document, schema: Schema | None) -> Values:
    """What the filter fields of a record show; of a long value as much as it takes to equal nothing."""
    if schema is None:
        return {}
    return {field: _short(value_of(document, field, schema)) for field, spec in schema.fields.items() if spec.filter}


def _short(value: object) -> object:
    return value[: FILTER_VALUE_LENGTH_MAX + 1] if isinstance(value, str) else value


class Placer:
    """Has the store keep what records show. `read` gives the forms of records in order, None of unreadable ones."""

    def __init__(self, store: Store, fields: bytes, read: Callable[[Sequence[str]], Sequence[Forms | None]]) -> None:
        self._store = store
        self._fields = fields
        self._read = read

    def step(self) -> bool:
        """Read a page of records; whether there is more to read. Raises as `Store.commit` does."""
        store, found = self._store, self._store.placement()
        if found is None or found.fields != self._fields:
            store.commit([Batch(placement=Placement(self._fields, ""))])
            return True
        if found.through is None:
            return False
        page = store.records(found.through, _PAGE)
        if not page:
            store.commit([Batch(placement=Placement(self._fields))])
            return False
        if found.through == "":
            store.commit([Batch(placement=Placement(self._fields, ""))])  # of what there is some may be of before
        seqs = {record: head.seq for record in page if (head := store.record_head(record)) is not None}
        forms = dict(zip(page, self._read(page), strict=True))
        read = {record: (seq, forms[record] or _NONE) for record, seq in seqs.items()}
        store.commit([Batch(forms=read, placement=Placement(self._fields, page[-1]))])
        return True


def read_here(store: Store, schemas: Schemas) -> Callable[[Sequence[str]], Sequence[Forms | None]]:
    """How a device reads forms, which builds its own records."""

    def forms(record: str) -> Forms | None:
        document = readable(lambda: Document.load(store.load(record).updates))
        return None if document is None else forms_of(values_shown(document, schemas.get(ids.collection_of(record))))

    return lambda records: [forms(record) for record in records]
