"""Tables as people have them, through the command: they go in completely, or row and cell are named with the reason."""

import csv
import json

import pytest

FINDINGS = "findings/tables"


@pytest.fixture
def brought(shared_data, store, run):
    """Import a table of the findings; the result, and the customers by name."""

    def _brought(name, *options, code=0):
        result = run("import", shared_data / FINDINGS / name, "--no-key", "--json", *options)
        assert result.code == code, result.err
        customers = {each["fields"]["name"]: each["fields"] for each in run("list", "--json").objects}
        return result, customers

    return _brought


@pytest.mark.parametrize(
    ("name", "customers"),
    [
        ("sep.csv", {"A": {"phone": "1"}, "B": {"phone": "2"}}),
        ("title.csv", {"A": {"phone": "1", "email": "a@x"}}),
        (
            "dup.csv",
            {
                "A": {"phone": "1", "phones": ["2"], "email": "a@x", "emails": ["b@x"]},
                "B": {"phone": "3", "emails": ["c@x"]},
            },
        ),
        ("shiftjis.csv", {"山田太郎": {"phone": "03-1"}, "佐藤花子": {"phone": "03-2"}}),
        ("plz.xlsx", {"A": {"postal_code": "01067"}}),
        ("active.xlsx", {"Old1": {}}),
        ("sobject.json", {"A B": {"company": "Acme"}}),
        (
            "zh1.csv",
            {
                "张三": {
                    "phone": "13800000000",
                    "company": "某某公司",
                    "email": "z@x.cn",
                    "address": "北京市",
                    "notes": "全文备注",
                    "birthday": "1980-01-02",
                }
            },
        ),
        (
            "google.csv",
            {
                "Anna Schmidt": {
                    "email": "anna@example.com",
                    "emails": ["anna2@example.com"],
                    "phone": "+49 1",
                    "company": "Acme",
                    "birthday": "1980-05-06",
                    "tags": ["Kunden", "myContacts"],
                    "notes": "x",
                }
            },
        ),
        (
            "inj.csv",
            {
                "=cmd|'/c calc'!A1": {"phone": "+49 30 1", "notes": "-1+2"},
                "@SUM(A1)": {"phone": "00123", "notes": '=HYPERLINK("http://evil","x")'},
            },
        ),
    ],
)
def test_it_goes_in_completely(brought, name, customers):
    _, found = brought(name)
    assert found == {key: {"name": key, **fields} for key, fields in customers.items()}


def test_salesforce_and_hubspot_go_in_with_names_from_their_parts(brought):
    _, found = brought("salesforce_contacts.csv", code=7)  # one of its rows says that it was deleted
    assert set(found) == {"Berta Testa"}
    assert found["Berta Testa"]["postal_code"] == "02110"
    assert found["Berta Testa"]["birthday"] == "1970-03-04"


def test_a_contact_without_a_name_is_called_after_its_address_and_header_zones_count(brought):
    _, found = brought("hubspot.csv")
    assert set(found) == {"Anna Schmidt", "only@example.com"}
    assert found["Anna Schmidt"]["last_contact"].startswith("2024-05-06T05:08")


def test_the_kind_of_an_address_is_no_key(shared_data, store, run):
    result = run("import", shared_data / FINDINGS / "google.csv")
    assert "Rows are identified by 'E-mail 1 - Value'" in result.err


def test_gbk_is_read_and_said(shared_data, store, run):
    result = run("import", shared_data / FINDINGS / "gbk.csv", "--no-key")
    assert result.code == 0
    assert "read as gb18030" in result.err
    customers = {each["fields"]["name"]: each["fields"] for each in run("list", "--json").objects}
    assert set(customers) == {"王小明", "李雷", "韩梅梅 全文"}
    assert customers["王小明"]["birthday"] == "2020-01-02"


def test_the_sheet_that_was_read_and_the_others_are_named(shared_data, store, run):
    result = run("import", shared_data / FINDINGS / "active.xlsx", "--no-key")
    assert "The sheet 'Alt' was read; not read: 'Kunden'" in result.err


def test_a_formula_without_a_result_is_named_and_its_row_goes_in(brought):
    result, found = brought("nocache.xlsx", code=7)
    assert found == {"A": {"name": "A"}}
    problem = json.loads(result.err)
    assert (problem["line"], problem["column"]) == (2, "Amount")
    assert "formula" in problem["message"]


