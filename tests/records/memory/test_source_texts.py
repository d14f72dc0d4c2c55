"""Texts of which versions have mixed: what they show, whoever asks."""

import sys

import pytest

from crdt_sync.limits import MEMORIES_MAX
from crdt_sync.records import Document, FieldSpec, Schema, reading_of, value_of, values_of
from crdt_sync.records.memory.source_texts import source_text_root
from crdt_sync.records.memory.sources import encode_said
from tests.records.raw_updates import array, text, update

NOW = 1_700_000_000_000_000
NAMES = ("about", "more", "notes")
SCHEMA = Schema(collection="people", version=1, fields={name: FieldSpec(kind="text") for name in NAMES})
LONG = " ".join(f"word{index}" for index in range(2500))  # beyond `TOKENS_COMPARED_MAX`, within `MIXED_LENGTH_MAX`
OTHER = " ".join(f"term{index}" for index in range(1000))
REPEATED = "a b " * 700


def mixed(field, own, held, said):
    """A field in whose root and its source's own text versions have mixed; its source says something else."""
    roots = [text(source_text_root("one", field), own), text(f"t.{field}", held)]
    return roots, array("c._source", [[encode_said({field: {"text": said}}), NOW, "m", "one"]])


def record(*fields):
    parts = []
    for each in fields:
        roots, memory = mixed(*each)
        parts += [*roots, memory]
    return Document.load((update(parts),))


@pytest.mark.parametrize("schema", [None, SCHEMA], ids=["unknown", "known"])
@pytest.mark.parametrize(("long", "said"), [(LONG, OTHER), (REPEATED, "b a " * 700)], ids=["long", "repeated"])
def test_a_long_difference_of_one_text_leaves_the_others_as_they_are(schema, long, said):
    document = record(("about", long, f"{long} {said}", said), ("notes", "one two", "one two three", "ONE two"))
    values = reading_of(document, schema).values
    assert values["notes"] == "ONE two three"
    assert {name: value_of(document, name, SCHEMA) for name in values} == values == values_of(document, schema)


@pytest.mark.parametrize("held", [3, 200])
def test_one_field_shows_what_all_together_show_however_many_share_the_work(held):
    own = " ".join(f"w{index} a" for index in range(held))
    fields = [(name, own, f"{own} b", own.replace("w1 ", "W ")) for name in NAMES]
    document = record(*fields)
    values = reading_of(document, SCHEMA).values
    assert {name: value_of(document, name, SCHEMA) for name in NAMES} == values
    assert values["about"] == f"{fields[0][3]} b"


@pytest.mark.parametrize(("count", "least"), [(1, 100_000), (40, 0)])
def test_the_work_of_all_texts_together_is_bounded(count, least):
    sources = [str(index) for index in range(MEMORIES_MAX)]
    said = {f"f{number}": {"text": "x"} for number in range(count)}
    entries = [[encode_said(said), NOW + index, "m", name] for index, name in enumerate(sources)]
    texts = [text(f"t.{name}", "abcdefghijkl " * 1200) for name in said]
    document = Document.load((update([array("c._source", entries), *texts]),))
    looked_at = 0

    def look(frame, event, argument):
        nonlocal looked_at
        if event == "c_call" and argument.__name__ == "findall":
            looked_at += max(len(frame.f_locals["old"]), len(frame.f_locals["new"]))

    sys.setprofile(look)
    try:
        reading_of(document)
    finally:
        sys.setprofile(None)
    assert least <= looked_at < 1_000_000  # characters
