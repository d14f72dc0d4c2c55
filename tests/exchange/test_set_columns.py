"""A column of tags: what stands between the members."""

import pytest

from crdt_sync.exchange import import_table
from crdt_sync.exchange.preview import preview_table
from crdt_sync.records.schema import parse_schema

SCHEMA = parse_schema(
    """
    collection = "people"
    version = 1
    [fields.name]
    [fields.tags]
    kind = "set"
    [fields.speaks]
    kind = "set"
    type = "enum"
    choices = ["de", "en"]
    [fields.remarks]
    kind = "set"
    type = "json"
    """,
    "test",
)


@pytest.mark.parametrize(
    ("cells", "members"),
    [
        (["vip, messe"], [["messe", "vip"]]),
        (["vip,messe,,"], [["messe", "vip"]]),
        (["vip, messe", "vip; Berlin, Mitte"], [["vip, messe"], ["Berlin, Mitte", "vip"]]),
        (["vip, messe", "a ::: b"], [["vip, messe"], ["a", "b"]]),
        (['"Müller, Anna", vip'], [["Müller, Anna", "vip"]]),
        (['7" pipe, vip', 'say "hi", "a ""b"", c"'], [['7" pipe', "vip"], ['a "b", c', 'say "hi"']]),
        (['"a; b"; vip', 'c, "d"'], [["a; b", "vip"], ['c, "d"']]),
        (['"a; b", vip'], [["a; b", "vip"]]),
        (["vip;", "a, b"], [["vip"], ["a, b"]]),
        (['["Müller, Anna", "vip"]', "vip, messe"], [["Müller, Anna", "vip"], ["messe", "vip"]]),
        (['["a; b"]', "vip, messe"], [["a; b"], ["messe", "vip"]]),
    ],
)
def test_a_comma_separates_tags_where_no_cell_of_the_column_separates_them_otherwise(
    write, make_replica, cells, members
):
    lines = ["name,tags"] + [f'{number},"{cell.replace(chr(34), chr(34) * 2)}"' for number, cell in enumerate(cells)]
    replica = make_replica(SCHEMA)
    report = import_table(replica, write("people.csv", "\n".join(lines)), "people", key_columns=["name"])
    assert report.cells_failed == 0
    found = {view.raw["name"]: view.raw["tags"] for view in replica.records.values()}
    assert [found[str(number)] for number in range(len(cells))] == members


def test_choices_are_split_and_json_remarks_are_not(write, make_replica):
    replica = make_replica(SCHEMA)
    import_table(replica, write("people.csv", 'name,speaks,remarks\nA,"DE, en","called, twice"\n'), "people")
    (view,) = replica.records.values()
    assert (view.raw["speaks"], view.raw["remarks"]) == (["de", "en"], ['"called, twice"'])


def test_the_preview_says_that_commas_separate(write):
    preview = preview_table(write("people.csv", 'name,tags\nA,"vip, messe"\n'), SCHEMA)
    assert [column.format for column in preview.columns] == ["", "several separated by commas"]
