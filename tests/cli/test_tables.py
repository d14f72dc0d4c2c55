import json
from importlib import resources

import pytest

from crdt_sync.exchange import demo_table


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("Customer,Phone Number,Employees,Odd\nMüller,030 1,5,x\nMaier,030 2,many,y\n王小明,,7,\n")
    return file


def test_an_import_tells_what_it_did_and_which_rows_failed(store, run, table):
    result = run("import", table, "--map", "Odd=source", "--json")
    assert result.code == 7
    assert {key: result.object[key] for key in ("rows", "created", "failures")} == {
        "rows": 3,
        "created": 3,
        "failures": 0,
    }
    assert result.object["cells_failed"] == 1
    error = json.loads(result.err)
    assert (error["line"], error["column"], error["error"]) == (3, "Employees", "invalid_value")


def test_an_import_can_be_run_again(store, run, table):
    assert run("import", table, "--map", "Employees=").code == 0
    again = run("import", table, "--map", "Employees=", "--json")
    assert (again.object["created"], again.object["unchanged"]) == (0, 3)


def test_columns_without_a_field_are_named(store, run, table):
    result = run("import", table)
    assert "'Odd'" in result.err
    assert "line 3, column 'Employees'" in result.err


def test_a_key_column_makes_a_changed_row_a_changed_record(store, run, tmp_path):
    file = tmp_path / "keyed.csv"
    file.write_text("No,Name,City\n1,Anna,Kiel\n")
    assert run("import", file, "--key", "No").code == 0
    file.write_text("No,Name,City\n1,Anna,Bonn\n")
    assert run("import", file, "--key", "No", "--json").object["updated"] == 1
    assert run("list", "--json").object["fields"]["city"] == "Bonn"


def test_a_new_collection_gets_a_schema_from_the_table(store, run, table):
    assert run("import", table, "-c", "sites").code == 0
    assert [each["collection"] for each in run("schema", "--json").objects] == ["customers", "sites"]
    assert run("import", table, "-c", "plants", "--no-infer").code == 2


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--map", "Nope=city"], "invalid_table"),
        (["--map", "Odd=nope"], "unknown_field"),
        (["--map", "Odd"], "usage"),
        (["--key", "Nope"], "invalid_table"),
        (["--delimiter", "--"], "usage"),
        (["--encoding", "nope"], "invalid_table"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_written(store, run, table, options, code):
    result = run("import", table, *options)
    assert result.code == 2
    assert result.err.startswith(f"Error ({code}): ")
    assert run("status", "--json").object["records"] == 0


def test_a_file_that_is_not_there_is_named(store, run, tmp_path):
    result = run("import", tmp_path / "nope.csv")
    assert result.code == 2
    assert "nope.csv" in result.err


def test_the_bundled_table_goes_in_and_out_unchanged(store, run, tmp_path):
    with demo_table() as table:
        rows = [row.cells for row in table.rows()]
        file = tmp_path / "companies.csv"
        file.write_bytes((resources.files("crdt_sync.exchange") / "companies.csv").read_bytes())
    assert run("import", file).code == 0
    out = tmp_path / "out.csv"
    assert run("export", out, "--record-column", "Record", "--json").object["rows"] == len(rows)
    again = run("import", out, "--record-column", "Record", "--json")
    assert (again.object["unchanged"], again.object["failures"]) == (len(rows), 0)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "json", "xlsx"])
def test_every_format_comes_back(store, run, made, tmp_path, suffix):
    made('name=Müller, "x"', "city=a\nb", "employees=5")
    file = tmp_path / f"out.{suffix}"
    assert run("export", file, "--record-column", "Record").code == 0
    assert run("import", file, "--record-column", "Record", "--json").object["unchanged"] == 1


def test_an_export_that_cannot_be_written_leaves_nothing(store, run, tmp_path):
    assert run("export", tmp_path / "no" / "out.csv").code == 2
    result = run("export", tmp_path / "out.pdf")
    assert result.code == 2
    assert "table_not_written" in result.err
    assert not (tmp_path / "out.pdf").exists()


def test_an_export_tells_of_cells_that_a_spreadsheet_may_run_and_how_to_guard_them(store, run, tmp_path):
    assert run("set", "customers", "name==HYPERLINK(1)", "phone=+49 30 1234567").code == 0
    plain = run("export", tmp_path / "a.csv", "--json")
    assert (plain.code, plain.object["unguarded"]) == (0, 1)
    assert "--guard" in json.loads(plain.err)["message"]
    assert "--guard" in run("export", "-").err
    guarded = run("export", tmp_path / "b.csv", "--guard", "--json")
    assert (guarded.object["unguarded"], guarded.err) == (0, "")
    assert run("export", tmp_path / "a.xlsx", "--json").object["unguarded"] == 0


def test_a_text_that_no_sheet_holds_leaves_its_cell_empty_and_is_named(store, run, tmp_path):
    record = run("set", "customers", "name=" + "x" * 40_000, "--json").object["record"]
    result = run("export", tmp_path / "a.xlsx", "--json")
    assert (result.code, result.object["rows"], result.object["cells_failed"]) == (7, 1, 1)
    error = json.loads(result.err)
    assert (error["error"], error["record"], error["field"]) == ("too_long", record, "name")
    told = run("export", tmp_path / "b.xlsx")
    assert (told.code, (tmp_path / "b.xlsx").exists()) == (7, True)
    assert f"name of {record}" in told.err
