import random

import pycrdt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Array, Doc

from crdt_sync.errors import UpdateRefused
from crdt_sync.limits import GROWTH_OPERATIONS_MAX, RECORD_BYTES_MAX, ROOTS_MAX, TAIL_LONGEST, TAIL_UPDATES_MAX
from crdt_sync.records import Document, Integrator, content_digest_of, digest_of, reading_of, scan, values_of
from crdt_sync.records.gate import loaded as gate_loaded
from crdt_sync.records.updates import state_vector as vectors
from crdt_sync.records.updates.varint import append_uint
from tests.records.gate.conftest import RECORD
from tests.records.gate.conftest import gate as integrator
from tests.records.raw_updates import uint

SCRIPTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 11), st.integers(0, 5)), max_size=40)


def judge(gate, update, stamp_max=None, checked=True):
    """The verdict on one update, after checking that what the gate says of its state is true."""
    outcome = gate.integrate(RECORD, None, [update], stamp_max, checked=checked, snapshot=True)
    document = gate.document(RECORD)
    assert outcome.state_vector == document.state_vector()
    assert digest_of([outcome.snapshot]) == (document.state_vector(), document.digest())
    assert outcome.changed == outcome.verdicts[0].new
    return outcome.verdicts[0]


def run(length):
    """An update by writer 9 with one deleted run of `length` operations."""
    return b"\x01\x01\x09\x00\x01\x01\x03c.a" + uint(length) + b"\x01\x09\x01\x00" + uint(length)


@given(SCRIPTS, st.randoms(use_true_random=False), st.booleans())
def test_shuffled_delivery_with_gaps_answered_by_a_difference_converges(office, script, shuffle, checked):
    people = office.play(script)
    deliveries = [(person, update) for person in people for update in person.sent] * 2
    gates = [integrator() for _ in range(2)]
    for gate in gates:
        shuffle.shuffle(deliveries)
        for person, update in deliveries:
            verdict = judge(gate, update, checked=checked)
            if verdict.code == "gap":
                answer = person.document.diff(gate.document(RECORD).state_vector())
                verdict = judge(gate, answer, checked=checked)
            assert verdict.code == "accepted"
    office.meet(*people)
    for gate in gates:
        document = gate.document(RECORD)
        assert document.digest() == people[0].document.digest()
        assert reading_of(document, office.schema) == reading_of(people[0].document, office.schema)


def test_with_the_gate_planted_open_shuffled_delivery_diverges(office):
    """The same deliveries straight into documents end different: the gate is what the test above sees."""
    shuffle = random.Random(7)
    diverged = 0
    for _ in range(60):
        doc, updates = Doc(client_id=1), []
        for number in range(6):
            before = doc.get_state()
            array = doc.get(f"c.{number % 2}", type=Array)
            with doc.transaction():
                array.clear()
                array.append([number, number, "ann"])
            updates.append(doc.get_update(before))
        shuffle.shuffle(updates)
        open_gate, gate = Document.load(updates), integrator()
        for update in updates:
            if judge(gate, update).code == "gap":
                assert judge(gate, doc.get_update(gate.document(RECORD).state_vector())).code == "accepted"
        assert values_of(gate.document(RECORD)) == {"0": 4, "1": 5}
        diverged += values_of(open_gate) != values_of(gate.document(RECORD))
    assert diverged > 0


@pytest.mark.parametrize("checked", [True, False])
def test_a_duplicate_is_accepted_and_is_nothing_new(office, checked):
    person = office.person(1)
    update = person.edit(lambda editor: editor.update({"company": "Ann"}))
    deletion = person.edit(lambda editor: editor.clear("company"))
    gate = integrator()
    assert [judge(gate, item, checked=checked).new for item in (update, update, deletion, deletion, update)] == [
        True, False, True, False, False
    ]  # fmt: skip


@pytest.mark.parametrize("checked", [True, False])
def test_an_update_that_only_deletes_is_new(office, checked):
    person = office.person(1)
    update = person.edit(lambda editor: editor.add("tags", "vip"))
    deletion = person.edit(lambda editor: editor.remove("tags", "vip"))
    gate = integrator()
    verdicts = [judge(gate, item, checked=checked) for item in (update, deletion, deletion)]
    assert [(verdict.code, verdict.new) for verdict in verdicts] == [
        ("accepted", True), ("accepted", True), ("accepted", False)
    ]  # fmt: skip
    assert values_of(gate.document(RECORD)) == {}


def test_what_somebody_lacked_who_has_nothing_by_now_is_a_gap():
    """A partner that is trusted was told of all of it, and answers with nothing; meanwhile the record was dropped."""
    gate = integrator()
    verdict = judge(gate, b"\x00\x00", checked=False)
    assert (verdict.code, verdict.new) == ("gap", False)


