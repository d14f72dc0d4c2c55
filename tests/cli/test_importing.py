"""Imports beside what people write, as the command shows them."""

import pytest

from crdt_sync.cli import tables
from crdt_sync.exchange import ImportProgress


def test_importing_a_file_again_does_not_undo_an_edit(store, run, table):
    file = table("a.csv", "Name,Phone\nAnna,1\n")
    assert run("import", file).code == 0
    record = run("list", "--json").object["record"]
    assert run("set", record, "phone=999").code == 0
    again = run("import", file, "--json")
    assert (again.code, again.object["unchanged"], again.object["cells_both_changed"]) == (0, 1, 0)
    assert run("get", record, "--json").object["fields"]["phone"] == "999"
    assert run("conflicts", "--json").out == ""


def test_a_cell_that_both_changed_is_named_and_a_conflict(store, run, table):
    assert run("import", table("a.csv", "Nr,Phone,Name\n1,1,Anna\n"), "--key", "Nr").code == 0
    record = run("list", "--json").object["record"]
    run("set", record, "phone=999")
    result = run("import", table("a.csv", "Nr,Phone,Name\n1,2,Anna\n"), "--key", "Nr")
    assert result.code == 0
    assert "line 2, column 'Phone', both changed: here '999', table '2'" in result.err
    (entries,) = [each["entries"] for each in run("conflicts", "--json").objects]
    assert [(entry["value"], entry["by"]) for entry in entries] == [("999", "anna"), ("2", "import a")]
    assert entries[0]["at"] < entries[1]["at"], "an import has the time at which its source said so"
    told = run("conflicts")
    assert ("* 999" in told.out, "* 2" in told.out) == (True, False)
    assert "The value after * is shown meanwhile" in told.err
    data = run("import", table("a.csv", "Nr,Phone,Name\n1,3,Anna\n"), "--key", "Nr", "--json", "--dry-run").object
    (conflict,) = data["conflicts"]
    assert (conflict["line"], conflict["column"], conflict["here"], conflict["table"]) == (2, "Phone", "999", "3")


def test_a_dry_run_shows_what_would_change(store, run, table):
    assert run("import", table("a.csv", "Nr,Phone,Name\n1,1,Anna\n"), "--key", "Nr", "--source", "crm").code == 0
    before = run("list", "--json").out
    news = table("b.csv", "Nr,Phone,Name\n1,2,Anna\n2,3,Bert\n")
    result = run("import", news, "--key", "Nr", "--source", "crm", "--dry-run")
    assert "1 new, 1 changed" in result.out
    assert "line 2, column 'Phone', would change: here '1', table '2'" in result.err
    assert run("list", "--json").out == before


def test_an_import_shows_the_first_cells_that_it_changed(store, run, table):
    rows = [f"{number},{number},P{number}" for number in range(8)]
    assert "changed:" not in run("import", table("a.csv", "\n".join(["Nr,Phone,Name", *rows])), "--key", "Nr").err
    news = [row.replace(",P", "0,P") for row in rows]
    result = run("import", table("a.csv", "\n".join(["Nr,Phone,Name", *news])), "--key", "Nr")
    assert "line 3, column 'Phone', changed: here '1', table '10'" in result.err
    assert (result.err.count("changed: here"), "and 3 more; --json lists 8" in result.err) == (5, True)
    back = run("import", table("a.csv", "\n".join(["Nr,Phone,Name", *rows])), "--key", "Nr", "--go-back", "--json")
    assert [(each["here"], each["table"]) for each in back.object["changes"]][:2] == [("00", "0"), ("10", "1")]


def test_a_dry_run_into_a_new_collection_makes_no_schema(store, run, table):
    result = run("import", table("a.csv", "a,b\n1,2\n"), "-c", "things", "--dry-run", "--json")
    assert (result.code, result.object["created"]) == (0, 1)
    assert [each["collection"] for each in run("schema", "--json").objects] == ["customers"]


