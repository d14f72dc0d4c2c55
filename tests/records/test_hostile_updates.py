"""Bytes that hang, crash or bloat yrs, each integrated in a process that may be killed."""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import crdt_sync
from crdt_sync.records import Integrator, scan, values_of

RECORD = "customers/a"
HARMLESS = {"accepted", "gap", "malformed", "too_large"}


def outcomes(cases, *, gate=True):
    """What became of each `(base, update)`."""
    job = {"cases": [{"base": base.hex(), "update": update.hex()} for base, update in cases], "gate": gate}
    child = Path(__file__).with_name("hostile_child.py")
    environment = {**os.environ, "PYTHONPATH": str(Path(crdt_sync.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, str(child)],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
        env=environment,
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def known_cases(shared_data):
    cases = json.loads((shared_data / "vectors" / "hostile_updates.json").read_text())["cases"]
    assert len(cases) >= 70
    return [(bytes.fromhex(case["base"]), bytes.fromhex(case["update"])) for case in cases]


def test_each_known_hostile_update_is_refused_or_harmless_and_leaves_no_trace(known_cases):
    found = Counter(outcomes(known_cases))
    assert found.keys() <= HARMLESS
    assert found["malformed"] > 0


def test_without_the_gate_some_of_them_kill_or_panic(known_cases):
    found = outcomes(known_cases[:40], gate=False)
    assert any(told.startswith(("killed", "raised Panic")) for told in found)


def crafted(office):
    """A record with values and a text, and forged updates by writer 9 that yrs takes but cannot read afterwards."""
    person = office.person(1)
    person.editor["company"] = "Ann"
    person.editor.append("timeline", "called")
    person.editor["notes"] = "née"
    items = {item.root: item for item in scan(person.document.diff()).items}
    base = person.document.diff()
    at = {root: bytes([1, item.clock]) for root, item in items.items() if root}
    text, value = b"\x06\xe5\xbc\xb5\xe5\x81\x89", b"\x02\x77\x01a\x77\x01b"
    end = scan(base).clients[1][1]
    return base, {
        "text after a value": b"\x01\x01\x09\x00\x84" + at["c.company"] + text + b"\x00",
        "text before a value": b"\x01\x01\x09\x00\x44" + at["l.timeline"] + text + b"\x00",
        "text in an array": b"\x01\x01\x09\x00\x04\x01\x09c.company" + text + b"\x00",
        "values in a text": b"\x01\x01\x09\x00\x88" + at["t.notes"] + value + b"\x00",
        "values in a new text": b"\x01\x01\x09\x00\x08\x01\x03t.x" + value + b"\x00",
        "between a text and a value": b"\x01\x01\x09\x00\xc4" + at["t.notes"] + at["c.company"] + text + b"\x00",
        "a deletion left out": b"\x01\x01\x09\x00\x81" + at["c.company"] + b"\x05\x00",
        "a known value described as text": b"\x02\x01\x09\x00\x84"
        + at["c.company"]
        + text
        + b"\x01\x01"
        + at["c.company"]
        + b"\x04\x01\x03t.x\x01a\x00",
        "a struct cut by what is here": bytes([1, 1, 1, end - 1]) + b"\x08\x01\x03c.x\x03\x7e\x7e\x7e\x00",
    }


def test_forged_placements_are_refused(office):
    base, cases = crafted(office)
    told = dict(zip(cases, outcomes([(base, update) for update in cases.values()]), strict=True))
    assert told == dict.fromkeys(cases, "malformed")


def test_without_the_gate_a_forged_placement_makes_the_record_unreadable(office):
    base, cases = crafted(office)
    told = outcomes([(base, update) for update in cases.values()], gate=False)
    assert any(outcome.startswith(("killed", "raised Panic")) for outcome in told)


def test_honest_edits_beside_texts_are_accepted(office):
    base, _ = crafted(office)
    gate = Integrator(1)
    gate.integrate(RECORD, [base], [], None, checked=True, snapshot=False)
    person = office.person(2, [base])
    for edit in (
        lambda editor: editor.text("notes").insert(1, "張😀"),
        lambda editor: editor.update({"company": "Bob", "phone": "1"}),
        lambda editor: editor.text("notes").delete(0, 3),
        lambda editor: editor.text("notes").insert(0, "at the start"),
        lambda editor: editor.append("timeline", "again"),
    ):
        (verdict,) = gate.integrate(RECORD, None, [person.edit(edit)], None, checked=True, snapshot=False).verdicts
        assert verdict.code == "accepted"
    assert values_of(gate.document(RECORD)) == values_of(person.document)


def test_values_in_a_text_are_refused_where_there_was_no_text_before(office):
    person = office.person(1)
    person.editor["company"] = "Ann"
    _, cases = crafted(office)
    assert outcomes([(person.document.diff(), cases["values in a new text"])]) == ["malformed"]


def test_text_beside_text_that_arrived_deleted_is_accepted(office):
    def write_and_delete(editor):
        editor.text("notes").insert(0, "gone")
        editor.text("notes").delete(0, 4)

    ann, gate = office.person(1), Integrator(1)
    deleted = ann.edit(write_and_delete)
    bob = office.person(2, [deleted])
    beside = bob.edit(lambda editor: editor.text("notes").insert(0, "張"))
    assert not any(item.text for item in scan(deleted).items)
    assert scan(beside).roots == frozenset()
    gate.integrate(RECORD, [], [], None, checked=True, snapshot=False)
    verdicts = gate.integrate(RECORD, None, [deleted, beside], None, checked=True, snapshot=False).verdicts
    assert [verdict.code for verdict in verdicts] == ["accepted", "accepted"]
    assert values_of(gate.document(RECORD)) == {"notes": "張"}


def test_mutants_of_honest_updates_are_refused_or_harmless(office):
    rng = random.Random(20)
    cases = []
    while len(cases) < 130:
        script = [(rng.randrange(3), rng.randrange(12), rng.randrange(6)) for _ in range(rng.randrange(4, 30))]
        one, other, _ = office.play(script)
        for update in [other.document.diff(), *other.sent]:
            mutant = bytearray(update)
            for _ in range(rng.randint(1, 3)):
                mutant[rng.randrange(len(mutant))] = rng.choice([rng.randrange(256), 1, 4, 8, 0x84, 0x88, 0xC8])
            cases.append((one.document.diff(), bytes(mutant)))
    found = Counter(outcomes(cases))
    assert found.keys() <= HARMLESS
    assert found["accepted"] > 0
