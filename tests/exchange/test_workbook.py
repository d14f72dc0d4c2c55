import importlib
import io
import zipfile
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from crdt_sync.errors import InvalidTable, TableNotWritten
from crdt_sync.exchange import (
    MISSING,
    ExportOptions,
    Row,
    RowError,
    export_table,
    import_table,
    infer_schema,
    workbook,
)
from crdt_sync.exchange.conventions import Conventions
from crdt_sync.records.schema import FieldSpec, Schema


@pytest.fixture
def sheet(write):
    """Open a workbook made of rows: sheet([["a"], [1]])."""

    def _sheet(rows, **options):
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        book.create_sheet("Second").append(["z"])
        stream = io.BytesIO()
        book.save(stream)
        return write("a.xlsx", stream.getvalue(), **options)

    return _sheet


def test_cells_are_values(sheet, cells):
    moment = datetime(2026, 3, 1, 9, 30)  # noqa: DTZ001 - sheets have no zones
    table = sheet(
        [["a", "b", "c", "d", "e", "f"], ["x", 1, 1.5, True, moment, None], [None, None, None, None, None, "y"]]
    )
    assert table.columns == ("a", "b", "c", "d", "e", "f")
    assert cells(table) == [["x", 1, 1.5, True, moment, MISSING], [MISSING] * 5 + ["y"]]


def test_another_sheet_can_be_chosen_by_name(sheet):
    assert sheet([["a"]], select="Second").columns == ("z",)
    with pytest.raises(InvalidTable) as caught:
        sheet([["a"]], select="Third")
    assert "'Second'" in caught.value.hint


def test_values_beyond_the_header_are_an_error_and_short_rows_are_filled(sheet):
    rows = list(sheet([["a", "b"], [1, 2, 3], [1]]).rows())
    assert isinstance(rows[0], RowError)
    assert (rows[0].line, rows[0].code) == (2, "ragged")
    assert rows[1] == Row(3, [1, MISSING])


def test_without_a_header_the_columns_are_numbered(sheet, cells):
    table = sheet([["x", 1]], header=False)
    assert (table.columns, cells(table)) == (("Column 1", "Column 2"), [["x", 1]])


def test_durations_and_times_become_text(sheet, cells):
    assert cells(sheet([["a"], [timedelta(hours=1)]])) in ([["1:00:00"]], [["01:00:00"]])


def test_types_are_inferred(sheet):
    day = datetime(2026, 3, 1)  # noqa: DTZ001 - sheets have no zones
    table = sheet([["a", "b", "c", "d", "e"], ["x", 1, 1.5, True, day], ["y", 2, 2.25, False, None]])
    kinds = [spec.type for spec in infer_schema(table, "things").fields.values()]
    assert kinds == ["string", "integer", "decimal", "boolean", "date"]


def test_times_of_a_sheet_are_moments_only_where_the_import_says_their_zone(sheet):
    noon = datetime(2026, 3, 1, 12)  # noqa: DTZ001 - sheets have no zones
    table = sheet([["a"], [noon]])
    assert infer_schema(table, "things").fields["a"].type == "string"
    assert infer_schema(table, "things", zoned=True).fields["a"].type == "datetime"


def test_dates_fit_into_fields_made_by_hand(sheet, make_replica):
    fields = {"day": FieldSpec(type="date"), "at": FieldSpec(type="datetime"), "text": FieldSpec()}
    replica = make_replica(Schema(collection="things", version=1, fields=fields))
    noon = datetime(2026, 3, 1, 12)  # noqa: DTZ001 - sheets have no zones
    table = sheet([["day", "at", "text"], [date(2026, 3, 1), noon, date(2026, 3, 1)], [noon, noon, "x"]])
    in_berlin = Conventions(zone=ZoneInfo("Europe/Berlin"))
    report = import_table(replica, table, "things", conventions=in_berlin)
    assert sorted((record.raw for record in replica.list("things")), key=len) == [
        {"at": "2026-03-01T11:00:00Z", "text": "x"},
        {"day": "2026-03-01", "at": "2026-03-01T11:00:00Z", "text": "2026-03-01"},
    ]
    assert [(row.line, row.column) for row in report.failed] == [(3, "day")]


