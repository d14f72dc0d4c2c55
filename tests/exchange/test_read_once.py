"""A table is read from its file once, whoever asks for its rows how often, and however far."""

from datetime import date
from decimal import Decimal
from itertools import islice

import pytest

from crdt_sync import limits
from crdt_sync.errors import InvalidTable
from crdt_sync.exchange import open_table, read_once
from crdt_sync.exchange.read_once import ReadOnceTable
from crdt_sync.exchange.table import MISSING, BrokenCell, Cell, Row, RowError, Shown, Table


class Counted(Table):
    """Rows that are made up, and how many were read."""

    name, columns, typed, bytes_total = "counted", ("Number", "Name"), True, 1000

    def __init__(self, rows, fails_at=None):
        self._rows, self._fails_at, self.read = rows, fails_at, 0

    @property
    def bytes_read(self):
        return self.read

    def rows(self):
        self.read = 0
        for row in self._rows:
            if self.read == self._fails_at:
                self._fails_at = None
                raise InvalidTable("cut off", "Copy it again.")
            self.read += 1
            yield row


def numbered(count):
    return [Row(line, [line, f"name {line}"]) for line in range(2, count + 2)]


CELLS: list[Cell] = ["text", 7, 1.5, True, None, MISSING, Decimal("1.10"), date(2026, 3, 1), ["a"], {"k": [1]}]


def test_rows_are_the_same_in_every_pass():
    rows = [Row(2, [*CELLS, Shown(1067, "01067"), BrokenCell("#N/A")]), RowError(3, "", "ragged", "wide"), Row(4, [1])]
    table = ReadOnceTable(Counted(rows))
    for _ in range(3):
        assert list(table.rows()) == rows
    (first, *_) = table.rows()
    assert first.cells[5] is MISSING


def test_the_file_is_read_once_and_no_further_than_was_asked_for(monkeypatch):
    monkeypatch.setattr(read_once, "_ROWS_A_CHUNK", 10)
    source = Counted(numbered(100))
    table = ReadOnceTable(source)
    assert source.read == 0
    assert list(islice(table.rows(), 25)) == numbered(25)
    assert source.read == 30
    one, other = table.rows(), table.rows()
    both = [(next(one), next(other)) for _ in range(100)]
    assert [pair[0] for pair in both] == [pair[1] for pair in both] == numbered(100)
    assert list(table.rows()) == numbered(100)
    assert source.read == 100, "a second reading would have begun at 0"


def test_progress_is_that_of_the_latest_pass(monkeypatch):
    monkeypatch.setattr(read_once, "_ROWS_A_CHUNK", 10)
    table = ReadOnceTable(Counted(numbered(100)))
    list(table.rows())
    rows = table.rows()
    next(rows)
    assert table.bytes_read == 10
    list(rows)
    assert table.bytes_read == 100


@pytest.mark.parametrize("in_memory", [1, 1 << 20])
def test_what_is_beyond_the_room_is_read_again(monkeypatch, in_memory):
    monkeypatch.setattr(read_once, "_ROWS_A_CHUNK", 10)
    monkeypatch.setattr(read_once, "SPOOL_BYTES_MAX", 500)
    monkeypatch.setattr(read_once, "SPOOL_MEMORY_BYTES_MAX", in_memory)
    table = ReadOnceTable(Counted(numbered(100)))
    for _ in range(2):
        assert list(table.rows()) == numbered(100)
    assert list(islice(table.rows(), 99)) == numbered(99)
    assert limits.SPOOL_MEMORY_BYTES_MAX < limits.SPOOL_BYTES_MAX


def test_a_file_that_ends_in_an_error_does_so_in_every_pass():
    source = Counted(numbered(700), fails_at=600)
    table = ReadOnceTable(source)
    with pytest.raises(InvalidTable):
        list(table.rows())
    assert list(table.rows()) == numbered(700), "it is read from the start again, and never taken for whole"


def test_a_pass_goes_on_where_another_one_met_an_error(monkeypatch):
    monkeypatch.setattr(read_once, "_ROWS_A_CHUNK", 10)
    table = ReadOnceTable(Counted(numbered(100), fails_at=60))
    one, other = table.rows(), table.rows()
    begun = list(islice(one, 35))
    with pytest.raises(InvalidTable):
        list(other)
    assert begun + list(one) == numbered(100)


def test_an_empty_table_has_no_rows():
    table = ReadOnceTable(Counted([]))
    assert list(table.rows()) == list(table.rows()) == []


def test_a_workbook_is_parsed_once_for_its_rows(tmp_path, monkeypatch):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["Name", "City"], ["Ann", "Bonn"], [None, None], ["Ben", "Kiel"]):
        book.active.append(row)
    book.save(tmp_path / "people.xlsx")
    table = open_table(tmp_path / "people.xlsx")
    opened = []
    load = openpyxl.load_workbook
    monkeypatch.setattr(openpyxl, "load_workbook", lambda *args, **kwargs: opened.append(1) or load(*args, **kwargs))
    for _ in range(4):
        assert [(row.line, row.cells) for row in table.rows()] == [(2, ["Ann", "Bonn"]), (4, ["Ben", "Kiel"])]
    assert len(opened) == 1
