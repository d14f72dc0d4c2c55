"""A column of tags: what stands between the members."""

import pytest

from crdt_sync.exchange import import_table
from crdt_sync.exchange.preview import preview_table
from crdt_sync.records.schema import bundled_schema, parse_schema

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
        (["vip, messe", "a, b", "old; new, used"], [["messe", "vip"], ["a", "b"], ["new, used", "old"]]),
        (["vip; messe", "a; b", "Müller, Anna"], [["messe", "vip"], ["a", "b"], ["Müller, Anna"]]),
        (["vip, messe", "a, b", '"c; d", e'], [["messe", "vip"], ["a", "b"], ["c; d", "e"]]),
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


@pytest.mark.parametrize(
    ("cells", "named"),
    [
        (["vip, messe", "a, b", "old; new"], "line 4, column 'tags': 'old; new' is split at its semicolons"),
        (["vip; messe", "Müller, Anna", "a; b"], "line 3, column 'tags': 'Müller, Anna' is one value with its comma"),
        (["a, b", "c; d"], "line 2, column 'tags': 'a, b' is one value with its comma, since 1 other"),
    ],
)
def test_a_cell_that_is_separated_unlike_the_others_is_named(write, make_replica, cells, named):
    table = write("people.csv", "\n".join(["name,tags", *(f'{at},"{cell}"' for at, cell in enumerate(cells))]))
    (doubt,) = preview_table(table, SCHEMA).doubts
    assert str(doubt).startswith(named)
    report = import_table(make_replica(SCHEMA), table, "people", key_columns=["name"])
    assert (report.doubts, report.cells_failed) == ((doubt,), 0)


@pytest.mark.parametrize("cells", [["a, b", "c"], ["a; b", "c; d, e"], ['"a, b"', "c; d"], ['["a, b"]', "c; d"]])
def test_columns_that_are_separated_alike_raise_no_doubt(write, cells):
    quoted = [cell.replace('"', '""') for cell in cells]
    table = write("people.csv", "\n".join(["name,tags", *(f'{at},"{cell}"' for at, cell in enumerate(quoted))]))
    assert preview_table(table, SCHEMA).doubts == ()


@pytest.mark.parametrize("header", ["Labels", "Group Membership"])
def test_the_star_of_a_label_of_google_is_no_part_of_it(write, make_replica, header):
    replica = make_replica(bundled_schema("customers"))
    table = write("a.csv", f"Nr,Name,{header}\n1,Anna,* myContacts\n2,Ben,Friends ::: * myContacts\n")
    import_table(replica, table, "customers")
    tags = {record.raw["name"]: sorted(record.raw["tags"]) for record in replica.list("customers")}
    assert tags == {"Anna": ["myContacts"], "Ben": ["Friends", "myContacts"]}
