"""What the parts of a replica share: its store, its turn, its clock, its writers, its partners and who listens.

`Replica` is what programs see; the modules of this package work on the context below it, and know nothing of `Replica`.
"""

import logging
import random
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from crdt_sync import ids, limits
from crdt_sync.clock import HybridClock
from crdt_sync.errors import InvalidValue, OwnerGone, RecordUnreadable, StoreCorrupt
from crdt_sync.policy.masks import MASKS
from crdt_sync.policy.values import Forms, forms_of
from crdt_sync.protocol.sight import Sight, sight_for
from crdt_sync.protocol.source import Diff
from crdt_sync.records import Document, Schema
from crdt_sync.records.definition import DEFINITIONS
from crdt_sync.records.filtered import fields_of, values_shown
from crdt_sync.records.import_book import IMPORT_BOOKS
from crdt_sync.records.masking import masked_schema
from crdt_sync.replica import damage
from crdt_sync.replica.events import Event
from crdt_sync.replica.loading import loaded, stored_document
from crdt_sync.replica.peers import known_peers
from crdt_sync.replica.receipts import refresh_digests
from crdt_sync.replica.recent import RecentEdits
from crdt_sync.replica.turns import Turns
from crdt_sync.replica.writers import Writers
from crdt_sync.storage.port import Store
from crdt_sync.storage.values import Batch, Change

if TYPE_CHECKING:
    from crdt_sync.identity.certified import DeviceSigner
    from crdt_sync.policy.in_force import InForce
    from crdt_sync.records import Editor
    from crdt_sync.records.signatures import Signing
    from crdt_sync.replica.owner.asking import Owner

_log = logging.getLogger(__name__)
_Listener = TypeVar("_Listener")
_OWN = {schema.collection: schema for schema in (DEFINITIONS, IMPORT_BOOKS)}
_OWNERS_ASKED_MAX = 4  # one after the other, for a writer id
_CLOCK_OF_RELAY = "clock_of_relay"  # meta: there once a relay has told its time
_CLOCK_OFFSET_US_MIN = 1_000_000  # smaller differences are the network's, not the clock's


@runtime_checkable
class Succeeding(Protocol):
    """A store whose owner is another program, and may end."""

    def succeed(self) -> "Owner | None":
        """See `OwnedStore.succeed`."""


