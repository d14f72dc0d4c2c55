"""Repair saves what is sound, writes again what only the view still shows, and names what is lost."""

import random
from pathlib import Path

import lmdb
import pytest

from crdt_sync import Replica, bundled_schema
from crdt_sync.clock import HybridClock
from crdt_sync.errors import StoreCorrupt, StoreFailed, StoreFull, UpdateRefused
from crdt_sync.ids import new_record
from crdt_sync.protocol.messages import UpdatesEntry
from crdt_sync.records import Document, Editor, reading_of, values_of
from crdt_sync.records.lineages.renewal import renewed
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.updates.varint import append_uint
from crdt_sync.replica import awaiting as awaiting_notes
from crdt_sync.replica.pushed import PushedUpdates
from crdt_sync.replica.repair import still_lost
from crdt_sync.replica.rescue import View, rescued
from crdt_sync.storage.values import Batch, Change, OutboxEntry, Peer
from tests.damage import flip_bit
from tests.records.raw_updates import array, update

RELAY, URL = b"r" * 16, "ws://relay"


def seq(number: int) -> bytes:
    return number.to_bytes(8, "big")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "anna"


@pytest.fixture
def record(path) -> str:
    """A record of four edits in one life of the device: log entries 1 to 4."""
    record = new_record("customers", random.Random(1))
    with Replica.create(path, "anna", [bundled_schema("customers")]) as anna:
        with anna.edit(record, create=True) as customer:
            customer["name"] = "Müller"
        for change in (
            {"city": "Köln"},
            {"city": "Berlin", "visits": 3, "notes": "Called", "tags": ["vip"], "stage": "qualified"},
            {"email": "m@example.com"},
        ):
            with anna.edit(record) as customer:
                customer.update(change)
                if "visits" in change:
                    customer.append("timeline", "call")
    return record


def test_a_damaged_log_entry_takes_no_edit_away_that_the_view_still_shows(path, record):
    with Replica.open(path) as anna:
        before = dict(anna.get(record))
    flip_bit(path, b"log", seq(3))
    with Replica.open(path) as anna:
        assert anna.store.verify().findings
        mended = anna.repair()
        assert dict(anna.get(record)) == before
        assert values_of(anna.document(record), anna.schema_of(record)) == anna.get(record).raw
        assert mended.salvaged == (record,)
        assert (mended.lost, mended.losses) == ((), ())
        assert {"city", "visits", "notes", "tags", "stage", "email"} <= set(mended.rewritten[record])
    with Replica.open(path) as anna:
        assert anna.store.verify().findings == ()
        assert anna.repair().findings == 0
        with anna.edit(record) as customer:
            customer.increment("visits")
        assert anna.get(record)["visits"] == 4


def test_what_nothing_shows_any_more_is_named(path, record):
    flip_bit(path, b"log", seq(3))
    flip_bit(path, b"views", record.encode())
    with Replica.open(path) as anna:
        mended = anna.repair()
        edits, *fields = mended.losses
        assert (edits.record, edits.field, edits.kind) == (record, "", "edits")
        assert "1 later updates need them" in edits.detail
        assert "not known" not in edits.detail
        named = {loss.field: loss.detail for loss in fields}
        assert set(named) == {"city", "email", "notes", "stage", "tags", "timeline", "visits"}
        assert named["email"] == "its damaged view reads 'm@example.com', which may be wrong"
        assert dict(anna.get(record)) == {"name": "Müller", "city": "Köln"}
        assert anna.store.verify().findings == ()


def test_a_record_of_which_nothing_is_left_is_named(path, record):
    for number in (1, 2, 3, 4):
        flip_bit(path, b"log", seq(number))
    flip_bit(path, b"views", record.encode())
    with Replica.open(path) as anna:
        mended = anna.repair()
        assert mended.lost == (record,)
        assert [(loss.record, loss.kind) for loss in mended.losses[:1]] == [(record, "record")]
        assert {"name", "city", "visits", "email"} <= {loss.field for loss in mended.losses}
        assert anna.store.verify().findings == ()


