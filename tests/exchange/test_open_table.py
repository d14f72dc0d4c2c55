"""Whatever the bytes are, opening and reading them ends in rows or in a typed error that names what the file is."""

import gzip
import io
import zipfile
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_sync.errors import InvalidTable
from crdt_sync.exchange import Row, RowError, TableOptions, open_table


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PAR1\x00\x00", "Parquet"),
        (b"SQLite format 3\x00", "SQLite"),
        (b"\xd0\xcf\x11\xe0\x00", "XLS"),
        (b"%PDF-1.7\n", "PDF"),
        (b"BZh91AY", "bzip2"),
        (b"\xfd7zXZ\x00", "xz"),
        (b"\n<!DOCTYPE html><table></table>", "HTML"),
        (b"<?xml version='1.0'?><a/>", "XML"),
        (b"BEGIN:VCALENDAR\r\n", "calendar"),
        (b"", "empty"),
        (b"\n \n", "empty"),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.xls", "a"])
def test_what_is_no_table_is_named_with_what_to_do(write, name, content, what):
    with pytest.raises(InvalidTable, match=what) as caught:
        write(name, content)
    assert caught.value.hint


def test_a_packed_table_is_read(write, cells):
    packed = gzip.compress(b"a,b\n1,2\n")
    table = write("people.csv.gz", packed)
    assert (table.name, table.columns, cells(table)) == ("people", ("a", "b"), [["1", "2"]])
    assert table.bytes_read == table.bytes_total == 8
    assert cells(write("people.csv", packed)) == [["1", "2"]]


def test_a_packed_table_that_was_cut_is_refused(write):
    with pytest.raises(InvalidTable, match="unpacked"):
        list(write("a.csv.gz", gzip.compress(b"a,b\n" + bytes(range(32, 127)) * 999)[:-200]).rows())


def test_a_workbook_is_known_by_its_content_and_so_are_documents_that_are_none(write):
    stream = io.BytesIO()
    book = openpyxl.Workbook()
    book.active.append(["a"])
    book.save(stream)
    assert write("a.csv", stream.getvalue()).form.format == "xlsx"
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
    with pytest.raises(InvalidTable, match="OpenDocument"):
        write("a.ods", other.getvalue())


@pytest.mark.parametrize(
    ("content", "columns", "line"),
    [
        ("sep=;\nName;Phone\nA;1\n", ("Name", "Phone"), 2),
        ("Kundenliste 2026,,\n,,\nName,Phone,E-mail\nA,1,a@x\n", ("Name", "Phone", "E-mail"), 3),
        ("Kundenliste 2026\n\nName;Phone\nA;1\n", ("Name", "Phone"), 3),
        ("Name,Phone\nA,1\n", ("Name", "Phone"), 1),
        ("Name\nA\nB\n", ("Name",), 1),
        ("Title,\nA,1\nB,2\n", ("Title", ""), 1),
        (
            "Liste Nord,,Stand: 30.11.2026,\n,,,\nName,Tel.,E-Mail,Ort\nA,1,a@x,B\n",
            ("Name", "Tel.", "E-Mail", "Ort"),
            3,
        ),
        ("Liste Nord,Stand: 30.11.2026\n\nName,Tel.,E-Mail,Ort\nA,1,a@x,B\n", ("Name", "Tel.", "E-Mail", "Ort"), 3),
        ("Liste Nord,30.11.2026,\nName,Tel.,Ort\nA,1,B\n", ("Name", "Tel.", "Ort"), 2),
        ("Liste,,\nStand:,2026-11-30,\nName,Tel.,Ort\nA,1,B\n", ("Name", "Tel.", "Ort"), 3),
        ("Stand: heute,,\nFiliale: Bonn,,\nName,Tel.,Ort\nA,1,B\n", ("Name", "Tel.", "Ort"), 3),
        ("Nord,,Kunden,\nName,Tel.,E-Mail,Ort\nA,1,a@x,B\nC,2,c@x,D\n", ("Name", "Tel.", "E-Mail", "Ort"), 2),
        ("Name,,Tel.,\nA,x,B,y\nC,z,D,w\n", ("Name", "", "Tel.", ""), 1),
        ("Name,,Tel.,\nA,x,1,y\nC,z,2,w\n", ("Name", "", "Tel.", ""), 1),
        ("Name,Tel.,Since: 2026\nA,B,\nC,D,E\n", ("Name", "Tel.", "Since: 2026"), 1),
        ("Name,Seit 1.1.2026,,\nA,2,1,y\nC,3,2,w\n", ("Name", "Seit 1.1.2026", "", ""), 1),
    ],
)
def test_the_header_is_found_below_titles_and_said(write, content, columns, line):
    table = write("a.csv", content)
    assert (table.columns, table.form.header_line) == (columns, line)
    assert table.delimiter == (";" if ";" in content else ",")


