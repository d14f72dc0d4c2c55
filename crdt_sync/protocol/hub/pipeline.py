"""The way of a push, from the session that took it to its answer. Pure, like the hub.

    Accept (session) -> queue -> Integrate -> integrated() -> Commit -> committed() -> Ack, and followers read on

1. Batches are integrated one after the other, while earlier ones commit; the next is asked for while one is under
   way, so that the worker need not wait. Order per record is order of integration, and the log is written in the
   same order.
2. Nothing is acknowledged, and nothing is shown to a follower, before `committed`.
3. When a commit fails, everything integrated after it may build on what was not stored. All of it is answered
   "retry", and the worker forgets the records; no update is ever stored without what it builds on.
4. Batches are short and filled fairly, so that greedy sessions delay only themselves: see `lanes`.
5. An update that brought nothing new is acknowledged like any other: what it repeats may still be on its way to the
   disk, so its answer rides on the newest commit. So does a gap, whose state vector speaks of the same.
6. A session whose bytes killed workers too often is closed; everybody else notices nothing.
7. What was taken is decided, and stored like anything else, whether its session still listens or not. Only what waits
   of a session that was closed for killing workers is given up.
8. There are two workers, each with a lane of batches. What the worker answers `POSTPONED` waits in its session again,
   in its order, and that session goes by the slow lane until it needed it no more for a while. What was under way
   behind it and lacks it waits with it. A record is in one lane at a time.
   What waits in the slow lane takes no room from the others. It has room of its own, beyond which that is to be sent
   again which others sent, and nothing more is taken of who goes by that lane.
9. While the disk is slow, commits under way are bounded, and pushes gather in their sessions, which are bounded too.
   Of large pushes less is under way: a commit of many takes long, and who comes now waits for those before it.
10. What is taken and not answered is bounded in updates, too, as many small ones take long. Who has nothing under way
   is heard all the same.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple, Protocol

from crdt_sync import ids, limits
from crdt_sync.policy.values import Values, forms_of
from crdt_sync.principal import Principal
from crdt_sync.protocol.effects import Accept
from crdt_sync.protocol.hub.effects import (
    Commit,
    Finished,
    Forget,
    HubEffect,
    Integrate,
    Integrated,
    IntegrationItem,
    Refused,
    StoredUpdates,
)
from crdt_sync.protocol.hub.lanes import (
    LITTLE,
    Batch,
    Entries,
    Lane,
    Part,
    Push,
    Sender,
    Waiting,
    new_part,
    weight_of,
)
from crdt_sync.protocol.messages import PushEntry, Verdict, VerdictCode
from crdt_sync.protocol.quotas import Quotas
from crdt_sync.protocol.sight import Sight, Sights
from crdt_sync.verdicts import POSTPONED, Touched, refused

_new_verdict: Callable[[tuple[VerdictCode, int, bytes, str, bool, None, None]], Verdict] = partial(
    tuple.__new__, Verdict
)
_FOR_NOW = frozenset({VerdictCode.RETRY, VerdictCode.RATE_LIMITED})  # to be pushed again as it is
_INTEGRATIONS_MAX = 2  # one that the worker is at, and one that waits for it
_NOBODY = bytes(16)  # the origin of what no session sent
_UNREAD = refused(VerdictCode.RETRY, "what records show is being read")
_HIDDEN = refused(VerdictCode.FORBIDDEN, "this record may not be held by this device, nor made by it")
_NOT_HERE = refused(VerdictCode.FORBIDDEN, "this record may not be held by the device that it was sent to")
_RETRY = Verdict(VerdictCode.RETRY, reason="it could not be stored now; it will be sent again")
_NO_DISK = Verdict(VerdictCode.RETRY, reason="the disk takes nothing now, perhaps it is full; it will be sent again")


class Answer(NamedTuple):
    """What became of a push: a verdict per update, and the log's numbers of what was stored as it was sent."""

    number: int
    verdicts: Sequence[Verdict]
    seqs: Sequence[int]


class Sessions(Protocol):
    """What the pipeline asks of the hub's sessions."""

    def answered(self, session: int, answers: Sequence[Answer], now: int) -> None:
        """These pushes are complete, in order, or none: acknowledge them together."""

    def poisoned(self, session: int, now: int) -> None:
        """Its updates have killed workers too often: end it."""


