"""The text that tells what a renewed record was made of: its forms, its size, and what makes no sense."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.errors import UpdateRefused
from crdt_sync.records import Document, values_of
from crdt_sync.records.lineages.document_dots import dots_of
from crdt_sync.records.lineages.lineage import lineage_of
from crdt_sync.records.lineages.provenance import Lineage, parsed
from crdt_sync.records.lineages.renewal import renewed
from tests.records.lineages.devices import LIFE, SCHEMA, START, person


def test_a_provenance_without_memories_is_read() -> None:
    """Form 1, of records renewed by an earlier build: all of its dots count as edits."""
    (cover, clock), (run, *_) = (7, 3), [(0, 0, 1)]
    data = bytes([1, 1, 1, cover, clock, 1, *run, 0])
    told = parsed(base64.urlsafe_b64encode(data).decode().rstrip("="), 99, 2)
    assert told.edited == told.cover == {7: 3}


def test_a_provenance_of_form_2_is_read() -> None:
    """Ids and clocks as they are: writers 7 and 9, a run of what is live, what both counted, and a memory of 9."""
    told = [2, 1, 2, 7, 3, 2, 200, 1, 0, 0, 1, 1, 2, 2, 0, 2, 10, 1, 99, 5, 1, 1, 4]
    data = bytes(byte for number in told for byte in ([number] if number < 128 else [number & 127 | 128, number >> 7]))
    assert parsed(base64.urlsafe_b64encode(data).decode().rstrip("="), 99, 2) == Lineage(
        1, 99, 2, {7: 3, 9: 200}, ((7, 0, 1),), {2: ((7, 2, 5), (9, 99, -3))}, {7: 3, 9: 196}
    )


def test_a_life_whose_record_is_renewed_again_and_again_is_told_of_in_few_bytes() -> None:
    document, sizes = Document(), []
    for number in range(60):
        writer = lineage_of(document).following(LIFE)
        assert writer == LIFE + number
        document, editor = person(document, writer, START + 1000 * number)
        editor.increment("visits", 2 if number % 7 else -1)
        editor["city"] = f"City {number % 10}"
        document = renewed(document)
        sizes.append(document.size)
    made_of = lineage_of(document)
    assert made_of.cover.keys() == set(range(LIFE, LIFE + 60))
    assert made_of.shared == {}  # one dot has what all of them counted
    assert values_of(document, SCHEMA)["visits"] == 2 * 60 - 3 * 9
    assert sizes[-1] - sizes[9] <= 50 * 3


@given(st.text(alphabet="ABCabc019-_", max_size=24))
def test_a_provenance_that_makes_no_sense_is_refused(text: str) -> None:
    document = Document(5)
    with document.transaction() as transaction:
        document.array(transaction, "g.lineage").insert(transaction, 0, text)
    with pytest.raises(UpdateRefused):
        dots_of(document)
