"""An edited export that is imported on the device that wrote it, on another that did not, or on both."""

import pytest

from crdt_sync.exchange import ExportOptions, Exports, export_table, import_table
from tests.importing.conftest import Lines, meet

COLUMNS = ("Id", "city", "visits", "tags", "notes")
RECORD = "people/" + "abcdefg234567" * 2
BEFORE = {"city": "Kiel", "visits": 9, "tags": ["vip"], "notes": "one two three"}
AFTER = {"city": "Bonn", "visits": 20, "tags": ["gold", "vip"], "notes": "one zwei three"}


@pytest.fixture
def office(devices, tmp_path):
    """anna has exported the record, which bert holds as well; what each imports is the file with other cells."""
    anna, bert = devices("anna", "bert")
    with anna.replica.edit(RECORD, create=True) as person:
        person.update({"city": "Kiel", "notes": "one two three"})
        person.increment("visits", 9)
        person.add("tags", "vip")
    meet(anna, bert)
    exports = Exports(tmp_path / "exports")
    options = ExportOptions(record_column="Id")
    export_table(anna.replica, "people", tmp_path / "people.csv", options, exports=exports, now=1)
    known = {"anna": exports, "bert": Exports(tmp_path / "none")}

    def bring(device, *cells):
        row = (RECORD, *(cells or ("Bonn", "20", "gold; vip", "one zwei three")))
        return import_table(
            device.replica, Lines(COLUMNS, [row], "people"), "people", record_column="Id", exports=known[device.name]
        )

    return anna, bert, bring


def shown(device) -> dict:
    return {field: device.replica.get(RECORD).raw.get(field) for field in BEFORE}


@pytest.mark.parametrize("first", ["anna", "bert"])
def test_an_edit_that_was_accepted_here_stays_where_another_device_imports_the_same_file(office, first):
    anna, bert, bring = office
    for device in (anna, bert) if first == "anna" else (bert, anna):
        bring(device)
    assert shown(anna) == AFTER
    meet(anna, bert)
    assert shown(anna) == shown(bert) == AFTER
    for device in (anna, bert):
        head = device.log_length()
        assert (bring(device).unchanged, device.log_length()) == (1, head)
    bring(bert, "Bonn", "21", "gold; vip", "one zwei three")
    meet(anna, bert)
    assert (anna.shows("visits"), bert.shows("visits")) == (21, 21)


def test_what_only_another_device_imported_is_completed_by_the_device_that_wrote_the_export(office):
    anna, bert, bring = office
    bring(bert)
    meet(anna, bert)
    bring(anna)
    meet(anna, bert)
    assert shown(anna) == shown(bert) == AFTER


def test_a_version_of_unknown_base_is_counted_on_from_one_whose_base_was_known(office):
    anna, bert, bring = office
    bring(anna)
    bring(bert, "Bonn", "25", "gold; vip", "one zwei three")
    meet(anna, bert)
    assert anna.shows("visits") == bert.shows("visits") == 25


def test_what_nobody_changed_is_written_by_an_export_that_another_device_wrote(office):
    _, bert, bring = office
    report = bring(bert)
    assert bert.shows("city") == "Bonn"
    assert sorted(each.field for each in report.conflicts) == ["notes", "visits"]


@pytest.mark.parametrize("seen", ["both states", "the last"])
def test_what_somebody_changed_since_is_not_set_back_by_it(office, devices, seen):
    anna, bert, bring = office
    with anna.replica.edit(RECORD) as person:
        person["city"] = "Ulm"
    if seen == "the last":
        (bert,) = devices("bert")
    meet(anna, bert)
    bring(bert)
    assert (bert.shows("city"), bert.conflict("city")) == ("Ulm", ["Ulm", "Bonn"])
