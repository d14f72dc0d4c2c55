"""Whoever knows the token may write what it likes into records of reserved collections: others go on all the same."""

import json
import random
from dataclasses import replace

import pytest

from crdt_sync.errors import RecordTooLarge
from crdt_sync.ids import schema_record
from crdt_sync.limits import (
    RECORD_GROWN_BYTES_MAX,
    SCHEMA_BYTES_MAX,
    SCHEMA_VERSION_MAX,
    SCHEMAS_TAKEN_BYTES_MAX,
    SCHEMAS_TAKEN_MAX,
)
from crdt_sync.protocol.messages import UpdatesEntry
from crdt_sync.records import Document, bundled_schema, parse_schema
from crdt_sync.records.definition import FIELD, read
from crdt_sync.replica import Replica
from crdt_sync.replica import schemas as shared

DEFINITION = schema_record("customers")
SHOP = "customers/a"
JUNK = "z" * 200_000
TEXT = 'collection = "customers"\nversion = {}\n[fields.name]\n[fields.{}]\n'


def definition(collection="customers", version=9, **fields):
    given = [[name, {"kind": kind}] for name, kind in (fields or {"name": "counter"}).items()]
    return json.dumps({"collection": collection, "version": version, "fields": given})


def write(replica, record, *values, root=f"c.{FIELD}", deleted=False):
    """What somebody writes into a record without asking an editor, as it comes from a relay."""
    document = Document(writer=random.Random(repr(values)).randrange(1 << 53))
    with document.transaction() as transaction:
        for value in values:
            document.array(transaction, root).insert(transaction, 0, [value, 1, "stranger"])
        if deleted:
            document.array(transaction, "c._deleted").insert(transaction, 0, [None, 1, "stranger"])
    replica.integrate([UpdatesEntry(record, document.diff(), document.state_vector())], b"s" * 16, (), None)


def opened_again(replica):
    again = Replica.over(replica.store, replica.wall_clock, random.Random(7))
    again.shared_schemas.open()
    return again


HALF = r"\ud800"
STAGE = f'{{"kind":"stage","states":["{HALF}","b"],"transitions":{{"{HALF}":["b"]}}}}'
ODD = [
    {"a": 1},
    ["a"],
    [],
    None,
    True,
    1.5,
    f'{{"collection":"customers","version":9,"fields":[["name",{STAGE}]]}}',
    f'{{"collection":"customers","version":9,"fields":[["name",{{"label":"{HALF}"}}]]}}',
    f'{{"collection":"customers","version":9,"fields":[["name",{{}}]],"settled":["{HALF}"]}}',
    f'{{"collection":"customers","version":9,"fields":[["name",{{}}]],"former":{{"{HALF}":["{HALF}","a"]}}}}',
    f'{{"collection":"customers","version":9,"fields":[["name",{{}}]],"former_ranks":{{"{HALF}":{{"{HALF}":1}}}}}}',
]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_what_cannot_be_a_definition_stops_neither_syncing_nor_opening(make_replica, odd):
    ann = make_replica("ann")
    write(ann, DEFINITION, odd)
    assert read(odd) is None
    for replica in (ann, opened_again(ann)):
        assert replica.schemas["customers"] == bundled_schema("customers")
        assert replica.disputed_schemas() == {}
        assert replica.conflicts() == ()
        assert [*replica.list("crdt-sync-schemas")]
        replica.get(DEFINITION)
    write(ann, DEFINITION, definition())
    assert [each.version for each in ann.disputed_schemas()["customers"]] == [9, 1]


def many_definitions():
    """Some 1.5 MB of them, each of which can be read."""
    fields = {f"{'x' * 40}{each}": "value" for each in range(400)}
    return [definition(version=number, name="value", **fields) for number in range(1, 50)]


FILLED = {"junk": lambda: [JUNK] * 11, "definitions": many_definitions, "odd": lambda: [[JUNK]] * 6}


@pytest.mark.parametrize("filled", FILLED)
def test_a_definition_is_changed_though_somebody_has_filled_its_record(make_replica, filled):
    ann = make_replica("ann", parse_schema(TEXT.replace("customers", "others").format(1, "a"), "x"))
    write(ann, DEFINITION, definition(version=60, name="value"), *FILLED[filled]())
    assert ann.document(DEFINITION).size > RECORD_GROWN_BYTES_MAX
    ann.shared_schemas.add(replace(bundled_schema("customers"), version=70), stricter=True)
    assert "email" in ann.schemas["customers"].fields
    assert ann.disputed_schemas() == {}
    assert ann.document(DEFINITION).size < RECORD_GROWN_BYTES_MAX // 2


