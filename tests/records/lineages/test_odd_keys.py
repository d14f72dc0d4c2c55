"""Whatever the gate lets in, the record can be renewed, and the gate takes what comes of it."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_bench.campaign import crafted
from crdt_sync.records import Document, Integrator, values_of
from crdt_sync.records.lineages.renewal import renewed

KEYS = ("", "\n", "\n5", "a\n2", "a\n2\nx", "5", "0", "2", "\x00", "k")


def integrated(updates):
    gate = Integrator(1)
    gate.integrate(crafted.RECORD, (), (), None, True, False)
    for update in updates:
        gate.integrate(crafted.RECORD, None, (update,), None, True, False)
    return Document.load([gate.document(crafted.RECORD).diff()])


def check(document):
    again = renewed(document)
    assert values_of(again) == values_of(document)
    for stored in ((), (document.diff(),)):
        (verdict,) = Integrator(1).integrate(crafted.RECORD, stored, (again.diff(),), None, True, False).verdicts
        assert verdict.code == "accepted", verdict.reason


@pytest.mark.parametrize("removed", [True, False])
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("root", ["s.tags", "n.visits"])
def test_a_record_with_an_odd_key_is_renewed(root, key, removed):
    document = Document(4242)
    with document.transaction() as transaction:
        document.map(transaction, root).insert(transaction, key, "x")
        if removed:
            document.map(transaction, root).remove(transaction, key)
    check(integrated([document.diff()]))


@given(seed=st.integers(0, 1 << 40))
def test_crafted_histories_are_renewed(seed):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(crafted, "_KEYS", KEYS)
        check(integrated(crafted.drawn(random.Random(seed), 0.5).updates))
