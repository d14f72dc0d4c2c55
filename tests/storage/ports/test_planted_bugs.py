"""The suite of each port notices a store that breaks its rules; and every member of a store is of one port."""

import random
from dataclasses import replace

import pytest

from crdt_sync.storage import MemoryStore, MemoryStores
from crdt_sync.storage.memory_places import MemoryPlaces
from crdt_sync.storage.memory_state import MemoryState
from crdt_sync.storage.places import Row
from crdt_sync.storage.port import (
    AuditLog,
    Committer,
    Digests,
    Identity,
    Log,
    Maintenance,
    Outbox,
    Places,
    Records,
    Settings,
    Store,
)
from tests.storage.conftest import Opened, make_change
from tests.storage.ports import (
    test_audit_log,
    test_commits,
    test_digests,
    test_log,
    test_maintenance,
    test_outbox,
    test_places,
    test_records,
    test_settings,
)

PORTS = (AuditLog, Committer, Digests, Identity, Log, Maintenance, Outbox, Places, Records, Settings)
feed, load, compact, audit_after = MemoryStore.feed, MemoryStore.load, MemoryStore.compact, MemoryStore.audit_after


def members(port):
    return {name for name in vars(port) if not name.startswith("_")}


def test_every_member_of_a_store_is_of_one_port():
    found = [name for port in PORTS for name in members(port)]
    assert len(found) == len(set(found))
    assert {name for name in dir(Store) if not name.startswith("_")} == {*found, "close"}
    assert max(len(members(port)) for port in PORTS) <= 10


BUGS = {
    "audit log: the newest entry is not read": (
        MemoryStore, "audit_after", lambda self, after, limit: audit_after(self, after, limit)[:-1],
        lambda store, _: test_audit_log.test_entries_are_chained_in_the_order_of_the_batches(store),
    ),
    "log: one that changed last is left out": (
        MemoryStore, "feed", lambda self, after, limit: feed(self, after, limit)[:-1],
        lambda store, _: test_log.test_the_feed_holds_only_the_newest_entry_of_each_record(store, make_change),
    ),
    "records: the last update is not loaded": (
        MemoryStore, "load", lambda self, record: replace(load(self, record), updates=load(self, record).updates[:-1]),
        lambda store, _: test_records.test_a_record_loads_its_updates_in_order(store, make_change),
    ),
    "digests: an update leaves the digest valid": (
        MemoryState, "set_digest", lambda self, record, digest: digest and self.digests.update({record: digest}),
        lambda store, _: test_digests.test_an_update_without_a_digest_makes_the_digest_stale(store, make_change),
    ),
    "outbox: refusals are not counted": (
        MemoryStore, "outbox_count", lambda self, peer: (len(self.outbox(peer, "", 99)), 0),
        lambda store, _: test_outbox.test_an_outbox_counts_what_waits_and_what_was_refused(store),
    ),
    "places: what was left is forgotten": (
        Row, "moved", lambda self, seq, forms: (Row(forms, self.since), 0),
        lambda store, _: test_places.test_several_moves_in_one_commit_are_all_known(store, make_change),
    ),
    "places: a dropped record is still found by its place": (
        MemoryPlaces, "drop", lambda self, record: None,
        lambda store, _: test_places.test_a_dropped_record_leaves_nothing(store, make_change),
    ),
    "settings: what is removed stays": (
        MemoryStore, "meta", lambda self, key: self._content.meta.get(key, b"1"),
        lambda store, _: test_settings.test_metadata_is_kept_and_removed(store),
    ),
    "maintenance: compaction takes what nothing covers": (
        MemoryStore, "compact", lambda self, before=None: (self._content.log.clear(), compact(self, before))[1],
        lambda store, _: test_maintenance.test_compaction_drops_what_a_snapshot_covers_and_no_feed_entry(
            store, make_change
        ),
    ),
    "commits: nothing is checked before the first change": (
        MemoryState, "check", lambda self, batches: None,
        lambda store, _: test_commits.test_a_record_id_that_cannot_be_a_key_is_refused_and_nothing_is_stored(
            store, make_change, ""
        ),
    ),
    "commits: what was committed is gone after a restart": (
        MemoryState, "clone", lambda self: MemoryState(self.lives),
        lambda _, opened: test_commits.test_everything_is_there_after_a_restart(opened, make_change),
    ),
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_noticed(bug, tmp_path, monkeypatch):
    owner, name, broken, suite = BUGS[bug]
    opened = Opened(MemoryStores(random.Random(1)), tmp_path / "sound")
    suite(opened.store, opened)
    monkeypatch.setattr(owner, name, broken)
    opened = Opened(MemoryStores(random.Random(1)), tmp_path / "broken")
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        suite(opened.store, opened)
