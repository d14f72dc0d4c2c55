"""Customers who are here already: deleted, entered again by hand, or brought by another list."""

import pytest

from crdt_sync.exchange import import_table
from crdt_sync.exchange.source_name import source_name
from crdt_sync.records import parse_schema
from tests.importing.conftest import Lines

PEOPLE = parse_schema(
    'collection = "people"\nversion = 1\n[fields.name]\n[fields.email]\n[fields.phone]\n[fields.city]\n', "test"
)
COLUMNS = ("Nr", "Name", "E-mail", "City")
ROW, OTHER = ("1", "Anna Ott", "a@x.example", "Kiel"), ("2", "Bert", "b@x.example", "Ulm")


@pytest.fixture
def anna(devices):
    (anna,) = devices("anna", schema=PEOPLE)
    return anna


def take(device, *rows, file="shop", columns=COLUMNS, **options):
    return import_table(device.replica, Lines(columns, rows, file), "people", **options)


@pytest.fixture
def deleted(anna):
    """The device on which the customer of `ROW` was deleted."""
    take(anna, ROW, OTHER)
    (view,) = [view for view in anna.replica.list("people") if view.raw["name"] == "Anna Ott"]
    with anna.replica.edit(view.record) as person:
        person.delete()
    return anna


def test_a_row_of_a_deleted_customer_is_left_out_and_no_failure(deleted):
    report = take(deleted, ROW, OTHER)
    assert (report.deleted, report.failures, report.unchanged, report.rows) == (1, 0, 1, 2)
    assert len(list(deleted.replica.list("people"))) == 1


def test_a_row_of_one_who_was_entered_again_is_that_one(deleted):
    with deleted.replica.edit("people") as person:
        person.update({"name": "anna ott", "email": "A@x.example"})
    for city in ("Kiel", "Bonn"):
        report = take(deleted, (*ROW[:3], city), OTHER)
        assert (report.deleted, report.failures, report.created) == (0, 0, 0)
        assert deleted.replica.get(person.record).raw["city"] == city
    head = deleted.log_length()
    assert take(deleted, (*ROW[:3], "Bonn"), OTHER).unchanged == 2
    assert deleted.log_length() == head


@pytest.mark.parametrize("again", [[{"name": "Uwe", "email": "a@x.example"}], [{"name": "Anna Ott"}],
                                   [{"name": "Anna Ott", "email": "a@x.example"}] * 2])  # fmt: skip
def test_nor_is_it_anybody_else(deleted, again):
    for values in again:
        with deleted.replica.edit("people") as person:
            person.update(values)
    head = deleted.log_length()
    assert (take(deleted, ROW, OTHER).deleted, deleted.log_length()) == (1, head)


@pytest.mark.parametrize("first", [True, False])
def test_nor_is_it_a_double_that_the_table_has_a_row_for(anna, first):
    twins = (ROW[1:3], ROW[1:3], ("Bert", "b@x.example"))
    columns = ("Name", "E-mail")
    take(anna, *twins, columns=columns, key_columns=None)
    one, other = sorted(view.record for view in anna.replica.list("people") if view.raw["name"] == "Anna Ott")
    gone, left = (one, other) if first else (other, one)
    anna.replica.delete(gone)
    take(anna, (left, "+49 30 1"), columns=("Record", "Phone"), record_column="Record", file="phones")
    before, head = anna.values(), anna.log_length()
    report = take(anna, *twins, columns=columns, key_columns=None)
    assert (report.deleted, report.unchanged, report.updated) == (1, 2, 0)
    assert (anna.values(), anna.log_length()) == (before, head)


def test_nor_is_it_one_that_another_list_brought(deleted):
    take(deleted, ("7", *ROW[1:3], "Ulm"), file="leads")
    before = deleted.values()
    assert take(deleted, ROW, OTHER).deleted == 1
    assert deleted.values() == before


def test_new_customers_who_look_like_ones_that_are_here_are_counted(anna):
    take(anna, ROW, OTHER)
    report = take(anna, ROW, ("2", "Bert", "c@x.example", "Rom"), file="leads", key_columns=None)
    assert (report.created, report.alike) == (2, 1)
    assert take(anna, ("7", "Cleo", "c@y.example", "Ulm"), file="leads").alike == 0


def test_a_list_that_another_source_said_names_it(anna):
    take(anna, ROW, OTHER)
    assert take(anna, ROW, OTHER, file="customers of the shop").renamed == "shop"
    assert take(anna, ("8", "Dora", "d@x.example", "Ulm"), OTHER, file="third").renamed is None


@pytest.mark.parametrize(
    "name",
    [
        "Kunden", "Kunden November", "Kunden Dezember 2026", "Kunden_März_2026", "Kunden Stand 01.12.2026 final neu",
        "Kunden 3. Dezember 2026", "kunden-dez-2026", "Kunden Mai 2026", "Kunden (Kopie)", "Kunden v2",
        "Kunden final (2)", "Kunden neu", "Kunden July 3, 2026", "2026 August Kunden", "Kunden Juni 2026 - Kopie",
        "Kunden 3. Mai 2026",
        "kunden_jan2026", "2026-Jan Kunden", "Kunden Nov. 3", "3 Dez Kunden", "Kunden Januar", "März-Kunden.csv",
        "Kunden Oktober (1)", "Kunden Dec 3, 2026 v2", "kunden_okt", "Kunden Dez (1)", "Kunden 10-2026",
        "Kunden 10.2026", "Kunden KW44", "Kunden_KW 44-2026", "Kunden 2026-W44", "Kunden Woche 7",
    ],
)  # fmt: skip
def test_months_and_versions_are_no_part_of_a_name(name):
    assert source_name(name) == "kunden"


@pytest.mark.parametrize(
    "name",
    [
        "客户 2026年10月",
        "客户_十月",
        "客户十一月",
        "2026年10月客户",
        "客户 2026年10月31日",
        "客户 10月份 (1)",
        "客户 副本",
    ],
)
def test_nor_are_months_in_chinese(name):
    assert source_name(name) == "客户"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Kunden Jan.csv", "Kunden Mai.csv"), ("team august.csv", "team.csv"), ("Leads April", "Leads June"),
        ("Kunden Juni", "Kunden Juli"), ("clientes julio", "clientes abril"), ("Avril leads", "May leads"),
        ("Kunden Jan (1)", "Kunden"), ("Kunden Jan 2026-11", "Kunden Mai 2026-11"), ("Kunden Jan 2", "Kunden"),
        ("Kunden Dez Nord", "Kunden Okt Nord"), ("Kunden Jun", "Kunden"), ("Filiale 3-2026", "Filiale"),
        ("Team August 28.11.2026", "Team Mai 28.11.2026"), ("Jan", "Mai"),
    ],
)  # fmt: skip
def test_a_month_that_is_a_name_or_short_stays_without_its_year(one, other):
    assert source_name(one) != source_name(other)


@pytest.mark.parametrize(
    ("later", "earlier"),
    [
        ("Kunden Jan 2026-12", "Kunden Jan 2026-11"), ("Kunden Jan Dezember 2026", "Kunden Jan November"),
        ("Kunden Mai (1)", "Kunden Mai"), ("Team August Juni 2026", "team august"),
    ],
)  # fmt: skip
def test_a_name_that_is_a_month_has_versions(later, earlier):
    assert source_name(later) == source_name(earlier)


@pytest.mark.parametrize(
    "name", ["Maier", "Neukunden", "Finalisten", "Newsletter", "November", "Maiandacht", "KW44", "十月", "21月"]
)
def test_words_that_look_like_them_stay(name):
    assert source_name(name) == name.casefold()