def test_a_definition_without_room_for_ours_is_told_and_stops_nobody(make_replica, monkeypatch):
    ann = make_replica("ann")

    def full(*_arguments, **_more):
        raise RecordTooLarge("no room", "")

    monkeypatch.setattr(ann.shared_schemas, "_share", full)
    write(ann, DEFINITION, definition())
    assert ann.shared_schemas.behind == ("customers",)
    assert ann.schemas["customers"] == bundled_schema("customers")


def test_who_deletes_a_definition_keeps_nobody_from_deciding(make_replica):
    ann = make_replica("ann")
    write(ann, DEFINITION, definition(), deleted=True)
    with ann.edit_reserved(DEFINITION) as editor:
        editor.delete()
    assert ann.resolve_schema("customers", 2).fields == bundled_schema("customers").fields
    assert not ann.get(DEFINITION).deleted
    with ann.edit(SHOP, create=True) as shop:
        shop["name"] = "Ann"


def test_the_last_version_is_not_the_last_word(make_replica):
    ann = make_replica("ann")
    write(ann, DEFINITION, definition(version=SCHEMA_VERSION_MAX, name="value"))
    for field in ("one", "two"):
        ann.add_schema(parse_schema(TEXT.format(SCHEMA_VERSION_MAX, field), "x"))
        bob = make_replica("bob")
        copy = ann.document(DEFINITION)
        bob.integrate([UpdatesEntry(DEFINITION, copy.diff(), copy.state_vector())], ann.id, (), None)
        for replica in (ann, bob):
            assert list(replica.schemas["customers"].fields) == ["name", field]
            assert replica.disputed_schemas() == {}


def large(name):
    fields = [[f"f{each}", {"label": "x" * 190, "aliases": [f"y{each}_{'z' * 260}"]}] for each in range(500)]
    text = json.dumps({"collection": name, "version": 1, "fields": fields}, separators=(",", ":"))
    assert SCHEMA_BYTES_MAX * 0.9 < len(text) < SCHEMA_BYTES_MAX
    return text


def test_schemas_that_came_take_bounded_memory_and_opening_reads_them_once(make_replica, monkeypatch):
    ann = make_replica("ann")
    for number in range(12):
        write(ann, schema_record(f"c{number}"), large(f"c{number}"))
    known = opened_again(ann).schemas
    assert len(known) == 8
    assert sum(len(schema.to_toml()) for schema in known.values()) <= SCHEMAS_TAKEN_BYTES_MAX
    write(ann, schema_record("c0"), large("c0").replace('"version":1', '"version":2'))  # in the place of the one before
    assert ann.schemas["c0"].version == 2
    asked = []
    monkeypatch.setattr(shared, "in_use", lambda carriers, _: asked.append([*carriers]) or ())
    assert opened_again(ann).schemas == ann.schemas
    assert asked == []


def test_small_definitions_leave_room_for_as_many_as_may_be(make_replica, monkeypatch):
    ann = make_replica("ann")
    for number in range(SCHEMAS_TAKEN_MAX):
        write(ann, schema_record(f"c{number}"), definition(f"c{number}", 1))
    assert len(ann.schemas) == SCHEMAS_TAKEN_MAX
    commits = []
    monkeypatch.setattr(
        ann.store, "commit", lambda batches, commit=ann.store.commit: commits.append(1) or commit(batches)
    )
    entries = []
    for number in range(100):
        document = Document(writer=7)
        with document.transaction() as transaction:
            entry = [definition(f"d{number}", 1), 1, "stranger"]
            document.array(transaction, f"c.{FIELD}").insert(transaction, 0, entry)
        entries.append(UpdatesEntry(schema_record(f"d{number}"), document.diff(), document.state_vector()))
    ann.integrate(entries, b"s" * 16, (), None)
    assert len(ann.schemas) == SCHEMAS_TAKEN_MAX
    assert len(commits) == 1  # more would take a second each time that many come


def test_what_a_newer_release_defined_outlives_what_somebody_filled_its_record_with(make_replica):
    ann = make_replica("ann")
    newer = definition(version=2, name="value").replace("{", '{"color":"red",', 1)
    assert read(newer) is None
    write(ann, DEFINITION, JUNK, newer, *[f"{JUNK}{number}" for number in range(8)])
    with ann.edit_reserved(DEFINITION) as editor:
        editor.add(FIELD, definition(version=3, name="value"))
    document = ann.document(DEFINITION)
    texts = [entry[0] for entry in document.contents()[f"c.{FIELD}"]]
    assert newer in texts
    assert document.size < RECORD_GROWN_BYTES_MAX // 2
