"""What a renewal and a join of lineages keep: late edits, counters, conflicts, deletions, what imports have to know."""

from unittest.mock import patch

import pytest

from crdt_sync.clock import HybridClock
from crdt_sync.errors import UpdateRefused
from crdt_sync.records import Document, conflicts_of, reading_of, values_of
from crdt_sync.records.deleted import is_deleted
from crdt_sync.records.imported import ImportedChange, bring
from crdt_sync.records.lineages.document_dots import dots_of
from crdt_sync.records.lineages.lineage import is_of, lineage_of
from crdt_sync.records.lineages.renewal import carried, renewed
from crdt_sync.records.memory.memories import remember, sources_of
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.updates.update import scan
from tests.records.lineages.devices import SCHEMA, START, merged, person, shown


def _grown(lives: int) -> Document:
    """A record that each of so many lives edited once in each of its fields."""
    document = Document()
    for life in range(lives):
        document, editor = person(document, (1 << 51) + 104729 * life, START + 1000 * life)
        editor["company"] = f"Company number {life}"
        editor["notes"] = f"{'Met them at the fair. ' * 30}Call again in week {life}."
        editor.add("tags", f"year {life % 4}")
    return document


def test_equal_states_make_equal_bytes_and_different_ones_do_not() -> None:
    document = _grown(5)
    other = Document.load((document.diff(),), 77)
    assert renewed(document).diff() == renewed(other).diff()
    copy, editor = person(document, 78, START * 2)
    editor["company"] = "Other"
    assert lineage_of(renewed(copy)).writer != lineage_of(renewed(document)).writer


def test_a_record_of_many_lives_is_small_once_it_is_renewed() -> None:
    document = _grown(200)
    fresh = renewed(document)
    assert reading_of(fresh, SCHEMA) == reading_of(document, SCHEMA)
    assert fresh.size < 10 * fresh.content_bytes() < document.size
    assert (
        fresh.size - renewed(_grown(1)).size < 24 * 200
    )  # of each life: in the cover, and beside the tag that it added
    copy, editor = person(fresh, 5, START * 2)
    editor["company"] = "Last"
    assert len(copy.diff_of_edit(fresh.state_vector(), fresh.deletions())) < 100


def test_every_update_of_a_lineage_names_it() -> None:
    fresh = renewed(_grown(40))
    tags, editor = person(fresh, 5, START * 2)
    for number in range(60):  # many deletions, so that an edit leaves the earlier ones out
        editor["company"] = str(number)
        editor.append("timeline", {"note": "x"})
    again, editor = person(tags, 6, START * 2)
    editor.increment("visits", 1)
    update = again.diff_of_edit(tags.state_vector(), tags.deletions())
    assert scan(update).deletes == {lineage_of(fresh).writer: [(0, 1)]}
    assert is_of(lineage_of(fresh).writer, scan(update))
    assert is_of(lineage_of(fresh).writer, scan(fresh.diff()))
    assert not is_of(0, scan(fresh.diff()))
    assert not is_of(lineage_of(fresh).writer, scan(_grown(2).diff()))
    assert not is_of(lineage_of(fresh).writer, scan(renewed(fresh).diff()))


def test_a_late_edit_of_the_old_lineage_stands_where_it_was_made() -> None:
    start, editor = person(Document(), 1, START)
    editor["notes"] = "Call Ann on Monday about the offer."
    fresh, editor = person(renewed(start), 2, START + 1000)
    editor["notes"] = "Call Ann on Tuesday about the offer."
    late, editor = person(start, 3, START + 2000)
    editor["notes"] = "Call Ann and Bob on Monday about the new offer."
    both = carried(fresh, late)
    assert values_of(both, SCHEMA)["notes"] == "Call Ann and Bob on Tuesday about the new offer."
    assert carried(late, fresh).diff() == both.diff()
    assert carried(both, late) is both
    assert carried(both, fresh) is both


def test_counters_conflicts_and_deletions_are_those_of_both() -> None:
    start, editor = person(Document(), 1, START)
    editor["company"] = "Ann"
    editor.increment("visits", 2)
    one, editor = person(renewed(start), 2, START + 1000)
    editor.increment("visits", 3)
    editor["phone"] = "1"
    other, editor = person(start, 3, START + 2000)
    editor.increment("visits", 5)
    editor["phone"] = "2"
    both = carried(one, renewed(other))
    assert values_of(both, SCHEMA)["visits"] == 10
    assert [entry.value for entry in conflicts_of(both, SCHEMA)[0].entries] == ["2", "1"]
    gone, editor = person(both, 4, START + 3000)
    editor.delete()
    assert is_deleted(renewed(gone))
    assert is_deleted(carried(gone, other))
    edited, editor = person(both, 5, START + 4000)
    editor.increment("visits", 1)
    beside = carried(renewed(gone), edited)
    assert not is_deleted(beside)
    assert [conflict.field for conflict in conflicts_of(beside, SCHEMA)] == ["phone", "_deleted"]


