"""What people wrote after an import is not undone by the next one."""

import pytest

from tests.importing.conftest import FIELDS, meet

ROW = ("1", "Anna", "Kiel", "1", "lead", "vip; new", "2", "met in May", '["called"]')


@pytest.fixture
def anna(devices):
    (anna,) = devices("anna")
    anna.take(FIELDS, ROW)
    return anna


def test_everything_goes_in_once_and_again_nothing_is_written(anna):
    head = anna.log_length()
    assert anna.replica.get(anna.record).raw == {
        "name": "Anna",
        "city": "Kiel",
        "phone": "1",
        "stage": "lead",
        "tags": ["new", "vip"],
        "visits": 2,
        "notes": "met in May",
        "timeline": [{"value": "called", "at": 0, "by": "import customers"}],
    }
    anna.restart()
    report = anna.take(FIELDS, ROW)
    assert (report.unchanged, report.cells_unchanged, report.cells_written) == (1, 8, 0)
    assert anna.log_length() == head


def test_the_same_file_again_takes_nothing_back(anna):
    with anna.replica.edit(anna.record) as person:
        person["city"] = "Bonn"
        person["phone"] = "999"
        person["stage"] = "qualified"
        person.remove("tags", "vip")
        person.add("tags", "gold")
        person.increment("visits", 5)
        person.text("notes").replace("met in May, and again in June")
        person.append("timeline", "visited")
    before = anna.values()
    anna.restart()
    report = anna.take(FIELDS, ROW)
    assert (report.unchanged, report.cells_both_changed) == (1, 0)
    assert anna.values() == before
    assert anna.conflict("phone") == []


def test_news_is_written_where_nobody_wrote(anna):
    with anna.replica.edit(anna.record) as person:
        person["city"] = "Bonn"
    news = ("1", "Anna", "Kiel", "2", "won", "vip; old", "5", "met in April", '["called", "mailed"]')
    report = anna.take(FIELDS, news)
    assert (report.updated, report.cells_written, report.cells_both_changed) == (1, 6, 0)
    raw = anna.replica.get(anna.record).raw
    assert (raw["city"], raw["phone"], raw["stage"], raw["visits"]) == ("Bonn", "2", "won", 5)
    assert (raw["tags"], raw["notes"]) == (["old", "vip"], "met in April")
    assert [entry["value"] for entry in raw["timeline"]] == ["called", "mailed"]
    assert anna.conflict("phone") == []


@pytest.mark.parametrize("field", ["city", "phone"])
def test_what_both_changed_keeps_what_the_person_wrote_and_shows_both(anna, field):
    with anna.replica.edit(anna.record) as person:
        person[field] = "theirs"
    report = anna.take([field], ("1", "table"))
    (found,) = report.conflicts
    assert (found.line, found.column, found.here, found.table) == (2, field, "theirs", "table")
    assert (report.updated, report.cells_both_changed) == (1, 1)
    assert anna.conflict(field) == ["theirs", "table"]
    assert anna.replica.get(anna.record).conflicts == (("phone",) if field == "phone" else ())
    head = anna.log_length()
    assert anna.take([field], ("1", "table")).unchanged == 1
    assert anna.log_length() == head


def test_a_table_that_changes_again_has_one_value_in_the_conflict_and_one_that_agrees_ends_it(anna):
    with anna.replica.edit(anna.record) as person:
        person["phone"] = "222"
    anna.take(["phone"], ("1", "333"))
    anna.take(["phone"], ("1", "444"))
    assert anna.conflict("phone") == ["222", "444"]
    anna.take(["phone"], ("1", "222"))
    assert anna.conflict("phone") == []
    assert anna.shows("phone") == "222"


def test_a_stage_that_both_moved_stays_and_is_reported_each_time(anna):
    with anna.replica.edit(anna.record) as person:
        person["stage"] = "qualified"
    for _ in range(2):
        report = anna.take(["stage"], ("1", "won"))
        assert [(each.here, each.table) for each in report.conflicts] == [("qualified", "won")]
    assert anna.shows("stage") == "qualified"


def test_counters_move_by_what_the_source_counted(anna):
    with anna.replica.edit(anna.record) as person:
        person.increment("visits", 5)
    anna.take(["visits"], ("1", "3"))
    assert anna.shows("visits") == 2 + 5 + 1
    with anna.replica.edit(anna.record) as person:
        person["visits"] = 10
    anna.take(["visits"], ("1", "1"))
    assert anna.shows("visits") == 8


def test_a_text_that_both_edited_is_merged(anna):
    with anna.replica.edit(anna.record) as person:
        person.text("notes").replace("met in May. Likes tea.")
    anna.take(["notes"], ("1", "met in early May"))
    assert anna.shows("notes") == "met in early May. Likes tea."


