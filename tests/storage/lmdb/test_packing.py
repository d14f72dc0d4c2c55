"""Values that are packed on disk: what is read is what was stored, and what is damaged or made up is found."""

import hashlib
import random

import lmdb
import pytest

from crdt_sync.errors import StoreCorrupt, StoreFormat
from crdt_sync.limits import PACKED_BYTES_MAX, PACKED_BYTES_MIN
from crdt_sync.storage import Batch, LmdbStore
from crdt_sync.storage.lmdb import identity
from crdt_sync.storage.lmdb.codec import DOCS, LOG, VIEWS, log_body, seq_key
from crdt_sync.storage.lmdb.dictionary import DICTIONARY
from crdt_sync.storage.lmdb.packing import legible, pack, unpack

ANN, BOB = "customers/ann", "customers/bob"
TEXT = b"".join(b'"field %d":"what a customer of number %d said",' % (n, n * 7) for n in range(40))
VIEW = b'{"fields":{%s}}' % TEXT
LOG_BODY = log_body(bytes(16), 0, 1, bytes(16), ANN.encode(), b"anna", TEXT)
SEALS = {b"log": LOG, b"docs": DOCS, b"views": VIEWS}
KEYS = {b"log": seq_key(1), b"docs": BOB.encode(), b"views": BOB.encode()}


@pytest.fixture
def filled(lmdb_store, lmdb_path, change):
    """Ann's snapshot is her log entry; Bob's is a value of its own."""
    lmdb_store.commit([Batch(changes=(change(ANN, TEXT, snapshot=TEXT, digest=b"d" * 16),))])
    lmdb_store.commit([Batch(changes=(change(BOB, b"small", snapshot=TEXT + b"!", view=VIEW, digest=b"d" * 16),))])
    lmdb_store.close()
    return lmdb_path


def raw(path, table, key, value=None):
    """A value as it is on disk; with `value` it is replaced."""
    with lmdb.open(str(path), max_dbs=16) as environment, environment.begin(write=True) as transaction:
        handle = environment.open_db(table, txn=transaction)
        if value is not None:
            transaction.put(key, value, db=handle)
        return transaction.get(key, db=handle)


def packed_of(body):
    packed = pack(body)
    assert packed is not None
    return packed


PACKED = packed_of(TEXT)


def start_of(table, body):
    return LOG._plain(body) if table == b"log" else 0


def sealed_again(path, table, change_packed):
    """Replace what is packed of a value, under a seal that matches."""
    key, seal = KEYS[table], SEALS[table]
    body = raw(path, table, key)[16:]
    start = start_of(table, body)
    body = body[:start] + change_packed(body[start:])
    raw(path, table, key, seal.checksum(key, body)[::-1] + body)


def test_what_is_packed_takes_less_and_reads_the_same(filled):
    for table, key in KEYS.items():
        assert len(raw(filled, table, key)) < len(TEXT) / 2
    with LmdbStore.open(filled) as store:
        assert store.load(ANN).updates == (TEXT,)
        assert store.load(BOB).updates == (TEXT + b"!",)
        assert store.view(BOB) == VIEW
        assert store.views("", 9) == [(BOB, VIEW)]
        assert [entry.update for entry in store.log(0, 9, 1 << 20)] == [TEXT, b"small"]
        assert [entry.update for entry in store.history(ANN)] == [TEXT]
        assert store.behind(0) == (2, len(TEXT) + len(TEXT) + 1)
        assert store.verify().findings == ()
        remains = store.remains([ANN, BOB])
        assert [entry.update for entry in remains[ANN].entries] == [TEXT]
        assert (remains[BOB].snapshot, remains[BOB].view) == (TEXT + b"!", VIEW)


@pytest.mark.parametrize("seed", range(20))
def test_every_body_comes_back(seed):
    rng = random.Random(seed)
    words = [rng.randbytes(rng.randrange(1, 12)) for _ in range(rng.randrange(1, 30))]
    body = b"".join(rng.choices(words, k=rng.randrange(60, 3000)))
    packed = pack(body)
    assert packed is None or (unpack(packed) == body and legible(packed) == body and len(packed) < len(body))


def test_a_body_is_packed_from_its_least_to_its_largest_size():
    assert pack(b"a" * (PACKED_BYTES_MIN - 1)) is None
    assert pack(b"a" * (PACKED_BYTES_MAX + 1)) is None
    for size in (PACKED_BYTES_MIN, PACKED_BYTES_MAX):
        assert unpack(packed_of(b"a" * size)) == b"a" * size


def test_what_would_hardly_shrink_is_stored_as_it_is():
    assert pack(random.Random(1).randbytes(2000)) is None


def test_the_dictionary_is_the_one_of_this_format():
    assert hashlib.sha256(DICTIONARY).hexdigest()[:16] == "041f2b79adb5aa10", "what is packed can be read with no other"


