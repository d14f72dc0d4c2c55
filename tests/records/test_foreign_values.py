"""Values that our layout never writes: refused where they are new, read alike and passed on where they are here."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.records import Document, Integrator, values_of
from crdt_sync.records.memory.sources import encode_said
from crdt_sync.records.updates.objects import in_order
from crdt_sync.records.updates.update import scan
from tests.records.conftest import START
from tests.records.raw_updates import INFINITY, NOT_A_NUMBER, array, mapping, update, value

RECORD = "customers/a"
FOREIGN = {
    "NaN": NOT_A_NUMBER,
    "a short NaN": struct.pack(">Bf", 124, float("nan")),
    "infinity": INFINITY,
    "minus infinity": struct.pack(">Bd", 123, float("-inf")),
    "an object": value({f"k{index}": index for index in range(20)}),
    "an empty object": b"\x76\x00",
    "bytes": b"\x74\x03abc",
}
OURS = {
    "a short number": struct.pack(">Bf", 124, 0.5),
    "a long number": struct.pack(">Bd", 123, 2.0**53),
    "a big integer": struct.pack(">Bq", 122, 5),
    "nothing": b"\x7e",
    "undefined": b"\x7f",
}
PLACES = {
    "a value": lambda each: [array("c.company", [[each, 1, "m"]])],
    "within a list": lambda each: [array("c.company", [[[[each]], 1, "m"]])],
    "after the author": lambda each: [array("l.timeline", [["x", 1, "m", each]])],
    "no entry": lambda each: [array("c.company", ["x", each])],
    "a member": lambda each: [mapping("s.tags", {"x\n1": each})],
    "a count": lambda each: [mapping("n.visits", {"1": each})],
}
OBJECTS = st.recursive(
    st.none() | st.integers(-100, 100) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)


def judge(stored, sent):
    gate = Integrator(1)
    (verdict,) = gate.integrate(RECORD, stored, [sent], None, checked=True, snapshot=False).verdicts
    return verdict


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", FOREIGN)
def test_new_ones_are_refused_wherever_they_stand(kind, place):
    verdict = judge((), update(PLACES[place](FOREIGN[kind])))
    assert verdict.code == "malformed"
    assert "operation" in verdict.reason
    assert "writer 8500 holds" in verdict.reason


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", OURS)
def test_whatever_other_implementations_make_of_ours_is_accepted(kind, place):
    assert judge((), update(PLACES[place](OURS[kind]))).code == "accepted"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", FOREIGN)
def test_a_record_that_holds_one_is_read_and_edited_and_what_describes_it_again_is_accepted(office, kind, place):
    stored = update(PLACES[place](FOREIGN[kind]))
    person = office.person(2, [stored])
    edit = person.edit(lambda editor: editor.update({"city": "Bonn"}))
    assert judge((stored,), edit).code == "accepted"
    assert judge((stored,), person.document.diff()).code == "accepted"
    assert judge((person.document.diff(),), stored).code == "accepted"
    assert values_of(person.document)["city"] == "Bonn"


@pytest.mark.parametrize("kind", FOREIGN)
def test_writing_the_field_anew_heals_the_record(office, kind):
    person = office.person(2, [update(PLACES["a value"](FOREIGN[kind]))])
    person.edit(lambda editor: editor.update({"company": "Ann"}))
    assert judge((), person.document.diff()).code == "accepted"


def test_what_was_known_to_be_of_two_contents_is_refused_still():
    stored = update([array("c.company", [[NOT_A_NUMBER, 1, "m"]])])
    assert judge((stored,), update([array("c.company", [["x", 1, "m"]])])).code == "malformed"


@given(OBJECTS)
def test_an_object_is_read_and_digested_in_one_order(held):
    stored = update([array("c.company", [[held, 1, "m"], held]), mapping("s.tags", {"x\n1": held})])
    loads = [Document.load((stored,)) for _ in range(4)]
    assert len({document.content_digest() for document in loads}) == 1
    assert len({str(values_of(document)) for document in loads}) == 1


@given(OBJECTS, st.randoms())
def test_in_order_is_the_same_for_any_order_and_says_the_same(held, random):
    def shuffled(each):
        if isinstance(each, list):
            return [shuffled(one) for one in each]
        if isinstance(each, dict):
            return {name: shuffled(each[name]) for name in random.sample(list(each), len(each))}
        return each

    one, other = (update([array("c.company", [[each, 1, "m"], "v"])]) for each in (held, shuffled(held)))
    assert in_order(one) == in_order(other)
    assert len(in_order(one)) == len(one)
    assert values_of(Document.load((in_order(one),))) == values_of(Document.load((one,)))


def test_other_content_has_another_digest():
    one, other = (Document.load((update([array("c.company", [[{"a": 1, "b": each}, 1, "m"]])]),)) for each in (2, 3))
    assert one.content_digest() != other.content_digest()


def test_deeply_nested_objects_are_put_in_order_in_time_in_proportion_to_their_bytes():
    nested: dict[str, object] = {"a": 1, "b": 2}
    for _ in range(6):
        nested = {"x": nested, "y": nested}
    whole = update([array("c.company", [nested])])
    assert len(in_order(whole)) == len(whole)
    assert scan(in_order(whole)).foreign == [(8500, 0, "an object")]


def test_lines_that_a_decision_drops_are_not_those_that_python_holds_equal(office):
    said = [encode_said({"timeline": [1, "x"]}), encode_said({"timeline": [True, "x"]})]
    memories = [[each, START + index, "m", "one"] for index, each in enumerate(said)]
    lines = [[True, 0, "@x"], [1, 0, "@x"], ["x", 0, "@x"]]
    person = office.person(7, (update([array("l.timeline", lines), array("c._source", memories)]),))
    person.editor.resolve("timeline", [])
    assert [repr(entry[0]) for entry in person.document.contents()["l.timeline"]] == ["True", "'x'"]