def overwrite(store: Path, table: bytes, key: bytes, start: int) -> None:
    """Overwrite a stored value from `start` on."""
    with lmdb.open(str(store), max_dbs=16) as environment, environment.begin(write=True) as transaction:
        handle = environment.open_db(table, txn=transaction)
        value = transaction.get(key, db=handle) or b""
        transaction.put(key, value[:start] + b"\xff" * (len(value) - start), db=handle)


def test_fields_are_named_by_what_is_left_of_a_view_that_cannot_be_read(path, record):
    for number in (1, 2, 3, 4):
        overwrite(path, b"log", seq(number), 16)
    with Replica.open(path) as anna:
        first, second, *_ = anna.get(record).raw
        size = len(f'{{"fields":{{"{first}":"{anna.get(record)[first]}","{second}":'.encode())
    overwrite(path, b"views", record.encode(), 16 + size)
    with Replica.open(path) as anna:
        lost, *fields = anna.repair().losses
        assert (lost.field, lost.kind) == ("", "record")
        told = "its damaged bytes name it; what it was is not known"
        assert [(loss.field, loss.detail) for loss in fields] == sorted([(first, told), (second, told)])


def test_where_every_byte_is_gone_it_is_said_that_nothing_is_known(path, record):
    for number in (1, 2, 3, 4):
        overwrite(path, b"log", seq(number), 0)
    overwrite(path, b"views", record.encode(), 0)
    with Replica.open(path) as anna:
        (loss,) = anna.repair().losses
        assert (loss.record, loss.kind) == (record, "record")
        assert "what it held is not known" in loss.detail


@pytest.mark.parametrize(
    "view", [b"[]", b"{}", b'{"fields": 3}', b"[" * 100_000, b'{"fields": {"\\u001b": 1}}', b"\xff"]
)
def test_no_damaged_view_stops_a_repair(path, record, view):
    flip_bit(path, b"log", seq(3))
    with lmdb.open(str(path), max_dbs=16) as environment, environment.begin(write=True) as transaction:
        transaction.put(record.encode(), b"c" * 16 + view, db=environment.open_db(b"views", txn=transaction))
    with Replica.open(path) as anna:
        assert anna.repair().losses[0].kind == "edits"


def test_what_a_partner_holds_is_awaited_and_not_written_twice(path, record):
    with Replica.open(path) as anna:
        anna.store.commit([Batch(peers=(Peer(RELAY, b"e" * 16, 1, 1, URL),))])
    flip_bit(path, b"log", seq(3))
    with Replica.open(path) as anna:
        mended = anna.repair()
        assert (mended.awaited, mended.losses, mended.rewritten) == ({record: (URL,)}, (), {})
        assert mended.shown[record]["city"] == "Berlin"
        assert "city" in anna.status().damaged[record], "the status tells what is awaited"
        again = anna.repair()
        assert (again.findings, again.awaited, again.shown) == (0, mended.awaited, mended.shown), "not met since"


def awaiting(path, *tables) -> None:
    """The relay had all of it; what the third edit wrote is lost, and awaited from there."""
    with Replica.open(path) as anna:
        anna.store.commit([Batch(peers=(Peer(RELAY, b"e" * 16, 1, 1, URL),))])
    flip_bit(path, b"log", seq(3))
    for table, key in tables:
        flip_bit(path, table, key)
    with Replica.open(path) as anna:
        mended = anna.repair()
        assert list(mended.awaited.values()) == [(URL,)]


def met(replica) -> None:
    """The relay was compared with, and had nothing."""
    replica.store.commit([Batch(peers=(Peer(RELAY, b"f" * 16, 1, 1, URL),))])


def nothing_is_left_to_settle(replica) -> None:
    settled = replica.settle()
    assert (settled.rewritten, settled.awaited, settled.losses) == ({}, {}, ())