TYPES = {
    "a": ("birthday", "1980-12-31"),
    "b": ("birthday", "1980-12-31"),
    "c": ("birthday", "1980-12-31"),
    "d": ("credit_limit", "1234.56"),
    "e": ("credit_limit", "1234.56"),
    "f": ("credit_limit", "500"),
    "g": ("credit_limit", "500"),
    "h": ("newsletter", True),
    "i": ("newsletter", True),
    "j": ("newsletter", True),
    "l": ("employees", 12),
    "m": ("language", "de"),
    "n": ("language", "de"),
    "o": ("currency", "EUR"),
    "q": ("last_contact", "2024-05-06T07:08:00+00:00"),
    "r": ("stage", "lead"),
    "s": ("stage", "won"),
    "t": ("tags", ["neu, alt", "vip"]),
    "u": ("birthday", "1980-12-31"),
}


def test_types_as_people_write_them_go_in_and_what_is_ambiguous_is_named_with_what_to_do(brought):
    result, found = brought("types.csv", code=7)
    assert len(found) == 21
    assert {name: found[name][field] for name, (field, _) in TYPES.items()} == {
        name: value for name, (_, value) in TYPES.items()
    }
    problems = [json.loads(line) for line in result.err.splitlines()]
    assert [(each["line"], each["column"]) for each in problems] == [(12, "Employees"), (17, "Last contact")]
    assert "--decimal" in problems[0]["message"]
    assert "--zone" in problems[1]["message"]


def test_what_is_ambiguous_goes_in_once_it_is_said(brought):
    _, found = brought("types.csv", "--zone", "Europe/Berlin", "--decimal", ".", code=7)  # 1.234,56 is none then
    assert found["k"]["employees"] == 1
    assert found["p"]["last_contact"].startswith("2024-05-06T05:08")