@pytest.mark.parametrize("checked", [True, False])
def test_a_missing_origin_a_missing_clock_and_a_deletion_ahead_are_gaps_without_a_trace(office, checked):
    ann = office.person(1)
    first = ann.edit(lambda editor: editor.text("notes").insert(0, "Hello"))
    bob = office.person(2, [first])
    builds_on_ann = bob.edit(lambda editor: editor.text("notes").insert(5, " world"))
    second = ann.edit(lambda editor: editor.text("notes").insert(0, ">"))
    ahead = ann.edit(lambda editor: editor.text("notes").delete(0, 6))
    gate = integrator()
    before = gate.document(RECORD).digest()
    for update in (builds_on_ann, second, ahead):
        verdict = judge(gate, update, checked=checked)
        assert (verdict.code, verdict.new) == ("gap", False)
        assert verdict.reason
        assert gate.document(RECORD).digest() == before
    for update in (first, builds_on_ann, second, ahead):
        assert judge(gate, update, checked=checked).code == "accepted"
    assert values_of(gate.document(RECORD)) == {"notes": " world"}


@pytest.mark.parametrize("checked", [True, False])
def test_an_update_with_a_gap_inside_is_a_gap(office, checked):
    ann = office.person(1)
    parts = [ann.edit(lambda editor, n=n: editor.append("timeline", n)) for n in range(3)]
    gate = integrator()
    assert judge(gate, pycrdt.merge_updates(parts[0], parts[2]), checked=checked).code == "gap"
    assert judge(gate, pycrdt.merge_updates(*parts), checked=checked).code == "accepted"


def test_each_update_is_judged_by_itself(office):
    ann = office.person(1)
    first, second, third = (ann.edit(lambda editor, n=n: editor.append("timeline", n)) for n in range(3))
    gate = integrator()
    outcome = gate.integrate(RECORD, None, [first, b"\xff", third, second], None, checked=True, snapshot=False)
    assert [verdict.code for verdict in outcome.verdicts] == ["accepted", "malformed", "gap", "accepted"]
    assert outcome.state_vector == vectors.encode({1: 2})
    assert outcome.snapshot is None
    assert outcome.changed


def test_a_stamp_is_accepted_up_to_the_limit_and_refused_beyond(office):
    update = office.person(1).edit(lambda editor: editor.update({"company": "Ann"}))
    stamp = scan(update).stamps
    gate = integrator()
    assert judge(gate, update, stamp_max=stamp - 1).code == "clock_ahead"
    assert values_of(gate.document(RECORD)) == {}
    assert judge(gate, update, stamp_max=stamp).code == "accepted"


def test_a_record_grows_to_its_limit_and_no_further(office):
    document = Document(1)
    gate, codes, content = integrator(), [], "x" * 60_000
    while "too_large" not in codes:
        before = document.state_vector()
        with document.transaction() as transaction:
            document.array(transaction, "l.timeline").insert(transaction, 0, [content, 1, "ann"])
        codes.append(judge(gate, document.diff(before)).code)
    assert codes == ["accepted"] * (len(codes) - 1) + ["too_large"]
    size = gate.document(RECORD).size
    assert RECORD_BYTES_MAX - 61_000 < size <= RECORD_BYTES_MAX
    assert judge(gate, office.person(2).edit(lambda editor: editor.add("tags", "x"))).code == "accepted"


@pytest.mark.parametrize("checked", [True, False])
def test_a_record_is_measured_as_it_is_integrated_not_by_the_bytes_that_came(checked):
    """An update of four bytes for each deletion cuts a text in pieces that take six times as many."""
    writer = 1 << 52
    document, gate = Document(writer), integrator()
    with document.transaction() as transaction:
        document.text(transaction, "t.notes").insert(transaction, 0, "x" * 240_000)
    whole = document.diff()
    cuts = bytearray()
    for number in (0, 1, writer, 100_000):  # no structs; the deletions of one writer
        append_uint(cuts, number)
    for clock in range(0, 200_000, 2):
        append_uint(cuts, clock)
        append_uint(cuts, 1)
    assert len(whole) + len(cuts) < RECORD_BYTES_MAX // 2
    verdicts = gate.integrate(RECORD, (), (whole, bytes(cuts)), None, checked, snapshot=False).verdicts
    assert [verdict.code for verdict in verdicts] == ["accepted", "too_large"]
    assert gate.document(RECORD).digest() == document.digest()


