"""An address or a phone may be shared, a file's name may be that of another list: nobody is written over by that."""

import pytest

from crdt_sync.errors import AlreadyHere, AnotherList
from crdt_sync.exchange import import_table
from crdt_sync.exchange.persons import named_alike
from crdt_sync.exchange.suspects import suspects
from crdt_sync.records import bundled_schema, parse_schema
from tests.importing.conftest import Device, Lines, meet

PEOPLE = parse_schema(
    'collection = "people"\nversion = 1\n[fields.name]\n[fields.email]\n[fields.phone]\n[fields.city]\n',
    "test",
)
BY_PHONE = ("Name", "Phone", "City")
ERIKA, PETRA = ("Erika Muster", "+49 30 5550100", "Berlin"), ("Petra Lang", "+49 30 5550100", "Potsdam")


@pytest.fixture
def pair(devices):
    return devices("anna", "bert", schema=PEOPLE)


def take(device: Device, columns, *rows, file="list", **options):
    return import_table(device.replica, Lines(columns, rows, file), "people", **options)


def people(device: Device, *fields):
    return sorted(tuple(view.raw.get(field) for field in fields) for view in device.replica.list("people"))


BOTH = [("Erika Muster", "Berlin"), ("Petra Lang", "Potsdam")]


def test_a_shared_phone_is_that_of_two_people_and_said(pair):
    anna, _ = pair
    take(anna, BY_PHONE, ERIKA, file="messe")
    report = take(anna, BY_PHONE, PETRA, file="newsletter")
    assert (report.created, report.keys_shared, [each.name for each in report.shared]) == (1, 1, ["Erika Muster"])
    assert people(anna, "name", "city") == BOTH
    for row, file in ((ERIKA, "messe"), (PETRA, "newsletter")):
        head = anna.log_length()
        assert take(anna, BY_PHONE, row, file=file).unchanged == 1
        assert anna.log_length() == head


def test_so_it_is_where_two_devices_import_apart(pair):
    anna, bert = pair
    take(anna, BY_PHONE, ERIKA, file="messe")
    take(bert, BY_PHONE, PETRA, file="newsletter")
    meet(anna, bert)
    assert people(anna, "name", "city") == people(bert, "name", "city") == BOTH


def test_so_it_is_for_who_was_typed_by_hand_and_within_one_source(pair):
    anna, bert = pair
    with anna.replica.edit("people") as person:
        person.update(dict(zip(("name", "phone", "city"), ERIKA, strict=True)))
    assert take(anna, BY_PHONE, PETRA).created == 1
    take(bert, BY_PHONE, ERIKA)
    assert take(bert, BY_PHONE, PETRA).created == 1
    assert people(anna, "name", "city") == people(bert, "name", "city") == BOTH
    assert take(bert, BY_PHONE, (*PETRA[:2], "Ulm")).updated == 1
    assert take(bert, BY_PHONE, ERIKA).unchanged == 1


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("Erika Muster", "muster, ERIKA", True),
        ("Erika", "Erika Muster", True),
        ("Erika Muster", "Petra Lang", False),
        ("Erika Muster", "Max Muster", False),
        ("Erika Muster", None, None),
    ],
)
def test_names_agree_in_any_order_of_their_words(one, other, alike):
    assert named_alike({"name": one}, {"name": other}) is alike


def test_a_missing_name_agrees_unless_an_address_contradicts(pair):
    anna, bert = pair
    for device in pair:
        with device.replica.edit("people") as person:
            person.update({"name": "Erika Muster", "phone": ERIKA[1], "email": "e@x.example"})
    assert take(anna, ("Phone", "City"), ERIKA[1:]).created == 0
    assert take(bert, ("Phone", "E-mail"), (ERIKA[1], "info@x.example"), ("2", "info@x.example")).created == 2


NUMBERED = ("Nr", "Name", "City")
GOOGLE = [("1", "Erika Muster", "Berlin"), ("2", "Karl Kern", "Bonn")]
OUTLOOK = [("1", "Petra Lang", "Potsdam"), ("2", "Jan Jost", "Ulm")]


