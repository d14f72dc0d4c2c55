"""Mutants of the relay's side: hub, acceptor, overlay, worker, feed."""

from typing import Any

from crdt_bench.simulator.mutants import Method, Mutant, returns
from crdt_sync.errors import LogCompacted
from crdt_sync.protocol.acceptor import Acceptor
from crdt_sync.protocol.fetching import Fetching
from crdt_sync.protocol.hub import Forget, Hub
from crdt_sync.protocol.hub.pipeline import Pipeline
from crdt_sync.protocol.messages import PAGE_COMPARED, Verdict, VerdictCode
from crdt_sync.protocol.serving import Serving
from crdt_sync.protocol.source import LogUpdate
from crdt_sync.protocol.states import State
from crdt_sync.replica.index import StoreIndex
from crdt_sync.replica.source import StoreSource
from crdt_sync.runtime.hosting.uncommitted import Uncommitted
from crdt_sync.runtime.worker.pool import IntegrationPool
from crdt_sync.storage import lives
from crdt_sync.storage.memory import MemoryStore

_DISK = {"relay_disk_fails": 0.2, "cut": 0.05}
_PUT_BACK = {"relay_rolled_back": 0.1, "cut": 0.1, "device_rolled_back": 0.02, "second_session": 0.05}


def _acknowledge_early(store: Method) -> Method:
    def mutated(self: Any, batch: Any, results: Any, now: int) -> None:
        store(self, batch, results, now)
        if self._number not in self._committing:
            return
        committing = self._committing[self._number]
        parts = [part for group in committing.stored for part in group]
        committing.stored = ()
        for part in parts:
            self._decide(part, Verdict(VerdictCode.ACCEPTED), None)
        self._answer({part.session: None for part in parts}, now)

    return mutated


def _commit_without_answers(_: Method) -> Method:
    def mutated(self: Any, number: int, _seqs: Any, now: int) -> None:
        batch = self._committing.pop(number, None)
        riders = batch.riders if batch else ()
        for part, verdict in riders:
            self._decide(part, verdict, None)
        self._answer({part.session: None for part, _ in riders}, now)
        self.next_batch()

    return mutated


def _riders_early(store: Method) -> Method:
    def mutated(self: Any, batch: Any, results: Any, now: int) -> None:
        store(self, batch, results, now)
        for committing in self._committing.values():
            riders, committing.riders = committing.riders, []
            for part, verdict in riders:
                self._decide(part, verdict, None)
            self._answer({part.session: None for part, _ in riders}, now)

    return mutated


def _keep_integrating(commit_failed: Method) -> Method:
    def mutated(self: Any, number: int, now: int) -> Any:
        given_up = commit_failed(self, number, now)
        for lane in self._lanes:
            lane.discard = 0
        return given_up

    return mutated


def _forget_once(integrated: Method) -> Method:
    def mutated(self: Any, results: Any, now: int, *, slow: bool = False) -> None:
        before = len(self._effects)
        discarding = (self._slow if slow else self._quick).discard
        integrated(self, results, now, slow=slow)
        if discarding:
            kept = [effect for effect in self._effects[before:] if not isinstance(effect, Forget)]
            self._effects[before:] = kept

    return mutated


def _drop_what_waits(_: Method) -> Method:
    def mutated(self: Any, session: int) -> None:
        sender = self._senders.pop(session, None)
        if sender is not None:
            sender.lane.remove(sender)
            self.held_bytes -= sum(push.weight for push in sender.pushes)

    return mutated


def _keep_what_failed(_: Method) -> Method:
    def mutated(self: Any, number: int, changes: Any, **_failed: bool) -> None:
        for change in changes:
            waiting = self._waiting[change.record]
            del waiting[number]
            if not waiting:
                del self._waiting[change.record]

    return mutated


