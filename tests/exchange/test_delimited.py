import json

import pytest

from crdt_sync import limits
from crdt_sync.errors import InvalidTable
from crdt_sync.exchange import MISSING, Row, RowError, TableOptions, open_table
from crdt_sync.exchange import text as text_module
from crdt_sync.exchange.delimited import detect_delimiter

# The other two: the expected JSON of location_coordinates names another phone number than the CSV does, and
# newlines_crlf.csv lost its CRs on its way; it gets them back below.
SPECTRUM_EXACT = [
    "comma_in_quotes",
    "empty",
    "empty_crlf",
    "escaped_quotes",
    "json",
    "newlines",
    "quotes_and_newlines",
    "simple",
    "simple_crlf",
    "utf8",
]


@pytest.mark.parametrize("name", SPECTRUM_EXACT)
def test_csv_spectrum_is_read_as_its_authors_expect(shared_data, cells, name):
    folder = shared_data / "tables" / "csv-spectrum"
    table = open_table(folder / "csvs" / f"{name}.csv")
    expected = json.loads((folder / "json" / f"{name}.json").read_text())
    read = [
        dict(zip(table.columns, ["" if cell is MISSING else cell for cell in row], strict=True)) for row in cells(table)
    ]
    assert read == expected


def test_csv_spectrum_newlines_with_crlf_keep_the_crlf_inside_the_cell(shared_data, write, cells):
    folder = shared_data / "tables" / "csv-spectrum"
    content = (folder / "csvs" / "newlines_crlf.csv").read_bytes().replace(b"\n", b"\r\n")
    expected = json.loads((folder / "json" / "newlines_crlf.json").read_text())
    assert cells(write("a.csv", content)) == [list(row.values()) for row in expected]


def test_csv_spectrum_coordinates_keep_quotes_inside_an_unquoted_cell(shared_data, cells):
    folder = shared_data / "tables" / "csv-spectrum"
    table = open_table(folder / "csvs" / "location_coordinates.csv")
    expected = json.loads((folder / "json" / "location_coordinates.json").read_text())
    assert table.columns == tuple(expected)
    assert cells(table)[0][1:] == list(expected.values())[1:]


@pytest.mark.parametrize(
    ("content", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2\n", ";"),
        ("a\tb\n1\t2\n", "\t"),
        ("a|b|c\n1,2|3|4\n", "|"),
        ("only\n1\n", ","),
        ('name,note\n"a;b;c",x\n', ","),
        ("a;b,c\n1;2,3\n", ","),
        ('"a","b\t"\n"","\t"\n', ","),
        ('"a","\t\t\t"\n', ","),
        ('"a";"b"\n"Ann" Smith;2\n', ";"),
        ("Name;Telefon\nAnna;030 123456\nBen;030 99;\nCara;030 5555;Notiz, lang\n", ";"),
        ('Name;Tags\nAnna;"Müller, Anna";\nBen;b\n', ";"),
        ("Vorname;Nachname\nAnna;a, b\nBen, c;d, e\nCara;f;g, h\n", ";"),
        ("Name,Phone\nAnna;x,1\nBen,2;y;z,3\n", ","),
        ("Meine Kunden, Stand Mai\nName;Telefon\nAnna;1\nBen;2\n", ";"),
        ("x;y\n1;2;\n3;4\n", ";"),
        ("Kundenliste Stand November;;\nName;Ort;Telefon;Notizen\nA;Kiel;1;2\nB;Ulm;2;3\n", ";"),
        ("Meine Liste;\n;\na;b;c\n1,5;2;3\n4;5;6\n", ";"),
        ('"a";"b|||"\n"1";"two\nlines', ";"),
    ],
)
def test_the_delimiter_is_found(content, delimiter):
    assert detect_delimiter(content.splitlines(keepends=True)) == delimiter


@pytest.mark.parametrize(("name", "delimiter"), [("a.tsv", "\t"), ("a.psv", "|")])
def test_the_name_of_the_file_decides_before_detection(write, name, delimiter):
    assert write(name, "a,b,c\n1,2,3\n").delimiter == delimiter