def test_what_a_partner_turns_out_not_to_have_is_written_again_or_named(path, record):
    with Replica.open(path) as anna:
        before = dict(anna.get(record))
    awaiting(path)
    with Replica.open(path) as anna:
        with anna.edit(record) as customer:
            customer["stage"] = "won"  # said since
        met(anna)
        settled = anna.settle()
        assert set(settled.rewritten[record]) == {"city", "tags", "email"}
        assert {loss.field for loss in settled.losses} == {"visits", "notes", "timeline"}, (
            "others may have them from it"
        )
        assert "it showed 3" in next(loss.detail for loss in settled.losses if loss.field == "visits")
        lost = {"visits", "notes", "timeline"}
        kept = {field: value for field, value in before.items() if field not in lost}
        assert dict(anna.get(record)) == {**kept, "stage": "won"}
        assert anna.store.outbox_entry(RELAY, record) is not None, "and sent"
        assert (anna.settle().losses, anna.status().damaged) == ((), {})
    with Replica.open(path) as anna:
        assert anna.store.verify().findings == ()
        assert dict(anna.get(record)) == {**kept, "stage": "won"}


@pytest.mark.parametrize("head", [True, False])
def test_what_a_partner_brings_back_is_neither_written_again_nor_named(path, record, head):
    with Replica.open(path) as anna:
        before, whole = dict(anna.get(record)), anna.document(record).diff()
    awaiting(path, *([] if head else [(b"heads", record.encode())]))
    with Replica.open(path) as anna:
        anna.integrate([UpdatesEntry(record, whole, b"")], RELAY, (), None)
        met(anna)
        assert anna.status().damaged == {}
        nothing_is_left_to_settle(anna)
        assert dict(anna.get(record)) == before


@pytest.mark.parametrize("renewals", [0, 1, 2])
@pytest.mark.parametrize("renewed_before", [False, True])
def test_what_comes_back_renewed_has_come_and_what_was_changed_since_stays(path, record, renewed_before, renewals):
    """A partner wrote the city back to what the repair could save, and renewed the record; all of it comes."""
    with Replica.open(path) as anna:
        if renewed_before:
            anna.renew(record)
        with anna.edit(record) as customer:
            customer["city"] = "Ulm"
        last = anna.store.record_head(record).seq
        theirs = Document.load([anna.document(record).diff()], 9000)
        anna.store.commit([Batch(peers=(Peer(RELAY, b"e" * 16, 1, 1, URL),))])
        schema = anna.schema_of(record)
    flip_bit(path, b"log", seq(last))
    with Replica.open(path) as anna:
        assert anna.repair().shown[record]["city"] == "Ulm"
        Editor(theirs, schema, HybridClock(anna.context.wall_clock), "ben", "customers")["city"] = "Berlin"
        for _ in range(renewals):
            theirs = renewed(theirs)
        fetched(anna, record, theirs.diff())
        met(anna)
        assert anna.status().damaged == {}
        nothing_is_left_to_settle(anna)
        assert anna.get(record)["city"] == "Berlin"


def test_where_a_renewal_leaves_open_which_is_newer_what_is_shown_stays_and_is_named(path, record):
    """What the awaited lineage was made of is lost here, and the partner brings another one."""
    with Replica.open(path) as anna:
        theirs = Document.load([entry.update for entry in anna.store.history(record)[:2]])
        before = anna.document(record)
        first = renewed(before)
    kept = awaiting_notes.kept(
        [URL],
        View.of(reading_of(before)),
        View({}, [], False),
        first.state_vector(),
        1,
        (),
        edited=False,
        lineage=first.lineage_writer(),
    )
    other = renewed(theirs)
    assert kept.has_come(other, View.of(reading_of(other))) is None
    with Replica.create(path.parent / "ben", "ben", [bundled_schema("customers")]) as ben:
        fetched(ben, record, other.diff())
        ben.store.commit([Batch(meta=awaiting_notes.note(record, kept))])
        settled = ben.settle()
        assert settled.rewritten == {}
        assert "which is newer is not known" in settled.losses[0].detail
        assert ben.get(record)["city"] == "Köln"
        assert (ben.settle().losses, ben.status().damaged) == ((), {}), "it is told once"


