"""Stores that earlier releases wrote can be used, and earlier releases can use what is written today."""

import lzma
from pathlib import Path

import lmdb
import pytest

from crdt_sync import Replica, bundled_schema
from crdt_sync.records import values_of
from crdt_sync.storage import LmdbStore

WRITTEN = Path(__file__).parents[1] / "storage" / "lmdb" / "stores" / "format-2.mdb.xz"
RECORD = "customers/26sw2ph47gse3rywnenm3k5bxa"
RELAY, URL = b"r" * 16, "ws://relay"
NAMES = {  # of the databases that every release with this format knows; any other it takes for damage
    b"log", b"heads", b"docs", b"feed", b"stale", b"views", b"peers",
    b"outbox", b"outbox_counts", b"quarantine", b"index", b"meta", b"store",
}  # fmt: skip


def names(path: Path) -> set[bytes]:
    with lmdb.open(str(path), max_dbs=32) as environment, environment.begin() as transaction:
        return set(transaction.cursor().iternext(values=False))


@pytest.fixture
def earlier(tmp_path) -> Path:
    """A store that the first release with this format wrote: two records, and a relay that lacks one of them."""
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / "data.mdb").write_bytes(lzma.decompress(WRITTEN.read_bytes()))
    return tmp_path / "earlier"


def test_a_store_of_the_first_release_is_read_edited_and_found_sound(earlier):
    with Replica.open(earlier) as anna:
        assert anna.name == "anna"
        shown = dict(anna.get(RECORD))
        assert [entry["value"] for entry in shown.pop("timeline")] == ["call"]
        assert shown == {
            "name": "Müller",
            "phone": "+49 30 1",
            "city": "Berlin",
            "stage": "qualified",
            "tags": ["vip"],
            "visits": 2,
            "notes": "Called",
        }
        assert values_of(anna.document(RECORD), anna.schema_of(RECORD)) == anna.get(RECORD).raw
        assert [(partner.url, partner.pending) for partner in anna.status().partners] == [(URL, 1)]
        with anna.edit(RECORD) as customer:
            customer.increment("visits")
            customer["city"] = "Bonn"
        assert anna.store.verify().findings == ()
        assert anna.repair().findings == 0
    with Replica.open(earlier) as anna:
        assert (anna.get(RECORD)["visits"], anna.get(RECORD)["city"]) == (3, "Bonn")


def test_a_store_of_today_has_the_databases_that_earlier_releases_know(tmp_path, earlier):
    with Replica.create(tmp_path / "new", "ben", [bundled_schema("customers")]) as ben:
        with ben.edit("customers", create=True) as customer:
            customer["name"] = "Schmidt"
        ben.refresh_digests()
    with Replica.open(earlier) as anna, anna.edit(RECORD) as customer:
        customer["city"] = "Bonn"
    assert names(tmp_path / "new") == names(earlier) == NAMES


def test_what_a_repair_set_aside_is_a_database_more_until_it_is_dropped(earlier):
    with LmdbStore.open(earlier) as store:
        store.quarantine(RECORD)
        assert {(value.database, value.record) for value in store.set_aside()} == {
            ("heads", RECORD),
            ("views", RECORD),
            ("log", RECORD),
        }
        store.drop_set_aside()
        assert store.set_aside() == []
        store.drop_set_aside()
        assert store.verify().findings == ()
    assert names(earlier) == NAMES
