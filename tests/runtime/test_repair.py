"""A damaged store is mended: what the log or a partner still has comes back, and nothing that is intact is lost."""

from pathlib import Path

import pytest

from crdt_relay import maintenance
from crdt_relay.cli import main as relay_command
from crdt_sync import Address, Replica, bundled_schema, compare, sync
from crdt_sync.errors import EditsLost, StoreCorrupt, UnknownRecord
from crdt_sync.storage import LmdbStore
from tests.damage import flip_bit
from tests.runtime.test_syncing import TOKEN, RelayThread, add

pytestmark = pytest.mark.usefixtures("local_workers")


@pytest.mark.parametrize("table", [b"heads", b"views"])
def test_a_device_mends_itself_and_fetches_the_rest(tmp_path, table) -> None:
    relay = RelayThread(tmp_path / "relay")
    address = Address(relay.url, TOKEN)
    try:
        with Replica.create(tmp_path / "ann", "ann", [bundled_schema("customers")]) as ann:
            records = [add(ann, f"Customer {number}") for number in range(20)]
            sync(ann, address)
            with ann.edit(records[3]) as customer:
                customer["city"] = "Köln"  # not sent yet when the disk flips a bit
        flip_bit(tmp_path / "ann", table, records[3].encode())
        with Replica.open(tmp_path / "ann") as ann:
            assert len(list(ann.list("customers"))) == 20
            assert ann.get(records[3])["city"] == "Köln"
            if table == b"heads":
                with pytest.raises(StoreCorrupt):
                    ann.document(records[3])
            else:
                assert list(ann.status().damaged) == [records[3]]
            mended = ann.repair()
            assert mended.findings >= 1
            assert mended.lost == ()
            assert ann.get(records[3])["city"] == "Köln"
            assert compare(ann, address).equal
            assert len(list(ann.list("customers"))) == 20
            assert ann.repair().findings == 0
        with Replica.create(tmp_path / "bob", "bob", [bundled_schema("customers")]) as bob:
            sync(bob, address)
            assert bob.get(records[3])["city"] == "Köln"
    finally:
        relay.stop()


def test_a_record_that_is_gone_here_comes_back_from_the_relay(tmp_path) -> None:
    relay = RelayThread(tmp_path / "relay")
    address = Address(relay.url, TOKEN)
    try:
        with Replica.create(tmp_path / "ann", "ann", [bundled_schema("customers")]) as ann:
            record = add(ann, "Müller")
            sync(ann, address)
        flip_bit(tmp_path / "ann", b"heads", record.encode())
        flip_bit(tmp_path / "ann", b"log", (1).to_bytes(8, "big"))
        with Replica.open(tmp_path / "ann") as ann:
            assert ann.repair().lost == (record,)
            assert compare(ann, address).equal
            assert ann.get(record)["name"] == "Müller"
    finally:
        relay.stop()


def test_a_relay_saves_what_is_intact_of_damaged_records_and_devices_bring_back_the_rest(tmp_path) -> None:
    relay = RelayThread(tmp_path / "relay")
    with Replica.create(tmp_path / "ann", "ann", [bundled_schema("customers")]) as ann:
        records = [add(ann, f"Customer {number}") for number in range(5)]
        sync(ann, Address(relay.url, TOKEN))
        with ann.edit(records[2]) as customer:
            customer["city"] = "Köln"  # small: without a new epoch it would pass for the whole record
        relay.stop()
        flip_bit(tmp_path / "relay", b"heads", records[2].encode())
        with LmdbStore.open(tmp_path / "relay") as store:
            seq = store.record_head(records[0]).seq
        flip_bit(tmp_path / "relay", b"log", seq.to_bytes(8, "big"))
        mended = maintenance.repair(tmp_path / "relay")
        assert mended["salvaged"] == [records[2]]
        assert mended["set_aside"] == [records[0]]
        assert maintenance.verify(tmp_path / "relay")["findings"] == []
        relay = RelayThread(tmp_path / "relay")
        try:
            assert compare(ann, Address(relay.url, TOKEN)).equal
            with Replica.create(tmp_path / "bob", "bob", [bundled_schema("customers")]) as bob:
                sync(bob, Address(relay.url, TOKEN))
                assert dict(bob.get(records[2])) == {"name": "Customer 2", "city": "Köln"}
        finally:
            relay.stop()


