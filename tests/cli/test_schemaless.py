"""Records of a collection whose schema is not here: they are shown and counted, and how to get the schema is said."""

import json
import re
import shlex

import pytest

from crdt_sync.protocol.messages import UpdatesEntry
from crdt_sync.records import Schema, parse_schema
from crdt_sync.replica import Replica

SITES = """
collection = "sites"
version = 1
[fields.name]
[fields.floors]
type = "integer"
[fields.tags]
kind = "set"
"""


def sites() -> Schema:
    return parse_schema(SITES, "sites.toml")


@pytest.fixture
def north(store, made, tmp_path):
    """A site that came from ben, beside a customer of our own; its record id."""
    made("name=Müller")
    with Replica.open(store) as anna, Replica.create(tmp_path / "ben", "ben", [sites()]) as ben:
        with ben.edit("sites") as site:
            site["name"], site["floors"] = "North", 3
            site.add("tags", "dry")
        copy = ben.document(site.record)
        anna.integrate([UpdatesEntry(site.record, copy.diff(), copy.state_vector())], ben.id, (), None)
    return site.record


ADVICE = "schema show sites --toml > sites.toml"


@pytest.mark.parametrize(
    "command",
    [["list", "sites"], ["find", "north"], ["find", "name=north"], ["find", "-c", "sites", "tags=dry"], ["get"]],
)
def test_its_values_are_shown_as_they_are_stored(run, north, command):
    result = run(*command, *([north] if command == ["get"] else []))
    assert "North" in result.out
    assert "Müller" not in result.out
    assert ADVICE in result.err
    assert "1 record of 'sites'" in result.err


def test_the_schema_that_comes_later_is_used(run, store, north, tmp_path):
    with Replica.open(store) as anna, Replica.open(tmp_path / "ben") as ben:
        copy = ben.document("crdt-sync-schemas/sites")
        anna.integrate([UpdatesEntry("crdt-sync-schemas/sites", copy.diff(), copy.state_vector())], ben.id, (), None)
    assert run("set", north, "floors+=1").code == 2
    assert run("set", north, "floors=4").code == 0
    assert run("list").err == "2 records.\n"


def test_two_definitions_are_told_of_and_decided(run, store, north, tmp_path):
    other = SITES.replace('type = "integer"', 'kind = "text"')
    (tmp_path / "other.toml").write_text(other)
    assert run("schema", "add", tmp_path / "other.toml").code == 0
    with Replica.open(store) as anna, Replica.open(tmp_path / "ben") as ben:
        copy = ben.document("crdt-sync-schemas/sites")
        anna.integrate([UpdatesEntry("crdt-sync-schemas/sites", copy.diff(), copy.state_vector())], ben.id, (), None)
    told = json.loads(run("list", "sites", "--json").err)
    assert (told["warning"], told["collection"], told["definitions"]) == ("schema_disputed", "sites", 2)
    shown = run("schema", "show", "sites", "--json").objects
    number = 1 + [each["fields"]["floors"]["kind"] for each in shown].index("value")
    assert "schema resolve sites" in run("status").err
    assert "schema resolve sites" in run("verify", "--local").err
    (listed,) = run("conflicts", "--json").objects
    assert (listed["kind"], listed["collection"]) == ("schema", "sites")
    assert [(each["number"], each["used"]) for each in listed["definitions"]] == [(1, True), (2, False)]
    kinds = [each["fields"]["floors"]["kind"] for each in listed["definitions"]]
    assert kinds == [each["fields"]["floors"]["kind"] for each in shown]
    told = run("conflicts")
    assert "* 1" in told.out
    assert all(f"floors ({kind} " in told.out for kind in kinds)
    assert ("schema resolve sites" in told.err, "No open" in told.out) == (True, False)
    assert run("conflicts", "customers", "--json").objects == []
    assert run("schema", "show", "sites").out.count("Version 1") == 2
    assert run("schema", "resolve", "sites", number).code == 0
    assert run("get", north, "--json").object["fields"]["floors"] == 3
    assert "schema" not in run("status").err
    assert "No open conflicts" in run("conflicts").out
    assert run("schema", "resolve", "sites", 1).code == 2


