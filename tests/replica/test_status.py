"""Status against the truth: random histories of edits, syncs, cuts, refusals and lost relays, read from both stores."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_sync import Replica, bundled_schema, ids, limits
from crdt_sync.protocol import hub as effects
from crdt_sync.protocol.entries import Behind
from crdt_sync.protocol.hub import Integrated
from crdt_sync.records import Document
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.updates.delete_set import range_covered
from crdt_sync.replica import status as status_module
from crdt_sync.replica.status import percentage
from crdt_sync.replica.told import Told, unfetched
from crdt_sync.storage.memory import MemoryStore
from crdt_sync.storage.port import Store
from crdt_sync.storage.values import Batch, Change, OutboxEntry, Peer
from crdt_sync.verdicts import VerdictCode, refused
from tests.replica.wire import URL, Line, MemoryRelay, VirtualTime

RECORDS = [f"customers/c{number}" for number in range(6)]


class MoodyRelay(MemoryRelay):
    """A relay that refuses some records for good, and others for now."""

    def __init__(self, time: VirtualTime, rng: random.Random) -> None:
        self.refuses: set[str] = set()
        self.postpones: set[str] = set()
        super().__init__(time, rng=rng)

    def integrate(self, item: effects.IntegrationItem, stamp_max: int) -> Integrated:
        for code, records in ((VerdictCode.MALFORMED, self.refuses), (VerdictCode.RETRY, self.postpones)):
            if item.record in records:
                return Integrated([refused(code, "because")] * len(item.updates), b"\0", None)
        return super().integrate(item, stamp_max)


class History:
    """One device that is asked for its status, another that writes, and a relay; `truth` is the relay as last met."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.time = VirtualTime()
        self.relay = MoodyRelay(self.time, self.rng)
        self.anna, self.bob = self.device("anna"), self.device("bob")
        self.truth: MemoryStore | None = None
        self.backup = self.relay.store.clone()

    def device(self, name: str) -> Replica:
        store = MemoryStore(rng=self.rng)
        store.commit([Batch(meta={"name": name.encode()})])
        replica = Replica.over(store, self.time.clock(), self.rng)
        replica.add_schema(bundled_schema("customers"))
        return replica

    def step(self) -> None:
        getattr(self, self.rng.choice(("edit", "edit", "edit", "sync", "sync", "cut", "others", "moods", "lose")))()

    def edit(self, replica: Replica | None = None) -> None:
        replica = replica or self.anna
        record = self.rng.choice(RECORDS)
        with replica.edit(record, create=True) as customer:
            if self.rng.random() < 0.3:
                customer.remove("tags", "vip")
            customer["name"] = f"Name {self.rng.random()}"
            customer.add("tags", "vip")

    def sync(self, frames: int | None = None) -> None:
        line = Line(self.anna, self.relay)
        line.run(frames)
        if line.partner.id and line.welcomed:
            self.truth = self.relay.store.clone()
        line.cut()

    def cut(self) -> None:
        self.sync(self.rng.randrange(10))

    def others(self) -> None:
        self.edit(self.bob)
        line = Line(self.bob, self.relay)
        line.run()
        line.cut()

    def moods(self) -> None:
        self.relay.refuses = set(self.rng.sample(RECORDS, self.rng.randrange(2)))
        self.relay.postpones = set(self.rng.sample(RECORDS, self.rng.randrange(2)))

    def lose(self) -> None:
        match self.rng.randrange(3):
            case 0:
                self.relay.wipe()
            case 1:
                self.relay.put_back(self.backup.clone())
            case _:
                self.backup = self.relay.store.clone()

    def check(self) -> None:
        """What the status claims is so, or was when the relay was last met."""
        standing = self.anna.status()
        for record in self.anna.store.records("", 99):
            of_record = self.anna.record_status(record)
            for url in of_record.stored_at:
                assert url == URL
                assert self.truth is not None
                assert holds(self.truth, self.anna.store, record), f"{record} is not stored there"
            places = [*of_record.stored_at, *of_record.pending_at, *of_record.refused_at, *of_record.unknown_at]
            assert len(places) == len(set(places)) == len(standing.partners)
        for partner in standing.partners:
            self.check_partner(partner)

    def check_partner(self, partner: Any) -> None:
        assert self.truth is not None
        peer = bytes.fromhex(partner.replica)
        entries = self.anna.store.outbox(peer, "", 99)
        assert partner.pending == sum(entry.refusal is None for entry in entries)
        assert partner.refused == sum(entry.refusal is not None for entry in entries)
        lacking = [r for r in self.truth.records("", 99) if not holds(self.anna.store, self.truth, r)]
        if partner.to_fetch is not None:
            assert len(lacking) <= partner.to_fetch
            assert (partner.to_fetch_bytes > 0) == (partner.to_fetch > 0)
        if partner.percent == 100:
            assert lacking == []
            assert entries == []
            assert all(holds(self.truth, self.anna.store, record) for record in self.anna.store.records("", 99))
        waiting = self.anna.status().backlogs[partner.replica]
        diffs = [self.anna.context.diff(e.record, e.acknowledged) for e in entries if e.refusal is None]
        assert waiting.bytes == sum(len(diff.update) for diff in diffs if diff)
        assert waiting.sized == partner.pending
        assert (waiting.oldest is None) == (not entries)
        if waiting.oldest is not None:
            assert waiting.oldest.since == min(entry.edit for entry in entries)


