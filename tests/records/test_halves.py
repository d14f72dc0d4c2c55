"""Records that earlier versions let half of a character be cut in are read, edited and passed on, alike everywhere."""

import pycrdt
import pytest

from crdt_sync.errors import UpdateRefused
from crdt_sync.records import EMPTY_STATE_VECTOR, Document, Integrator, bytes_diff, content_digest_of, digest_of, scan
from crdt_sync.records.halves import mended

RECORD = "customers/a"
PAIR = bytes.fromhex("01010100040103742e6104f09f988000")  # "😀"
AMONG = bytes.fromhex("01010100040103742e610661f09f98806200")  # "a😀b"

CUT = {
    "the first half is deleted": (PAIR, "000101010001", {}),
    "the second half is deleted": (PAIR, "000101010101", {}),
    "the first half is deleted, in a text": (AMONG, "000101010101", {"a": "ab"}),
    "the second half is deleted, in a text": (AMONG, "000101010201", {"a": "ab"}),
    "one and a half characters are deleted": (AMONG, "000101010002", {"a": "b"}),
    "an item after the first half": (PAIR, "01010200840100017a00", {"a": "😀z"}),
    "an item before the second half": (PAIR, "01010200440101017a00", {"a": "z😀"}),
    "an item between the halves": (PAIR, "01010200c401000101017a00", {"a": "😀z"}),
    "an item after the first half, in a text": (AMONG, "01010200840101017a00", {"a": "a😀bz"}),
}


def stored(name):
    """The record as its updates were stored, and joined in one."""
    base, update, _ = CUT[name]
    updates = (base, bytes.fromhex(update))
    return updates, (pycrdt.merge_updates(*updates),)


@pytest.mark.parametrize("name", CUT)
def test_a_cut_character_is_whole_again_alike_however_it_was_stored(name):
    digests = set()
    for updates in stored(name):
        document = Document.load(updates)
        assert document.values() == CUT[name][2]
        scan(document.diff())
        again = Document.load((document.diff(),))
        assert (again.digest(), again.values()) == (document.digest(), document.values())
        digests.add((digest_of(updates), content_digest_of(updates)))
    assert len(digests) == 1


@pytest.mark.parametrize("name", CUT)
def test_every_edit_of_such_a_record_goes_through_and_on(name, office):
    for updates in stored(name):
        gate = Integrator(1)
        gate.integrate(RECORD, updates, (), None, True, False)
        person = office.person(9, updates)
        edits = [
            person.edit(lambda editor: editor.update({"company": "Ann"})),
            person.edit(lambda editor: editor.text("notes").insert(0, "é")),
        ]
        verdicts = gate.integrate(RECORD, None, edits, None, True, False).verdicts
        assert [verdict.code for verdict in verdicts] == ["accepted", "accepted"]
        assert gate.document(RECORD).digest() == person.document.digest()
        fresh = Integrator(1)
        whole = bytes_diff.diff((*updates, *edits), EMPTY_STATE_VECTOR)
        (verdict,) = fresh.integrate(RECORD, (), [whole], None, True, False).verdicts
        assert (verdict.code, fresh.document(RECORD).digest()) == ("accepted", person.document.digest())


@pytest.mark.parametrize("name", CUT)
def test_a_record_that_was_compacted_with_the_cut_is_readable_and_meets_the_others(name):
    """What the compaction lost is lost: but it is scanned, and ends as the others do once they exchanged."""
    base, update, _ = CUT[name]
    broken = Document.load_whole((base, bytes.fromhex(update))).diff()
    one, other = Document.load((broken,)), Document.load(stored(name)[0])
    scan(one.diff())
    one.apply(other.diff(one.state_vector()))
    other.apply(one.diff(other.state_vector()))
    assert one.digest() == other.digest()
    assert one.values() == other.values()


def test_what_was_mended_is_news_once_so_that_it_is_stored():
    base, update, _ = CUT["the first half is deleted"]
    known = Document.load((base, bytes.fromhex(update))).diff()
    for checked in (True, False):
        gate = Integrator(1)
        gate.integrate(RECORD, (base, bytes.fromhex(update)), (), None, checked, False)
        verdicts = gate.integrate(RECORD, None, [known, known], None, checked, False).verdicts
        assert [(verdict.code, verdict.new) for verdict in verdicts] == [("accepted", True), ("accepted", False)]


def test_whole_characters_and_other_records_stay_the_same_bytes(office):
    person = office.person(1)
    person.edit(lambda editor: editor.update({"company": "😀 Ann"}))
    person.edit(lambda editor: editor.text("notes").insert(0, "a😀b😀"))
    person.edit(lambda editor: editor.text("notes").delete(1, 2))
    for updates in ((person.document.diff(),), tuple(person.sent), (b"\xff\xf0\x9f\x98\x80\x01\x03t.a",), ()):
        assert mended(updates) is updates


def test_a_state_of_our_own_that_cannot_be_scanned_is_no_verdict_on_what_was_sent(office, monkeypatch):
    person = office.person(1)
    update = person.edit(lambda editor: editor.text("notes").insert(0, "x"))
    later = person.edit(lambda editor: editor.text("notes").insert(1, "y"))
    gate = Integrator(1)
    gate.integrate(RECORD, (update,), (), None, True, False)
    monkeypatch.setattr(gate.document(RECORD).__class__, "diff", lambda document, vector=b"\x00": b"\xff")
    with pytest.raises(UpdateRefused, match="stored bytes of customers/a cannot be read"):
        gate.integrate(RECORD, None, (later,), None, True, False)
    monkeypatch.undo()
    assert gate.known == frozenset()
    gate.integrate(RECORD, (update,), (), None, True, False)
    assert gate.integrate(RECORD, None, (later,), None, True, False).verdicts[0].code == "accepted"
