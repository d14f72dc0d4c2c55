"""The store on disk does what the store in memory does, whatever is asked in whatever order, restarts included."""

import hashlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from crdt_sync.errors import CrdtSyncError
from crdt_sync.storage import Batch, Change, LmdbStore, MemoryStore, OutboxEntry, Peer, Placement
from crdt_sync.storage.lmdb import encrypted
from crdt_sync.storage.lmdb.names import Names
from crdt_sync.storage.memory_state import MemoryState

RECORDS = st.sampled_from([f"customers/{key}" for key in "abcd"] + ["orders/a"])
REPLICAS = st.sampled_from([b"p" * 16, b"q" * 16])
SMALL = st.binary(min_size=1, max_size=3)
# The same search every time, that ends at what it finds. Most find a planted bug in 15 examples, some need 60.
SEARCH_ONLY = settings(
    max_examples=600, stateful_step_count=15, deadline=None, database=None, derandomize=True, print_blob=False,
    phases=[Phase.generate],
)  # fmt: skip
FORMS = st.dictionaries(st.sampled_from(["region", "owner"]), st.sampled_from(["", "a", "b", None]))
DIGESTS = st.one_of(st.none(), st.binary(min_size=16, max_size=16))


@st.composite
def changes(draw):
    updates = tuple(draw(st.lists(SMALL, max_size=3)))
    snapshots = [st.none(), SMALL] + ([st.just(updates[-1])] if updates else [])
    if updates and draw(st.integers(0, 5)) == 0:
        renewed = Change(draw(RECORDS), updates, draw(REPLICAS), "anna", 0, draw(SMALL), updates[-1])
        return renewed._replace(renewed=True, lineage=draw(st.sampled_from([0, 7, 8])), forms=draw(FORMS), fields=b"f")
    return Change(
        draw(RECORDS), updates, draw(REPLICAS), "anna", draw(st.integers(0, 9)), draw(SMALL),
        draw(st.one_of(snapshots)), draw(st.one_of(st.none(), SMALL)), draw(DIGESTS),
        forms=draw(FORMS) if draw(st.integers(0, 9)) else None, fields=b"f",
    )  # fmt: skip


@st.composite
def batches(draw):
    entry = st.builds(OutboxEntry, RECORDS, SMALL, st.integers(0, 3), st.sampled_from([None, "quota"]))
    return Batch(
        changes=tuple(draw(st.lists(changes(), max_size=4))),
        views=draw(st.dictionaries(RECORDS, SMALL, max_size=1)),
        digests=draw(st.dictionaries(RECORDS, DIGESTS, max_size=2)),
        peers=tuple(
            draw(
                st.lists(
                    st.builds(
                        Peer, REPLICAS, st.just(b"e" * 16), st.integers(0, 9), st.just(1), head=st.integers(0, 9)
                    ),
                    max_size=1,
                )
            )
        ),
        forget_outbox=tuple(draw(st.lists(REPLICAS, max_size=1))) if draw(st.integers(0, 5)) == 0 else (),
        outbox=tuple(draw(st.lists(st.tuples(REPLICAS, entry), max_size=2))),
        outbox_done=tuple(draw(st.lists(st.tuples(REPLICAS, RECORDS, st.integers(0, 3)), max_size=2))),
        meta=draw(st.dictionaries(st.sampled_from("xy"), st.one_of(st.none(), SMALL), max_size=1)),
        placement=draw(st.one_of(st.none(), st.builds(Placement, st.just(b"f"), st.sampled_from([None, "", "c"])))),
        forms=draw(st.dictionaries(RECORDS, st.tuples(st.integers(1, 9), FORMS), max_size=1)),
        drop=(draw(RECORDS),) if draw(st.integers(0, 5)) == 0 else (),
        audit=tuple(draw(st.lists(SMALL, max_size=2))) if draw(st.integers(0, 3)) == 0 else (),
    )


def outcome(call, *arguments):
    try:
        return call(*arguments)
    except CrdtSyncError as error:
        return error.code


