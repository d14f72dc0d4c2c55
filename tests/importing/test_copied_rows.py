"""A row of an export for editing that was copied and edited: the row that nobody edited is the record."""

import pytest

from crdt_sync.exchange.table import BASE_HEADER
from tests.importing.conftest import meet
from tests.importing.test_carried_base import LONG, Sheet, person


@pytest.fixture
def anna(devices):
    anna, bert = devices("anna", "bert")
    person(
        anna, "people/1", name="Müller GmbH", city="Kiel", visits=5, tags=["vip", "old"], notes=LONG.replace("\n", " ")
    )
    person(anna, "people/2", name="Zoe", city="Bonn", visits=1)
    meet(anna, bert)
    return anna


BRANCH = {"name": "Müller Filiale", "city": "Pirna", "visits": "0"}


def brought(anna, sheet):
    report = sheet.bring(anna)
    return report, [(problem.line, problem.column, problem.code) for problem in report.failed]


@pytest.mark.parametrize("first", [True, False])
def test_the_row_that_is_as_it_was_exported_is_the_record_wherever_the_copy_stands(anna, tmp_path, first):
    sheet = Sheet(anna, tmp_path / "people.csv")
    original = sheet.row("Müller GmbH")
    sheet.rows.insert(0 if first else len(sheet.rows), {**original, **BRANCH})
    before, head = anna.values(), anna.log_length()
    report, failed = brought(anna, sheet)
    copy, line = (2, sheet.rows.index(original) + 2) if first else (4, 2)
    assert failed == [(copy, BASE_HEADER, "duplicate_key")]
    assert f"a copy of line {line}" in report.failed[0].message
    assert (report.unchanged, anna.values(), anna.log_length()) == (2, before, head)
    sheet.row("Müller Filiale")[BASE_HEADER] = ""  # as the error says
    report, failed = brought(anna, sheet)
    assert (failed, report.created) == ([], 1)
    names = sorted(view.raw["name"] for view in anna.replica.list("people"))
    assert names == ["Müller Filiale", "Müller GmbH", "Zoe"]
    assert anna.replica.get("people/1").raw["visits"] == 5


@pytest.mark.parametrize("edits", [[{"city": "Ulm"}, BRANCH], [BRANCH, {"city": "Ulm"}, {"notes": ""}]])
def test_where_no_row_is_as_it_was_exported_none_is_written(anna, tmp_path, edits):
    sheet = Sheet(anna, tmp_path / "people.csv")
    original = sheet.row("Müller GmbH")
    sheet.rows.remove(original)
    sheet.rows += [{**original, **edit} for edit in edits]
    before = anna.values()
    report, failed = brought(anna, sheet)
    assert failed == [(line, BASE_HEADER, "duplicate_key") for line in range(3, 3 + len(edits))]
    assert "lines 3, 4" in report.failed[0].message
    assert anna.values() == before


def test_of_several_copies_those_that_were_edited_are_refused(anna, tmp_path):
    sheet = Sheet(anna, tmp_path / "people.csv")
    original = sheet.row("Müller GmbH")
    sheet.rows = [{**original, **BRANCH}, original, {**original, "tags": "new"}, dict(original)]
    before = anna.values()
    assert brought(anna, sheet)[1] == [(2, BASE_HEADER, "duplicate_key"), (4, BASE_HEADER, "duplicate_key")]
    assert anna.values() == before


def test_an_edited_row_that_stands_there_twice_is_one_edit(anna, tmp_path):
    sheet = Sheet(anna, tmp_path / "people.csv")
    sheet.row("Müller GmbH").update(visits="7")
    sheet.rows.append(dict(sheet.row("Müller GmbH")))
    report, failed = brought(anna, sheet)
    assert (failed, report.updated) == ([], 1)
    assert anna.replica.get("people/1").raw["visits"] == 7
