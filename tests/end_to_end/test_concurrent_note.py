"""Two people who really wrote one note at the same time: the gate takes every edit, in any order, and all at once."""

import gzip
import json

import pytest
from pycrdt import Doc, Text

from crdt_sync.records import Integrator, values_of

RECORD = "customers/a"
EDITS = 2_500


@pytest.fixture(scope="module")
def played(shared_data):
    """The updates of the first edits of the trace, in causal order, and the text that all of them lead to."""
    path = shared_data / "traces" / "text_friendsforever_concurrent.json.gz"
    edits = json.loads(gzip.decompress(path.read_bytes()))["txns"][:EDITS]
    docs = [Doc(client_id=(1 << 40) + 7919 * agent) for agent in range(2)]
    held = [set(), set()]
    updates = []
    for number, edit in enumerate(edits):
        doc, has = docs[edit["agent"]], held[edit["agent"]]
        lacking, ancestors = set(), list(edit["parents"])
        while ancestors:
            ancestor = ancestors.pop()
            if ancestor not in has and ancestor not in lacking:
                lacking.add(ancestor)
                ancestors += edits[ancestor]["parents"]
        for ancestor in sorted(lacking):
            doc.apply_update(updates[ancestor])
        before, text = doc.get_state(), doc.get("t.notes", type=Text)
        for place, removed, added in edit["patches"]:
            shown = str(text)
            start = len(shown[:place].encode())
            if removed:
                del text[start : start + len(shown[place : place + removed].encode())]
            if added:
                text.insert(start, added)
        updates.append(doc.get_update(before))
        has |= {*lacking, number}
    whole = Doc()
    for update in updates:
        whole.apply_update(update)
    return updates, str(whole.get("t.notes", type=Text))


def gate():
    integrator = Integrator(1)
    integrator.integrate(RECORD, (), (), None, True, False)
    return integrator


def test_every_edit_is_accepted_and_all_at_once_as_well(played):
    updates, text = played
    one_by_one = gate()
    verdicts = one_by_one.integrate(RECORD, None, updates, None, True, False).verdicts
    assert {verdict.code for verdict in verdicts} == {"accepted"}
    document = one_by_one.document(RECORD)
    assert values_of(document) == {"notes": text}
    whole = gate()
    assert whole.integrate(RECORD, None, (document.diff(),), None, True, False).verdicts[0].code == "accepted"
    assert whole.document(RECORD).content_digest() == document.content_digest()


def test_updates_that_come_late_are_taken_once_their_turn_comes(played):
    updates, text = played
    integrator = gate()
    for start in range(0, len(updates), 25):
        waiting = updates[start : start + 25][::-1]
        while waiting:
            verdicts = integrator.integrate(RECORD, None, waiting, None, True, False).verdicts
            assert {verdict.code for verdict in verdicts} <= {"accepted", "gap"}
            left = [update for update, verdict in zip(waiting, verdicts, strict=True) if verdict.code == "gap"]
            assert len(left) < len(waiting)
            waiting = left
    assert values_of(integrator.document(RECORD)) == {"notes": text}
