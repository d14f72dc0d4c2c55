"""The rules that the gate goes by, on both sides of the pipe: what the parent tells a worker, once each, and what that
makes of it.

A worker has no store. So it is told the policy, where it has another one, and of each collection what is stored of
its definition, where it was told none or that has changed.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from crdt_sync import ids
from crdt_sync.errors import StoreError
from crdt_sync.limits import SCHEMAS_TAKEN_MAX
from crdt_sync.policy.in_force import InForce
from crdt_sync.policy.model import masks_of
from crdt_sync.policy.packed import packed, unpacked
from crdt_sync.policy.values import Values, forms_of
from crdt_sync.records import Document, Schema, bundled_schema
from crdt_sync.records.definition import DEFINITIONS, FIELD, in_use
from crdt_sync.records.entries import well_formed
from crdt_sync.records.filtered import fields_of, values_shown
from crdt_sync.records.gate.permitted import Rules
from crdt_sync.records.import_book import IMPORT_BOOKS
from crdt_sync.records.masking import can_be_masked
from crdt_sync.replica.readable import readable
from crdt_sync.runtime.worker.pipe import Told

if TYPE_CHECKING:  # a worker has no store
    from crdt_sync.storage.port import Records

Load = Callable[[str], Sequence[bytes]]
_OWN = {schema.collection: schema for schema in (DEFINITIONS, IMPORT_BOOKS)}


def standing_at(records: "Records", record: str) -> int:
    """Where a record stands in the log of a store, 0 for nowhere. Raises `StoreError`."""
    head = records.record_head(record)
    return 0 if head is None else head.seq


class Teller:
    """What one worker was told. `load` gives what is stored of a record, and `seq` where that stands, 0 for nothing."""

    def __init__(self, load: Load, seq: Callable[[str], int]) -> None:
        self._load = load
        self._seq = seq
        self._in_force: InForce | None = None
        self._told: dict[str, int] = {}

    def told(self, in_force: InForce, records: Sequence[str]) -> Told:
        """What the worker needs to hear before it judges updates of these records; it has heard it then."""
        policy = None if self._in_force is in_force else packed(in_force.policy)
        self._in_force = in_force
        definitions = {}
        for collection in dict.fromkeys(ids.whole_collection(ids.collection_of(record)) for record in records):
            if collection in _OWN:
                continue
            definition = ids.schema_record(collection)
            try:
                seq = self._seq(definition)
                if self._told.get(collection) == seq:
                    continue
                definitions[collection] = tuple(self._load(definition)) if seq else ()
            except StoreError:  # it is damaged: without a schema little is granted
                seq, definitions[collection] = 0, ()
            if len(self._told) >= SCHEMAS_TAKEN_MAX:
                self._told.pop(next(iter(self._told)))
            self._told[collection] = seq
        return Told(in_force.version, policy, definitions, in_force.issuer)


class Ruling:
    """The worker's side: the rules of each collection, as it was told of."""

    def __init__(self) -> None:
        self._in_force: InForce | None = None
        self._schemas: dict[str, Schema | None] = dict(_OWN)
        self._rules: dict[str, Rules] = {}
        self._bundled = {"customers": bundled_schema("customers")}  # later no file can be opened

    def hear(self, told: Told) -> None:
        """Go by what the parent tells from now on."""
        if told.policy is not None:
            self._in_force = InForce(told.version, unpacked(told.policy), issuer=told.issuer)
            self._rules.clear()
        for collection, stored in told.definitions.items():
            if len(self._schemas) > SCHEMAS_TAKEN_MAX + len(_OWN):
                self._forget_one()
            self._schemas[collection] = self._defined(collection, stored)
            self._rules.pop(collection, None)

    def defined(self, record: str, stored: bytes) -> None:
        """A definition was let in just now, which the parent has yet to commit: what follows it goes by it already."""
        collection = ids.defined_by(record)
        if collection is not None:
            self._schemas[collection] = self._defined(collection, (stored,))
            self._rules.pop(collection, None)

    def of(self, record: str, whole: Sequence[bytes] = (), shown: Values | None = None) -> Rules:
        """The rules for a record, of whose collection it was told; for a companion with what is stored of its record,
        nothing where that is not here. `shown` is what that one shows where it was judged a moment ago, and is not
        stored yet.
        """
        collection = ids.collection_of(record)
        if section := ids.section_of(record):
            return self._of_companion(collection, section, whole, shown)
        rules = self._rules.get(collection)
        if rules is None:
            assert self._in_force is not None
            rules = self._rules[collection] = Rules(self._in_force, collection, self._schemas.get(collection))
        return rules

    def _of_companion(
        self, collection: str, section: str, whole: Sequence[bytes], shown: Values | None = None
    ) -> Rules:
        assert self._in_force is not None
        schema = self._schemas.get(ids.whole_collection(collection))
        fields = None if schema is None else schema.sections.get(section)
        if shown is None and whole and (document := readable(lambda: Document.load(whole))) is not None:
            shown = values_shown(document, schema)
        return Rules(self._in_force, collection, fields, None if shown is None else forms_of(shown))

    def fields_of(self, collection: str) -> bytes:
        """A name for the filter fields of a collection that it was told of."""
        schema = self._schemas.get(collection)
        return fields_of({} if schema is None else {collection: schema})

    def masks_of(self, collection: str) -> list[tuple[str, str, str]]:
        """What the policy shows in part of a collection that it was told of: section, field and mask, sorted."""
        schema = self._schemas.get(collection)
        if schema is None or self._in_force is None:
            return []
        return sorted(
            (schema.fields[field].section or "", field, mask)
            for field, mask in masks_of(self._in_force.policy, collection)
            if can_be_masked(schema, field, mask)
        )

    def section(self, companion: str) -> Schema | None:
        """The schema of a section, by one of its companions."""
        schema = self._schemas.get(ids.whole_collection(ids.collection_of(companion)))
        return None if schema is None else schema.sections.get(ids.section_of(companion))

    def _forget_one(self) -> None:
        oldest = next(each for each in self._schemas if each not in _OWN)
        self._schemas.pop(oldest)
        self._rules.pop(oldest, None)

    def _defined(self, collection: str, stored: Sequence[bytes]) -> Schema | None:
        try:
            raw = Document.load(stored).contents().get(f"c.{FIELD}") if stored else None
            found = in_use((entry[0] for entry in well_formed(raw)), collection) if isinstance(raw, list) else ()
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException:  # pycrdt's PanicException is no Exception
            return None
        return found[0].schema if found else self._bundled.get(collection)
