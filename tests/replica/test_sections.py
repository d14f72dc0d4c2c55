"""Fields in a section live in a companion of their record; people see one record."""

import pytest

from crdt_sync import Replica, ids
from crdt_sync.errors import InvalidValue, RecordDeleted, UnknownField, UsageError
from crdt_sync.protocol.entries import UpdatesEntry
from crdt_sync.records.imported import ImportedChange
from crdt_sync.records.schema import FieldSpec, Schema, parse_schema

MARKER = "DE02120300000000202051"
SCHEMA = parse_schema(
    """
collection = "patients"
version = 1

[fields.name]
required = true

[fields.visits]
kind = "counter"

[fields.iban]
kind = "review"
section = "finance"

[fields.paid]
kind = "counter"
section = "finance"

[fields.diagnosis]
kind = "text"
section = "file"

[fields.medication]
kind = "set"
section = "file"
""",
    "a test",
)
KEYED = parse_schema(
    """
collection = "guests"
version = 1
natural_key = ["email"]

[fields.email]

[fields.spent]
kind = "counter"
section = "finance"
""",
    "a test",
)


@pytest.fixture
def replica(make_replica) -> Replica:
    return make_replica("anna", SCHEMA, KEYED)


def new(replica: Replica, **fields: object) -> str:
    with replica.edit("patients") as patient:
        patient.update({"name": "Bo", **fields})
    return patient.record


def own_bytes(replica: Replica, record: str) -> bytes:
    return b"".join(replica.store.load(record).updates)


def test_what_is_in_a_section_is_in_none_of_the_bytes_of_its_record(replica):
    record = new(replica, iban=MARKER, diagnosis="a cough", medication=["syrup"])
    assert MARKER.encode() not in own_bytes(replica, record)
    assert MARKER.encode() in own_bytes(replica, ids.in_section(record, "finance"))
    assert b"cough" not in own_bytes(replica, ids.in_section(record, "finance"))


def test_a_record_and_its_sections_are_one_view(replica):
    record = new(replica, iban=MARKER, diagnosis="a cough", medication=["syrup"])
    view = replica.get(record)
    shown = {"name": "Bo", "iban": MARKER, "diagnosis": "a cough", "medication": {"syrup"}}
    assert dict(view) | {"medication": set(view["medication"])} == shown
    assert list(view) == ["name", "iban", "diagnosis", "medication"]
    assert [dict(each) for each in replica.list("patients")] == [dict(view)]
    assert [each.record for each in replica.list()] == [record]
    assert [each.record for each in replica.find("patients", iban=MARKER)] == [record]
    assert [each.record for each in replica.find("patients", "COUGH")] == [record]
    assert replica.count() == replica.status().records == 1
    assert replica.schemaless() == ()


def test_many_records_are_listed_each_with_its_own_sections(replica):
    with replica.batch():
        made = {new(replica, **({"iban": f"IBAN {n}"} if n % 3 else {})): n for n in range(20)}
    for view in replica.list("patients"):
        n = made[view.record]
        assert view.get("iban") == (f"IBAN {n}" if n % 3 else None)


def test_an_editor_reads_and_writes_a_field_where_it_lives(replica):
    record = new(replica, iban=MARKER)
    with replica.edit(record) as patient:
        assert patient["iban"] == MARKER
        patient.increment("paid", 5)
        patient.text("diagnosis").insert(0, "a cough")
        patient.add("medication", "syrup")
        assert patient["diagnosis"] == "a cough"
    with replica.edit(record) as patient:
        patient.clear("iban")
        patient.remove("medication", "syrup")
    view = replica.get(record)
    assert dict(view) == {"name": "Bo", "iban": None, "paid": 5, "diagnosis": "a cough"}


def test_an_edit_of_a_section_leaves_the_record_itself_as_it_is(replica):
    record = new(replica)
    before = replica.store.record_head(record)
    with replica.edit(record) as patient:
        patient["iban"] = MARKER
    assert patient.changed
    assert replica.store.record_head(record) == before


def test_a_record_and_its_sections_are_one_commit_and_none_of_it_is_kept_when_the_block_raises(replica):
    record = new(replica)
    head = replica.store.head()
    with pytest.raises(UnknownField), replica.edit(record) as patient:
        patient.update({"name": "Cy", "iban": MARKER, "nam": "Di"})
    assert replica.store.head() == head


