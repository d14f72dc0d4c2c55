import pytest

from crdt_sync.errors import InvalidTable, UnknownField
from crdt_sync.exchange import import_table, infer_schema, match_columns
from crdt_sync.records.schema import FieldSpec, Schema, bundled_schema


def schema(**fields: FieldSpec) -> Schema:
    return Schema(collection="things", version=1, fields=fields)


def test_columns_are_found_by_name_label_alias_and_looser_spelling():
    fields = schema(
        name=FieldSpec(), company=FieldSpec(label="Company"), zip=FieldSpec(aliases=("PostalCode",)), city=FieldSpec()
    )
    found = match_columns(["name", "Company", "PostalCode", " CITY: "], fields)
    assert found.fields == ("name", "company", "zip", "city")
    assert found.unmapped == ()


def test_columns_that_no_field_takes_are_reported():
    found = match_columns(["name", "shoe size", "mood"], schema(name=FieldSpec()))
    assert found.fields == ("name", None, None)
    assert found.unmapped == ("shoe size", "mood")


def test_an_exact_header_is_served_before_a_similar_one():
    assert match_columns(["Name", "name"], schema(name=FieldSpec())).fields == (None, "name")


def test_two_columns_never_share_a_field():
    found = match_columns(["phone", "Phone"], schema(phone=FieldSpec()))
    assert (found.fields, found.unmapped) == (("phone", None), ("Phone",))


def test_overrides_win_and_none_leaves_a_column_out_without_reporting_it():
    fields = schema(name=FieldSpec(), company=FieldSpec())
    found = match_columns(["name", "company", "x"], fields, {"x": "name", "company": None})
    assert found.fields == (None, None, "name")
    assert found.unmapped == ("name",)


def test_a_set_takes_several_columns_and_a_value_does_not():
    fields = schema(phones=FieldSpec(kind="set"), fax=FieldSpec())
    assert match_columns(["a", "b"], fields, {"a": "phones", "b": "phones"}).fields == ("phones", "phones")
    with pytest.raises(InvalidTable):
        match_columns(["a", "b"], fields, {"a": "fax", "b": "fax"})


def test_a_column_can_be_named_by_its_position():
    assert match_columns(["a", "a"], schema(x=FieldSpec()), {"#2": "x"}).fields == (None, "x")


def test_an_override_of_nothing_and_to_nothing_is_refused():
    with pytest.raises(InvalidTable):
        match_columns(["a"], schema(x=FieldSpec()), {"b": "x"})
    with pytest.raises(InvalidTable):
        match_columns(["a"], schema(x=FieldSpec()), {"#2": "x"})
    with pytest.raises(UnknownField):
        match_columns(["a"], schema(x=FieldSpec()), {"a": "y"})


def test_accents_width_and_case_do_not_matter():
    fields = schema(name=FieldSpec(label="Prénom"), phone=FieldSpec(label="電話番号"))
    assert match_columns(["PRENOM", "電話番号 "], fields).fields == ("name", "phone")


def test_headers_like_the_made_up_names_of_other_fields_are_not_confused(write):
    table = write("a.csv", "a,a,a_2,\n1,2,3,4\n")
    inferred = infer_schema(table, "things")
    assert match_columns(table.columns, inferred).fields == tuple(inferred.fields)


def test_northwind_fits_the_bundled_customers(shared_data, write):
    table = write("a.csv", (shared_data / "tables" / "northwind_customers.csv").read_bytes())
    found = match_columns(table.columns, bundled_schema("customers"))
    assert dict(zip(table.columns, found.fields, strict=True)) == {
        "CustomerID": None,
        "CompanyName": "company",
        "ContactName": "name",
        "ContactTitle": None,
        "Address": "address",
        "City": "city",
        "Region": "region",
        "PostalCode": "postal_code",
        "Country": "country",
        "Phone": "phone",
        "Fax": "phones",
    }


