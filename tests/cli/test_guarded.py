"""Exports with `--guard` that come back: their apostrophes never become part of a record."""

from importlib import import_module

import pytest

PHONE, NOTES = "+49 30 1", "=1+1"


@pytest.fixture
def customer(store, run):
    assert run("set", "customers/1", "name=Anna", "email=a@x.example", f"phone={PHONE}", f"notes={NOTES}", "--create")
    return "customers/1"


@pytest.fixture
def elsewhere(store):
    """Forget what exports wrote: as on a device that did not write them."""

    def forget():
        for each in (store / "exports").iterdir():
            each.unlink()

    return forget


@pytest.fixture
def held(run, customer):
    def held():
        fields = run("get", customer, "--json").object["fields"]
        return fields["phone"], fields["notes"]

    return held


@pytest.fixture
def without_knowing(monkeypatch):
    """Import as if nothing told a guarded table from another."""

    def without_knowing(do):
        with monkeypatch.context() as patched:
            patched.setattr(import_module("crdt_sync.exchange.reading"), "unguarded", lambda table, given: table)
            patched.setattr(
                import_module("crdt_sync.exchange.importer"), "unguarded_by_records", lambda table, records: table
            )
            return do()

    return without_knowing


FORMS = [("--for-editing",), (), ("--record-column", "Id")]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_a_guarded_export_changes_nothing_without_being_called_so(run, held, elsewhere, tmp_path, form, kind):
    file = tmp_path / f"g.{kind}"
    assert run("export", file, "--guard", *form).code == 0
    assert f"'{PHONE}" in file.read_text()
    elsewhere()
    result = run("import", file)
    assert (result.code, "0 new, 0 changed, 1 unchanged" in result.out) == (0, True), result
    assert held() == (PHONE, NOTES)
    assert "apostrophes of 'export --guard'" in result.err


@pytest.mark.parametrize("form", FORMS)
def test_an_edit_of_a_guarded_export_is_an_edit(run, held, elsewhere, tmp_path, form):
    file = tmp_path / "g.csv"
    assert run("export", file, "--guard", *form).code == 0
    if "--for-editing" in form:
        elsewhere()
    file.write_text(file.read_text().replace(f"'{PHONE}", "'+49 30 2"))
    assert run("import", file).code == 0
    assert held() == ("+49 30 2", NOTES)


@pytest.mark.parametrize("form", FORMS)
def test_an_import_that_undoes_the_guard_mends_one_that_did_not(run, held, elsewhere, without_knowing, tmp_path, form):
    file = tmp_path / "g.csv"
    assert run("export", file, "--guard", *form).code == 0
    assert without_knowing(lambda: run("import", file)).code == 0
    assert held() == (f"'{PHONE}", f"'{NOTES}")
    result = run("import", file, "--guarded")
    assert (result.code, "1 changed" in result.out) == (0, True), result
    assert held() == (PHONE, NOTES)
    assert "0 changed" in run("import", file, "--guarded").out


def test_a_text_that_has_an_apostrophe_itself_keeps_it(run, customer, tmp_path):
    run("set", customer, "phone='+1", "notes=''=x")
    for number, guard in enumerate(([], ["--guard"], ["--guard", "--for-editing"], ["--for-editing"])):
        file = tmp_path / f"{number}.csv"
        assert run("export", file, *guard).code == 0
        assert run("import", file).code == 0
        fields = run("get", customer, "--json").object["fields"]
        assert (fields["phone"], fields["notes"]) == ("'+1", "''=x")


def test_a_guarded_header_is_read_as_it_was(run, store, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("Nr,=Sum\n1,x\n2,y\n")
    assert run("import", table, "-c", "things", "--key", "Nr").code == 0
    file = tmp_path / "g.csv"
    assert run("export", file, "-c", "things", "--guard", "--for-editing").code == 0
    assert "'=Sum" in file.read_text()
    file.write_text(file.read_text().replace(",x,", ",z,"))
    assert "1 changed" in run("import", file, "-c", "things").out


def test_what_of_a_guarded_table_was_imported_as_it_stood_is_not_taken_for_guarded(run, customer, tmp_path):
    run("set", customer, f"phone='{PHONE}", "notes=x")
    file = tmp_path / "crm.csv"
    file.write_text(f"E-mail,Phone\na@x.example,'{PHONE}\n")
    assert "apostrophes" not in run("import", file).err
    assert run("get", customer, "--json").object["fields"]["phone"] == f"'{PHONE}"


def test_rows_without_a_key_are_known_in_a_guarded_export(run, customer, tmp_path):
    for name in ("+Ben", "=Cara"):
        assert run("set", "customers", f"name={name}").code == 0
    file = tmp_path / "g.csv"
    assert run("export", file, "--guard").code == 0
    assert "0 new, 0 changed, 3 unchanged" in run("import", file).out