class Twins(RuleBasedStateMachine):
    """Every rule asks both stores the same; the invariant compares all that can be read."""

    key: bytes | None = None

    def __init__(self):
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "store"
        self.disk = LmdbStore.open(self.path, create=True, map_bytes=1 << 24, key=self.key)
        self.memory = MemoryStore(self.disk.replica)
        self.epochs = [(self.disk.epoch, self.memory.epoch)]

    def teardown(self):
        self.disk.close()
        self.directory.cleanup()

    @rule(group=st.lists(batches(), min_size=1, max_size=3))
    def commit(self, group):
        assert outcome(self.disk.commit, group) == outcome(self.memory.commit, group)

    @rule(before=st.one_of(st.none(), st.integers(0, 20)))
    def compact(self, before):
        feed = self.disk.feed(0, 100)
        assert self.disk.compact(before) == self.memory.compact(before)
        assert self.disk.feed(0, 100) == feed

    @rule(record=RECORDS)
    def quarantine(self, record):
        self.disk.quarantine(record)
        self.memory.quarantine(record)

    @rule(before=st.integers(0, 9))
    def drop_audit(self, before):
        assert self.disk.drop_audit(before) == self.memory.drop_audit(before)

    @rule()
    def rebuild(self):
        assert self.disk.rebuild() == self.memory.rebuild() == ()

    @rule(pages=st.lists(st.binary(max_size=9), max_size=3))
    def keep_index(self, pages):
        self.disk.keep_index(pages)
        self.memory.keep_index(pages)

    @rule()
    def restart(self):
        self.disk.close()
        self.disk = LmdbStore.open(self.path, map_bytes=1 << 24, key=self.key)
        self.memory = self.memory.clone()

    @rule()
    def begin_life(self):
        self.epochs.append((self.disk.begin_life(), self.memory.begin_life()))

    @rule()
    def renew_epoch(self):
        self.epochs.append((self.disk.renew_epoch(), self.memory.renew_epoch()))

    @rule(after=st.integers(0, 20), limit=st.integers(0, 9), size=st.integers(0, 9))
    def read_log_and_feed(self, after, limit, size):
        assert outcome(self.disk.log, after, limit, size) == outcome(self.memory.log, after, limit, size)
        assert self.disk.feed(after, limit) == self.memory.feed(after, limit)
        assert self.disk.behind(after) == self.memory.behind(after)

    @rule(after=st.integers(0, 40), limit=st.integers(1, 6), also=st.lists(RECORDS, max_size=2))
    def read_changed_digests(self, after, limit, also):
        assert self.disk.changed_digests(after, limit, also) == self.memory.changed_digests(after, limit, also)

    @rule(
        after=st.one_of(RECORDS, st.text("customers/ab", max_size=12)),
        limit=st.integers(0, 3),
        prefix=st.sampled_from(["", "customers/", "o"]),
    )
    def read_pages(self, after, limit, prefix):
        assert self.disk.records(after, limit, prefix) == self.memory.records(after, limit, prefix)
        assert self.disk.views(after, limit, prefix) == self.memory.views(after, limit, prefix)
        assert self.disk.digests(after, limit) == self.memory.digests(after, limit)
        assert self.disk.outbox(b"p" * 16, after, limit) == self.memory.outbox(b"p" * 16, after, limit)

    @invariant()
    def the_twins_are_equal(self):
        disk, memory = self.disk, self.memory
        assert (disk.head(), disk.count(), disk.root()) == (memory.head(), memory.count(), memory.root())
        assert [disk.reach(theirs) for theirs, _ in self.epochs] == [memory.reach(ours) for _, ours in self.epochs]
        assert (disk.epoch, memory.epoch) == self.epochs[-1]
        assert disk.stale(100) == memory.stale(100)
        assert disk.quarantined() == memory.quarantined()
        assert disk.kept_index() == memory.kept_index()
        assert disk.peers() == memory.peers()
        for record in ["customers/a", "customers/b", "customers/c", "customers/d", "orders/a"]:
            assert disk.load(record) == memory.load(record)
            assert disk.history(record) == memory.history(record)
            assert disk.remains([record]) == memory.remains([record])
            assert disk.view(record) == memory.view(record)
        for replica in (b"p" * 16, b"q" * 16):
            assert disk.outbox_count(replica) == memory.outbox_count(replica)
            assert disk.outbox(replica, "", 100) == memory.outbox(replica, "", 100)
        assert (disk.placement(), disk.moves_from()) == (memory.placement(), memory.moves_from())
        for record in ["customers/a", "customers/b", "customers/c", "customers/d", "orders/a"]:
            for after in (0, 3, 9):
                assert disk.whereabouts(record, after) == memory.whereabouts(record, after)
        for place in [("customers", "region", "a"), ("customers", "owner", ""), ("orders", "region", "b")]:
            assert disk.placed(*place, "", 9) == memory.placed(*place, "", 9)
        assert (disk.meta("x"), disk.meta("y")) == (memory.meta("x"), memory.meta("y"))
        assert disk.audit_head() == memory.audit_head()
        assert disk.audit_after(0, 100) == memory.audit_after(0, 100)
        assert disk.audit_before(9, 3, bool) == memory.audit_before(9, 3, bool)

    @invariant()
    def the_root_is_what_a_walk_gives(self):
        valid = [(record, digest) for record, digest in self.disk.digests("", 100) if digest]
        leaves = [hashlib.blake2b(record.encode() + b"\0" + digest, digest_size=32) for record, digest in valid]
        assert self.disk.root().sum == sum(int.from_bytes(leaf.digest(), "big") for leaf in leaves) % 2**256
        assert self.disk.root().count == len(valid)

    @invariant()
    def verification_finds_nothing(self):
        assert self.disk.verify().findings == ()


