from dataclasses import replace

import pytest

from crdt_sync.errors import InvalidTable, UnknownCollection
from crdt_sync.exchange import import_table, import_tally
from crdt_sync.exchange.conventions import Conventions
from crdt_sync.ids import natural_record
from crdt_sync.records.imported import ImportedChange
from crdt_sync.records.schema import FieldSpec, Schema, bundled_schema

CUSTOMERS = bundled_schema("customers")


def things(**fields: FieldSpec) -> Schema:
    return Schema(collection="things", version=1, fields=fields)


def counts(report):
    return report.created, report.updated, report.unchanged, report.empty, report.failures


def test_rows_become_records(write, make_replica):
    replica = make_replica(CUSTOMERS)
    report = import_table(replica, write("a.csv", "Name,Phone,Mood\nAnn,1,x\nBob,,y\n"), "customers")
    assert counts(report) == (2, 0, 0, 0, 0)
    assert (report.rows, report.unmapped, report.inferred) == (2, ("Mood",), False)
    raws = sorted((record.raw for record in replica.list("customers")), key=str)
    assert raws == [{"name": "Ann", "phone": "1"}, {"name": "Bob"}]


def test_a_second_import_writes_nothing(write, replica):
    table = write("a.csv", "a,b\n1,2\n1,2\n,\n3,\n")
    assert counts(import_table(replica, table, "things")) == (3, 0, 0, 1, 0)
    replica.edits = 0
    assert counts(import_table(replica, table, "things")) == (0, 0, 3, 1, 0)
    assert replica.edits == 0


def test_equal_rows_are_as_many_records_and_moved_or_added_empty_columns_change_nothing(write, replica):
    import_table(replica, write("a.csv", "a,b\n1,2\n1,2\n"), "things")
    again = import_table(replica, write("b.csv", "b,a,c\n2,1,\n2,1,\n"), "things")
    assert counts(again) == (0, 0, 2, 0, 0)
    assert len(replica.records) == 2


def test_rows_that_differ_in_case_only_are_two_records(write, replica):
    import_table(replica, write("a.csv", "a\nAnn\nann\n"), "things")
    assert len(replica.records) == 2


def test_a_changed_cell_of_a_keyed_row_updates_that_field_only(write, replica, monkeypatch):
    import_table(replica, write("a.csv", "id,a,b\n1,x,y\n2,x,y\n"), "things", key_columns=["id"])
    written = []
    monkeypatch.setattr(replica, "bring", lambda _, __, changes, said, *, dry_run: written.extend(changes))
    report = import_table(replica, write("b.csv", "id,a,b\n1,x,y\n2,x,z\n"), "things", key_columns=["id"])
    assert counts(report) == (0, 1, 1, 0, 0)
    assert written == [ImportedChange("write", "b", "z")]


def test_an_empty_cell_leaves_the_value_unless_clearing_was_asked_for(write, replica):
    import_table(replica, write("a.csv", "id,a\n1,x\n"), "things", key_columns=["id"])
    emptied = write("b.csv", "id,a\n1,\n")
    assert counts(import_table(replica, emptied, "things", key_columns=["id"])) == (0, 0, 1, 0, 0)
    cleared = import_table(replica, emptied, "things", key_columns=["id"], clear_empty=True)
    assert counts(cleared) == (0, 1, 0, 0, 0)
    (record,) = replica.list("things")
    assert record.raw == {"id": "1", "a": None}
    assert counts(import_table(replica, emptied, "things", key_columns=["id"], clear_empty=True)) == (0, 0, 1, 0, 0)


def test_the_natural_key_names_the_record_as_every_device_does(write, make_replica):
    schema = replace(CUSTOMERS, natural_key=("email",))
    replica = make_replica(schema)
    report = import_table(replica, write("a.csv", "name,email\nAnn, Ann@Example.com\nBob,\n"), "customers")
    assert set(replica.records) == {natural_record("customers", ["ann@example.com"])}
    assert [(row.line, row.column, row.code) for row in report.failed] == [(3, "email", "key_missing")]


