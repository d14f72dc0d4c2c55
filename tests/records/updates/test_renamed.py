"""The same operations under other writer ids."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.records import Document
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.updates.renamed import Other, renamed
from crdt_sync.records.updates.update import scan

ROOTS = ("c.name", "c.phone", "l.calls")
Step = tuple[int, str, int, bool]
STEPS = st.lists(
    st.tuples(
        st.sampled_from((5, 6)), st.sampled_from((*ROOTS, "t.notes", "n.visits")), st.integers(0, 9), st.booleans()
    ),
    max_size=25,
)


def take(document: Document, step: Step) -> None:
    """One edit of a document."""
    _, root, place, deletes = step
    with document.transaction() as transaction:
        if root.startswith("n."):
            document.map(transaction, root).insert(transaction, str(place % 2), place)
        elif root.startswith("t."):
            text = document.text(transaction, root)
            at = min(place, text.len(transaction))
            if deletes and at:
                text.remove_range(transaction, 0, at)
            else:
                text.insert(transaction, at, "ab")
        else:
            array = document.array(transaction, root)
            if deletes and array.len(transaction):
                array.remove_range(transaction, 0, 1)
            array.insert(transaction, min(place, array.len(transaction)), [place, 1, "anna"])


def written(steps: list[Step]) -> Document:
    """A document that two writers wrote in turns."""
    documents = {writer: Document(writer) for writer in (5, 6)}
    for step in steps:
        mine, other = documents[step[0]], documents[11 - step[0]]
        take(mine, step)
        other.apply(mine.diff(other.state_vector()))
    return documents[5]


@given(STEPS, st.integers(0, 30))
def test_it_says_the_same_and_nothing_under_the_old_id(steps: list[Step], begin: int) -> None:
    whole = written(steps)
    vector = vectors.decode(whole.state_vector())
    begin = min(begin, vector.get(5, 0))
    if begin == vector.get(5, 0):
        return
    base = Document.load((whole.diff(),))
    update = renamed(base.diff(vectors.encode({5: begin})), {5: Other(begin, 9)})
    found = scan(update)
    assert found.clients[9] == (0, vector[5] - begin)
    assert 5 not in found.clients
    if begin == 0:
        held = Document.load((update,))
        assert held.contents() == whole.contents()
        assert sum(sum(length for _, length in ranges) for ranges in held.deletes().values()) == sum(
            sum(length for _, length in ranges) for ranges in whole.deletes().values()
        )


@given(STEPS)
def test_what_is_renamed_twice_is_what_it_was(steps: list[Step]) -> None:
    whole = written(steps)
    once = renamed(whole.diff(), {5: Other(0, 9)})
    again = Document.load((renamed(once, {9: Other(0, 5)}),))
    assert again.digest() == whole.digest()
    assert again.contents() == whole.contents()


@pytest.mark.parametrize("seed", range(3))
def test_what_hangs_on_the_rest_of_the_writer_goes_on_hanging_there(seed: int) -> None:
    """What others have up to `begin` stays theirs; the rest is put onto it."""
    rng = random.Random(seed)
    document = Document(5)
    for _ in range(10):
        take(document, (5, rng.choice(ROOTS), 0, False))
    before = document.state_vector()
    held = Document.load((document.diff(),))
    for _ in range(10):
        take(document, (5, rng.choice(ROOTS), rng.randrange(3), rng.random() < 0.5))
    begin = vectors.decode(before)[5]
    held.apply(renamed(document.diff(before), {5: Other(begin, 9)}))
    assert held.contents() == document.contents()
    assert vectors.decode(held.state_vector()) == {5: begin, 9: vectors.decode(document.state_vector())[5] - begin}
