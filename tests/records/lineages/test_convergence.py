"""Whatever is renewed, wherever and whenever, all devices come to show what they would have without.

That is checked on each device itself after each step, and on all of them in the end.
"""

from dataclasses import replace
from random import Random
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_sync.errors import CrdtSyncError
from crdt_sync.records import Document
from crdt_sync.records.lineages import document_dots, dots, first_update, renewal
from crdt_sync.records.lineages.dots import Dots, Piece
from crdt_sync.records.lineages.provenance import Lineage
from tests.records.lineages.devices import DEVICES, EDITS, Company

STEPS = st.lists(
    st.tuples(
        st.integers(0, DEVICES - 1),
        st.sampled_from((*EDITS, "receive", "receive", "receive", "renew", "renew")),
        st.integers(0, 11),
    ),
    max_size=24,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_devices_that_renew_come_to_show_what_they_would_have_without(script: list[tuple[int, str, int]]) -> None:
    company = Company()
    company.play(script)
    company.meet()
    before = [device.document.digest() for device in company.devices]
    for device in company.devices:
        for other in company.devices:
            device.receive(other)
    assert before == [device.document.digest() for device in company.devices], "a repeat changed something"


# --- planted bugs ------------------------------------------------------------------------------------------------


def _nothing_is_dead(self: Dots) -> dict[int, list[tuple[int, int]]]:
    return {}


def _everything_again(kept: list[Piece], others: list[Piece], known: object) -> list[Piece]:
    return [*kept, *others]


def _nothing_carried(kept: list[Piece], others: list[Piece], known: object) -> list[Piece]:
    return kept


def _cover_of_what_is_live(one: Dots, other: Dots) -> Dots:
    whole = _JOINED(one, other)
    return replace(whole, known={writer: whole.known[writer] for writer in whole.live_ranges()})


def _vector_as_it_was(found: Dots, piece: Piece, writer: int, count: int) -> Piece:
    return piece


def _latest_by_place(one: Document, other: Document) -> Document:
    return one if one.diff() > other.diff() else other


_JOINED = dots.joined
_STARTS: property = vars(Lineage)["starts"]

PLANTED = {
    "what was deleted in one comes back": (Dots, "dead_ranges", _nothing_is_dead),
    "what both have is written twice": (dots, "_placed", _everything_again),
    "what only the earlier has is dropped": (dots, "_placed", _nothing_carried),
    "members and counters of the earlier are dropped": (dots, "_by_key", lambda pieces: list(pieces)[:1]),
    "who has nothing left is no longer covered": (renewal, "joined", _cover_of_what_is_live),
    "a deletion forgets what it saw": (first_update, "_with_vector", _vector_as_it_was),
    "dots are shifted by one": (
        Lineage,
        "starts",
        property(lambda self: [start + 1 for start in _STARTS.__get__(self)]),
    ),
    "the later wins and nothing is joined": (dots.Dots, "holds", lambda self, other: True),
    "one of two is taken": (renewal, "carried", _latest_by_place),
    "a memory is an edit": (document_dots, "is_memory", lambda root: False),
}


def _random_scripts() -> list[list[tuple[int, str, int]]]:
    random = Random(11)
    steps = (*EDITS, *["receive"] * 6, *["renew"] * 3)
    return [
        [(random.randrange(DEVICES), random.choice(steps), random.randrange(12)) for _ in range(20)] for _ in range(40)
    ]


def _is_found() -> bool:
    for script in _random_scripts():
        company = Company()
        try:
            company.play(script)
            company.meet()
        except (AssertionError, CrdtSyncError):
            return True
    return False


@pytest.mark.parametrize("bug", PLANTED)
def test_planted_bugs_are_found(bug: str) -> None:
    owner, name, planted = PLANTED[bug]
    with patch.object(owner, name, planted):
        assert _is_found()
