import json
import re
import shlex
from typing import Any

import pytest

from crdt_sync.cli import editing
from crdt_sync.records import bundled_schema


@pytest.fixture
def fields(run):
    def fields(record):
        return run("get", record, "--json").object["fields"]

    return fields


def test_a_new_record_is_made_and_read_back(made, fields):
    record = made("name=Müller GmbH", "tags+=vip;key account", "visits+=2", "notes+=first", 'timeline+={"call": 1}')
    found = fields(record)
    assert found["name"] == "Müller GmbH"
    assert found["tags"] == ["key account", "vip"]
    assert found["visits"] == 2
    assert found["notes"] == "first"
    assert found["timeline"][0]["value"] == {"call": 1}
    assert found["timeline"][0]["by"] == "anna"


def test_operators_follow_the_kind_of_the_field(made, fields, run):
    record = made("name=x", "tags=a;b", "visits=5", "notes=one", "timeline+=a remark")
    assert run("set", record, "tags-=a", "visits-=2", "notes+=two", "amount=12.50").code == 0
    found = fields(record)
    assert (found["tags"], found["visits"], found["notes"], found["amount"]) == (["b"], 3, "one\ntwo", "12.5")
    assert found["timeline"][0]["value"] == "a remark"


@pytest.mark.parametrize("twice", [("name=x", "name=y"), ("name=x", "Name=y"), ("tags=a", "tags=b")])
def test_a_field_that_is_given_two_values_is_refused(made, run, fields, twice):
    record = made("name=before", "tags=before")
    for target in (record, "customers"):
        refused = run("set", target, *twice, "--json")
        assert (refused.code, json.loads(refused.err)["error"]) == (2, "usage")
    assert (fields(record)["name"], fields(record)["tags"]) == ("before", ["before"])
    assert run("set", record, "tags=a", "tags+=b").code == 0
    assert fields(record)["tags"] == ["a", "b"]


def test_an_empty_value_clears(made, fields, run):
    record = made("name=x", "city=Kiel")
    assert run("set", record, "city=").code == 0
    assert fields(record).get("city") is None


def test_a_value_may_hold_equals_signs_and_line_breaks(made, fields):
    record = made("name=x", "website=https://a?b=c+=d", "address=one\ntwo")
    assert fields(record)["website"] == "https://a?b=c+=d"
    assert fields(record)["address"] == "one\ntwo"


def test_what_is_there_already_changes_nothing(made, run):
    record = made("name=x", "city=Kiel")
    assert run("set", record, "city=Kiel", "--json").object == {
        "record": record,
        "created": False,
        "changed": False,
        "fields": [],
    }


def test_all_assignments_are_made_or_none(made, fields, run):
    record = made("name=x")
    assert run("set", record, "city=Kiel", "visits+=many").code == 2
    assert "city" not in fields(record)


@pytest.mark.parametrize(
    ("assignment", "code", "said"),
    [
        ("city", "usage", "field=value"),
        ("=x", "usage", "field=value"),
        ("citi=x", "unknown_field", "city"),
        ("visits+=x", "invalid_value", "whole number"),
        ("stage=sold", "invalid_value", "qualified"),
        ("city+=x", "invalid_value", "city=value"),
        ("city-=x", "invalid_value", "counters and sets"),
        ("timeline=x", "invalid_value", "timeline+=value"),
        ("birthday=soon", "invalid_value", "YYYY-MM-DD"),
        ("last_contact=2026-03-01", "invalid_value", "zone"),
        ("name=", "invalid_value", "name"),
        ("city=\udcff", "invalid_value", "surrogate"),
    ],
)
def test_a_wrong_value_is_one_message_with_the_next_step(made, run, assignment, code, said):
    record = made("name=x")
    result = run("set", record, assignment)
    assert result.code == 2
    assert result.err.startswith(f"Error ({code}): ")
    assert said in result.err
    assert len(result.err.splitlines()) == 2


def test_a_stage_moves_only_where_it_may(made, run):
    record = made("name=x", "stage=lead")
    result = run("set", record, "stage=won")
    assert result.code == 2
    assert "invalid_transition" in result.err
    assert "qualified" in result.err


def test_a_required_field_is_asked_for(store, run):
    result = run("set", "customers", "city=Kiel")
    assert result.code == 2
    assert "name" in result.err
    assert run("status", "--json").object["records"] == 0


