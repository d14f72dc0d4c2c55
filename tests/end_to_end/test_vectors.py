"""Documents that Yjs itself wrote: pycrdt reads them as Yjs does, and the gate accepts or refuses each, unharmed."""

import base64
import json
from typing import Any

import pycrdt
import pytest

from crdt_sync.records import Document, Integrator, decode_state_vector, scan, values_of
from crdt_sync.records.updates.varint import append_uint, read_uint

CODES = {"accepted", "gap", "malformed", "too_large", "clock_ahead"}
TYPES = {"Array": pycrdt.Array, "Map": pycrdt.Map}


@pytest.fixture(scope="module")
def vectors(shared_data):
    return json.loads((shared_data / "vectors" / "yjs_compat_vectors.json").read_text())


@pytest.fixture(scope="module")
def b4(shared_data):
    """A paper of 104,852 characters, written in 259,778 edits."""
    return (shared_data / "vectors" / "yjs_b4-update.bin").read_bytes()


def judged(update, integrator=None):
    """The verdict on `update` for a record that holds something else already, and that is unharmed by it."""
    mine = pycrdt.Doc(client_id=1)
    mine.get("c.name", type=pycrdt.Array).append(["Us", 1, "anna"])
    before = mine.get_update()
    integrator = integrator or Integrator(2)
    integrator.integrate("shops/a", (before,), (), None, True, False)
    done = integrator.integrate("shops/a", None, (update,), None, True, True)
    (verdict,) = done.verdicts
    document = Document.load((done.snapshot,))
    assert values_of(document)["name"] == "Us"
    if verdict.code != "accepted":
        assert document.digest() == Document.load((before,)).digest()
    assert judged_again(integrator)
    return verdict


def judged_again(integrator):
    """The same integrator still takes what is right."""
    other = pycrdt.Doc(client_id=2)
    other.get("c.city", type=pycrdt.Array).append(["Bonn", 2, "bob"])
    done = integrator.integrate("shops/a", None, (other.get_update(),), None, True, False)
    return done.verdicts[0].code == "accepted"


def test_random_documents_of_yjs_read_as_in_yjs(vectors):
    for case in vectors["docs"]:
        if case["type"] not in TYPES:
            continue
        doc = pycrdt.Doc()
        shared = doc.get(case["root"], type=TYPES[case["type"]])
        doc.apply_update(base64.b64decode(case["update_v1_base64"]))
        assert json.loads(str(shared)) == as_plain(case["expected"])


def as_plain(value):
    return json.loads(json.dumps(value))


def test_payloads_of_yjs_read_as_in_yjs(vectors):
    read = 0
    for case in vectors["yrs_payloads"]:
        payload = base64.b64decode(case["bytes_base64"])
        assert len(payload) == case["len"]
        if case["encoding"] == "state_vector":
            assert decode_state_vector(payload) == {int(writer): clock for writer, clock in case["expected"].items()}
        elif case["encoding"] == "v1" and "expected" in case:
            ((root, expected),) = case["expected"].items()
            kind: Any = {str: pycrdt.Text, dict: pycrdt.Map, list: pycrdt.Array}[type(expected)]  # type: ignore[index]
            doc = pycrdt.Doc()
            shared = doc.get(root, type=kind)
            doc.apply_update(payload)
            assert (str(shared) if kind is pycrdt.Text else json.loads(str(shared))) == expected
            read += 1
    assert read == 3


def test_numbers_of_yjs_read_as_in_yjs(vectors):
    for case in vectors["lib0_varuint"]:
        assert read_uint(bytes(case["bytes"]), 0) == (case["value"], len(case["bytes"]))
        out = bytearray()
        append_uint(out, case["value"])
        assert list(out) == case["bytes"]


def test_every_document_of_yjs_is_accepted_or_refused(vectors):
    updates = [base64.b64decode(case["update_v1_base64"]) for case in vectors["docs"]]
    updates += [base64.b64decode(case["bytes_base64"]) for case in vectors["yrs_payloads"]]
    verdicts = [judged(update) for update in updates]
    assert {verdict.code for verdict in verdicts} <= CODES
    assert all(verdict.reason for verdict in verdicts if verdict.code == "malformed")
    assert sum(verdict.code == "malformed" for verdict in verdicts) >= len(vectors["docs"])


def test_a_document_of_our_layout_is_accepted():
    doc = pycrdt.Doc(client_id=7)
    doc.get("c.phone", type=pycrdt.Array).append(["1", 3, "bob"])
    assert judged(doc.get_update()).code == "accepted"


def test_the_paper_reads_whole_and_is_no_record_of_ours(b4):
    doc = pycrdt.Doc()
    text = doc.get("text", type=pycrdt.Text)
    doc.apply_update(b4)
    assert len(str(text)) == 104_852
    assert judged(b4).code == "malformed"


def test_the_paper_in_a_text_field_is_accepted_whole(b4):
    """The same edits under a name of our layout: the record is large, and within its limits."""
    renamed = b4.replace(b"\x01\x04text", b"\x01\x06t.text", 1)
    assert scan(renamed).roots == {"t.text"}
    verdict = judged(renamed)
    assert (verdict.code, verdict.new) == ("accepted", True)
    assert len(str(values_of(Document.load((renamed,)))["text"])) == 104_852
