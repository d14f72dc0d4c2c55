"""A record at its limit, by command line: what takes away goes through, and the relay takes it."""

import json

import pytest

from crdt_sync import Replica, limits
from crdt_sync.errors import RecordTooLarge
from tests.cli.conftest import TOKEN


@pytest.fixture
def full(run, tmp_path, relay, monkeypatch):
    """A store with one record to which not one character can be added, imported once, and synced."""
    monkeypatch.setattr(limits, "RECORD_GROWN_BYTES_MAX", 128 * limits.KIB)  # at 1 MiB: `tests/replica`
    anna = tmp_path / "anna"
    assert run("init", "anna", "--store", anna, "--relay", relay.url, "--token", TOKEN).code == 0
    table = tmp_path / "table.csv"
    table.write_text(f"email,name,city,notes\nm@example.com,Müller,Berlin,{'word ' * 600}\n")
    assert run("import", table, "--collection", "customers", "--store", anna).code == 0
    with Replica.open(anna) as replica:
        (view,) = replica.list("customers")
        with replica.edit(view.record) as customer:
            customer.update({"visits": 1, "tags": ["vip", "new"], "phone": "+49 30 1"})
        for size in (65_000, 4_000, 100, 1):
            try:
                while True:
                    with replica.edit(view.record) as customer:
                        customer.append("timeline", "x" * size)
            except RecordTooLarge:
                continue
    assert run("sync", "--store", anna).code == 0
    return anna, view.record, table


def test_commands_that_take_away_from_a_full_record_go_through_to_the_relay(run, full, tmp_path, relay):
    anna, record, table = full

    def sent(*command):
        done = run(*command, "--store", anna)
        assert done.code == 0, (command, done.err)
        assert run("sync", "--store", anna).code == 0, command
        assert run("status", "--store", anna, "--json").object["partners"][0]["refused"] == 0, command

    refused = run("set", record, "timeline+=one more call", "--store", anna, "--json")
    assert (refused.code, json.loads(refused.err)["error"]) == (RecordTooLarge.exit_code, "record_too_large")
    assert "Shorten its texts or remove something first" in json.loads(refused.err)["hint"]
    sent("set", record, "visits+=1")
    sent("set", record, "tags-=vip")
    sent("set", record, "phone=")
    table.write_text(f"email,name,city,notes\nm@example.com,Müller,Bonn,{'word ' * 500}\n")
    sent("import", table, "--collection", "customers")
    shown = run("get", record, "--store", anna, "--json").object["fields"]
    assert (shown["city"], shown["notes"].strip(), shown["visits"], shown["tags"]) == (
        "Bonn",
        ("word " * 500).strip(),
        2,
        ["new"],
    )
    sent("set", record, "notes=short")
    sent("delete", record)
    sent("restore", record)
    bob = tmp_path / "bob"
    assert run("init", "bob", "--store", bob, "--relay", relay.url, "--token", TOKEN).code == 0
    assert run("sync", "--store", bob).code == 0
    shown = run("get", record, "--store", bob, "--json").object["fields"]
    assert (shown["city"], shown["notes"], shown["visits"]) == ("Bonn", "short", 2)
    assert shown["phone"] is None


def test_a_record_that_is_full_of_traces_takes_every_command(run, tmp_path, relay, monkeypatch):
    """It is renewed by itself, as the relay has told that it knows renewed records."""
    anna, bob = tmp_path / "anna", tmp_path / "bob"
    for name, store in (("anna", anna), ("bob", bob)):
        assert run("init", name, "--store", store, "--relay", relay.url, "--token", TOKEN).code == 0
    with Replica.open(anna) as replica, replica.edit("customers", create=True) as customer:
        customer.update({"name": "Müller", "visits": 1, "notes": "ab" * 1_500})
        for place in range(1_500):
            customer.text("notes").delete(place, place + 1)
    for store in (anna, bob):
        assert run("sync", "--store", store).code == 0
    monkeypatch.setattr(limits, "RECORD_GROWN_BYTES_MAX", 12_000)
    for command in (
        ("set", customer.record, "city=Bonn"),
        ("set", customer.record, "visits+=1", "timeline+=called"),
        ("set", customer.record, "notes=short"),
        ("delete", customer.record),
    ):
        done = run(*command, "--store", anna)
        assert done.code == 0, (command, done.err)
        assert run("sync", "--store", anna).code == 0
    with Replica.open(anna) as replica:
        assert replica.store.record_head(customer.record).lineage != 0
    assert run("sync", "--store", bob).code == 0
    assert run("get", customer.record, "--store", bob, "--json").object["deleted"]
    assert run("restore", customer.record, "--store", bob).code == 0
    shown = run("get", customer.record, "--store", bob, "--json").object["fields"]
    assert (shown["name"], shown["city"], shown["notes"], shown["visits"]) == ("Müller", "Bonn", "short", 2)
