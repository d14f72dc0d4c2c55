"""Whether a record holds what another one did is told by dots, whatever lineages the two are in."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.clock import HybridClock
from crdt_sync.records import Document, Editor, bundled_schema
from crdt_sync.records.lineages import holding
from crdt_sync.records.lineages.document_dots import dots_of
from crdt_sync.records.lineages.holding import holds, in_dots, known_to
from crdt_sync.records.lineages.renewal import carried, renewed
from crdt_sync.records.updates import state_vector as vectors

SCHEMA = bundled_schema("customers")


def edited(document: Document, writer: int) -> Document:
    copy = Document.load((document.diff(),), writer)
    editor = Editor(copy, SCHEMA, HybridClock(lambda: 1_700_000_000_000_000 + writer), f"writer{writer}", "customers")
    editor["company"] = f"company {writer}"
    return copy


def together(one: Document, other: Document) -> Document:
    if one.lineage_writer() != other.lineage_writer():
        return carried(one, other)
    return Document.load((one.diff(), other.diff()))


def test_a_renewed_record_holds_what_it_was_made_of_and_no_more() -> None:
    old = edited(Document(), 2)
    fresh, later = renewed(old), edited(old, 3)
    assert holds(fresh, old.state_vector()) is True
    assert holds(fresh, later.state_vector()) is False
    assert holds(together(fresh, later), later.state_vector()) is True
    assert holds(old, fresh.state_vector(), fresh.lineage_writer()) is False, "what it tells of may be more"


def test_of_a_lineage_that_is_not_known_nothing_is_told_but_what_was_written_in_it() -> None:
    old = edited(Document(), 2)
    first, other = renewed(old), renewed(edited(old, 3))
    assert holds(other, first.state_vector(), first.lineage_writer()) is None
    assert holds(other, *in_dots(first.state_vector(), first.lineage_writer(), first)) is True
    on = edited(first, 4)
    assert holds(other, on.state_vector(), first.lineage_writer()) is False
    assert in_dots(on.state_vector(), first.lineage_writer(), other) == (on.state_vector(), first.lineage_writer())


def test_what_came_and_what_somebody_else_holds_counts_as_far_as_it_goes_on_from_what_is_known() -> None:
    old = edited(Document(), 2)
    one, other = edited(old, 3), renewed(edited(old, 3))
    later = edited(one, 4).diff(one.state_vector())
    wanted = edited(one, 4).state_vector()
    assert holds(renewed(one), wanted) is False
    assert holds(renewed(one), wanted, updates=[later]) is True
    assert holds(old, wanted, updates=[later]) is False
    assert holds(old, wanted, updates=[later], besides=one.state_vector()) is True
    assert holds(old, wanted, updates=[b"no update"], besides=wanted) is True
    assert holds(old, other.state_vector(), updates=[other.diff()]) is True, "its first writer came with it"
    same_writer = edited(edited(old, 3), 3)
    assert holds(old, same_writer.state_vector(), updates=[same_writer.diff(one.state_vector())]) is False, "a hole"


def check(seed: int) -> None:
    """Three replicas edit, renew and join in any order; then each says of each other one what their dots say."""
    rng, replicas = Random(seed), [edited(Document(), 2)] * 3
    for writer in range(3, 11):
        place, source = rng.sample(range(3), 2)
        act = rng.choice(("edit", "renew", "join"))
        if act == "edit":
            replicas[place] = edited(replicas[place], writer)
        elif act == "renew":
            replicas[place] = renewed(replicas[place])
        else:
            replicas[place] = together(replicas[place], replicas[source])
    for one in replicas:
        for other in replicas:
            expected = vectors.dominates(dots_of(one).known, dots_of(other).known)
            lineage = other.lineage_writer()
            assert holds(one, *in_dots(other.state_vector(), lineage, other)) is expected
            # Where all of a lineage is here, the raw vector says the same; where not, it never claims more.
            assert holds(one, other.state_vector(), lineage) in (
                (expected,) if lineage == 0 else (expected, False, None)
            )
            assert dots_of(one).known.items() <= known_to(one).items()


def check_all(seeds: range) -> None:
    for seed in seeds:
        check(seed)


@given(st.integers(0, 2**32))
def test_what_is_held_is_told_by_dots(seed: int) -> None:
    check(seed)


def test_state_vectors_that_are_compared_across_lineages_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "known_to", lambda document: vectors.decode(document.state_vector()))
    with pytest.raises(AssertionError):
        check_all(range(50))
