"""An encrypted store: what is on its disk, what damage and forgery come to, and the order of what has none there."""

import random
import shutil
import subprocess
import sys
from itertools import pairwise

import lmdb
import pytest

from crdt_sync.errors import StoreCorrupt, StoreFormat, StoreKeyWrong
from crdt_sync.storage import Batch, LmdbStore, OutboxEntry, Peer
from crdt_sync.storage.encryption import key_box
from crdt_sync.storage.encryption.cipher import Cipher
from crdt_sync.storage.lmdb import encrypted
from crdt_sync.storage.lmdb.codec import VIEWS
from crdt_sync.storage.lmdb.mended_identity import mend_identity
from tests.storage.conftest import KEY, encrypted_store, make_change

ANN, BOB, PARTNER = "customers/ann", "customers/bob", b"p" * 16
CIPHER = Cipher(KEY)


@pytest.fixture
def filled(lmdb_path):
    with encrypted_store(lmdb_path) as store:
        store.commit(
            [
                Batch(
                    changes=(
                        make_change(ANN, b"first" * 60, view=b"view of ann" * 9, digest=b"d" * 16),
                        make_change(BOB, b"other", snapshot=b"other"),
                        make_change(ANN, b"second", snapshot=b"whole" * 90, digest=b"d" * 16),
                        make_change(ANN, b"third"),
                    ),
                    peers=(Peer(PARTNER, b"e" * 16, 5, 6, "wss://marker-host"),),
                    outbox=((PARTNER, OutboxEntry(ANN, b"sv", 3, "quota", "marker reason")),),
                    meta={"schema/marker": b"text", "name": b"marker name"},
                )
            ]
        )
    return lmdb_path


def raw(path, table):
    with lmdb.open(str(path), max_dbs=16, readonly=True) as environment:
        handle = environment.open_db(table, create=False)
        with environment.begin(db=handle) as transaction, transaction.cursor() as cursor:
            return list(cursor.iternext())


def put(path, table, key, value):
    with lmdb.open(str(path), max_dbs=16) as environment:
        handle = environment.open_db(table, create=False)
        with environment.begin(write=True, db=handle) as transaction:
            if value is None:
                transaction.delete(key)
            else:
                transaction.put(key, value)


