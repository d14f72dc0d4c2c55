"""An edited row is the customer that it was, not a second one."""

import pytest

from crdt_sync.errors import KeyNeeded
from crdt_sync.exchange import import_table
from crdt_sync.exchange.key_columns import is_number
from crdt_sync.exchange.known_records import last_columns
from crdt_sync.records import parse_schema
from crdt_sync.records.imported import ImportedChange
from crdt_sync.records.memory.sources import COLUMNS
from tests.importing.conftest import Device, Lines

PEOPLE = parse_schema(
    'collection = "people"\nversion = 1\n[fields.name]\n[fields.email]\n[fields.phone]\n[fields.city]\n',
    "test",
)


@pytest.fixture
def anna(devices):
    (anna,) = devices("anna", schema=PEOPLE)
    return anna


def take(device: Device, columns, *rows, file="list", **options):
    return import_table(device.replica, Lines(columns, rows, file), "people", **options)


def people(device: Device):
    return sorted((view.raw.get("name"), view.raw.get("phone")) for view in device.replica.list("people"))


@pytest.mark.parametrize(
    ("columns", "key"),
    [
        (("Name", "Phone", "E-mail", "Id"), "Id"),
        (("Name", "Kunden-Nr.", "E-mail", "Phone"), "Kunden-Nr."),
        (("Record ID", "Associated Company ID", "Name", "Phone"), "Record ID"),
        (("Name", "Phone", "E-mail", "City"), "E-mail"),
        (("Name", "邮箱", "City", "Phone"), "邮箱"),
        (("Name", "Phone", "City", "Street"), "Phone"),
        (("Name", "Order No", "House number", "City"), None),
    ],
)
def test_a_number_an_address_or_a_phone_identifies_rows(anna, columns, key):
    rows = [tuple(f"{word}{number}@x" for word in "abcd") for number in range(3)]
    report = take(anna, columns, *rows)
    assert (report.created, report.key, report.key_found) == (3, (key,) if key else (), key is not None)


@pytest.mark.parametrize(
    "header",
    ["N° client", "N°", "Nº cliente", "N.º cliente", "Numéro client", "N° de client", "Code client", "Réf. client",
     "Identifiant client", "Matricule", "Cod. cliente", "Codice cliente", "Código", "Código de cliente",
     "Numero cliente", "Nº do cliente", "Núm. socio", "Klantnummer", "Klant-nr", "Lidnummer", "Nr klienta",
     "Kundnummer", "会員番号", "Kundennr.", "客户编号", "ID", "No.", "顧客番号", "Mitgliedsnummer"],
)  # fmt: skip
def test_numbers_of_customers_are_found_in_many_languages(header):
    assert is_number(header)


@pytest.mark.parametrize(
    "header",
    ["Code postal", "Código postal", "N° TVA", "Codice fiscale", "Numero civico", "N° de rue", "Client", "Réf. facture",
     "Huisnummer", "Número de teléfono", "Notes", "Nom", "Nation", "Country code", "Note client"],
)  # fmt: skip
def test_other_numbers_identify_nobody(header):
    assert not is_number(header)


def test_an_edited_row_is_no_second_customer(anna):
    columns = ("Name", "Phone", "E-mail")
    take(anna, columns, ("Anna", "1", "a@x.example"), file="b1")
    report = take(anna, columns, ("Anna", "11", "a@x.example"), file="b2")
    assert (report.created, report.updated) == (0, 1)
    assert people(anna) == [("Anna", "11")]


def test_a_record_made_by_hand_or_by_another_key_is_found(anna):
    with anna.replica.edit("people") as person:
        person.update({"name": "Anna", "email": "A@x.example", "phone": "1"})
    report = take(anna, ("Nr", "E-mail", "City"), ("7", "b@x.example", "Bonn"))
    assert (report.created, report.key) == (1, ("Nr",))
    report = take(anna, ("E-mail", "City"), ("a@x.example", "Kiel"), ("b@x.example", "Ulm"), file="other")
    assert (report.created, report.updated, report.matched) == (0, 2, 2)
    assert sorted(view.raw["city"] for view in anna.replica.list("people")) == ["Kiel", "Ulm"]