class Context:
    """See the module. Calls may come from any thread. `schemas` are those that `store` keeps."""

    def __init__(
        self,
        store: Store,
        schemas: dict[str, Schema],
        *,
        wall_clock: Callable[[], int],
        rng: random.Random,
        owner: "Owner | None" = None,
    ) -> None:
        self.store = store
        self._owner = owner
        self.succeeded: Callable[[], None] = lambda: None  # called once the owner is another one
        self.lock = Turns()
        self.wall_clock = wall_clock
        self._rng = rng
        self.name = (store.meta("name") or b"").decode()
        self._whose: Callable[[], str] | None = None
        self._in_force: Callable[[], InForce | None] = lambda: None
        self._signer: Callable[[], DeviceSigner | None] = lambda: None
        self.schemas = schemas
        self.clock = HybridClock(
            wall_clock,
            last=int.from_bytes(store.meta("clock") or b"", "big"),
            offset=int.from_bytes(store.meta("clock_offset") or b"", "big", signed=True),
        )
        self.writers = Writers(self.new_writer) if owner is None else owner.writers(self.new_writer)
        self._last_edit = 0
        self.epochs: dict[bytes, bytes] = {}  # of each partner, the epoch in which sessions may store its standing
        self._met: set[bytes] = {peer.replica for peer in known_peers(store) if peer.url}
        self.damaged: dict[str, str] = {}  # records that were met damaged in this life, and what is wrong with each
        self.unshown: set[str] = set()  # those of them that no reading could show
        self._noting = threading.Lock()  # notes of damage are made in any thread, whoever has the turn
        self.recent = RecentEdits()
        self.keeps_places = store.placement() is not None  # what records show in filter fields
        self._named: tuple[tuple[Schema, ...], bytes] = (), fields_of({})
        self._own: tuple[InForce | None, str, Sight | None] = None, "", None  # by policy and user
        self.renews = True  # whether records that have grown are renewed at their edits
        self.stored: Callable[[str, Sequence[str]], None] = lambda _kind, _records: None  # before anybody is told
        self._listeners: list[Callable[[Sequence[Event]], None]] = []
        self._clock_listeners: list[Callable[[], None]] = []
        self._report_listeners: list[Callable[[], None]] = []
        self._clocks_told: dict[bytes, int] = {}  # offsets told by the devices with which sessions are open

    @property
    def owner(self) -> "Owner | None":
        """The program that owns the store, where that is another one.

        Where it has ended, the store is ours from here on, or that of the program which was quicker. Raises what
        opening the store raises.
        """
        owner = self._owner  # read once: another thread may succeed it meanwhile
        if owner is not None and owner.has_ended:
            self.succeed(owner)
        return self._owner

    @property
    def known_owner(self) -> "Owner | None":
        """The same as it was when last looked: while the lock is held, it is one and the same."""
        return self._owner

    def succeed(self, gone: "Owner") -> None:
        """Go on without an owner that has ended, see `owner`."""
        with self.lock:
            store = self.store
            if self._owner is not gone or not isinstance(store, Succeeding):
                return  # another thread has done it
            gone.close()
            owner = store.succeed()
            met = {peer.replica for peer in known_peers(store) if peer.url}
            self.clock.observe(int.from_bytes(store.meta("clock") or b"", "big"))
            self._met = met
            self.writers = Writers(self.new_writer) if owner is None else owner.writers(self.new_writer)
            self._owner = owner  # last: after an error, and in other threads until then, the one that is gone counts
            self.lock.afterwards(self._tell_succeeded)

    def _tell_succeeded(self) -> None:
        try:
            self.succeeded()
        except Exception:  # what was stored in this turn stands
            _log.exception("the store has another owner, and what follows from that failed")

    @contextmanager
    def writer(self, record: str) -> Iterator[int]:
        """A writer id for this record while the block runs. Raises `EditInProgress`."""
        with ExitStack() as taken:
            for left in reversed(range(_OWNERS_ASKED_MAX)):
                try:
                    writer = taken.enter_context(self.writers.taken(record))
                    break
                except OwnerGone:  # the next one may end as well, or begin to serve anew
                    if (owner := self._owner) is None or not left:
                        raise
                    self.succeed(owner)
            yield writer

    def alone(self, what: str) -> None:
        """Raise `NotServed` where another program owns the store, and `what` takes the store alone."""
        if (owner := self.owner) is not None:
            raise owner.refusal(what)

    def in_force(self) -> "InForce | None":
        """The policy that edits here, and updates of devices, are judged by; None: there is none."""
        return self._in_force()

    def go_by(
        self,
        in_force: "Callable[[], InForce | None]",
        whose: Callable[[], str] | None,
        signer: "Callable[[], DeviceSigner | None]" = lambda: None,
    ) -> None:
        """See `Replica.go_by`; `whose` tells the user, where there are any, and `signer` what is signed with here."""
        self._in_force, self._whose, self._signer = in_force, whose, signer

    def signing(self, record: str) -> "Signing | None":
        """What entries of a record are signed with here; None where its schema does not ask for that, or nobody can."""
        schema = self.schema_of(record)
        if schema is None or not schema.signed or (signer := self._signer()) is None:
            return None
        from crdt_sync.records.signatures import Signing  # noqa: PLC0415 - most schemas ask for none

        return Signing(signer, record)

    @property
    def author(self) -> str:
        """Who edits here are signed by: the policy's name of the user, where there is one."""
        return self.name if self._whose is None else self._whose() or self.name

    @property
    def user(self) -> str:
        """Whose device it is, by the policy's name; empty where users have none."""
        return "" if self._whose is None else self._whose()

    @property
    def id(self) -> bytes:
        """The replica's 16-byte id."""
        return self.store.replica

    def schema_of(self, record: str) -> Schema | None:
        """The schema of a record's collection, of a companion that of its section or of what a mask shows; None where
        it is not known here.
        """
        collection = ids.collection_of(record)
        schema = _OWN.get(collection) or self.schemas.get(collection)
        if schema is None and (section := ids.section_of(collection)):
            whole = self.schemas.get(ids.whole_collection(collection))
            if whole is None:
                return None
            field, mask = ids.mask_of(collection)
            return masked_schema(whole, field) if mask else whole.sections.get(section)
        return schema

    def placed(self, change: Change, document: Document) -> Change:
        """A change with what its record shows in filter fields, where the store keeps that."""
        if not self.keeps_places:
            return change
        forms = forms_of(values_shown(document, self.schema_of(change.record)))
        return change._replace(forms=forms, fields=self.filter_fields())

    def forms_of(self, record: str) -> Forms | None:
        """What a record shows in filter fields, as the store keeps that, or as it is read; None where it cannot be.

        Of a companion what its record shows.
        """
        if ids.section_of(record):
            record = ids.whole_record(record)
            if self.store.record_head(record) is None:
                return None
        found = self.store.placement() if self.keeps_places else None
        if found is not None and found.through is None and found.fields == self.filter_fields():
            where = self.store.whereabouts(record, 0)
            return None if where is None else where.forms
        try:
            document = stored_document(self.store, record)
        except (StoreCorrupt, RecordUnreadable):
            return None
        return forms_of(values_shown(document, self.schema_of(record)))

    def filter_fields(self) -> bytes:
        """A name for the filter fields of the schemas that are known here."""
        schemas = tuple(self.schemas.values())
        known, name = self._named
        if len(schemas) != len(known) or any(one is not other for one, other in zip(schemas, known, strict=True)):
            name = fields_of(self.schemas)
            self._named = schemas, name
        return name

    def masks_of(self, collection: str) -> Sequence[tuple[str, str]]:
        """The fields of a collection that whose device this is sees in part, each with a mask; that which shows more
        comes later.
        """
        in_force = self.in_force()
        if in_force is None or not (user := self.user):
            return ()
        grants = [bound.grant for bound in in_force.rights(user).grants.get(collection, ())]
        found = {(name, mask) for grant in grants for name, mask in grant.masks.items() if name in grant.read}
        return sorted(found, key=lambda each: list(MASKS).index(each[1]))

    def own_sight(self) -> Sight | None:
        """What others than a relay may bring here; None: all, as no policy is in force, or it is not known whose device
        this is.
        """
        in_force = self.in_force()
        if in_force is None or not (user := self.user):
            return None
        if self._own[0] is not in_force or self._own[1] != user:
            self._own = in_force, user, sight_for(in_force.rights(user))
        return self._own[2]

    def may_hold(self, record: str, document: Document, whole: Forms | None = None) -> bool:
        """Whether what others bring of a record may be held here, as it is then; of a companion, as its record is.

        That shows `whole` where it is not stored yet.
        """
        sight = self.own_sight()
        if sight is None:
            return True
        if ids.section_of(record):
            forms = whole or self.forms_of_whole(record)
            return forms is not None and sight.holds(record, forms)
        return sight.holds(record, forms_of(values_shown(document, self.schema_of(record))))

    def forms_of_whole(self, companion: str, new: Document | None = None) -> Forms | None:
        """What the record of a companion shows; None where it is not here, nor `new`."""
        record = ids.whole_record(companion)
        document = new
        if document is None:
            stored = self.store.load(record)
            document = loaded(record, stored.updates) if stored.head is not None else None
        return None if document is None else forms_of(values_shown(document, self.schema_of(record)))

    def note_damage(self, record: str, what: str) -> None:
        """A record was met damaged: the status names it until it is whole again."""
        with self._noting:
            if record not in self.damaged:
                self.damaged[record] = what
                damage.note(self.store, self.damaged)

    def still_damaged(self) -> dict[str, str]:
        """The records that were met damaged, in this life or before, and are so now; the others are forgotten."""
        self.forget_mended({**damage.known(self.store), **self.damaged})
        return {**damage.known(self.store), **self.damaged}

    def forget_mended(self, noted: Collection[str]) -> None:
        """Say no more of those of these records that are whole again: rewritten, brought by a partner or repaired."""
        mended = {record for record in noted if damage.is_whole(self.store, record)}
        if mended:
            with self._noting:
                damage.forget(self.store, mended)
                for record in mended:
                    self.damaged.pop(record, None)
            self.unshown -= mended

    def mended(self) -> None:
        """The store was mended: what this life made of it before counts no more."""
        self.abandon_writer()  # what it wrote may be lost here, and come back from a partner
        self.recent = RecentEdits()
        self.damaged.clear()
        self.unshown.clear()

    # --- hearing of changes ----------------------------------------------------------------------------------

    def subscribe(self, listener: Callable[[Sequence[Event]], None]) -> Callable[[], None]:
        """Call `listener` after each commit, in the thread that made it. Returns the call that ends it."""
        return _listen(self._listeners, listener)

    def watch_reports(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener`, in whatever thread, when there is a new report. Returns the call that ends it."""
        return _listen(self._report_listeners, listener)

    def reported(self) -> None:
        """There is a new report for the relay, see `reports`."""
        for listener in tuple(self._report_listeners):
            listener()

    def watch_clock(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener`, in whatever thread, when our clock may be wrong. Returns the call that ends it."""
        return _listen(self._clock_listeners, listener)

    def doubt_clock(self) -> None:
        """A device's stamps were refused here for lying ahead. Whose clock is wrong, ours or its, is for others to say.

        So our own sessions compare ours with their partners' again, as its sessions do where its pushes are refused.
        """
        for listener in tuple(self._clock_listeners):
            listener()

    def announce(self, kind: str, records: Sequence[str], *, owed: bool = False) -> None:
        """Tell the listeners, once the lock is free; called by the parts of this package after a commit.

        What a listener raises is logged and goes no further: the commit stands, and so does the session.
        """
        if records:
            if self.damaged:
                self.forget_mended([record for record in records if record in self.damaged])
            self.stored(kind, records)
            events = [Event(kind, record, owed) for record in records]
            self.lock.afterwards(lambda: self._tell(events))

    def _tell(self, events: Sequence[Event]) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(events)
            except Exception:
                _log.exception("a listener of the replica failed")

    # --- writers, partners and numbers -----------------------------------------------------------

    def new_writer(self) -> int:
        """A writer id that nobody has used."""
        return ids.new_writer(self._rng)

    def new_record(self, collection: str) -> str:
        """A fresh record id."""
        return ids.new_record(collection, self._rng)

    def abandon_writer(self) -> None:
        """Somebody else writes under our writer ids (a copy of this store): never use them again."""
        self.writers.abandon()

    def peers_except(self, replica: bytes | None) -> Sequence[bytes]:
        """The partners, but for one: those whose outboxes a change belongs into."""
        return sorted(self._met - {replica}) if replica else sorted(self._met)

    def meet(self, replica: bytes) -> None:
        """From now on, changes are noted in this partner's outbox."""
        with self.lock:
            self._met.add(replica)

    def part(self, replicas: Iterable[bytes]) -> None:
        """From now on, nothing is noted for these partners: should they come back, all is compared."""
        with self.lock:
            self._met.difference_update(replicas)

    def next_edit(self) -> int:
        """A number for the outbox that rises with each change, whatever the clock does, as long as this object lives.

        Nothing compares numbers of two lives: a push and its answer belong to one session.
        """
        with self.lock:
            self._last_edit = max(self._last_edit + 1, self.wall_clock())
            return self._last_edit

    def correct_clock(self, partner: bytes, offset_us: int, *, by_relay: bool) -> None:
        """Take over a partner's time where it differs by more than a network would explain.

        Other devices' count as long as no relay has told its own. Of several that sessions are open with, and our own
        clock, the middle one is taken: two devices that take over each other's time would keep a wrong one for ever.
        A device whose clock was never set tells nothing to one whose clock was.
        """
        ours = self.wall_clock()
        if not by_relay and ours + offset_us < limits.STAMP_TIME_US_MIN <= ours:
            return
        offset = offset_us if abs(offset_us) >= _CLOCK_OFFSET_US_MIN else 0
        with self.lock:
            known = self.store.meta(_CLOCK_OF_RELAY) is not None
            if known and not by_relay:
                return
            if not by_relay:
                self._clocks_told[partner] = offset
                offset = _middle([0, *tuple(self._clocks_told.values())])
            meta: dict[str, bytes | None] = {}
            if offset != self.clock.offset:
                self.clock.correct(offset)
                meta["clock_offset"] = offset.to_bytes(8, "big", signed=True)
            if by_relay and not known:
                meta[_CLOCK_OF_RELAY] = b"1"
            if meta:
                self.store.commit([Batch(meta=meta)])

    def forget_clock(self, partner: bytes) -> None:
        """The session in which this partner told its time is over. What was taken over stays."""
        self._clocks_told.pop(partner, None)

    def refresh_digests(self) -> None:
        """Make every digest valid."""
        if (owner := self.owner) is not None:
            owner.ask("digests")
            return
        with self.lock:
            refresh_digests(self.store)

    def diff(self, record: str, state_vector: bytes) -> Diff | None:
        """What somebody with `state_vector` lacks of the record, with overwritten content left out."""
        stored = self.store.load(record)
        if stored.head is None:
            return None
        return Diff(loaded(record, stored.updates).diff(state_vector), stored.head.state_vector)

    def check_required(self, editor: "Editor", record: str) -> None:
        """Raise `InvalidValue` where a new record lacks a required field."""
        missing = editor.missing_required()
        if missing:
            raise InvalidValue(
                missing[0], "is required", f"A new record in {ids.collection_of(record)!r} needs {', '.join(missing)}."
            )


def _middle(offsets: Sequence[int]) -> int:
    """The median; where two are in the middle, the one further from our own clock's."""
    ordered = sorted(offsets)
    half = len(ordered) // 2
    return max(ordered[(len(ordered) - 1) // 2], ordered[half], key=abs)


def _listen(listeners: list[_Listener], listener: _Listener) -> Callable[[], None]:
    """Add a listener, from whatever thread; returns the call that takes it away again, which may be repeated."""
    listeners.append(listener)

    def unsubscribe() -> None:
        with suppress(ValueError):
            listeners.remove(listener)

    return unsubscribe
