"""Takes up what a bundle holds.

Rules:

1. Nothing is stored before the whole file was verified.
2. A chunk is one commit, with how far the bundle was applied: so a death goes on where it stopped. Where something must
   be cut to fit what is here, it is two, and a death between them repeats the chunk, which does no harm.
3. Every update is examined elsewhere before it is integrated here. One that is refused holds up no other.
4. Our place in the source's feed moves only when everything of the bundle is here or was refused for good, and only if
   the bundle begins where we stopped, and was made for us, or for anybody.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

from crdt_sync.errors import BundleUnsealed, ForeignBundle, InvalidBundle
from crdt_sync.exchange.bundle.chunk import Entry
from crdt_sync.exchange.bundle.header import Header
from crdt_sync.exchange.bundle.inside import check_maker
from crdt_sync.exchange.bundle.opening import opened_by
from crdt_sync.exchange.bundle.port import Vetting
from crdt_sync.exchange.bundle.reader import BundleReader
from crdt_sync.exchange.bundle.sources import known_source
from crdt_sync.identity.claims import Claims
from crdt_sync.limits import BUNDLE_LEFT_OUT_KEPT_MAX, BUNDLE_POISONS_MAX, STAMP_AHEAD_US_MAX
from crdt_sync.principal import Principal
from crdt_sync.protocol.messages import UpdatesEntry
from crdt_sync.records import EMPTY_STATE_VECTOR
from crdt_sync.replica import Carried, LeftOut, Replica
from crdt_sync.replica.carried import Arrival, arrival, arrived, arriving, carried, remembered
from crdt_sync.replica.heard import heard, listened
from crdt_sync.replica.origin import Origin
from crdt_sync.storage.values import Batch
from crdt_sync.verdicts import VerdictCode

_POISON = "poison"
_WAITING = frozenset({VerdictCode.GAP, VerdictCode.RETRY, VerdictCode.CLOCK_AHEAD})  # what may be taken up another time

Meta = Mapping[str, bytes | None]
# Why a bundle is not all that was missing: updates wait; it was made for another device, or for this one before it
# lost its history; it begins behind what was read of the source so far.
Obstacle = Literal["waiting", "other_partner", "earlier_life", "earlier_bundle"]


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a bundle's updates.

    `received` were new, `known` were here already, `refused` for good, `waiting` left out until something else is here;
    of those two kinds `left_out` names the first. `resumed` counts the chunks that an earlier run had done. Without an
    `obstacle` everything that the source had when it made the bundle is here now, but for what was refused for good.
    """

    header: Header
    updates: int
    received: int
    known: int
    refused: int
    waiting: int
    left_out: tuple[LeftOut, ...]
    resumed: int
    obstacle: Obstacle | None