def test_any_character_can_be_the_delimiter(write, cells):
    assert cells(write("a.txt", 'a·b\n"1·1"·2\n', delimiter="·")) == [["1·1", "2"]]


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n"])
def test_what_cannot_delimit_is_refused(write, delimiter):
    with pytest.raises(InvalidTable) as caught:
        write("a.csv", "a\n", delimiter=delimiter or "xx")
    assert caught.value.hint


def test_without_a_header_the_columns_are_numbered(write, cells):
    table = write("a.psv", "1|x\n2|y\n", header=False)
    assert table.columns == ("Column 1", "Column 2")
    assert cells(table) == [["1", "x"], ["2", "y"]]


def test_blank_headers_and_equal_headers_are_kept_as_they_are(write):
    assert write("a.csv", " a,,a,a\n1,2,3,4\n").columns == (" a", "", "a", "a")


def test_an_empty_cell_is_missing_whether_quoted_or_not(write, cells):
    assert cells(write("a.csv", 'a,b,c\n,"", \n')) == [[MISSING, MISSING, " "]]


def test_rows_name_the_line_they_start_on(write):
    table = write("a.csv", 'a,b\n1,"x\ny\nz"\n\n3,4\n')
    assert [row.line for row in table.rows()] == [2, 6]


def test_rows_can_be_read_again(write):
    table = write("a.csv", "a\n1\n2\n")
    assert list(table.rows()) == list(table.rows()) == [Row(2, ["1"]), Row(3, ["2"])]


def test_ragged_rows_are_errors_with_their_line_and_the_others_are_read(write):
    rows = list(write("a.csv", "a,b\n1\n1,2\n1,2,3\n1,2,,\n").rows())
    assert [(row.line, row.code) for row in rows if isinstance(row, RowError)] == [(2, "ragged"), (4, "ragged")]
    assert [row for row in rows if isinstance(row, Row)] == [Row(3, ["1", "2"]), Row(5, ["1", "2"])]


def test_a_nul_is_an_error_of_its_row(write):
    rows = list(write("a.csv", b"a,b\n1,\x00\n3,4\n").rows())
    assert [(row.line, row.code) for row in rows[:1]] == [(2, "malformed")]
    assert "NUL" in rows[0].message
    assert rows[1] == Row(3, ["3", "4"])


def test_bytes_of_another_encoding_are_an_error_of_their_row(write):
    rows = list(write("a.csv", "a,b\nMüller,1\n".encode("latin-1") + b"Smith,2\n", encoding="utf-8").rows())
    assert isinstance(rows[0], RowError)
    assert "utf-8" in rows[0].message
    assert rows[1] == Row(3, ["Smith", "2"])


@pytest.mark.parametrize(
    ("encoding", "option"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-16", None),
        ("utf-32", None),
        ("latin-1", "latin-1"),
        ("cp1252", "cp1252"),
    ],
)
def test_encodings_are_found_by_their_mark_or_named(write, cells, encoding, option):
    table = write("a.csv", "näme;x\nMüller;1\n".encode(encoding), encoding=option)
    assert table.columns == ("näme", "x")
    assert cells(table) == [["Müller", "1"]]


@pytest.mark.parametrize("encoding", ["no-such", "rot13", "base64"])
def test_an_unknown_encoding_is_refused(write, encoding):
    with pytest.raises(InvalidTable):
        write("a.csv", "a\n1\n", encoding=encoding)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_read_and_said(write, cells, encoding):
    table = write("a.csv", "a,b\n1,2\nMüller,王\n".encode(encoding))
    assert (table.form.encoding, table.form.encoding_guessed) == (encoding, True)
    assert cells(table) == [["1", "2"], ["Müller", "王"]]


def test_an_error_of_a_row_says_how_the_table_was_read(write):
    rows = list(write("a.csv", "Kunden\nName;Telefon\nAnna;1;x\nBen;2\n").rows())
    assert [isinstance(row, RowError) for row in rows] == [True, False]
    assert "3 cells between ';' where the header in line 2 has 2" in rows[0].message