def test_what_a_partner_did_not_bring_and_nothing_shows_is_named(path, record):
    awaiting(path, (b"views", record.encode()))
    with Replica.open(path) as anna:
        assert anna.settle().awaited == {record: (URL,)}
        met(anna)
        assert [(loss.record, loss.kind) for loss in anna.settle().losses] == [(record, "edits")]


def after(replica: Replica, record: str, edits: int) -> Document:
    """The record as it was after the first so many of its edits."""
    return Document.load([entry.update for entry in replica.store.history(record)[:edits]])


def a_part_of_the_third_edit(replica: Replica, record: str) -> bytes:
    ((writer, clock),) = vectors.decode(after(replica, record, 2).state_vector()).items()
    return vectors.encode({writer: clock + 1})


def test_what_adds_up_is_named_and_not_doubled_where_a_partner_may_hold_a_part_of_it(path, record):
    with Replica.open(path) as anna:
        half, whole = a_part_of_the_third_edit(anna, record), anna.document(record).diff()
        entry = OutboxEntry(record, half, 1)
        anna.store.commit([Batch(peers=(Peer(RELAY, b"e" * 16, 1, 1, URL),), outbox=((RELAY, entry),))])
    flip_bit(path, b"log", seq(3))
    with Replica.open(path) as anna:
        mended = anna.repair()
        assert {loss.field for loss in mended.losses} == {"visits", "notes", "timeline"}
        assert "it showed 3" in next(loss.detail for loss in mended.losses if loss.field == "visits")
        assert anna.get(record)["city"] == "Berlin"
        assert "visits" not in anna.get(record)
        assert still_lost(anna, mended.losses) == mended.losses
        anna.integrate([UpdatesEntry(record, whole, b"")], RELAY, (), None)
        assert still_lost(anna, mended.losses) == (), "the partner had it"


def test_what_a_lost_edit_replaced_stands_again_whatever_was_edited_after_it(path, record):
    """An edit by another writer does not say again what the lost one deleted: the total that was counted before."""
    for amounts in ((4, 1), ()):
        with Replica.open(path) as anna:
            for amount in amounts:
                with anna.edit(record) as customer:
                    customer.increment("visits", amount)
            if not amounts:
                with anna.edit(record) as customer:
                    customer["city"] = "Bonn"
            assert anna.get(record)["visits"] == 8
            before = dict(anna.get(record))
            anna.store.commit([Batch(peers=(Peer(RELAY, b"e" * 16, 1, 1, ""),))])  # which may hold what is lost
    flip_bit(path, b"log", seq(6))
    with Replica.open(path) as anna:
        mended = anna.repair()
        assert [loss.field for loss in mended.losses] == ["visits"]
        assert dict(anna.get(record)) == {**before, "visits": 7}


def test_what_adds_up_is_not_doubled_where_the_record_was_renewed_since_a_partner_had_a_part_of_it(path, record):
    """Its state vector and the partner's have no writer in common, and still the partner has it."""
    with Replica.open(path) as anna:
        entry = OutboxEntry(record, after(anna, record, 3).state_vector(), 1)
        anna.store.commit([Batch(peers=(Peer(RELAY, b"e" * 16, 1, 1, URL),), outbox=((RELAY, entry),))])
        anna.renew(record)
        last = anna.store.record_head(record).seq
    flip_bit(path, b"log", seq(3))
    flip_bit(path, b"log", seq(last))
    with Replica.open(path) as anna:
        mended = anna.repair()
        assert {"visits", "notes", "timeline"} <= {loss.field for loss in mended.losses}
        assert "visits" not in anna.get(record)