def flipped(value, bit):
    changed = bytearray(value)
    changed[bit // 8 % len(value)] ^= 1 << bit % 8
    return bytes(changed)


TABLES = [
    b"log", b"heads", b"docs", b"feed", b"stale", b"views", b"peers", b"outbox", b"outbox_counts", b"meta", b"store",
]  # fmt: skip


def test_no_word_of_the_records_is_in_its_files(filled):
    content = b"".join(file.read_bytes() for file in filled.iterdir())
    for word in (b"customers", b"ann", b"view of", b"marker", b"first", b"whole", b"schema", b"anna"):
        assert word not in content


def test_what_can_be_read_without_the_key_is_the_format_and_the_id_of_the_key(filled):
    store = dict(raw(filled, b"store"))
    legible = {key for key, value in store.items() if CIPHER.open(b"store\0" + key, value) is None}
    assert legible == {b"format", b"key"}
    for table in TABLES[:-1]:
        for key, value in raw(filled, table):
            assert CIPHER.open(table + b"\0" + key, value) is not None


@pytest.mark.parametrize("table", TABLES[:-1])
def test_rows_cannot_be_swapped(filled, table):
    """A row that is put in the place of another one of its database, or of another database, is damage."""
    rows = raw(filled, table)
    for other in TABLES[:-1]:
        for key, value in raw(filled, other):
            if (table, rows[0][0]) != (other, key):
                put(filled, table, rows[0][0], value)
                with LmdbStore.open(filled) as store:
                    assert store.verify().findings, (table, other)
                put(filled, table, *rows[0])


def test_a_value_that_somebody_made_up_with_a_right_checksum_is_damage(filled):
    key = CIPHER.name(ANN.encode())
    put(filled, b"views", key, VIEWS.close(ANN.encode(), b"made up"))
    with LmdbStore.open(filled) as store:
        with pytest.raises(StoreCorrupt):
            store.view(ANN)
        assert store.remains([ANN])[ANN].view is None


def test_a_value_whose_plain_text_is_known_cannot_be_turned_into_another_one(filled):
    """Whoever knows what stands in a value could flip its bits to what he likes, were its tag not checked."""
    key = CIPHER.name(ANN.encode())
    (sealed,) = [value for found, value in raw(filled, b"views") if found == key]
    name = ANN.encode()
    plain = len(name).to_bytes(2, "big") + name + VIEWS.close(name, b"view of ann" * 9)
    wanted = len(name).to_bytes(2, "big") + name + VIEWS.close(name, b"view of bob" * 9)
    body = bytes(x ^ y ^ z for x, y, z in zip(sealed[18:-16], plain, wanted, strict=True))
    put(filled, b"views", key, sealed[:18] + body + sealed[-16:])
    with LmdbStore.open(filled) as store, pytest.raises(StoreCorrupt):
        store.view(ANN)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("bit", [0, 100, 160, 12345])
def test_one_flipped_bit_is_found_and_repaired_and_costs_no_other_record(filled, table, bit):
    rows = [row for row in raw(filled, table) if row[0] not in {b"format", b"key", b"replica"}]
    for key, value in rows:
        put(filled, table, key, flipped(value, bit))
    with LmdbStore.open(filled) as store:
        if table not in {b"store", b"stale"}:
            assert store.verify().findings
        damaged = store.damaged()
        assert {ANN, BOB} >= set(damaged)
        store.replace(damaged, Batch())
        store.rebuild()
        assert store.verify().findings == ()
        assert set(store.records("", 9)) == {ANN, BOB} - set(damaged) - set(store.quarantined())


def test_what_is_left_of_a_damaged_value_can_be_read_by_who_has_the_key(filled):
    key = CIPHER.name(ANN.encode())
    (sealed,) = [value for found, value in raw(filled, b"views") if found == key]
    put(filled, b"views", key, flipped(sealed, 8 * 90))
    with LmdbStore.open(filled) as store:
        left = store.remains([ANN])[ANN]
        assert b"view of ann" in (left.damaged_view or b"")
        store.rebuild()
        (aside,) = [each for each in store.set_aside() if each.database == "views"]
        assert (aside.record, aside.key) == (ANN, ANN)
        assert b"view of ann" in aside.legible
    assert b"view of" not in (filled / "data.mdb").read_bytes()


def test_a_record_whose_name_is_damaged_is_told_by_its_other_rows(filled):
    key = CIPHER.name(ANN.encode())
    (sealed,) = [value for found, value in raw(filled, b"heads") if found == key]
    put(filled, b"heads", key, flipped(sealed, 8 * (18 + 4)))
    with LmdbStore.open(filled) as store:
        assert {finding.record for finding in store.verify().findings} >= {ANN}
        assert store.damaged() == [ANN]


def test_a_damaged_id_of_the_key_is_put_back_by_a_repair_and_a_wrong_key_changes_nothing(filled):
    put(filled, b"store", b"key", b"damaged")
    before = (filled / "data.mdb").read_bytes()
    with pytest.raises(StoreCorrupt, match="opens nothing"):
        LmdbStore.open(filled, key=bytes(32))
    assert (filled / "data.mdb").read_bytes() == before
    with LmdbStore.open(filled) as store:
        assert [finding.key for finding in store.verify().findings] == ["key"]
        store.rebuild()
        assert store.verify().findings == ()
    with pytest.raises(StoreKeyWrong):
        LmdbStore.open(filled, key=bytes(32))


def test_a_wrong_key_is_one_clear_error_and_changes_nothing(filled):
    before = (filled / "data.mdb").read_bytes()
    for _ in range(2):
        with pytest.raises(StoreKeyWrong, match="not that of the store"):
            LmdbStore.open(filled, key=bytes(32))
    assert (filled / "data.mdb").read_bytes() == before
    LmdbStore.open(filled).close()


@pytest.mark.parametrize("key", [b"format", b"replica"])
def test_a_damaged_identity_is_mended(filled, key):
    (value,) = [value for found, value in raw(filled, b"store") if found == key]
    put(filled, b"store", key, flipped(value, 8 * 20))
    with pytest.raises(StoreCorrupt):
        LmdbStore.open(filled)
    assert mend_identity(filled, lambda: 0) == (key.decode(),)
    with LmdbStore.open(filled) as store:
        assert store.count() == 2
        assert store.verify().findings == ()


def test_a_plain_store_in_the_place_of_an_encrypted_one_is_not_used(filled, tmp_path):
    LmdbStore.open(tmp_path / "plain", create=True).close()
    shutil.copyfile(tmp_path / "plain" / "data.mdb", filled / "data.mdb")
    with pytest.raises(StoreFormat, match="somebody has put another store"):
        LmdbStore.open(filled)


def test_a_copy_is_encrypted_and_has_the_key_beside_it(filled, tmp_path):
    with LmdbStore.open(filled) as store:
        store.copy(tmp_path / "copy")
    assert key_box.read(tmp_path / "copy") == key_box.read(filled)
    with LmdbStore.open(tmp_path / "copy") as copy:
        assert copy.load(ANN).updates == (b"whole" * 90, b"third")
        assert copy.cipher is not None


READER = """
import sys
from pathlib import Path
from crdt_sync.storage.lmdb import encrypted
from crdt_sync.storage.lmdb.shared import SharedStore
encrypted.reads_whole = lambda *_: False
with SharedStore.beside(Path(sys.argv[1]), lambda: bytes.fromhex(sys.argv[2])) as beside:
    for _ in sys.stdin:
        owed = [entry.record for entry in beside.outbox(b"p" * 16, "", 9)]
        print(*beside.records("", 9), "owed", *owed, flush=True)
"""


def test_it_is_read_beside_its_owner_and_follows_what_that_one_writes(filled):
    cid = "customers/cid"
    command = [sys.executable, "-c", READER, str(filled), KEY.hex()]
    with (
        LmdbStore.open(filled) as store,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as reader,
    ):

        def read():
            reader.stdin.write("read\n")
            return reader.stdout.readline().split()

        assert read() == [ANN, BOB, "owed", ANN]
        store.commit([Batch(changes=(make_change(cid, b"new"),), outbox=((PARTNER, OutboxEntry(cid, b"", 1)),))])
        assert read() == [ANN, BOB, cid, "owed", ANN, cid]
        reader.stdin.close()


class Orders:
    """Many records in two stores, of which one is encrypted: every page of both is the same."""

    def __init__(self, folder):
        self.stores = [LmdbStore.open(folder / "plain", create=True), encrypted_store(folder / "encrypted")]
        rng = random.Random(5)
        self.names = [f"{rng.choice(('a', 'a-b', 'ab', 'orders'))}/{rng.randrange(10**6)}" for _ in range(900)]
        rng.shuffle(self.names)

    def commit(self, batch):
        for store in self.stores:
            store.commit([batch])

    def check(self):
        plain, hidden = self.stores
        for prefix in ("", "a", "a/", "a/1", "ab/", "orders/", "zz"):
            after = ""
            for limit in (1, 7, 400, 2000):
                for ask in ("records", "views"):
                    assert getattr(hidden, ask)(after, limit, prefix) == getattr(plain, ask)(after, limit, prefix)
                page = plain.records(after, limit, prefix)
                after = page[-1] if page else after
        assert hidden.digests("a/3", 500) == plain.digests("a/3", 500)
        assert hidden.stale(10) == plain.stale(10)
        after = ""
        while owed := plain.outbox(PARTNER, after, 50):
            assert hidden.outbox(PARTNER, after, 50) == owed
            after = owed[-1].record
        assert hidden.outbox(PARTNER, after, 50) == []
        for store in self.stores:
            store.close()


@pytest.mark.parametrize("whole", [True, False])
def test_pages_come_in_the_order_of_the_names_whatever_is_written_in_between(tmp_path, monkeypatch, whole):
    monkeypatch.setattr(encrypted, "reads_whole", lambda *_: whole)
    orders = Orders(tmp_path)
    for first, last in pairwise(range(0, 901, 300)):
        part = orders.names[first:last]
        changes = tuple(make_change(name, b"u", view=b"v", digest=b"d" * 16) for name in dict.fromkeys(part))
        orders.commit(Batch(changes=changes, outbox=tuple((PARTNER, OutboxEntry(name, b"", 1)) for name in part)))
        orders.stores[1].records("", 5)
        orders.stores[1].outbox(PARTNER, "a", 5)
    orders.commit(Batch(outbox_done=tuple((PARTNER, name, 1) for name in orders.names[:700])))
    orders.check()


def test_a_few_rows_among_many_are_read_whole_and_many_by_their_names():
    assert encrypted.reads_whole(200, 10**6, 10)
    assert encrypted.reads_whole(2000, 10**5, 512)
    assert not encrypted.reads_whole(10**5, 10**5, 512)