def apply(
    replica: Replica,
    path: Path,
    vetting: Vetting,
    *,
    token: str | None = None,
    plain: bool = False,
    other_space: bool = False,
    progress: Callable[[str, int, int], object] | None = None,
) -> Applied:
    """Verify the bundle in `path`, then take up what it holds. Doing it again is harmless.

    Whoever has a `token` takes bundles without protection only if `plain` says so. Whoever has joined a space takes
    bundles of others only if `other_space` says so; one of format 1 names none, and is taken. `progress` hears of a
    step, how much of it was done and how much there is: bytes while `verifying`, updates while `applying`.

    A device in a space with people takes what is sealed to it, by a device that is not out, and takes over first what
    the space said in it.

    Raises `InvalidBundle` and `ForeignBundle` before anything is stored, `InvalidBundle` also where too much of it
    kills workers; `IdentityRefused` for a maker who is out, or none of the space; `StoreError`.
    """
    member = replica.membership
    with opened(path) as stream:
        reader = BundleReader(stream, path.name, token, lambda envelope: opened_by(member, envelope, path.name))
        sealed = reader.envelope is not None
        if member is not None and not sealed:
            raise BundleUnsealed(
                f"{path.name} is not sealed, so nothing proves who made it, and this device is in a space with people",
                "Ask for one that is: crdt-sync bundle create FILE --to user:NAME.",
            )
        if token and reader.header.protection is None and not plain and not sealed:
            raise InvalidBundle(
                f"{path.name} is not protected, so anybody may have written it, and this device has a token",
                "If you know where it comes from, apply it with --plain.",
            )
        size = path.stat().st_size
        end = reader.verify(None if progress is None else lambda read: progress("verifying", read, size))
        reader.check_open()
        maker = None
        if member is not None and reader.said is not None and reader.signed is not None:
            replica.hear(reader.said.statements)
            maker = check_maker(member, reader.said, reader.signed, reader.header.created)
        ours, theirs = replica.store.space, reader.header.space
        if not sealed and ours.joined and theirs not in (None, ours.id) and not other_space:
            raise ForeignBundle(path.name, reader.header.name)
        run = _Run(replica, vetting, reader.header, reader.digest, path.name, maker)
        for entries in reader.chunks(run.reached.chunks):
            run.take(entries)
            if progress is not None:
                progress("applying", run.done, end.updates)
        return run.finish(end.updates)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file of a bundle. Raises `InvalidBundle`."""
    try:
        stream = path.open("rb")
    except OSError as error:
        raise InvalidBundle(
            f"{str(path)!r} cannot be read: {error.strerror or error}", "Check the path and its permissions."
        ) from error
    with stream:
        yield stream


class _Run:
    """One bundle on its way into the replica. What is sealed says nothing of what its maker has read or holds."""

    def __init__(
        self, replica: Replica, vetting: Vetting, header: Header, digest: bytes, name: str, maker: Claims | None
    ) -> None:
        self._replica = replica
        self._store = replica.store
        self._vetting = vetting
        self._header = header
        self._digest = digest
        self._name = name
        self.reached = arrival(self._store, digest)
        self._resumed = self.reached.chunks
        self._stamp_max = replica.clock.now() + STAMP_AHEAD_US_MAX
        with replica.context.lock:
            self._source = known_source(replica, header) if maker is None else None
            if self._source is not None:
                self._store.commit([Batch(meta=remembered(self._store, self._source))])
            self._user = None if maker is None else maker.user
            origin = _origin(replica, header, self._source)
            self._origin = Origin("bundle", Principal(origin, user=self._user or ""))

    @property
    def done(self) -> int:
        """How many updates have their verdict."""
        reached = self.reached
        return reached.received + reached.known + reached.refused + reached.waiting

    def take(self, entries: Sequence[Entry]) -> None:
        """Examine the entries of a chunk, and store what is accepted together with the place behind it."""
        grouped: dict[str, list[bytes]] = {}
        for entry in entries:
            grouped.setdefault(entry.record, []).append(entry.update)
        tally = _Tally(self.reached)
        accepted, gaps = self._judge(list(grouped.items()), tally)
        if gaps:
            self._integrate(accepted, tally, {})
            trimmed = self._trimmed(gaps)
            accepted, gaps = self._judge(trimmed, tally)
        for record, _ in gaps:
            tally.leave_out(record, VerdictCode.GAP, "it builds on edits that are not here")
        self.reached = replace(tally.arrival(), chunks=self.reached.chunks + 1)
        self._integrate(accepted, tally, arriving(self._store, self._digest, self.reached))
        if self.reached.poisons > BUNDLE_POISONS_MAX:
            raise InvalidBundle(
                f"more than {BUNDLE_POISONS_MAX} updates in {self._name} end the process that reads them; "
                "the rest of it was not examined",
                f"It does harm on purpose, or {self._header.name!r} is damaged: run 'crdt-sync verify --local' there.",
            )

    def finish(self, updates: int) -> Applied:
        """The bundle was read to its end: our place in the source's feed moves, if nothing is missing."""
        reached, header = self.reached, self._header
        with self._replica.context.lock:
            obstacle = "waiting" if reached.waiting else None if self._user is not None else self._obstacle()
            meta = dict(arrived(self._store, self._digest))
            known = carried(self._store).get(header.source)
            source = self._source
            if obstacle is None and known is not None and source is not None and known.epoch == source.epoch:
                meta |= remembered(self._store, replace(known, cursor=max(known.cursor, header.head)))
                meta |= listened(self._store, header.known, header.source, header.created)
            if meta:
                self._store.commit([Batch(meta=meta)])
        return Applied(
            header,
            updates,
            reached.received,
            reached.known,
            reached.refused,
            reached.waiting,
            reached.left_out,
            self._resumed,
            obstacle,
        )

    def _obstacle(self) -> Obstacle | None:
        """Why the bundle does not follow on what we have read of the source's feed."""
        header = self._header
        if header.source == self._replica.id:
            return None
        if header.partner is not None:
            if header.partner.replica != self._replica.id:
                return "other_partner"
            reach = self._store.reach(header.partner.epoch)
            if reach is None or header.partner.head > reach:
                return "earlier_life"
        return None if header.base <= _cursor(self._replica, header) else "earlier_bundle"

    def _judge(
        self, updates: Sequence[tuple[str, Sequence[bytes]]], tally: "_Tally"
    ) -> tuple[list[UpdatesEntry], list[tuple[str, bytes]]]:
        """What was accepted and is new, and what has a gap; the rest is in the tally."""
        accepted: list[UpdatesEntry] = []
        gaps: list[tuple[str, bytes]] = []
        while updates:
            poisons = tally.poisons
            put_off: list[tuple[str, bytes, str]] = []
            judged = self._vetting.judge(updates, self._stamp_max, self._user)
            for (record, group), verdicts in zip(updates, judged, strict=True):
                for update, verdict in zip(group, verdicts, strict=True):
                    if verdict.code is VerdictCode.GAP:
                        gaps.append((record, update))
                    elif verdict.code is VerdictCode.RETRY:
                        put_off.append((record, update, verdict.reason))
                    elif verdict.code is not VerdictCode.ACCEPTED:
                        tally.leave_out(record, verdict.code, verdict.reason)
                    elif verdict.new:
                        tally.received += 1
                        accepted.append(UpdatesEntry(record, update, b""))
                    else:
                        tally.known += 1
            if poisons < tally.poisons <= BUNDLE_POISONS_MAX:  # of whom sends poison, no more is examined in one go
                updates = [(record, (update,)) for record, update, _ in put_off]
                continue
            for record, _, reason in put_off:
                tally.leave_out(record, VerdictCode.RETRY, reason)
            break
        return accepted, gaps

    def _trimmed(self, gaps: Sequence[tuple[str, bytes]]) -> list[tuple[str, Sequence[bytes]]]:
        """The updates with a gap, without what is here: one that was made without knowing our state may begin in the
        middle of operations that are here, and then yrs would link its rest wrongly.
        """
        asked = []
        for record, update in gaps:
            head = self._store.record_head(record)
            asked.append((record, update, head.state_vector if head else EMPTY_STATE_VECTOR))
        cut = self._vetting.trim(asked)
        return [(record, (less or update,)) for (record, update), less in zip(gaps, cut, strict=True)]

    def _integrate(self, accepted: Sequence[UpdatesEntry], tally: "_Tally", meta: Meta) -> None:
        self._replica.integrate(accepted, self._origin, (), None, tally.refusals, meta=meta)


