"""What an import brought and a repair cannot save is named where writing it again would add it to another device's."""

import pytest

from crdt_sync.records import Document, values_of
from crdt_sync.replica.rescue import Rewriting, View
from tests.importing.conftest import FIELDS, PEOPLE

ROW = ("1", "Anna", "Kiel", "5", "lead", "vip", "12", "a note", "called")


@pytest.fixture
def rewritten(devices):
    """Make a record, lose all of it, and write again what was shown: fields written, fields lost, device, document."""

    def rewrite(make):
        (anna,) = devices("anna")
        make(anna)
        view = anna.store.view(anna.record)
        document = Document.load([], 7)
        written, losses = Rewriting(anna.record, document, PEOPLE, "anna", 1, shared=False).run(View.stored(view), ())
        return set(written), {loss.field: loss.detail for loss in losses}, document

    return rewrite


def test_what_adds_up_and_was_imported_is_named(rewritten):
    written, lost, document = rewritten(lambda device: device.take(FIELDS, ROW))
    assert set(lost) == {"visits", "notes", "timeline"}
    assert all("import its table again" in detail for detail in lost.values())
    assert written == {"name", "city", "phone", "stage", "tags"}
    assert values_of(document, PEOPLE)["city"] == "Kiel"


def test_what_nobody_imported_is_written_again(rewritten):
    def make(device):
        device.take(("name",), ROW[:2])
        with device.replica.edit(device.record) as person:
            person.increment("visits", 12)
            person.text("notes").replace("mine")

    written, lost, document = rewritten(make)
    assert (written, lost) == ({"name", "visits", "notes"}, {})
    assert values_of(document, PEOPLE)["visits"] == 12