@pytest.mark.parametrize("options", [{}, {"key_columns": ["Nr"]}])
@pytest.mark.parametrize("dry_run", [False, True])
def test_another_list_of_the_same_name_is_refused(pair, options, dry_run):
    anna, _ = pair
    take(anna, NUMBERED, *GOOGLE, **options)
    head = anna.log_length()
    with pytest.raises(AnotherList) as raised:
        take(anna, NUMBERED, *OUTLOOK, dry_run=dry_run, **options)
    assert "'Petra Lang' in line 2" in raised.value.message
    assert anna.log_length() == head
    assert take(anna, NUMBERED, *OUTLOOK, file="outlook").created == 2
    assert take(anna, NUMBERED, *OUTLOOK, same_source=True, **options).updated == 2


@pytest.mark.parametrize(
    "rows",
    [
        [("1", "Erika Kern", "Ulm"), ("2", "Karl Lang", "Ulm")],
        [("1", "Petra Lang", "Berlin"), ("2", "Jan Jost", "Bonn")],
        [("1", "Petra Lang", "Ulm"), ("2", "Karl Kern", "Ulm")],
    ],
)
def test_the_next_version_of_a_list_is_none(pair, rows):
    anna, _ = pair
    take(anna, NUMBERED, *GOOGLE)
    assert take(anna, NUMBERED, *rows).created == 0


def test_what_people_wrote_here_makes_no_other_list(pair):
    anna, _ = pair
    take(anna, NUMBERED, *GOOGLE)
    for number, view in enumerate(list(anna.replica.list("people"))):
        with anna.replica.edit(view.record) as person:
            person.update({"name": f"Uwe{number}", "city": "Kiel"})
    assert take(anna, NUMBERED, *GOOGLE).unchanged == 2


BY_MAIL = ("Name", "E-mail", "Phone")


def test_a_new_address_of_the_same_name_and_phone_is_news_of_that_customer(pair):
    anna, _ = pair
    take(anna, BY_MAIL, ("Anna", "a@x", "030 1234567"), ("Bert", "b@x", "2"))
    report = take(anna, BY_MAIL, ("Anna", "anna@y", "030 123 4567"), ("Bert", "b@x", "2"))
    assert (report.created, report.updated, people(anna, "email")) == (0, 1, [("anna@y",), ("b@x",)])
    assert take(anna, BY_MAIL, ("Anna", "anna@y", "030 123 4567")).unchanged == 1


@pytest.mark.parametrize(
    "rows",
    [
        [("Anna", "anna@y", "1"), ("Anna", "a@x", "1")],  # the address is somebody's still
        [("Anna", "anna@y", "5")],  # nothing but the name
        [("Cleo", "anna@y", "1")],
    ],
)
def test_a_new_address_is_a_new_customer_where_that_is_not_certain(pair, rows):
    anna, _ = pair
    take(anna, BY_MAIL, ("Anna", "a@x", "1"), ("Bert", "b@x", "2"))
    assert take(anna, BY_MAIL, *rows).created == 1


WITH_EMAIL = ("Name", "Phone", "E-mail", "City")
CROWD = [("Anna", "1", "a@x", "Ulm"), ("Bert", "2", "b@x", "Kiel"), ("Cleo", "2", "b@x", "Bonn")]


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_table_that_would_double_most_customers_is_refused(pair, dry_run):
    anna, _ = pair
    take(anna, WITH_EMAIL, *CROWD)
    moved = [(*person[:3], "Trier") for person in reversed(CROWD)]
    with pytest.raises(AlreadyHere, match=r"3 of 3 rows.*'Cleo' in line 2 is people/") as raised:
        take(anna, WITH_EMAIL, *moved, file="other", dry_run=dry_run)
    assert (raised.value.rows, len(people(anna))) == (3, 3)
    assert "--key" in raised.value.hint
    assert "--as-new" in raised.value.hint
    assert take(anna, WITH_EMAIL, *moved, file="other", dry_run=dry_run, as_new=True).created == 3


def test_a_few_namesakes_among_new_rows_are_not_refused(pair):
    anna, _ = pair
    take(anna, WITH_EMAIL, *CROWD)
    moved = (*CROWD[0][:3], "Trier")
    report = take(anna, WITH_EMAIL, moved, ("Dora", "2", "b@x", "Rom"), ("Emil", "2", "b@x", "Rom"), file="other")
    assert (report.created, report.alike) == (3, 1)


def test_an_import_that_is_run_again_is_not_refused(pair):
    anna, _ = pair
    for _ in range(2):
        report = take(anna, WITH_EMAIL, *CROWD)
    assert (report.created, report.unchanged) == (0, 3)


