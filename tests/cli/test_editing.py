import pytest


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


def test_several_records_are_deleted_together_or_not_at_all(made, run):
    first, second = made("name=x"), made("name=y")
    assert run("delete", first, "customers/unknown").code == 2
    assert len(run("list", "--json").objects) == 2
    assert run("delete", first, second).code == 0
    assert run("list", "--json").objects == []


def test_a_negative_number_is_no_option(made, run, fields):
    record = made("name=x", "credit_limit=1")
    assert run("resolve", record, "credit_limit", "-5").code == 0
    assert fields(record)["credit_limit"] == "-5"