def test_a_natural_key_of_numbers_follows_the_value_and_not_its_spelling(write, make_replica):
    schema = Schema(
        collection="things",
        version=1,
        natural_key=("price",),
        fields={"price": FieldSpec(type="decimal"), "a": FieldSpec()},
    )
    replica = make_replica(schema)
    import_table(replica, write("a.csv", "price,a\n1.50,x\n"), "things")
    report = import_table(replica, write("b.csv", "price,a\n1.5,x\nx,y\n"), "things")
    assert counts(report) == (0, 0, 1, 0, 1)
    assert report.failed[0].code == "invalid_value"


def test_a_natural_key_without_a_column_or_next_to_key_columns_is_refused(write, make_replica):
    replica = make_replica(replace(CUSTOMERS, natural_key=("email",)))
    with pytest.raises(InvalidTable):
        import_table(replica, write("a.csv", "name\nAnn\n"), "customers")
    with pytest.raises(InvalidTable):
        import_table(replica, write("b.csv", "name,email\nAnn,a@example.com\n"), "customers", key_columns=["name"])


def test_a_key_that_returns_with_other_cells_is_an_error_that_names_both_lines(write, replica):
    table = write("a.csv", "id,a\n1,x\n1,y\n1,x\n")
    for expected in ((1, 0, 1, 0, 1), (0, 0, 2, 0, 1)):
        report = import_table(replica, table, "things", key_columns=["id"])
        assert counts(report) == expected
    (failed,) = report.failed
    assert (failed.line, failed.code) == (3, "duplicate_key")
    assert "line 2" in failed.message


def test_a_key_column_can_be_named_loosely_and_must_be_there(write, replica):
    table = write("a.csv", "Customer ID,a\n1,x\n")
    import_table(replica, table, "things", key_columns=["customer_id"])
    assert set(replica.records) == {natural_record("things", ["1"])}
    with pytest.raises(InvalidTable):
        import_table(replica, table, "things", key_columns=["id"])


def test_a_record_column_finds_the_records_again(write, make_replica):
    replica = make_replica(CUSTOMERS)
    import_table(replica, write("a.csv", "name\nAnn\n"), "customers")
    (record,) = replica.records
    again = write("b.csv", f"record,name\n{record},Anna\ncustomers/new,Bob\nothers/x,Eve\n,Zoe\n")
    report = import_table(replica, again, "customers", record_column="record")
    assert counts(report) == (2, 1, 0, 0, 1)
    assert replica.records[record].raw == {"name": "Anna"}
    assert replica.records["customers/new"].raw == {"name": "Bob"}
    assert [(row.line, row.code) for row in report.failed] == [(4, "invalid_record_id")]
    assert report.unmapped == ()


def test_a_bad_cell_is_left_out_and_reported_and_its_row_goes_in(write, make_replica):
    replica = make_replica(CUSTOMERS)
    seen = []
    table = write("a.csv", "name,amount\nAnn,12.50\nBob,much\nCy\nDee,3\n")
    report = import_table(replica, table, "customers", on_error=seen.append)
    assert counts(report) == (3, 0, 0, 0, 1)
    assert report.cells_failed == 1
    assert [(row.line, row.column, row.code) for row in report.failed] == [
        (3, "amount", "invalid_value"),
        (4, "", "ragged"),
    ]
    assert "'much'" in report.failed[0].message
    assert tuple(seen) == report.failed
    assert sorted(str(record.raw["name"]) for record in replica.list("customers")) == ["Ann", "Bob", "Dee"]


def test_a_cell_left_out_clears_nothing_and_takes_nothing_from_a_set(write, make_replica):
    schema = Schema(
        collection="things",
        version=1,
        fields={"id": FieldSpec(), "n": FieldSpec(type="integer"), "m": FieldSpec(kind="set", type="integer")},
    )
    replica = make_replica(schema)
    for content in ("id,n,m\n1,5,1;2\n", "id,n,m\n1,x,1;y\n"):
        table = write("a.csv", content)
        report = import_table(replica, table, "things", key_columns=["id"], clear_empty=True)
    assert report.cells_failed == 2
    (record,) = replica.records.values()
    assert (record.raw["n"], record.raw["m"]) == (5, [1, 2])


