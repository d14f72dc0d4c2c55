"""Mutants of the device's side: dialer, partner, replica, records, clock."""

import hashlib
from typing import Any

from crdt_bench.simulator.mutants import Method, Mutant, returns
from crdt_sync.clock import HybridClock
from crdt_sync.protocol.backoff import Backoff
from crdt_sync.protocol.dialer import Dialer
from crdt_sync.protocol.messages import Have
from crdt_sync.protocol.session import Session
from crdt_sync.protocol.states import State
from crdt_sync.protocol.wants import want
from crdt_sync.records import deleted, reading
from crdt_sync.records.document import Document
from crdt_sync.records.kinds import members
from crdt_sync.records.kinds.counter import Counter
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.replica import schemas
from crdt_sync.replica.commits import Commits
from crdt_sync.replica.context import Context
from crdt_sync.replica.partner import Partner
from crdt_sync.replica.replica import Replica
from crdt_sync.replica.schemas import Schemas
from crdt_sync.replica.writers import Writers
from crdt_sync.storage.values import Batch


def _cursor_first(integrate: Method) -> Method:
    def mutated(self: Any, entries: Any, origin: bytes, peers: Any, owe_to: Any, *rest: Any, **named: Any) -> Any:
        early = (*peers, *named.pop("peers_despite_gaps", ()))
        if early:
            self.store.commit([Batch(peers=early)])
        return integrate(self, entries, origin, (), owe_to, *rest, **named)

    return mutated


def _no_order(_: Method) -> Method:
    def mutated(self: Any) -> int:
        self.last = self.now()
        return int(self.last)

    return mutated


def _push_while_comparing(_: Any) -> Any:
    def mutated(self: Any) -> bool:
        return self.state not in {State.GREETING, State.CLOSED} and bool(self._pushing.waits)

    return property(mutated)


def _digest_of_vector(_: Method) -> Method:
    return lambda self: hashlib.blake2b(self.state_vector(), digest_size=16).digest()


def _want_by_vector(on_changes: Method) -> Method:
    """Deletions do not show in a state vector: a record changed by them alone is not fetched."""

    def mutated(self: Any, changes: Any, now: int) -> None:
        source = self._source
        entries = tuple(
            entry
            for entry in changes.entries
            if not vectors.covers(source.state_vector(entry.record), entry.state_vector)
        )
        wanted = [entry.record for entry in entries]
        if changes.entries:
            self.state = State.CATCHING_UP
            self._fetching.ending = False
            self._send(want(source, changes.page, wanted))
        else:
            on_changes(self, changes, now)

    return mutated


def _one_writer(_: Method) -> Method:
    def mutated(self: Any) -> int:
        return int.from_bytes(self.id[:6], "big") + len(self.writers.current)

    return mutated


def _shared_by_blocks(take: Method) -> Method:
    def mutated(self: Any, record: str) -> int:
        take(self, record)
        return int(self.first())

    return mutated


def _as_it_was(_: Method) -> Method:
    return lambda _commits, _record, copy: copy


def _one_counter_key(_: Method) -> Method:
    def mutated(_kind: Any, pen: Any, field: str, _spec: Any, amount: Any) -> None:
        present = sum(int(str(total)) for total in pen.map(f"n.{field}").values())
        with pen.document.transaction() as transaction:
            pen.document.map(transaction, f"n.{field}").insert(transaction, "0", int(present + amount))
        pen.changed = True

    return mutated


def _deaf_to_have(send: Method) -> Method:
    return lambda self, message: 0 if isinstance(message, Have) else send(self, message)


def _no_retries(timer: Method) -> Method:
    def mutated(self: Any, now: int) -> None:
        self._pushing.again_at = None
        timer(self, now)

    return mutated


def _deletions_win(_: Method) -> Method:
    def mutated(contents: Any, _vector: bytes, _whole: Any) -> Any:
        raw = contents.get("c._deleted") or []
        return any(isinstance(entry[0], str) for entry in raw), None

    return mutated


def _bare_member(_: Method) -> Method:
    return lambda member, _writer: f"{member}\n0"