def _end_before_answers(_: Any) -> Any:
    def mutated(self: Any) -> bool:
        session = self._session
        if session.state in {State.GREETING, State.CLOSED} or not self._may_send():
            return False
        behind: bool = self.cursor < self._source.head()
        if session.state is State.CATCHING_UP:
            return True
        return bool(self._answers) or (session.state is State.LIVE and session.follow and behind)

    return property(mutated)


def _without_waiting(serve_changes: Method) -> Method:
    def mutated(self: Any, *more: Any) -> Any:
        unanswered, self._pages = self._pages, {}
        size = serve_changes(self, *more)
        self._pages = {**unanswered, **self._pages}
        return size

    return mutated


def _end_before_wants(_: Method) -> Method:
    def mutated(self: Any) -> None:
        if self._compared.told:
            self.state = State.CATCHING_UP
            self.serving._pages[PAGE_COMPARED] = None

    return mutated


def _first_view(followed: Method) -> Method:
    def mutated(self: Any) -> Any:
        return self._index.pin() if self._head else followed(self)

    return mutated


def _own_by_replica(answered: Method) -> Method:
    def mutated(self: Any, session: int, answers: Any, now: int) -> None:
        pusher = self._sessions.get(session)
        for other in self._sessions.values():
            if pusher is not None and other.partner == pusher.partner:
                other.serving._own.update(seq for answer in answers for seq in answer.seqs)
        answered(self, session, answers, now)

    return mutated


def _skip_compacted(_: Method) -> Method:
    def mutated(self: Any, after: int, limit: int, bytes_max: int) -> Any:
        while after < self._store.head():
            try:
                entries = self._store.log(after, limit, bytes_max)
            except LogCompacted:
                after += 1
                continue
            return [LogUpdate(entry.seq, entry.record, entry.update) for entry in entries]
        return None

    return mutated


def _as_it_is(_: Method) -> Method:
    return lambda _acceptor, cursor: cursor


def _nothing_unserved(_: Method) -> Method:
    return lambda _fetching, _updates: set()


def _same_life(_: Method) -> Method:
    return lambda self: self.epoch


def _never_ended(_: Method) -> Method:
    return lambda known, _head: known


def _cursor_alone(_: Method) -> Method:
    def mutated(self: Any, resume: Any) -> bool:
        reach = self._source.reach(resume.epoch)
        return reach is not None and resume.cursor <= reach

    return mutated


def _one_epoch(_: Any) -> Any:
    return property(lambda _: b"one-epoch-for-all"[:16])


def _reach_of_anything(_: Method) -> Method:
    return lambda self, _epoch: self.head()


def _snapshot_only(load: Method) -> Method:
    def mutated(self: Any, record: str) -> Any:
        stored = load(self, record)
        if stored.head is not None and stored.head.snapshot_seq:
            return type(stored)(stored.head, stored.updates[:1])
        return stored

    return mutated