def collections(run):
    return [each["collection"] for each in run("schema", "--json").objects]


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [
        ("a,b\n", (), 7),
        ("a,b\n,\n,\n", (), 7),
        ("a,b\n1,2,3\n4,5,6\n", (), 7),
        ("a,b\n,2\n,3\n", ("--key", "a"), 7),
        ("a,b\ncustomers/1,2\n", ("--record-column", "a"), 7),
        ("a,b\n1,2\n", ("--map", "a=nothing"), 2),
        ("a,b\n1,2\n", ("--key", "c"), 2),
    ],
)
def test_an_import_of_nothing_leaves_no_collection(store, run, table, text, options, code):
    assert run("import", table("a.csv", text), "-c", "things", *options).code == code
    assert collections(run) == ["customers"]


def test_an_export_for_editing_makes_no_other_collection(store, run, tmp_path):
    assert run("set", "customers/1", "name=Anna", "phone=1", "--create").code == 0
    file = tmp_path / "out.csv"
    assert run("export", file, "--for-editing").code == 0
    for options in ((), ("--infer",), ("--dry-run",)):
        result = run("import", file, "-c", "kunden", *options)
        assert (result.code, "exported from 'customers'" in result.err, "-c customers" in result.err) == (2, True, True)
    assert collections(run) == ["customers"]


def test_the_first_row_that_goes_in_makes_the_collection(store, run, table):
    result = run("import", table("a.csv", "a,b\n1,2,3\n4,5\n"), "-c", "things")
    assert (result.code, "1 new" in result.out, "A schema for 'things' was made" in result.err) == (7, True, True)
    assert collections(run) == ["customers", "things"]
    assert run("list", "things", "--json").object["fields"] == {"a": "4", "b": "5"}


def test_the_key_that_was_found_is_said(store, run, table):
    assert "identified by 'E-mail'" in run("import", table("b1.csv", "Name,Phone,E-mail\nAnna,1,a@x.example\n")).err
    again = run("import", table("b2.csv", "Name,Phone,E-mail\nAnna,11,a@x.example\n"), "--json").object
    assert (again["created"], again["updated"], again["key"], again["key_found"]) == (0, 1, ["E-mail"], True)
    assert len(run("list", "--json").objects) == 1


def test_where_a_column_went_last_time_is_said(store, run, table):
    rows = "Nr;Name;Art\n1;Anna;vip\n2;Ben;neu\n"
    assert run("import", table("kunden.csv", rows), "--map", "Art=tags").code == 0
    news = table("kunden.csv", rows.replace("vip", "vip, alt"))
    assert "'Art' goes to tags, as last time; --map says otherwise" in run("import", news, "--dry-run").err
    (art,) = [each for each in run("import", news, "--preview", "--json").object["columns"] if each["header"] == "Art"]
    assert art["field"] == "tags"
    assert run("import", news, "--json").object["remembered"] == {"Art": "tags"}


def test_a_column_that_was_passed_over_is_said(store, run, table):
    result = run("import", table("a.csv", "Kundennummer;Name;Telefon\n1;Anna;11\n1;Ben;22\n1;Cara;33\n"))
    assert result.code == 0
    assert "Rows are identified by 'Telefon'" in result.err
    assert "'Kundennummer' was passed over" in result.err
    assert "line 3, column 'Kundennummer': '1' was in an earlier row" in result.err
    assert "--key Kundennummer" in result.err


def test_a_column_that_too_many_rows_lack_is_said(store, run, table):
    rows = "1;Anna;11\n;Ben;22\n;Cara;33\n"
    result = run("import", table("a.csv", f"Kundennummer;Name;Telefon\n{rows}"))
    assert "'Kundennummer' was passed over, as too many rows lack it" in result.err
    assert "line 3, column 'Kundennummer': 2 of 3 rows have no value" in result.err
    result = run("import", table("b.csv", "Kundennummer;Name\n1;Dora\n;Eva\n;Finn\n"))
    assert "No column identifies the rows (line 3, column 'Kundennummer': 2 of 3 rows have no value)" in result.err


def test_only_rows_that_were_added_to_an_export_for_editing_lack_a_key(store, run, tmp_path):
    for number, name in enumerate(("Anna", "Ben"), 1):
        run("set", f"customers/{number}", f"name={name}", "email=info@x.example", "phone=030 1", "--create")
    file = tmp_path / "out.csv"
    assert run("export", file, "-f", "name,email,phone", "--for-editing").code == 0
    assert "No column identifies" not in run("import", file).err
    file.write_text(file.read_text() + "Cara,info@x.example,030 1,\n")
    added = run("import", file)
    assert (added.code, "1 new" in added.out) == (0, True)
    assert "No column identifies the rows that were added" in added.err