def test_the_number_of_roots_is_limited_on_both_sides():
    def update(writer, count):
        document = Document(writer)
        with document.transaction() as transaction:
            for number in range(count):
                document.array(transaction, f"c.f{writer}_{number}").insert(transaction, 0, [1, 1, "a"])
        return document.diff()

    gate = integrator()
    assert judge(gate, update(1, ROOTS_MAX)).code == "accepted"
    assert judge(gate, update(2, 1)).code == "too_large"
    assert len(values_of(gate.document(RECORD))) == ROOTS_MAX


def test_runs_without_content_are_limited_on_both_sides():
    assert judge(integrator(), run(GROWTH_OPERATIONS_MAX)).code == "accepted"
    assert judge(integrator(), run(GROWTH_OPERATIONS_MAX + 1)).code == "malformed"


@pytest.fixture
def break_in(monkeypatch):
    """break_in(document, error): from now on, what this document has applied raises."""

    def begin(broken, error):
        apply = Document.apply

        def breaking(document, update):
            apply(document, update)
            if document is broken:
                raise error

        monkeypatch.setattr(Document, "apply", breaking)

    return begin


def test_bytes_that_raise_leave_the_record_as_it_was(office, break_in):
    class Panic(BaseException):
        pass

    person = office.person(1)
    gate = integrator(person.edit(lambda editor: editor.update({"company": "Ann"})))
    update = person.edit(lambda editor: editor.update({"company": "Bob"}))
    broken = gate.document(RECORD)
    break_in(broken, Panic("the lock is poisoned"))
    assert judge(gate, update).code == "malformed"
    assert gate.document(RECORD) is not broken
    assert values_of(gate.document(RECORD)) == {"company": "Ann"}
    assert judge(gate, update).code == "accepted"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError, SystemExit])
def test_a_stop_of_the_program_is_passed_on_and_leaves_the_record_as_it_was(office, monkeypatch, break_in, stop):
    person = office.person(1)
    gate = integrator(person.edit(lambda editor: editor.update({"company": "Ann"})))
    update = person.edit(lambda editor: editor.update({"company": "Bob"}))
    break_in(gate.document(RECORD), stop)
    with pytest.raises(stop):
        gate.integrate(RECORD, None, [update], None, checked=True, snapshot=False)
    monkeypatch.undo()
    assert values_of(gate.document(RECORD)) == {"company": "Ann"}


def test_a_record_is_rebuilt_right_after_its_good_bytes_were_joined(office):
    person = office.person(1)
    gate = integrator()
    for number in range(TAIL_UPDATES_MAX * 2 + 5):
        update = person.edit(lambda editor, n=number: editor.update({"company": str(n)}))
        assert judge(gate, update).new
        missing = office.person(100 + number, [person.document.diff()])
        missing.edit(lambda editor: editor.text("notes").insert(0, "a"))
        gap = missing.edit(lambda editor: editor.text("notes").insert(1, "b"))
        assert judge(gate, gap).code == "gap"
    assert gate.document(RECORD).digest() == person.document.digest()


@pytest.mark.parametrize(
    ("length", "count", "often"),
    [
        (10, 2 * TAIL_UPDATES_MAX, True),
        (40_000, 2 * TAIL_UPDATES_MAX, False),
        (400_000, TAIL_LONGEST * TAIL_UPDATES_MAX, True),
    ],
)
def test_a_large_record_is_not_made_one_update_again_for_a_few_small_ones(office, monkeypatch, length, count, often):
    person, gate, whole, made = office.person(1), integrator(), gate_loaded.Loaded.whole, []
    assert judge(gate, person.edit(lambda editor: editor.text("notes").insert(0, "a" * length))).new
    monkeypatch.setattr(gate_loaded.Loaded, "whole", lambda loaded: made.append(loaded) or whole(loaded))
    for number in range(count):
        update = person.edit(lambda editor, n=number % 10: editor.update({"company": str(n)}))
        assert gate.integrate(RECORD, None, [update], None, checked=True, snapshot=False).changed
    assert bool(made) is often
    assert gate.document(RECORD).digest() == person.document.digest()


def test_a_record_is_rebuilt_from_its_last_snapshot_and_what_came_after_it(office):
    person = office.person(1)
    gate = integrator()
    for number in range(3):
        assert judge(gate, person.edit(lambda editor, number=number: editor.update({"company": f"Ann {number}"}))).new
    later = person.edit(lambda editor: editor.update({"city": "Bonn"}))
    assert gate.integrate(RECORD, None, [later], None, checked=True, snapshot=False).changed
    before = gate.document(RECORD).digest()
    other = office.person(2, [person.document.diff()])
    other.edit(lambda editor: editor.text("notes").insert(0, "Hello"))
    gap = other.edit(lambda editor: editor.text("notes").insert(5, "!"))
    assert gate.integrate(RECORD, None, [gap], None, checked=False, snapshot=False).verdicts[0].code == "gap"
    assert gate.document(RECORD).digest() == before
    assert values_of(gate.document(RECORD)) == values_of(person.document)


