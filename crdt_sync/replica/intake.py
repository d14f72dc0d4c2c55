"""The one door by which updates of others come into a context, whatever way they came.

Who brings some says where they come from (`Origin`). Each update gets a verdict, and what is new becomes changes and
entries of outboxes, for a commit of the caller's: sessions add their cursors to it, bundles their book, and a device
that was pushed to the numbers that it answers with.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from crdt_sync import ids, limits
from crdt_sync.errors import RecordUnreadable, UpdateRefused
from crdt_sync.policy.values import Forms, forms_of
from crdt_sync.records import Document, Integration, Integrator
from crdt_sync.records.filtered import values_shown
from crdt_sync.records.lineages.holding import holds, known_to
from crdt_sync.records.lineages.lineage import current
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.replica.context import Context
from crdt_sync.replica.loading import loaded
from crdt_sync.replica.origin import Origin
from crdt_sync.replica.views import encode_view
from crdt_sync.storage.values import Batch, Change, Head, OutboxEntry, Stored
from crdt_sync.verdicts import Verdict, VerdictCode, refused

_JUDGED = frozenset({"device", "bundle"})  # what a relay gives it has judged, and a hub what is pushed to it
_NOT_HERE = refused(VerdictCode.FORBIDDEN, "this record may not be held here")


class Taken(NamedTuple):
    """What became of the updates of one record, in order. `head` is where it stood before, None for a new one.

    `state_vector` is the record's after them.
    """

    verdicts: Sequence[Verdict]
    head: Head | None
    state_vector: bytes


@dataclass(slots=True)
class Intake:
    """What one commit takes in. The replica's turn is held around its use, until the commit."""

    context: Context
    changes: list[Change] = field(default_factory=list)
    outbox: list[tuple[bytes, OutboxEntry]] = field(default_factory=list)
    carried: bool = False  # whether a record was joined with one of another lineage, which is owed to its sender too
    _shown: dict[str, Forms] = field(default_factory=dict)  # by records that are not stored yet, for their companions
    _integrator: Integrator = field(default_factory=lambda: Integrator(documents_max=1))  # each record is loaded once

    def take(
        self, record: str, updates: Sequence[bytes], origin: Origin, theirs: bytes | None = None, actor: str = ""
    ) -> Taken:
        """Judge and integrate the updates of a record; those that are new are to be committed.

        `theirs` is the whole state vector of the record that came with them, if any did. Raises `StoreCorrupt` where
        what is stored of the record is damaged, `RecordUnreadable` where it cannot be read.
        """
        context = self.context
        stored = context.store.load(record)
        head = stored.head
        before = head.state_vector if head else vectors.EMPTY
        denied = origin.principal.write_refused(record)
        if denied is not None:
            return Taken([denied] * len(updates), head, before)
        due = head is not None and head.tail + len(updates) > limits.TAIL_UPDATES_MAX
        try:
            result = self._integrator.integrate(
                record, stored.updates, updates, stamp_max=None, checked=not origin.examined, snapshot=due
            )
        except UpdateRefused as refusal:
            raise RecordUnreadable(record, refusal) from None
        fresh = [update for update, verdict in zip(updates, result.verdicts, strict=True) if verdict.new]
        if fresh and origin.way in _JUDGED:
            document = self._integrator.document(record)
            if not context.may_hold(record, document, self._shown.get(ids.whole_record(record))):
                self._integrator.forget(record)
                return Taken([_NOT_HERE] * len(updates), head, before)
            if not ids.section_of(record):
                self._shown[record] = forms_of(values_shown(document, context.schema_of(record)))
        if fresh:
            change = _changed(context, self._integrator, record, head, fresh, result, origin.replica)
            self.changes.append(change._replace(actor=actor))
            # What was carried over is news to the partner too, unless it is what the partner sent.
            joined = result.renewed and readable(result.state_vector) != theirs
            self.carried = self.carried or joined
            to_all = joined or origin.way in ("push", "kept")  # see `pushed`: a store that was put back would not tell
            self.outbox += owed(context, record, head, None if to_all else origin.replica)
            if origin.way != "kept":
                _watch_writers(context, record, stored, result, self._integrator.document(record))
        return Taken(result.verdicts, head, result.state_vector)

    def holds(self, record: str, state_vector: bytes, updates: Sequence[bytes], verdicts: Sequence[Verdict]) -> bool:
        """Whether the record, of which `updates` were taken last, holds all operations of a partner's state vector.

        That vector is of the lineage of those, or an earlier one.
        """
        taken = [
            update for update, verdict in zip(updates, verdicts, strict=True) if verdict.code is VerdictCode.ACCEPTED
        ]
        return holds(self._integrator.document(record), state_vector, updates=taken) is True

    def contents(self, record: str) -> dict[str, Any]:
        """What a record holds with the updates that were taken last, which were its."""
        return self._integrator.document(record).contents()

    def replace(self, record: str, updates: Sequence[bytes], origin: Origin) -> bool:
        """Take the record as a partner has it, in the place of ours; False where ours holds operations beyond it."""
        head = self.context.store.record_head(record)
        if head is None or origin.principal.write_refused(record) is not None:
            return False
        result = self._integrator.integrate(record, (), updates, stamp_max=None, checked=False, snapshot=True)
        if result.snapshot is None or not holds(self._integrator.document(record), head.state_vector, head.lineage):
            return False
        kept = (result.snapshot,)
        change = _changed(self.context, self._integrator, record, head, kept, result, origin.replica)
        self.changes.append(change._replace(renewed=True, lineage=result.lineage))
        return True

    def batch(self) -> Batch:
        """What is to be committed."""
        return Batch(changes=tuple(self.changes), outbox=tuple(self.outbox))


