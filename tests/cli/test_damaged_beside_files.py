"""One damaged record stops no import and no bundle: its row fails, it is left out and named, the rest goes on."""

import json

import pytest

from crdt_sync.storage.lmdb import LmdbStore
from tests.damage import flip_bit

FIRST = "Number,Name,City\n7,Anna,Bonn\n8,Ben,Ulm\n9,Cleo,Essen\n10,Dora,Jena\n"
SECOND = "Number,Name,City\n7,Anna,Berlin\n8,Ben,Aachen\n9,Cleo,Essen\n10,Dora,Jena\n11,Emil,Kiel\n"


@pytest.fixture
def anna(run, tmp_path):
    path = tmp_path / "anna"
    assert run("init", "anna", "--store", path).code == 0
    (tmp_path / "list.csv").write_text(FIRST)
    assert run("import", tmp_path / "list.csv", "--store", path).code == 0
    return path


def first_record(run, anna):
    return run("find", "name=Anna", "--store", anna, "--json").object["record"]


def spoil(run, anna, *tables):
    """Flip a bit of what is stored of Anna in these databases."""
    record = first_record(run, anna)
    with LmdbStore.open(anna) as store:
        seq = store.history(record)[0].seq
    for table in tables:
        flip_bit(anna, table.encode(), seq.to_bytes(8, "big") if table == "log" else record.encode())
    return record


@pytest.mark.parametrize("tables", [["log"], ["heads"], ["views"]], ids="-".join)
def test_the_row_of_a_damaged_record_fails_and_the_others_go_in(run, anna, tmp_path, tables):
    record = spoil(run, anna, *tables)
    (tmp_path / "list.csv").write_text(SECOND)
    done = run("import", tmp_path / "list.csv", "--store", anna, "--json")
    shown = {
        each["fields"]["name"]: each["fields"].get("city") for each in run("list", "--store", anna, "--json").objects
    }
    assert (shown["Ben"], shown["Emil"]) == ("Aachen", "Kiel")
    if tables == ["views"]:
        assert (done.code, shown["Anna"]) == (0, "Berlin")
        return
    assert (done.code, shown["Anna"]) == (7, "Bonn")
    assert record in done.err + done.out
    assert "store_corrupt" in done.err + done.out


def test_where_a_record_cannot_be_shown_no_row_becomes_a_second_one(run, anna, tmp_path):
    record = spoil(run, anna, "log", "views")
    (tmp_path / "list.csv").write_text(SECOND)
    done = run("import", tmp_path / "list.csv", "--store", anna, "--json")
    assert done.code == 7
    assert record in done.err + done.out
    shown = [each["fields"]["name"] for each in run("list", "--store", anna, "--json").objects]
    assert sorted(shown) == ["Ben", "Cleo", "Dora"]


def test_where_a_record_cannot_be_shown_new_rows_that_name_their_own_record_go_in(run, anna, tmp_path):
    record = spoil(run, anna, "log", "views")
    new = record[:-4] + "aaaa"
    (tmp_path / "new.csv").write_text(f"Id,Name,City\n{new},Emil,Kiel\n,Frida,Kiel\n{record},Anna,Berlin\n")
    done = run("import", tmp_path / "new.csv", "--record-column", "Id", "--store", anna, "--json")
    assert done.code == 7
    assert run("get", new, "name", "--store", anna).out == "Emil\n"
    shown = [each["fields"]["name"] for each in run("list", "--store", anna, "--json").objects]
    assert sorted(shown) == ["Ben", "Cleo", "Dora", "Emil"]


@pytest.mark.parametrize("table", ["log", "heads"])
def test_a_bundle_leaves_the_damaged_record_out_and_a_later_one_brings_it(run, anna, tmp_path, table):
    record, bundle, bob = spoil(run, anna, table), tmp_path / "x.bundle", tmp_path / "bob"
    made = run("bundle", "create", bundle, "--store", anna, "--json")
    assert (made.code, list(made.object["left_out"])) == (7, [record])
    assert record in made.err
    assert run("init", "bob", "--store", bob).code == 0
    assert run("bundle", "apply", bundle, "--store", bob).code == 0
    assert len(run("list", "--store", bob, "--json").objects) == 3
    assert run("bundle", "create", tmp_path / "back.bundle", "--store", bob).code == 0
    assert run("bundle", "apply", tmp_path / "back.bundle", "--store", anna).code == 0
    again = run("bundle", "create", tmp_path / "y.bundle", "--for", "bob", "--store", anna, "--json")
    assert (again.code, list(again.object["left_out"])) == (7, [record])

    assert run("verify", "--local", "--repair", "--store", anna, "--json").object["findings"] >= 1
    made = run("bundle", "create", tmp_path / "z.bundle", "--for", "bob", "--store", anna, "--json")
    assert made.code == 0
    run("bundle", "apply", tmp_path / "z.bundle", "--store", bob)
    here = [json.dumps(each["fields"], sort_keys=True) for each in run("list", "--store", anna, "--json").objects]
    there = [json.dumps(each["fields"], sort_keys=True) for each in run("list", "--store", bob, "--json").objects]
    assert sorted(here) == sorted(there)


@pytest.mark.parametrize("table", ["log", "heads"])
def test_a_bundle_is_applied_beside_a_damaged_record(run, anna, tmp_path, table):
    bob = tmp_path / "bob"
    assert run("init", "bob", "--store", bob).code == 0
    assert run("bundle", "create", tmp_path / "x.bundle", "--store", anna).code == 0
    assert run("bundle", "apply", tmp_path / "x.bundle", "--store", bob).code == 0
    for name in ("Anna", "Ben"):
        record = run("find", f"name={name}", "--store", bob, "--json").object["record"]
        assert run("set", record, "phone=030 1234567", "--store", bob).code == 0
    assert run("bundle", "create", tmp_path / "y.bundle", "--store", bob).code == 0
    record = spoil(run, anna, table)
    applied = run("bundle", "apply", tmp_path / "y.bundle", "--store", anna)
    assert (applied.code, record in applied.err, "is damaged" in applied.err) == (7, True, True)
    assert run("find", "name=Ben", "--store", anna, "--json").object["fields"]["phone"] == "030 1234567"


@pytest.mark.parametrize("table", ["log", "heads", "views"])
def test_what_reads_all_records_goes_on_with_the_rest(run, anna, tmp_path, table):
    spoil(run, anna, table)
    for command in (
        ["list"],
        ["find", "name!=x"],
        ["conflicts"],
        ["duplicates"],
        ["status"],
        ["status", "--waiting"],
        ["export", tmp_path / "out.csv"],
        ["set", "customers", "name=Zoe"],
    ):
        done = run(*command, "--store", anna)
        assert done.code == 0, (command, done.err)
