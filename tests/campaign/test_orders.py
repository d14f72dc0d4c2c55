"""What the gate accepts ends the same in every order; without any one of its rules it does not."""

import random
from collections import Counter

import pytest

from crdt_bench.campaign import orders
from crdt_bench.campaign.confined import confined
from crdt_sync.records import Document
from crdt_sync.records.gate import loaded, well_placed
from crdt_sync.records.updates import halves

_CASES = 480


def test_some_hundred_histories_end_the_same_in_every_order():
    tally = orders.run(0, _CASES)
    assert tally.findings == []
    assert tally.ran == _CASES
    assert tally.outcomes["honest"] == _CASES // 8
    assert tally.outcomes["with accepted crafted updates"] > _CASES // 4
    assert tally.outcomes["all crafted updates refused"] > _CASES // 4


# The fifth keeps records readable, see test_hostile_updates.
WITHOUT = {
    1: "01020500080103632e61027c000000007c00000000280103732e61016b017c4000000000"
    " 01030200280103732e61016a017c40c00000a1050201a80201017c00000000020201010105010201"
    " 01020700880500017d09c1020102020201070201020201 0101ffffffffffffff0f00c805000200017d350105010000",
    2: "01010200040103742e620362636400 01010100c402020201016500",
    3: "01010100040103742e6102626300 01010200840100016400 01010300440101016800",
    4: "01020100280103732e61016b017d17880100027d2e7d2200 01020400c801010102027d117d05810400010104010201 000104010001",
    6: "01010100040103742e6104f09f988000 000101010001",
    7: "01010100080103632e61037d2f7d027d350101010100 01010103880101037d1a7d327d1e01010203010001",
}


def planted(monkeypatch, rule):
    refuse = well_placed._refuse
    monkeypatch.setattr(well_placed, "_refuse", lambda broken, why: None if broken == rule else refuse(broken, why))
    if rule == 6:
        monkeypatch.setattr(loaded, "cuts_pair", lambda deletes, lists, known: False)
    if rule == 7:
        monkeypatch.setattr(loaded, "tangled", lambda deletes: False)


def outcome(rule):
    updates = [bytes.fromhex(update) for update in WITHOUT[rule].split()]
    return confined(lambda: orders.compared(updates, random.Random(0))[1] or "the same", 1)


@pytest.mark.parametrize("rule", WITHOUT)
def test_each_rule_is_needed(monkeypatch, rule):
    assert outcome(rule) == "the same"
    planted(monkeypatch, rule)
    assert outcome(rule) != "the same"


@pytest.mark.parametrize(("rule", "first"), [(2, 10), (6, 65)])
def test_a_rule_that_is_left_out_is_found_among_drawn_histories(monkeypatch, rule, first):
    planted(monkeypatch, rule)
    assert orders.run(first, 5).findings


def test_an_honest_update_that_is_refused_is_noticed(monkeypatch):
    monkeypatch.setattr(loaded, "misnamed", lambda items: "planted")
    assert "an honest update is refused" in orders.case(0, Counter())


MISTAKES = {
    "a pair that is deleted counts where it was not compacted": lambda patch: patch.setattr(
        well_placed._Pairs, "cut", lambda pairs, operation: pairs._lists.second_half(operation)
    ),
    "what an update deletes is deleted last": lambda patch: patch.setattr(
        Document, "steps", lambda document, update, found: [update]
    ),
    "a deleted pair is cut as text": lambda patch: patch.setattr(
        halves, "_with_deleted_content", lambda update, cut: update
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_goes_wrong_between_the_halves_of_a_deleted_character_is_found(monkeypatch, mistake):
    MISTAKES[mistake](monkeypatch)
    assert orders.run(220, 10).findings