def holds(store: Store, other: Store, record: str) -> bool:
    """Whether `store` has every operation and deletion that `other` has of a record."""
    have, needed = (Document.load(each.load(record).updates) for each in (store, other))
    known = have.deletes()
    return vectors.covers(have.state_vector(), needed.state_vector()) and all(
        range_covered(known.get(writer, []), clock, length)
        for writer, ranges in needed.deletes().items()
        for clock, length in ranges
    )


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32))
def test_nothing_is_claimed_that_is_not_so(seed: int) -> None:
    history = History(seed)
    for _ in range(30):
        history.step()
        history.check()
    history.relay.refuses = history.relay.postpones = set()
    for _ in range(3):
        history.sync()
    history.check()
    (partner,) = history.anna.partners()
    refused = {entry.record for entry in history.anna.store.outbox(bytes.fromhex(partner.replica), "", 99)}
    assert partner.percent == (100 if not refused else partner.percent)
    assert refused or partner.to_fetch == 0


def test_claims_that_forget_that_the_history_changed_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted bug that the test above must see."""
    monkeypatch.setattr(status_module, "read_told", lambda *_: None)
    with pytest.raises(AssertionError):
        _check_histories(200)


def _check_histories(seeds: int) -> None:
    for seed in range(seeds):
        history = History(seed)
        for _ in range(30):
            history.step()
            history.check()


def test_why_a_record_waits(make_replica, time) -> None:
    relay = MoodyRelay(time, random.Random(0))
    anna = make_replica("anna")
    for record in RECORDS[:4]:
        with anna.edit(record, create=True) as customer:
            customer["name"] = "x"
    relay.refuses, relay.postpones = {RECORDS[1]}, {RECORDS[2]}
    line = Line(anna, relay)
    line.run()
    line.cut()
    with anna.edit(RECORDS[3]) as customer:
        customer["name"] = "y"
    assert anna.record_status(RECORDS[0]).stored_at == (URL,)
    assert anna.record_status(RECORDS[1]).refused_at == {URL: "malformed: because"}
    assert anna.record_status(RECORDS[2]).pending_at == {URL: "not now: because"}
    assert anna.record_status(RECORDS[3]).pending_at == {URL: "edited since it was stored there"}
    (partner,) = anna.status().partners
    assert (partner.pending, partner.refused) == (2, 1)
    assert partner.percent == 25
    oldest = anna.status().backlogs[partner.replica].oldest
    assert oldest is not None
    assert (oldest.record, oldest.reason) == (RECORDS[1], "malformed: because")


@pytest.mark.parametrize(
    ("records", "to_send", "to_fetch", "unreadable", "expected"),
    [
        (10, 0, 0, False, 100),
        (0, 0, 0, False, 100),
        (10, 0, 0, True, 99),
        (10, 0, None, False, None),
        (100_000, 1, 0, False, 99),
        (10, 10, 0, False, 0),
        (10, 0, 10, False, 50),
        (0, 0, 5, False, 0),
        (2, 5, 0, False, 0),
    ],
)
def test_the_percentage_is_whole_only_where_nothing_is_left(records, to_send, to_fetch, unreadable, expected) -> None:
    assert percentage(records, to_send, to_fetch, unreadable=unreadable) == expected


class CountingStore:
    """Counts calls, and the rows that they return."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.read = 0

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._store, name)
        if not callable(member):
            return member

        def counted(*arguments: Any) -> Any:
            found = member(*arguments)
            self.read += 1 + (len(found) if isinstance(found, list) else 0)
            return found

        return counted


def test_a_status_reads_what_waits_and_not_what_is_held(make_replica) -> None:
    anna = make_replica("anna")
    peer = Peer(b"p" * 16, b"e" * 16, 7, 1, URL)
    update = b"\0\0"
    changes = [status_change(f"customers/k{number:06}", update) for number in range(100_000)]
    waiting = tuple((peer.replica, OutboxEntry(f"customers/k{number:06}", b"\0", number + 1)) for number in range(3))
    anna.store.commit([Batch(changes=tuple(changes), peers=(peer,), outbox=waiting)])
    counting = CountingStore(anna.store)
    anna.context.store = counting
    (partner,) = anna.status().partners
    assert (partner.pending, partner.percent) == (3, 99)
    assert anna.record_status("customers/k000001").state == "pending"
    assert counting.read < 60


