"""Different versions of one table on devices that know nothing of each other: the newer one, and a conflict."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from crdt_sync.cli import reading
from crdt_sync.cli.output import Output
from crdt_sync.errors import InvalidValue, NoConflict
from crdt_sync.limits import FIELDS_MAX, ROOTS_MAX
from crdt_sync.records import parse_schema
from crdt_sync.records.memory.memories import ENTRIES_APART_MAX
from tests.importing.conftest import meet
from tests.importing.test_two_devices import same

BASE = "alpha beta gamma delta"


@pytest.fixture
def pair(devices):
    anna, bert = devices("anna", "bert")
    return anna, bert


def started(pair, field, value):
    """Both devices have the record as one import made it."""
    pair[0].take([field], ("1", value))
    meet(*pair)
    return pair


def apart(pair, field, older, newer):
    """Each imports a version of its own, the second device the newer one; then they meet."""
    for device, version in zip(pair, (older, newer), strict=True):
        device.take([field], ("1", version))
    meet(*pair)
    return pair


def lines(device):
    return [entry["value"] for entry in device.shows("timeline") or []]


def shown(device, field):
    return lines(device) if field == "timeline" else device.shows(field)


FIRST_VERSIONS = [
    ("notes", "alpha BETA gamma", "alpha beta2 gamma", "alpha BETA gamma", "alpha beta2 gamma"),
    ("tags", "vip; old", "vip; new", ["old", "vip"], ["new", "vip"]),
    ("visits", "5", "6", 5, 6),
]


@pytest.mark.parametrize(("field", "older", "newer", "said_before", "said"), FIRST_VERSIONS)
@pytest.mark.parametrize("first", [True, False])
def test_the_newer_is_shown_with_a_conflict_and_importing_either_again_writes_nothing(
    pair, field, older, newer, said_before, said, first
):
    anna, bert = pair if first else started(pair, field, {"notes": BASE, "tags": "vip; old; x", "visits": "2"}[field])
    apart(pair, field, older, newer)
    same(anna, bert)
    for device in (anna, bert):
        assert device.shows(field) == said
        assert device.conflict(field) == [said, said_before]
        assert device.replica.get(device.record).conflicts == (field,)
        for table in (newer, older):
            head = device.log_length()
            assert device.take([field], ("1", table)).unchanged == 1
            assert device.log_length() == head


def test_what_only_the_newer_version_still_has_is_there(pair):
    anna, bert = started(pair, "tags", "vip; old")
    apart(pair, "tags", "vip", "vip; old; new")
    assert anna.shows("tags") == bert.shows("tags") == ["new", "old", "vip"]


def test_what_only_the_older_version_has_is_not_there(pair):
    anna, bert = started(pair, "tags", "vip; old")
    apart(pair, "tags", "vip; old; new", "vip")
    assert anna.shows("tags") == bert.shows("tags") == ["vip"]


def test_members_that_people_added_and_removed_meanwhile_stay_so(pair):
    anna, bert = started(pair, "tags", "vip; old; paid")
    anna.take(["tags"], ("1", "vip; old; paid; late"))
    with anna.replica.edit(anna.record) as person:
        person.add("tags", "mine")
        person.remove("tags", "paid")
    bert.take(["tags"], ("1", "vip; paid; new"))
    meet(anna, bert)
    assert anna.shows("tags") == bert.shows("tags") == ["mine", "new", "vip"]


def test_a_member_that_only_the_older_version_has_can_be_added_and_is_kept(pair):
    anna, bert = started(pair, "tags", "vip")
    apart(pair, "tags", "vip; old", "vip; new")
    with anna.replica.edit(anna.record) as person:
        person["tags"] = ["vip", "old"]
    meet(anna, bert)
    assert bert.shows("tags") == ["old", "vip"]


@pytest.mark.parametrize(
    ("older", "newer", "edit", "expected"),
    [
        (
            "alpha BETA gamma delta",
            "alpha BETA2 gamma delta",
            ("delta", "delta omega"),
            "alpha BETA2 gamma delta omega",
        ),
        ("alpha BETA gamma delta", "alpha BETA gamma delta", ("delta", "delta omega"), "alpha BETA gamma delta omega"),
        ("cake is so nice", "pies are so nice", ("nice", "very nice"), "pies are so very nice"),
        ("alpha beta gamma delta epsilon", "alpha gamma delta", ("alpha", "my alpha"), "my alpha gamma delta"),
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("whose", [0, 1])
@pytest.mark.parametrize("first", [True, False])
def test_a_persons_edit_of_a_text_stays_in_the_newer_version(pair, older, newer, edit, expected, when, whose, first):
    devices = pair if first else started(pair, "notes", BASE if "alpha" in older else "cake was so nice")

    def edit_text():
        device = devices[whose]
        with device.replica.edit(device.record) as person:
            person["notes"] = str(person.text("notes")).replace(*edit)

    if when == "before" and not first:
        edit_text()
    devices[0].take(["notes"], ("1", older))
    devices[1].take(["notes"], ("1", newer))
    if when == "after" or first:
        edit_text()
    meet(*devices)
    same(*devices)
    assert devices[0].shows("notes") == expected
    assert devices[0].conflict("notes") == ([] if older == newer else [newer, older])


def test_a_text_is_edited_as_it_is_shown_and_the_conflict_stays(pair):
    anna, bert = started(pair, "notes", BASE)
    apart(pair, "notes", "alpha BETA gamma delta", "alpha beta2 gamma")
    with anna.replica.edit(anna.record) as person:
        text = person.text("notes")
        assert str(text) == "alpha beta2 gamma"
        text.insert(len(text), "!")
    with bert.replica.edit(bert.record) as person:
        person.text("notes").insert(0, "?")
    meet(anna, bert)
    same(anna, bert)
    assert anna.shows("notes") == "?alpha beta2 gamma!"
    assert anna.conflict("notes") == ["alpha beta2 gamma", "alpha BETA gamma delta"]


def test_versions_that_share_nothing_end_as_the_newer(pair):
    anna, bert = started(pair, "notes", "a b")
    apart(pair, "notes", "a", "b")
    for device in (anna, bert):
        device.restart()
        assert device.shows("notes") == "b"


def test_several_imports_on_each_side(pair):
    anna, bert = started(pair, "notes", BASE)
    anna.take(["notes"], ("1", "alpha one gamma delta"))
    apart(pair, "notes", "alpha one two gamma delta", "alpha beta gamma three")
    assert anna.shows("notes") == bert.shows("notes") == "alpha beta gamma three"


@pytest.mark.parametrize(
    ("field", "older", "newer", "third", "expected"),
    [
        ("notes", "alpha one gamma", "alpha two gamma", "alpha three gamma", "alpha three gamma"),
        ("tags", "vip; old", "vip; new", "vip", ["vip"]),
        ("visits", "5", "6", "7", 7),
        ("phone", "1", "2", "3", "3"),
        ("city", "Kiel", "Ulm", "Bonn", "Bonn"),
    ],
)
def test_a_third_version_settles_the_conflict_and_says_so(pair, field, older, newer, third, expected):
    anna, bert = apart(pair, field, older, newer)
    report = bert.take([field], ("1", third))
    (settled,) = report.settled
    assert (settled.field, report.cells_settled) == (field, 1)
    meet(anna, bert)
    same(anna, bert)
    assert anna.shows(field) == expected
    assert anna.conflict(field) == []
    assert bert.take([field], ("1", third)).settled == ()


@pytest.mark.parametrize("dry_run", [True, False])
def test_what_settles_and_counts_on_says_what_comes_of_it(pair, dry_run):
    _, bert = apart(pair, "visits", "5", "6")
    with bert.replica.edit(bert.record) as person:
        person.increment("visits", 2)
    (settled,) = bert.take(["visits"], ("1", "7"), dry_run=dry_run).settled
    assert (settled.here, settled.table, settled.result) == (8, 7, 9)
    assert bert.shows("visits") == (8 if dry_run else 9)


def test_what_is_in_conflict_with_people_instead_is_not_settled(pair):
    _, bert = apart(pair, "notes", "tea", "coffee")
    with bert.replica.edit(bert.record) as person:
        person["notes"] = "coffee and cake"
    report = bert.take(["notes"], ("1", "juice"))
    assert (report.settled, report.cells_settled, report.cells_both_changed) == ((), 0, 1)
    assert bert.conflict("notes") == ["coffee and cake", "juice"]


def test_an_import_of_other_fields_settles_nothing(pair):
    anna, bert = pair
    columns = ["visits", "notes", "tags"]
    anna.take(columns, ("1", "1", "one", "a"))
    bert.take(columns, ("1", "2", "two", "b"))
    meet(anna, bert)
    assert anna.take(["city"], ("1", "Kiel")).settled == ()
    meet(anna, bert)
    assert [anna.conflict(field) for field in columns] == [[2, 1], ["two", "one"], [["b"], ["a"]]]
    assert [anna.shows(field) for field in columns] == [2, "two", ["b"]]
    assert bert.take(columns, ("1", "1", "one", "a")).unchanged == 1


def test_fields_that_the_newer_import_does_not_have_stay(pair):
    anna, bert = pair
    anna.take(["visits", "tags", "notes"], ("1", "5", "vip", "one"))
    bert.take(["city"], ("1", "Kiel"))
    meet(anna, bert)
    assert (bert.shows("visits"), bert.shows("tags"), bert.shows("notes")) == (5, ["vip"], "one")
    assert bert.take(["visits"], ("1", "6")).updated == 1
    assert bert.shows("visits") == 6


@pytest.mark.parametrize(("field", "older", "newer", "said_before", "said"), FIRST_VERSIONS)
@pytest.mark.parametrize("keep_older", [True, False])
def test_a_person_decides(pair, field, older, newer, said_before, said, keep_older):
    anna, bert = apart(pair, field, older, newer)
    decision = said_before if keep_older else said
    anna.replica.resolve(anna.record, field, decision)
    meet(anna, bert)
    same(anna, bert)
    assert bert.shows(field) == decision
    assert bert.conflict(field) == []
    assert bert.take([field], ("1", newer)).unchanged == 1
    with pytest.raises(NoConflict):
        bert.replica.resolve(bert.record, field, decision)


def test_lines_of_both_versions_are_kept_until_a_person_decides(pair):
    anna, bert = started(pair, "timeline", '["called"]')
    apart(pair, "timeline", '["called", "maled"]', '["called", "mailed", "called"]')
    same(anna, bert)
    assert sorted(lines(anna)) == ["called", "called", "mailed", "maled"]
    assert anna.replica.get(anna.record).conflicts == ("timeline",)
    with pytest.raises(InvalidValue):
        anna.replica.resolve(anna.record, "timeline", ["met"])
    anna.replica.resolve(anna.record, "timeline", [])
    meet(anna, bert)
    assert sorted(lines(bert)) == ["called", "called", "mailed"]
    assert bert.replica.get(bert.record).conflicts == ()


def test_a_version_with_more_lines_is_no_conflict(pair):
    anna, _ = apart(pair, "timeline", '["called"]', '["called", "mailed"]')
    assert lines(anna) == ["called", "mailed"]
    assert anna.replica.get(anna.record).conflicts == ()


@pytest.mark.parametrize("again", [False, True])
def test_an_import_without_news_of_a_field_undoes_nothing_that_another_said_of_it(pair, again):
    columns = ["city", "visits", "tags", "notes", "timeline"]
    anna, bert = pair
    anna.take(columns, ("1", "Kiel", "1", "a", "one", "called"))
    meet(anna, bert)
    bert.take(columns, ("1", "Kiel", "2", "b", "two", "called"))
    if again:
        anna.take(columns, ("1", "Ulm", "1", "a", "one", "called"))
    else:
        anna.take(["city"], ("1", "Ulm"))
    meet(anna, bert)
    same(anna, bert)
    assert [anna.shows(field) for field in columns[:4]] == ["Ulm", 2, ["b"], "two"]
    assert anna.replica.get(anna.record).conflicts == ()
    assert anna.take(columns, ("1", "Ulm", "1", "a", "one", "called")).cells_written == 3
    assert [anna.shows(field) for field in columns[:4]] == ["Ulm", 1, ["a"], "one"]


def test_what_is_remembered_of_a_source_stays_small(pair):
    anna, _ = pair
    for number in range(12):
        anna.take(
            ["city", "visits", "notes"], ("1", "Kiel" if number % 2 else "Ulm", str(number // 3), f"n {number // 4}")
        )
    assert len(anna.replica.document(anna.record).contents()["c._source"]) <= 3


def test_of_stages_that_imports_say_the_newer_is_shown(pair):
    anna, bert = started(pair, "stage", "lead")
    apart(pair, "stage", "won", "qualified")
    assert anna.conflict("stage") == bert.conflict("stage") == ["qualified", "won"]
    assert anna.take(["stage"], ("1", "won")).unchanged == 1
    assert anna.take(["stage"], ("1", "lead")).cells_settled == 1
    assert (anna.shows("stage"), anna.conflict("stage")) == ("lead", [])


def test_a_record_can_hold_the_texts_of_a_source_beside_as_many_fields_as_a_schema_has():
    assert ROOTS_MAX >= 2 * FIELDS_MAX


def test_many_imports_of_one_field_each_are_remembered_in_few_entries(devices):
    names = [f"f{number}" for number in range(40)]
    schema = parse_schema("collection = 'wide'\nversion = 1\n" + "".join(f"[fields.{n}]\n" for n in names), "test")
    (anna,) = devices("anna", schema=schema)
    for name in names:
        anna.take([name], ("1", name))
    assert len(anna.replica.document(anna.record).contents()["c._source"]) <= ENTRIES_APART_MAX + 1
    for name in names:
        assert anna.take([name], ("1", name)).unchanged == 1


def test_get_shows_what_a_person_typed_beside_what_the_imports_said(pair):
    anna, _ = apart(pair, "notes", "alpha one", "alpha two")
    with anna.replica.edit(anna.record) as person:
        person["notes"] = "alpha two, typed"
    shown = []
    view = anna.replica.get(anna.record)
    output = cast(Output, SimpleNamespace(show=shown.append))
    reading._show_record(output, view, anna.schema, anna.replica.conflicts_of(anna.record))
    (cell,) = (str(each) for each in shown[0].columns[1].cells)
    assert [line.partition("  import")[0] for line in cell.splitlines()] == [
        "* alpha two, typed",
        "alpha two",
        "alpha one",
    ]


def test_a_stage_that_a_person_decides_goes_on_from_the_one_that_is_shown(devices):
    schema = parse_schema(
        """
        collection = "people"
        version = 1
        [fields.stage]
        kind = "stage"
        states = ["lead", "qualified", "lost", "won"]
        [fields.stage.transitions]
        lead = ["qualified", "won"]
        qualified = ["lost"]
        won = []
        """,
        "test",
    )
    anna, _ = apart(started(devices("anna", "bert", schema=schema), "stage", "lead"), "stage", "won", "qualified")
    assert anna.shows("stage") == "qualified"
    with anna.replica.edit(anna.record) as person:
        person.resolve("stage", "lost")
    assert anna.shows("stage") == "lost"


SUCCESSIONS = [
    ("notes", "alpha BETA", "alpha beta2", "alpha beta3"),
    ("tags", "vip; old", "vip; new", "vip; newer"),
    ("visits", "5", "6", "8"),
    ("timeline", "called", '["called", "mailed"]', '["called", "mailed", "met"]'),
    ("city", "Kiel", "Ulm", "Bonn"),
]


@pytest.mark.parametrize(("field", "first", "second", "third"), SUCCESSIONS)
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("both", [False, True])
def test_what_another_device_said_alike_is_superseded_by_a_version_that_knew_it(
    pair, field, first, second, third, late, both
):
    anna, bert = pair
    versions = [first, second, third] if both else [first, second]
    if not late:
        anna.take([field], ("1", first))
    for version in versions:
        bert.take([field], ("1", version))
    if late:
        anna.take([field], ("1", first))
    if both:
        anna.take([field], ("1", second))
    meet(anna, bert)
    same(anna, bert)
    wanted = bert.shows(field)
    assert anna.conflict(field) in ([], [anna.shows(field)])
    assert anna.replica.get(anna.record).conflicts == ()
    alone = cast(Any, type(anna))("carl", [1_700_000_000_000_000])
    alone.take([field], ("1", versions[-1]))
    assert field == "timeline" or wanted == alone.shows(field)


def test_who_went_back_on_purpose_is_not_taken_for_who_never_went_on(pair):
    anna, bert = pair
    for version in ("5", "6", "5"):
        anna.take(["visits"], ("1", version))
    for version in ("5", "7"):
        bert.take(["visits"], ("1", version))
    meet(anna, bert)
    assert anna.conflict("visits") == bert.conflict("visits") == [7, 5]


def test_what_people_counted_meanwhile_is_counted_once(pair):
    anna, bert = pair
    for device in pair:
        device.take(["visits"], ("1", "3"))
        with device.replica.edit(device.record) as person:
            person.increment("visits", 1)
    bert.take(["visits"], ("1", "5"))
    meet(anna, bert)
    assert [device.shows("visits") for device in pair] == [7, 7]
    assert anna.conflict("visits") == []


def test_a_text_that_waited_and_is_merged_by_the_next_version_is_told_as_written(devices):
    (anna,) = devices("anna")
    anna.take(["notes"], ("1", "likes coffee and tea"))
    with anna.replica.edit(anna.record) as person:
        person["notes"] = "likes coffee and tea often"
    waits = anna.take(["notes"], ("1", "likes coffee and tea daily"))
    assert (waits.cells_both_changed, anna.shows("notes")) == (1, "likes coffee and tea often")
    report = anna.take(["notes"], ("1", "loves coffee and tea"))
    assert (report.cells_written, report.cells_both_changed, report.conflicts) == (1, 0, ())
    assert [cell.result for cell in report.changes] == [anna.shows("notes")] == ["loves coffee and tea often"]
    assert anna.conflict("notes") == []