# The headers of Outlook for Windows, of Outlook.com, and of the German Outlook, whose line ends and quotes they keep.
OUTLOOK = (
    "Title,First Name,Middle Name,Last Name,Suffix,Company,Department,Job Title,Business Street,Business Street 2,"
    "Business City,Business State,Business Postal Code,Business Country/Region,Home Street,Business Fax,Business Phone,"
    "Home Phone,Mobile Phone,Primary Phone,Account,Anniversary,Birthday,Categories,E-mail Address,E-mail Type,"
    "E-mail Display Name,E-mail 2 Address,E-mail 2 Type,Gender,Language,Notes,Priority,Private,Sensitivity,Web Page"
)
OUTLOOK_COM = (
    "First Name,Middle Name,Last Name,Title,Suffix,Initials,Web Page,Gender,Birthday,Anniversary,Location,Language,"
    "Internet Free Busy,Notes,E-mail Address,E-mail 2 Address,E-mail 3 Address,Primary Phone,Home Phone,Home Phone 2,"
    "Mobile Phone,Business Phone,Company,Job Title,Account,Business Street,Business City,Business State,"
    "Business Postal Code,Business Country,Categories"
)
OUTLOOK_GERMAN = (
    "Anrede,Vorname,Weitere Vornamen,Nachname,Suffix,Firma,Abteilung,Position,Straße geschäftlich,Ort geschäftlich,"
    "Region geschäftlich,Postleitzahl geschäftlich,Land/Region geschäftlich,Telefon geschäftlich,Telefon privat,"
    "Mobiltelefon,Geburtstag,Jahrestag,Kategorien,E-Mail-Adresse,E-Mail-Typ,E-Mail 2: Adresse,Notizen,Privat,Webseite"
)
ENGLISH = {
    "First Name": "Anna", "Last Name": "Schmidt", "Company": "Müller GmbH", "Business Street": "Hauptstr. 1",
    "Business City": "Köln", "Business State": "NRW", "Business Postal Code": "01067", "Business Phone": "+49 30 1",
    "Mobile Phone": "+49 170 2", "Birthday": "5/16/1980", "Anniversary": "0/0/00", "Categories": "VIP;Kunde",
    "E-mail Address": "a@x.example", "E-mail Type": "SMTP", "E-mail 2 Address": "b@x.example", "Gender": "Unspecified",
    "Notes": "One\nTwo", "Priority": "Normal", "Private": "False", "Web Page": "https://x.example",
    "Business Country/Region": "Germany", "Business Country": "Germany",
}  # fmt: skip
GERMAN = {
    "Vorname": "Anna", "Nachname": "Schmidt", "Firma": "Müller GmbH", "Straße geschäftlich": "Hauptstr. 1",
    "Ort geschäftlich": "Köln", "Region geschäftlich": "NRW", "Postleitzahl geschäftlich": "01067",
    "Land/Region geschäftlich": "Germany", "Telefon geschäftlich": "+49 30 1", "Mobiltelefon": "+49 170 2",
    "Geburtstag": "16.5.1980", "Jahrestag": "0.0.00", "Kategorien": "VIP;Kunde", "E-Mail-Adresse": "a@x.example",
    "E-Mail-Typ": "SMTP", "E-Mail 2: Adresse": "b@x.example", "Notizen": "One\nTwo", "Privat": "Aus",
    "Webseite": "https://x.example",
}  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "anna", "firm"),
    [
        (OUTLOOK, ENGLISH, {"Company": "Acme", "Birthday": "0/0/00", "Gender": "Unspecified"}),
        (OUTLOOK_COM, ENGLISH, {"Company": "Acme", "Birthday": "0/0/00", "Gender": "Unspecified"}),
        (OUTLOOK_GERMAN, GERMAN, {"Firma": "Acme", "Geburtstag": "0.0.00"}),
    ],
)
def test_contacts_of_outlook_go_in_with_all_that_customers_have(store, run, tmp_path, headers, anna, firm):
    file = tmp_path / "contacts.csv"
    with file.open("w", encoding="cp1252", newline="") as stream:
        writer = csv.DictWriter(stream, headers.split(","), "", "ignore", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows([anna, firm])
    result = run("import", file, "--json")
    assert (result.code, result.object["created"], result.object["cells_failed"]) == (0, 2, 0)
    found = {each["fields"]["name"]: each["fields"] for each in run("list", "--json").objects}
    assert found["Acme"] == {"name": "Acme", "company": "Acme"}  # a birthday of 0/0/00 is none
    assert found["Anna Schmidt"] == {
        "name": "Anna Schmidt", "company": "Müller GmbH", "address": "Hauptstr. 1", "city": "Köln", "region": "NRW",
        "postal_code": "01067", "country": "Germany", "phone": "+49 30 1", "phones": ["+49 170 2"],
        "email": "a@x.example", "emails": ["b@x.example"], "birthday": "1980-05-16", "tags": ["Kunde", "VIP"],
        "notes": "One\nTwo", "website": "https://x.example",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "options", "value"),
    [
        ("Name,Birthday\nA,1/2/2020\nB,31/12/2020\n", (), "2020-02-01"),
        ("Name,Birthday\nA,1/2/2020\nB,12/31/2020\n", (), "2020-01-02"),
        ("Name,Birthday\nA,1/2/2020\n", ("--dates", "DMY"), "2020-02-01"),
        ("Name,Birthday\nA,1/2/2020\n", ("--locale", "en-US"), "2020-01-02"),
        ("Name,Birthday\nA,1/2/2020\n", (), None),
        ("Name,Birthday\nA,1/2/2020\nB,31/12/2020\nC,12/31/2020\n", (), None),
        ("Name;Amount\nA;1.234\nB;2.345,50\n", (), "1234"),
        ("Name;Amount\nA;1.234\nB;2.5\n", (), "1.234"),
        ("Name;Amount\nA;1.234\n", ("--locale", "de"), "1234"),
        ("Name;Amount\nA;1.234\n", (), None),
        ("Name;Amount\nA;5 EUR\nB;5 USD\n", (), None),
        ("Name;Newsletter\nA;x\n", ("--true", "x"), True),
        ("Name;Newsletter\nA;x\n", (), None),
    ],
)
def test_a_column_is_read_by_its_own_evidence_and_never_by_a_guess(store, run, tmp_path, content, options, value):
    file = tmp_path / "a.csv"
    file.write_text(content)
    result = run("import", file, "--no-key", *options)
    field = content.replace(";", ",").splitlines()[0].split(",")[1].casefold()
    (customer,) = [each for each in run("list", "--json").objects if each["fields"]["name"] == "A"]
    assert customer["fields"].get(field) == value
    assert result.code == (0 if value is not None else 7)
    assert ("line 2, column" in result.err) == (value is None)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("Foo,Bar\n1,2\n", "its headers are 'Foo', 'Bar'"),
        ("Name,Phone\n", "no rows below its header"),
        ("Name,Phone\n,\n", "all 1 rows are empty"),
        ("", "is empty"),
    ],
)
def test_nothing_imported_is_a_failure_with_its_reason(store, run, tmp_path, content, says):
    file = tmp_path / "a.csv"
    file.write_text(content)
    result = run("import", file)
    assert result.code in (2, 7)
    assert says in result.err