def test_a_time_without_a_zone_is_left_out_with_what_to_do_in_sheets_as_in_text(sheet, write, make_replica):
    schema = Schema(collection="things", version=1, fields={"at": FieldSpec(type="datetime"), "text": FieldSpec()})
    noon = datetime(2026, 3, 1, 12)  # noqa: DTZ001 - sheets have no zones
    for table in (sheet([["at", "text"], [noon, "x"]]), write("a.csv", "at,text\n2026-03-01 12:00,x\n")):
        report = import_table(make_replica(schema), table, "things")
        assert (report.created, report.cells_failed) == (1, 1)
        assert "--zone" in report.failed[0].message


TRICKY = [
    "=1+1",
    "#N/A",
    " x ",
    "a\r\nb",
    "a\tb",
    "\x0b",
    "_x000D_",
    "_x005F_",
    "\ufffe",
    "'+1",
    "001",
    "TRUE",
    "1e5",
    "🙂",
]


def test_texts_stay_texts_whatever_they_look_like(make_replica, exported, write, cells):
    replica = make_replica(Schema(collection="things", version=1, fields={"a": FieldSpec()}))
    for number, text in enumerate(TRICKY):
        with replica.edit(f"things/{number:02}", create=True) as record:
            record["a"] = text
    table = write("b.xlsx", exported(replica, "a.xlsx").read_bytes())
    assert [row[0] for row in cells(table)] == TRICKY


def test_numbers_that_a_sheet_cannot_hold_exactly_are_text(make_replica, exported, write, cells):
    schema = Schema(
        collection="things", version=1, fields={"a": FieldSpec(type="integer"), "b": FieldSpec(type="decimal")}
    )
    replica = make_replica(schema)
    for key, a, b in (("1", 10**15 - 1, "0.12345678901234"), ("2", 10**15, "0.1234567890123456")):
        with replica.edit(f"things/{key}", create=True) as record:
            record["a"], record["b"] = a, b
    table = write("b.xlsx", exported(replica, "a.xlsx").read_bytes())
    assert cells(table) == [[10**15 - 1, 0.12345678901234], [str(10**15), "0.1234567890123456"]]


def test_a_cell_at_the_limit_of_a_sheet_is_written_and_one_beyond_is_left_empty(make_replica, write, cells):
    replica = make_replica(Schema(collection="things", version=1, fields={"a": FieldSpec(), "b": FieldSpec()}))
    for length, fits in ((32_767, True), (32_768, False)):
        with replica.edit("things/a", create=True) as record:
            record["a"] = "x" * length
            record["b"] = "y"
        stream = io.BytesIO()
        report = export_table(replica, "things", stream, ExportOptions("xlsx", record_column="id"))
        written = "x" * length if fits else MISSING
        assert cells(write("b.xlsx", stream.getvalue())) == [["things/a", written, "y"]]
        assert (report.rows, report.cells_failed) == (1, 0 if fits else 1)
        assert report.too_long == (() if fits else (("things/a", "a"),))


def test_a_table_longer_than_a_sheet_is_refused(make_replica, exported, monkeypatch):
    monkeypatch.setattr(workbook, "_ROWS_MAX", 2)
    replica = make_replica(Schema(collection="things", version=1, fields={"a": FieldSpec()}))
    for key in ("1", "2"):
        with replica.edit(f"things/{key}", create=True) as record:
            record["a"] = key
        if key == "1":
            exported(replica, "a.xlsx")
    with pytest.raises(TableNotWritten):
        exported(replica, "a.xlsx")


def test_a_workbook_that_unpacks_to_too_much_is_refused(write, monkeypatch):
    monkeypatch.setattr(workbook, "TABLE_SHEET_BYTES_MAX", 100_000)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "x" * 100_001)
    with pytest.raises(InvalidTable, match="unpacks"):
        write("a.xlsx", bomb.getvalue())


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"a,b\n1,2\n"])
def test_what_is_not_a_workbook_is_refused(write, content):
    with pytest.raises(InvalidTable):
        write("a.xlsx", content)


def test_an_archive_without_a_workbook_in_it_is_refused(write):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(InvalidTable):
        write("a.xlsx", stream.getvalue())