def test_one_edited_cell_of_rows_known_as_wholes_is_asked_about(store, run, table):
    rows = "Name,City\nAnna,Ulm\nBen,Kiel\n"
    assert run("import", table("a.csv", rows)).code == 0
    edited = table("a.csv", rows.replace("Ulm", "Köln"))
    for option in ([], ["--json"], ["--dry-run"]):
        refused = run("import", edited, *option)
        assert (refused.code, "one cell was edited" in refused.err, "--as-new" in refused.err) == (2, True, True)
    assert run("import", edited, "--key", "Name", "--json").object["updated"] == 1


@pytest.mark.parametrize("options", [[], ["--no-key"]])
def test_rows_known_as_wholes_are_said_and_edited_ones_suspected(store, run, table, options):
    rows = "Name,City\nAnna,Ulm\nBen,Kiel\n"
    first = run("import", table("a.csv", rows), *options).err
    assert "each row as a whole is a record: one that is edited" in first
    assert "--key" in first
    assert "of before" not in first
    assert "as a whole" not in run("import", table("a.csv", rows), *options).err
    assert "of before" not in run("import", table("a.csv", rows + "Cara,Bonn\n"), *options).err
    edited = table("a.csv", rows.replace("Anna,Ulm", "Anne,Köln").replace("Ben,Kiel", "Benno,Jena"))
    shown = run("import", edited, "--dry-run", *options)
    assert "2 rows would be new, and 3 of before are in this table no more: were they edited?" in shown.err
    result = run("import", edited, "--json", *options)
    assert (result.object["created"], result.object["rows_gone"]) == (2, 3)
    elsewhere = run("import", table("b.csv", "Name,City\nDora,Trier\n"), *options)
    assert "of before" not in elsewhere.err


def test_rows_with_a_key_are_not_suspected(store, run, table):
    assert run("import", table("a.csv", "Nr,Name\n1,Anna\n2,Ben\n")).code == 0
    result = run("import", table("a.csv", "Nr,Name\n1,Anna B\n3,Cara\n"), "--json")
    assert (result.object["created"], result.object["rows_gone"]) == (1, 0)
    assert "of before" not in result.err


def test_a_new_row_that_has_the_name_of_one_that_went_is_said(store, run, table):
    rows = "Name,Phone\nAnna,0171 1111111\nBen,0171 2222222\n"
    assert run("import", table("a.csv", rows)).code == 0
    before = run("find", "Anna", "--json").object["record"]
    edited = table("a.csv", rows.replace("1111111", "9999999"))
    refused = run("import", edited)
    assert refused.code == 2
    assert f"whose 'Phone' was edited, by which rows are known, as line 2 ('Anna') is {before}" in refused.err
    result = run("import", edited, "--as-new")
    assert (result.code, "1 row is new, and 1 of before is in this table no more" in result.err) == (0, True)
    assert f"line 2, 'Anna': new; in no row any more is {before}, of the same name" in result.err


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_an_export_of_records_that_are_not_here_is_said(made, run, tmp_path, monkeypatch, dry_run):
    for name in ("Anna", "Ben"):
        made(f"name={name}", "company=ACME")
    plain, ids = tmp_path / "plain.csv", tmp_path / "ids.csv"
    assert run("export", plain).code == 0
    assert run("export", ids, "--record-column", "Id").code == 0
    monkeypatch.setenv("CRDT_SYNC_STORE", str(tmp_path / "elsewhere"))
    assert run("init", "elsewhere").code == 0
    refused = run("import", ids, *dry_run)
    assert refused.code != 0
    assert "is not on this device; sync first" in refused.err
    result = run("import", plain, *dry_run)
    assert (result.code, "If another device has these records, sync before you import it" in result.err) == (0, True)
    named = run("import", ids, "--record-column", "Id", *dry_run)
    assert (named.code, "If another device has these, sync before you import them" in named.err) == (0, True)


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_a_plain_export_that_was_edited_elsewhere_doubles_nobody(store, run, tmp_path, dry_run):
    people = [("Anna Ärger", "info@x.example"), ("Ben Öl", "info@x.example"), ("Cara Übel", "c@x.example")]
    for number, (name, email) in enumerate(people):
        run("set", f"customers/{number}", f"name={name}", f"email={email}", "phone=030 1", "--create")
    file = tmp_path / "plain.csv"
    assert run("export", file, "--delimiter", ";", "--encoding", "cp1252", "--guard").code == 0
    for each in (store / "exports").iterdir():
        each.unlink()  # as on a device that did not write it
    header, *rows = file.read_text("cp1252").splitlines()
    rows = [row.replace("Cara", "Carla").replace(";;", ";Ulm;", 1) for row in reversed(rows)]
    file.write_text("\n".join([header, *rows, ""]), "cp1252")
    result = run("import", file, "--guarded", "--delimiter", ";", *dry_run)
    assert (result.code, "1 of 3 rows" in result.err, "--for-editing" in result.err) == (2, True, True)
    assert len(run("list", "--json").objects) == 3


