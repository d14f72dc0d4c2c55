"""Damage is found: on read, by verification, and what is derived can be mended."""

import random

import lmdb
import pytest

from crdt_sync.errors import StoreCorrupt
from crdt_sync.storage import Batch, LmdbStore, OutboxEntry, Peer
from crdt_sync.storage.lmdb import reads
from crdt_sync.storage.lmdb.codec import LOG, PackingSeal, Seal, seq_key

ANN, BOB, PARTNER = "customers/ann", "customers/bob", b"p" * 16


@pytest.fixture
def filled(lmdb_store, lmdb_path, change):
    lmdb_store.commit(
        [
            Batch(
                changes=(
                    change(ANN, b"first", view=b"view", digest=b"d" * 16),
                    change(BOB, b"other", snapshot=b"other"),
                    change(ANN, b"second", snapshot=b"whole"),
                    change(ANN, b"third"),
                    change(ANN, b"fourth"),
                ),
                peers=(Peer(PARTNER, b"e" * 16, 5, 6),),
                outbox=((PARTNER, OutboxEntry(ANN, b"sv", 3, "quota")),),
                meta={"schema": b"text"},
            )
        ]
    )
    lmdb_store.close()
    return lmdb_path


def edit(path, table, key, change_value):
    with lmdb.open(str(path), max_dbs=16) as environment, environment.begin(write=True) as transaction:
        handle = environment.open_db(table, txn=transaction)
        value = change_value(transaction.get(key, db=handle))
        if value is None:
            transaction.delete(key, db=handle)
        else:
            transaction.put(key, value, db=handle)


def salvage(store, record):
    return [entry.update for entry in store.remains([record])[record].entries]


