"""`crdt-sync refused`: edits that were not allowed are listed, handed on and dropped."""

import json

import pytest

from crdt_sync import Replica
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
    assert run("refused").out == "No edit is kept that was not allowed.\n"


def test_status_counts_them(run, put_aside):
    assert "2 edits were not allowed, and kept aside" in run("status").err
    assert run("status", "--json").object["refused_edits"] == 2
