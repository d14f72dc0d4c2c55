"""Beside more memories of others than are read of a record, what one source said is not lost."""

import pytest

from crdt_sync.clock import HybridClock
from crdt_sync.limits import MEMORIES_MAX
from crdt_sync.records import Document
from crdt_sync.records.memory.memories import remember, settle, sources_of
from crdt_sync.records.memory.sources import encode_said, read_sources
from crdt_sync.records.roots import SOURCES_ROOT
from tests.records.raw_updates import array, update

NOW = 1_700_000_000_000_000
OTHERS = [[encode_said({"city": "Ulm"}), NOW + 10 + index, "m", f"other{index}"] for index in range(MEMORIES_MAX)]


def entry(stamp, **said):
    return [encode_said(said), NOW + stamp, "m", "one"]


def record(*entries):
    return Document.load((update([array(SOURCES_ROOT, [*entries, *OTHERS])]),), 77)


def said_of(document, source):
    """What entries of a source say, in the order of their stamps, whether they are read with the record or not."""
    raw = [each for each in document.contents()[SOURCES_ROOT] if each[3] == source]
    return [dict(each.said) for each in read_sources(raw)][::-1]


@pytest.mark.parametrize("apart", [1, 3])
def test_an_import_keeps_what_its_source_said_of_other_fields(apart):
    document = record(*(entry(index, city="Bonn", **{f"f{index}": index}) for index in range(apart)))
    assert all(each.name != "one" for each in sources_of(document))
    remember(document, HybridClock(lambda: NOW), "m", "one", {"city": "Kiel"})
    *kept, last = said_of(document, "one")
    assert kept == [{f"f{index}": index} for index in range(apart)]
    assert last["city"] == "Kiel"
    assert said_of(document, "other7") == [{"city": "Ulm"}]


@pytest.mark.parametrize("count", [MEMORIES_MAX, MEMORIES_MAX + 40])
def test_an_import_keeps_what_its_source_said_in_however_many_entries(count):
    document = record(*(entry(index - count, **{f"f{index}": index}) for index in range(count)))
    remember(document, HybridClock(lambda: NOW), "m", "one", {"city": "Kiel"})
    said = {field: each for memory in said_of(document, "one") for field, each in memory.items() if field != "<"}
    assert said == {"city": "Kiel", **{f"f{index}": index for index in range(count)}}


def test_a_decision_forgets_only_what_is_older_of_a_source():
    document = record(entry(0, notes={"text": "old"}), entry(1, notes={"text": "new"}, name="Ann"))
    settle(document, "notes")
    assert said_of(document, "one") == [{"notes": {"text": "new"}, "name": "Ann"}]
    assert said_of(document, "other7") == [{"city": "Ulm"}]


@pytest.mark.parametrize("said", [["x"], {"x": 1}, None])
@pytest.mark.parametrize("source", ["one", ["one"], {"one": 1}])
def test_what_stands_in_the_place_of_a_memory_stops_no_import_and_no_decision(said, source):
    document = Document.load(
        (update([array(SOURCES_ROOT, [[said, NOW + 2, "m", source], entry(0, notes="old"), entry(1, notes="new")])]),),
        77,
    )
    settle(document, "notes")
    assert said_of(document, "one") == [{"notes": "new"}]
    remember(document, HybridClock(lambda: NOW), "m", "one", {"city": "Kiel"})
    assert [each.get("notes") for each in said_of(document, "one")] == ["new", None]