@pytest.mark.parametrize("how", ["damaged", "replaced"])
def test_what_adds_up_is_not_doubled_where_a_partner_was_forgotten(path, record, how):
    url = "" if how == "replaced" else URL
    with Replica.open(path) as anna:
        anna.store.commit([Batch(peers=(Peer(RELAY, b"e" * 16, 1, 1, url),))])
    flip_bit(path, b"log", seq(3))
    if how == "damaged":
        flip_bit(path, b"peers", RELAY)
        Replica.open(path).close()  # any command may come first
    with Replica.open(path) as anna:
        mended = anna.repair()
        assert {loss.field for loss in mended.losses} == {"visits", "notes", "timeline"}
        assert anna.get(record)["city"] == "Berlin"


def unsynced(path, record: str, synced: int, *damaged: int) -> tuple[dict[str, object], bytes]:
    """The relay has the first edits, the later ones wait, and log entries are damaged: what was shown, what it has."""
    with Replica.open(path) as anna:
        before, theirs = dict(anna.get(record)), after(anna, record, synced)
        entry = OutboxEntry(record, theirs.state_vector(), 1)
        anna.store.commit([Batch(peers=(Peer(RELAY, b"e" * 16, 1, 1, URL),), outbox=((RELAY, entry),))])
    for number in damaged:
        flip_bit(path, b"log", seq(number))
    return before, theirs.diff()


def pushed(replica: Replica, record: str, update: bytes) -> None:
    state = Document.load([update]).state_vector()
    PushedUpdates(replica).commit([Batch(changes=(Change(record, (update,), RELAY, "", 0, state),))])


def fetched(replica: Replica, record: str, update: bytes) -> None:
    replica.integrate([UpdatesEntry(record, update, b"")], RELAY, (), None)


@pytest.mark.parametrize("receive", [pushed, fetched])
@pytest.mark.parametrize(
    ("synced", "damaged"), [(1, [1]), (2, [1]), (2, [2]), (2, [1, 2]), (3, [1]), (3, [2]), (3, [3]), (3, [1, 2, 3])]
)
def test_sound_edits_that_no_partner_has_come_back_when_a_partner_brings_what_they_build_on(
    path, record, synced, damaged, receive
):
    before, theirs = unsynced(path, record, synced, *damaged)
    with Replica.open(path) as anna:
        mended = anna.repair()
        assert (mended.awaited, mended.losses, mended.rewritten) == ({record: (URL,)}, (), {})
    with Replica.open(path) as anna:
        receive(anna, record, theirs)
        assert dict(anna.get(record)) == before
        assert anna.store.outbox_entry(RELAY, record) is not None, "and go there"
        assert anna.status().damaged == {}
        met(anna)
        nothing_is_left_to_settle(anna)
        assert dict(anna.get(record)) == before
        assert anna.store.verify().findings == ()


def with_a_last_entry(path, record: str, item: str) -> None:
    """One more sound log entry of the record, the fifth: `item` (hex), after the last operation of its first writer."""
    with Replica.open(path) as anna:
        vector = anna.document(record).state_vector()
        ((writer, end),) = vectors.decode(vector).items()
        update = bytearray(b"\x01\x01")
        append_uint(update, writer)
        append_uint(update, end)
        update += bytes.fromhex(item[:2])
        append_uint(update, writer)
        append_uint(update, end - 1)
        update += bytes.fromhex(item[2:]) + b"\x00"
        anna.store.commit([Batch(changes=(Change(record, (bytes(update),), anna.id, "anna", 0, vector),))])


