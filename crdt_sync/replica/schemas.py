"""The schemas of a replica: kept here, and shared with everybody as records, see `crdt_sync.records.definition`.

Rules:

1. What a collection's record defines is used, whatever was used here before, so that devices with equal records show
   them alike. Where a definition comes that does not fit what is used here, ours is written beside it first: then
   everybody sees both, and the one that counts is the same for all. Where a policy is in force, ours gives way without
   that if this user may define nothing, or if it came with the release and no record here is read by it.
2. A collection that has no definition and the name of a bundled schema has that one, in the release's first version,
   which all releases have. So it need not travel as long as nobody changes it.
3. The local copy, in `meta`, follows the records: at each integration, and at each opening.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from crdt_sync import ids
from crdt_sync.errors import CrdtSyncError, EditForbidden, InvalidSchema, StoreCorrupt, StoreError, UsageError
from crdt_sync.limits import SCHEMA_BYTES_MAX, SCHEMA_VERSION_MAX, SCHEMAS_TAKEN_BYTES_MAX, SCHEMAS_TAKEN_MAX
from crdt_sync.records import Schema, bundled_schema, parse_schema
from crdt_sync.records.definition import FIELD, READABLE, Definition, disputed, in_use, mark, written
from crdt_sync.records.entries import well_formed
from crdt_sync.records.evolution import (
    Form,
    check_admits,
    check_ranks,
    check_same,
    check_sections,
    check_successor,
    forms,
    ranks,
)
from crdt_sync.replica.context import Context
from crdt_sync.replica.edits import Edits
from crdt_sync.replica.loading import loaded
from crdt_sync.replica.reading import schemaless
from crdt_sync.replica.views import refresh_views, rules
from crdt_sync.storage.values import Batch

if TYPE_CHECKING:
    from crdt_sync.storage.port import Settings

_log = logging.getLogger(__name__)
_SCHEMA = "schema/"
_FORMS = "forms/"  # kind and type of every field that a schema of the collection ever had
_RANKS = "ranks/"  # the same of the ranks of its stages' states
_FOLLOWED = "followed/"  # how the record of a definition stood when it was last looked at
_LOOKED = "schemas_shared"  # there once this store was looked through for collections without a schema


def known_schemas(store: "Settings") -> dict[str, Schema]:
    """The schemas that a store keeps."""
    return {
        name: parse_schema((store.meta(_SCHEMA + name) or b"").decode(), f"schema {name!r} of this replica")
        for name in (store.meta("schemas") or b"").decode().split()
    }


class Schemas:
    """What one replica does about schemas. The turn is taken where it is needed."""

    def __init__(self, context: Context, edits: Edits) -> None:
        self._context = context
        self._edits = edits
        self._store = context.store
        self._behind: set[str] = set()  # collections whose definition came and is not used yet

    def add(self, schema: Schema, *, share: bool = True, stricter: bool = False) -> None:
        """See `Replica.add_schema`; without `share`, the next `open` shares it."""
        if self._done_by_owner("stricter schema" if stricter else "schema", schema.to_toml()):
            return
        if ids.is_reserved(schema.collection):
            raise UsageError(f"the collection {schema.collection!r} is reserved", "Choose another name.")
        with self._context.lock:
            known = self._context.schemas.get(schema.collection)
            if known is not None and known.version > schema.version:
                raise UsageError(
                    f"schema {schema.collection!r} is here in version {known.version}, newer than {schema.version}",
                    "Raise the version in the schema file.",
                )
            kept, ranked = self._forms(schema.collection), self._ranks(schema.collection)
            if known is not None and self._is_unused(known) and not self.definitions(schema.collection):
                known, kept, ranked = None, {}, {}
            check_successor(kept, schema)
            if known is not None:
                check_sections(kept, known, schema)
                check_same(known, schema)
                if not stricter:
                    check_admits(known, schema)
            check_ranks(ranked, schema)
            try:
                if share:
                    marks = [mark(known)] if known is not None and stricter else []
                    self._share(schema, kept, ranked, settled=marks)
                self._keep(schema, kept, ranked)
            except StoreError:  # it may be found whole, and then others come to use it
                self.doubt((ids.schema_record(schema.collection),))
                raise

    def open(self) -> None:
        """Follow what the records define, and share what only this store knows, when a store is opened.

        A store from before schemas travelled writes its own beside those that came to it meanwhile.
        """
        with self._context.lock, self._excused("schemas are not shared yet"):
            defined = self._defined()
            self._behind.update(each for each in defined if self._mark(each) != self._store.meta(_FOLLOWED + each))
            self.received(())
            for schema in list(self._context.schemas.values()):
                if schema.collection not in defined:
                    with self._excused(f"the schema of {schema.collection!r} is not shared yet"):
                        self._share(schema, self._forms(schema.collection), self._ranks(schema.collection))
            if self._store.meta(_LOOKED) is None:
                self.follow_bundled(found.collection for found in schemaless(self._context))
                self._store.commit([Batch(meta={_LOOKED: b"1"})])

    @property
    def behind(self) -> tuple[str, ...]:
        """The collections whose definition came and could not be used yet, because the disk refused."""
        return tuple(sorted(self._behind))

    @contextmanager
    def _excused(self, what: str) -> Iterator[None]:
        """What is here can be read and synced all the same.

        Whoever meets a full disk or a damaged record tells of it; `behind` has a record that has no room for ours.
        """
        try:
            yield
        except CrdtSyncError as error:
            _log.info("%s: %s", what, error.message)

    def doubt(self, records: Iterable[str]) -> None:
        """These may have been stored, or not: look at the next chance what they define."""
        self._behind.update(collection for record in records if (collection := ids.defined_by(record)) is not None)

    def received(self, records: Iterable[str]) -> None:
        """Follow what a partner sent, and what could not be followed before, as when the disk was full."""
        found = list(dict.fromkeys(records))
        with self._context.lock:
            self.doubt(found)
            noted: dict[str, bytes | None] = {}
            for collection in sorted(self._behind):
                with self._excused(f"the schema of {collection!r} that came is not used yet"):
                    if self._follow(collection):
                        noted |= self._followed(collection)
                    self._behind.discard(collection)
            if noted:
                with self._excused("that definitions were looked at is not noted"):
                    self._store.commit([Batch(meta=noted)])
            with self._excused("a bundled schema is not used yet"):
                self.follow_bundled(ids.collection_of(record) for record in found)

    def stored(self, kind: str, records: Sequence[str]) -> None:
        """These were stored, `kind` as in `Event`: what they define is used from now on."""
        if self._context.known_owner is not None:
            self.reload(records)
        elif kind == "received":
            self.received(records)

    def recover(self, collections: Sequence[str]) -> None:
        """The local copies of these were damaged: take them anew from what the records define, or this release has."""
        with self._context.lock:
            self._behind.update(collections)
            self.received(())
            with self._excused("a bundled schema is not used yet"):
                self.follow_bundled(collections)

    def reload(self, records: Iterable[str] | None = None) -> None:
        """Another program that owns the store has stored these, or any: what it uses by now is used here."""
        known = self._context.schemas
        if records is None or any(ids.defined_by(each) or ids.collection_of(each) not in known for each in records):
            self._context.schemas = known_schemas(self._store)

    def follow_bundled(self, collections: Iterable[str]) -> None:
        """Take the bundled schema for collections that have none; see rule 2."""
        for collection in dict.fromkeys(collections):
            if collection not in self._context.schemas and (bundled := _bundled(collection)) is not None:
                self._keep(bundled, self._forms(collection), self._ranks(collection))

    def definitions(self, collection: str) -> tuple[Definition, ...]:
        """What the records define: the first counts, others did not know of it."""
        stored = self._store.load(ids.schema_record(collection))
        if stored.head is None:
            return ()
        raw = loaded(ids.schema_record(collection), stored.updates).contents().get(f"c.{FIELD}")
        return in_use((entry[0] for entry in well_formed(raw)) if isinstance(raw, list) else (), collection)

    def disputed(self) -> dict[str, tuple[Definition, ...]]:
        """The collections with definitions that do not fit the one that counts; what is damaged is told by others."""
        found: dict[str, tuple[Definition, ...]] = {}
        read = 0
        with suppress(StoreCorrupt):
            for collection in self._defined():
                if collection not in self._context.schemas:
                    continue
                if read > SCHEMAS_TAKEN_BYTES_MAX:
                    break  # this is asked by each command: it tells of a part
                with suppress(StoreCorrupt):
                    read += sum(map(len, self._store.load(ids.schema_record(collection)).updates))
                    found[collection] = self.definitions(collection)
        return {collection: each for collection, each in found.items() if len(each) > 1 and disputed(each)}

    def resolve(self, collection: str, number: int) -> Schema:
        """Use one of the definitions for good, counted from 1 in the order of `definitions`; see `Replica`."""
        if self._done_by_owner("resolve schema", collection, number):
            return self._context.schemas[collection]
        with self._context.lock:
            found = self.definitions(collection)
            if len(found) < 2 or not disputed(found):
                raise UsageError(
                    f"nothing is to be decided about the schema of {collection!r}", "See 'crdt-sync schema'."
                )
            if not 1 <= number <= len(found):
                raise UsageError(f"{collection!r} has {len(found)} definitions", f"Name one of 1 to {len(found)}.")
            chosen = found[number - 1]
            highest = found[0].schema.version
            version = highest if number == 1 else min(highest + 1, SCHEMA_VERSION_MAX)
            schema = replace(chosen.schema, version=version)
            settled = [mark(definition.schema) for definition in found]
            self._share(schema, chosen.forms, chosen.ranks, settled=settled)
            self._keep(schema, chosen.forms, chosen.ranks)
            return schema

    def _done_by_owner(self, *request: object) -> bool:
        """Where another program owns the store, have it done there, and use what came of it."""
        if (owner := self._context.owner) is None:
            return False
        owner.ask(*request)
        self._context.schemas = known_schemas(self._store)
        return True

    def _defined(self) -> list[str]:
        records = self._store.records("", SCHEMAS_TAKEN_MAX, f"{ids.SCHEMAS}/")
        return [collection for record in records if (collection := ids.defined_by(record)) is not None]

    def _follow(self, collection: str) -> bool:
        """Use what the record of a collection defines, once ours stands beside it where the two do not fit.

        Returns whether the record was looked at: not where no other collection can be used here.
        """
        known = self._context.schemas.get(collection)
        if known is None and len(self._context.schemas) >= SCHEMAS_TAKEN_MAX:
            return False
        found = self.definitions(collection)
        if not found:
            return True
        if known is not None and known not in [each.schema for each in found]:
            own, first = Definition(known, self._forms(collection), self._ranks(collection)), found[0]
            fits = known.version <= first.schema.version and own.fits(first.schema)
            if not fits and mark(known) not in first.settled and not self._is_unused(known):
                with suppress(EditForbidden):
                    self._share(known, own.forms, own.ranks, beside=True)
                    found = self.definitions(collection)
        first = found[0]
        if first.schema != known and self._has_room(first.schema):
            self._keep(first.schema, first.forms, first.ranks)
        return True

    def _is_unused(self, schema: Schema) -> bool:
        """Whether this is what a release brings, nothing here is read by it, and a policy says who defines."""
        collection = schema.collection
        return (
            self._context.in_force() is not None
            and schema == _bundled(collection)
            and not self._store.records("", 1, f"{collection}/")
        )

    def _mark(self, collection: str) -> bytes:
        """What changes where the record of a definition does, or what this release can read in it."""
        head = self._store.record_head(ids.schema_record(collection))
        told = b"" if head is None else head.seq.to_bytes(8, "big") + head.state_vector
        return hashlib.blake2b(READABLE.encode() + told, digest_size=16).digest()

    def _followed(self, collection: str) -> dict[str, bytes | None]:
        """What is to be noted, so that opening reads no definition again that was read: there may be many."""
        mark_of, meta = self._mark(collection), _FOLLOWED + collection
        return {} if self._store.meta(meta) == mark_of else {meta: mark_of}

    def _has_room(self, schema: Schema) -> bool:
        """Whether a schema that came can be used here: all that are used are read by each program that begins."""
        others = (name for name in self._context.schemas if name != schema.collection)
        size = len(schema.to_toml()) + sum(len(self._store.meta(_SCHEMA + name) or b"") for name in others)
        if size > SCHEMAS_TAKEN_BYTES_MAX:
            _log.info("the schema of %r that came is not used: all would have %d bytes", schema.collection, size)
        return size <= SCHEMAS_TAKEN_BYTES_MAX

    def _share(
        self,
        schema: Schema,
        known: Mapping[str, Form],
        known_ranks: Mapping[str, Mapping[str, int]],
        *,
        beside: bool = False,
        settled: Sequence[str] = (),
    ) -> None:
        """Write the definition of a collection, in the place of those that are here, or beside them."""
        here = self.definitions(schema.collection)
        if not here and schema == _bundled(schema.collection):
            return
        settled = [*(each for definition in here for each in definition.settled), *settled]
        text = written(schema, known, known_ranks, settled)
        if len(text) > SCHEMA_BYTES_MAX:
            raise InvalidSchema(
                f"the schema of {schema.collection!r} has {len(text)} characters, and {SCHEMA_BYTES_MAX} can be shared",
                "Shorten its labels, aliases and choices, or put some fields into a collection of their own.",
            )
        with self._edits.reserved(ids.schema_record(schema.collection)) as editor:
            if beside:
                editor.add(FIELD, text)
            else:
                editor[FIELD] = text

    def _keep(self, schema: Schema, known: Mapping[str, Form], known_ranks: Mapping[str, Mapping[str, int]]) -> None:
        """Use a schema here. Views of records that are read by other rules than before are made anew."""
        before = self._context.schemas.get(schema.collection)
        if before is None or rules(before) != rules(schema):
            refresh_views(self._store, schema)
        names = sorted({*self._context.schemas, schema.collection})
        meta: dict[str, bytes | None] = {
            "schemas": " ".join(names).encode(),
            _SCHEMA + schema.collection: schema.to_toml().encode(),
            _FORMS + schema.collection: json.dumps({**known, **forms(schema)}).encode(),
            _RANKS + schema.collection: json.dumps({**known_ranks, **ranks(schema)}).encode(),
        }
        self._store.commit([Batch(meta=meta)])
        self._context.schemas = {**self._context.schemas, schema.collection: schema}

    def _forms(self, collection: str) -> dict[str, Form]:
        known = self._context.schemas.get(collection)
        stored = json.loads(self._store.meta(_FORMS + collection) or b"{}")
        return {
            **{name: (kind, of_type) for name, (kind, of_type) in stored.items()},
            **(forms(known) if known else {}),
        }

    def _ranks(self, collection: str) -> dict[str, Mapping[str, int]]:
        known = self._context.schemas.get(collection)
        return {**json.loads(self._store.meta(_RANKS + collection) or b"{}"), **(ranks(known) if known else {})}


@cache
def _bundled(collection: str) -> Schema | None:
    try:
        return bundled_schema(collection)
    except InvalidSchema:
        return None
