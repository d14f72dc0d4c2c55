"""Items that Yjs libraries place differently from replica to replica are refused; what editors make never is."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Array, Doc, Map, Text

from crdt_sync.records import Document, scan, values_of
from crdt_sync.records.gate.well_placed import misplaced
from crdt_sync.records.updates.lists import Lists
from tests.records.gate.conftest import RECORD, gate, judge

PAIR = bytes.fromhex("01010100040103742e6104f09f988000")  # t.a is one character of two operations
ABC = bytes.fromhex("01010200040103742e620362636400")  # t.b is "bcd"

BROKEN = {
    "the right origin stands before the left one": ([ABC], "01010100c402020201016500"),
    "both origins are one": ([], "01010200040103742e62026162c401010101016300"),
    "both origins are one, in an array": ([], "01020100080103632e61027d007d01c801010101017d0200"),
    "the right origin began elsewhere": (
        [bytes.fromhex("01010100040103742e6102626300"), bytes.fromhex("01010200840100016400")],
        "01010300440101016800",
    ),
    "a deletion of the first half of a character": ([PAIR], "000101010001"),
    "a deletion of the second half of a character": ([PAIR], "000101010101"),
    "deletions of both halves, one after the other": ([PAIR], "0001010200010101"),
    "deletions that do not ascend": ([ABC], "0001020201010001"),
    "deletions that overlap": ([ABC], "0001020200020102"),
    "a left origin inside a character": ([PAIR], "01010200840100017a00"),
    "a right origin inside a character": ([PAIR], "01010200440101017a00"),
    "a key with two values": ([], "01010100280103732e61016b027d017d0200"),
    "a key with two values, after another": (
        [bytes.fromhex("01010100280103732e61016b017d0100")],
        "01010200880100027d017d0200",
    ),
    "between a list and a map": (
        [bytes.fromhex("01010100080103632e61037d017d027d0300"), bytes.fromhex("01010300280103732e61016b017d0700")],
        "01010400c801010300017d0900",
    ),
    "a value of a map without a key": ([], "01010100080103732e61017d0100"),
    "a key in an array": ([], "01010100280103632e61016b017d0100"),
    "a root of no layout": ([], "01010100040103782e6102616200"),
    "a root without a field": ([], "01010100040102742e02616200"),
    "a root without a prefix": ([], "010101000401016102616200"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_replicas_would_show_differently_is_refused_with_a_reason_and_leaves_no_trace(name):
    stored, update = BROKEN[name]
    integrator = gate()
    assert [judge(integrator, before).code for before in stored] == ["accepted"] * len(stored)
    before = integrator.document(RECORD).diff()
    verdict = judge(integrator, bytes.fromhex(update))
    assert verdict.code == "malformed"
    assert verdict.reason
    assert integrator.document(RECORD).diff() == before
    for again in stored:
        assert not judge(integrator, again).new


def test_a_refused_item_does_not_stand_in_the_way_of_the_honest_one_with_its_clock():
    integrator = gate(ABC)
    assert judge(integrator, bytes.fromhex("01010100c402020201016500")).code == "malformed"
    assert judge(integrator, bytes.fromhex("01010100840202016500")).code == "accepted"
    assert judge(integrator, bytes.fromhex("01010300c402020100016500")).code == "accepted"
    assert values_of(integrator.document(RECORD)) == {"b": "bcdee"}


def test_a_whole_character_goes_and_its_halves_may_come_again_later():
    integrator = gate(PAIR)
    assert judge(integrator, bytes.fromhex("000101010002")).code == "accepted"
    assert judge(integrator, bytes.fromhex("000101010001")).code == "accepted"  # nothing new any more
    assert values_of(integrator.document(RECORD)) == {}


ROOTS = {"c.a": Array, "l.a": Array, "t.a": Text, "s.a": Map}
STEPS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), st.integers(0, 30), st.integers(0, 9)), max_size=40)


def edit(doc, what, where, much):
    """One edit that an editor can make, at any place of any root."""
    name = ("c.a", "l.a", "t.a", "t.a", "t.a", "s.a")[what % 6]
    root = doc.get(name, type=ROOTS[name])
    if name == "s.a":
        if where % 3 and f"{where % 4}" in root:
            del root[f"{where % 4}"]
        else:
            root[f"{where % 4}"] = where
        return
    if name == "t.a":
        text = str(root)
        start = where % (len(text) + 1)
        begin = len(text[:start].encode())
        if much > 5 and start < len(text):
            del root[begin : begin + len(text[start : start + 2].encode())]
        else:
            root.insert(begin, ("x", "yz", "😀", "é😀ß")[much % 4])
        return
    start = where % (len(root) + 1)
    if much > 6 and start < len(root):
        del root[start]
    else:
        for value in range(much % 3 + 1):
            root.insert(start, [value, 1, "a"])


@given(STEPS, st.randoms(use_true_random=False))
def test_honest_edits_at_any_place_are_never_refused_and_end_the_same(script, shuffle):
    docs = [Doc(client_id=number + 1) for number in range(3)]
    updates = []
    for who, what, where, much in script:
        doc = docs[who]
        if what == 9:
            other = docs[where % 3]
            doc.apply_update(other.get_update(doc.get_state()))
            continue
        before = doc.get_state()
        edit(doc, what, where, much)
        updates.append(doc.get_update(before))
    shuffle.shuffle(updates)
    integrators = [gate(), gate()]
    for integrator in integrators:
        waiting = updates
        while waiting:
            codes = [judge(integrator, update).code for update in waiting]
            assert set(codes) <= {"accepted", "gap"}
            assert "accepted" in codes
            waiting = [update for update, code in zip(waiting, codes, strict=True) if code == "gap"]
        updates.reverse()
    one, other = (integrator.document(RECORD) for integrator in integrators)
    assert one.digest() == other.digest()
    assert one.content_digest() == other.content_digest()
    whole = gate()
    assert judge(whole, one.diff()).code == "accepted"
    found = scan(one.diff())
    assert misplaced(found.items, Lists(found.items), lambda: found.deletes) == ""


def test_siblings_are_ordered_as_yjs_orders_them():
    """Three writers beside each other at one place, then one between each two, in every order of arrival."""
    base = Doc(client_id=9)
    base.get("t.a", type=Text).insert(0, "[]")
    updates = [base.get_update()]
    writers = [Doc(client_id=number) for number in (3, 1, 2)]
    for doc in writers:
        doc.apply_update(updates[0])
        before = doc.get_state()
        doc.get("t.a", type=Text).insert(1, str(doc.client_id))
        updates.append(doc.get_update(before))
    late = Doc(client_id=7)
    for update in updates:
        late.apply_update(update)
    assert str(late.get("t.a", type=Text)) == "[123]"
    for place in (2, 4):
        before = late.get_state()
        late.get("t.a", type=Text).insert(place, "-")
        updates.append(late.get_update(before))
    for order in itertools.permutations(updates[1:4]):
        integrator = gate(updates[0])
        assert [judge(integrator, update).code for update in (*order, *updates[4:])] == ["accepted"] * 5
        assert values_of(integrator.document(RECORD)) == {"a": "[1-2-3]"}


def test_an_item_between_siblings_in_the_wrong_order_is_refused():
    three = Document.load([ABC])
    integrator = gate(three.diff())
    assert judge(integrator, bytes.fromhex("01010500840202013500")).code == "accepted"  # 5 beside "d"
    assert judge(integrator, bytes.fromhex("01010600840202013600")).code == "accepted"  # and 6
    assert values_of(integrator.document(RECORD)) == {"b": "bcd56"}
    assert judge(integrator, bytes.fromhex("01010700c406000500013700")).code == "malformed"
    assert judge(integrator, bytes.fromhex("01010700c405000600013700")).code == "accepted"
    assert values_of(integrator.document(RECORD)) == {"b": "bcd576"}
