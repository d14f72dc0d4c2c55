import json

import pytest

from crdt_sync import limits
from crdt_sync.errors import InvalidTable
from crdt_sync.exchange import MISSING, Row, RowError, json_tables, open_table
from crdt_sync.exchange.json_tables import parse_json


def test_columns_are_all_keys_in_the_order_of_their_first_appearance(write, cells):
    table = write("a.jsonl", '{"b":1,"a":null}\n\n{"c":[1.0,{"x":""}],"b":true}\n')
    assert table.columns == ("b", "a", "c")
    assert cells(table) == [[1, None, MISSING], [True, MISSING, [1.0, {"x": ""}]]]


def test_integers_floats_and_booleans_stay_what_they_are(write, cells):
    (row,) = cells(write("a.jsonl", '{"a":1,"b":1.0,"c":true,"d":12345678901234567890}'))
    assert [(type(cell), cell) for cell in row] == [(int, 1), (float, 1.0), (bool, True), (int, 12345678901234567890)]


@pytest.mark.parametrize(
    "line",
    ['{"a":1', '{"a":NaN}', '{"a":1e999}', '{"a":1,"a":2}', "[" * 100_000, '{"a":"\x00"}'],
)
def test_a_line_that_is_not_json_is_an_error_of_its_row(write, line):
    rows = list(write("a.jsonl", f'{line}\n{{"a":2}}\n').rows())
    assert [(row.line, row.code) for row in rows[:1]] == [(1, "malformed")]
    assert rows[1] == Row(2, [2])


@pytest.mark.parametrize("key", ["\\ud800", "x" * 201])
def test_a_key_that_cannot_be_a_header_is_an_error_of_its_row(write, key):
    table = write("a.jsonl", f'{{"{key}":1,"a":1}}\n{{"a":2}}\n')
    assert table.columns == ("a",)
    rows = list(table.rows())
    assert isinstance(rows[0], RowError)
    assert rows[1] == Row(2, [2])


def test_an_array_of_objects_is_a_table(write, cells):
    assert cells(write("a.json", '[{"a":1},{"a":2}]')) == [[1], [2]]


def test_an_array_of_texts_has_the_column_value(shared_data, cells):
    table = open_table(shared_data / "tables" / "blns.json")
    expected = json.loads((shared_data / "tables" / "blns.json").read_text(encoding="utf-8"))
    assert table.columns == ("value",)
    assert [row[0] for row in cells(table)] == expected


def test_of_several_arrays_one_must_be_chosen(shared_data, cells):
    path = shared_data / "tables" / "chinook_customers.json"
    with pytest.raises(InvalidTable) as caught:
        open_table(path)
    assert "'Customer'" in caught.value.hint
    assert "'Employee'" in caught.value.hint


@pytest.mark.parametrize(("key", "count"), [("Customer", 59), ("Employee", 8)])
def test_the_chosen_array_is_read(shared_data, write, cells, key, count):
    content = (shared_data / "tables" / "chinook_customers.json").read_bytes()
    assert len(cells(write("a.json", content, select=key))) == count


def test_an_array_that_is_not_there_is_refused(write):
    for document in ('{"a":[{}],"b":[{}]}', "[]"):
        with pytest.raises(InvalidTable):
            write("a.json", document, select="c")


def test_the_only_array_of_objects_is_the_table(write, cells):
    table = write("a.json", '{"total":1,"tags":["x"],"records":[{"a":1}]}')
    assert (table.columns, cells(table)) == (("a",), [[1]])


def test_one_object_without_a_table_in_it_is_one_row(write, cells):
    table = write("a.json", '{"name":"Ann","phones":["1","2"]}')
    assert cells(table) == [["Ann", ["1", "2"]]]


@pytest.mark.parametrize("content", [b"", b"{", b"[1,]", b'{"a":1}\n{"a":2}\n', b'["\xff"]'])
def test_a_document_that_is_not_json_is_refused_with_a_hint(write, content):
    with pytest.raises(InvalidTable) as caught:
        write("a.json", content)
    assert caught.value.hint


def test_a_number_of_more_digits_than_are_read_is_a_cell_that_is_its_text(write):
    digits = "9" * 10_000
    line = f'{{"name": "Ann", "visits": {digits}}}'
    for table in (write("a.json", f"[{line}]"), write("a.jsonl", line)):
        assert [row.cells for row in table.rows()] == [["Ann", digits]]


def test_a_document_beyond_the_limit_is_refused(write, monkeypatch):
    monkeypatch.setattr(json_tables, "TABLE_JSON_BYTES_MAX", 9)
    assert write("a.json", '[{"a":1}]').columns == ("a",)
    with pytest.raises(InvalidTable, match="too large"):
        write("a.json", '[{"a":10}]')


def test_a_document_of_more_objects_and_lists_than_the_limit_is_refused_before_it_is_read(write, monkeypatch):
    monkeypatch.setattr(json_tables, "TABLE_JSON_CONTAINERS_MAX", 3)
    assert write("a.json", '[{"a":[]}]').columns == ("a",)
    monkeypatch.setattr(json_tables, "_DECODER", None)
    with pytest.raises(InvalidTable, match="more than 3 objects"):
        write("a.json", '[{"a":[]},[]]')


def test_more_keys_than_a_schema_holds_are_refused(write):
    def lines(count: int) -> str:
        return "\n".join(json.dumps({f"k{number}": 1}) for number in range(count))

    assert len(write("a.jsonl", lines(limits.FIELDS_MAX)).columns) == limits.FIELDS_MAX
    with pytest.raises(InvalidTable):
        write("a.jsonl", lines(limits.FIELDS_MAX + 1))


def test_a_byte_order_mark_is_not_part_of_the_json(write, cells):
    for name, content in (("a.json", '[{"a":1}]'), ("a.jsonl", '{"a":1}')):
        assert cells(write(name, content.encode("utf-8-sig"))) == [[1]]


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e400", '{"a":1,"a":1}', ""])
def test_parse_json_refuses_what_no_other_reader_would_take(text):
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


@pytest.mark.parametrize("last", [0, 149_999])
def test_a_key_that_stands_twice_among_very_many_is_found_in_one_pass(last):
    keys = [f"k{number}" for number in (*range(150_000), last)]
    with pytest.raises(ValueError, match=f"the key 'k{last}' stands twice"):
        json_tables._object([(_Key(key), 1) for key in keys])
    assert _Key.compared < 3 * len(keys)


class _Key(str):
    """A key that counts how often it is compared; one pass compares only what has the same hash."""

    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other):
        type(self).compared += 1
        return str.__eq__(self, other)