@pytest.mark.parametrize("target", ["nothing", "customers/unknown", "Not An Id"])
def test_a_target_that_is_not_there_is_said_so(store, run, target):
    result = run("set", target, "name=x")
    assert result.code == 2
    assert "Error (unknown_" in result.err or "invalid_record_id" in result.err


def test_a_record_with_a_given_id_is_made_when_asked(store, run, fields):
    assert run("set", "customers/c-17", "name=x").code == 2
    assert run("set", "customers/c-17", "name=x", "--create", "--json").object["created"]
    assert fields("customers/c-17")["name"] == "x"


def test_a_record_is_found_by_the_start_of_its_id(made, run):
    record = made("name=x")
    key = record.partition("/")[2]
    assert run("set", key[:8], "city=Kiel").code == 0
    assert run("get", f"customers/{key[:6]}", "city").out == "Kiel\n"


def test_ids_that_people_made_are_never_shortened(store, run):
    assert run("set", "customers/number-10", "name=x", "--create").code == 0
    assert run("get", "customers/number-1").code == 2


def test_a_start_that_fits_several_records_is_refused(store, run):
    for end in ("a", "b"):
        assert run("set", f"customers/{'q' * 25}{end}", "name=x", "--create").code == 0
    result = run("delete", "qqqqqqqq")
    assert result.code == 2
    assert f"{'q' * 25}b" in result.err


def test_deleted_records_leave_the_list_and_come_back(made, run):
    record = made("name=x")
    assert run("delete", record).code == 0
    assert run("list", "--json").objects == []
    assert run("list", "--deleted", "--json").object["deleted"]
    assert "record_deleted" in run("set", record, "city=Kiel").err
    assert run("restore", record).code == 0
    assert run("list", "--json").object["record"] == record


@pytest.mark.parametrize(
    "again", [("name=ann  BERG",), ("name=A", "email=ann@x.example"), ("name=A", "phone=+49 (0)30 901820")]
)
def test_who_restores_what_was_entered_again_meanwhile_is_told(made, run, again):
    first = made("name=Ann Berg", "email=ann@x.example", "phone=+49 30 901820")
    assert run("delete", first).code == 0
    second, _ = made(*again), made("name=Ben", "email=ben@x.example")
    result = run("restore", first)
    assert result.code == 0
    assert f"It looks like {second}. If they are one customer" in result.err
    assert f"crdt-sync delete {first}" in result.err
    assert run("delete", first).code == 0
    assert run("restore", first, "--json").object == {"record": first, "restored": True, "alike": [second]}
    assert "alike" not in run("restore", second, "--json").object


def test_several_records_are_deleted_together_or_not_at_all(made, run):
    first, second = made("name=x"), made("name=y")
    assert run("delete", first, "customers/unknown").code == 2
    assert len(run("list", "--json").objects) == 2
    assert run("delete", first, second).code == 0
    assert run("list", "--json").objects == []


def test_a_negative_number_is_no_option(made, run, fields):
    record = made("name=x", "credit_limit=1")
    assert "no_conflict" in run("resolve", record, "credit_limit", "-5").err
    assert run("set", record, "credit_limit=-5").code == 0
    assert fields(record)["credit_limit"] == "-5"


@pytest.fixture
def opposed(made, store, tmp_path, run):
    """A record in which two devices wrote another phone (which asks) and another city (which does not)."""
    record = made("name=x", "phone=0", "city=Ulm", "owner=o")
    other = tmp_path / "other"
    assert run("--store", other, "init", "ben").code == 0

    def carry(giver, taker):
        bundle = tmp_path / "carried.bundle"
        bundle.unlink(missing_ok=True)
        assert run("--store", giver, "bundle", "create", bundle).code == 0
        assert run("--store", taker, "bundle", "apply", bundle).code == 0

    carry(store, other)
    assert run("--store", store, "set", record, "phone=1", "city=Kiel").code == 0
    assert run("--store", other, "set", record, "phone=2", "city=Bonn").code == 0
    carry(other, store)
    return record


@pytest.mark.parametrize("value", ["+49 30 1", "", "-5"])
def test_the_hint_of_an_open_conflict_is_a_command_that_decides_it(opposed, run, fields, value):
    refused = run("set", opposed, f"phone={value}")
    command = re.search(r"decide: crdt-sync (.*)", refused.err)
    assert command is not None
    assert run(*shlex.split(command[1].rstrip("."))).code == 0
    assert (fields(opposed)["phone"] or "") == value
    assert run("conflicts", "--json").objects == []