def test_whoever_changed_the_address_is_found_by_what_the_source_said(anna):
    with anna.replica.edit("people") as person:
        person.update({"name": "Anna", "email": "a@x.example"})
    columns = ("E-mail", "City")
    take(anna, columns, ("a@x.example", "Kiel"))
    with anna.replica.edit(person.record) as again:
        again["email"] = "anna@y.example"
    report = take(anna, columns, ("a@x.example", "Bonn"))
    assert (report.created, report.updated) == (0, 1)
    view = anna.replica.get(person.record)
    assert (view.raw["email"], view.raw["city"]) == ("anna@y.example", "Bonn")


def test_several_records_with_the_key_are_an_error_of_the_row(anna):
    for name in ("Anna", "Bert"):
        with anna.replica.edit("people") as person:
            person.update({"name": name, "email": "info@x.example"})
    report = take(anna, ("E-mail", "City"), ("info@x.example", "Kiel"))
    assert [(row.line, row.column, row.code) for row in report.failed] == [(2, "E-mail", "key_ambiguous")]


def test_the_key_of_the_last_import_is_used_again_even_where_it_has_repeated_values(anna):
    columns = ("Name", "E-mail", "Phone")
    take(anna, columns, ("Anna", "a@x", "1"), ("Bert", "b@x", "2"))
    report = take(anna, columns, ("Anna", "a@x", "11"), ("Bert", "b@x", "2"), ("Bert B", "b@x", "3"))
    assert (report.key, report.created, report.updated) == (("E-mail",), 0, 1)
    assert [row.code for row in report.failed] == ["duplicate_key"]
    take(anna, ("Nr", "Name"), ("1", "Dora"), file="numbers", key_columns=["Nr"])
    assert take(anna, ("Nr", "Name"), ("1", "Dora B"), file="numbers").key == ("Nr",)
    assert people(anna) == [("Anna", "11"), ("Bert", "2"), ("Dora B", None)]


def test_rows_without_a_key_go_by_their_content_and_are_counted(anna):
    columns = ("Name", "E-mail")
    report = take(anna, columns, ("Anna", "a@x"), ("Bert", ""))
    assert (report.created, report.without_key) == (2, 1)
    assert take(anna, columns, ("Anna", "a@x"), ("Bert", "")).unchanged == 2


def test_repeated_values_are_no_key_and_named(anna):
    report = take(anna, ("Name", "E-mail"), ("Anna", "info@x"), ("Bert", "info@x"))
    assert (report.created, report.key, [each.column for each in report.passed_over]) == (2, (), ["E-mail"])


def test_a_number_that_a_few_rows_repeat_by_mistake_is_the_key(anna):
    columns = ("Id", "Name", "Phone")
    rows = [("7", "Anna", "1"), ("8", "Bert", "2"), ("9", "Cleo", "3"), ("9", "Dora", "4")]
    report = take(anna, columns, *rows)
    assert (report.key, report.created) == (("Id",), 3)
    ((line, column, code),) = [(each.line, each.column, each.code) for each in report.failed]
    assert (line, column, code) == (5, "Id", "duplicate_key")
    assert "correct one of the two" in report.failed[0].message
    again = take(anna, columns, ("7", "Anna", "11"), *rows[1:3], ("10", "Dora", "4"))
    assert (again.created, again.updated, again.failures) == (1, 1, 0)
    assert people(anna) == [("Anna", "11"), ("Bert", "2"), ("Cleo", "3"), ("Dora", "4")]


@pytest.mark.parametrize(("rows", "doubled", "is_key"), [(40, 2, True), (40, 3, False), (2, 1, False)])
def test_how_many_rows_may_repeat_a_number(anna, rows, doubled, is_key):
    last = rows - doubled
    table = [(str(min(number, last - 1)), f"Name {number}", f"0{number}") for number in range(rows)]
    report = take(anna, ("Id", "Name", "Phone"), *table)
    assert (report.key, report.failures) == ((("Id",), doubled) if is_key else (("Phone",), 0))
    assert [(each.line, each.column) for each in report.passed_over] == ([] if is_key else [(last + 2, "Id")])