@pytest.mark.parametrize(
    ("before", "typed", "table"),
    [
        ("alter Text komplett", "Mein eigener langer Satz", "Ganz anderer Inhalt"),
        ("Ruft vor 10 Uhr an", "Nicht mehr anrufen, verzogen", "Ruft vor 11 Uhr an"),
    ],
)
def test_a_text_that_both_wrote_anew_stays_whole_and_the_tables_is_a_conflict(devices, before, typed, table):
    (anna,) = devices("anna")
    anna.take(["notes"], ("1", before))
    with anna.replica.edit(anna.record) as person:
        person["notes"] = typed
    report = anna.take(["notes"], ("1", table))
    assert (report.updated, report.cells_both_changed) == (1, 1)
    assert [(each.here, each.table) for each in report.conflicts] == [(typed, table)]
    assert (anna.shows("notes"), anna.conflict("notes")) == (typed, [typed, table])
    assert anna.replica.get(anna.record).conflicts == ("notes",)
    head = anna.log_length()
    assert (anna.take(["notes"], ("1", table)).unchanged, anna.log_length()) == (1, head)
    with anna.replica.edit(anna.record) as person:
        person.resolve("notes", table)
    assert (anna.shows("notes"), anna.conflict("notes")) == (table, [])
    assert anna.take(["notes"], ("1", table)).unchanged == 1
    assert anna.take(["notes"], ("1", before)).cells_written == 1
    assert anna.shows("notes") == before


def test_a_line_that_a_person_added_stays_whole_where_the_table_changes_the_line_above(devices):
    (anna,) = devices("anna")
    anna.take(["notes"], ("1", "zahlt spät"))
    with anna.replica.edit(anna.record) as person:
        person["notes"] = "zahlt spät\nWichtig: immer anrufen!"
    anna.take(["notes"], ("1", "zahlt pünktlich"))
    assert (anna.shows("notes"), anna.conflict("notes")) == ("zahlt pünktlich\nWichtig: immer anrufen!", [])


def test_a_text_beside_a_persons_is_no_conflict_any_more_where_the_table_comes_to_say_the_same(devices):
    anna, bert = devices("anna", "bert")
    anna.take(["notes"], ("1", "alter Text"))
    with anna.replica.edit(anna.record) as person:
        person["notes"] = "eigener Satz"
    anna.take(["notes"], ("1", "anderer Inhalt"))
    meet(anna, bert)
    assert bert.conflict("notes") == ["eigener Satz", "anderer Inhalt"]
    bert.take(["notes"], ("1", "eigener Satz"))
    meet(anna, bert)
    for device in (anna, bert):
        assert (device.shows("notes"), device.conflict("notes")) == ("eigener Satz", [])


def test_a_long_text_that_both_edited_is_reported_and_stays(devices):
    (anna,) = devices("anna")
    long = "word " * 2000
    anna.take(["notes"], ("1", long))
    with anna.replica.edit(anna.record) as person:
        person.text("notes").insert(0, "First: ")
    for _ in range(2):
        report = anna.take(["notes"], ("1", long + "end"))
        assert report.cells_both_changed == 1
    assert anna.shows("notes") == "First: " + long


def test_a_member_that_the_source_took_away_goes_unless_a_person_added_it(anna):
    with anna.replica.edit(anna.record) as person:
        person.add("tags", "new")
    anna.take(["tags"], ("1", "old"))
    assert anna.shows("tags") == ["new", "old"]


def test_an_empty_cell_says_nothing_and_cleared_only_what_the_source_said(anna):
    anna.take(["city", "phone"], ("1", "", ""))
    assert (anna.shows("city"), anna.shows("phone")) == ("Kiel", "1")
    with anna.replica.edit(anna.record) as person:
        person["city"] = "Bonn"
    report = anna.take(["city", "phone"], ("1", "", ""), clear_empty=True)
    assert (report.cells_written, report.cells_both_changed) == (1, 1)
    assert (anna.shows("city"), anna.shows("phone")) == ("Bonn", None)


def test_typed_data_is_never_overwritten_by_a_first_import(devices):
    (anna,) = devices("anna")
    with anna.replica.edit("people/1", create=True) as person:
        person["name"] = "Anna"
        person["phone"] = "999"
        person.increment("visits", 3)
        person.text("notes").replace("typed")
    record = ["people/1", *ROW[1:]]
    report = anna.take(["Record", *FIELDS], ["1", *record], record_column="Record")
    raw = anna.replica.get("people/1").raw
    assert (raw["phone"], raw["visits"], raw["notes"], raw["city"]) == ("999", 3, "typed", "Kiel")
    assert sorted(each.field for each in report.conflicts) == ["notes", "phone", "visits"]
    assert anna.conflict("phone") == ["999", "1"]