def test_a_definition_that_only_takes_less_is_told_of_and_decided(run, store, north, tmp_path):
    """One that requires a field, and has a natural key: nobody could make a site any more."""
    file = tmp_path / "sites.toml"
    file.write_text(SITES)
    assert run("schema", "add", file).code == 0
    strict = SITES.replace("version = 1", 'version = 2\nnatural_key = ["name"]').replace(
        '"integer"', '"integer"\nrequired = true'
    )
    file.write_text(strict)
    refused = run("schema", "add", file)
    assert (refused.code, "--stricter" in refused.err) == (2, True)
    command = re.search(r"crdt-sync (schema add .*? --stricter)", refused.err)
    assert command is not None
    assert run(*shlex.split(command[1])).code == 0
    assert "No open conflicts" in run("conflicts").out  # it was meant
    with Replica.open(store) as anna, Replica.create(tmp_path / "eve", "eve", [parse_schema(SITES, "sites")]) as eve:
        hers = parse_schema(strict.replace("version = 2", "version = 7") + "[fields.tax]\nrequired = true\n", "hers")
        eve.add_schema(hers, stricter=True)
        copy = eve.document("crdt-sync-schemas/sites")
        anna.integrate([UpdatesEntry("crdt-sync-schemas/sites", copy.diff(), copy.state_vector())], eve.id, (), None)
    told = run("conflicts")
    assert "tax (value string, required)" in told.out
    assert "schema resolve sites" in told.err
    (listed,) = run("conflicts", "--json").objects
    assert [each["natural_key"] for each in listed["definitions"]] == [["name"], ["name"]]
    assert run("schema", "resolve", "sites", 2).code == 0
    assert "No open conflicts" in run("conflicts").out


@pytest.mark.parametrize("command", [["list"], ["export", "-"]])
def test_what_leaves_it_out_says_so(run, north, command):
    result = run(*command)
    assert "Müller" in result.out
    assert "North" not in result.out
    assert "1 record of 'sites' without a schema: left out" in result.err


def test_a_search_that_finds_nothing_has_looked_there(run, north):
    assert run("find", "west").out == "No records.\n"
    assert run("find", "floors=3", "--json").object["record"] == north
    assert run("find", "floors=4", "--json").objects == []
    assert run("find", "city=", "name=north", "--json").object["record"] == north


def test_a_status_and_programs_are_told(run, north):
    assert run("status", "--json").object["without_schema"] == [{"collection": "sites", "records": 1, "exact": True}]
    assert ADVICE in run("status").err
    told = json.loads(run("list", "sites", "--json").err)
    assert (told["warning"], told["collection"], told["records"]) == ("schema_missing", "sites", 1)
    assert ADVICE in told["hint"]


def test_the_beginning_of_its_id_finds_it(run, north):
    assert run("get", north.partition("/")[2][:8], "--json").object["fields"]["name"] == "North"


@pytest.mark.parametrize("command", [["export", "-", "-c", "sites"], ["schema", "show", "sites"]])
def test_what_needs_the_schema_says_how_to_get_it(run, north, command):
    result = run(*command)
    assert result.code == 2
    assert ADVICE in result.err


def test_with_the_schema_all_is_as_it_should_be(run, north, tmp_path):
    file = tmp_path / "sites.toml"
    shown = run("schema", "show", "sites", "--toml", "--store", tmp_path / "ben")
    file.write_text(shown.out)
    assert run("schema", "add", file).code == 0
    assert run("list", "sites").err == "1 record.\n"
    assert run("set", north, "floors=4").code == 0
    assert run("status", "--json").object["without_schema"] == []


def test_a_collection_of_which_nothing_is_here_is_unknown(run, north):
    assert run("list", "nowhere").code == 2