def test_a_choice_of_keys_is_demanded_where_nobody_can_be_asked(store, run, table):
    file = table("a.csv", "Name,Ledger Id,Branch Id\nAnna,1,2\n")
    result = run("import", file)
    assert (result.code, "key_needed" in result.err, "'Ledger Id', 'Branch Id'" in result.err) == (2, True, True)
    assert run("import", file, "--no-key").code == 0
    assert run("import", file, "--no-key", "--key", "Name").code == 2


def test_an_export_that_was_edited_in_a_spreadsheet_undoes_nothing(store, run, tmp_path):
    run("set", "customers/1", "name=A", "city=Old", "visits+=2", "notes+=hello", "--create")
    file = tmp_path / "rt.csv"
    assert run("export", file, "--record-column", "Id").code == 0
    run("set", "customers/1", "city=New", "visits+=5", "notes+=more")
    before = run("get", "customers/1", "--json").object["fields"]
    again = run("import", file, "--record-column", "Id", "--json")
    assert (again.code, again.object["unchanged"]) == (0, 1)
    assert run("get", "customers/1", "--json").object["fields"] == before
    file.write_text(file.read_text().replace("Old", "Newer"))
    assert run("import", file, "--record-column", "Id", "--json").object["cells_both_changed"] == 1
    fields = run("get", "customers/1", "--json").object["fields"]
    assert (fields["city"], fields["visits"]) == ("New", 7)


def test_a_renamed_file_says_which_source_it_may_be_of(store, run, table):
    assert run("import", table("old list.csv", "Nr,Name,Visits\n1,Anna,5\n"), "--key", "Nr").code == 0
    record = run("list", "--json").object["record"]
    run("set", record, "visits+=3")
    news = table("new.csv", "Nr,Name,Visits\n1,Anna,6\n")
    assert "import it with --source old-list: then" in " ".join(run("import", news, "--key", "Nr").err.split())
    assert "--source" not in run("import", news, "--key", "Nr").err
    assert run("import", news, "--key", "Nr", "--source", "old-list", "--json").object["cells_written"] == 1
    assert run("get", record, "--json").object["fields"]["visits"] == 9


@pytest.mark.parametrize("name", ["", "A B", "Ünï", "../x", "a/b", "-x", "x" * 60])
@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--preview",), ("--infer",)])
def test_a_name_that_no_collection_can_have_is_refused(store, run, table, name, more):
    result = run("import", table("a.csv", "Name\nAnna\n"), f"--collection={name}", *more)
    assert result.code == 2
    assert result.err.startswith("Error (invalid_schema): ")
    assert run("list", "--json").out == ""


@pytest.mark.parametrize("name", ["custmers", "customer", "Customers", "costumers"])
def test_a_slip_makes_no_new_collection_unless_told(store, run, table, name):
    file = table("a.csv", "Name\nAnna\n")
    result = run("import", file, "-c", name)
    assert (result.code, "did you mean customers?" in result.err) == (2, True)
    assert [each["collection"] for each in run("schema", "--json").objects] == ["customers"]


def test_a_new_collection_may_be_called_like_another_one_if_told(store, run, table):
    assert run("import", table("a.csv", "Name\nAnna\n"), "-c", "customer", "--infer").code == 0
    assert run("import", table("a.csv", "Name\nAnna\n"), "-c", "things").code == 0
    assert {each["collection"] for each in run("schema", "--json").objects} == {"customers", "customer", "things"}