@pytest.mark.parametrize("item", ["8400", "9f01"], ids=["an empty text, as earlier releases kept", "nothing we know"])
def test_one_record_that_cannot_be_read_stops_no_repair(path, record, item):
    with Replica.open(path) as anna:
        with anna.edit(other := new_record("customers", random.Random(2)), create=True) as customer:
            customer["name"] = "Schmidt"
        with anna.edit(other) as customer:
            customer["city"] = "Bonn"
        where = anna.store.record_head(other).seq
    unsynced(path, record, 2)
    with_a_last_entry(path, record, item)
    for number in (2, where):
        flip_bit(path, b"log", seq(number))
    with Replica.open(path) as anna:
        mended = anna.repair()
        assert set(mended.salvaged) == {record, other}
        assert anna.get(other)["name"] == "Schmidt"
        assert anna.get(record)["name"] == "Müller"
        assert record in mended.awaited or record in {loss.record for loss in mended.losses}
        assert anna.store.verify().findings == ()
        assert anna.repair().findings == 0


def test_a_record_that_cannot_be_rescued_is_named_and_the_others_are_repaired(path, record, monkeypatch):
    with Replica.open(path) as anna:
        with anna.edit(other := new_record("customers", random.Random(2)), create=True) as customer:
            customer["name"] = "Schmidt"
        where = anna.store.record_head(other).seq
    for number in (2, where):
        flip_bit(path, b"log", seq(number))

    def unreadable(name, remains):
        if name == record:
            raise UpdateRefused("malformed", "this cannot be read")
        return rescued(name, remains)

    monkeypatch.setattr("crdt_sync.replica.repair.rescued", unreadable)
    with Replica.open(path) as anna:
        mended = anna.repair()
        assert (mended.salvaged, mended.lost) == ((other,), (record,))
        assert [(loss.record, loss.kind) for loss in mended.losses] == [(record, "record")]
        assert "this cannot be read" in mended.losses[0].detail
        assert anna.get(other)["name"] == "Schmidt"
        assert anna.store.verify().findings == ()


@pytest.mark.parametrize("receive", [pushed, fetched])
@pytest.mark.parametrize("error", [StoreFull, StoreFailed])
def test_what_came_is_stored_and_told_though_what_builds_on_it_cannot_be(path, record, receive, error, monkeypatch):
    before, theirs = unsynced(path, record, 2, 2)
    with Replica.open(path) as anna:
        anna.repair()
        commit, commits, heard = anna.store.commit, [], []

        def commit_once(batches):
            if commits:
                raise error("the disk is full")
            commits.append(batches)
            return commit(batches)

        anna.subscribe(heard.extend)
        with monkeypatch.context() as patched:
            patched.setattr(anna.store, "commit", commit_once)
            receive(anna, record, theirs)
        assert [(event.kind, event.record) for event in heard][:1] == [("received", record)]
        assert anna.get(record)["city"] == "Köln"
        met(anna)
        nothing_is_left_to_settle(anna)
        assert dict(anna.get(record)) == before


@pytest.mark.parametrize("known", [b"", vectors.encode({1: 2})], ids=["no state vector", "edits of ours were lacking"])
def test_a_conflict_that_has_come_back_counts_once(known):
    shown, saved = View({"stage": "won"}, ["stage"], False), View({"stage": "lead"}, [], False)
    kept = awaiting_notes.kept([URL], shown, saved, known, 1, (), edited=True)
    here = Document.load([update([array("c.name", ["a", "b"])], 1), update([array("c.city", ["c"])], 3)])
    assert not kept.has_come(here, saved)
    assert not kept.has_come(here, View({"stage": "won"}, [], False)), "the other value is not back"
    assert kept.has_come(here, shown)
    assert kept.has_come(here, View({"stage": "won"}, ["stage", "owner"], False)), "with another one, that came later"
    assert kept.expected(saved) == View({"stage": "won"}, ["stage"], False)


def test_a_writer_whose_edits_may_be_lost_writes_no_more(path, record):
    flip_bit(path, b"log", seq(3))
    with Replica.open(path) as anna:
        with anna.edit("customers") as customer:
            customer["name"] = "New"
        before = next(iter(anna.context.writers.current), None)
        anna.repair()
        assert before is not None
        assert anna.context.writers.first() != before