def test_a_quote_that_is_never_closed_is_named_with_its_line(write):
    rows = list(write("a.csv", 'a,b\n1,2\n3,"4\n5,6\n7,8\n').rows())
    assert (rows[1].line, rows[1].message) == (
        3,
        "a quote that opens in the row of line 3 is never closed: all up to line 5 is taken for one cell",
    )


def test_text_after_a_closing_quote_is_an_error_and_not_swallowed(write):
    rows = list(write("a.csv", 'a,b\n"Ann" Smith,1\n3,4\n').rows())
    assert isinstance(rows[0], RowError)
    assert rows[1] == Row(3, ["3", "4"])


def test_a_quote_that_is_never_closed_is_an_error(write):
    rows = list(write("a.csv", 'a,b\n1,2\n3,"4\n5,6\n').rows())
    assert rows[0] == Row(2, ["1", "2"])
    assert [(row.line, row.code) for row in rows[1:]] == [(3, "malformed")]


def test_a_cell_at_the_limit_is_read_and_one_beyond_is_an_error(write):
    limit = limits.TABLE_CELL_LENGTH_MAX
    rows = list(write("a.csv", f"a,b\n{'x' * limit},1\n{'x' * (limit + 1)},2\n3,4\n").rows())
    assert isinstance(rows[0], Row)
    assert len(str(rows[0].cells[0])) == limit
    assert [(row.line, row.code) for row in rows[1:2]] == [(3, "malformed")]
    assert rows[2] == Row(4, ["3", "4"])


def test_a_line_beyond_the_limit_is_never_held_whole_and_the_next_row_is_read(write, monkeypatch):
    monkeypatch.setattr(text_module, "TABLE_LINE_LENGTH_MAX", 10)
    rows = list(write("a.csv", "a,b\n12345678,9\n" + "x" * 100 + ",1\n3,4\n").rows())
    assert rows[0] == Row(2, ["12345678", "9"])
    assert [(row.line, row.code) for row in rows[1:2]] == [(3, "malformed")]
    assert rows[2] == Row(4, ["3", "4"])


def test_a_bad_line_inside_a_quoted_cell_spoils_its_row_only(write):
    rows = list(write("a.csv", b'a,b\n1,"x\n\xff\ny"\n3,4\n').rows())
    assert [(row.line, type(row)) for row in rows] == [(2, RowError), (5, Row)]


def test_an_empty_file_is_refused(write):
    with pytest.raises(InvalidTable, match="empty"):
        write("a.csv", "")


def test_more_columns_than_a_schema_holds_are_refused(write):
    assert len(write("a.csv", "a," * (limits.FIELDS_MAX - 1) + "a\n").columns) == limits.FIELDS_MAX
    with pytest.raises(InvalidTable):
        write("a.csv", "a," * limits.FIELDS_MAX + "a\n")


def test_a_first_row_that_is_no_header_is_refused_with_a_hint(write):
    with pytest.raises(InvalidTable) as caught:
        write("a.csv", "x" * 201 + ",b\n1,2\n")
    assert "no header" in caught.value.hint


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InvalidTable):
            open_table(path)


def test_progress_reaches_the_end_of_the_file(write):
    table = write("a.csv", "a,b\n" + "1,2\n" * 1000)
    list(table.rows())
    assert table.bytes_read == table.bytes_total == 4004


def test_an_old_xls_workbook_is_refused(write):
    with pytest.raises(InvalidTable, match="XLS"):
        write("a.xls", b"\xd0\xcf\x11\xe0")


def test_guarded_cells_lose_their_apostrophe_on_request(write, cells):
    assert cells(write("a.csv", "a,b\n'+49,'x\n")) == [["'+49", "'x"]]
    assert cells(write("a.csv", "a,b\n'+49,'x\n", guarded=True)) == [["+49", "'x"]]


def test_options_have_no_surprises():
    assert TableOptions() == TableOptions(None, None, None, True, None, None, False, None)