def test_without_openpyxl_the_error_says_what_to_install(sheet, monkeypatch):
    def absent(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(InvalidTable) as caught:
        sheet([["a"]])
    assert "'.[excel]'" in caught.value.hint


@pytest.mark.parametrize("part", ["xl/worksheets/sheet1.xml", "xl/styles.xml", "xl/_rels/workbook.xml.rels"])
def test_a_long_piece_of_xml_is_refused_before_the_parser_takes_it(write, part):
    honest = io.BytesIO()
    book = openpyxl.Workbook()
    book.active.append(["Name"])
    book.active.append(["x" * 32_767])
    book.save(honest)
    with zipfile.ZipFile(honest) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert len(list(write("honest.xlsx", honest.getvalue()).rows())) == 1
    head, end = parts[part].rsplit(b"</", 1)
    parts[part] = head + b"<!--" + b"x" * (3 << 20) + b"--></" + end
    forged = io.BytesIO()
    with zipfile.ZipFile(forged, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(InvalidTable, match="piece of XML"):
        write("a.xlsx", forged.getvalue())


def test_a_row_beyond_what_a_sheet_holds_is_refused_and_not_waited_for(write, monkeypatch):
    monkeypatch.setattr(workbook, "_ROWS_MAX", 1000)
    book, stream = openpyxl.Workbook(), io.BytesIO()
    book.active.append(["Name"])
    book.active.append(["Eve"])
    book.save(stream)
    forged = io.BytesIO()
    with zipfile.ZipFile(stream) as given, zipfile.ZipFile(forged, "w") as made:
        for name in given.namelist():
            content = given.read(name).replace(b'r="2"', b'r="100000000000"').replace(b'"A2"', b'"A100000000000"')
            made.writestr(name, content)
    rows = write("a.xlsx", forged.getvalue()).rows()
    with pytest.raises(InvalidTable, match="beyond the 1,000"):
        list(rows)


@pytest.mark.parametrize(("empty", "refused"), [(998, False), (999, True)])
def test_more_rows_than_a_sheet_holds_are_refused_before_any_is_parsed(write, monkeypatch, empty, refused):
    monkeypatch.setattr(workbook, "_ROWS_MAX", 1000)
    book, stream, forged = openpyxl.Workbook(), io.BytesIO(), io.BytesIO()
    book.active.append(["Name"])
    book.active.append(["Eve"])
    book.save(stream)
    with zipfile.ZipFile(stream) as given, zipfile.ZipFile(forged, "w") as made:
        for name in given.namelist():
            end = b"</sheetData>"
            made.writestr(name, given.read(name).replace(end, b"<row/>" * empty + end))
    if refused:
        with pytest.raises(InvalidTable, match="beyond the 1,000"):
            write("a.xlsx", forged.getvalue())
    else:
        (row,) = write("a.xlsx", forged.getvalue()).rows()
        assert row.cells == ["Eve"]


@pytest.mark.parametrize("kind", ["date", "datetime"])
@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (29221, "29221 is a number, perhaps a spreadsheet's day number for 1980-01-01"),
        ("29221", "'29221' is a number, perhaps a spreadsheet's day number for 1980-01-01"),
        (45000.5, "45000.5 is a number, perhaps a spreadsheet's day number for 2023-03-15"),
        (12, "12 is not a date"),
        (-4, "-4 is not a date"),
        (1700000000000, "1700000000000 is not a date"),
    ],
)
def test_a_day_number_in_a_column_of_dates_is_said_to_be_one(sheet, replica, kind, cell, said):
    replica.add_schema(
        Schema(collection="people", version=1, fields={"name": FieldSpec(), "day": FieldSpec(type=kind)})
    )
    report = import_table(replica, sheet([["Name", "Day"], ["Anna", cell]]), "people", key_columns=["Name"])
    (problem,) = report.failed
    assert (problem.line, problem.column, report.created) == (2, "Day", 1)
    assert said in problem.message
    assert ("format the column as a date" in problem.message) == ("perhaps" in said)


def test_a_formula_without_its_result_in_the_key_fails_its_row_with_the_reason(sheet, replica):
    replica.add_schema(Schema(collection="people", version=1, fields={"name": FieldSpec()}))
    some = import_table(replica, sheet([["Nr", "Name"], [1, "Anna"], ["=A2+1", "Bert"], [3, "Cem"]]), "people")
    assert (some.key, some.created) == (("Nr",), 2)
    (problem,) = some.failed
    assert (problem.line, problem.column) == (3, "Nr")
    assert "a formula without its result: open and save it in a spreadsheet program" in problem.message
    every = import_table(replica, sheet([["Nr", "Name"], ["=1", "Dora"], ["=2", "Emil"]]), "people")
    assert (every.created, [each.line for each in every.failed]) == (0, [2, 3])