def flip(bit):
    def change_value(value):
        changed = bytearray(value)
        changed[bit // 8 % len(value)] ^= 1 << bit % 8
        return bytes(changed)

    return change_value


READS = {
    b"heads": (ANN.encode(), lambda store: store.load(ANN), ANN),
    b"docs": (ANN.encode(), lambda store: store.load(ANN), ANN),
    b"log": (seq_key(4), lambda store: store.load(ANN), ANN),
    b"views": (ANN.encode(), lambda store: store.view(ANN), None),
    b"feed": (seq_key(5), lambda store: store.feed(0, 10), None),
    b"peers": (PARTNER, lambda store: store.peer(PARTNER), None),
    b"outbox": (PARTNER + ANN.encode(), lambda store: store.outbox(PARTNER, "", 9), None),
    b"outbox_counts": (PARTNER, lambda store: store.outbox_count(PARTNER), None),
    b"meta": (b"schema", lambda store: store.meta("schema"), None),
}


@pytest.mark.parametrize("table", READS)
@pytest.mark.parametrize("bit", [0, 131, 12345])
def test_one_flipped_bit_in_any_value_is_found_on_read_and_by_verification(filled, table, bit):
    key, read, record = READS[table]
    edit(filled, table, key, flip(bit))
    store = LmdbStore.open(filled)
    with pytest.raises(StoreCorrupt) as caught:
        read(store)
    assert caught.value.record == record
    findings = store.verify().findings
    assert findings
    assert record in {finding.record for finding in findings}
    store.close()


@pytest.mark.parametrize("table", [b"views", b"feed", b"peers", b"outbox", b"outbox_counts"])
def test_what_is_derived_is_mended(filled, table):
    key, read, _ = READS[table]
    edit(filled, table, key, flip(200))
    store = LmdbStore.open(filled)
    assert store.rebuild() == ()
    read(store)
    assert store.verify().findings == ()
    assert store.feed(0, 9)[-1].record == ANN
    entry = store.outbox_entry(PARTNER, ANN)
    assert entry == OutboxEntry(ANN, b"\x00", 0) if table == b"outbox" else entry.edit == 3
    store.close()


def test_a_damaged_head_quarantines_its_record_when_rebuilt_and_the_rest_lives_on(filled, change):
    edit(filled, b"heads", ANN.encode(), flip(9))
    store = LmdbStore.open(filled)
    with pytest.raises(StoreCorrupt) as caught:
        store.commit([Batch(changes=(change(ANN, b"fifth"),))])
    assert caught.value.record == ANN
    assert store.rebuild() == (ANN,)
    assert store.quarantined() == [ANN]
    assert salvage(store, ANN) == [b"first", b"second", b"third", b"fourth"]
    assert store.load(BOB).updates == (b"other",)
    assert store.verify().findings == ()
    store.close()


def test_a_damaged_log_entry_goes_with_quarantine_and_compaction(filled, change):
    edit(filled, b"log", seq_key(4), flip(999))
    store = LmdbStore.open(filled)
    assert store.compact().dropped == 2  # 1 and 3, but not 4, which is needed
    store.quarantine(ANN)
    assert salvage(store, ANN) == [b"fourth"]
    store.commit([Batch(changes=(change(ANN, b"whole", snapshot=b"whole"),))])
    assert store.verify().findings != ()
    store.compact()
    assert store.verify().findings == ()
    store.close()


def test_swapped_values_are_found(filled):
    store = LmdbStore.open(filled)
    kept = {}
    store.close()
    edit(filled, b"heads", ANN.encode(), lambda value: kept.setdefault("ann", value))
    edit(filled, b"heads", BOB.encode(), lambda value: kept["ann"])
    store = LmdbStore.open(filled)
    with pytest.raises(StoreCorrupt):
        store.record_head(BOB)
    store.close()


@pytest.mark.parametrize("table", [b"docs", b"log"])
def test_a_missing_snapshot_or_tail_is_found(filled, table):
    edit(filled, table, READS[table][0], lambda value: None)
    store = LmdbStore.open(filled)
    with pytest.raises(StoreCorrupt, match="missing"):
        store.load(ANN)
    assert ANN in {finding.record for finding in store.verify().findings}
    store.close()


def test_a_log_entry_that_was_removed_is_found_although_nothing_needs_it(filled):
    edit(filled, b"log", seq_key(1), lambda value: None)
    store = LmdbStore.open(filled)
    assert [finding.database for finding in store.verify().findings] == ["log"]
    store.close()


@pytest.mark.parametrize("seq", [1, 4, 5])
def test_a_log_entry_that_was_edited_and_sealed_again_breaks_the_chain(filled, seq):
    key = seq_key(seq)
    edit(filled, b"log", key, lambda value: LOG.close(key, value[16:-1] + b"X"))
    store = LmdbStore.open(filled)
    problems = [finding.problem for finding in store.verify().findings]
    assert problems == [
        "is not the entry that was written last" if seq == 5 else "is not linked to the entry before it"
    ]
    store.close()


def test_aggregates_and_lists_that_are_out_of_step_are_found_and_mended(filled):
    edit(filled, b"stale", ANN.encode(), lambda value: None)
    store = LmdbStore.open(filled)
    assert {finding.database for finding in store.verify().findings} == {"stale"}
    store.rebuild()
    assert store.verify().findings == ()
    assert store.stale(9) == [ANN, BOB]
    store.close()


def test_flipped_bits_in_the_data_file_never_come_back_as_content(lmdb_path, change):
    updates = [random.Random(number).randbytes(400) for number in range(40)]
    store = LmdbStore.open(lmdb_path, create=True)
    store.commit([Batch(changes=tuple(change(f"customers/{n}", update) for n, update in enumerate(updates)))])
    store.close()
    pristine = (lmdb_path / "data.mdb").read_bytes()
    rng = random.Random(5)
    for _ in range(40):
        number = rng.randrange(40)
        place = pristine.index(updates[number]) + rng.randrange(400)
        damaged = bytearray(pristine)
        damaged[place] ^= 1 << rng.randrange(8)
        (lmdb_path / "data.mdb").write_bytes(damaged)
        store = LmdbStore.open(lmdb_path)
        with pytest.raises(StoreCorrupt) as caught:
            store.load(f"customers/{number}")
        assert caught.value.record == f"customers/{number}"
        assert store.load(f"customers/{(number + 1) % 40}").updates == (updates[(number + 1) % 40],)
        store.close()


def test_without_the_seal_a_flipped_bit_comes_back_as_content(filled, monkeypatch):
    edit(filled, b"docs", ANN.encode(), flip(8 * 16 + 1))
    for seal in (Seal, PackingSeal):
        monkeypatch.setattr(seal, "open", lambda self, key, value, record=None: value[16:])
    with LmdbStore.open(filled) as store:
        assert store.load(ANN).updates == (b"uhole", b"third", b"fourth")


@pytest.mark.parametrize("bit", [0, 131, 12345])
def test_a_damaged_index_counts_as_none_is_found_and_is_mended(filled, bit):
    store = LmdbStore.open(filled)
    store.keep_index([b"page" * 9, b"other" * 9])
    store.close()
    edit(filled, b"index", seq_key(1), flip(bit))
    store = LmdbStore.open(filled)
    assert store.kept_index() == []
    assert [finding.database for finding in store.verify().findings] == ["index"]
    assert store.rebuild() == ()
    assert store.verify().findings == ()
    store.close()


# --- damage of LMDB's own pages, which have no checksums -------------------------------------------------------


def test_a_database_that_was_renamed_is_found(filled):
    with lmdb.open(str(filled), max_dbs=16) as environment:
        environment.open_db(b"vievs")  # what a flipped bit makes of it; the store makes 'views' anew, empty
    with LmdbStore.open(filled) as store:
        assert [(found.database, found.key) for found in store.verify().findings] == [("vievs", "*")]
        store.rebuild()
        assert store.verify().findings == ()


def test_rows_that_are_hidden_are_missed(filled, monkeypatch):
    walk, hidden = reads.walk, []
    monkeypatch.setattr(reads, "walk", lambda *where: (row for row in walk(*where) if row[1] != hidden[0]))
    with LmdbStore.open(filled) as store:
        hidden.append(store._environment.read(lambda txn, tables: txn.get(ANN.encode(), db=tables.views)))
        assert [(found.database, found.problem) for found in store.verify().findings] == [
            ("views", "has 0 entries that can be read, of 1")
        ]


def test_a_row_that_its_key_does_not_lead_to_is_found(filled, monkeypatch):
    walk = reads.walk

    def elsewhere(transaction, table, *where):
        for key, value in walk(transaction, table, *where):
            yield (b"x" if value == led_astray else key), value

    monkeypatch.setattr(reads, "walk", elsewhere)
    with LmdbStore.open(filled) as store:
        led_astray = store._environment.read(lambda txn, tables: txn.get(b"schema", db=tables.meta))
        problems = [found.problem for found in store.verify().findings if found.database == "meta"]
        assert "is not found by its key" in problems
