import io
import json
import os
from types import SimpleNamespace

import pytest

from crdt_sync.errors import TableNotWritten, UnknownCollection, UnknownField
from crdt_sync.exchange import ExportOptions, export_table, import_table
from crdt_sync.records.schema import FieldSpec, Schema, bundled_schema

CUSTOMERS = bundled_schema("customers")


@pytest.fixture
def filled(make_replica):
    """A replica with one record that has a value of every kind and type, and one with a name only."""
    replica = make_replica(CUSTOMERS)
    with replica.edit("customers/a", create=True) as record:
        record["name"] = 'Ann "A", Müller'
        record["phone"] = "+49 30 5550100"
        record["stage"] = "lead"
        record["amount"] = "-12.50"
        record["newsletter"] = True
        record["employees"] = 12345678901234567890
        record["birthday"] = "1990-02-28"
        record["last_contact"] = "2026-03-01T09:30:00+01:00"
        record["company"] = None
        record.add("tags", "red")
        record.add("tags", "a;b")
        record.increment("visits", 3)
        record.append("timeline", {"met": 1.5})
        record.text("notes").replace("one\ntwo")
    with replica.edit("customers/b", create=True) as record:
        record["name"] = "Bob"
    return replica


FIELDS = ["name", "phone", "stage", "amount", "newsletter", "employees", "birthday", "last_contact"]
FIELDS += ["company", "tags", "visits", "timeline", "notes", "city"]


def test_csv_cells_are_readable_text(filled, exported):
    path = exported(filled, "a.csv", headers="name", fields=FIELDS)
    lines = path.read_bytes().decode().split("\r\n")
    assert lines[0] == ",".join(FIELDS)
    assert lines[1] == (
        '"Ann ""A"", Müller",+49 30 5550100,lead,-12.5,true,12345678901234567890,1990-02-28,2026-03-01T08:30:00Z,,'
        '"[""a;b"", ""red""]",3,"[{""value"": {""met"": 1.5}, ""at"": 10, ""by"": ""fake""}]","one\ntwo",'
    )
    assert lines[2:] == ["Bob" + "," * 13, ""]


def test_json_values_have_their_types(filled, exported):
    path = exported(filled, "a.json", headers="name", fields=FIELDS)
    assert json.loads(path.read_bytes()) == [
        {
            "name": 'Ann "A", Müller',
            "phone": "+49 30 5550100",
            "stage": "lead",
            "amount": -12.5,
            "newsletter": True,
            "employees": 12345678901234567890,
            "birthday": "1990-02-28",
            "last_contact": "2026-03-01T08:30:00Z",
            "company": None,
            "tags": ["a;b", "red"],
            "visits": 3,
            "timeline": [{"value": {"met": 1.5}, "at": 10, "by": "fake"}],
            "notes": "one\ntwo",
        },
        {"name": "Bob"},
    ]
    lines = exported(filled, "a.jsonl", headers="name", fields=FIELDS).read_text().splitlines()
    assert [json.loads(line) for line in lines] == json.loads(path.read_bytes())


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.psv", "a.jsonl", "a.json", "a.xlsx"])
@pytest.mark.parametrize("headers", ["label", "name"])
def test_an_export_with_record_ids_comes_back_without_a_change(filled, exported, write, name, headers):
    path = exported(filled, name, record_column="record", headers=headers)
    before = {record.record: dict(record.raw) for record in filled.list("customers")}
    report = import_table(filled, write(name, path.read_bytes()), "customers", record_column="record")
    assert report.failed == ()
    assert report.unmapped == ()
    assert report.unchanged == 2
    assert {record.record: record.raw for record in filled.list("customers")} == before


def test_digits_of_decimals_are_not_lost_in_json(make_replica, exported):
    replica = make_replica(Schema(collection="things", version=1, fields={"a": FieldSpec(type="decimal")}))
    with replica.edit("things/a", create=True) as record:
        record["a"] = "0.1234567890123456789"
    assert exported(replica, "a.jsonl").read_text() == '{"a": 0.1234567890123456789}\n'


def test_carriers_that_do_not_fit_their_type_are_exported_as_they_are(make_replica, tmp_path):
    schema = Schema(
        collection="things", version=1, fields={"a": FieldSpec(type="decimal"), "b": FieldSpec(type="json")}
    )
    replica = make_replica(schema)
    strange = SimpleNamespace(record="things/a", deleted=False, masked={}, raw={"a": "1,5} //", "b": "{broken"})
    export_table(replica, "things", tmp_path / "a.jsonl", records=[strange])
    assert json.loads((tmp_path / "a.jsonl").read_text()) == {"a": "1,5} //", "b": "{broken"}
    export_table(replica, "things", tmp_path / "a.csv", records=[strange])
    assert (tmp_path / "a.csv").read_text().splitlines()[1] == '"1,5} //",{broken'


def test_formulas_are_guarded_on_request_and_numbers_are_not(filled, exported, write):
    path = exported(filled, "a.csv", guard_formulas=True, record_column="record")
    content = path.read_text()
    assert "'+49 30 5550100" in content
    assert ",-12.5," in content
    assert exported(filled, "b.csv").read_text().count("'") == 0
    again = write("c.csv", path.read_bytes(), guarded=True)
    assert import_table(filled, again, "customers", record_column="record").unchanged == 2


def test_fields_can_be_chosen_and_unknown_ones_are_refused(filled, exported):
    assert exported(filled, "a.csv", fields=["phone", "name"]).read_text().splitlines()[0] == "Phone,Name"
    with pytest.raises(UnknownField):
        exported(filled, "a.csv", fields=["shoe"])


def test_the_header_can_be_left_out(filled, exported):
    assert exported(filled, "a.csv", fields=["name"], header=False).read_text().splitlines()[1] == "Bob"


def test_deleted_records_are_left_out_and_unknown_fields_are_told(filled, tmp_path):
    filled.delete("customers/a")
    views = list(filled.records.values())
    views[1].raw["shoe"] = 1
    report = export_table(filled, "customers", tmp_path / "a.csv", records=views)
    assert (report.rows, report.left_out) == (1, ("shoe",))


def test_a_stream_gets_the_same_bytes_as_a_file_and_stays_open(filled, exported):
    for kind, name in (("delimited", "a.csv"), ("jsonl", "a.jsonl"), ("json", "a.json")):
        stream = io.BytesIO()
        export_table(filled, "customers", stream, ExportOptions(format=kind))  # type: ignore[arg-type]
        assert stream.getvalue() == exported(filled, name).read_bytes()


def test_progress_is_told_each_thousand_rows(filled, tmp_path):
    told = []
    records = [filled.records["customers/b"]] * 2500
    report = export_table(filled, "customers", tmp_path / "a.csv", records=records, progress=told.append)
    assert told == [1000, 2000]
    assert report.rows == 2500


def test_the_byte_order_mark_for_excel_is_written_on_request(filled, exported):
    assert exported(filled, "a.csv", encoding="utf-8-sig").read_bytes().startswith(b"\xef\xbb\xbf")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.doc", {}),
        ("a.csv", {"encoding": "no-such"}),
        ("a.csv", {"encoding": "ascii"}),
        ("a.csv", {"delimiter": "xx"}),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_no_file(filled, exported, tmp_path, name, options):
    with pytest.raises(TableNotWritten) as caught:
        exported(filled, name, **options)
    assert caught.value.hint
    assert os.listdir(tmp_path) == []


def test_an_unknown_collection_is_refused(filled, tmp_path):
    with pytest.raises(UnknownCollection):
        export_table(filled, "others", tmp_path / "a.csv")