def test_a_number_that_is_unique_goes_before_one_that_repeats(anna):
    rows = [("1", "a", "A"), ("2", "b", "B"), ("3", "b", "C"), ("4", "d", "D")]
    report = take(anna, ("Ledger Id", "Id", "Name"), *rows)
    assert (report.key, [each.line for each in report.passed_over]) == (("Ledger Id",), [4])


def test_several_numbers_that_could_be_meant_demand_a_choice(anna):
    columns, row = ("Name", "Ledger Id", "Branch Id"), ("Anna", "1", "2")
    with pytest.raises(KeyNeeded) as raised:
        take(anna, columns, row)
    assert raised.value.candidates == ("Ledger Id", "Branch Id")
    assert people(anna) == []
    assert take(anna, columns, row, key_columns=["Branch Id"]).created == 1
    assert take(anna, columns, row, key_columns=None, file="whole").key == ()


def test_a_number_that_another_source_gave_to_somebody_else_is_another_customer(anna):
    columns = ("Id", "Name", "Phone")
    take(anna, columns, ("1", "Anna", "11"), ("2", "Bert", "22"), file="shop")
    report = take(anna, columns, ("1", "Cleo", "33"), ("2", "Bert", "23"), file="crm")
    assert (report.created, report.updated) == (1, 1)
    assert people(anna) == [("Anna", "11"), ("Bert", "23"), ("Cleo", "33")]
    report = take(anna, columns, ("1", "Cleo", "34"), ("2", "Bert", "23"), file="crm")
    assert (report.created, report.updated, report.unchanged) == (0, 1, 1)
    assert take(anna, columns, ("1", "Anna B", "11"), file="shop").updated == 1
    assert people(anna) == [("Anna B", "11"), ("Bert", "23"), ("Cleo", "34")]


MAPPED = ("Id", "Name", "Where")


def test_what_was_mapped_last_time_is_mapped_again(anna):
    take(anna, MAPPED, ("1", "Anna", "Kiel"), ("2", "Bert", "Bonn"), file="list", mapping={"Where": "city"})
    report = take(anna, MAPPED, ("1", "Anna", "Ulm"), ("2", "Bert", "Rom"), file="list (2)")
    assert (dict(report.remembered), report.updated, report.unmapped) == ({"Where": "city"}, 2, ("Id",))
    assert sorted(view.raw["city"] for view in anna.replica.list("people")) == ["Rom", "Ulm"]
    assert take(anna, MAPPED, ("3", "Cleo", "Rom"), file="another").remembered == {}


def test_another_mapping_goes_before_that_of_last_time_and_is_remembered(anna):
    rows = ("1", "Anna", "030 1"), ("2", "Bert", "030 2"), ("3", "Cleo", "030 3")
    take(anna, MAPPED, *rows, mapping={"Where": "city"})
    report = take(anna, MAPPED, *rows, mapping={"#3": "phone"})
    assert (report.remembered, report.updated) == ({}, 3)
    assert take(anna, MAPPED, *rows).remembered == {"Where": "phone"}
    assert take(anna, MAPPED, ("1", "Anna", "8"), mapping={"Where": None}).updated == 0
    assert take(anna, ("Id", "Where", "Phone"), ("1", "Ulm", "9"), mapping={"Phone": "phone"}).remembered == {}


def test_a_mapping_that_one_record_tells_decides_for_nobody(anna):
    rows = [(str(number), f"P{number}", "Kiel") for number in range(3)]
    take(anna, MAPPED, *rows, mapping={"Where": "city"})
    take(anna, MAPPED, ("0", "P0", "Ulm"), mapping={"Where": "phone"})
    assert take(anna, MAPPED, *rows[1:]).remembered == {"Where": "city"}


@pytest.mark.parametrize(
    "told", [["Id", None, "Where"], ["Id", None, 1, "city"], ["Id", None, "Where", 7], [None], [None, None]]
)
def test_what_no_import_remembers_maps_nothing(anna, told):
    with anna.replica.batch():
        for number in range(2):
            said = {"name": f"P{number}", COLUMNS: told}
            anna.replica.bring(f"people/{number}", "list", [ImportedChange("write", "name", f"P{number}")], said)
    found = last_columns(anna.replica.list("people", deleted=True), "list")
    assert (found.key, dict(found.mapping)) == (tuple(each for each in told[:1] if each), {})
