"""Signatures of entries: what they cover, and what they survive."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.clock import HybridClock
from crdt_sync.identity.certified import Verifier
from crdt_sync.principal import Issuer
from crdt_sync.records import Document, Editor, signatures
from crdt_sync.records.entries import timeline
from crdt_sync.records.first_content import as_first_content
from crdt_sync.records.lineages.renewal import carried, renewed
from crdt_sync.records.reading import values_of
from crdt_sync.records.restamp import restamp
from crdt_sync.records.roots import SIGNERS_ROOT
from crdt_sync.records.signature_text import bare, signature_of
from crdt_sync.records.signatures import Signing, Standing, signed_bytes, standing, tokens_in
from tests.records.signers import (
    ANNA,
    BEN,
    NOW,
    OTHER_KEY,
    RECORD,
    SCHEMA,
    SPACE,
    SPACE_KEY,
    VERIFIER,
    edit,
    signer,
    standings,
    written,
)

VERIFIED, CLAIMED, FORGED = Standing


def much(editor):
    editor.update({"name": "Ann", "age": 30, "phone": "1", "score": 3})
    editor.append("calls", "rang")
    editor.append("calls", "rang back")


def entry_of(document, root="c.name") -> Any:
    held: Any = document.contents()[root]
    (entry,) = held
    return entry


def shown_by(document) -> Any:
    return values_of(document, SCHEMA)


def tokens_of(document) -> Any:
    return document.contents()[SIGNERS_ROOT]


def judged(entry, document, root="c.name", record=RECORD, verifier=VERIFIER):
    return standing(verifier, record, root, entry, tokens_in(document.contents()[SIGNERS_ROOT]))


# --- what is covered -----------------------------------------------------------------------------------------


def test_what_a_device_writes_is_verified_and_shown_as_ever():
    document = written(7, much)
    assert standings(document) == {
        "c.age": [VERIFIED], "c.name": [VERIFIED], "c.phone": [VERIFIED], "c.score": [VERIFIED],
        "l.calls": [VERIFIED, VERIFIED],
    }  # fmt: skip
    shown = shown_by(document)
    assert (shown["name"], shown["age"], [line["value"] for line in shown["calls"]]) == (
        "Ann", 30, ["rang", "rang back"],
    )  # fmt: skip
    assert len(tokens_of(document)) == 1


COVERED = {
    "value": lambda entry: ["Eve", *entry[1:]],
    "stamp": lambda entry: [entry[0], entry[1] + 1, *entry[2:]],
    "author": lambda entry: [*entry[:2], "ben", *entry[3:]],
    "more": lambda entry: [*entry[:3], "unsure", *entry[3:]],
}


@pytest.mark.parametrize("what", COVERED)
def test_no_part_of_an_entry_can_be_changed(what):
    document = written(7, much)
    assert judged(COVERED[what](entry_of(document)), document) is FORGED


def test_an_entry_is_forged_in_another_field_record_or_space():
    document = written(7, much)
    entry = entry_of(document)
    assert judged(entry, document) is VERIFIED
    assert judged(entry, document, root="c.phone") is FORGED
    assert judged(entry, document, root="l.name") is FORGED
    assert judged(entry, document, record="people/2") is FORGED
    elsewhere = signer("anna", 1, space=bytes(16))
    moved = [*bare(entry), entry_of(written(8, much, elsewhere))[-1]]
    assert judged(moved, document) is FORGED


@pytest.mark.parametrize("left_out", ["field", "record", "stamp"])
def test_a_check_that_leaves_something_out_would_be_noticed(left_out, monkeypatch):
    def covers_less(space, record, root, entry):
        stamp = 0 if left_out == "stamp" else entry[1]
        return signed_bytes(
            space,
            "" if left_out == "record" else record,
            "" if left_out == "field" else root,
            [entry[0], stamp, *entry[2:]],
        )

    monkeypatch.setattr(signatures, "signed_bytes", covers_less)

    def all_of_it():
        test_an_entry_is_forged_in_another_field_record_or_space()
        test_no_part_of_an_entry_can_be_changed("stamp")

    with pytest.raises(AssertionError):
        all_of_it()


def test_who_signs_for_another_user_forges():
    document = written(7, lambda editor: editor.update({"name": "Ann"}), BEN)
    entry = [*entry_of(document)]
    assert judged([entry[0], entry[1], "anna", *entry[3:]], document) is FORGED


def test_what_nobody_signed_or_an_unknown_device_is_claimed():
    document = written(7, much)
    entry = entry_of(document)
    assert judged(bare(entry), document) is CLAIMED
    assert standing(VERIFIER, RECORD, "c.name", entry, {}) is CLAIMED
    stranger = written(8, much, signer("anna", 1, by=OTHER_KEY))
    assert set(standings(stranger)["c.name"]) == {CLAIMED}, "a token of another issuer counts for nothing"
    retired = Verifier(Issuer(SPACE, (OTHER_KEY.public.raw,)))
    assert judged(entry, document, verifier=retired) is CLAIMED


@pytest.mark.parametrize("bad", ["sig:", "sig:" + "A" * 107, "sig:" + "!" * 107, 5, None, ["sig:"], "x" * 111])
def test_what_is_no_signature_is_claimed_or_forged_and_never_raises(bad):
    document = written(7, much)
    assert judged([*bare(entry_of(document)), bad], document) in {CLAIMED, FORGED}


def test_garbage_in_the_place_of_a_token_keeps_nobody_from_signing():
    document = Document(7)
    with document.transaction() as transaction:
        array = document.array(transaction, SIGNERS_ROOT)
        array.insert(transaction, 0, ["garbage", 0, ANNA.device.hex()])
        array.insert(transaction, 0, [5, 0, "x"])
        array.insert(transaction, 0, "x")
    edit(document, much)
    assert standings(document)["c.name"] == [VERIFIED]
    assert len(tokens_of(document)) == 4


# --- what they survive ---------------------------------------------------------------------------------------

VALUES = st.one_of(st.text(max_size=8), st.none())
EDITS = st.lists(
    st.tuples(st.sampled_from(["anna", "ben"]), st.sampled_from(["name", "age", "score", "calls"]), st.integers(0, 9)),
    max_size=8,
)


def apply(document, edits, time=NOW):
    for step, (who, field, value) in enumerate(edits):

        def change(editor, field=field, value=value):
            if field == "calls":
                editor.append(field, str(value))
            else:
                editor[field] = f"é{value}" if field == "name" else value

        edit(document, change, ANNA if who == "anna" else BEN, time=time + step)


@given(first=EDITS, left=EDITS, right=EDITS)
def test_they_survive_merging_diffs_compaction_renewal_and_what_is_carried_over(first, left, right):
    ours = Document(11)
    apply(ours, first)
    theirs = Document.load((ours.diff(),), 12)
    apply(ours, left, NOW + 100)
    apply(theirs, right, NOW + 200)
    late = Document.load((ours.diff(),), 13)
    apply(late, right, NOW + 300)
    ours.join(theirs.diff(ours.state_vector()))
    compacted = Document.load((ours.diff(),))
    fresh = renewed(compacted)
    together = carried(fresh, late)
    for document in (ours, compacted, fresh, Document.load((fresh.diff(),)), together):
        assert {each for held in standings(document).values() for each in held} <= {VERIFIED}
    assert standings(fresh) == standings(ours)


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20), st.integers(-(2**53) + 1, 2**53 - 1))
def test_any_value_is_verified_as_it_is_read_again(text, number):
    document = written(7, lambda editor: editor.update({"name": text, "age": number}))
    again = Document.load((document.diff(),))
    assert all(held == [VERIFIED] for held in standings(again).values())


def test_a_record_of_a_natural_key_is_signed_once_its_id_is_known():
    draft = Document(7)

    much(Editor(draft, SCHEMA, HybridClock(lambda: NOW), "anna", "people"))
    shared = as_first_content(draft, NOW, "anna", Signing(ANNA, RECORD))
    assert all(set(held) == {VERIFIED} for held in standings(shared).values())
    assert [line["value"] for line in shown_by(shared)["calls"]] == ["rang", "rang back"]


def test_what_is_stamped_again_is_signed_again():

    document = written(7, much)
    assert restamp(document, 0, HybridClock(lambda: NOW + 10**9), "anna", signing=Signing(ANNA, RECORD))
    assert all(set(held) == {VERIFIED} for held in standings(document).values())
    assert restamp(document, 0, HybridClock(lambda: NOW + 2 * 10**9), "anna")
    assert all(set(held) == {CLAIMED} for held in standings(document).values())


def test_equal_first_lines_of_two_devices_are_one_whoever_signed_them():
    drafts = []
    for writer, by in ((7, ANNA), (8, BEN)):
        document = written(writer, lambda editor: editor.append("calls", "rang"), by)
        entry = entry_of(document, "l.calls")
        drafts.append([*bare(entry)[:3], "first", 0, entry[-1]])

    assert [line["value"] for line in timeline(drafts, lambda entry: entry[2])] == ["rang"]


def test_a_signature_takes_a_fixed_number_of_bytes():
    entry = entry_of(written(7, much))
    assert len(json.dumps(entry)) - len(json.dumps(bare(entry))) == 115
    found = signature_of(entry)
    assert found is not None
    device, signature = found
    assert (device, len(signature)) == (ANNA.device, 64)
    assert SPACE_KEY.public.kid != OTHER_KEY.public.kid
    assert VERIFIER.space == SPACE