def test_another_source_that_says_the_same_is_no_news_and_its_news_is_written(anna):
    values = anna.values()
    assert anna.take(FIELDS, ROW, file="other").unchanged == 1
    head = anna.log_length()
    assert anna.take(FIELDS, ROW, file="other").unchanged == 1
    assert (anna.log_length(), anna.values()) == (head, values)
    with anna.replica.edit(anna.record) as person:
        person["city"] = "Bonn"
    report = anna.take(["city", "phone", "visits"], ("1", "Kiel", "7", "9"), file="other")
    assert (report.cells_written, report.cells_unchanged) == (2, 1)
    assert (anna.shows("city"), anna.shows("phone"), anna.shows("visits")) == ("Bonn", "7", 9)


@pytest.mark.parametrize(
    "file", ["Customers 2026-11-28", "customers (1)", "customers_2026-12", "Customers - Copy", "28.11.2026 customers"]
)
def test_the_next_version_of_a_file_is_the_same_source(anna, file):
    assert anna.take(["phone"], ("1", "2"), file=file).source == "customers"
    assert anna.shows("phone") == "2"


def test_a_source_can_be_named(anna):
    assert anna.take(["phone"], ("1", "2"), file="export", source="CRM of Berlin").source == "crm of berlin"


def test_a_dry_run_reports_and_writes_nothing(anna):
    with anna.replica.edit(anna.record) as person:
        person["phone"] = "999"
    head, values = anna.log_length(), anna.values()
    report = anna.take(["city", "phone"], ("1", "Ulm", "3"), ("2", "Kiel", ""), dry_run=True)
    assert (report.created, report.updated, report.dry_run) == (1, 1, True)
    assert [(each.field, each.here, each.table) for each in report.changes] == [("city", "Kiel", "Ulm")]
    assert [(each.field, each.here, each.table) for each in report.conflicts] == [("phone", "999", "3")]
    assert (anna.log_length(), anna.values()) == (head, values)


def test_a_timeline_of_an_export_keeps_its_times_and_authors(devices):
    (anna,) = devices("anna")
    cell = '[{"value": "called", "at": 1700000000000000, "by": "bert"}]'
    anna.take(["timeline"], ("1", cell))
    assert anna.shows("timeline") == [{"value": "called", "at": 1700000000000000, "by": "bert"}]
    assert anna.take(["timeline"], ("1", cell), file="other").unchanged == 1


def test_memory_is_no_field(anna):
    view = anna.replica.get(anna.record)
    assert "_source" not in view.raw
    assert set(view) == set(FIELDS)


@pytest.mark.parametrize("field", ["city", "phone", "tags", "notes", "timeline"])
@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("Anna@Example.com", "anna@example.com"),
        ("+49 (0)30 901820", "0049-30-901820"),
        ("Café", "Cafe\u0301"),
        ("ＡＢＣ", "ABC"),
    ],
)
@pytest.mark.parametrize("by_a_table", [True, False])
def test_another_source_that_spells_it_otherwise_leaves_what_was_typed(devices, field, typed, told, by_a_table):
    (anna,) = devices("anna")
    anna.take([field], ("1", f'["{typed}"]' if by_a_table and field == "timeline" else typed if by_a_table else ""))
    if not by_a_table:
        anna.take(["name"], ("1", "Anna"))
        with anna.replica.edit(anna.record) as person:
            if field == "timeline":
                person.append(field, typed)
            else:
                person[field] = [typed] if field == "tags" else typed
    shown = anna.shows(field)
    for _ in range(2):
        report = anna.take([field], ("1", f'["{told}"]' if field == "timeline" else told), file="other")
        assert (report.cells_written, report.cells_unchanged, anna.shows(field)) == (0, 1, shown)


def test_a_source_that_spells_its_own_cell_anew_is_news_but_takes_no_tag_away(anna):
    anna.take(["city", "tags"], ("1", "Café", "Café"))
    anna.take(["city", "tags"], ("1", "Cafe\u0301", "Cafe\u0301"))
    assert (anna.shows("city"), anna.shows("tags")) == ("Cafe\u0301", ["Café"])


def test_a_row_of_which_nothing_is_written_is_unchanged_and_its_cell_listed(devices):
    """A stage that people moved here stays, and the table's is kept nowhere."""
    (anna,) = devices("anna")
    anna.take(["name", "stage"], ("1", "Anna", "lead"))
    with anna.replica.edit(anna.record) as person:
        person["stage"] = "qualified"
    for dry_run in (True, False, False):
        report = anna.take(["name", "stage"], ("1", "Anna", "won"), dry_run=dry_run)
        assert (report.updated, report.unchanged, report.cells_both_changed) == (0, 1, 1)
        (cell,) = report.conflicts
        assert (cell.here, cell.table, cell.result, cell.kept) == ("qualified", "won", "qualified", "")
    report = anna.take(["name", "stage"], ("1", "Anne", "won"))
    assert (report.updated, report.cells_written, report.cells_both_changed) == (1, 1, 1)
