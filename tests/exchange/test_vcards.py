import pytest

from crdt_sync.errors import InvalidTable
from crdt_sync.exchange import MISSING, Row, RowError, import_table, vcards
from crdt_sync.records.schema import bundled_schema, parse_schema

CARD = (
    "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Muster;Erika;;Dr.;\r\nFN:Dr. Erika Muster\r\n"
    "ORG:Beispiel GmbH;Vertrieb\r\nTEL;TYPE=WORK:+49 30 1\r\nitem1.TEL:+49 171 2\r\n"
    "EMAIL;TYPE=INTERNET:erika@example.com\r\nADR;TYPE=WORK:;;Hauptstr. 1;Berlin;BE;10115;Deutschland\r\n"
    "BDAY:1980-05-06\r\nCATEGORIES:Kunden,VIP\r\nNOTE:Erste Zeile\\nzweite\\, mit Komma und einem\r\n"
    "  gefalteten Ende\r\nPHOTO;ENCODING=b:AAAA\r\nEND:VCARD\r\n"
)


def row_of(table):
    (row,) = table.rows()
    assert isinstance(row, Row)
    return dict(zip(table.columns, row.cells, strict=True))


def test_a_card_is_a_row_and_what_was_left_out_is_named(write):
    table = write("a.vcf", CARD)
    cells = {column: cell for column, cell in row_of(table).items() if cell is not MISSING}
    assert cells == {
        "Name": "Dr. Erika Muster",
        "Company": "Beispiel GmbH, Vertrieb",
        "Phone": ["+49 30 1", "+49 171 2"],
        "E-mail": ["erika@example.com"],
        "Address": "Hauptstr. 1",
        "City": "Berlin",
        "Region": "BE",
        "Postal code": "10115",
        "Country": "Deutschland",
        "Birthday": "1980-05-06",
        "Tags": ["Kunden", "VIP"],
        "Notes": "Erste Zeile\nzweite, mit Komma und einem gefalteten Ende",
    }
    assert table.form.notes == ("not read from the cards: PHOTO",)


def test_cards_go_into_customers_with_further_numbers_kept(write, make_replica):
    replica = make_replica(bundled_schema("customers"))
    report = import_table(replica, write("contacts.csv", CARD), "customers", key_columns=None)
    assert (report.created, report.cells_failed) == (1, 0)
    (record,) = replica.list("customers")
    assert (record.raw["name"], record.raw["phone"], record.raw["phones"]) == (
        "Dr. Erika Muster",
        "+49 30 1",
        ["+49 171 2"],
    )


def test_old_cards_in_quoted_printable_and_cards_with_parts_of_a_name_only(write):
    card = (
        "BEGIN:VCARD\nVERSION:2.1\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCller;J=C3=\n=B6rg;;;\n"
        "TEL;CELL:1\nEND:VCARD\n"
    )
    assert row_of(write("a.vcf", card))["Name"] == "Jörg Müller"


def test_a_broken_card_is_an_error_of_its_row_only(write):
    content = "BEGIN:VCARD\nnonsense\nEND:VCARD\nBEGIN:VCARD\nFN:A\nEND:VCARD\nBEGIN:VCARD\nFN:B\n"
    first, second, third = write("a.vcf", content).rows()
    assert (first.line, second.line, third.line) == (1, 4, 7)
    assert isinstance(first, RowError)
    assert isinstance(second, Row)
    assert isinstance(third, RowError)


def test_a_file_without_a_card_is_refused(write):
    with pytest.raises(InvalidTable, match="no vCard"):
        write("a.vcf", "a,b\n")


def test_a_name_of_a_property_that_is_folded_and_soft_breaks_behind_it(write):
    card = "BEGIN:VCARD\nNOTE;CHARSET=UTF-8;\n ENCODING=QUOTED-PRINTABLE:a=\n=3D=\n=\n b=\n\nFN:A\nEND:VCARD\n"
    cells = row_of(write("a.vcf", card))
    assert (cells["Name"], cells["Notes"]) == ("A", "a= b")


@pytest.mark.parametrize(
    ("first", "line"),
    [("NOTE;ENCODING=QUOTED-PRINTABLE:=", "aaaaaaa="), ("NOTE:a", " aaaaaaa"), ("NOTE:a", "\taaaaaaa")],
)
def test_a_logical_line_is_kept_up_to_a_limit_and_what_follows_it_is_read(write, monkeypatch, first, line):
    monkeypatch.setattr(vcards, "_LOGICAL_LENGTH_MAX", 100)
    lines = [first, *[line] * 1000, "FN:A" if "QUOTED" not in first else "\nFN:A"]
    cells = row_of(write("a.vcf", "BEGIN:VCARD\n" + "\n".join(lines) + "\nEND:VCARD\n"))
    assert cells["Name"] == "A"
    assert 50 <= len(cells["Notes"]) <= 120


