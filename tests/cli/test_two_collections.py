"""A second collection beside the customers: how it is named, and ids of customers in its fields."""

import pytest

ORDERS = """
collection = "orders"
version = 1

[fields.number]
kind = "value"
type = "string"

[fields.customer]
kind = "value"
type = "reference"
collection = "customers"

[fields.others]
kind = "set"
type = "reference"
"""


@pytest.fixture
def orders(store, run, tmp_path):
    file = tmp_path / "orders.toml"
    file.write_text(ORDERS)
    result = run("schema", "add", file)
    assert result.code == 0, result.err


@pytest.fixture
def customer(orders, made):
    return made("name=Petra Weiß")


def fields(run, record):
    return run("get", record, "--json").object["fields"]


@pytest.mark.parametrize("length", [8, 12, None])
@pytest.mark.parametrize("collection", ["customers/", ""])
def test_a_reference_is_stored_whole(run, customer, length, collection):
    typed = collection + customer.partition("/")[2][:length] if collection or length else customer
    order = run("set", "orders", "number=B-1", f"customer={typed}", f"others={typed}", "--json")
    assert order.code == 0, order.err
    record = order.object["record"]
    assert (fields(run, record)["customer"], fields(run, record)["others"]) == (customer, [customer])
    assert run("set", record, f"others-={typed}").code == 0
    assert fields(run, record).get("others", []) == []
    assert run("find", f"customer={typed}", "-c", "orders", "--json").object["record"] == record
    assert run("find", f"customer!={typed}", "-c", "orders", "--json").out == ""


def test_an_id_of_no_record_here_is_told(run, customer):
    result = run("set", "orders", "number=1", "customer=customers/0815")
    assert (result.code, "there is no record customers/0815 here" in result.err) == (0, True)
    assert "there is no record" not in run("set", "orders", f"customer={customer}").err


@pytest.mark.parametrize("command", [["set", "orders"], ["find"]])
def test_a_name_in_a_reference_is_shown_as_it_is_with_what_finds_its_id(run, customer, command):
    result = run(*command, "customer=Petra Weiß")
    assert (result.code, "'Petra Weiß' is not a record id" in result.err) == (2, True)
    assert "crdt-sync find 'Petra Weiß'" in result.err


def test_what_needs_a_collection_says_how_it_is_named(run, customer, tmp_path):
    file = tmp_path / "a.csv"
    missing = run("import", file)
    assert (missing.code, "there is no file" in missing.err) == (2, True)
    file.write_text("name\nAnna\n")
    for command in (["import", file], ["export", tmp_path / "b.csv"]):
        result = run(*command)
        assert (result.code, "-c" in result.err, "customers, orders" in result.err) == (2, True, True)
    assert "-c" not in run("schema", "show").err


def test_an_export_for_editing_names_its_collection(run, customer, tmp_path):
    file = tmp_path / "a.csv"
    assert run("export", file, "-c", "customers", "--for-editing").code == 0
    file.write_text(file.read_text().replace("Petra", "Paula"))
    result = run("import", file)
    assert (result.code, "into 'customers'" in result.out) == (0, True), result.err
    assert fields(run, customer)["name"] == "Paula Weiß"


@pytest.mark.parametrize("command", ["list", "duplicates"])
def test_a_collection_is_named_by_an_option_too(run, customer, command):
    assert run("set", "orders", "number=1").code == 0
    assert run(command, "-c", "orders", "--json").out == run(command, "orders", "--json").out
    assert run(command, "-c", "orders", "orders").code == 0
    assert run(command, "-c", "orders", "customers").code == 2
    assert run(command, "-c", "nobody").code == 2


@pytest.mark.parametrize("day", ["31.02.1990", "1990-02-31", "1990/2/31", "31/04/1990"])
def test_a_day_that_does_not_exist_is_called_so(run, customer, day):
    result = run("set", customer, f"birthday={day}")
    assert (result.code, f"there is no day '{day}'" in result.err, "YYYY" in result.err) == (2, True, False)
    assert "is not a date" in run("set", customer, "birthday=soon").err


def test_an_export_says_how_it_is_edited(run, customer, tmp_path):
    assert "--for-editing" in run("export", tmp_path / "a.csv", "-c", "customers").out
    assert "--for-editing" not in run("export", tmp_path / "b.csv", "-c", "customers", "--for-editing").out


def test_rows_that_are_known_are_told_plainly(run, customer, tmp_path):
    file = tmp_path / "a.csv"
    assert run("export", file, "-c", "customers").code == 0
    told = run("import", file, "-c", "customers").err
    assert "1 row belongs to the record that it was exported from, or imported into, before." in told
