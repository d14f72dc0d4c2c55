"""What the command tells of an import besides what it wrote: sums, sources, keys and counts that are not certain."""

import pytest


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ("Summe,501.75,", True),
        ('TOTAL:,"1.234,50 €",', True),
        ("合计,7,2\n,,\n", True),
        ("Summe,,", False),
        ("Total,7,2\nBen,3,1", False),
        ("Total Energies,7,", False),
    ],
)
def test_a_last_row_of_sums_is_said(store, run, table, last, said):
    file = table("a.csv", f"Name,Amount,Visits\nAnna,1.5,3\n{last}\n")
    for options in (["--dry-run"], []):
        result = run("import", file, *options)
        assert (result.code, "looks like one of sums" in result.err) == (0, said)
    assert "looks like one of sums" not in run("import", file).err


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_a_file_with_rows_of_another_source_is_asked_about_and_each_answer_works(store, run, table, dry_run):
    rows = "".join(f"{number},Nina {number},n{number}@x.example\n" for number in range(4))
    assert run("import", table("customers.csv", f"Nr,Name,Email\n{rows}")).code == 0
    mine = table(
        "my list.csv", "Email,Name\nnew@x.example,Gina\n" + "".join(f"n{at}@x.example,Nina {at}\n" for at in "321")
    )
    refused = run("import", mine, *dry_run)
    assert (refused.code, "Error (which_source)" in refused.err) == (2, True)
    assert len(run("list", "--json").objects) == 4
    for source in ("customers", "my-list"):
        assert f"--source {source}." in refused.err
        assert "1 new" in run("import", mine, "--source", source, "--dry-run").out


def test_cells_that_were_emptied_are_named_with_what_empties_them(store, run, table):
    run("set", "customers", "name=Anna", "stage=lead", "notes=met in May", "visits=3")
    record = run("list", "--json").object["record"]
    export = table("ex.csv", "")
    run("export", export, "--for-editing", "--force", "-f", "name,stage,notes,visits")
    head, row = export.read_text().splitlines()
    export.write_text(f"{head}\nAnna,,,,{row.split(',')[-1]}\n")
    result = run("import", export)
    assert (result.code, "1 unchanged" in result.out) == (0, True)
    assert "3 cells were emptied in the table; what is here stays; --clear-empty clears 1 of them:" in result.err
    assert "'Notes', emptied: here 'met in May'; --clear-empty clears it" in result.err
    assert f"'Visits', emptied: here '3'; clear it with: crdt-sync set {record} visits=" in result.err
    assert "'Stage', emptied: here 'lead'; it cannot be emptied" in result.err
    cleared = run("import", export, "--clear-empty", "--json").object
    assert (cleared["cells_written"], cleared["cells_emptied"]) == (1, 2)
    assert [(cell["field"], cell["clears"]) for cell in cleared["emptied"]] == [("stage", ""), ("visits", "set")]
    assert run("get", record, "notes").out == "\n"


def test_a_key_that_does_not_tell_rows_apart_is_said(store, run, table):
    rows = "Name,City\nAnna,Ulm\nAnna,Bonn\n"
    result = run("import", table("a.csv", rows), "--key", "Name")
    assert (result.code, "'Name' does not tell all rows apart" in result.err) == (7, True)
    assert "does not tell" not in run("import", table("a.csv", rows)).err


def test_a_row_of_sums_of_which_nothing_is_taken_became_no_record(store, run, table):
    file = table("b.csv", "Name,Region,Score\nAnna,Süd,1\nBert,West,2\n,Summe,3\n")
    result = run("import", file, "--map", "Region=", "--map", "Score=")
    assert (result.code, "1 empty" in result.out, "looks like one of sums" in result.err) == (0, True, False)


def test_a_key_that_does_not_last_is_said(store, run, table):
    run("import", table("a.csv", "Nr,Name,City\n1,Anna,Ulm\n2,Bert,Bonn\n"))
    result = run("import", table("a.csv", "Nr,Name,City\n01,Anna,Ulm\n02,Bert,Bonn\n"), "--key", "Name")
    assert "The next import goes by 'Nr' again" in result.err
    assert "for 'Name' say --key Name each time" in result.err


def test_a_count_that_differs_at_a_first_import_says_what_counts_from_then_on(store, run, table):
    run("set", "customers", "name=Anna", "phone=555111", "visits=5")
    record = run("list", "--json").object["record"]
    counts = table("a.csv", "Name,Phone,Visits\nAnna,555111,7\n")
    for option, tense in (["--dry-run"], "would be counted"), ([], "is counted"):
        result = run("import", counts, *option)
        assert f"Nothing of it {tense} now" in result.err
        assert "Correct the table" not in result.err, "it would be counted as a difference"
        assert f"here '5', table '7'; crdt-sync set {record} visits=7" in result.err
    assert "counted" not in run("import", counts).err
    assert run("get", record, "visits").out == "5\n"
    run("set", record, "visits=7")
    assert "1 unchanged" in run("import", counts).out
    run("import", table("a.csv", "Name,Phone,Visits\nAnna,555111,9\n"))
    assert run("get", record, "visits").out == "9\n"


@pytest.mark.parametrize("how", [[], ["--dry-run"], ["--preview"]])
@pytest.mark.parametrize("collection", ["crdt-sync-imports", "crdt-sync-schemas"])
def test_a_collection_that_is_reserved_is_refused_before_anything_is_promised(store, run, table, how, collection):
    result = run("import", table("a.csv", "Name\nAnna\n"), "-c", collection, "--infer", *how)
    assert (result.code, result.out) == (2, "")
    assert f"the collection '{collection}' is reserved" in result.err


def test_a_count_that_another_device_may_have_exported_is_not_added_and_says_what_to_do(store, run, tmp_path):
    run("set", "customers/1", "name=Anna", "visits+=2", "--create")
    file = tmp_path / "out.csv"
    run("export", file)
    run("set", "customers/1", "visits+=5")
    file.write_text(file.read_text().replace(",2,", ",7,", 1))  # as another device exports it by now
    result = run("import", file)
    assert "1 cell has a count of which nothing says how much is counted here already" in result.err
    assert "here '7', table '7'" in result.err
    assert "an export made with 'export --for-editing' says what was edited in it" in result.err
    assert run("get", "customers/1", "visits").out == "7\n"
