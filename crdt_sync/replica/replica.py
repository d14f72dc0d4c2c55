"""The replica: a durable set of customer records that one device, or one program, reads and edits.

    with Replica.open_or_create("anna", "anna-phone", [bundled_schema("customers")]) as replica:
        with replica.edit("customers") as customer:
            customer["name"] = "Müller GmbH"
            customer.add("tags", "key account")
        for view in replica.find("customers", city="Berlin"):
            print(view.record, view["name"])

Every method may be called from any thread. An edit is on disk when its block ends. What a command that reads or edits
does not need, status, repair and what partners send, is imported where it is asked for.
"""

import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from crdt_sync import ids
from crdt_sync.clock import HybridClock
from crdt_sync.errors import StoreCorrupt, StoreExists, StoreFailed, StoreInUse, StoreMissing, UsageError
from crdt_sync.protocol.entries import UpdatesEntry
from crdt_sync.records import Conflict, Document, Schema
from crdt_sync.records.authors import Authored
from crdt_sync.records.imported import ImportedChange
from crdt_sync.replica import opening, reading, signing
from crdt_sync.replica.allowed import check_import
from crdt_sync.replica.blocks import Block
from crdt_sync.replica.collections import Schemaless
from crdt_sync.replica.context import Context
from crdt_sync.replica.edits import EditedRecord, Edits
from crdt_sync.replica.events import Event
from crdt_sync.replica.former import Former, former
from crdt_sync.replica.integration import integrate
from crdt_sync.replica.keys import Duplicate, KeyStanding
from crdt_sync.replica.origin import Origin
from crdt_sync.replica.owner.message import NO_ROLE
from crdt_sync.replica.receipts import Holding, holding
from crdt_sync.replica.reports import report
from crdt_sync.replica.results import Results
from crdt_sync.replica.schemas import Schemas, known_schemas
from crdt_sync.replica.sharing import Sharing
from crdt_sync.replica.views import RecordView
from crdt_sync.storage.port import Store
from crdt_sync.storage.values import Batch, Peer

if TYPE_CHECKING:
    from crdt_sync.identity.certified import DeviceSigner
    from crdt_sync.membership.member import Membership
    from crdt_sync.policy.in_force import InForce
    from crdt_sync.replica.owner.asking import Owner
    from crdt_sync.replica.owner.requests import Action
    from crdt_sync.replica.owner.sent import SentEdit
    from crdt_sync.replica.repair import Repair
    from crdt_sync.replica.status import PartnerStatus, RecordStatus, Status
    from crdt_sync.replica.typed import TypedCollection

T = TypeVar("T")


