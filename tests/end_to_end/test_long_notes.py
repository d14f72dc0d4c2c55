"""A note that grew by tens of thousands of small edits: relays are restarted and wiped, and it stays editable."""

from crdt_bench.notes import note
from crdt_sync import bundled_schema, compare, sync
from crdt_sync.protocol.messages import UpdatesEntry
from crdt_sync.records import Document
from tests.end_to_end.conftest import RelayThread, free_port

NOTE = "customers/note"
EDITS = 14_000  # 0.5 MB


def grown(replica):
    """The note, put into a replica as if it had been synced there piece by piece."""
    whole = Document.load([note(EDITS)]).diff()
    assert not replica.integrate([UpdatesEntry(NOTE, whole, b"")], b"x" * 16, (), None)


def typed(replica, text):
    with replica.edit(NOTE) as customer:
        customer.text("notes").insert(1000, text)


def test_a_long_note_outlives_restarted_and_wiped_relays_and_stays_editable(device, tmp_path):
    anna, ben = (device(name, bundled_schema("customers")) for name in ("anna", "ben"))
    grown(anna)
    port = free_port()
    for data, text in [("relay", "one "), ("relay", "two "), ("another", "three ")]:
        typed(anna, text)
        with RelayThread(tmp_path / data, port) as relay:
            for replica in (anna, ben):
                assert sync(replica, relay).refused == 0
            held = compare(anna, relay)
            assert held.ours.root == held.theirs.root
        assert ben.get(NOTE)["notes"] == anna.get(NOTE)["notes"]
        assert text in ben.get(NOTE)["notes"]
    typed(ben, "four ")
    with RelayThread(tmp_path / "another", port) as relay:
        sync(ben, relay)
        sync(anna, relay)
        assert "four " in anna.get(NOTE)["notes"]