def test_a_value_over_the_limit_is_left_out_and_its_row_goes_in(store, run, tmp_path):
    file = tmp_path / "a.csv"
    file.write_text(f"Name,City\nA,{'x' * 70_000}\n")
    result = run("import", file, "--no-key", "--json")
    assert (result.code, result.object["created"], result.object["cells_failed"]) == (7, 1, 1)
    assert json.loads(result.err)["column"] == "City"


def test_all_columns_without_a_field_are_named(store, run, tmp_path):
    file = tmp_path / "a.csv"
    extra = [f"Extra {number}" for number in range(40)]
    file.write_text(",".join(["Name", *extra]) + "\nA" + ",1" * 40 + "\n")
    result = run("import", file, "--no-key")
    assert all(f"'{name}'" in result.err for name in extra)


def test_a_preview_shows_fields_formats_and_misfits_and_writes_nothing(shared_data, store, run):
    result = run("import", shared_data / FINDINGS / "types.csv", "--preview", "--json")
    columns = {each["header"]: each for each in result.object["columns"]}
    assert (columns["Birthday"]["field"], columns["Birthday"]["type"]) == ("birthday", "date")
    assert columns["Employees"]["misfits"] == 1
    assert columns["Employees"]["misfit_samples"][0]["line"] == 12
    assert result.object["form"]["delimiter"] == ","
    shown = run("import", shared_data / FINDINGS / "types.csv", "--preview")
    assert "without its unit EUR" in shown.out
    assert run("status", "--json").object["records"] == 0


def test_a_dry_run_shows_how_each_column_would_be_read_and_writes_nothing(store, run, tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("Vorname;Nachname;Geburtstag;Amount;Odd\nA;B;31.12.1980;1.234,56;x\n", encoding="cp1252")
    shown = run("import", file, "--no-key", "--dry-run")
    assert all(words in shown.out for words in ("birthday", "decimal comma", "part 2 of 2"))
    assert "delimiter ';'" in shown.out
    assert run("status", "--json").object["records"] == 0


@pytest.mark.parametrize("dry_run", [True, False])
def test_programs_are_told_how_file_and_columns_were_read(store, run, tmp_path, dry_run):
    file = tmp_path / "a.csv"
    file.write_text("Liste\n\nName;Ort;Birthday;Amount;Odd\nMüller;Köln;31/12/1980;1.234,56 €;x\n", encoding="cp1252")
    report = run("import", file, "--no-key", "--json", *(["--dry-run"] if dry_run else [])).object
    told = ("format", "encoding", "encoding_guessed", "delimiter", "header_line")
    assert [report["form"][name] for name in told] == ["delimited", "cp1252", True, ";", 3]
    assert [(each["header"], each["field"], each["format"]) for each in report["columns"]] == [
        ("Name", "name", ""),
        ("Ort", "city", ""),
        ("Birthday", "birthday", "DMY"),
        ("Amount", "amount", "decimal comma; without its unit EUR"),
        ("Odd", None, ""),
    ]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--map", "Nope=city"), "'Name'"),
        (("--key", "Nope"), "'Name'"),
        (("--dates", "DDD"), "DMY"),
        (("--decimal", "x"), "."),
        (("--locale", "xx"), "en-US"),
        (("--zone", "Berlin/Europe"), "Europe/Berlin"),
        (("--bad-cells", "drop"), "refuse"),
    ],
)
def test_a_wrong_option_names_the_possibilities(store, run, tmp_path, options, named):
    file = tmp_path / "a.csv"
    file.write_text("Name\nA\n")
    result = run("import", file, *options)
    assert result.code == 2
    assert named in result.err