def test_an_operator_sets_aside_what_devices_say_is_wrong_and_they_bring_it_back(tmp_path) -> None:
    """Its checksum is right and its log compacted, so nothing at the relay says so."""
    relay = RelayThread(tmp_path / "relay")
    with Replica.create(tmp_path / "ann", "ann", [bundled_schema("customers")]) as ann:
        records = [add(ann, f"Customer {number}") for number in range(3)]
        sync(ann, Address(relay.url, TOKEN))
        relay.stop()
        with pytest.raises(UnknownRecord):
            maintenance.repair(tmp_path / "relay", ["customers/unknown"])
        mended = maintenance.repair(tmp_path / "relay", [records[1]])
        assert (mended["findings"], mended["set_aside"]) == (0, [records[1]])
        with LmdbStore.open(tmp_path / "relay") as store:
            assert store.record_head(records[1]) is None
        relay = RelayThread(tmp_path / "relay")
        try:
            assert compare(ann, Address(relay.url, TOKEN)).equal
        finally:
            relay.stop()


def test_a_relay_that_reads_damage_serves_on_but_is_not_ready(tmp_path) -> None:
    relay = RelayThread(tmp_path / "relay")
    with Replica.create(tmp_path / "ann", "ann", [bundled_schema("customers")]) as ann:
        records = [add(ann, f"Customer {number}") for number in range(3)]
        sync(ann, Address(relay.url, TOKEN))
    relay.stop()
    flip_bit(tmp_path / "relay", b"heads", records[1].encode())
    relay = RelayThread(tmp_path / "relay")
    try:
        assert relay.relay.engine.health.reason is None
        with Replica.create(tmp_path / "bob", "bob", []) as bob:
            progress = sync(bob, Address(relay.url, TOKEN))
            assert (progress.received, progress.missing) == (2, 1)
            assert list(bob.status().unreadable) == [records[1]]
        reason = relay.relay.engine.health.reason
        assert reason is not None
        assert "verify --repair" in reason
    finally:
        relay.stop()


def test_the_operator_is_told_which_records_lack_edits_and_a_second_look_is_clean(tmp_path, capsys):
    relay = RelayThread(tmp_path / "relay")
    with Replica.create(tmp_path / "ann", "ann", [bundled_schema("customers")]) as ann:
        record = add(ann, "Müller")
        sync(ann, Address(relay.url, TOKEN))
    relay.stop()
    flip_bit(tmp_path / "relay", b"log", (1).to_bytes(8, "big"))
    assert relay_command(["verify", "--repair", "--data", str(tmp_path / "relay")]) == EditsLost.exit_code
    assert f"{record} is not here until a device brings them" in " ".join(capsys.readouterr().err.split())
    assert relay_command(["verify", "--data", str(tmp_path / "relay")]) == 0
    assert relay_command(["verify", "--aside", "--drop", "--data", str(tmp_path / "relay")]) == 0
    assert "2 damaged values dropped" in capsys.readouterr().out
    assert relay_command(["verify", "--drop", "--data", str(tmp_path / "relay")]) == 2
    assert relay_command(["verify", "--data", str(tmp_path / "relay")]) == 0


def test_stores_restored_within_one_second_are_all_kept(tmp_path):
    RelayThread(tmp_path / "relay").stop()
    maintenance.backup(tmp_path / "relay", tmp_path / "backup")
    kept = {maintenance.restore(tmp_path / "backup", tmp_path / "relay", replace=True)["previous"] for _ in range(3)}
    assert len(kept) == 3
    assert all(LmdbStore.exists(Path(path)) for path in kept)
