"""Two contents under one clock are refused where both are at hand; the same content described otherwise is not."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crdt_bench.notes import note
from crdt_sync.limits import KIB
from crdt_sync.records import Document, scan
from crdt_sync.records.updates.update import Reader
from tests.records.gate.conftest import RECORD, gate, judge
from tests.records.raw_updates import uint

SCRIPTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 11), st.integers(0, 5)), max_size=30)

TWO_FACED = {
    "text": ("01010100040103742e610361626300", "01010100040103742e610378797a00", 0),
    "the end of a text": ("01010100040103742e610361626300", "01010100040103742e610361627800", 2),
    "one character of several bytes": ("01010100040103742e6104f09f988000", "01010100040103742e6104f09f988100", 1),
    "a number": ("01010100080103632e61017d0100", "01010100080103632e61017d0200", 0),
    "a number and true": ("01010100080103632e61017d0100", "01010100080103632e61017800", 0),
    "a text for a value": ("01010100080103632e61017d0100", "01010100040103742e61016100", 0),
    "a member of a list": ("01010100080103632e610175017d0100", "01010100080103632e610175017d0200", 0),
    "a member of a map": ("01010100080103632e6101760101617d0100", "01010100080103632e6101760101617d0200", 0),
}

ALIKE = {
    "an integer, a small and a large float": ("7d01", "7c3f800000", "7b3ff0000000000000", "7a0000000000000001"),
    "no value": ("7e", "7f"),
    "a map in another order": ("760201617d0101627d02", "760201627d0201617d01"),
}


@pytest.mark.parametrize("name", TWO_FACED)
def test_a_second_content_for_a_clock_is_refused_and_named_whichever_came_first(name):
    one, other, clock = TWO_FACED[name]
    for first, second in ((one, other), (other, one)):
        integrator = gate(bytes.fromhex(first))
        before = integrator.document(RECORD).diff()
        verdict = judge(integrator, bytes.fromhex(second))
        assert verdict.code == "malformed"
        assert f"operation {clock} of writer 1 is here already" in verdict.reason
        assert integrator.document(RECORD).diff() == before


@pytest.mark.parametrize("name", ALIKE)
def test_values_that_implementations_write_differently_are_the_same(name):
    updates = [bytes.fromhex("01010100080103632e6101" + value + "00") for value in ALIKE[name]]
    for first in updates:
        for second in updates:
            assert judge(gate(first), second).code == "accepted"


def test_a_part_that_is_new_does_not_hide_the_contradiction_beside_it():
    integrator = gate(bytes.fromhex("01010100040103742e610361626300"))
    update = bytes.fromhex("01020100040103742e610378797a840102017100")
    assert judge(integrator, update).code == "malformed"


def test_a_struct_that_goes_on_where_ours_ends_is_a_gap_as_before():
    integrator = gate(bytes.fromhex("01010100040103742e610361626300"))
    assert judge(integrator, bytes.fromhex("01010100040103742e61046162636400")).code == "gap"


@example([(0, 1, 0), (1, 0, 0), (0, 1, 0), (0, 1, 0)])  # a struct that was joined with the one after it
@given(SCRIPTS)
def test_whatever_honest_people_describe_again_is_accepted(office, script):
    people = office.play(script)
    integrators = [gate(person.document.diff()) for person in people]
    office.meet(*people)
    for integrator in integrators:
        for person in people:
            reloaded = Document.load([person.document.diff()])
            for document in (person.document, reloaded):
                code = judge(integrator, document.diff()).code
                if code == "gap":
                    lacking = document.diff(integrator.document(RECORD).state_vector())
                    code = judge(integrator, lacking).code
                assert code == "accepted"


def test_what_is_deleted_on_one_side_contradicts_nothing(office):
    ann = office.person(1)
    written = ann.edit(lambda editor: editor.text("notes").insert(0, "hello"))
    bob = office.person(2, [written])
    bob.edit(lambda editor: editor.text("notes").delete(1, 3))
    assert judge(gate(bob.document.diff()), written).code == "accepted"
    assert judge(gate(written), bob.document.diff()).code == "accepted"


def test_a_second_content_for_an_old_operation_of_a_large_record_is_refused(office):
    ann = office.person(1)
    first = ann.edit(lambda editor: editor.text("notes").insert(0, "a"))
    for _ in range(2):
        ann.edit(lambda editor: editor.text("notes").insert(0, "x" * (64 * KIB)))
    integrator = gate(ann.document.diff())
    assert judge(integrator, first).code == "accepted"
    forged = first.replace(b"\x01a\x00", b"\x01b\x00")
    assert forged != first
    verdict = judge(integrator, forged)
    assert (verdict.code, "operation 0 of writer 1 is here already" in verdict.reason) == ("malformed", True)
    assert integrator.document(RECORD).digest() == ann.document.digest()


def test_of_a_large_record_only_what_is_described_again_is_read(monkeypatch):
    """However much stands before, between and after it; a contradiction anywhere in there is found."""
    whole = note(400, writers=2)
    (integrator,) = [gate(whole)]
    items = [item for item in scan(integrator.document(RECORD).diff()).items if not item.deleted]
    writer = items[0].writer
    mine = [item for item in items if item.writer == writer]
    read = []
    original = Reader.struct
    monkeypatch.setattr(Reader, "struct", lambda *given: read.append(given[2:]) or original(*given))
    for place in (0, len(mine) // 2, len(mine) - 1):
        item = mine[place]
        head = b"\x01\x01" + uint(writer) + uint(item.clock) + b"\x04\x01\x07t.notes" + uint(item.length)
        read.clear()
        verdict = judge(integrator, head + b"!" * item.length + b"\x00")
        assert f"operation {item.clock} of writer {writer} is here already" in verdict.reason
        assert len(read) <= 4  # the update twice, its like here, and the one that has no neighbours
