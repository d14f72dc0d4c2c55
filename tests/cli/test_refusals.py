"""`crdt-sync refused`: edits that were not allowed are listed, handed on and dropped."""

import json

import pytest

from crdt_sync import Replica
from crdt_sync.replica import unsent
from crdt_sync.replica.refused import RefusedEdit, kept
from crdt_sync.storage.values import Batch

EDITS = [
    RefusedEdit(
        0, "customers/a", "phone", "0170", "anna", 1_700_000_000_000_000, "phone: 'anna' may not write this field"
    ),
    RefusedEdit(0, "customers/b", "_deleted", True, "anna", 1_700_000_000_000_001, "'anna' may not delete here"),
]


@pytest.fixture
def put_aside(run, tmp_path):
    run("init", "anna")
    path = run("status", "--json").object["store"]
    with Replica.open(path, share=False) as replica:
        replica.store.commit([Batch(meta=kept(replica.store, EDITS) or {})])


def test_they_are_listed_with_who_wrote_what_and_why(run, put_aside):
    for command in (("refused",), ("refused", "list")):
        shown = run(*command).out
        assert "0170" in shown
        assert "may not write this field" in shown
    assert [edit["number"] for edit in run("refused", "list", "--json").objects] == [1, 2]


def test_they_are_handed_on_as_json_lines(run, put_aside):
    lines = run("refused", "export").out.splitlines()
    assert [json.loads(line)["field"] for line in lines] == ["phone", "_deleted"]
    assert json.loads(run("refused", "export", "2").out)["value"] is True


def test_they_are_dropped_by_number_or_all(run, put_aside):
    assert run("refused", "drop").code == 2
    assert "no refused edit has the number 9" in run("refused", "drop", "9").err
    assert run("refused", "drop", "1", "--json").object == {"dropped": [1]}
    assert run("refused", "drop", "--all").out == "Dropped 1.\n"
    assert run("refused").out == "No edit is kept aside.\n"


def test_status_counts_them(run, put_aside):
    assert "2 edits were not allowed, and kept aside" in run("status").err
    assert run("status", "--json").object["refused_edits"] == 2


@pytest.fixture
def customer(run, put_aside):
    """A customer with a phone number, of which two edits are kept aside."""
    record = run("set", "customers", "name=Amsel", "phone=1", "--json").object["record"]
    edits = [
        RefusedEdit(0, record, "phone", "0170", "anna", 1_700_000_000_000_000, "refused"),
        RefusedEdit(0, record, "shoe_size", "44", "anna", 1_700_000_000_000_000, "refused"),
    ]
    with Replica.open(run("status", "--json").object["store"], share=False) as replica:
        replica.store.commit([Batch(meta=kept(replica.store, edits) or {})])
    return record


def phone(run, record):
    return run("get", record, "--json").object["fields"]["phone"]


def test_they_are_made_again_by_number_where_that_is_allowed_by_now(run, customer):
    shown = run("refused", "apply", "3", "4", "--dry-run", "--json")
    assert [(each["field"], each["before"], each["value"], bool(each["why"])) for each in shown.objects] == [
        ("phone", "1", "0170", False),
        ("shoe_size", None, "44", True),
    ]
    assert phone(run, customer) == "1"
    made = run("refused", "apply", "3", "4")
    assert (made.code, "1 made, 1 not." in made.out) == (7, True)
    assert "no field 'shoe_size'" in made.out
    assert phone(run, customer) == "0170"
    assert [edit["number"] for edit in run("refused", "list", "--json").objects] == [1, 2, 4]


def test_a_colleague_makes_them_from_the_file(run, customer, tmp_path):
    file = tmp_path / "for-chen.jsonl"
    file.write_text(run("refused", "export", "3").out)
    assert run("refused", "apply", file, "--dry-run").out.endswith("1 would be made.\n")
    assert run("refused", "apply", file).out.endswith("1 made.\n")
    assert phone(run, customer) == "0170"
    assert [edit["number"] for edit in run("refused", "list", "--json").objects] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"record": "customers/a", "field": "phone"}',
        '{"record": "crdt-sync-schemas/customers", "field": "x", "value": 1}',
        '{"record": "customers__details/abc", "field": "x", "value": 1}',
        "[" * 100_000,
    ],
)
def test_a_file_of_anything_else_is_refused(run, put_aside, tmp_path, text):
    (tmp_path / "any.jsonl").write_text(text)
    assert run("refused", "apply", tmp_path / "any.jsonl", "--json").code == 2


def test_a_record_that_is_not_here_is_not_made_of_a_single_field(run, put_aside):
    result = run("refused", "apply", "1", "--json")
    assert (result.code, result.object["why"] != "") == (7, True)
    assert run("list", "customers", "--json").objects == []


def test_what_cannot_be_listed_and_what_is_lost_is_said_until_all_is_dropped(run, put_aside, monkeypatch):
    monkeypatch.setattr(unsent, "UNSENT_RECORDS_MAX", 1)
    with Replica.open(run("status", "--json").object["store"], share=False) as replica:
        edits = [(f"customers/{name}", b"update", 1) for name in "cd"]
        replica.store.commit([Batch(meta=unsent.set_aside(replica.store, edits, 1))])
    told = run("status")
    assert "is lost" in told.err
    assert "'refused drop --all' forgets it" in " ".join(told.out.split())
    assert "cannot be listed by field" in run("refused", "list").err
    assert "What was not sent of 1 record" in run("refused", "drop", "--all").out
    told = run("status")
    assert ("is lost" in told.err, "kept aside" in told.err + told.out) == (False, False)
    assert run("refused").out == "No edit is kept aside.\n"
