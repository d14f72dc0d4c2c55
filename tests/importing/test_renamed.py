"""A file under another name is another source: it is said once what that means, and remembered from then on."""

import pytest

from tests.importing.conftest import meet


@pytest.fixture
def anna(devices):
    (anna,) = devices("anna")
    anna.take(["phone", "visits"], ("1", "1", "5"))
    with anna.replica.edit(anna.record) as person:
        person.increment("visits", 3)
    return anna


def test_a_count_that_both_changed_is_reported_once_and_then_counted(anna):
    report = anna.take(["phone", "visits"], ("1", "1", "6"), file="renamed")
    assert (report.cells_both_changed, report.renamed, anna.shows("visits")) == (1, "customers", 8)
    head = anna.log_length()
    report = anna.take(["phone", "visits"], ("1", "1", "6"), file="renamed")
    assert (report.unchanged, report.renamed, anna.log_length()) == (1, None, head)
    assert anna.take(["phone", "visits"], ("1", "1", "8"), file="renamed").cells_written == 1
    assert anna.shows("visits") == 10


def test_the_old_name_counts_what_changed_in_the_file_also_afterwards(anna):
    anna.take(["phone", "visits"], ("1", "1", "6"), file="renamed")
    report = anna.take(["phone", "visits"], ("1", "1", "6"), file="renamed", source="customers")
    assert (report.cells_written, report.cells_both_changed, anna.shows("visits")) == (1, 0, 9)


def test_a_renamed_file_without_contradictions_needs_no_hint(anna):
    report = anna.take(["phone", "visits"], ("1", "2", "5"), file="renamed")
    assert (report.cells_written, report.cells_both_changed, report.renamed) == (1, 0, None)


def test_over_what_was_typed_there_is_no_other_source(devices):
    (anna,) = devices("anna")
    with anna.replica.edit("people/1", create=True) as person:
        person.increment("visits", 3)
    columns = ["Id", "visits"]
    report = anna.take(columns, ("1", "people/1", "4"), record_column="Id")
    assert (report.cells_both_changed, report.renamed) == (1, None)
    assert anna.take(columns, ("1", "people/1", "5"), record_column="Id").cells_written == 1
    assert anna.shows("visits") == 4


def test_two_devices_that_import_the_renamed_file_report_and_count_alike(devices):
    anna, bert = devices("anna", "bert")
    anna.take(["visits"], ("1", "5"))
    with anna.replica.edit(anna.record) as person:
        person.increment("visits", 3)
    meet(anna, bert)
    for device in (anna, bert):
        assert device.take(["visits"], ("1", "6"), file="renamed").cells_both_changed == 1
    meet(anna, bert)
    for device in (anna, bert):
        device.take(["visits"], ("1", "7"), file="renamed")
    meet(anna, bert)
    assert (anna.shows("visits"), bert.shows("visits")) == (9, 9)
