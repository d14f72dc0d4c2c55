"""Whoever knows the token may write a renewal that claims anything: it deletes at most, and nobody else is held up."""

from collections.abc import Callable
from dataclasses import replace

import pycrdt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_sync.errors import UpdateRefused
from crdt_sync.limits import GENERATIONS_MAX
from crdt_sync.records import Document, values_of
from crdt_sync.records.lineages.document_dots import dots_of
from crdt_sync.records.lineages.dots import Dots, Piece
from crdt_sync.records.lineages.first_update import first_update, written
from crdt_sync.records.lineages.lineage import lineage_of
from crdt_sync.records.lineages.renewal import renewed
from crdt_sync.records.updates.state_vector import CLOCK_MAX

from .test_carrying import SCHEMA, START, Store, codes, edited

OLD = edited(Document(), 21, START, "Ann")
FRESH = renewed(OLD)
STATE = dots_of(OLD)
RENEWER = lineage_of(FRESH).writer


def written_by(writer: int, write: Callable[[pycrdt.Doc], object]) -> bytes:
    """What somebody writes into the renewed record without asking an editor."""
    document = pycrdt.Doc(client_id=writer)
    document.apply_update(FRESH.diff())
    known = document.get_state()
    write(document)
    return document.get_update(known)


def provenance(document: pycrdt.Doc) -> pycrdt.Array:
    return document.get("g.lineage", type=pycrdt.Array)


def everybody_goes_on(store: Store) -> None:
    """Honest edits of both lineages are taken, and the record can be carried over and renewed."""
    late = edited(OLD, 78, START + 6000, "Old")
    here = edited(store.document, 77, START + 5000, "Here")
    assert codes(store.receive(here.diff(store.document.state_vector()))) == ["accepted"]
    assert codes(store.receive(late.diff())) == ["accepted"]
    assert {"Here", "Old"} <= set(str(values_of(store.document, SCHEMA)["notes"]).split())
    dots_of(store.document)


@pytest.mark.parametrize(
    "write",
    [
        lambda document: provenance(document).append("AQEA"),
        lambda document: provenance(document).insert(0, "AQEA"),
        lambda document: provenance(document).clear(),
    ],
)
def test_what_a_record_was_made_of_is_neither_added_to_nor_deleted(write: Callable[[pycrdt.Doc], object]) -> None:
    store = Store()
    store.receive(FRESH.diff())
    assert codes(store.receive(written_by(50, write))) == ["malformed"]
    assert store.updates == (FRESH.diff(),)
    everybody_goes_on(store)


@pytest.mark.parametrize("whole", [False, True])
def test_nobody_goes_on_as_who_renewed_the_record(whole: bool) -> None:
    entry = ["evil", START + 99, "x"]
    update = written_by(RENEWER, lambda document: document.get("c.company", type=pycrdt.Array).append(entry))
    evil = Document.load((FRESH.diff(), update))
    for known in ((FRESH.diff(),), (OLD.diff(),), ()):
        store = Store()
        store.receive(*known)
        assert codes(store.receive(evil.diff() if whole else update))[0] in ("malformed", "gap")
        store.receive(FRESH.diff())
        everybody_goes_on(store)


@pytest.mark.parametrize(
    "claim",
    [
        lambda: first_update(STATE, GENERATIONS_MAX + 1),
        lambda: first_update(STATE, (1 << 53) - 1),
        lambda: written(STATE, 5, 21),  # the id of somebody whom it covers
        lambda: written(STATE, 5, 1),
        lambda: first_update(replace(STATE, known={**STATE.known, 30: CLOCK_MAX + 1}), 5),
    ],
)
def test_claims_that_nobody_could_carry_on_are_refused(claim: Callable[[], bytes]) -> None:
    for known in ((OLD.diff(),), (FRESH.diff(),), ()):
        store = Store()
        store.receive(*known)
        assert codes(store.receive(claim())) == ["malformed"]
        store.receive(FRESH.diff())
        everybody_goes_on(store)


def test_the_last_generation_holds_nobody_up() -> None:
    last = first_update(STATE, GENERATIONS_MAX)
    stores = [Store(), Store(), Store()]
    for store, first in zip(stores, (last, OLD.diff(), FRESH.diff()), strict=True):
        store.receive(first)
        everybody_goes_on(store)
    converge(stores)
    with pytest.raises(UpdateRefused, match="renewed"):
        renewed(stores[0].document)


def test_a_lineage_with_the_id_of_somebody_else_holds_nobody_up() -> None:
    theirs = edited(edited(Document(), 33, START, "One"), 33, START + 5, "Two")  # deletes what it wrote first
    evil = written(replace(STATE, known={21: STATE.known[21]}), 5, 33)
    here, there = Store(), Store()
    here.receive(evil)
    there.receive(theirs.diff())
    assert codes(here.receive(theirs.diff())) == ["accepted"]
    assert codes(there.receive(evil)) == ["accepted"]
    converge([here, there])
    assert {"One", "Two", "Ann"} <= set(str(values_of(here.document, SCHEMA)["notes"]).split())


def converge(stores: list[Store]) -> None:
    """All send all they have to all, a bounded number of times, until nothing is new."""
    for _ in range(8):
        changed = False
        for store in stores:
            for other in stores:
                if store is not other and store.updates:
                    done = other.receive(store.document.diff())
                    assert codes(done) == ["accepted"]
                    changed = changed or done.changed
        if not changed:
            break
    assert len({store.document.diff() for store in stores}) == 1


def piece(kind: str, writer: int, clock: int, what: int) -> tuple[str, Piece]:
    match kind:
        case "entry":
            return "c.company", Piece(writer, clock, 1, [f"{what}", START + what, "x"])
        case "text":
            return "t.notes", Piece(writer, clock, 2, f"{what % 10}a")
        case "count":
            return "n.visits", Piece(writer, clock, 1, what, str(writer))
        case "other count":
            return "n.visits", Piece(writer, clock, 1, what, "7")
    return "s.tags", Piece(writer, clock, 1, f"{what % 3}", f"m{what % 3}\n{writer}")


CLAIMS = st.tuples(
    st.integers(1, 4),
    st.dictionaries(st.sampled_from([21, 22, 23, 40]), st.integers(1, 60), min_size=1),
    st.lists(
        st.tuples(
            st.sampled_from(["entry", "text", "count", "other count", "member"]), st.sampled_from([21, 22, 23, 40]),
            st.integers(0, 57), st.integers(0, 20),
        ),
        max_size=6,
    ),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(CLAIMS, min_size=1, max_size=3))
def test_replicas_that_meet_any_claims_come_to_hold_the_same(
    claims: list[tuple[int, dict[int, int], list[tuple[str, int, int, int]]]],
) -> None:
    stores = [Store() for _ in range(3)]
    stores[0].receive(OLD.diff())
    stores[1].receive(edited(OLD, 22, START + 1000, "Bob").diff())
    stores[2].receive(renewed(edited(OLD, 23, START + 2000, "Eve")).diff())
    for number, (generation, known, content) in enumerate(claims):
        live: dict[str, tuple[Piece, ...]] = {}
        for each in content:
            root, found = piece(*each)
            if found.clock + found.length <= known.get(found.writer, 0):
                live[root] = (*live.get(root, ()), found)
        stores[number].receive(first_update(Dots(known, live), generation))
    converge(stores)
