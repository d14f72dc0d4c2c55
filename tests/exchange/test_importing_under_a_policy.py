"""Imports where a policy is in force: what they write follows from `import` and the fields that are written."""

import pytest

from crdt_sync import ids
from crdt_sync.errors import EditForbidden, UnknownCollection
from crdt_sync.exchange import ExportOptions, ImportedTables, TableOptions, export_table, import_table, open_table
from crdt_sync.exchange.exports import Exports
from crdt_sync.policy.in_force import InForce
from crdt_sync.policy.reading import parse_policy
from crdt_sync.policy.values import forms_of
from crdt_sync.records import Integrator, parse_schema
from crdt_sync.records.filtered import values_shown
from crdt_sync.records.gate.permitted import Rules
from crdt_sync.replica.loading import stored_document
from tests.policies import keeps_schemas

SCHEMA = """
collection = "customers"
version = 1
NATURAL

[fields.name]
required = true

[fields.email]
SECTION

[fields.number]

[fields.region]
filter = true

[fields.phone]
kind = "review"
section = "details"

[fields.notes]
kind = "text"
section = "details"

[fields.remarks]
kind = "text"

[fields.tags]
kind = "set"
section = "details"

[fields.visits]
kind = "counter"

[fields.iban]
section = "bank"
"""
POLICY = """
[[role.lead.grant]]
collection = "customers"
read = ["*", "details", "bank"]
write = ["*", "details", "bank"]
operations = ["create", "edit", "import"]

[[role.clerk.grant]]
collection = "customers"
where = "region in user.regions"
read = ["*", "details"]
write = ["name", "region", "email", "phone", "notes", "tags", "number", "remarks", "visits"]
operations = ["create", "edit", "import"]

[[role.sales.grant]]
collection = "customers"
read = ["*", "details"]
write = ["*", "details"]
operations = ["create", "edit"]

[user.chen]
role = "lead"

[user.kim]
role = "clerk"
attributes = { regions = ["North"] }

[user.anna]
role = "sales"
""" + keeps_schemas("lead")
PLAIN = SCHEMA.replace("NATURAL", "").replace("SECTION", 'section = "details"')
KEYED = SCHEMA.replace("NATURAL", 'natural_key = ["email"]').replace("SECTION", "")
FIRST = "number,name,email,region,phone,notes,remarks,tags,visits\n" + "".join(
    f"{1000 + at},{name},{name.lower()}@example.com,North,+49 30 90{at}0{at},likes tea {at},calls late {at},vip,{at}\n"
    for at, name in enumerate(("Amsel", "Birke", "Cedar", "Distel"), 1)
)
SECOND = (
    FIRST.replace("Birke,", "Birkner,").replace("likes tea 3", "likes coffee").replace("+49 30 9010", "+49 40 9010")
)
THIRD = "\n".join(line for line in SECOND.splitlines() if "Distel" not in line) + "\n"


def in_force():
    return InForce(1, parse_policy(POLICY, "a test"))


@pytest.fixture(params=["plain", "keyed"])
def schema(request):
    return parse_schema(PLAIN if request.param == "plain" else KEYED, "a test")


@pytest.fixture
def person(make_replica, schema):
    """person("kim"): a device of that user, who has the schema."""

    def make(user):
        replica = make_replica(schema, name=user)
        replica.go_by(in_force, user)
        return replica

    return make


@pytest.fixture
def take(tmp_path):
    """take(replica, "a.csv", text): imports it as the command does; returns its report and what was refused."""

    def take(replica, name, text, **options):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        problems = []
        report = import_table(
            replica,
            open_table(path, TableOptions()),
            "customers",
            exports=Exports(tmp_path / "exports"),
            imported=ImportedTables(replica),
            on_error=problems.append,
            **options,
        )
        return report, [problem.message for problem in problems]

    return take


def refused_by_a_relay(replica, user):
    """What the gate of a relay that has none of it says to all that the device holds."""
    rules, schema, told = in_force(), replica.schemas["customers"], {}
    for record in replica.store.records("", 1000, ""):
        if ids.collection_of(record) == ids.SCHEMAS:
            continue  # brought by somebody else
        collection, whole = ids.collection_of(record), ids.whole_record(record)
        section = ids.section_of(record)
        shown = None
        if section:
            shown = forms_of(values_shown(stored_document(replica.store, whole), schema))
        own = schema.sections[section] if section else schema if collection == "customers" else None
        update = stored_document(replica.store, record).diff()
        found = Integrator(1).integrate(
            record, (), (update,), None, True, False, rules=Rules(rules, collection, own, shown), users=(user,)
        )
        if found.verdicts[0].code != "accepted":
            told[record] = found.verdicts[0].reason
    return told


WAYS = [{}, {"key_columns": ["number"]}, {"key_columns": ["email"]}, {"key_columns": None}]