def test_the_decision_that_a_list_asks_for_is_no_value_that_could_be_written_as_it_stands(opposed, run):
    assert run("conflicts").err.rstrip().endswith("phone <value>")


def test_a_field_with_an_open_conflict_is_resolved_and_not_written(opposed, run, fields):
    for assignment in ("phone=3", "phone=2", "phone="):
        result = run("set", opposed, "owner=p", assignment)
        assert result.code == 2
        assert result.err.startswith("Error (open_conflict): ")
        assert f"crdt-sync resolve {opposed[:17]}" in result.err
        assert fields(opposed)["owner"] == "o"
    assert run("set", opposed, "owner=p").code == 0
    assert run("resolve", opposed, "phone", "3").code == 0
    assert fields(opposed)["phone"] == "3"
    assert run("conflicts").out == "No open conflicts.\n"
    result = run("resolve", opposed, "phone", "4")
    assert result.code == 2
    assert "Resolved" not in result.out
    assert result.err.startswith("Error (no_conflict): ")
    assert "no_conflict" in run("resolve", opposed, "_deleted", "keep").err
    assert fields(opposed)["phone"] == "3"


def test_what_was_there_already_is_not_claimed_to_be_done(made, run):
    record = made("name=x")
    assert run("restore", record).out == f"{record} is not deleted; nothing to restore.\n"
    assert run("restore", record, "--json").object == {"record": record, "restored": False}
    assert run("delete", record, "--json").object == {"record": record, "deleted": True}
    assert run("delete", record).out == f"{record} is deleted already.\n"
    assert run("restore", record).out == f"Restored {record}\n"


def test_the_losing_value_of_a_field_that_asks_nothing_is_shown_when_asked_for(opposed, run):
    assert "Kiel" not in run("conflicts").out + run("get", opposed).out
    for listing in (run("conflicts", "--all"), run("get", opposed, "--all")):
        assert all(part in listing.out for part in ("Kiel", "Bonn", "anna", "ben"))
    assert "resolve" in run("conflicts", "--all").err
    found = {conflict["field"]: conflict for conflict in run("conflicts", "--all", "--json").objects}
    assert [conflict["open"] for conflict in found.values()] == [False, True]
    assert [(entry["value"], entry["by"], entry["shown"]) for entry in found["city"]["entries"]] == [
        ("Bonn", "ben", True),
        ("Kiel", "anna", False),
    ]
    assert [conflict["field"] for conflict in run("conflicts", "--json").objects] == ["phone"]
    values = run("get", opposed, "--all", "--json").object["values"]
    assert [conflict["field"] for conflict in values] == ["city", "phone"]
    assert "values" not in run("get", opposed, "--json").object
    assert run("resolve", opposed, "city", "Kiel").code == 0
    assert run("resolve", opposed, "phone", "1").code == 0
    assert run("conflicts", "--all").out == "No open conflicts.\n"


def test_only_fields_that_changed_are_named(made, run):
    record = made("name=x", "city=Kiel", "tags=a")
    result = run("set", record, "city=Bonn", "tags-=nowhere", "name=x")
    assert result.out == f"Changed {record}: city\n"
    assert run("set", record, "tags-=nowhere", "--json").object["fields"] == []


@pytest.mark.parametrize(
    ("assignment", "field", "value"),
    [
        ("amount=1.500,50", "amount", "1500.5"),
        ("amount=12,5", "amount", "12.5"),
        ("amount=1,234.5", "amount", "1234.5"),
        ("visits=1.500", "visits", 1500),
        ("visits+=1.500", "visits", 1500),
        ("birthday=05.07.1990", "birthday", "1990-07-05"),
        ("birthday=1990-07-05", "birthday", "1990-07-05"),
        ("Phone=1", "phone", "1"),
        ("Birthday=25/07/1990", "birthday", "1990-07-25"),
    ],
)
def test_values_and_labels_are_read_as_people_write_them(made, fields, run, assignment, field, value):
    record = made("name=x")
    result = run("set", record, assignment, "--json")
    assert (result.object["fields"], fields(record)[field]) == ([field], value)


@pytest.mark.parametrize(
    ("assignment", "one", "other"),
    [("amount=1,234", "1234", "1.234"), ("birthday=05/07/1990", "1990-05-07", "1990-07-05")],
)
def test_what_could_be_two_values_is_refused_with_both(made, run, assignment, one, other):
    result = run("set", made("name=x"), assignment)
    assert result.code == 2
    assert f"could be {one} or {other}" in result.err
    assert "--d" not in result.err