class _Tally:
    """Counts the verdicts of a chunk on top of those before it."""

    def __init__(self, before: Arrival) -> None:
        self._before = before
        self.received = before.received
        self.known = before.known
        self._refused = before.refused
        self._waiting = before.waiting
        self.poisons = before.poisons
        self._left_out = list(before.left_out)
        self.refusals: dict[str, str] = {}

    def leave_out(self, record: str, code: str, reason: str) -> None:
        """Count an update that is not taken up."""
        if code in _WAITING:
            self._waiting += 1
        else:
            self._refused += 1
            self.refusals[record] = f"{code}: {reason}"
        self.poisons += code == _POISON
        if len(self._left_out) < BUNDLE_LEFT_OUT_KEPT_MAX:
            self._left_out.append(LeftOut(record, code, reason))

    def arrival(self) -> Arrival:
        """The sum."""
        return Arrival(
            self._before.chunks,
            self.received,
            self.known,
            self._refused,
            self._waiting,
            self.poisons,
            tuple(self._left_out),
        )


def _origin(replica: Replica, header: Header, source: Carried | None) -> bytes:
    """Whom the updates are said to come from, so that they are not sent back there.

    That must be the source in its present history: one that lost it lacks what it once wrote. In doubt, and where
    sessions go there, whose standing no file may touch, it is the bundle itself, to which nothing is ever sent.
    """
    peer = replica.store.peer(header.source)
    by_session = peer is not None and peer.url
    return header.bundle if by_session or (source is None and header.source != replica.id) else header.source


def _cursor(replica: Replica, header: Header) -> int:
    """How far the source's feed, in the life of the bundle, was read here: by bundle, by session, or through others."""
    known = carried(replica.store).get(header.source)
    peer = replica.store.peer(header.source)
    ends = {header.epoch: header.head, **dict(header.lives)}
    by_bundle = known.cursor if known is not None and known.knows(header.epoch) else 0
    by_session = peer.cursor if peer is not None and peer.cursor <= ends.get(peer.epoch, -1) else 0
    through_others = [
        row.cursor
        for row in heard(replica.store)
        if row.replica == header.source and row.cursor <= ends.get(row.epoch, -1)
    ]
    return max(by_bundle, by_session, *through_others)