RELAY_MUTANTS = (
    Mutant(
        "ack before commit",
        "acknowledged means synced",
        ((Pipeline, "_store", _acknowledge_early), (Pipeline, "committed", _commit_without_answers)),
        _DISK,
    ),
    Mutant(
        "riders early",
        "a repeat is acknowledged with what it repeats",
        ((Pipeline, "_store", _riders_early),),
        {"relay_disk_fails": 0.3, "second_session": 0.2, "cut": 0.2},
        seeds_from=3,
    ),
    Mutant(
        "integration survives a failed commit",
        "nothing is stored without what it builds on",
        ((Pipeline, "commit_failed", _keep_integrating),),
        _DISK,
        60,
        seeds_from=3,
    ),
    Mutant(
        "worker never forgets",
        "the worker forgets what was not stored",
        ((IntegrationPool, "forget_all", returns(None)),),
        _DISK,
        seeds_from=1,
    ),
    Mutant(
        "what is postponed is dropped",
        "every push is answered",
        ((Pipeline, "_postpone", returns(None)),),
        {},
        seeds_from=13,
    ),
    Mutant(
        "the other worker keeps its records",
        "what one worker integrated the other loads anew",
        ((IntegrationPool, "cached", returns(False)),),
        {"second_session": 0.2},
        60,
        records=2,
        seeds_from=17,
    ),
    Mutant(
        "worker forgets once",
        "the worker forgets what was discarded",
        ((Pipeline, "integrated", _forget_once),),
        {"relay_disk_fails": 0.3, "worker_killed": 0.3},  # so that a batch takes several requests
        60,
        seeds_from=3,
    ),
    Mutant(
        "a session takes along what waits of it",
        "nothing that was received is dropped",
        ((Pipeline, "leave", _drop_what_waits),),
        {"cut": 0.3, "device_crash": 0.1},
        seeds_from=3,
    ),
    Mutant(
        "overlay keeps what failed",
        "what failed is not built upon",
        ((Uncommitted, "end", _keep_what_failed),),
        {**_DISK, "second_session": 0.1},
        seeds_from=5,
    ),
    Mutant(
        "end told before the answers",
        "a cursor comes behind what it stands for",
        ((Serving, "wants_room", _end_before_answers), (Serving, "serve_feed", _without_waiting)),
        {"device_crash": 0.1},
        seeds_from=1,
    ),
    Mutant(
        "feed before the differences",
        "a cursor comes behind all that the comparison found",
        ((Acceptor, "_finish_comparing", _end_before_wants),),
        {"relay_restored": 0.05, "device_crash": 0.2, "cut": 0.2},
        pace=500_000,
        seeds_from=2,
    ),
    Mutant(
        "an old view is compared",
        "a comparison sees all that is held",
        ((StoreIndex, "_followed", _first_view),),
        {"device_cloned": 0.05, "device_rolled_back": 0.2, "relay_restored": 0.05},
        40,
        seeds_from=5,
    ),
    Mutant(
        "own updates by replica id",
        "two copies of a device hear each other",
        ((Hub, "answered", _own_by_replica),),
        {"device_cloned": 0.05},
    ),
    Mutant(
        "compacted log is skipped",
        "compaction is unnoticed",
        ((StoreSource, "log", _skip_compacted),),
        {"compaction": 0.4, "partition": 0.1, "slow": 0.1},
        60,
        steps=80,
        seeds_from=13,
    ),
    Mutant("followers are not woken", "edits spread while connected", ((Hub, "followers", returns([])),), {}),
    Mutant(
        "one life for all processes",
        "a relay that was put back begins a life",
        ((MemoryStore, "begin_life", _same_life), (lives, "ended", _never_ended)),
        _PUT_BACK,
        60,
        seeds_from=1,
    ),
    Mutant(
        "a life's end is not recorded",
        "what was lost of a life is not honoured",
        ((lives, "ended", _never_ended),),
        _PUT_BACK,
        60,
        seeds_from=6,
    ),
    Mutant(
        "only cursors are compared",
        "lost pushes are noticed where the cursor lies lower",
        ((Serving, "honours", _cursor_alone),),
        {"relay_rolled_back": 0.2, "cut": 0.3, "slow": 0.1, "device_crash": 0.1},
        300,
        pace=500_000,
        seeds_from=20,
    ),
    Mutant(
        "one epoch for all",
        "a wiped relay is noticed",
        ((StoreSource, "epoch", _one_epoch), (StoreSource, "reach", _reach_of_anything)),
        {"relay_wiped": 0.05},
    ),
    Mutant(
        "cursor passes what cannot be read",
        "a cursor stays before a record that was passed over",
        ((Serving, "_true", _as_it_is), (Fetching, "unserved", _nothing_unserved)),
        {"relay_rots": 0.2, "cut": 0.1},
        seeds_from=4,
    ),
    Mutant(
        "tail is not loaded",
        "what is stored is loaded",
        ((MemoryStore, "load", _snapshot_only),),
        {"device_crash": 0.05},
    ),
)
