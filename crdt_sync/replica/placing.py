"""What records show in the fields that choose them: read from documents, kept by the store, read anew where need be.

It is read anew, a page at a time and from where it was left, where a schema declares other filter fields or reads them
otherwise, where an update came without it, and in a store that never kept it. Meanwhile nobody is served whom it
concerns.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from crdt_sync import ids
from crdt_sync.errors import StoreCorrupt
from crdt_sync.limits import SCHEMAS_TAKEN_MAX
from crdt_sync.policy.values import Values, forms_of
from crdt_sync.records import Document
from crdt_sync.records.filtered import Schemas, fields_of, values_shown
from crdt_sync.replica.readable import readable
from crdt_sync.storage.port import Store
from crdt_sync.storage.values import Batch, Placement

_PAGE = 256
_FIRST = "0"  # before all records


class Placer:
    """What a store is to be told so that it keeps what records show in `fields`: read on from where it was left.

    First commit what `begin` gives, one after the other; then, while `page` gives records, what `read` makes of them;
    at the end `end`.
    """

    def __init__(self, store: Store, fields: bytes) -> None:
        self._store = store
        self._fields = fields

    def begin(self) -> tuple[Batch, ...]:
        """What is to be committed before anything is read: nothing, where reading goes on."""
        found = self._store.placement()
        if found is not None and found.fields == self._fields and found.through != "":
            return ()
        return Batch(placement=Placement(self._fields, "")), Batch(placement=Placement(self._fields, _FIRST))

    def page(self) -> list[str]:
        """The next records to read; none where all were read."""
        found = self._store.placement()
        if found is None or found.fields != self._fields or not found.through:
            return []
        return self._store.records(found.through, _PAGE)

    def seqs(self, page: Sequence[str]) -> dict[str, int]:
        """Where these records stand: to be asked before they are read."""
        found = {}
        for record in page:
            with suppress(StoreCorrupt):
                if (head := self._store.record_head(record)) is not None:
                    found[record] = head.seq
        return found

    def read(self, page: Sequence[str], seqs: Mapping[str, int], shown: Sequence[Values | None]) -> Batch:
        """These records were read as they stood, and show this; None of one that cannot be read."""
        values = dict(zip(page, shown, strict=True))
        forms = {record: (seq, forms_of(values[record] or {})) for record, seq in seqs.items()}
        return Batch(forms=forms, placement=Placement(self._fields, page[-1]))

    def end(self) -> Batch:
        """All was read."""
        return Batch(placement=Placement(self._fields))


def place(store: Store, schemas: Schemas) -> None:
    """Have a store keep what its records show, all at once. Raises as `Store.commit` does."""
    placer = Placer(store, fields_of(schemas))
    for batch in placer.begin():
        store.commit([batch])
    while page := placer.page():
        seqs = placer.seqs(page)
        store.commit([placer.read(page, seqs, shown_here(store, schemas, page))])
    store.commit([placer.end()])


def shown_here(store: Store, schemas: Schemas, records: Sequence[str]) -> list[Values | None]:
    """What records show, for who builds their documents itself; None of one that cannot be read."""

    def values(record: str) -> Values | None:
        document = readable(lambda: Document.load(store.load(record).updates))
        return None if document is None else values_shown(document, schemas.get(ids.collection_of(record)))

    return [values(record) for record in records]


def defined(store: Store) -> list[str]:
    """The collections of which a store holds a schema as a record."""
    records = store.records("", 2 * SCHEMAS_TAKEN_MAX, f"{ids.SCHEMAS}/")
    return [record.partition("/")[2] for record in records]
