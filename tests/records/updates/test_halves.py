"""Records that earlier versions let half of a character be cut in are read, edited and passed on, alike everywhere."""

import pycrdt
import pytest

from crdt_sync.errors import UpdateRefused
from crdt_sync.records import EMPTY_STATE_VECTOR, Document, Integrator, content_digest_of, digest_of, scan, values_of
from crdt_sync.records.updates import bytes_diff, halves
from crdt_sync.records.updates.halves import made_whole, mended
from crdt_sync.records.updates.parts import read_parts

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
        assert values_of(document) == CUT[name][2]
        scan(document.diff())
        again = Document.load((document.diff(),))
        assert (again.digest(), values_of(again)) == (document.digest(), values_of(document))
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
    assert values_of(one) == values_of(other)


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


GONE = bytes.fromhex("000101010102")  # the character of AMONG is deleted
Z, W = "01010600840101017a00", "01010700c401010102017700"  # letters after its first half
INSIDE = (bytes.fromhex(Z), bytes.fromhex(W))
TOGETHER = bytes.fromhex("01010600840101017a0101010102")  # the deletion and "z" in one


def kept(gate, stored, way):
    """The bytes to load the record from again, None: it stays loaded."""
    updates = {
        "live": None,
        "its updates": stored,
        "its updates joined": [bytes_diff.diff(stored, EMPTY_STATE_VECTOR)],
        "its state": [Document.load(stored).diff()],
        "its updates and its state": [*stored, Document.load(stored).diff()],
    }
    return updates[way]


@pytest.mark.parametrize("way", ["live", "its updates", "its updates joined", "its state", "its updates and its state"])
@pytest.mark.parametrize(
    "updates",
    [(AMONG, GONE, *INSIDE), (AMONG, GONE, *reversed(INSIDE)), (AMONG, TOGETHER, INSIDE[1])],
    ids=["z first", "w first", "with the deletion"],
)
@pytest.mark.parametrize("checked", [True, False])
def test_between_the_halves_of_a_deleted_character_items_go_alike_whether_it_was_compacted_or_not(
    updates, way, checked
):
    gate, stored = Integrator(1), []
    gate.integrate(RECORD, (), (), None, checked, False)
    for update in updates:
        again = kept(gate, stored, way) if stored else None
        assert gate.integrate(RECORD, again, [update], None, checked, False).verdicts[0].code == "accepted"
        stored.append(update)
    document = gate.document(RECORD)
    assert values_of(document) == {"a": "awbz"}
    expected = digest_of(stored), content_digest_of(stored)
    for end in (stored, [bytes_diff.diff(stored, EMPTY_STATE_VECTOR)], [document.diff()]):
        assert (digest_of(end), content_digest_of(end)) == expected
        assert values_of(Document.load(end)) == {"a": "awbz"}
    assert (document.digest(), document.content_digest()) == (expected[0][1], expected[1])


def test_between_the_halves_of_a_character_nothing_goes_before_it_is_deleted():
    gate = Integrator(1)
    gate.integrate(RECORD, (AMONG,), (), None, True, False)
    for update, code in ((INSIDE[0], "malformed"), (GONE, "accepted"), (INSIDE[0], "accepted")):
        assert gate.integrate(RECORD, None, [update], None, True, False).verdicts[0].code == code
    assert values_of(gate.document(RECORD)) == {"a": "abz"}


def test_a_deleted_character_that_is_described_once_more_stays_deleted_content():
    """The update tells of the text of old, and of nothing that was deleted since."""
    whole = [Document.load((AMONG, GONE)).diff()]
    again = pycrdt.merge_updates(AMONG, INSIDE[0])
    for stored in ((AMONG, GONE), whole):
        gate = Integrator(1)
        gate.integrate(RECORD, stored, (), None, True, False)
        assert gate.integrate(RECORD, None, [again, INSIDE[1]], None, True, False).verdicts[1].code == "accepted"
        assert values_of(gate.document(RECORD)) == {"a": "awbz"}
        assert gate.document(RECORD).content_digest() == content_digest_of((*whole, *INSIDE))


def test_only_what_is_cut_becomes_deleted_content():
    text = bytes.fromhex(
        "01010100040103742e610ff09f9880f09f9880e282acf09f988000"
    )  # three characters and "€" among them
    gone = bytes.fromhex("000101010007")
    inside = bytes.fromhex("01010200840102017a00")  # in the second character
    base, *rest = mended((text, gone, inside))
    assert rest == [gone, inside]
    assert [(item.clock, item.length, item.deleted, item.left) for item in scan(base).items] == [
        (0, 2, False, None),
        (2, 2, True, (1, 1)),
        (4, 3, False, (1, 3)),
    ]
    assert scan(base).deletes == {1: [(2, 2)]}
    assert mended((text, gone)) == (text, gone)


@pytest.mark.parametrize("checked", [True, False])
def test_an_update_that_deletes_its_own_character_and_names_no_root_stays_readable(checked):
    text = bytes.fromhex("01010200040103742e61017800")  # "x", then "a😀b" after it, "abc" between the halves, deletion
    own = bytes.fromhex("01020b008402000661f09f988062840b0103616263010b010102")
    gate = Integrator(1)
    gate.integrate(RECORD, (text,), (), None, checked, False)
    assert gate.integrate(RECORD, None, [own], None, checked, False).verdicts[0].code == "accepted"
    document = gate.document(RECORD)
    scan(document.diff())
    assert values_of(document) == {"a": "xaabcb"}
    assert document.content_digest() == content_digest_of((text, own))


@pytest.mark.parametrize("here", [(), (AMONG,), (AMONG, GONE), (AMONG, GONE, INSIDE[0])], ids=len)
@pytest.mark.parametrize(
    "update",
    [AMONG, TOGETHER, *INSIDE, pycrdt.merge_updates(AMONG, INSIDE[0]), pycrdt.merge_updates(AMONG, TOGETHER)],
    ids=["text", "letter and deletion", "letter", "another letter", "text and letter", "all of it"],
)
def test_an_update_is_read_once_to_be_made_whole(here, update, monkeypatch):
    """And comes to what it comes to among the deletions of the record."""
    document, read, done = Document.load(here), read_parts, []
    expected = made_whole((update, document.deletions()))[0]
    monkeypatch.setattr(halves, "read_parts", lambda one: done.append(one) or read(one))
    assert document.steps(update, scan(update))[-1] == expected
    assert len(done) <= 1


def test_what_the_rest_of_a_record_deletes_is_asked_for_only_where_a_pair_is_cut():
    asked = []
    for updates in ((AMONG,), (AMONG, GONE), (AMONG, INSIDE[0])):
        made_whole(updates, lambda updates=updates: asked.append(updates) or {})  # type: ignore[misc]
    assert asked == [(AMONG, INSIDE[0])]