BY_EMAIL = ("Name", "Email", "City")
THREE = [("Anna Muster", "0171 1111111", "Ulm"), ("Ben", "0171 2222222", "Bonn"), ("Carl", "0171 3333333", "Kiel")]
MOVED = [("Anna Muster", "0171 9999999", "Ulm"), *THREE[1:]]


def record_named(device: Device, name: str) -> str:
    (record,) = [view.record for view in device.replica.list("people") if view.raw["name"] == name]
    return record


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("columns", [BY_PHONE, BY_EMAIL])
def test_a_row_whose_key_was_edited_is_refused_and_doubles_nobody(pair, columns, dry_run):
    anna, _ = pair
    take(anna, columns, *THREE)
    before = record_named(anna, "Anna Muster")
    with pytest.raises(AlreadyHere, match=rf"1 of 3 rows.*line 2 \('Anna Muster'\) is {before}") as raised:
        take(anna, columns, *MOVED, dry_run=dry_run)
    assert (raised.value.rows, "--as-new" in raised.value.hint, len(people(anna))) == (1, True, 3)


ANNA, BERT = "Anna Muster", "Bert Koch"
Row = tuple[str, ...]
ONE_EDITED: dict[str, tuple[Row, list[Row], Row]] = {  # columns, rows, and what is in the first of them later
    "a phone": (("Name", "Phone"), [(ANNA, "0171 1111111"), (BERT, "0171 2222222")], (ANNA, "0171 9999999")),
    "an address": (("Name", "Email"), [(ANNA, "a@x.example"), (BERT, "b@x.example")], (ANNA, "a@y.example")),
    "a number": (("Customer No", "Name", "City"), [("1", ANNA, "Ulm"), ("2", BERT, "Kiel")], ("9", ANNA, "Ulm")),
    "a city": (("Name", "City"), [(ANNA, "Ulm"), (BERT, "Ulm")], (ANNA, "Jena")),
}


@pytest.fixture(params=ONE_EDITED)
def one_edited(request, pair):
    """A device that has imported rows, their columns, the first row as it was edited, and the other."""
    columns, rows, edited = ONE_EDITED[request.param]
    take(pair[0], columns, *rows)
    return pair[0], columns, edited, rows[1]


@pytest.mark.parametrize("dry_run", [False, True])
def test_one_edited_cell_by_which_a_row_is_known_makes_no_second_customer(one_edited, dry_run):
    anna, columns, edited, other = one_edited
    before = record_named(anna, ANNA)
    with pytest.raises(AlreadyHere, match=rf"1 of 2 rows.*line 2 \('{ANNA}'\) is {before}") as raised:
        take(anna, columns, edited, other, dry_run=dry_run)
    assert (raised.value.rows, "--as-new" in raised.value.hint, len(people(anna))) == (1, True, 2)


@pytest.mark.parametrize(("way_out", "created"), [({"key_columns": ["Name"]}, 0), ({"as_new": True}, 1)])
def test_the_ways_out_for_one_edited_cell(one_edited, way_out, created):
    anna, columns, edited, other = one_edited
    assert take(anna, columns, edited, other, **way_out).created == created
    head = anna.log_length()
    assert take(anna, columns, edited, other, **way_out).unchanged == 2
    assert anna.log_length() == head


def test_rows_that_were_asked_for_as_wholes_are_not_refused(one_edited):
    anna, columns, edited, other = one_edited
    assert take(anna, columns, edited, other, key_columns=None).created > 0


def test_a_namesake_beside_the_row_of_before_is_new(one_edited):
    anna, columns, edited, other = one_edited
    first = next(rows[0] for _, rows, later in ONE_EDITED.values() if later == edited)
    assert take(anna, columns, first, other, edited).created == 1


@pytest.mark.parametrize("way_out", ["set it here", "another key", "as new"])
def test_the_ways_out_of_an_edited_key(pair, way_out):
    anna, _ = pair
    take(anna, BY_PHONE, *THREE)
    before = record_named(anna, "Anna Muster")
    if way_out == "set it here":
        with anna.replica.edit(before) as person:
            person.update({"phone": "0171 9999999"})
    key_columns = ["Name"] if way_out == "another key" else ()
    report = take(anna, BY_PHONE, *MOVED, key_columns=key_columns, as_new=way_out == "as new")
    assert report.created == (way_out == "as new")
    assert anna.replica.get(before).raw["phone"] == ("0171 1111111" if way_out == "as new" else "0171 9999999")
    assert take(anna, BY_PHONE, *MOVED).unchanged == 3