class Pipeline:
    """See the module. What it asks of the host it appends to `effects`; the other arguments are those of `Hub`.

    Call `next_batch` after pushes were taken.
    """

    def __init__(
        self,
        sessions: Sessions,
        effects: list[HubEffect],
        wall_clock: Callable[[], int],
        snapshot_due: Callable[[str], bool],
        acknowledged_after: Callable[[int], object],
        quotas: Quotas | None = None,
        own: Callable[[], Sight | None] = lambda: None,
        sights: Sights | None = None,
    ) -> None:
        self._own = own
        self._sights = sights
        self._quotas = quotas
        self.tells_refused = False
        self._sessions = sessions
        self._effects = effects
        self._wall_clock = wall_clock
        self._snapshot_due = snapshot_due
        self._acknowledged_after = acknowledged_after
        self._senders: dict[int, Sender] = {}
        self._quick = Lane(slow=False)
        self._slow = Lane(slow=True)
        self._number = 0
        self._committing: dict[int, Batch] = {}  # by number, in the order of their commits
        self.verdicts: Counter[VerdictCode] = Counter()
        self.taken = 0  # updates, ever: each gets one verdict
        self.held_bytes = 0  # what the updates weigh in pushes that are not answered

    @property
    def idle(self) -> bool:
        """Whether no push is on its way."""
        return not self._committing and not any(lane.integrating or lane.waiting for lane in self._lanes)

    @property
    def _lanes(self) -> tuple[Lane, Lane]:
        return self._quick, self._slow

    def take(
        self, session: int, principal: Principal, origin: bytes, accept: Accept, now: int, address: str = ""
    ) -> None:
        """A push came, of that principal and replica, from that address."""
        sender = self._senders.get(session)
        if sender is None:
            sender = self._senders[session] = Sender(session, principal, origin, self._quick, principal.share(address))
        number, entries, hidden, unread = accept
        count, weight = len(entries), weight_of(entries)
        self.taken += count
        self.held_bytes += weight
        sender.pushes.append(Push(session, number, [None] * count, missing=count, taken_at=now, weight=weight))
        allowed: Entries = tuple(enumerate(entries))
        if hidden or principal.grant != "everything" or (self._quotas is not None and not self._quotas.off):
            why = {record: _UNREAD if record in unread else _HIDDEN for record in hidden}
            allowed = self._allowed(session, principal, number, allowed, why, now)
            if not allowed:
                self._answer({session: None}, now)
                return
        lane = self._lane_of(sender, now)
        if lane is not sender.lane:
            lane.take_over(sender)
        sender.lane.add(
            sender, Waiting(number, allowed, weight) if len(allowed) == count else Waiting.of(number, allowed)
        )

    def crowded(self, session: int, size: int, now: int) -> bool:
        """Whether a frame of `size` bytes is not to be taken from the session before others were answered.

        The second half of what may be held is for those of whom nothing is; beyond it they say what is short.
        """
        waiting = self._slow.waiting_weight
        if waiting and (self.waits_for_slow(session, size, now) or self.postponed_too_much(session)):
            return True
        held = self.held_bytes - waiting
        if held < limits.TAKEN_BYTES_MAX // 2:
            return False
        if self.has_pushed(session):
            return True
        return held >= limits.TAKEN_BYTES_MAX * (2 if size <= limits.TAKEN_FRAME_BYTES else 1)

    def _lane_of(self, sender: Sender, now: int) -> Lane:
        """By which its next push goes: what waits of a session, waits in one."""
        if sender.waiting:
            return sender.lane
        return self._slow if sender.slow_until > now else self._quick

    def put_off(self) -> list[int]:
        """The sessions that were told when to try again."""
        return [session for session, sender in self._senders.items() if sender.put_off]

    def has_pushed(self, session: int) -> bool:
        """Whether pushes of the session are not answered."""
        sender = self._senders.get(session)
        return sender is not None and bool(sender.pushes)

    def postponed_too_much(self, session: int) -> bool:
        """Whether the session is to wait until something that waits of it for the slow worker was done."""
        sender = self._senders.get(session)
        if sender is None or sender.lane is not self._slow or not sender.waiting:
            return False
        return self._slow.waiting_weight >= limits.TAKEN_BYTES_MAX // 4

    def waits_for_slow(self, session: int, size: int, now: int) -> bool:
        """Whether a frame of `size` bytes would go by the slow lane, and there is no room in that: short ones are taken
        all the same.
        """
        if size <= limits.TAKEN_FRAME_BYTES or self._slow.waiting_weight < limits.TAKEN_BYTES_MAX // 2:
            return False
        sender = self._senders.get(session)
        return sender is not None and self._lane_of(sender, now) is self._slow

    def leave(self, session: int) -> None:
        """The session is over: what was taken of it becomes durable, and nobody is told."""
        sender = self._senders.get(session)
        if sender is None:
            self._effects.append(Finished(session, {}))
            return
        sender.gone = True
        if sender.strikes >= limits.POISON_STRIKES_MAX:
            self._give_up(session, sender)
        self._answers(session, sender)

    def next_batch(self) -> None:
        """Ask for the next integrations, if pushes wait and a worker has less to do than it may.

        Beside a batch under way only a full one is worth asking for: until then more pushes may join it.
        """
        if self._quick.waiting:
            self._next_batch(self._quick, self._slow)
        if self._slow.waiting:
            self._next_batch(self._slow, self._quick)

    def _next_batch(self, lane: Lane, other: Lane) -> None:
        under_way = len(lane.integrating)
        if under_way and (under_way >= _INTEGRATIONS_MAX or not lane.enough):
            return
        if lane.discard or len(self._committing) + under_way >= limits.COMMITS_IN_FLIGHT_MAX:
            return
        storing = of_large = 0
        for batch in self._committing.values():
            storing += batch.storing
            of_large += batch.storing if batch.much else 0
        if storing >= limits.COMMITTING_UPDATES_MAX:
            return
        little = of_large >= limits.COMMITTING_MUCH_MAX
        much = False
        grouped: dict[str, tuple[list[bytes], list[Part], list[str], list[Principal]]] = {}
        for sender, push in lane.next_batch(other.busy if other.integrating else set(), little=little):
            much = much or len(push.entries) > LITTLE
            session, name, principal, number = sender.session, sender.name, sender.principal, push.number
            for position, (record, update) in push.entries:
                if (group := grouped.get(record)) is None:
                    group = grouped[record] = ([], [], [], [])
                updates, parts, names, principals = group
                updates.append(update)
                parts.append(new_part((session, number, position)))
                names.append(name)
                principals.append(principal)
        if not grouped:
            return
        items = tuple(
            [
                IntegrationItem(
                    record,
                    tuple(updates),
                    tuple(names),
                    tuple(principals),
                    tuple([part.session for part in parts]),
                    self._snapshot_due(record),
                )
                for record, (updates, parts, names, principals) in grouped.items()
            ]
        )
        self._number += 1
        asked = tuple([tuple(parts) for _, parts, _, _ in grouped.values()])
        lane.integrating.append(Batch(self._number, items, asked, much=much))
        stamp_max = self._wall_clock() + limits.STAMP_AHEAD_US_MAX
        self._effects.append(Integrate(self._number, items, stamp_max, lane.slow))

    # --- answers of the host ---------------------------------------------------------------------------------

    def integrated(self, results: Sequence[Integrated], now: int, *, slow: bool = False) -> None:
        """The worker's answer to the oldest batch that it, or the slow one, integrates, one result per item."""
        lane = self._slow if slow else self._quick
        batch = lane.integrating.popleft()
        assert len(results) == len(batch.items)
        if lane.discard:
            lane.discard -= 1
            self._effects.append(Forget())  # a batch of several requests has loaded records since the first one
            self._refuse(batch.parts, now)
        else:
            self._store(batch, results, now)
        self.next_batch()

    def integration_failed(self, now: int, *, slow: bool = False) -> None:
        """The worker could not be asked at all: everything of the oldest batch is to be sent again."""
        lane = self._slow if slow else self._quick
        batch = lane.integrating.popleft()
        lane.discard = max(0, lane.discard - 1)
        self._refuse(batch.parts, now)
        self.next_batch()

    def committed(self, number: int, seqs: Sequence[Sequence[int]], now: int) -> None:
        """The commit is on disk; `seqs` are the log's numbers per change and update, see `Hub.committed`."""
        batch = self._committing.pop(number, None)
        if batch is None:
            return  # given up when an earlier commit failed; what was said to be sent again is known then
        touched: dict[int, None] = {}
        accepted = VerdictCode.ACCEPTED
        for parts, numbers in zip(batch.stored, seqs, strict=True):
            for part, seq in zip(parts, numbers, strict=False):  # nobody sent a renewal
                self._decide(part, _new_verdict((accepted, seq, b"", "", False, None, None)), seq or None)
                touched[part.session] = None
        for part, verdict in batch.riders:
            self._decide(part, verdict, None)
            touched[part.session] = None
        self._answer(touched, now)
        self.next_batch()

    def commit_failed(self, number: int, now: int) -> bool:
        """The commit was refused by the disk; see the third invariant.

        Returns whether it was given up now, with all that came after it: false where that was done when an earlier one
        failed. What was handed over since then may still be refused.
        """
        if number not in self._committing:
            return False
        failed = [self._committing.pop(number)]
        failed += [self._committing.pop(later) for later in sorted(self._committing) if later > number]
        for lane in self._lanes:
            lane.discard = len(lane.integrating)
        self._effects.append(Forget())
        for batch in failed:
            self._refuse((*batch.stored, [part for part, _ in batch.riders]), now, _NO_DISK)
        self.next_batch()
        return True

    # --- parts -----------------------------------------------------------------------------------------------

    def _store(self, batch: Batch, results: Sequence[Integrated], now: int) -> None:
        """Decide what the worker decided, and commit what it accepted."""
        changes: list[StoredUpdates] = []
        stored: list[tuple[Part, ...]] = []
        riders: list[tuple[Part, Verdict]] = []
        touched: dict[int, None] = {}
        postponed: dict[int, dict[int, list[tuple[int, PushEntry]]]] = {}  # by session and push: as in `Waiting`
        waits: dict[int, dict[str, tuple[int, int]]] = {}  # by session, see `Sender.waits_for`
        results = self._held_here(batch, results)
        for item, parts, result in zip(batch.items, batch.parts, results, strict=True):
            kept: list[Part] = []
            news: list[bytes] = []
            let_in: list[Principal] = []  # per update
            touched_by: list[Touched | None] = []  # likewise
            put_off: set[int] = set()  # sessions
            asked = zip(parts, item.updates, item.principals, result.verdicts, strict=True)
            for part, update, principal, judged in asked:
                if judged.code is VerdictCode.ACCEPTED and judged.new:
                    kept.append(part)
                    news.append(update)
                    let_in += (principal,)
                    touched_by += (judged.touched,)
                    continue
                if judged is POSTPONED or (
                    judged.code is VerdictCode.GAP
                    and (part.session in put_off or self._waits_before(part, item.record, batch, waits))
                ):  # what it lacks was postponed: it waits behind that
                    put_off.add(part.session)
                    left = postponed.setdefault(part.session, {}).setdefault(part.number, [])
                    left.append((part.position, PushEntry(item.record, update)))
                    continue
                verdict = _told(judged, result.state_vector)
                if verdict.code in {VerdictCode.ACCEPTED, VerdictCode.GAP}:
                    riders.append((part, verdict))
                    continue
                self._decide(part, verdict, None)
                self._tell_refused(part.session, item.record, judged)
                touched[part.session] = None
                if verdict.code is VerdictCode.POISON:
                    self._strike(part.session, now)
            if not kept:
                continue
            if result.lineage is not None and result.snapshot is not None:
                # One update is stored for all, and goes to everybody. Nobody sent it as it is, so nobody is told its
                # number: who sent a part of it reads in the feed what that became, and its cursor must not pass it.
                riders += [(part, Verdict(VerdictCode.ACCEPTED)) for part in kept]
                news, origins = [result.snapshot], [_NOBODY]
                stored.append(())
            else:
                origins = [self._origin(part.session) for part in kept]
                stored.append(tuple(kept))
            sessions = tuple([part.session for part in kept])
            changes.append(_change(item.record, news, origins, result, let_in, sessions, touched_by))
        if changes:
            self._commit(batch, changes, stored)
        self._ride(riders, touched)
        self._answer(touched, now)
        for session, pushes in postponed.items():
            self._postpone(session, pushes, now)

    def _commit(self, batch: Batch, changes: Sequence[StoredUpdates], stored: Sequence[tuple[Part, ...]]) -> None:
        self._number += 1  # in the order of the commits, which is not that of the batches
        self._committing[self._number] = Batch(self._number, batch.items, batch.parts, tuple(stored), much=batch.much)
        self._effects.append(Commit(self._number, tuple(changes)))

    def _held_here(self, batch: Batch, results: Sequence[Integrated]) -> Sequence[Integrated]:
        """What may be held here at all; the rest is refused, and what the worker has made of it forgotten."""
        own = self._own()
        if own is None:
            return results
        found = [
            result
            if result.shown is None or self._is_held(own, item.record, result.shown)
            else result._replace(verdicts=[_NOT_HERE if each.new else each for each in result.verdicts])
            for item, result in zip(batch.items, results, strict=True)
        ]
        if any(before is not after for before, after in zip(results, found, strict=True)):
            for lane in self._lanes:
                lane.discard = len(lane.integrating)
            self._effects.append(Forget())
        return found

    def _is_held(self, own: Sight, record: str, shown: Values | None) -> bool:
        """Whether a record that shows this may be held here; a companion by what its record shows on disk."""
        if not ids.section_of(record):
            return own.holds(record, forms_of(shown or {}))
        where = None if self._sights is None else self._sights.whereabouts(ids.whole_record(record), 0)
        return where is not None and own.holds(record, where.forms)

    def _ride(self, riders: Sequence[tuple[Part, Verdict]], touched: dict[int, None]) -> None:
        """Answer these with the newest commit, or at once: see the fifth rule."""
        if self._committing:
            self._committing[max(self._committing)].riders.extend(riders)
            return
        for part, verdict in riders:
            self._decide(part, verdict, None)
            touched[part.session] = None

    def _waits_before(
        self, part: Part, record: str, batch: Batch, waits: dict[int, dict[str, tuple[int, int]]]
    ) -> bool:
        """Whether an update of that record waits, or is with the slow worker again, which the session pushed before."""
        if part.session not in waits:
            sender = self._senders.get(part.session)
            found = waits[part.session] = {}
            if sender is not None and sender.lane is self._slow:
                last = max(each[1:] for parts in batch.parts for each in parts if each.session == part.session)
                found.update(sender.waits_for(last))
                again = (zip(batch.items, batch.parts, strict=True) for batch in self._slow.integrating)
                for item, parts in chain.from_iterable(again):
                    places = [each[1:] for each in parts if each.session == part.session]
                    if places:
                        found[item.record] = min(*places, found.get(item.record, places[0]))
        first = waits[part.session].get(record)
        return first is not None and first < (part.number, part.position)

    def _postpone(self, session: int, pushes: dict[int, list[tuple[int, PushEntry]]], now: int) -> None:
        """These wait again, in their order, and their session goes by the slow lane from now on."""
        sender = self._senders.get(session)
        if sender is None:
            return
        given_up = sender.strikes >= limits.POISON_STRIKES_MAX
        if given_up or self._slow.waiting_weight >= limits.TAKEN_BYTES_MAX // 2:
            parts = [Part(session, number, position) for number, left in pushes.items() for position, _ in left]
            self._refuse([parts], now)
            return
        if sender.lane is not self._slow:
            self._slow.take_over(sender)
        left = [Waiting.of(number, tuple(sorted(pushes[number]))) for number in sorted(pushes)]
        self._slow.put_back(sender, left)
        sender.slow_until = now + limits.SLOW_FOR_US

    def _origin(self, session: int) -> bytes:
        sender = self._senders.get(session)
        return sender.origin if sender else _NOBODY

    def _strike(self, session: int, now: int) -> None:
        sender = self._senders.get(session)
        if sender is None:
            return
        sender.strikes += 1
        if sender.strikes < limits.POISON_STRIKES_MAX:
            return
        if sender.gone:
            self._give_up(session, sender)
        else:
            self._sessions.poisoned(session, now)

    def _give_up(self, session: int, sender: Sender) -> None:
        """Nothing more of the session is integrated."""
        for push in sender.lane.remove(sender):
            for position, _ in push.entries:
                self._decide(Part(session, push.number, position), _RETRY, None)

    def _refuse(self, parts: Sequence[Sequence[Part]], now: int, verdict: Verdict = _RETRY) -> None:
        touched: dict[int, None] = {}
        for group in parts:
            for part in group:
                self._decide(part, verdict, None)
                touched[part.session] = None
        self._answer(touched, now)

    def _allowed(
        self, session: int, principal: Principal, number: int, entries: Entries, hidden: Mapping[str, Verdict], now: int
    ) -> Entries:
        """What of the push that came last its principal may write; the rest is refused."""
        allowed = []
        for position, entry in entries:
            denied = hidden.get(entry.record) or principal.write_refused(entry.record)
            denied = denied or self._charge(session, position, entry, now)
            if denied is None:
                allowed.append((position, entry))
            else:
                self._decide(Part(session, number, position), denied, None)
                self._tell_refused(session, entry.record, denied)
        return tuple(allowed)

    def _tell_refused(self, session: int, record: str, verdict: Verdict) -> None:
        if self.tells_refused and verdict.code not in _FOR_NOW:
            self._effects.append(Refused(session, record, verdict.code, verdict.touched))

    def _charge(self, session: int, position: int, entry: PushEntry, now: int) -> Verdict | None:
        """Count an update of the push that came last; the refusal where it is more than a quota allows."""
        if self._quotas is None:
            return None
        sender = self._senders[session]
        taken = self._quotas.take(session, sender.principal, entry.record, len(entry.update), now)
        if isinstance(taken, Verdict):
            sender.put_off = sender.put_off or taken.retry_after is not None
            return taken
        if taken is not None:
            sender.pushes[-1].charges[position] = taken
        return None

    def _decide(self, part: Part, verdict: Verdict, seq: int | None) -> None:
        self.verdicts[verdict.code] += 1
        sender = self._senders.get(part.session)
        if sender is None:
            return
        sender.verdicts[verdict.code] += 1
        push = sender.pushes[part.number - sender.pushes[0].number]
        push.verdicts[part.position] = verdict
        push.missing -= 1
        if self._quotas is not None and (charge := push.charges.pop(part.position, None)) is not None:
            settle = self._quotas.settle if verdict.code is VerdictCode.ACCEPTED else self._quotas.give_back
            settle(charge)
        if seq is not None:
            push.seqs.append(seq)

    def _answer(self, sessions: dict[int, None], now: int) -> None:
        """Hand every push that is complete to its session, in order."""
        for session in sessions:
            sender = self._senders.get(session)
            if sender is None:
                continue
            if sender.pushes and not sender.pushes[0].missing and not sender.gone:
                self._acknowledged_after(now - sender.pushes[0].taken_at)
            answers = self._answers(session, sender)
            if not sender.gone:
                self._sessions.answered(session, answers, now)

    def _answers(self, session: int, sender: Sender) -> list[Answer]:
        """Take the pushes that are complete, in order; forget who has left and waits for no other."""
        answers = []
        while sender.pushes and not sender.pushes[0].missing:
            push = sender.pushes.popleft()
            self.held_bytes -= push.weight
            verdicts = [verdict for verdict in push.verdicts if verdict is not None]
            answers.append(Answer(push.number, verdicts, push.seqs))
        if sender.gone and not sender.pushes:
            del self._senders[session]
            self._effects.append(Finished(session, sender.verdicts))
        return answers