def test_the_header_row_can_be_named(write, cells):
    table = write("a.csv", "x,y\nName,Phone\nA,1\n", header_row=2)
    assert (table.columns, cells(table)) == (("Name", "Phone"), [["A", "1"]])
    with pytest.raises(InvalidTable):
        write("a.csv", "x,y\n", header_row=9)


def test_titles_of_several_cells_above_the_header_of_a_sheet_are_passed_over(write):
    stream = io.BytesIO()
    book = openpyxl.Workbook()
    for row in (["Nord", None, "Stand:", date(2026, 11, 30)], [], ["Name", "Phone", "City", "Since"], ["A", 1, "B", 2]):
        book.active.append(row)
    book.save(stream)
    table = write("a.xlsx", stream.getvalue())
    assert (table.columns, table.form.header_line) == (("Name", "Phone", "City", "Since"), 3)


def test_a_title_above_the_header_of_a_sheet_is_passed_over(write):
    stream = io.BytesIO()
    book = openpyxl.Workbook()
    for row in (["Kunden 2026"], [], ["Name", "Phone"], ["A", 1]):
        book.active.append(row)
    book.create_sheet("Alt")
    book.save(stream)
    table = write("a.xlsx", stream.getvalue())
    assert (table.columns, table.form.header_line) == (("Name", "Phone"), 3)
    assert (table.form.sheet, table.form.other_sheets) == ("Sheet", ("Alt",))
    assert list(table.rows()) == [Row(4, ["A", 1])]


def test_related_objects_of_salesforce_are_columns_and_other_objects_stay_whole(write, cells):
    record = '{"attributes":{"type":"Contact"},"FirstName":"A","Account":{"Name":"Acme"}}'
    table = write("a.json", f'{{"totalSize":1,"records":[{record}],"other":[1,2]}}')
    assert table.columns == ("attributes.type", "FirstName", "Account.Name")
    assert cells(table) == [["Contact", "A", "Acme"]]
    assert write("b.json", '[{"Account":{"Name":"Acme"}}]').columns == ("Account",)


SEEDS = st.sampled_from(
    [
        b"PK\x03\x04",
        b"\x1f\x8b\x08",
        b"BEGIN:VCARD\nFN:",
        b'[{"a":',
        b"sep=;\n",
        b"\xff\xfe",
        b"a,b\n1,",
        b"a\x00,\x00",
        "王".encode("gbk"),
        b"PAR1",
        b"",
    ]
)
NAMES = st.sampled_from(["a.csv", "a.tsv", "a.json", "a.jsonl", "a.xlsx", "a.vcf", "a.zip", "a.csv.gz", "a", "a.txt"])


@settings(max_examples=300)
@given(SEEDS, st.binary(max_size=200), NAMES, st.booleans())
def test_no_bytes_end_in_anything_but_rows_or_a_typed_error(start, rest, name, header):
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(start + rest)
        hints: list[str] = []
        try:
            table = open_table(path, TableOptions(header=header))
            for row in table.rows():
                assert isinstance(row, (Row, RowError))
                assert isinstance(row, RowError) or len(row.cells) == len(table.columns)
        except InvalidTable as error:
            hints.append(error.hint)
        assert all(hints)


@cache
def workbook() -> bytes:
    """Made once: the time of writing is in it, and what is drawn depends on its length."""
    stream = io.BytesIO()
    book = openpyxl.Workbook()
    book.active.append(["Name", "PLZ"])
    book.active.append(["A", "=1+2"])
    book.save(stream)
    return stream.getvalue()


@settings(max_examples=60)
@given(st.data())
def test_a_damaged_workbook_ends_in_rows_or_a_typed_error(data):
    content = bytearray(workbook())
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[at] = data.draw(st.integers(0, 255))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.xlsx"
        path.write_bytes(bytes(content))
        hints: list[str] = []
        try:
            assert all(isinstance(row, (Row, RowError)) for row in open_table(path).rows())
        except InvalidTable as error:
            hints.append(error.hint)
        assert all(hints)