def test_a_point_that_could_group_thousands_is_spoken_of(made, run):
    record = made("name=x")
    assert "amount=1234." in run("set", record, "amount=1.234").err
    assert run("set", record, "amount=12.34").err == ""
    assert run("set", record, "visits=1234").err == ""


def test_a_conflict_is_resolved_by_the_label_that_is_shown(made, run):
    result = run("resolve", made("name=x", "phone=1"), "Phone", "2")
    assert "no_conflict" in result.err


@pytest.mark.parametrize("command", ["get", "delete", "restore"])
def test_a_name_instead_of_a_record_leads_to_find(store, run, command):
    result = run(command, "Anna Müller")
    assert result.code == 2
    assert "crdt-sync find 'Anna Müller'" in result.err


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("email=not-an-address", "email: 'not-an-address' is no e-mail address"),
        ("email=a@b@c.de", "email: 'a@b@c.de' is no e-mail address"),
        ("emails=a@b.de;none", "emails: 'none' is no e-mail address"),
        ("phone=unbekannt", "phone: 'unbekannt' is no phone number"),
    ],
)
def test_what_cannot_be_an_address_or_a_number_is_taken_and_said(made, run, assignment, said):
    record = made("name=Anna")
    result = run("set", record, assignment)
    assert result.code == 0
    assert f"{said}; it was taken all the same." in result.err
    assert f"Changed {record}: {assignment.partition('=')[0]}" in result.out
    assert run("set", record, assignment).err == ""
    assert run("set", made("name=Bert"), assignment, "--json").object["odd"] == [said]


@pytest.mark.parametrize(
    "assignment",
    ["email=a@b.de", "email=Änne@büro.de", "email=ａ＠ｂ.ｄｅ", "phone=112", "phone=1-800-FLOWERS", "phone=", "city=x"],
)
def test_what_can_be_one_is_taken_without_a_word(made, run, assignment):
    result = run("set", made("name=Anna"), assignment)
    assert (result.code, result.err) == (0, "")


@pytest.mark.parametrize(
    ("assignment", "field", "what"),
    [
        ("email=ANNA@x.de", "email", "e-mail address"),
        ("emails+=anna@x.de", "emails", "e-mail address"),
        ("phone=+49 30 5550100", "phone", "phone number"),
    ],
)
def test_an_address_of_another_customer_is_taken_and_the_customer_named(made, run, assignment, field, what):
    anna = made("name=Anna", "email=anna@x.de", "phone=+49305550100")
    bert = made("name=Bert")
    result = run("set", bert, assignment)
    assert (result.code, result.err.strip()) == (0, f"{field}: Anna ({anna}) has the same {what}.")
    assert run("set", bert, "city=Ulm").err == ""
    assert run("delete", anna).code == 0
    shared = run("set", made("name=Cem"), assignment, "--json").object["shared"]
    assert [(each["record"], each["name"]) for each in shared] == [(bert, "Bert")]


def test_a_name_that_nobody_sees_is_no_name(run, made):
    refused = run("set", "customers", "name=\u200b\u2060")
    assert (refused.code, "'name': is required" in refused.err) == (2, True)
    record = made("name=A")
    assert "cannot be emptied" in run("set", record, "name=\u200b").err


def test_the_help_of_set_says_what_minus_is_for(run):
    assert "-= for counters and sets" in " ".join(run("set", "--help").out.replace("│", " ").split())


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("vip, rabatt, gold", ["gold", "rabatt", "vip"]),
        ("vip; a, b", ["a, b", "vip"]),
        ('"a, b", vip', ["a, b", "vip"]),
        ('["a, b", "c;d"]', ["a, b", "c;d"]),
        ("[vip]", ["[vip]"]),
        ("key account", ["key account"]),
        ("", []),
    ],
)
def test_members_of_a_set_are_separated_as_in_tables(made, fields, run, text, tags):
    record = made("name=x", "tags=old")
    assert run("set", record, f"tags={text}").code == 0
    assert (fields(record).get("tags") or []) == tags
    assert run("set", record, f"tags-={text}", "tags+=y, z").code == 0
    assert fields(record)["tags"] == ["y", "z"]
    decided: Any = editing._decision(bundled_schema("customers"), "tags", text)
    assert sorted(decided) == tags, "as 'resolve' takes it"


def test_help_tells_how_members_are_separated(run):
    assert "separated by semicolons, else by commas" in " ".join(run("set", "--help").out.split())