def test_a_second_repair_keeps_what_the_first_kept(path, record):
    before, theirs = unsynced(path, record, 2, 2)
    with Replica.open(path) as anna:
        anna.repair()
        seq_now = anna.store.record_head(record).seq
    flip_bit(path, b"log", seq(seq_now))
    with Replica.open(path) as anna:
        anna.store.commit([Batch(peers=(Peer(RELAY, b"e" * 16, 1, 1, URL),))])
        assert anna.repair().losses == ()
        anna.integrate([UpdatesEntry(record, theirs, b"")], RELAY, (), None)
        assert dict(anna.get(record)) == before


def test_sound_edits_whose_base_does_not_come_are_written_again_or_named(path, record):
    before, _ = unsynced(path, record, 2, 2)
    with Replica.open(path) as anna:
        anna.repair()
        met(anna)
        settled = anna.settle()
        assert {"tags", "stage", "email"} <= set(settled.rewritten[record])
        assert {loss.field for loss in settled.losses} == {"visits", "notes", "timeline"}
        assert anna.get(record)["email"] == before["email"]


def test_a_deletion_that_no_partner_has_is_made_again_at_once(path, record):
    with Replica.open(path) as anna, anna.edit(record) as customer:
        customer.remove("tags", "vip")
    unsynced(path, record, 4, 5)
    with Replica.open(path) as anna:
        mended = anna.repair()
        assert (mended.awaited, mended.losses) == ({}, ())
        assert not anna.get(record).get("tags")


def test_an_intact_snapshot_brings_a_record_back_whose_log_was_compacted(path, record):
    with Replica.open(path) as anna:
        before = dict(anna.get(record))
        with anna.edit(record) as customer:
            customer["city"] = "Bonn"
        document = anna.document(record)
        change = Change(record, (), anna.id, "", 0, document.state_vector(), document.diff())
        anna.store.commit([Batch(changes=(change,))])
        anna.store.compact()
    flip_bit(path, b"heads", record.encode())
    with Replica.open(path) as anna:
        mended = anna.repair()
        assert (mended.salvaged, mended.losses) == ((record,), ())
        assert dict(anna.get(record)) == {**before, "city": "Bonn"}


@pytest.mark.parametrize("key", ["name", "schema/customers", "schemas", "clock"])
def test_damaged_settings_are_set_aside_and_what_cannot_be_derived_is_named(path, record, key):
    flip_bit(path, b"meta", key.encode())
    with pytest.raises(StoreCorrupt):
        Replica.open(path)
    with Replica.open_to_repair(path) as anna:
        mended = anna.repair()
        assert mended.findings == 1
        assert [loss.field for loss in mended.losses] == [key for key in [key] if key == "name"]
        assert anna.name == "anna"
        assert anna.get(record)["email"] == "m@example.com"
    with Replica.open(path) as anna:
        assert anna.store.verify().findings == ()
        assert list(anna.schemas) == ["customers"]
        with anna.edit(record) as customer:
            customer["city"] = "Ulm"


@pytest.mark.parametrize("shared", [True, False])
def test_a_schema_that_was_added_comes_back_from_its_record_where_it_has_one(tmp_path, shared, keyed_schema):
    path = tmp_path / "ben"
    with Replica.create(path, "ben") as ben:
        ben.shared_schemas.add(keyed_schema, share=shared)
    flip_bit(path, b"meta", f"schema/{keyed_schema.collection}".encode())
    with Replica.open_to_repair(path) as ben:
        losses = [loss.field for loss in ben.repair().losses]
    with Replica.open(path) as ben:
        assert (list(ben.schemas), losses) == (
            ([keyed_schema.collection], []) if shared else ([], [f"schema/{keyed_schema.collection}"])
        )