def _changed(
    context: Context,
    integrator: Integrator,
    record: str,
    head: Head | None,
    fresh: Sequence[bytes],
    result: Integration,
    origin: bytes,
) -> Change:
    """What to store of a record that took `fresh` updates; `head` is where it stood before.

    Where some were of another lineage, that is the whole record, in the place of what was stored.
    """
    document = integrator.document(record)
    if result.renewed and result.snapshot is not None:
        fresh = (result.snapshot,)  # everything is in it
    change = Change(
        record,
        tuple(fresh),
        origin,
        "",
        context.wall_clock(),
        result.state_vector,
        fresh[0] if head is None and len(fresh) == 1 else result.snapshot,
        encode_view(document, context.schema_of(record)),
        renewed=result.renewed,
        lineage=result.lineage if result.renewed else None,
    )
    return context.placed(change, document)


def owed(context: Context, record: str, head: Head | None, but: bytes | None) -> list[tuple[bytes, OutboxEntry]]:
    """The outbox entries for a change of a record: for every partner but one. What masks show is owed to nobody."""
    if ids.is_masked(record):
        return []
    entries = []
    for peer in context.peers_except(but):
        known = context.store.outbox_entry(peer, record)
        acknowledged = known.acknowledged if known else (head.state_vector if head else vectors.EMPTY)
        entries.append((peer, OutboxEntry(record, acknowledged, context.next_edit())))
    return entries


def readable(state_vector: bytes) -> bytes:
    """What a partner says that it holds; nothing where that cannot be read, so that it is sent everything."""
    try:
        return vectors.normalise(state_vector)
    except UpdateRefused:
        return vectors.EMPTY


def _watch_writers(context: Context, record: str, stored: Stored, result: Integration, document: Document) -> None:
    """A partner that knows more of a writer id of ours than we do proves a second life under it: take new ones.

    `document` is the record after `result`. What a record was made of counts, too, where that is news.
    """
    if not context.writers.current:
        return
    told = known_to(document) if result.renewed else vectors.decode(result.state_vector)
    ours = {writer: clock for writer, clock in told.items() if context.writers.is_ours(writer)}
    if not ours:
        return
    if result.renewed:
        known = known_to(loaded(record, current(stored.updates)))
    else:
        known = vectors.decode(stored.head.state_vector) if stored.head else {}
    if any(clock > known.get(writer, 0) for writer, clock in ours.items()):
        context.abandon_writer()