def cards(*people: dict[str, str]) -> str:
    return "".join(
        "BEGIN:VCARD\nVERSION:4.0\n" + "".join(f"{name}:{value}\n" for name, value in each.items()) + "END:VCARD\n"
        for each in people
    )


def test_an_edited_card_is_the_customer_it_was_by_its_uid_else_its_address_else_its_phone(write, make_replica):
    known = {
        "UID": ({"UID": "urn:uuid:1", "EMAIL": "a@x.example"}, {"UID": "urn:uuid:2", "EMAIL": "b@x.example"}),
        "E-mail": ({"EMAIL": "a@x.example", "TEL": "030 1"}, {"EMAIL": "b@x.example", "TEL": "030 1"}),
        "Phone": ({"TEL": "tel:+49301"}, {"TEL": "tel:+49302"}),
    }
    for column, (anna, ben) in known.items():
        replica = make_replica(bundled_schema("customers"))
        first = import_table(replica, write("a.vcf", cards({"FN": "Anna", **anna}, {"FN": "Ben", **ben})), "customers")
        assert (first.created, first.key, first.key_found) == (2, (column,), True)
        edited = write("a.vcf", cards({"FN": "Anna Berg", **anna, "NOTE": "new"}, {"FN": "Ben", **ben}))
        report = import_table(replica, edited, "customers")
        assert (report.created, report.updated, report.unchanged, report.failures) == (0, 1, 1, 0)
        assert sorted(record.raw["name"] for record in replica.list("customers")) == ["Anna Berg", "Ben"]


def test_a_further_address_of_a_card_does_not_make_it_another(write, make_replica):
    replica = make_replica(bundled_schema("customers"))
    people = cards({"FN": "Anna", "EMAIL": "a@x.example"}, {"FN": "Ben", "EMAIL": "b@x.example"})
    import_table(replica, write("a.vcf", people), "customers")
    more = people.replace("a@x.example\n", "a@x.example\nEMAIL:a2@x.example\n")
    report = import_table(replica, write("a.vcf", more), "customers")
    assert (report.created, report.updated, report.unchanged) == (0, 1, 1)


def test_cards_that_were_imported_as_wholes_are_known_once_their_uid_is_the_key(write, make_replica):
    replica = make_replica(bundled_schema("customers"))
    anna = {"FN": "Anna", "UID": "urn:uuid:1", "EMAIL": "a@x.example"}
    ben = {"FN": "Ben", "UID": "urn:uuid:2"}
    import_table(replica, write("a.vcf", cards(anna, ben)), "customers", key_columns=None)
    for note in ("one", "two"):
        report = import_table(replica, write("a.vcf", cards({**anna, "NOTE": note}, ben)), "customers")
        assert (report.key, report.created, report.updated, report.unchanged) == (("UID",), 0, 1, 1)


@pytest.mark.parametrize(
    "preferred", ["EMAIL;PREF=1", 'EMAIL;PREF="1"', "EMAIL;TYPE=INTERNET,PREF", "EMAIL;PREF", "EMAIL;TYPE=pref"]
)
def test_the_preferred_address_is_the_first(write, preferred):
    card = f"BEGIN:VCARD\nVERSION:4.0\nFN:A\nEMAIL:c@x\nEMAIL;PREF=50:b@x\n{preferred}:a@x\nEMAIL:d@x\nEND:VCARD\n"
    assert row_of(write("a.vcf", card))["E-mail"] == ["a@x", "b@x", "c@x", "d@x"]


def test_a_phone_of_a_uri_is_one_with_its_extension(write, make_replica):
    lines = {"FN": "Anna", "TEL": "tel:+33-1-24;ext=5;phone-context=x"}
    more = "TEL;VALUE=uri:TEL:+33-2;ext=6\nTEL:+33 3\nEND:VCARD"
    replica = make_replica(bundled_schema("customers"))
    import_table(replica, write("a.vcf", cards(lines).replace("END:VCARD", more)), "customers")
    (record,) = replica.list("customers")
    assert record.raw["phone"] == "+33-1-24 ext. 5"
    assert sorted(record.raw["phones"]) == ["+33 3", "+33-2 ext. 6"]


def test_one_number_goes_into_a_field_of_a_schema_that_has_no_further_one(write, make_replica):
    schema = parse_schema(
        'collection = "people"\nversion = 1\n[fields.name]\n[fields.phone]\nkind = "review"\n', "a test"
    )
    replica = make_replica(schema)
    card = "BEGIN:VCARD\nVERSION:3.0\nFN:Amsel\nTEL:+49 30 901820\nEND:VCARD\n"
    assert import_table(replica, write("c.vcf", card), "people").failures == 0
    assert [record["phone"] for record in replica.records.values()] == ["+49 30 901820"]