def test_what_imports_have_to_know_survives() -> None:
    start, editor = person(Document(), 1, START)
    bring(start, SCHEMA, "shop", [ImportedChange("beside", "company", "Ann"), ImportedChange("add", "tags", "a")])
    remember(start, HybridClock(lambda: START), "me", "shop", {"company": "Ann", "tags": ["a"], "visits": {"+": 4}})
    editor["email"] = "first@example.com"
    editor["phone"] = "1"
    changed, editor = person(start, 2, START + 1000)
    editor["phone"] = "2"
    editor.add("tags", "b")
    editor.remove("tags", "b")
    for document in (renewed(changed), renewed(renewed(changed)), carried(renewed(start), changed)):
        assert sources_of(document) == sources_of(changed)
        assert document.written_once() == changed.written_once()
        assert document.removed_members() == changed.removed_members() == {"tags": {'"b"'}}
        assert values_of(document, SCHEMA) == values_of(changed, SCHEMA)


def test_what_is_written_once_takes_no_id_that_the_cover_names() -> None:
    start = Document(1)
    bring(start, SCHEMA, "shop", [ImportedChange("add", "tags", "a")])
    (writer,) = vectors.decode(start.state_vector())
    fresh = renewed(start)
    assert writer in lineage_of(fresh).cover
    with patch("crdt_sync.records.write_once.hashlib.blake2b") as hashed:
        hashed.return_value.digest.side_effect = [(each << 11).to_bytes(8, "big") for each in (writer, writer + 1)]
        bring(fresh, SCHEMA, "shop", [ImportedChange("add", "tags", "b")])
    assert writer + 1 in vectors.decode(fresh.state_vector())


def _deleted_and_remembered() -> tuple[Document, Document]:
    """A record that somebody deleted, and one with what an import remembered of it meanwhile, twice."""
    start, editor = person(Document(), 1, START)
    editor["company"] = "Ann"
    gone, editor = person(start, 2, START + 1000)
    editor.delete()
    beside, _ = person(start, 3, START + 2000)
    for company in ("Ann", "Ben"):
        remember(beside, HybridClock(lambda: START + 2000), "me", "shop", {"company": company})
    return gone, beside


def test_what_an_import_remembered_and_remembers_no_more_is_no_edit() -> None:
    gone, beside = _deleted_and_remembered()
    for both in (carried(renewed(gone), beside), carried(gone, renewed(beside)), renewed(merged(gone, beside))):
        assert is_deleted(both)
        assert is_deleted(renewed(both))
        assert dots_of(both).holds(dots_of(carried(both, renewed(beside))))


def test_what_was_written_and_taken_back_is_an_edit_that_a_deletion_had_not_seen() -> None:
    gone, beside = _deleted_and_remembered()
    edited, editor = person(beside, 4, START + 3000)
    editor.add("tags", "a")
    editor.remove("tags", "a")
    for both in (carried(renewed(gone), edited), carried(gone, renewed(edited)), renewed(merged(gone, edited))):
        assert [conflict.field for conflict in conflicts_of(renewed(both), SCHEMA)] == ["_deleted"]


def test_two_deletions_delete_together_what_neither_had_seen_alone() -> None:
    start, editor = person(Document(), 1, START)
    editor["company"] = "Ann"
    sides = []
    for writer in (2, 3):
        side, editor = person(start, writer, START + writer)
        editor.increment("visits")
        editor.delete()
        sides.append(side)
    both = renewed(merged(*sides))
    assert is_deleted(both)
    assert is_deleted(renewed(both))
    back, editor = person(sides[0], 4, START + 5000)  # who takes back one deletion knew nothing of the other
    editor.restore()
    assert shown(carried(both, back)) == shown(merged(merged(*sides), back))
    assert not is_deleted(carried(both, back))


def test_texts_of_one_lineage_only_are_merged() -> None:
    start = _grown(1)
    with pytest.raises(ValueError, match="one lineage"):
        carried(start, _grown(2))


def test_a_record_of_a_layout_to_come_is_left_as_it_is() -> None:
    document = Document(5)
    with document.transaction() as transaction:
        document.array(transaction, "x.new").insert(transaction, 0, 1)
    with pytest.raises(UpdateRefused, match=r"'x\.new'"):
        renewed(document)
