"""Tables beside what people enter, under one natural key: a row changes who shows its key, or nobody."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdt_sync.exchange import import_table
from crdt_sync.exchange.record_key import RecordKeys
from crdt_sync.records.comparing import folded
from crdt_sync.records.memory.sources import mark
from crdt_sync.records.natural_key import record_of
from tests.importing.conftest import Lines
from tests.replica.test_keys_hold import KEYS, World, everything

SOURCES = ("crm", "shop")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["import", "import", "import", "enter", "change", "delete", "restore", "sync"]),
        st.integers(0, 1),  # the device
        st.sampled_from(KEYS),
        st.integers(0, 5),  # the record, or the source
    ),
    max_size=14,
)


class Office(World):
    """Devices on which tables are imported, too."""

    def act(self, replica, act, key, place, before):
        if act != "import":
            super().act(replica, act, key, place, before)
            return
        self.number += 1
        cells = (key, f"person {self.number}", f"{self.number}", "1")
        table = Lines(("Email", "Name", "Phone", "Visits"), [cells], SOURCES[place % 2])
        source = table.name
        said = {
            view.record
            for view in replica.list("people")
            for memory in view.sources
            if memory.name == source and memory.said.get("email") in (key, mark(key))
        }
        report = import_table(replica, table, "people")
        after = everything(replica)
        changed = {record for record in after if after[record] != before.get(record)}
        meant = {
            record
            for record, (deleted, values) in before.items()
            if not deleted and values.get("email") and folded(values["email"]) == folded(key)
        }
        if report.failed:
            (problem,) = report.failed
            assert problem.code in ("key_taken", "key_ambiguous"), problem
            assert after == before, "a row that is refused changes nothing"
            assert len(meant) != 1, "who alone shows the key is meant"
        elif report.deleted:
            assert after == before, "a row of a deleted record changes nothing"
            assert not meant, "who shows the key is meant"
            assert any(deleted for deleted, _ in before.values()), "and only a deleted record leaves a row out"
        elif meant:
            assert changed <= meant, "a row changes only who shows its key"
            assert len(meant) == 1
        else:
            assert changed or said, "a row is taken or refused"
            assert changed & before.keys() <= said, "a key that nobody shows is of whom the source said it, or new"
            assert all(folded(after[record][1]["email"]) == folded(key) for record in changed - said)


def run(steps):
    office = Office()
    office.carry_out(steps)
    office.meet()


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_a_row_changes_who_shows_its_key_or_nobody(steps):
    run(steps)


def _by_the_first_id(monkeypatch):
    def mutated(self, row):
        return record_of(self.collection, (folded(str(row.cells[0])),), 0)

    monkeypatch.setattr(RecordKeys, "_by_natural_key", mutated)
    monkeypatch.setattr("crdt_sync.replica.edits.check_left", lambda *_: None)


def _the_first_of_several(monkeypatch):
    original = RecordKeys._by_natural_key

    def mutated(self, row):
        several = self.shown_by({"email": str(row.cells[0])})
        return several[0] if several else original(self, row)

    monkeypatch.setattr(RecordKeys, "_by_natural_key", mutated)


_A, _B = KEYS[0], KEYS[1]
LEFT = [("import", 0, _A, 0), ("change", 0, _B, 0), ("import", 0, _A, 1)]
TWICE = [
    *(("enter", 0, _A, 0), ("change", 0, _B, 0), ("enter", 1, _B, 0)),
    *(("sync", device, _A, 0) for device in (0, 1, 0)),
    ("import", 0, _B, 0),
]


DELETED = [("import", 0, _A, 0), ("delete", 0, _A, 0), ("import", 0, _A, 0)]


@pytest.mark.parametrize("steps", [LEFT, TWICE, DELETED])
def test_a_key_that_was_left_is_shown_twice_or_was_deleted(steps):
    run(steps)


@pytest.mark.parametrize(("mutant", "steps"), [(_by_the_first_id, LEFT), (_the_first_of_several, TWICE)])
def test_a_planted_bug_is_noticed(monkeypatch, mutant, steps):
    mutant(monkeypatch)
    with pytest.raises(AssertionError):
        run(steps)
