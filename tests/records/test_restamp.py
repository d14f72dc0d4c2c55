from typing import Any

from crdt_sync.clock import HybridClock
from crdt_sync.records import conflicts_of, scan, values_of
from crdt_sync.records.deleted import is_deleted
from crdt_sync.records.restamp import restamp

NOW = 1_000_000
FAR = 2**50


def clock():
    return HybridClock(lambda: NOW)


def test_entries_of_the_future_are_written_again_in_order_and_leave_no_stamp(office):
    ann = office.person(1, actor="ann", time=FAR)
    ann.editor.update({"name": "Ann", "phone": "1"})
    ann.editor.append("timeline", "first")
    ann.editor.append("timeline", "second")
    assert scan(ann.document.diff()).stamps > FAR
    assert restamp(ann.document, NOW, clock(), "ann")
    assert scan(ann.document.diff()).stamps < NOW + 10
    assert values_of(ann.document, office.schema).keys() == {"name", "phone", "timeline"}
    timeline: Any = values_of(ann.document)["timeline"]
    assert [entry["value"] for entry in timeline] == ['"first"', '"second"']
    assert all(NOW <= entry["at"] < NOW + 10 for entry in timeline)


def test_nothing_is_written_when_every_stamp_is_within_the_limit(office):
    ann = office.person(1, actor="ann", time=NOW)
    ann.editor["name"] = "Ann"
    before = ann.document.digest()
    assert not restamp(ann.document, ann.clock.last, clock(), "ann")
    assert ann.document.digest() == before
    assert restamp(ann.document, ann.clock.last - 1, clock(), "ann")


def test_entries_of_others_are_left_alone(office):
    ann, bob = office.person(1, actor="ann", time=FAR), office.person(2, actor="bob", time=FAR)
    ann.editor["phone"], bob.editor["phone"] = "1", "2"
    office.meet(ann, bob)
    assert restamp(ann.document, NOW, clock(), "ann")
    (conflict,) = conflicts_of(ann.document, office.schema)
    assert [(entry.value, (entry.stamp or 0) >= FAR) for entry in conflict.entries] == [("2", True), ("1", False)]


def test_a_deleted_record_stays_deleted(office):
    ann = office.person(1, actor="ann", time=FAR)
    ann.editor["name"] = "Ann"
    ann.editor.delete()
    assert restamp(ann.document, NOW, clock(), "ann")
    assert is_deleted(ann.document)
    assert scan(ann.document.diff()).stamps < NOW + 10


def test_a_delete_beside_an_edit_stays_an_open_conflict(office):
    ann = office.person(1, actor="ann", time=FAR)
    ann.editor["name"] = "Ann"
    bob = office.person(2, [ann.document.diff()], actor="bob")
    ann.editor.delete()
    bob.editor["phone"] = "2"
    ann.receive(bob)
    assert restamp(ann.document, NOW, clock(), "ann")
    assert not is_deleted(ann.document)
    (conflict,) = conflicts_of(ann.document, office.schema)
    assert conflict.field == "_deleted"