def test_headers_and_words_that_people_and_salesforce_use(write, make_replica):
    content = "First,Last,Seit,Besuche,Status\nAnna,Berg,2020-01-02,3,Open - Not Contacted\n"
    replica = make_replica(bundled_schema("customers"))
    assert import_table(replica, write("a.csv", content), "customers").unmapped == ()
    (view,) = replica.records.values()
    assert view.raw == {
        "name": "Anna Berg",
        "customer_since": "2020-01-02",
        "visits": 3,
        "stage": "lead",
    }


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Prénom;Nom\nÉlise;Roy\n", "Élise Roy"),
        ("Nom;Prénom\nRoy;Élise\n", "Élise Roy"),
        ("Nombre;Apellidos\nElisa;Ruiz Gil\n", "Elisa Ruiz Gil"),
        ("Nome;Cognome\nElisa;Rossi\n", "Elisa Rossi"),
        ("Cognome;Nome\nRossi;Elisa\n", "Elisa Rossi"),
        ("Nome;Sobrenome\nElisa;Reis\n", "Elisa Reis"),
        ("Voornaam;Naam\nElise;van der Berg\n", "Elise van der Berg"),
        ("Name;Vorname\nMaier;Elise\n", "Elise Maier"),
        ("Name,Surname\nElise,Roy\n", "Elise Roy"),
        ("Name,Surname\nElise Roy,Roy\n", "Elise Roy"),
        ("Name,First Name\nÉlise Roy,Elise\n", "Élise Roy"),
        ("Name,First Name\nAlvarez,Al\n", "Al Alvarez"),
        ('Name,First Name\n"Roy, Elise",Elise\n', "Roy, Elise"),
        ("Name,First Name\n,Elise\n", "Elise"),
        ("Name,First Name\nMuster GmbH,\n", "Muster GmbH"),
        ("Name,First Name,Middle Name\nRoy,Elise,Marie\n", "Elise Marie Roy"),
        ("Name,First Name,Last Name\nRoy,Elise,Roy\n", "Elise Roy"),
        ("Name,First Name,Last Name\nBob Roy,Robert,Roy\n", "Bob Roy"),
        ("联系人,姓\n明,王\n", "王明"),
        ("联系人,姓\n王明,王\n", "王明"),
    ],
)
def test_a_part_of_a_name_beside_a_column_called_name_is_not_lost(write, make_replica, text, name):
    replica = make_replica(bundled_schema("customers"))
    report = import_table(replica, write("a.csv", text), "customers")
    assert [record.raw["name"] for record in replica.records.values()] == [name]
    assert report.unmapped == ()


def test_how_the_parts_of_a_name_are_taken_is_told(write, make_replica):
    report = import_table(
        make_replica(bundled_schema("customers")), write("a.csv", "Nom;Prénom\nRoy;Élise\n"), "customers", dry_run=True
    )
    assert [(each.field, each.format) for each in report.columns] == [("name", "part 2 of 2"), ("name", "part 1 of 2")]


def test_a_middle_name_alone_beside_a_whole_one_is_named_as_left_out(write, make_replica):
    report = import_table(
        make_replica(bundled_schema("customers")), write("a.csv", "Name,Middle Name\nElise Roy,Marie\n"), "customers"
    )
    assert report.unmapped == ("Middle Name",)


def test_a_part_that_a_whole_name_does_not_say_is_named(write, make_replica):
    rows = "Name,First Name,Last Name\nAnna Berg,Anna,Berg\nBob Roy,Robert,Roy\n"
    report = import_table(make_replica(bundled_schema("customers")), write("a.csv", rows), "customers")
    assert [(each.line, each.column) for each in report.doubts] == [(3, "First Name + Last Name")]
    assert "'Robert' is left out" in report.doubts[0].message


@pytest.mark.parametrize(
    ("header", "field"),
    [("Nom complet", "name"), ("Nombre completo", "name"), ("Last, First", "name"), ("Imię i nazwisko", "name"),
     ("Raison sociale", "company"), ("Téléphone portable", "phones"), ("Adresse e-mail", "email"),
     ("Indirizzo e-mail", "email"), ("geb.", "birthday"), ("Data de nascimento", "birthday"), ("Woonplaats", "city")],
)  # fmt: skip
def test_headers_in_several_languages(header, field):
    assert match_columns([header], bundled_schema("customers")).fields == (field,)
