"""Whatever table goes in comes out again, through every format."""

import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crdt_sync.exchange import MISSING, ExportOptions, TableOptions, export_table, import_table, open_table

# Not in customer data, and refused: NUL, lone surrogates.
characters = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
cell_texts = st.text(characters | st.sampled_from(",;|\t\"\r\n'= \ufeff"), max_size=12)
tables = st.integers(1, 5).flatmap(
    lambda width: st.tuples(
        st.lists(cell_texts, min_size=width, max_size=width).filter(any),
        st.lists(st.lists(cell_texts, min_size=width, max_size=width), max_size=6),
    )
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | cell_texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(cell_texts, inner, max_size=3),
    max_leaves=5,
)
objects = st.lists(
    st.dictionaries(st.sampled_from(["a", "A", "a b", "", " ", "电话", "x_1"]), json_values, max_size=5), max_size=6
)


def as_lines(rows):
    """Rows as a multiset of texts that tell 1 from 1.0 and true."""
    return Counter(json.dumps(row, sort_keys=True) for row in rows)


@settings(max_examples=150)
@given(tables, st.sampled_from([",", ";", "\t", "|", "§"]), st.booleans())
@pytest.mark.parametrize("guarded", [False, True])
def test_text_tables(make_replica, guarded, table, delimiter, header):
    headers, rows = table
    with TemporaryDirectory() as folder:
        first, second = Path(folder) / "a.csv", Path(folder) / "b.csv"
        # Of these headers some would pass for a title.
        options = TableOptions(delimiter=delimiter, header=header, guarded=guarded, header_row=1 if header else None)
        writing = ExportOptions(delimiter=delimiter, header=header, guard_formulas=guarded)
        write_reference(first, [headers, *rows], delimiter, guarded)
        replica = make_replica()
        opened = open_table(first, options)
        report = import_table(replica, opened, "things", key_columns=None)
        assert report.failures == 0
        if "things" not in replica.schemas:  # nothing went in, and so made no collection
            assert not any(map(any, rows if header else [headers, *rows]))
            return
        export_table(replica, "things", second, writing)
        again = open_table(second, options)
        assert opened.columns == (tuple(headers) if header else again.columns)
        expected = [row for row in (rows if header else [headers, *rows]) if any(row)]
        assert as_lines(texts(opened)) == as_lines(texts(again)) == as_lines(expected)
        assert again.columns == opened.columns
        second_report = import_table(replica, again, "things", key_columns=None)
        assert second_report.created == second_report.updated == second_report.failures == 0


@settings(max_examples=150)
@given(objects)
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_json_tables(make_replica, name, objects):
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        texts = [json.dumps(row) for row in objects]
        path.write_text("\n".join(texts) if name == "a.jsonl" else f"[{','.join(texts)}]")
        if not path.stat().st_size:
            return  # an empty file is refused
        table = open_table(path)
        if not table.columns:
            return
        replica = make_replica()
        assert import_table(replica, table, "things", key_columns=None).failures == 0
        if "things" not in replica.schemas:
            assert not any(objects)
            return
        export_table(replica, "things", path)
        content = path.read_text()
        found = [json.loads(line) for line in content.split("\n")[:-1]] if name == "a.jsonl" else json.loads(content)
        assert as_lines(found) == as_lines(row for row in objects if row)
        again = import_table(replica, open_table(path), "things", key_columns=None)
        assert again.created == again.updated == again.failures == 0


@settings(max_examples=60)
@given(tables)
@example((["", "", "\t"], [["\t", "\t", "\t"]]))
def test_workbooks(make_replica, table):
    headers, rows = table
    headers = [f"{number}{header}" for number, header in enumerate(headers)]
    with TemporaryDirectory() as folder:
        source, path = Path(folder) / "a.csv", Path(folder) / "b.xlsx"
        write_reference(source, [headers, *rows], ",", False)
        replica = make_replica()
        import_table(replica, open_table(source), "things", key_columns=None)
        if "things" not in replica.schemas:
            assert not any(map(any, rows))
            return
        export_table(replica, "things", path)
        again = open_table(path)
        assert again.columns == tuple(headers)
        assert as_lines(texts(again)) == as_lines(row for row in rows if any(row))


def texts(table):
    cells = ([("" if cell is MISSING else cell) for cell in row.cells] for row in table.rows())
    return [row for row in cells if any(row)]


def write_reference(path, rows, delimiter, guarded):
    """Every cell in quotes: nothing here depends on the writer that is tested."""
    if guarded:
        from crdt_sync.exchange.guard import guard  # noqa: PLC0415

        rows = [[guard(cell) for cell in row] for row in rows]
    text = "".join(delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n" for row in rows)
    path.write_bytes(text.encode("utf-8"))


def test_the_comparison_sees_differences():
    assert as_lines([[1]]) != as_lines([[1.0]])
    assert as_lines([[1]]) != as_lines([[True]])
    assert as_lines([{"a": None}]) != as_lines([{}])
    assert as_lines([[""]]) != as_lines([[""], [""]])