class Replica:
    """See the module. Make one with `create` or `open`; `over` puts one on any store, for tests and simulations."""

    def __init__(
        self, store: Store, *, wall_clock: Callable[[], int], rng: random.Random, owner: "Owner | None" = None
    ) -> None:
        self.context = Context(store, known_schemas(store), wall_clock=wall_clock, rng=rng, owner=owner)
        self._edits = Edits(self.context)
        self.shared_schemas = Schemas(self.context, self._edits)
        self.context.stored = self.shared_schemas.stored
        self._mended: tuple[str, ...] = ()  # settings that were set aside when this was opened to be repaired
        self._sharing = Sharing(self.context)
        self.context.succeeded = self._succeeded
        self.folder: Path | None = None  # where the store is, and what is kept beside it
        self._membership: Membership | None = None
        self._is_member = False

    @property
    def membership(self) -> "Membership | None":
        """What this device is in a space with identities; None where it joined none. Raises `KeyUnusable`."""
        if self._membership is None and self._is_member and self.folder is not None:
            from crdt_sync.membership.folder import load  # noqa: PLC0415 - most devices need none of it

            self.join_as(load(self.folder))
        return self._membership

    def join_as(self, membership: "Membership | None") -> None:
        """Be that member of its space from here on."""
        if membership is not None:
            membership.now = lambda: self.wall_clock() + self.clock.offset
        self._membership = membership
        self._be_member(membership is not None)

    def hear(self, statements: Sequence[bytes]) -> None:
        """Take what the space said, as somebody passes it on, and have the program that owns the store take it, which
        may be talking to others. Raises `IdentityRefused` for what nobody of the space passes on.
        """
        member, owner = self.membership, self.owner
        if member is not None:
            member.hear(statements)
        if owner is not None:
            owner.ask("hear", tuple(statements))

    def _be_member(self, is_member: bool) -> None:
        self._is_member = is_member
        if is_member:
            self.context.go_by(self._policy, self._user, self._signer)
        else:
            self.context.go_by(lambda: None, None)

    def _kept_in(self, folder: Path) -> None:
        """The store is in that folder, and what is kept beside it. To join a space takes the store alone."""
        self.folder = folder
        if (folder / opening.MEMBER_FILE).exists():
            self._be_member(True)

    async def obey_silence(self) -> None:
        """Look at how long this device was without contact to its space. Where the space's policy asks for it, raises
        `DeviceLocked`, after which nobody is to use this replica, or closes and destroys the store, and raises
        `DeviceWiped`.
        """
        if self._is_member and self.folder is not None:
            import asyncio  # noqa: PLC0415 - whoever asks has it; commands that sync nothing need none of it

            from crdt_sync.replica import silence  # noqa: PLC0415 - most devices are in no such space

            await asyncio.to_thread(silence.obeyed, self.folder, self.wall_clock(), self.close)

    def sign_unsent(self) -> int:
        """Sign by the user's name what was edited here under the device's, and nobody else has, once the device has
        joined a space with identities. Returns in how many records that was anything.
        """
        return signing.sign_unsent(self.store, self._edits, self.name, self.context.author)

    def _policy(self) -> "InForce | None":
        member = self.membership
        return None if member is None else member.in_force()

    def _user(self) -> str:
        member = self.membership
        return "" if member is None else member.user

    def _signer(self) -> "DeviceSigner | None":
        member = self.membership
        return None if member is None else member.signer()

    @property
    def store(self) -> Store:
        """Where the records are."""
        return self.context.store

    @property
    def owner(self) -> "Owner | None":
        """The program that owns the store, where that is another one."""
        return self.context.owner

    @property
    def name(self) -> str:
        """Who edits here are signed by."""
        return self.context.name

    @name.setter
    def name(self, name: str) -> None:
        self.context.name = name

    def go_by(self, in_force: "Callable[[], InForce | None]", user: str) -> None:
        """Check edits by the policy that `in_force` tells, for `user`, by whose name they are signed from now on."""
        self.context.go_by(in_force, lambda: user)

    @property
    def schemas(self) -> Mapping[str, Schema]:
        """The schemas that are known here, by collection."""
        return self.context.schemas

    @property
    def clock(self) -> HybridClock:
        """What edits are stamped by."""
        return self.context.clock

    @property
    def wall_clock(self) -> Callable[[], int]:
        """Microseconds since 1970, as this device has them."""
        return self.context.wall_clock

    @property
    def damaged(self) -> dict[str, str]:
        """Records that were met damaged in this life, and what is wrong with each, until they are whole again."""
        return self.context.damaged

    @property
    def unshown(self) -> set[str]:
        """Those of the damaged records that no reading could show."""
        return self.context.unshown

    # --- opening and closing ---------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path | str, name: str, schemas: Iterable[Schema] = (), *, share: bool = True) -> Self:
        """Make a new replica in the directory `path`, where `~` is the user's home.

        `name` is who its edits are signed by, say `anna-phone`. `share`: see `open`.

        Raises `StoreExists`, `StoreFailed`, `UsageError` for a name that is empty or too long.
        """
        store = opening.new_store(path, name)
        with opening.closed_on_failure(store):
            replica = cls.over(store)
            replica._kept_in(opening.expanded(path))
            for schema in schemas:
                replica.shared_schemas.add(schema, share=False)
            store.commit([Batch(meta={"name": name.encode()})])  # a replica without a name is not complete
            replica.name = name
            replica.shared_schemas.open()
        if share:
            replica.share()
        return replica

    @classmethod
    def open(cls, path: Path | str, *, share: bool = True) -> Self:
        """Open the replica in `path`.

        The first program that does owns the store, and serves other programs of the same user on this machine unless
        `share` is False. What they open goes through it: they read beside it, and it commits what they edit; who owns
        the store says `owner`. With `share`, they also hear of what others change. Where the owner ends, or is killed,
        one of them takes its place, and the others go on with that one.

        Raises `StoreMissing`, `StoreInUse` where the owner serves nobody, `StoreFormat`, `StoreCorrupt`.
        """
        store, owner = opening.open_store(path)
        with opening.closed_on_failure(store):
            replica = cls(store, wall_clock=opening.wall_clock, rng=random.SystemRandom(), owner=owner)
            replica._kept_in(opening.expanded(path))
            if owner is None:
                replica.shared_schemas.open()
        if share:
            replica.share()
        return replica

    def share(self, role: str = NO_ROLE, actions: "Mapping[str, Action]" = MappingProxyType({})) -> None:
        """Serve other programs, which see `role` and may ask for `actions`; or hear of what they do, where another one
        owns the store. Where the system gives no way, the store is used alone, which is logged.
        """
        self._sharing.begin(self, role, actions)

    def _succeeded(self) -> None:
        """The program that owned the store has ended; this one owns it now, or another one does."""
        try:
            self.shared_schemas.reload()
            if self.context.known_owner is None:
                self.shared_schemas.open()
        finally:  # the other programs go on with this one all the same
            self._sharing.renew()

    @classmethod
    def open_or_create(cls, path: Path | str, name: str, schemas: Iterable[Schema] = (), *, share: bool = True) -> Self:
        """The replica in `path`, made with `name` where there is none yet: what a program calls at its start.

        A replica that is there keeps its name, and takes those of the `schemas` that it does not know yet or knows in
        an older version. Raises what `create`, `open` and `add_schema` raise, but not `StoreExists`.
        """
        try:
            replica = cls.open(path, share=share)
        except StoreMissing:
            try:
                return cls.create(path, name, schemas, share=share)
            except (StoreExists, StoreInUse):  # another program makes it at the same time
                replica = cls.open(path, share=share)
        if not replica.name:  # a creation that was cut short
            replica.close()
            return cls.create(path, name, schemas, share=share)
        with opening.closed_on_failure(replica):
            for schema in schemas:
                known = replica.schemas.get(schema.collection)
                if known is None or known.version < schema.version:
                    replica.add_schema(schema)
        return replica

    @classmethod
    def open_to_repair(cls, path: Path | str) -> Self:
        """`open`, and where settings of the replica, or who it is, are damaged, without those: `repair` is to follow.

        Where the replica id was damaged, it has a new one.
        """
        store, identity = opening.open_to_repair(path)
        with opening.closed_on_failure(store):
            try:
                replica = cls.over(store)
                replica._mended = tuple(f"store/{each}" for each in identity)
                return replica
            except StoreCorrupt:
                from crdt_sync.replica.repair import mend_settings  # noqa: PLC0415

                mended = mend_settings(store)
                replica = cls.over(store)
                replica._mended = (*(f"store/{each}" for each in identity), *mended)
                return replica

    @classmethod
    def over(cls, store: Store, wall_clock: Callable[[], int] | None = None, rng: random.Random | None = None) -> Self:
        """A replica on an open store, which it will close."""
        return cls(store, wall_clock=wall_clock or opening.wall_clock, rng=rng or random.SystemRandom())

    def close(self) -> None:
        """Release the store, and serve it to nobody any more. Closing twice is harmless."""
        self._sharing.end()
        with self.context.lock:
            self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def id(self) -> bytes:
        """The replica's 16-byte id."""
        return self.store.replica

    def alone(self, what: str) -> None:
        """Raise `NotServed` where another program owns the store, and `what` takes the store alone."""
        self.context.alone(what)

    # --- schemas ---------------------------------------------------------------------------------------------

    def check_import(self, collection: str) -> None:
        """Raise `EditForbidden` where the policy lets whose device this is import into no record of a collection, and
        `UnknownCollection` where its schema has not come yet and is somebody else's to bring."""
        check_import(self.context, collection)

    def add_schema(self, schema: Schema, *, stricter: bool = False) -> None:
        """Add a collection, or a newer version of one. Raises `UsageError` for an older version, and
        `IncompatibleSchema` for one that changes what a field means or shows, or has the number of another one, see
        `crdt_sync.records.evolution`; so, too, for one that refuses what the present one takes, unless it may be
        `stricter`.

        It travels to the other devices as a record, and is used there; see `crdt_sync.replica.schemas`. Where it merges
        fields by other rules than before, the views of the records that are here already are made anew.
        """
        self.shared_schemas.add(schema, stricter=stricter)

    def disputed_schemas(self) -> Mapping[str, Sequence[Schema]]:
        """Collections that were defined in ways that do not fit each other: the schema that counts, and the others."""
        return {name: [each.schema for each in found] for name, found in self.shared_schemas.disputed().items()}

    def resolve_schema(self, collection: str, number: int) -> Schema:
        """Decide for one of the schemas that `disputed_schemas` has, counted from 1; what it is called now is returned.

        Raises `UsageError` where nothing is to be decided, or no schema has this number.
        """
        return self.shared_schemas.resolve(collection, number)

    def edit_reserved(self, record: str) -> Block[EditedRecord]:
        """A record of a reserved collection, to be edited by the part of this library that it is for."""
        return self._edits.reserved(record)

    def schema_of(self, record: str) -> Schema | None:
        """The schema of a record's collection, None where this replica does not know it."""
        return self.context.schema_of(record)

    def schemaless(self, collection: str | None = None) -> tuple[Schemaless, ...]:
        """Collections (or this one, if it is one) of which records are here, but no schema: to be read, not edited."""
        return reading.schemaless(self.context, collection)

    # --- editing ---------------------------------------------------------------------------------------------

    def edit(self, target: str, *, create: bool = False) -> Block[EditedRecord]:
        """Edit one record in a `with` block, or an `async with`; on disk when the block ends, unchanged when it raises.

        `target` is a record id, or the name of a collection for a new record. `create` allows a record id that
        is not known yet. Nobody waits for an open block: what others write into the record meanwhile is merged with it
        when it ends, as edits of two devices are. In a `with`, the thread waits for the disk at the end of the block;
        in an `async with`, only its task does.

        Raises `UnknownRecord`, `UnknownCollection`, `InvalidRecordId`, what the editor raises, `KeyTaken` where
        another record shows the natural key that this one comes to, and `StoreError` when the disk refuses.
        """
        if ids.is_reserved(target):
            if ids.collection_of(target) == ids.SCHEMAS:
                raise UsageError(f"{target} defines a collection", "Change its schema: crdt-sync schema add FILE.")
            raise UsageError(f"{target} tells which tables were imported", "Only an import writes it.")
        return Block(lambda who: self._edits.edit(who, target, create))

    def bring(
        self,
        record: str,
        source: str,
        changes: Sequence[ImportedChange],
        said: Mapping[str, object] | None,
        *,
        dry_run: bool = False,
    ) -> Mapping[str, object]:
        """Write what the source of an import says of one record, which is made if it is not here yet.

        Equal content is equal operations on every device, see `crdt_sync.records.imported`. `said` is remembered, in
        the record, as what `source` says of these fields from now on. `dry_run` only finds out what
        would be raised, what `edit` raises, and gives back what the record would show; else nothing is given back.
        """
        return self._edits.bring(record, source, changes, said, dry_run)

    def store_edits(self, edits: "Sequence[SentEdit]") -> None:
        """Store what another program wrote, in one commit. Raises what `edit` raises at the end of its block."""
        self._edits.store(edits)

    def batch(self) -> Block[None]:
        """All edits inside become durable together when the block ends; none of them when it raises.

        For a `with` or an `async with`. They are the edits of the task, or the thread, that opened it: others read what
        is on disk, and what they write has nothing to do with the batch. Raises `KeyTaken` at its end where somebody
        else has stored a natural key meanwhile that the batch gives to another record.
        """
        return Block(self._edits.batch)

    def delete(self, record: str) -> bool:
        """Delete a record, unless it is deleted; whether that changed anything.

        A concurrent edit elsewhere wins and is listed as a conflict.
        """
        with self.edit(record) as editor:
            editor.delete()
        return editor.changed

    def restore(self, record: str) -> bool:
        """Take a delete back, where there is one; whether that changed anything."""
        with self.edit(record) as editor:
            editor.restore()
        return editor.changed

    def resolve(self, record: str, field: str, value: Any) -> None:
        """Close a conflict: `value` supersedes all values that are seen here. Raises `NoConflict` without one."""
        with self.edit(record) as editor:
            editor.resolve(field, value)

    # --- reading ---------------------------------------------------------------------------------------------

    def get(self, record: str) -> RecordView:
        """The record as it is shown, a deleted one too. Raises `UnknownRecord`, `InvalidRecordId`."""
        return reading.get(self.context, ids.check_record(record), self._edits.pending)

    def list(self, collection: str | None = None, *, deleted: bool = False) -> Results[RecordView]:
        """All records of a collection (None: of all) that are not deleted, or with `deleted` those too.

        For a `for` or an `async for`.

        A record that is damaged beyond being shown is left out, and named in `unshown`.

        Raises `UnknownCollection` at once where nobody here knows the collection, neither a schema nor a record.
        """
        return Results(reading.listed(self.context, collection, deleted=deleted))

    def find(self, collection: str | None = None, text: str = "", **equals: Any) -> Results[RecordView]:
        """Records whose fields have the given values, and that contain `text` in any field; as `list` gives them.

        A set has each of its members: `find(tags="vip")`. Texts are compared without case, blanks and the like, see
        `crdt_sync.records.comparing`. Raises `UnknownCollection` and `UnknownField` at once.
        """
        return Results(reading.found(self.context, collection, text, equals))

    def conflicts(self, collection: str | None = None, *, superseded: bool = False) -> Sequence[tuple[str, Conflict]]:
        """The open conflicts: values written without knowing each other, where the schema asks for a decision.

        With `superseded` also those of the other fields (`Conflict.open` is False), of which the latest value is shown
        and no question asked; every record is read for them.
        """
        return reading.conflicts(self.context, collection, superseded=superseded)

    def duplicates(self, collection: str | None = None) -> Sequence[Duplicate]:
        """Records that show one natural key, because they were entered or changed on devices that did not know it.

        To settle one, change the key of all records but one, or delete them. Raises `UnknownCollection`.
        """
        return self._edits.duplicates(collection)

    def key_standing(self, collection: str, values: Mapping[str, object]) -> KeyStanding:
        """Which records show a natural key, and which id a new one would get. `values` has the fields of the key.

        Raises `UnknownCollection`, and `InvalidValue` for a key that is not complete.
        """
        return self._edits.standing(collection, values)

    def conflicts_of(self, record: str, *, superseded: bool = False) -> Sequence[Conflict]:
        """The open conflicts of one record, or all as in `conflicts`.

        None where it is damaged, which `damaged` and `unshown` tell then. Raises `UnknownRecord`.
        """
        return reading.conflicts_of(self.context, record, superseded=superseded)

    def authors(self, record: str) -> Sequence[Authored]:
        """Who wrote each value that a record holds in its fields, as it says, and whether that is verified, claimed or
        forged. Raises `UnknownRecord`, `StoreCorrupt`.
        """
        return reading.authors(self.context, record)

    def count(self) -> int:
        """How many records are held, deleted ones included, those of reserved collections not."""
        return reading.count(self.store)

    def document(self, record: str) -> Document:
        """A private copy of the record's document. Raises `UnknownRecord`."""
        return reading.document(self.store, record)

    def formerly(self, record: str) -> Former:
        """What the fields of a record held before, as far as it is known here."""
        with self.context.lock:
            return former(self.store, record, self.schema_of(record))

    def typed(self, of: type[T], collection: str) -> "TypedCollection[T]":
        """The records of a collection as instances of a class, a dataclass or a Pydantic model; see docs/python.md.

        Raises `UnknownCollection` where its schema is not here, `InvalidSchema` where the class does not fit that, and
        `UnknownField` for an attribute that is no field.
        """
        from crdt_sync.replica.typed import TypedCollection  # noqa: PLC0415 - most commands need none of it

        return TypedCollection(self, of, collection)

    # --- what partners hold ----------------------------------------------------------------------------------

    def status(self) -> "Status":
        """Counts over everything: records, and per partner what is pending, refused and to be fetched.

        The cost is bounded, see `crdt_sync.replica.status`.
        """
        from crdt_sync.replica import status  # noqa: PLC0415

        return status.status(self.context)

    def partners(self) -> "Sequence[PartnerStatus]":
        """Every partner that this replica has synced with; a few reads for each."""
        from crdt_sync.replica import status  # noqa: PLC0415

        return status.partners(self.store, self.wall_clock())

    def record_status(self, record: str) -> "RecordStatus":
        """Where the record is known to be stored, pending or refused. Raises `UnknownRecord`."""
        from crdt_sync.replica import status  # noqa: PLC0415

        return status.record_status(self.context, record)

    def receipt(self) -> Holding:
        """Head, count and root digest of everything held here."""
        self.refresh_digests()
        with self.context.lock:
            return holding(self.store)

    def repair(self) -> "Repair":
        """Mend a damaged store as far as it can be mended here; the next sync fetches what is missing then.

        Close every session first. Raises `StoreCorrupt` where nothing can be mended: make a new store then.
        """
        from crdt_sync.replica.repair import repair, schemas_of  # noqa: PLC0415

        self.alone("repairing")
        with self.context.lock:
            self.shared_schemas.recover(schemas_of(self._mended))
            mended = repair(self.context, self._mended)
            self._mended = ()
            self.shared_schemas.open()
            return mended

    def settle(self) -> "Repair":
        """After a repair and a sync: write again, or name as lost, what was awaited and did not come."""
        from crdt_sync.replica.repair import settle  # noqa: PLC0415

        self.alone("repairing")
        with self.context.lock:
            settled = settle(self.context)
            self.shared_schemas.received(())
            return settled

    # --- hearing of changes ----------------------------------------------------------------------------------

    def report(self, kind: str, about: str, records: int) -> None:
        """The relay's audit log is to have that something was done with so many records here, see `reports`."""
        report(self.context, kind, about, records)

    def subscribe(self, listener: Callable[[Sequence[Event]], None]) -> Callable[[], None]:
        """Call `listener` after each commit, in the thread that made it. Returns the call that ends it."""
        return self.context.subscribe(listener)

    # --- for partners ----------------------------------------------------------------------------------------

    def refresh_digests(self) -> None:
        """Make every digest valid."""
        self.context.refresh_digests()

    def integrate(
        self,
        entries: Sequence[UpdatesEntry],
        origin: Origin | bytes,
        peers: tuple[Peer, ...],
        owe_to: bytes | None,
        refused: Mapping[str, str] = MappingProxyType({}),
        whole: Collection[str] = (),
        meta: Mapping[str, bytes | None] = MappingProxyType({}),
        peers_despite_gaps: tuple[Peer, ...] = (),
    ) -> Sequence[tuple[str, bytes]]:
        """Integrate and store updates of a partner in one commit; returns the gaps as (record, our state vector).

        `origin` is who brought them; the id of a replica stands for a session with it. `refused` names records with
        updates that were refused before they came here, and why; the updates of those in `whole` replace what is
        stored. `meta` becomes durable in that commit as well. `peers` are stored where there are no gaps; else
        `peers_despite_gaps`, with whatever is stored.
        """
        origin = Origin.of("session", origin) if isinstance(origin, bytes) else origin
        if (owner := self.owner) is not None:
            if peers or owe_to or peers_despite_gaps:
                self.alone("a session")
            return owner.integrate(entries, origin.replica, refused, whole, meta)
        from crdt_sync.replica import awaiting  # noqa: PLC0415 - before the lock is taken

        owed = bool(self.context.peers_except(origin.replica))
        try:
            with self.context.lock:
                gaps, received, carried = integrate(
                    self.context, entries, origin, peers, owe_to, refused, whole, meta, peers_despite_gaps
                )
                taken_up = awaiting.take_up(self.context, received)
        except StoreFailed:  # it may be found whole, and then other sessions have to push it
            self.context.announce("received", list(dict.fromkeys(entry.record for entry in entries)), owed=owed)
            self.shared_schemas.doubt(entry.record for entry in entries)
            raise
        self.context.announce("received", received, owed=owed or carried)
        self.context.announce("edited", taken_up)
        return gaps

    def restamp(self, record: str) -> bool:
        """Give our entries that are stamped ahead of the corrected clock a fresh stamp; whether any were."""
        return self._edits.restamp(record)

    def renew(self, record: str) -> bool:
        """Write what a record shows into a fresh document, without the traces of what it was; whether that can be done.

        Whatever others edit in the old one is carried over when it comes. Every partner must know lineages, see
        docs/decisions/0068-a-record-is-renewed-by-what-it-shows.md. Raises `UnknownRecord` and what a commit raises.
        """
        self.alone("renewing a record")
        with self.context.lock:
            return self._edits.renew(record)