@pytest.mark.parametrize(
    "rows",
    [
        [("Anna Muster", "0171 9999999", "Trier"), *THREE[1:]],  # nothing but the name
        [*THREE, MOVED[0]],  # nobody went
        [MOVED[0], ("Anna Muster", "0171 8888888", "Ulm"), *THREE[1:]],  # which of them?
        [("Anna Beispiel", "0171 9999999", "Ulm"), *THREE[1:]],
    ],
)
def test_who_may_be_a_namesake_is_not_refused(pair, rows):
    anna, _ = pair
    take(anna, BY_PHONE, *THREE)
    assert take(anna, BY_PHONE, *rows).failures == 0


@pytest.mark.parametrize("columns", [BY_PHONE, ("Nr", "Name", "City"), ("Name", "City", "Team")])
def test_a_new_row_with_the_name_of_one_that_went_is_said(pair, columns):
    anna, _ = pair
    names = columns.index("Name")
    rows = [("Anna", "Ulm", "1"), ("Ben", "Kiel", "2")]
    rows = [row if names == 0 else (row[2], row[0], row[1]) for row in rows]
    edited = [tuple(cell if cell == "Anna" else f"{cell}9" for cell in rows[0]), rows[1]]
    take(anna, columns, *rows)
    before = record_named(anna, "Anna")
    report = take(anna, columns, *edited)
    assert (report.created, report.rows_gone) == (1, 1)
    assert [(each.line, each.name, each.before) for each in report.perhaps_edited] == [(2, "Anna", before)]
    assert anna.replica.get(report.perhaps_edited[0].record).raw["name"] == "Anna"
    again = take(anna, columns, *edited)
    assert (again.created, again.perhaps_edited) == (0, ())


def test_each_record_that_went_is_named_once(pair):
    anna, _ = pair
    take(anna, BY_PHONE, ("Anna", "1", "Ulm"), ("Ben", "2", "Ulm"))
    report = take(anna, BY_PHONE, ("Anna", "8", "Rom"), ("ANNA", "9", "Rom"), ("Cleo", "7", "Rom"))
    assert (report.created, report.rows_gone, [each.line for each in report.perhaps_edited]) == (3, 1, [2])


CUSTOMERS = bundled_schema("customers")
WITH_MORE = ("Customer No", "Name", "E-mail", "E-mail", "Phone", "Birthday", "City", "Postal code")


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    ("here", "row", "alike"),
    [
        ({"emails": ["B@x.example"]}, ("2", "Anna", "c@x.example", "b@x.example", "", "", "", ""), True),
        ({"emails": ["b@x.example"]}, ("2", "Anna", "b@x.example", "", "", "", "", ""), True),
        ({"phone": "0171 1234567"}, ("2", "Anna Muster", "", "", "0171/1234567", "", "", ""), True),
        ({"phone": "0171 1234567"}, ("2", "Ben", "", "", "0171 1234567", "", "", ""), False),
        ({"birthday": "1984-02-29"}, ("2", "Anna", "", "", "", "1984-02-29", "", ""), True),
        ({"city": "Ulm"}, ("2", "ANNA", "", "", "", "", "ulm", ""), True),
        ({"postal_code": "89073"}, ("2", "Anna", "", "", "", "", "", "89073"), True),
        ({"city": "Ulm"}, ("2", "Anna", "", "", "", "", "Kiel", ""), False),
    ],
)
def test_whom_duplicates_will_name_the_import_counts_as_alike(devices, here, row, alike, dry_run):
    (anna,) = devices("anna", schema=CUSTOMERS)
    with anna.replica.edit("customers") as person:
        person.update({"name": "Anna", **{field: each for field, each in here.items() if isinstance(each, str)}})
        for address in here.get("emails", ()):
            person.add("emails", address)
    report = import_table(anna.replica, Lines(WITH_MORE, [row], "leads"), "customers", dry_run=dry_run)
    assert (report.created, report.alike) == (1, alike)
    if not dry_run:
        groups = suspects("customers", CUSTOMERS.fields, anna.replica.list("customers"))
        assert any(group.names_agree for group in groups) is alike
