"""A replica as one of its partners sees it: what a dialing session reads, and how its effects are carried out.

Invariants:

1. `acknowledged` of an outbox entry never exceeds what the partner holds on disk. Where that is unknown, it is
   empty, and the diff is everything.
2. No cursor is stored past an update that could not be integrated, whatever the session believes.
3. The outbox of a partner names every record that it may lack something of. It grows in the same commit as the
   change that makes it grow, and shrinks only on the partner's word.
4. Whatever rests on the partner's log, updates that came from it and its word on what it holds, is stored in one commit
   with the epoch and with a head that it does not lie behind. So if that much of the log is lost, the partner can tell:
   see `standing`.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from crdt_sync import ids, limits
from crdt_sync.errors import StoreCorrupt, StoreFailed, StoreFull
from crdt_sync.ids import Space
from crdt_sync.protocol.effects import Acknowledge, Integrate, Owe, Pushed, Welcomed
from crdt_sync.protocol.entries import Behind, Place, ReportEntry, Resume, UpdatesEntry
from crdt_sync.protocol.marks import head_of
from crdt_sync.protocol.reconcile import View
from crdt_sync.protocol.sight import Sight, sight_for
from crdt_sync.protocol.source import Diff, Outgoing
from crdt_sync.protocol.versions import LINEAGE
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.replica import reports, unread, unsent
from crdt_sync.replica.audit import content_view
from crdt_sync.replica.context import Context
from crdt_sync.replica.dropping import put_aside
from crdt_sync.replica.events import Event
from crdt_sync.replica.held import held_view, part_of
from crdt_sync.replica.holds import Hold, longer, note_hold, read_hold
from crdt_sync.replica.index import UNKNOWN_TO_DIALER, StoreIndex
from crdt_sync.replica.intake import readable
from crdt_sync.replica.origin import Origin
from crdt_sync.replica.receiving import Receiving
from crdt_sync.replica.relays import answered_at, check_device, check_relay, is_trusted_address, note_dialed
from crdt_sync.replica.renewing import note_knowing
from crdt_sync.replica.standing import Standing, forgotten
from crdt_sync.replica.status import outbox_page, percentage
from crdt_sync.replica.taken_writers import found_taken
from crdt_sync.replica.told import Told, note_told, read_told, to_fetch, unfetched
from crdt_sync.replica.withdrawing import begun_anew, forbidden_after_all, withdraw
from crdt_sync.storage.values import Batch, OutboxEntry, Peer
from crdt_sync.verdicts import VerdictCode

if TYPE_CHECKING:
    from crdt_sync.membership.member import Membership
    from crdt_sync.policy.in_force import InForce

_OFFERED_AGAIN = {VerdictCode.CLOCK_AHEAD.value, VerdictCode.QUOTA.value}  # in each session: the verdict may be another
_RESTAMPS_MAX = 3  # a record is stamped again this often before its refusal is final


class SyncedReplica(Receiving, Protocol):
    """What sessions need of a replica."""

    @property
    def context(self) -> Context:
        """What its parts share."""

    @property
    def membership(self) -> "Membership | None":
        """See `Replica.membership`."""

    def restamp(self, record: str) -> bool:
        """See `Replica.restamp`."""


class Partner:
    """One partner of `replica`, reached at `url`; the dialing session's source and the host's hands.

    `device` is the partner's replica id where it is another device, which may be at another address each time; a
    relay is known by its address, and whoever answers there takes the place of the one before. `adopt`: whoever it is,
    it may have all records. `user` is whose device it is, as that one proved: where a policy is in force, a device is
    given what its user may hold, and nothing where it proved none. `insist`: what it said of when it takes more is
    forgotten when it answers.
    """

    def __init__(
        self,
        replica: SyncedReplica,
        url: str,
        device: bytes | None = None,
        *,
        adopt: bool = False,
        user: str = "",
        insist: bool = False,
    ) -> None:
        self._replica = replica
        self._context = replica.context
        self._store = replica.context.store
        self.url = url
        self._device = device
        self._is_device = device is not None
        if device:
            check_device(self._store, device, device)
        self._user = user
        self._sight: tuple[InForce | None, Sight | None] = None, None  # by the policy that it follows from
        self._adopt = adopt or self._is_device
        self._insist = insist
        self.standing = Standing(replica.context, url, self._store.peer(device) if device else self._latest_at(url))
        # Into the partner's space, where it differs from ours: a known relay may have lost its disk, and a first one is
        # taken on trust, though devices may have told us of a space.
        self.moves = adopt or self.standing.peer is not None or is_trusted_address(self._store, url)
        self.id = self.standing.peer.replica if self.standing.peer else b""
        self._told: Told | None = None
        self._comparing = False
        self._knows_lineages = False
        self._restamped: dict[str, int] = {}
        self._gapped: set[str] = set()  # records of which updates came that could not be integrated yet
        self.replacing: set[str] = set()  # records that are taken as the partner has them when they next come
        self._forbidden: set[str] = set()  # records with edits that it forbids, to be taken back: see `withdrawing`
        self._begun_anew: set[str] = set()  # records that it forbade under the ids that they had, until it has them
        self._held: Place | None = None  # the newest cursor, not stored because of them
        self._void: set[str] = set()  # what the comparison of this session makes needless to ask for again

    # --- what the session reads (DialerSource) ---------------------------------------------------------------

    @property
    def replica(self) -> bytes:
        """Our replica id."""
        return self._store.replica

    @property
    def space(self) -> Space:
        """The space that our records belong to."""
        return self._store.space

    @property
    def resume(self) -> Resume | None:
        """Where we stopped reading the partner's feed, if we ever did. None also where all is to be compared."""
        if unread.overflowed(unread.known(self._store), self.id):
            return None
        return self.standing.resume

    @property
    def cursor(self) -> int:
        """The stored cursor into the partner's feed; 0 where it is a mark."""
        return self.standing.cursor

    def count(self) -> int:
        """How many records we hold."""
        return self._store.count()

    def state_vector(self, record: str) -> bytes:
        """See `DialerSource.state_vector`. What is to be taken back is asked for as a whole."""
        if record in self._forbidden:
            return vectors.EMPTY
        try:
            head = self._store.record_head(record)
        except StoreCorrupt as corrupt:
            self._context.note_damage(record, corrupt.message)
            return vectors.EMPTY
        return head.state_vector if head else vectors.EMPTY

    def unread(self) -> Sequence[str]:
        """See `DialerSource.unread`. What was to be taken back when the last session ended is among it."""
        self._forbidden.update(self._left_to_take_back())
        return sorted({*unread.of(unread.known(self._store), self.id), *self._forbidden})

    def _left_to_take_back(self) -> Sequence[str]:
        total, refused = self._store.outbox_count(self.id) if self.id and not self._is_device else (0, 0)
        entries = self._store.outbox(self.id, "", total) if refused else ()
        forbidden = VerdictCode.FORBIDDEN.value
        found = [each.record for each in entries if each.refusal == forbidden and not ids.is_reserved(each.record)]
        return found[: limits.WANT_RECORDS_MAX]

    def reports(self) -> Sequence[ReportEntry]:
        """See `DialerSource.reports`."""
        return reports.waiting(self._context)

    def forget_reports(self, noted: Sequence[ReportEntry]) -> None:
        """The partner has these in its audit log. Raises what a commit raises."""
        reports.forget(self._context, noted)

    def outbox(self, after: str, limit: int) -> Sequence[Outgoing]:
        """See `DialerSource.outbox`. A page is short only at the end, so refused entries are skipped by reading on."""
        found: list[Outgoing] = []
        while len(found) < limit:
            page = outbox_page(self._store, self.id, after, limit)
            found += [Outgoing(entry.record, entry.edit) for entry in page if entry.refusal is None]
            if len(page) < limit:
                break
            after = page[-1].record
        return found[:limit]

    def outgoing(self, record: str) -> tuple[Outgoing, Diff] | None:
        """See `DialerSource.outgoing`. A damaged record waits in the outbox until it is mended."""
        entry = self._store.outbox_entry(self.id, record)
        if entry is None or entry.refusal is not None or not self._gives(record):
            return None
        try:
            head = self._store.record_head(record)
            if head is not None and head.lineage and not self._knows_lineages:
                return None  # it waits in the outbox until the partner was updated
            recent = self._context.recent.diff(self.id, record, entry.edit)
            diff = recent or self._context.diff(record, entry.acknowledged)
        except StoreCorrupt as corrupt:
            self._context.note_damage(record, corrupt.message)
            return None
        return (Outgoing(record, entry.edit), diff) if diff else None

    def remaining(self) -> tuple[int, int | None, int | None, int]:
        """Records to send and to fetch, the percentage that is done, and what is missing; see `PartnerStatus`."""
        entries, refused = self._store.outbox_count(self.id)
        behind = None
        if self.standing.peer is not None:
            behind, _ = to_fetch(self.standing.peer, self._told)
        elif self._told is not None and not self._comparing and (self._told.head or self._told.behind is not None):
            behind, _ = unfetched(self._told, 0)
        noted = unread.known(self._store)
        percent = percentage(self._store.count(), entries, behind, unreadable=bool(noted))
        return entries - refused, behind, percent, len(unread.of(noted, self.id))

    def pushable(self, events: Sequence[Event]) -> list[str]:
        """The records of which these commits may have left something to push: see `Dialer.notify`."""
        return [event.record for event in events if event.kind == "edited" or event.owed]

    # --- effects of the session ------------------------------------------------------------------------------

    def welcomed(self, effect: Welcomed) -> None:
        """The partner told who it is. From now on, changes are noted in its outbox.

        Whoever answered at this address before is gone, as is whoever was away longest where there are too many:
        nothing is kept for it any more, and should it come back, all is compared. Where nothing is compared now, all
        that is held was edited since hello, which announced an empty replica: the partner lacks it. What was refused
        for its stamps or a quota is tried again, now that the clocks were compared and time has passed, and where the
        partner was started again, by another version perhaps, whatever it refused. A standing that the partner does not
        honour is forgotten. What damage took is pending no more.

        Raises `ForeignRelay`, `ForeignSpace` or `ProtocolViolation`, with nothing done: the session is to end without a
        word of what is held.
        """
        agreed = effect.agreed
        if self._device:
            check_device(self._store, self._device, effect.replica)
        if not self._adopt and (agreed is None or not agreed.known):
            check_relay(self._store, effect.replica, self.url)
        if agreed is not None and agreed.space.joined:
            with suppress(StoreFull, StoreFailed):  # a full disk keeps no edit here: the next session joins
                self._store.join(agreed.space.id, leave=self.moves)
        self.id = effect.replica
        self.standing.epoch = effect.epoch
        self._comparing = effect.comparing
        self._knows_lineages = agreed is not None and LINEAGE in agreed.features
        with self._context.lock:
            if self._insist:
                with suppress(StoreFull, StoreFailed):  # nothing is stored here now, so nothing needs to be pushed
                    self.release()
            known = self.standing.peer
            unseen = known is None and not effect.comparing
            gone = self._replaced()
            self._context.meet(self.id)
            self._context.correct_clock(self.id, effect.clock_offset_us, by_relay=not self._is_device)
            outbox = [*(self._unseen() if unseen else ()), *self._offered_again(effect.epoch)]
            lost = self._lost()
            before = read_told(self._store, self.id)
            self._told = Told(effect.epoch, effect.head, self._context.wall_clock(), self.cursor, effect.behind)
            news = before is None or before.epoch != effect.epoch
            news = news or known is None or known.epoch != effect.epoch or known.cursor < effect.head
            standing = self.standing.begin(self.id, effect)
            dialed = note_dialed(self._store, self.id, self.url, is_device=self._is_device)
            meta = dialed | (note_told(self.id, self._told) if news else {})
            meta |= note_knowing(self._store, self.id, knows=self._knows_lineages)
            if effect.comparing:
                self._void = unread.void_once_compared(unread.known(self._store), self.id)
            if not outbox and not gone and not standing and not lost and not dialed:
                with suppress(StoreFull, StoreFailed):  # the status goes on telling of the contact before
                    self._store.commit([Batch(meta=meta)] if meta else [])
                return
            try:
                self._store.commit(
                    [
                        Batch(
                            peers=(*standing, *(replace(forgotten(peer), url="") for peer in gone)),
                            forget_outbox=tuple(peer.replica for peer in gone),
                            outbox=tuple((self.id, entry) for entry in outbox),
                            meta=meta,
                            outbox_done=tuple((self.id, entry.record, entry.edit) for entry in lost),
                        )
                    ]
                )
            finally:  # a commit that raised may be found whole
                kept = {peer.replica for peer in self._store.peers() if peer.url}
                self._context.part(peer.replica for peer in gone if peer.replica not in kept)

    def caught_up(self) -> None:
        """The end of the partner's feed has come: where it does not tell how much there is, nothing is left of it."""
        told = self._told
        peer = self.standing.peer
        if told is None or told.behind is not None or peer is None or peer.marks is None:
            return
        with self._context.lock, suppress(StoreFull, StoreFailed):  # the status knows less, then
            self._told = told._replace(behind=Behind(0, 0))
            if read_told(self._store, self.id) != self._told:
                self._store.commit([Batch(meta=note_told(self.id, self._told))])

    @property
    def hold(self) -> Hold | None:
        """Until when the partner takes nothing, where it said so."""
        return read_hold(self._store, self.id, self._context.wall_clock()) if self.id else None

    @property
    def refused(self) -> int:
        """How many records wait here that the partner refused."""
        return self._store.outbox_count(self.id)[1] if self.id else 0

    def release(self) -> None:
        """The partner may take more than it said."""
        if self.hold is not None:
            self._store.commit([Batch(meta=note_hold(self.id, None))])

    @property
    def is_direct(self) -> bool:
        """Whether the partner is a device that proved the space's token."""
        return self._is_device

    def _latest_at(self, url: str) -> Peer | None:
        """Who answers at `url`, as far as we know: an address only says where to ask, and a relay may have several."""
        known = [peer for peer in self._store.peers() if peer.url == url]
        if known:
            return max(known, key=lambda peer: peer.last_seen)
        replica = answered_at(self._store, url)
        return self._store.peer(replica) if replica else None

    def _replaced(self) -> list[Peer]:
        """Who was at this address before, unless it is a device, which goes elsewhere; and who was away too long."""
        others = sorted(
            (peer for peer in self._store.peers() if peer.url and peer.replica != self.id),
            key=lambda peer: peer.last_seen,
            reverse=True,
        )
        kept = [peer for peer in others if self._is_device or peer.url != self.url][: limits.PARTNERS_MAX - 1]
        return [peer for peer in others if peer not in kept]

    def _unseen(self) -> list[OutboxEntry]:
        records = self._store.records("", self._store.count())
        return [OutboxEntry(record, vectors.EMPTY, self._context.next_edit()) for record in records]

    def _offered_again(self, epoch: bytes) -> list[OutboxEntry]:
        total, refused = self._store.outbox_count(self.id)
        if not refused:
            return []
        renewed = self.standing.peer is None or self.standing.peer.epoch != epoch
        again = _OFFERED_AGAIN if self.hold is None else _OFFERED_AGAIN - {VerdictCode.QUOTA.value}
        entries = self._store.outbox(self.id, "", total)
        return [
            replace(entry, refusal=None, reason="")
            for entry in entries
            if entry.refusal in again or (renewed and entry.refusal is not None)
        ]

    def _lost(self) -> list[OutboxEntry]:
        """What waits for this partner of records that are not held any more."""
        entries = [self._store.outbox_entry(self.id, record) for record in self._store.quarantined()]
        return [entry for entry in entries if entry is not None]

    @property
    def stands(self) -> bool:
        """Whether this session's standing can be stored: none of another epoch has stored any, nor was it overtaken.

        Where it cannot, all that comes is stored as ever, but no cursor, until a session begins anew. Do not ask while
        `welcomed` is under way.
        """
        return self.standing.holds(self.id)

    def compare(self) -> View:
        """Carry out `Compare`; returns the view for `Dialer.compare`. It is not held: devices compare rarely."""
        with suppress(StoreFull, StoreFailed):  # a digest that is missing makes its record be exchanged, no worse
            self._context.refresh_digests()
        if self.sight is not None:
            store = self._store
            held = [record for record in store.records("", store.count()) if self._gives(record)]
            return held_view(store, held, UNKNOWN_TO_DIALER)
        return StoreIndex(self._store, UNKNOWN_TO_DIALER).pin()

    @property
    def sight(self) -> Sight | None:
        """What a device may hold that is called, by the policy as it is now; None: all, or it is for a relay to say."""
        in_force = self._context.in_force() if self._is_device else None
        if in_force is not self._sight[0]:
            self._sight = in_force, None if in_force is None else sight_for(in_force.rights(self._user))
        return self._sight[1]

    def _gives(self, record: str) -> bool:
        """Whether the partner may hold a record, by what that shows."""
        sight = self.sight
        if sight is None:
            return True
        forms = self._context.forms_of(record)
        return forms is not None and sight.holds(record, forms)

    def audit_view(self, *, content: bool) -> View:
        """Carry out `PinDigests`; returns the view for `Dialer.pinned`."""
        view = content_view(self._store) if content else self.compare()
        if not content or self.sight is None:
            return view
        store = self._store
        return part_of(view, [record for record in store.records("", store.count()) if self._gives(record)])

    def integrate(
        self, effect: Integrate, refused: Mapping[str, str] = MappingProxyType({})
    ) -> Sequence[tuple[str, bytes]]:
        """Carry out `Integrate`; returns the gaps for `Dialer.integrated`. `refused`: see `Replica.integrate`."""
        unserved = [record for record in effect.unserved if record not in self._forbidden]
        self._forbidden.difference_update(effect.unserved)  # it has nothing of them
        effect = replace(effect, unserved=tuple(unserved))
        refused = {**dict.fromkeys(effect.unserved, unread.unserved(self.url)), **refused}
        with self._context.lock:
            taken = self._found_taken(effect)
            came = {entry.record for entry in effect.entries}
            effect = self._withdrawn(effect, taken)
            waiting = [record for record in taken if record in self._forbidden]
            withdrawn = came - {entry.record for entry in effect.entries} - set(waiting)
            without_cursor = self._standing(None, effect.head)
            before = self.standing.peer
            standing = self._standing(effect.cursor, effect.head) if effect.cursor is not None else ()
            origin = Origin.of("device" if self._is_device else "session", self.id)
            owe_to = self.id if effect.owe else None
            entries, gaps = self._definitions_first(effect.entries, origin, owe_to, refused)
            found = self._replica.integrate(
                entries,
                origin,
                without_cursor if (waiting or gaps) and effect.cursor is not None else standing,
                owe_to,
                refused,
                self.replacing,
                peers_despite_gaps=without_cursor,
            )
            # As long as some come whole, there is no cursor.
            gaps = [*gaps, *found, *((record, vectors.EMPTY) for record in waiting)]
            self.replacing.difference_update(entry.record for entry in effect.entries)
            # An edit that builds on nothing is taken beside a gap; what closes one comes with a state vector.
            closed = [entry.record for entry in effect.entries if entry.state_vector]
            self._gapped.difference_update(closed, refused, withdrawn)
            self._gapped.update(record for record, _ in gaps)
            if gaps and effect.cursor is not None:
                self.standing.peer, self._held = before, effect.cursor
            if self._void and (left := self._left_out(effect, refused)):
                self._void -= {*left, unread.MORE}
            if self._held is not None and not self._gapped:
                cursor, self._held = self._held, None
                self._store.commit([Batch(peers=self._standing(cursor, head_of(cursor)))])
            elif effect.cursor is not None and not self._gapped:
                self._note_compared()
        return gaps

    def _definitions_first(
        self, entries: Sequence[UpdatesEntry], origin: Origin, owe_to: bytes | None, refused: Mapping[str, str]
    ) -> tuple[Sequence[UpdatesEntry], Sequence[tuple[str, bytes]]]:
        """Where a device brings schemas and records together, store the schemas: by these it is told what of the rest
        may be held here. Returns that rest, and the gaps of what was stored.
        """
        first = [entry for entry in entries if ids.collection_of(entry.record) == ids.SCHEMAS]
        if not self._is_device or len(first) in (0, len(entries)):
            return entries, []
        named = {entry.record for entry in first}
        why = {record: reason for record, reason in refused.items() if record in named}
        gaps = self._replica.integrate(first, origin, (), owe_to, why, self.replacing)
        return [entry for entry in entries if entry.record not in named], gaps

    def _found_taken(self, effect: Integrate) -> Sequence[str]:
        """The records of which a relay holds something else than we do under one id: they are fetched whole."""
        if self._is_device or self._context.in_force() is None:  # without users, ids are nobody's
            return ()
        entries = [entry for entry in effect.entries if entry.record not in self._forbidden]
        taken = found_taken(self._context, self.id, entries)
        for record in taken:
            self._context.recent.forget(self.id, record)
        self._forbidden.update(taken)
        return taken

    def regrant(self, effect: Integrate) -> None:
        """Carry out an `Integrate` that changes what may be held here.

        Records are dropped at the word of a relay alone: a device may be behind in what it knows of them.
        """
        with self._context.lock:
            if effect.epoch:
                self._go_on_in(effect.epoch)
            if effect.dropped and not self._is_device:
                self._drop(effect)
            elif effect.cursor is not None:
                self._store.commit([Batch(peers=self._standing(effect.cursor, effect.head))])

    def _go_on_in(self, epoch: bytes) -> None:
        """The standing is one of this epoch from here on."""
        peer = self.standing.in_epoch(self.id, epoch)
        if peer is not None:
            told = self._told or read_told(self._store, self.id)
            if told is not None:  # it is the same log
                self._told = told._replace(epoch=epoch, behind=None if peer.marks else told.behind)
            meta = {} if self._told is None else note_told(self.id, self._told)
            self._store.commit([Batch(peers=(peer,), meta=meta)])
        self.standing.go_on_in(self.id, epoch)

    def _drop(self, effect: Integrate) -> None:
        """Delete records, and keep aside what of them this partner has not taken, in one commit."""
        meta = put_aside(self._context, self.id, effect.dropped)
        peers = self._standing(effect.cursor, effect.head)
        self._store.commit([Batch(peers=peers, meta=meta, drop=effect.dropped)])
        self._gapped.difference_update(effect.dropped)
        self._context.announce("dropped", effect.dropped)

    def _withdrawn(self, effect: Integrate, taken: Collection[str]) -> Integrate:
        """The effect without the records that were taken whole, in the place of what the partner forbids of ours.

        Nor has it anything of those that are to be `taken` whole: what is whole in it may lack what comes beside it.
        """
        if not self._forbidden:
            return effect
        left = []
        for entry in effect.entries:
            if entry.record in taken:
                continue
            if entry.record in self._forbidden and withdraw(
                self._context, entry.record, entry.update, readable(entry.state_vector), self.id
            ):
                self._forbidden.discard(entry.record)
            else:
                left.append(entry)
        return replace(effect, entries=tuple(left))

    def to_take_back(self, effect: Acknowledge) -> Sequence[str]:
        """The records that are to be fetched whole, as a relay forbade edits of ours in them."""
        if self._is_device:
            return ()  # it may know less than a relay: what it forbids is kept, and not sent there
        # What is written of itself, as definitions are, would be written again.
        pushed = [each for each in effect.verdicts if not ids.is_reserved(each.record)]
        found = [each.record for each in pushed if each.verdict.code is VerdictCode.FORBIDDEN]
        found = [record for record in found if record not in self._begun_anew]
        self._forbidden.update(found)
        taken = {each.record for each in pushed if each.verdict.code is VerdictCode.ACCEPTED}
        there = sorted(self._begun_anew & taken)  # what the partner had under the old ids came for nothing
        self._begun_anew.difference_update(there)
        return [*found, *there]

    def _left_out(self, effect: Integrate, refused: Mapping[str, str]) -> set[str]:
        """The records of these updates of which something was refused, before it came here or as it is damaged here."""
        came = {entry.record for entry in effect.entries}
        return {*refused, *came.intersection(unread.of(unread.known(self._store), self.id))}

    def _note_compared(self) -> None:
        """The first cursor behind a comparison is stored: what was to be asked for again came with it."""
        void, self._void = self._void, set()
        meta = unread.note(unread.known(self._store), self.id, {}, void) if void else {}
        if meta:
            self._store.commit([Batch(meta=meta)])

    def owe(self, effect: Owe) -> None:
        """Carry out `Owe`: the partner lacks these records altogether."""
        with self._context.lock:
            edit = self._context.next_edit()
            entries = tuple((self.id, OutboxEntry(record, vectors.EMPTY, edit)) for record in effect.records)
            self._store.commit([Batch(outbox=entries)])

    def acknowledge(self, effect: Acknowledge) -> list[str]:
        """Carry out `Acknowledge`; returns the records that still have something to push."""
        again: list[str] = []
        done: list[tuple[bytes, str, int]] = []
        changed: list[tuple[bytes, OutboxEntry]] = []
        stored: list[Pushed] = []
        gone: dict[str, int] = {}  # accepted, of records that nothing is owed of: they may have been dropped
        forbidden: dict[str, Pushed] = {}  # likewise
        with self._context.lock:
            for pushed in effect.verdicts:
                if pushed.verdict.code is VerdictCode.ACCEPTED:
                    stored.append(pushed)
                elif not pushed.verdict.for_now:
                    self._context.recent.forget(self.id, pushed.record)
                entry = self._store.outbox_entry(self.id, pushed.record)
                if entry is None:
                    if pushed.verdict.code is VerdictCode.ACCEPTED:
                        gone[pushed.record] = pushed.edit
                    elif pushed.verdict.code is VerdictCode.FORBIDDEN:
                        forbidden[pushed.record] = pushed
                    continue
                if pushed.verdict.code is VerdictCode.ACCEPTED and entry.edit == pushed.edit:
                    done.append((self.id, pushed.record, pushed.edit))
                    continue
                updated = self._after(pushed, entry)
                if updated is None:
                    again.append(pushed.record)  # stamped again: a new edit stands in the outbox
                    continue
                changed.append((self.id, updated))
                if updated.refusal is None and not pushed.verdict.for_now:
                    again.append(pushed.record)
            peers = self._standing(effect.cursor, effect.head)
            gone_by_now = unsent.stored_after_all(self._store, gone)
            meta = forbidden_after_all(self._context, forbidden, gone_by_now) | self._put_off(effect)
            if done or changed or meta or effect.cursor is not None:
                self._store.commit([Batch(peers=peers, outbox=tuple(changed), outbox_done=tuple(done), meta=meta)])
            for pushed in stored:
                self._context.recent.stored(self.id, pushed.record, pushed.edit)
        self._context.announce("stored", [record for _, record, _ in done])
        if any(pushed.verdict.code is VerdictCode.CLOCK_AHEAD for pushed in effect.verdicts):
            self._context.doubt_clock()  # others may know better than the partner that refused
        return again

    def _put_off(self, effect: Acknowledge) -> dict[str, bytes | None]:
        """What to keep of when the partner takes more."""
        waits = [(pushed.verdict.retry_after, pushed.verdict.reason) for pushed in effect.verdicts]
        if not any(wait for wait, _ in waits):
            return {}
        found, now = self.hold, self._context.wall_clock()
        for wait, reason in waits:
            if wait is not None:
                found = longer(found, Hold(now + wait.ms * 1000, reason, wait.all))
        return note_hold(self.id, found)

    def ended(self) -> None:
        """The session is over."""
        self._context.forget_clock(self.id)

    def _after(self, pushed: Pushed, entry: OutboxEntry) -> OutboxEntry | None:
        """The outbox entry after a verdict that did not settle it; None where the record was stamped again."""
        verdict = pushed.verdict
        if verdict.for_now:
            return replace(entry, reason=verdict.reason)
        match verdict.code:
            case VerdictCode.ACCEPTED:  # edited meanwhile
                known = vectors.merge(entry.acknowledged, pushed.state_vector)
                return OutboxEntry(entry.record, known, entry.edit)
            case VerdictCode.GAP:
                return OutboxEntry(entry.record, readable(verdict.state_vector), entry.edit)
            case VerdictCode.CLOCK_AHEAD:
                tries = self._restamped.get(entry.record, 0)
                self._restamped[entry.record] = tries + 1
                if tries < _RESTAMPS_MAX and self._replica.restamp(entry.record):
                    return None
            case VerdictCode.FORBIDDEN if not self._is_device:
                if begun_anew(self._context, entry, self.id, verdict.reason):
                    self._begun_anew.add(entry.record)
                    return None
        if entry.edit != pushed.edit:
            return entry  # what was refused is not what the record is now
        return OutboxEntry(entry.record, entry.acknowledged, entry.edit, verdict.code.value, verdict.reason)

    def _standing(self, cursor: Place | None, head: Place) -> tuple[Peer, ...]:
        """See `Standing.at`; while something of before could not be integrated, no cursor is stored."""
        if cursor is not None and self._gapped:
            self._held, cursor = cursor, None
        return self.standing.at(self.id, cursor, head)