def test_a_row_that_was_deleted_where_it_comes_from_is_left_out_and_said(store, run, table):
    file = table("a.csv", "Id,Name,IsDeleted\n1,Anna,false\n2,Bert,true\n3,Cara,\n")
    result = run("import", file, "--key", "Id")
    assert result.code == 7
    assert "line 3, column 'IsDeleted': the table says that this row was deleted" in result.err
    assert {view["fields"]["name"] for view in run("list", "--json").objects} == {"Anna", "Cara"}


def test_headers_and_words_of_more_tables_are_known(store, run, table):
    text = "first,last,Besuche,Kundin seit,Status\nAnna,Adler,3,2020-01-02,Open - Not Contacted\n"
    assert run("import", table("a.csv", text)).code == 0
    fields = run("get", run("list", "--json").object["record"], "--json").object["fields"]
    found = [fields[name] for name in ("name", "visits", "customer_since", "stage")]
    assert found == ["Anna Adler", 3, "2020-01-02", "lead"]


def test_one_of_a_kind_is_spoken_of_as_one(store, run, table):
    result = run("import", table("a.csv", "Name,Email,Birthday\nAnna,a@x.de,soon\n"))
    assert "1 row into" in result.out
    assert "1 cell left out" in result.out


def test_a_text_table_that_is_named_as_a_workbook_is_said_to_be_one(store, run, table):
    result = run("import", table("a.xls", "Name;City\nAnna;Ulm\n"))
    assert (result.code, "it is a text table" in result.err) == (0, True)


def test_no_field_found_names_the_delimiter_option(store, run, table):
    result = run("import", table("a.csv", "x|y\n1|2\n"))
    assert (result.code, "--delimiter" in result.err) == (2, True)


def test_an_interrupted_import_says_how_many_rows_are_in(store, run, table, monkeypatch):
    def interrupted(*arguments, progress, **options):
        progress(ImportProgress(1000, 1, 2))
        raise KeyboardInterrupt

    monkeypatch.setattr(tables, "import_table", interrupted)
    result = run("import", table("a.csv", "Name\nAnna\n"))
    assert (result.code, "1000 rows are in" in result.err) == (130, True)


def test_several_values_for_one_text_are_refused_in_plain_words(store, run, table):
    result = run("import", table("a.json", '[{"name": "Anna", "city": ["Ulm", "Bonn"]}]'))
    assert "several values" in result.err
    assert "got list" not in result.err


def test_odd_addresses_and_numbers_are_taken_counted_and_named(store, run, table):
    rows = (
        "Nr,Name,E-mail,Phone\n1,Anna,anna@x.de,030 1\n2,Bert,siehe Notiz,unbekannt\n3,Cem,c@,0171 2\n4,Dora,d,0171 3\n"
    )
    file = table("a.csv", rows)
    result = run("import", file, "--key", "Nr", "--dry-run", "--json").object
    assert result["cells_odd"] == 4
    result = run("import", file, "--key", "Nr")
    assert result.code == 0
    assert (
        "4 cells look odd, taken all the same: line 3, column 'E-mail': 'siehe Notiz' is no e-mail address; "
        "line 3, column 'Phone': 'unbekannt' is no phone number; line 4, column 'E-mail': 'c@' is no e-mail address; "
        "and 1 more."
    ) in result.err
    assert {each["fields"].get("email") for each in run("list", "--json").objects} >= {"siehe Notiz", "c@", "d"}
    again = run("import", file, "--key", "Nr", "--json").object
    assert (again["cells_odd"], again["odd"]) == (0, [])


def test_a_dry_run_shows_what_each_field_would_hold(store, run, table):
    run("import", table("a.csv", "Nr,Name,Visits,Notes,Tags\n1,Anna,3,we met in May,vip\n"), "--key", "Nr")
    record = run("list", "--json").object["record"]
    run("set", record, "visits+=3", "notes=we met in May. Likes tea.", "tags+=mine")
    file = table("a.csv", "Nr,Name,Visits,Notes,Tags\n1,Anna,5,we have met in May,gold\n")
    changes = run("import", file, "--key", "Nr", "--dry-run", "--json").object["changes"]
    assert {each["field"]: each["result"] for each in changes} == {
        "visits": 8,
        "notes": "we have met in May. Likes tea.",
        "tags": ["gold", "mine"],
    }
    told = run("import", file, "--key", "Nr", "--dry-run").err
    assert "column 'Visits', would change: here '6' -> '8', table '5'" in told
    run("import", file, "--key", "Nr")
    assert run("get", record, "--json").object["fields"]["visits"] == 8