def test_a_row_of_which_no_cell_fits_has_failed(write, make_replica):
    replica = make_replica(things(n=FieldSpec(type="integer")))
    report = import_table(replica, write("a.csv", "n\nx\n1\n"), "things")
    assert counts(report) == (1, 0, 0, 0, 1)


def test_where_bad_cells_refuse_their_row_it_changes_nothing(write, make_replica):
    replica = make_replica(CUSTOMERS)
    seen = []
    table = write("a.csv", "name,amount\nAnn,12.50\nBob,much\nCy\nDee,3\n")
    refusing = Conventions(bad_cells="refuse")
    report = import_table(replica, table, "customers", on_error=seen.append, conventions=refusing)
    assert counts(report) == (2, 0, 0, 0, 2)
    assert [(row.line, row.column, row.code) for row in report.failed] == [
        (3, "amount", "invalid_value"),
        (4, "", "ragged"),
    ]
    assert tuple(seen) == report.failed
    assert sorted(str(record.raw["name"]) for record in replica.list("customers")) == ["Ann", "Dee"]


def test_a_required_field_that_is_missing_is_an_error_of_its_row(write, make_replica):
    report = import_table(make_replica(CUSTOMERS), write("a.csv", "name,phone\n,1\nBob,2\n"), "customers")
    assert counts(report) == (1, 0, 0, 0, 1)


def test_failures_beyond_the_limit_are_counted_and_not_kept(write, replica, monkeypatch):
    monkeypatch.setattr(import_tally, "TABLE_FAILURES_KEPT_MAX", 2)
    report = import_table(replica, write("a.csv", "a,b\n" + "1\n" * 5), "things")
    assert (report.failures, len(report.failed)) == (5, 2)


def test_a_deleted_record_is_not_brought_back(write, replica):
    table = write("a.csv", "a\n1\n")
    import_table(replica, table, "things")
    (record,) = replica.records.values()
    replica.delete(record.record)
    report = import_table(replica, table, "things")
    assert (report.deleted, report.failures, report.rows) == (1, 0, 1)


def test_rows_become_durable_in_batches_and_progress_is_told(write, replica):
    told = []
    table = write("a.csv", "a\n" + "".join(f"{number}\n" for number in range(25)))
    import_table(replica, table, "things", batch_rows=10, progress=told.append)
    assert replica.batches == 3
    assert [step.rows for step in told] == [10, 20, 25]
    assert told[-1].bytes_read == told[-1].bytes_total