def test_a_batch_sees_what_it_wrote_into_a_section(replica):
    with replica.batch():
        record = new(replica, paid=1)
        with replica.edit(record) as patient:
            patient.increment("paid", 2)
            assert patient["paid"] == 3
        assert replica.get(record)["paid"] == 3
    assert replica.get(record)["paid"] == 3


def test_a_new_record_is_more_than_what_is_in_its_sections(make_replica):
    fields = {"name": FieldSpec(), "iban": FieldSpec(section="finance")}
    replica = make_replica("anna", Schema(collection="patients", version=1, fields=fields))
    with pytest.raises(InvalidValue, match="in no section"), replica.edit("patients/p1", create=True) as patient:
        patient["iban"] = MARKER
    assert replica.store.record_head("patients__finance/p1") is None


def test_a_record_is_deleted_and_restored_with_its_sections(replica):
    record = new(replica, iban=MARKER)
    replica.delete(record)
    assert list(replica.list("patients")) == []
    with pytest.raises(RecordDeleted), replica.edit(record) as patient:
        patient["iban"] = "other"
    replica.restore(record)
    assert replica.get(record)["iban"] == MARKER


def test_a_companion_is_edited_by_way_of_its_record_alone(replica):
    record = new(replica, iban=MARKER)
    companion = ids.in_section(record, "finance")
    for target in (companion, "patients__finance"):
        with pytest.raises(UsageError, match="section 'finance'"), replica.edit(target):
            pass


def bring_over(one: Replica, other: Replica) -> None:
    """Give `other` what `one` holds, as a partner gives it."""
    for record in one.store.records("", 1000):
        updates = [UpdatesEntry(record, update, b"") for update in one.store.load(record).updates]
        other.integrate(updates, one.id, (), None)


def test_a_conflict_in_a_section_is_one_of_the_record(replica, make_replica):
    record = new(replica, iban=MARKER)
    other = make_replica("bo", SCHEMA)
    bring_over(replica, other)
    for each, value in ((replica, "one"), (other, "two")):
        with each.edit(record) as patient:
            patient["iban"] = value
    bring_over(other, replica)
    assert [(found, conflict.field) for found, conflict in replica.conflicts()] == [(record, "iban")]
    assert replica.get(record).conflicts == ("iban",)
    replica.resolve(record, "iban", "both")
    assert replica.conflicts() == ()
    assert replica.get(record)["iban"] == "both"


def test_two_who_enter_one_customer_offline_get_one_section(make_replica):
    anna, bo = make_replica("anna", KEYED), make_replica("bo", KEYED)
    for each in (anna, bo):
        with each.edit("guests") as guest:
            guest["email"], guest["spent"] = "a@b.de", 7
    bring_over(bo, anna)
    (view,) = anna.list("guests")
    assert view["spent"] == 7
    with anna.edit("guests") as guest:  # entered again: an edit of the record that is there
        guest["email"], guest["spent"] = "a@b.de", 2
    assert guest.record == view.record
    assert anna.get(view.record)["spent"] == 9


def test_an_import_leaves_nothing_of_a_section_in_the_record_itself(replica):
    changes = [ImportedChange("write", "name", "Bo"), ImportedChange("write", "iban", MARKER)]
    said = {"name": "Bo", "iban": MARKER[:8]}
    assert replica.bring("patients/p1", "table", changes, said, dry_run=True) == {"name": "Bo", "iban": MARKER}
    assert replica.count() == 0
    replica.bring("patients/p1", "table", changes, said)
    assert MARKER[:8].encode() not in own_bytes(replica, "patients/p1")
    view = replica.get("patients/p1")
    assert dict(view) == {"name": "Bo", "iban": MARKER}
    told = [source.said for source in view.sources]
    assert {field: said for each in told for field, said in each.items()} == said


def test_what_a_section_held_before_is_known(replica):
    record = new(replica, iban="one", paid=1)
    with replica.edit(record) as patient:
        patient["iban"] = "two"
    former = replica.formerly(record)
    assert [values["iban"] for values in former.values] == ["one"]
    assert {"name", "iban", "paid"} & former.by_people == {"name", "iban", "paid"}