def test_the_least_recently_used_record_is_evicted_and_must_be_given_again(one_entry_update):
    gate = Integrator(2)
    for name in ("a", "b"):
        assert gate.integrate(f"customers/{name}", [], [], None, checked=True, snapshot=False).evicted == ()
    gate.integrate("customers/a", None, [], None, checked=True, snapshot=False)
    outcome = gate.integrate("customers/c", [], [], None, checked=True, snapshot=False)
    assert outcome.evicted == ("customers/b",)
    assert gate.known == {"customers/a", "customers/c"}
    with pytest.raises(KeyError):
        gate.integrate("customers/b", None, [one_entry_update], None, checked=True, snapshot=False)
    gate.forget("customers/a")
    gate.forget("customers/a")
    assert gate.known == {"customers/c"}
    with pytest.raises(KeyError):
        gate.document("customers/a")
    with pytest.raises(ValueError, match="at least one"):
        Integrator(0)


def test_stored_bytes_that_cannot_be_read_are_named():
    with pytest.raises(UpdateRefused, match="customers/a"):
        Integrator(1).integrate(RECORD, [b"\xff\xff"], [], None, checked=True, snapshot=False)


@given(SCRIPTS)
@settings(max_examples=40)
def test_the_digests_of_stored_bytes_are_those_of_the_record(office, script):
    document = office.play(script)[0].document
    assert digest_of([document.diff()]) == (document.state_vector(), document.digest())
    assert content_digest_of([document.diff()]) == document.content_digest()


@given(SCRIPTS, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_updates_that_scan_lets_through_agree_with_the_unchecked_gate(office, script, shuffle):
    updates = [update for person in office.play(script) for update in person.sent]
    shuffle.shuffle(updates)
    checked, trusted = integrator(), integrator()
    for update in updates:
        one, other = judge(checked, update), judge(trusted, update, checked=False)
        assert (one.code, one.new) == (other.code, other.new)
    assert checked.document(RECORD).digest() == trusted.document(RECORD).digest()


ORIGINS = st.none() | st.tuples(st.sampled_from((1, 2)), st.integers(0, 3))
ITEMS = st.lists(st.tuples(ORIGINS, ORIGINS), min_size=1, max_size=3)


def linked(writers, deletes=b"\x00"):
    """An update with an array item of one value for each `(left, right)` of these writers, by their first clocks."""
    out = bytearray([len(writers)])
    for (writer, start), items in writers.items():
        out += bytes([len(items), writer, start])
        for left, right in items:
            out.append(0x08 | (0x80 if left else 0) | (0x40 if right else 0))
            out += bytes([*(left or ()), *(right or ())])
            out += b"" if left or right else b"\x01\x03c.a"
            out += b"\x01\x7d\x01"
    return bytes(out) + deletes


@given(ITEMS, ITEMS, st.integers(0, 3))
def test_what_yrs_is_not_asked_about_leaves_nothing_pending(first, second, held):
    """Origins that lead anywhere: to what is here, back and forth between two writers, in circles, to themselves."""
    before = linked({(1, 0): [(None, None)] * held}) if held else None
    update = linked({(1, held): first, (2, 0): second})
    outcomes = []
    for in_order in (gate_loaded._in_order, lambda fresh, vector: False):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(gate_loaded, "_in_order", in_order)
            gate = integrator(*[before] if before else [])
            verdict = judge(gate, update)
            document = gate.document(RECORD)
            outcomes.append((verdict, document.state_vector(), document.digest(), document.contents()))
            assert verdict.code != "accepted" or not document.is_missing(update)
    assert outcomes[0] == outcomes[1]


CIRCLES = {
    "of two writers": linked({(1, 0): [((2, 0), None)], (2, 0): [((1, 0), None)]}),
    "of itself": linked({(1, 0): [((1, 0), None)]}),
    "of what comes later": linked({(1, 0): [((1, 1), None), ((1, 0), None)]}),
}


@pytest.mark.parametrize("circle", CIRCLES)
def test_what_builds_on_itself_is_asked_about(circle, monkeypatch):
    asked = []
    missing = Document.is_missing
    monkeypatch.setattr(Document, "is_missing", lambda self, update: asked.append(update) or missing(self, update))
    judge(integrator(), CIRCLES[circle])
    assert asked == [CIRCLES[circle]]


def test_with_the_question_planted_away_a_circle_is_taken_for_integrated(monkeypatch):
    update = CIRCLES["of two writers"]
    assert judge(integrator(), update).code == "gap"
    monkeypatch.setattr(gate_loaded, "_in_order", lambda fresh, vector: True)
    with pytest.raises(AssertionError):
        judge(integrator(), update)