DEVICE_MUTANTS = (
    Mutant("cursor before data", "a cursor is stored with its data", ((Replica, "integrate", _cursor_first),), {}),
    Mutant("stamps follow the wall clock", "stamps rise", ((HybridClock, "tick", _no_order),), {"device_clock": 0.2}),
    Mutant(
        "stamps are not observed",
        "a write comes after what it supersedes",
        ((HybridClock, "observe", returns(None)),),
        {"device_clock": 0.2},
        60,
        seeds_from=3,
    ),
    Mutant(
        "outbox forgets later edits",
        "what was edited meanwhile is pushed",
        ((Context, "next_edit", returns(1)),),
        {},
        seeds_from=2,
    ),
    Mutant("outbox is not written", "edits are noted for the partner", ((Context, "peers_except", returns(())),), {}),
    Mutant(
        "pushes while comparing",
        "nothing is pushed on beliefs of another epoch",
        ((Dialer, "wants_room", _push_while_comparing),),
        {"relay_restored": 0.1},
        seeds_from=2,
    ),
    Mutant(
        "edits before the first welcome",
        "what was edited before the partner was known is pushed",
        ((Partner, "_unseen", returns([])),),
        {"slow": 0.5, "late_device": 0.2},
        60,
        steps=16,
        pace=500_000,
        seeds_from=9,
    ),
    Mutant(
        "stamps refused for good",
        "refused stamps are tried again",
        ((Partner, "_offered_again", returns([])),),
        {"device_clock": 0.1},
        60,
        seeds_from=9,
    ),
    Mutant(
        "no restamp",
        "a record stamped ahead is stamped again",
        ((Replica, "restamp", returns(False)),),
        {"device_clock": 0.1},
        60,
        seeds_from=9,
    ),
    Mutant(
        "gone relay is kept",
        "nothing is kept for a relay that is gone",
        ((Context, "part", returns(None)),),
        {"relay_wiped": 0.05},
        60,
    ),
    Mutant(
        "digest without deletions",
        "a digest covers deletions",
        ((Document, "digest", _digest_of_vector),),
        {"relay_restored": 0.3, "cut": 0.1},
        60,
        steps=60,
        records=2,
        pace=500_000,
        seeds_from=25,
    ),
    Mutant(
        "deletions are not fetched",
        "catching up brings deletions",
        ((Dialer, "_on_changes", _want_by_vector),),
        {"device_crash": 0.3, "cut": 0.3},
        40,
        pace=500_000,
        seeds_from=6,
    ),
    Mutant(
        "one writer for all lives",
        "no two lives share a writer",
        ((Context, "new_writer", _one_writer),),
        {"device_rolled_back": 0.1, "device_cloned": 0.05},
    ),
    Mutant(
        "blocks share a writer",
        "blocks that overlap write under an id each",
        ((Writers, "take", _shared_by_blocks),),
        {"partition": 0.05},
        records=2,
        open_blocks=0.8,
    ),
    Mutant(
        "a block knows no other edit",
        "a block is brought up to what the store holds when it ends",
        ((Commits, "_current", _as_it_was),),
        {},
        records=2,
        open_blocks=0.8,
        seeds_from=1,
    ),
    Mutant(
        "lost records stay pending",
        "what damage took is no longer pending",
        ((Partner, "_lost", returns([])),),
        {"device_rots": 0.5, "cut": 0.2},
        60,
        records=2,
        seeds_from=12,
    ),
    Mutant(
        "schemas that come are not used",
        "who receives records gets their schema",
        ((Schemas, "received", returns(None)),),
        {"schema_upgraded": 0.1},
        60,
        steps=40,
        records=2,
    ),
    Mutant(
        "views outlive their schema",
        "a newer schema makes the views anew",
        ((schemas, "refresh_views", returns(None)),),
        {"schema_upgraded": 0.1},
        60,
        steps=80,
        records=2,
    ),
    Mutant("one key for a counter", "increments add up", ((Counter, "count", _one_counter_key),), {}, seeds_from=3),
    Mutant(
        "one key for a set's member",
        "an add survives a removal that did not see it",
        ((members, "member_key", _bare_member),),
        {"partition": 0.3},
        60,
        steps=120,
        records=1,
        seeds_from=15,
    ),
    Mutant(
        "deletion beats edits",
        "an edit beside a deletion keeps the record",
        ((deleted, "deletion_of", _deletions_win), (reading, "deletion_of", _deletions_win)),
        {},
        60,
        seeds_from=12,
    ),
    Mutant(
        "nothing is confirmed",
        "a reader that confirms is served",
        ((Session, "_send", _deaf_to_have),),
        {},
        60,
        seeds_from=1,
    ),
    Mutant(
        "no retries",
        "what the disk refused is sent again",
        ((Dialer, "timer", _no_retries),),
        {"relay_disk_fails": 0.2},
        60,
        seeds_from=1,
    ),
    Mutant(
        "silence is fine",
        "the silent are given up",
        ((Session, "next_timer", returns(None)),),
        {"half_open": 0.1},
        seeds_from=12,
    ),
    Mutant(
        "no back-off",
        "attempts are spread",
        ((Backoff, "delay_us", returns(0)),),
        {"partition": 0.1},
        steps=5,
        events_per_step_max=200,
    ),
)