@pytest.mark.parametrize(
    ("field", "column", "command"),
    [("phone", "Phone", "'crdt-sync conflicts'"), ("city", "City", "'crdt-sync conflicts --all'")],
)
def test_what_both_changed_names_the_command_that_lists_it(store, run, table, field, column, command):
    run("import", table("a.csv", f"Nr,Name,{column}\n1,Anna,1\n"), "--key", "Nr")
    record = run("list", "--json").object["record"]
    run("set", record, f"{field}=999")
    assert (
        f"See {command}, or correct"
        in run("import", table("a.csv", f"Nr,Name,{column}\n1,Anna,2\n"), "--key", "Nr").err
    )
    listed = run("conflicts", *command.strip("'").split()[2:], "--json").objects
    assert [each["field"] for each in listed] == [field]


def test_an_older_version_again_is_left_and_named_and_one_can_go_back(store, run, table):
    old, new = table("list.csv", "Nr,Phone,Name\n1,1,Anna\n"), table("list 2.csv", "Nr,Phone,Name\n1,2,Anna\n")
    for file in (old, new):
        assert run("import", file, "--source", "list", "--key", "Nr").code == 0
    record = run("list", "--json").object["record"]
    again = run("import", old, "--source", "list", "--key", "Nr")
    assert again.code == 0
    assert "an older version of 'list' than the one of 2" in again.err
    assert "1 row left as the newer says; --go-back goes back on purpose" in again.err
    assert "line 2, column 'Phone', left: here '2', table '1'" in again.err
    assert run("get", record, "--json").object["fields"]["phone"] == "2"
    assert run("import", old, "--source", "list", "--key", "Nr", "--go-back").code == 0
    assert run("get", record, "--json").object["fields"]["phone"] == "1"


def test_an_export_for_editing_is_known_on_another_device(store, run, tmp_path):
    assert run("set", "customers/1", "name=Anna", "visits+=2", "notes=hello", "--create").code == 0
    file = tmp_path / "out.csv"
    assert run("export", file, "--for-editing").code == 0
    assert run("set", "customers/1", "visits+=5").code == 0
    for each in (store / "exports").iterdir():
        each.unlink()  # as on a device that did not write it
    file.write_text(file.read_text().replace("hello", "oh hello").replace(",2,", ",3,", 1))
    result = run("import", file)
    assert result.code == 0
    assert "Rows are identified by the record ids in 'crdt-sync base'" in result.err
    assert result.err.count("identif") == 1
    fields = run("get", "customers/1", "--json").object["fields"]
    assert (fields["visits"], fields["notes"]) == (8, "oh hello")


@pytest.mark.parametrize(
    "name", ["Kunden neu.csv", "Kunden_New.csv", "Kunden final 2026-11.csv", "Kunden November.csv"]
)
def test_a_name_whose_words_were_left_out_is_said_and_can_be_kept(store, run, table, name):
    rows = "Nr,Name\n1,Anna\n"
    whole = name.removesuffix(".csv").casefold().replace(" 2026-11", "").replace(" ", "-").replace("_", "-")
    told = run("import", table(name, rows), "--key", "Nr")
    assert f"'{whole}' counts as a version of 'kunden'" in told.err
    assert f"--source {whole}" in told.err
    kept = run("import", table(name, rows), "--key", "Nr", "--source", whole, "--json")
    assert kept.object["source"] == whole


@pytest.mark.parametrize("name", ["Kunden.csv", "Kunden 2026-11 (2).csv", "Kunden - Kopie.csv", "kunden.de.csv"])
def test_a_name_without_such_words_is_not_spoken_of(store, run, table, name):
    assert "counts as a version" not in run("import", table(name, "Nr,Name\n1,Anna\n"), "--key", "Nr").err


def test_a_cell_that_is_separated_unlike_the_others_is_said(store, run, table):
    file = table("a.csv", 'Name,Tags\nAnna,"vip, messe"\nZoe,"a, b"\nMax,old; new\n')
    for arguments in (["--preview"], []):
        result = run("import", file, *arguments)
        assert result.code == 0
        assert "line 4, column 'Tags': 'old; new' is split at its semicolons" in result.err