@pytest.mark.parametrize(
    "made_up",
    [
        b"",
        b"\x00\x01",
        (PACKED_BYTES_MIN - 1).to_bytes(4, "little") + PACKED[4:],
        (PACKED_BYTES_MAX + 1).to_bytes(4, "little") + PACKED[4:],
        (2**31 - 1).to_bytes(4, "little") + PACKED[4:],
        (2**32 - 1).to_bytes(4, "little") + PACKED[4:],
        (len(TEXT) + 1).to_bytes(4, "little") + PACKED[4:],
        (len(TEXT) - 1).to_bytes(4, "little") + PACKED[4:],
        PACKED[:-1],
        PACKED[:4],
        PACKED_BYTES_MAX.to_bytes(4, "little") + b"\x1fa\x01\x00" + b"\xff" * 1000,
    ],
)
def test_what_nobody_packed_is_refused(made_up):
    with pytest.raises(ValueError, match=r"packed value|cannot be unpacked"):
        unpack(made_up)
    assert len(legible(made_up)) <= PACKED_BYTES_MAX


@pytest.mark.parametrize("seed", range(200))
def test_damage_of_what_is_packed_is_an_error_or_other_bytes_and_legible_before_it(seed):
    rng = random.Random(seed)
    packed = PACKED
    place = rng.randrange(4, len(packed))
    damaged = packed[:place] + bytes([packed[place] ^ 1 << rng.randrange(8)]) + packed[place + 1 :]
    try:
        found = unpack(damaged)
    except ValueError:
        pass
    else:
        assert len(found) == len(TEXT)
    read = legible(damaged)
    assert len(read) <= len(TEXT)
    assert place < 64 or read[:30] == TEXT[:30]


@pytest.mark.parametrize("table", SEALS)
@pytest.mark.parametrize("change_packed", [lambda packed: b"\xff" * len(packed), lambda packed: packed[:-3]])
def test_a_value_that_matches_its_seal_and_cannot_be_unpacked_is_damage(filled, table, change_packed):
    sealed_again(filled, table, change_packed)
    store = LmdbStore.open(filled)
    record = ANN if table == b"log" else BOB
    with pytest.raises(StoreCorrupt, match="cannot be unpacked"):
        store.view(BOB) if table == b"views" else store.load(record)
    found = {(finding.database, finding.key) for finding in store.verify().findings}
    assert {b"log": ("log", "1"), b"docs": ("heads", BOB), b"views": ("views", BOB)}[table] in found
    assert store.damaged() == ([] if table == b"views" else [record])
    store.replace(store.damaged(), Batch())
    store.rebuild()
    assert store.verify().findings == ()
    store.close()


@pytest.mark.parametrize("seal", SEALS.values())
@pytest.mark.parametrize("packs", [False, True])
def test_a_bit_of_a_seal_makes_no_value_of_the_other_kind(seal, packs):
    key, body = b"key", LOG_BODY if seal is LOG else TEXT
    value = seal.close(key, body, packs)
    assert seal.open(key, value) == body
    for bit in range(128):
        damaged = (int.from_bytes(value[:16], "big") ^ 1 << bit).to_bytes(16, "big") + value[16:]
        with pytest.raises(StoreCorrupt, match="does not match its checksum"):
            seal.open(key, damaged)


@pytest.mark.parametrize("table", SEALS)
def test_what_can_be_read_of_a_damaged_value_is_kept(filled, table):
    value = bytearray(raw(filled, table, KEYS[table]))
    value[-20] ^= 4
    raw(filled, table, KEYS[table], bytes(value))
    with LmdbStore.open(filled) as store:
        record = ANN if table == b"log" else BOB
        remains = store.remains([record])[record]
        assert b"what a customer of number 7 said" in (remains.damaged_view or b"".join(remains.damaged))
        store.replace(store.damaged(), Batch())
        store.rebuild()
        (found,) = [kept for kept in store.set_aside() if kept.value == bytes(value)]
        assert b"what a customer of number 7 said" in found.legible


def test_packed_entries_are_compacted_and_copied(filled, tmp_path, change):
    with LmdbStore.open(filled) as store:
        store.commit([Batch(changes=(change(ANN, b"more", snapshot=TEXT + b"more"),))])
        assert (store.compact().dropped, store.compact().dropped) == (3, 0)
        store.copy(tmp_path / "copy")
    with LmdbStore.open(tmp_path / "copy") as copy:
        assert copy.load(ANN).updates == (TEXT + b"more",)
        assert copy.verify().findings == ()


@pytest.mark.parametrize("earlier", [identity.FORMAT, identity.LINEAGES])
def test_a_store_of_an_earlier_format_goes_on_in_it(tmp_path, change, monkeypatch, earlier):
    monkeypatch.setattr(identity, "NEW", earlier)
    LmdbStore.open(tmp_path / "store", create=True).close()
    monkeypatch.undo()
    with LmdbStore.open(tmp_path / "store") as store:
        store.commit([Batch(changes=(change(BOB, b"u", snapshot=TEXT, view=VIEW),))])
        store.commit([Batch(changes=(change(ANN, TEXT, snapshot=TEXT),))])
    monkeypatch.setattr(identity, "NEWEST", earlier)  # the release that made it
    with LmdbStore.open(tmp_path / "store") as store:
        assert store.load(ANN).updates == (TEXT,)
    for table, key in {**KEYS, b"log": seq_key(2)}.items():
        value = raw(tmp_path / "store", table, key)
        assert SEALS[table].checksum(key, value[16:]) == value[:16]
        assert TEXT in value


def test_earlier_releases_refuse_a_store_that_may_hold_packed_values(filled, monkeypatch):
    monkeypatch.setattr(identity, "NEWEST", identity.LINEAGES)
    with pytest.raises(StoreFormat, match="has store format 4; this program knows format 3"):
        LmdbStore.open(filled)