class EncryptedTwins(Twins):
    """The store on disk is encrypted, and reads every page by the names in memory."""

    key = bytes(range(32))


def test_the_twins_do_the_same():
    run_state_machine_as_test(Twins, settings=settings(max_examples=100, stateful_step_count=20, deadline=None))


def test_the_encrypted_twin_does_the_same(monkeypatch):
    monkeypatch.setattr(encrypted, "reads_whole", lambda *_: False)
    run_state_machine_as_test(EncryptedTwins, settings=settings(max_examples=60, stateful_step_count=20, deadline=None))


def test_the_comparison_sees_names_that_are_not_followed(monkeypatch):
    monkeypatch.setattr(encrypted, "reads_whole", lambda *_: False)
    monkeypatch.setattr(Names, "_add", lambda self, fed: None)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(EncryptedTwins, settings=SEARCH_ONLY)


def test_the_comparison_sees_a_life_that_is_not_ended(monkeypatch):
    monkeypatch.setattr(MemoryStore, "_take", lambda self, content: setattr(self, "_content", content))
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Twins, settings=SEARCH_ONLY)


def test_the_comparison_sees_a_store_that_forgets_a_stale_digest(monkeypatch):
    def keep_the_digest(self, record, digest):
        if digest is not None:
            self.digests[record] = digest

    monkeypatch.setattr(MemoryState, "set_digest", keep_the_digest)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Twins, settings=SEARCH_ONLY)


def test_the_comparison_sees_the_shortest_history_of_a_forgotten_stale_digest(monkeypatch):
    def keep_the_digest(self, record, digest):
        if digest is not None:
            sound(self, record, digest)

    sound = MemoryState.set_digest
    change = Change("customers/a", (b"1",), b"o" * 16, "anna", 0, b"\0", digest=b"d" * 16)
    twins = Twins()
    try:
        twins.commit([Batch(changes=(change,))])
        twins.the_twins_are_equal()
        monkeypatch.setattr(MemoryState, "set_digest", keep_the_digest)
        twins.commit([Batch(changes=(change._replace(digest=None),))])
        with pytest.raises(AssertionError):
            twins.the_twins_are_equal()
    finally:
        twins.teardown()