def test_dates_without_a_century_are_left_out_and_say_so(store, run, table):
    file = table("a.csv", "Nr,Name,Birthday\n1,Anna,05.07.90\n2,Bert,05.07.1990\n")
    result = run("import", file, "--key", "Nr")
    assert result.code == 7
    assert "'05.07.90' does not say its century" in result.err
    assert "does not say its century" in run("import", file, "--key", "Nr", "--preview").err
    shown = {each["fields"]["name"]: each["fields"].get("birthday") for each in run("list", "--json").objects}
    assert shown == {"Anna": None, "Bert": "1990-07-05"}


def test_an_edited_export_without_its_base_is_told_how_it_would_be_known(store, run, tmp_path):
    assert run("set", "customers/1", "name=Anna", "notes=hello", "visits+=2", "--create").code == 0
    file = tmp_path / "out.csv"
    assert run("export", file, "--record-column", "Id").code == 0
    assert run("set", "customers/1", "visits+=5").code == 0
    for each in (store / "exports").iterdir():
        each.unlink()  # as on a device that did not write it
    file.write_text(file.read_text().replace(",2,", ",3,", 1))
    result = run("import", file, "--record-column", "Id")
    assert "an export made with 'export --for-editing' says what was edited in it" in result.err


def test_the_collection_of_a_source_is_known_where_there_are_others(store, run, table):
    assert run("import", table("shops.csv", "Nr,Town\n1,Ulm\n"), "-c", "shops", "--infer").code == 0
    file = table("a.csv", "Nr,Name,City\n1,Anna,Ulm\n")
    assert run("import", file).code == 2  # of a new source it is asked
    assert run("import", file, "-c", "customers").code == 0
    news = table("a (1).csv", "Nr,Name,City\n1,Anna,Bonn\n")
    assert run("import", news, "--json").object["collection"] == "customers"
    other = table("b.csv", "Nr,Name,City\n1,Anna,Kiel\n")
    assert run("import", other, "--source", "a", "--json").object["collection"] == "customers"
    assert run("import", file, "-c", "shops").code == 0
    assert "which collection?" in run("import", news).err  # two know it now


def test_a_result_says_what_is_shown_after_it(store, run, table):
    """Two tables, then what a person edited in an export, say other things of one field."""
    rows = "Nr,Name,City,E-mail\n1,Anna,{},a@x.example\n"
    run("import", table("k.csv", rows.format("Ulm")))
    record = run("list", "--json").object["record"]
    for city in ("Köln", "Essen"):
        assert run("import", table("shop.csv", rows.format(city).replace("Nr,", "Shop,"))).code == 0
    export = table("ex.csv", "")
    run("export", export, "--for-editing", "--force")
    result = run("import", table("k.csv", rows.format("Bonn")))
    assert "what this table says is shown now, and what was here is kept" in result.err
    assert "stays" not in result.err
    assert shown(run, record) == "Bonn"
    export.write_text(export.read_text().replace("Essen", "Jena"))
    result = run("import", export)
    assert "what this table says is shown now" in result.err
    assert shown(run, record) == "Jena"
    result = run("import", table("k.csv", rows.format("Kiel")))
    assert "what was written here stays" in result.err
    assert "shown now" not in result.err
    assert shown(run, record) == "Jena"
    (conflict,) = run("conflicts", "--all", "--json").objects
    assert [entry["value"] for entry in conflict["entries"]] == ["Jena", "Kiel"]  # Essen is what was edited into Jena


def shown(run, record):
    return run("get", record, "--json").object["fields"]["city"]


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_a_required_field_without_a_column_is_said_where_all_rows_fail(store, run, table, dry_run):
    rows = "Bezeichnung;Stadt;Wer\nAnna;Ulm;x\n"
    result = run("import", table("a.csv", rows), *dry_run)
    assert (result.code, "--map Bezeichnung=name" in result.err) == (7, True)
    assert "No column goes to 'name', which each new record needs" in result.err
    assert run("import", table("a.csv", rows), "--json", *dry_run).object["missing"] == ["name"]
    mapped = run("import", table("a.csv", rows), "--map", "Bezeichnung=name", *dry_run)
    assert (mapped.code, "No column goes to" in mapped.err) == (0, False)
