"""Records that hold items which are refused today are named, until their text is written anew."""

import pytest

from crdt_sync.records import Document, Integrator, values_of
from crdt_sync.replica.disorder import disordered_records
from crdt_sync.replica.views import encode_view
from crdt_sync.storage.values import Batch, Change
from tests.replica.partners import US, write

NOTES = bytes.fromhex("01010200040107742e6e6f7465730362636400")  # t.notes is "bcd"
BROKEN = bytes.fromhex("01010100c402020201016500")  # its right origin stands before its left one


@pytest.fixture
def disordered(replica):
    document = Document.load((NOTES, BROKEN))
    view = encode_view(document, replica.schema_of(US))
    change = Change(US, (NOTES, BROKEN), replica.id, "", 1, document.state_vector(), document.diff(), view)
    replica.store.commit([Batch(changes=(change,))])
    write(replica, "customers/other", name="Fine", notes="fine")
    return replica


def test_a_record_that_replicas_may_show_differently_is_named_until_it_is_written_anew(disordered):
    assert list(disordered_records(disordered.store)) == [(US, ["t.notes"])]
    with disordered.edit(US) as editor:
        text = editor.text("notes")
        text.delete(0, len(text))
        text.insert(0, "becd")
    assert list(disordered_records(disordered.store)) == []
    assert disordered.get(US)["notes"] == "becd"


def test_written_anew_it_is_the_same_on_replicas_that_showed_it_differently(disordered):
    """The second replica loads the state of the first, which Yjs orders otherwise."""
    first = Document.load((NOTES, BROKEN))
    with disordered.edit(US) as editor:
        text = editor.text("notes")
        text.delete(0, len(text))
        text.insert(0, "becd")
    update = disordered.context.diff(US, first.state_vector()).update
    for stored in ((NOTES, BROKEN), (first.diff(),), (BROKEN, NOTES)):
        gate = Integrator(1)
        gate.integrate(US, stored, (), None, True, False)
        (verdict,) = gate.integrate(US, None, (update,), None, True, False).verdicts
        assert (verdict.code, values_of(gate.document(US))) == ("accepted", {"notes": "becd"})


def test_a_record_that_makes_the_library_panic_hides_no_other(disordered, monkeypatch):
    class Panic(BaseException):
        pass

    write(disordered, "customers/a", name="First", notes="fine")
    load, records = disordered.store.load, []

    def panicking(record):
        records.append(record)
        if record == "customers/a":
            raise Panic("the lock is poisoned")
        return load(record)

    monkeypatch.setattr(disordered.store, "load", panicking)
    assert list(disordered_records(disordered.store)) == [(US, ["t.notes"])]
    assert "customers/a" in records