def _change(
    record: str,
    news: Sequence[bytes],
    origins: Sequence[bytes],
    result: Integrated,
    let_in: Sequence[Principal],
    sessions: tuple[int, ...],
    touched: Sequence[Touched | None],
) -> StoredUpdates:
    brought_by: tuple[str, ...] = ()
    for principal in let_in:
        if principal.user:
            brought_by = _users(let_in, len(news))
            break
    told: tuple[Touched | None, ...] = ()
    for each in touched:
        if each is not None:
            told = tuple(touched)
            break
    return StoredUpdates(
        record,
        tuple(news),
        tuple(origins),
        result.state_vector,
        result.snapshot,
        result.lineage,
        tuple(dict.fromkeys(let_in)),
        brought_by,
        None if result.shown is None else forms_of(result.shown),
        sessions,
        told,
        result.bound,
    )


def _users(let_in: Sequence[Principal], count: int) -> tuple[str, ...]:
    """Who brought each of `count` updates; where they became one, whoever brought all of them."""
    users = tuple([principal.user for principal in let_in])
    return users if len(users) == count else (users[0] if len(set(users)) == 1 else "",)


def _told(judged: Verdict, state_vector: bytes) -> Verdict:
    """What the sender is told of a verdict of the worker; a gap comes with what to diff against."""
    if judged.code is VerdictCode.GAP:
        return Verdict(judged.code, state_vector=state_vector)
    return Verdict(judged.code, reason=judged.reason[: limits.REASON_LENGTH_MAX])