def test_a_status_of_much_that_waits_stops_at_its_limits(make_replica, monkeypatch) -> None:
    monkeypatch.setattr(status_module, "STATUS_ENTRIES_MAX", 50)
    monkeypatch.setattr(status_module, "STATUS_SIZED_MAX", 20)
    anna = make_replica("anna")
    peer = Peer(b"p" * 16, b"e" * 16, 7, 1, URL)
    names = [f"customers/k{number:06}" for number in range(1000)]
    waiting = tuple((peer.replica, OutboxEntry(name, b"\0", 2000 - at)) for at, name in enumerate(names))
    changes = tuple(status_change(name, b"\0\0") for name in names)
    anna.store.commit([Batch(changes=changes, peers=(peer,), outbox=waiting)])
    counting = CountingStore(anna.store)
    anna.context.store = counting
    waits = anna.status().backlogs[peer.replica.hex()]
    assert (waits.sized, waits.bytes) == (20, 40)
    assert waits.oldest is not None
    assert waits.oldest.record == names[49]
    assert counting.read < 200
    assert limits.STATUS_SIZED_MAX <= limits.STATUS_ENTRIES_MAX


def test_records_that_nobody_entered_are_counted_among_those_to_send(make_replica) -> None:
    anna = make_replica("anna")
    peer = Peer(b"p" * 16, b"e" * 16, 7, 1, URL)
    names = [ids.import_book("customers", "a"), "crdt-sync-schemas/customers", "customers/1", "customers/2"]
    assert [ids.is_reserved(name) for name in names] == [True, True, False, False]
    refused = OutboxEntry(ids.import_book("customers", "b"), b"\0", 9, "too_large", "it is too large")
    waiting = (*((peer.replica, OutboxEntry(name, b"\0", 9)) for name in names), (peer.replica, refused))
    changes = tuple(status_change(name, b"\0\0") for name in [*names, refused.record])
    anna.store.commit([Batch(changes=changes, peers=(peer,), outbox=waiting)])
    (partner,) = anna.status().partners
    assert (partner.pending, anna.status().backlogs[partner.replica].reserved) == (4, 2)


def status_change(record: str, update: bytes) -> Change:
    return Change(record, (update,), b"o" * 16, "", 0, b"\0", update, b"{}")


def test_what_is_to_be_fetched_is_known_in_records_and_bytes_from_the_welcome_on(make_replica, time) -> None:
    relay = MoodyRelay(time, random.Random(0))
    anna, bob = make_replica("anna"), make_replica("bob")
    write(bob, RECORDS[0])
    for replica in (bob, anna):
        line = Line(replica, relay)
        line.run()
        line.cut()
    for _ in range(2):
        write(bob, *RECORDS[:3])
        line = Line(bob, relay)
        line.run()
        line.cut()
    line = Line(anna, relay)
    while not line.welcomed:
        line.step()
    line.cut()
    (partner,) = anna.status().partners
    behind = [entry for entry in relay.store.log(0, 99, 1 << 20) if entry.seq > partner.cursor]
    assert [entry.record for entry in behind] == 2 * RECORDS[:3]
    assert partner.to_fetch == 3
    assert partner.to_fetch_bytes == sum(len(entry.update) for entry in behind)
    line = Line(anna, relay)
    line.run()
    line.cut()
    (partner,) = anna.status().partners
    assert (partner.to_fetch, partner.to_fetch_bytes, partner.percent) == (0, 0, 100)


@pytest.mark.parametrize(
    ("cursor", "expected"),
    [(10, (4, 1000)), (15, (4, 500)), (19, (1, 100)), (20, (0, 0)), (25, (0, 0)), (3, (4, 1000))],
)
def test_a_share_of_the_updates_has_that_share_of_the_bytes(cursor: int, expected: tuple[int, int]) -> None:
    told = Told(b"e" * 16, head=20, at=1, cursor=10, behind=Behind(4, 1000))
    assert unfetched(told, cursor) == expected


def test_bytes_that_the_partner_did_not_tell_are_not_known() -> None:
    assert unfetched(Told(b"e" * 16, head=20, at=1), 5) == (15, None)


def write(replica: Replica, *records: str) -> None:
    for record in records:
        with replica.edit(record, create=True) as customer:
            customer["name"] = f"Name {replica.context.next_edit()}"


def test_what_an_earlier_version_has_noted_of_a_partner_is_no_failure(make_replica) -> None:
    anna = make_replica("anna")
    peer = Peer(b"p" * 16, b"e" * 16, 7, 1, URL)
    told = {f"told/{peer.replica.hex()}": b'["65656565656565656565656565656565", 9, 5]'}
    bundles = {"bundle_partners": b'{"7171": ["ben", "6565", 1, 0, 0, "", 0]}'}
    anna.store.commit([Batch(peers=(peer,), meta={**told, **bundles})])
    standing = anna.status()
    assert [partner.to_fetch for partner in standing.partners] == [0]
    assert standing.carried == ()


def test_a_partner_that_is_met_at_another_address_is_known_there_from_the_welcome_on(make_replica, time) -> None:
    relay = MoodyRelay(time, random.Random(0))
    anna = make_replica("anna")
    write(anna, RECORDS[0])
    line = Line(anna, relay)
    line.run()
    line.cut()
    line = Line(anna, relay, "ws://elsewhere:8765")
    while not line.welcomed:
        line.step()
    line.cut()
    assert [partner.url for partner in anna.partners()] == ["ws://elsewhere:8765"]