@pytest.mark.parametrize("user", ["chen", "kim"])
@pytest.mark.parametrize("way", WAYS, ids=["found", "number", "email", "no key"])
def test_a_table_that_comes_again_and_again_is_taken(person, take, schema, user, way):
    if schema.natural_key:
        way = {}
    replica = person(user)
    again = [("t.csv", FIRST), ("t.csv", FIRST), ("t.csv", SECOND), ("t (2).csv", SECOND), ("t.csv", THIRD)]
    for name, text in [*again, ("t.csv", FIRST), ("other list.csv", SECOND)]:
        options = {**way, "as_new": True, "same_source": True, "source": "other"} if "other" in name else way
        report, problems = take(replica, name, text, **options)
        assert (report.failures, report.cells_failed, problems) == (0, 0, [])
    assert refused_by_a_relay(replica, user) == {}
    assert {"Birkner"} <= {record["name"] for record in replica.records.values()}
    assert {"likes coffee"} <= {record["notes"] for record in replica.records.values()}


@pytest.mark.parametrize("user", ["chen", "kim"])
@pytest.mark.parametrize("kind", ["csv", "xlsx", "json"])
@pytest.mark.parametrize("for_editing", [False, True])
def test_an_export_that_was_edited_is_taken(person, take, tmp_path, user, kind, for_editing):
    replica = person(user)
    take(replica, "t.csv", FIRST)
    path = tmp_path / f"out.{kind}"
    options = ExportOptions(for_editing=for_editing, headers="name")
    export_table(replica, "customers", path, options, exports=Exports(tmp_path / "exports"), space="")
    edited = path.read_bytes()
    if kind == "xlsx":
        openpyxl = pytest.importorskip("openpyxl")
        book = openpyxl.load_workbook(path)
        for row in book.active.iter_rows():
            for cell in row:
                if cell.value == "Amsel":
                    cell.value = "Amsler"
                if cell.value == "likes tea 2":
                    cell.value = "likes milk"
        book.save(path)
        edited = path.read_bytes()
    else:
        edited = edited.replace(b"Amsel", b"Amsler").replace(b"likes tea 2", b"likes milk")
    for name in (f"out.{kind}", f"renamed.{kind}"):
        report, problems = take(replica, name, edited)
        assert (report.failures, problems) == (0, [])
    assert {"Amsler"} <= {record["name"] for record in replica.records.values()}
    assert {"likes milk"} <= {record["notes"] for record in replica.records.values()}
    assert refused_by_a_relay(replica, user) == {}


@pytest.mark.parametrize("user", ["chen", "kim"])
def test_contacts_are_taken(person, take, user):
    card = "BEGIN:VCARD\nVERSION:3.0\nFN:Amsel\nEMAIL:a@example.com\nTEL:+49 30 901820\nADR:;;;;North;;\nEND:VCARD\n"
    replica = person(user)
    for text in (card, card.replace("901820", "901821")):
        report, problems = take(replica, "c.vcf", text)
        assert problems == []
        assert (report.failures, report.cells_failed) == (0, 0)
    assert [record["phone"] for record in replica.records.values()] == ["+49 30 901821"]
    assert refused_by_a_relay(replica, user) == {}


def test_fields_that_somebody_may_not_write_are_left_out_and_named(person, take, schema):
    chen = person("chen")
    take(chen, "t.csv", FIRST)
    kim = person("kim")
    text = "\n".join(f"{line},{'iban' if not at else 'DE0' + str(at)}" for at, line in enumerate(FIRST.splitlines()))
    report, problems = take(kim, "t.csv", text + "\n")
    assert (report.created, report.failures, report.cells_failed) == (4, 0, 4)
    assert all("field 'iban' of customers/" in each and "may not write this field" in each for each in problems)
    assert {record.get("iban") for record in kim.records.values()} == {None}
    assert refused_by_a_relay(kim, "kim") == {}


def test_a_customer_outside_of_ones_grant_is_refused_and_the_others_are_taken(person, take):
    kim = person("kim")
    report, problems = take(kim, "t.csv", FIRST.replace("birke@example.com,North", "birke@example.com,South"))
    assert (report.created, report.failures) == (3, 1)
    assert "may not write into this record" in problems[0]
    assert len(kim.records) == 3


def test_who_may_not_import_is_told_so_and_whom_to_ask_before_anything_is_stored(person, take):
    anna = person("anna")
    with pytest.raises(EditForbidden, match="'anna' may not import here") as refused:
        take(anna, "t.csv", FIRST)
    assert "Ask who may, as chen or kim," in refused.value.hint
    assert list(anna.store.records("", 9, "")) == ["crdt-sync-schemas/customers"]


def test_a_schema_that_has_not_come_yet_is_waited_for_by_who_may_not_make_one(make_replica, take):
    kim = make_replica(name="kim")
    kim.go_by(in_force, "kim")
    with pytest.raises(UnknownCollection, match="has not come to this device") as refused:
        take(kim, "t.csv", FIRST)
    assert refused.value.hint == "Run 'crdt-sync sync' first; if that brings none, have chen sync."
    assert kim.store.records("", 9, "") == []


def test_a_table_of_which_no_row_was_taken_is_in_no_book(person, take):
    kim = person("kim")
    report, _ = take(kim, "t.csv", FIRST.replace(",North", ",South"))
    assert (report.failures, ids.IMPORTS in "".join(kim.store.records("", 9, ""))) == (4, False)