def test_an_interrupted_import_is_resumed_by_running_it_again(write, replica):
    table = write("a.csv", "a\n" + "".join(f"{number}\n" for number in range(25)))

    def interrupt(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_table(replica, table, "things", batch_rows=10, progress=interrupt)
    assert counts(import_table(replica, table, "things", batch_rows=10)) == (15, 0, 10, 0, 0)


def test_a_collection_without_a_schema_gets_one_only_when_allowed(write, replica):
    table = write("a.csv", "a\n1\n")
    with pytest.raises(UnknownCollection):
        import_table(replica, table, "things", infer=False)
    assert replica.schemas == {}
    assert import_table(replica, table, "things").inferred
    assert list(replica.schemas["things"].fields) == ["a"]


def test_sets_logs_counters_texts_and_stages_are_filled_once(write, make_replica):
    replica = make_replica(CUSTOMERS)
    header = "name,tags,timeline,visits,notes,stage,newsletter\n"
    first = header + 'Ann,red; blue,"[""met"", {""at"": 1}]",3,line one,lead,yes\n'
    for expected in ((1, 0, 0, 0, 0), (0, 0, 1, 0, 0)):
        assert counts(import_table(replica, write("a.csv", first), "customers", key_columns=["name"])) == expected
    second = header + 'Ann,"[""green""]",called,5,line two,qualified,no\n'
    for expected in ((0, 1, 0, 0, 0), (0, 0, 1, 0, 0)):
        assert counts(import_table(replica, write("b.csv", second), "customers", key_columns=["name"])) == expected
    (record,) = replica.records.values()
    assert record.raw["tags"] == ["blue", "green", "red"]
    assert [entry["value"] for entry in record.raw["timeline"]] == ['"met"', '{"at":1}', '"called"']
    assert record.raw["visits"] == 5
    assert record.raw["notes"] == "line two"
    assert record.raw["stage"] == "qualified"
    assert record.raw["newsletter"] is False


def test_a_stage_that_cannot_be_reached_is_an_error_and_its_row_changes_nothing(write, make_replica):
    replica = make_replica(CUSTOMERS)
    import_table(replica, write("a.csv", "name,stage,city\nAnn,lead,Bonn\n"), "customers", key_columns=["name"])
    moved = write("b.csv", "name,stage,city\nAnn,won,Ulm\n")
    refusing = Conventions(bad_cells="refuse")
    report = import_table(replica, moved, "customers", key_columns=["name"], conventions=refusing)
    assert [(row.column, row.code) for row in report.failed] == [("stage", "invalid_transition")]
    (record,) = replica.records.values()
    assert (record.raw["stage"], record.raw["city"]) == ("lead", "Bonn")
    report = import_table(replica, moved, "customers", key_columns=["name"])
    assert [(row.column, row.code) for row in report.failed] == [("stage", "invalid_transition")]
    assert (report.updated, report.failures, report.cells_failed) == (1, 0, 1)
    (record,) = replica.records.values()
    assert (record.raw["stage"], record.raw["city"]) == ("lead", "Ulm")


def test_json_values_fit_into_a_schema_made_by_hand(write, make_replica):
    replica = make_replica(CUSTOMERS)
    row = '{"name":"Ann","phone":4000188113,"emails":["a@example.com","b@example.com"],"amount":0.1,"city":null}\n'
    for expected in ((1, 0, 0, 0, 0), (0, 0, 1, 0, 0)):
        assert counts(import_table(replica, write("a.jsonl", row), "customers")) == expected
    (record,) = replica.records.values()
    assert record.raw == {
        "name": "Ann",
        "phone": "4000188113",
        "emails": ["a@example.com", "b@example.com"],
        "amount": "0.1",
        "city": None,
    }


def test_text_that_is_half_a_character_is_an_error_of_its_row(write, replica):
    table = write("a.jsonl", '{"a":"\\ud83d"}\n{"a":"ok"}\n')
    report = import_table(replica, table, "things", conventions=Conventions(bad_cells="refuse"))
    assert counts(report) == (1, 0, 0, 0, 1)


def test_true_and_one_are_different_values(write, make_replica):
    replica = make_replica(things(id=FieldSpec(), a=FieldSpec(type="json")))
    for value in ("1", "true", "1.0"):
        table = write("a.jsonl", f'{{"id":"1","a":{value}}}')
        assert import_table(replica, table, "things", key_columns=["id"]).unchanged == 0


@pytest.mark.parametrize("file", ["a.csv", "a.jsonl"])
def test_rows_that_the_table_calls_deleted_are_left_out_and_said(write, make_replica, file):
    content = {
        "a.csv": "name,IsDeleted\nAnna,false\nBen,TRUE\nCem,\n",
        "a.jsonl": '{"name": "Anna", "IsDeleted": false}\n{"name": "Ben", "IsDeleted": true}\n{"name": "Cem"}\n',
    }[file]
    table, schema = write(file, content), things(name=FieldSpec())
    report = import_table(make_replica(schema), table, "things")
    assert (report.created, report.failures) == (2, 1)
    assert [(each.column, each.code) for each in report.failed] == [("IsDeleted", "deleted_in_source")]
    assert import_table(make_replica(schema), table, "things", mapping={"IsDeleted": None}).created == 3
