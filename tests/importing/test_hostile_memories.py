"""What stands in a record in the place of a memory may come from anybody: it neither stops reading nor an import."""

import json

import pytest

from crdt_sync.exchange.known_records import last_columns
from crdt_sync.records import Document, conflicts_of
from crdt_sync.records.roots import SOURCES_ROOT
from tests.importing.conftest import FIELDS, Device
from tests.importing.test_importing_again import ROW

SAID = [
    "",
    "[]",
    '"text"',
    "NaN",
    '{"city": NaN}',
    '{"city": 1e999, "visits": {"+": -1e999}}',
    '{"visits": {"+": "1e999999"}}',
    '{"visits": {"+": [1]}, "notes": ["x"], "tags": {"a": {}}, "city": []}',
    '{"visits": {"=": "many", "+": null}, "tags": [[["x"]]], "timeline": [{}]}',
    '{"notes": "half \\ud83d of one", "city": "\\ud83d", "": ["\\ud83d"]}',
    '{"visits": ' + "9" * 5000 + "}",
    "[" * 900 + "]" * 900,
    '{"a": ' + "[" * 900 + "]" * 900 + "}",
    '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
]


@pytest.mark.parametrize("said", SAID, ids=range(len(SAID)))
@pytest.mark.parametrize("tail", [["customers"], [7], []], ids=["named", "number", "none"])
def test_a_memory_that_no_import_wrote(devices, said, tail):
    (anna,) = devices("anna")
    anna.take(FIELDS, ROW)
    _spoil(anna, [said, 1_800_000_000_000_000, "eve", *tail])
    with anna.replica.edit(anna.record) as person:
        person["city"] = "Bonn"
        person.text("notes").insert(0, "So: ")
    assert anna.shows("city") == "Bonn"
    conflicts_of(anna.replica.document(anna.record), anna.schema, all_kinds=True)
    report = anna.take(FIELDS, ROW)
    assert report.failures == 0
    assert anna.shows("city") == "Bonn"
    head = anna.log_length()
    anna.take(FIELDS, ROW)
    assert anna.log_length() == head


def _spoil(device: Device, entry: list[object], record: str = "") -> None:
    """Put an entry into the memory, as an update of somebody else."""
    record = record or device.record
    document = Document.load(device.store.load(record).updates, 77)
    with document.transaction() as transaction:
        array = document.array(transaction, SOURCES_ROOT)
        assert len(json.loads(array.to_json(transaction))) == 1
        array.insert(transaction, 0, entry)
    device.give(record, document.diff(device.store.load(record).head.state_vector))


def test_what_one_record_says_of_the_key_decides_for_nobody(devices):
    (anna,) = devices("anna")
    anna.take(("name", "city"), ("1", "Ann", "Bonn"), ("2", "Ben", "Bonn"), ("3", "Cem", "Bonn"))
    said = json.dumps({"": ["city"]})
    _spoil(anna, [said, 1_800_000_000_000_000, "eve", "customers"], next(iter(anna.replica.list("people"))).record)
    views = list(anna.replica.list("people", deleted=True))
    assert any(memory.said.get("") == ["city"] for view in views for memory in view.sources)
    for order in (views, views[::-1]):
        assert last_columns(order, "customers").key == ("Nr",)
    assert last_columns(views, "other").key == ()
