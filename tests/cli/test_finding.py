"""`find`, `list` and `export` as people use them: comparisons, labels, order, and what is said of mistakes."""

import io
import json

import pytest

from crdt_sync import Replica
from crdt_sync.cli.output import Output
from crdt_sync.cli.targets import shorts


@pytest.fixture
def three(made):
    """Ann visited once, Bob five times, Cid never."""
    made("name=Bob", "visits+=5", "city=Berlin", "birthday=2026-03-01")
    made("name=ann", "visits+=1", "city=Aachen", "birthday=2026-01-01")
    made("name=Cid", "city=Köln")


def found(run, *arguments):
    return [row["fields"]["name"] for row in run(*arguments, "--json").objects]


@pytest.mark.parametrize(
    ("terms", "names"),
    [
        (["visits>1"], ["Bob"]),
        (["visits>=1"], ["Bob", "ann"]),
        (["visits<1"], ["Cid"]),
        (["visits<=1"], ["Cid", "ann"]),
        (["visits!=5"], ["Cid", "ann"]),
        (["City!=berlin"], ["Cid", "ann"]),
        (["CITY=aachen"], ["ann"]),
        (["birthday>2026-01-15"], ["Bob"]),
        (["visits", ">", "1"], ["Bob"]),
        (["visits", ">1"], ["Bob"]),
        (["visits", "<=", "1", "Aachen"], ["ann"]),
        (["aachen", "City", "=", "Aachen"], ["ann"]),
        (["'visits>1'"], []),
        (["--text", "visits>1"], []),
        (["--text", "köln"], ["Cid"]),
        (["Name = Cid"], ["Cid"]),
        (["wohnort=Berlin"], ["Bob"]),
        (["Mailing City=berlin"], ["Bob"]),
    ],
)
def test_fields_are_compared_and_called_by_name_or_label(run, three, terms, names):
    assert sorted(found(run, "find", *terms)) == names


@pytest.mark.parametrize(("term", "meant"), [("tagss=x", "tags"), ("Postal cod=1", "postal_code"), ("Citi=x", "city")])
def test_a_field_that_may_have_been_meant_is_named_once_whatever_it_is_labelled(run, three, term, meant):
    hint = json.loads(run("find", term, "--json").err)["hint"]
    named = hint.partition("?")[0].removeprefix("Did you mean ").split(", ")
    assert named[0] == meant
    assert len({name.casefold().replace(" ", "_") for name in named}) == len(named)


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["find", "vists>1"], "unknown_field", "visits"),
        (["find", "cty=x"], "unknown_field", "city"),
        (["find", "name>A"], "invalid_value", "Use = or !="),
        (["find", "visits>"], "invalid_value", "visits>1"),
        (["find", "visits", ">"], "usage", "visits>1"),
        (["find", ">", "1"], "usage", "visits>1"),
        (["find", "visits", "==", "1"], "usage", "= != > >= < <="),
        (["find", "visitz", ">", "1"], "unknown_field", "visits"),
        (["find", "-c", "custmers", "x"], "unknown_collection", "customers"),
        (["find"], "usage", "list"),
        (["list", "custmers"], "unknown_collection", "customers"),
        (["list", "--sort", "nam"], "unknown_field", "name"),
        (["export", "out.csv", "-c", "a b"], "unknown_collection", "customers"),
    ],
)
def test_a_mistake_is_named_with_what_may_have_been_meant(run, three, arguments, error, hint):
    result = run(*arguments, "--json")
    said = json.loads(result.err)
    assert (result.code, said["error"]) == (2, error)
    assert hint in said["hint"]


def test_records_come_by_name_or_as_is_asked(run, three):
    shown = run("list", "--fields", "name").out
    assert shown.index("ann") < shown.index("Bob") < shown.index("Cid")
    assert found(run, "list", "--sort", "-visits") == ["Bob", "ann", "Cid"]
    assert found(run, "list", "--sort", "visits", "-n", "1") == ["ann"]
    assert found(run, "find", "city!=x", "--sort", "-Name") == ["Cid", "Bob", "ann"]


def test_records_come_by_when_they_changed_here(run, three):
    assert found(run, "list", "--sort", "changed") == ["Bob", "ann", "Cid"]
    record = run("find", "Bob", "--json").object["record"]
    run("set", record, "city=Kiel")
    assert found(run, "list", "--sort", "-changed", "-n", "2") == ["Bob", "Cid"]
    assert found(run, "find", "visits>0", "--sort", "changed") == ["ann", "Bob"]


def test_a_field_that_is_called_changed_is_sorted_by_its_values(store, run, tmp_path):
    table = tmp_path / "a.csv"
    table.write_text("Name,Changed\nA,2\nB,1\n")
    run("import", table, "-c", "sites", "--no-key")
    assert [row["fields"]["changed"] for row in run("list", "sites", "--sort", "changed", "--json").objects] == [
        "1",
        "2",
    ]


@pytest.mark.parametrize(
    ("terms", "named"),
    [(["custmers", "Bob"], True), (["Customer", "Zoe"], True), (["zoe"], False), (['"custmers"'], False)],
)
def test_a_word_that_may_be_a_mistyped_collection_is_named_where_nothing_is_found(run, three, terms, named):
    result = run("find", *terms)
    assert (result.code, result.out) == (0, "No records.\n")
    assert ("find -c customers" in result.err) == named
    assert ("find -c customers" in run("find", *terms, "--json").err) == named


def test_a_large_store_is_not_sorted_unasked_and_says_so(run, three, monkeypatch):
    for module in ("ordering", "reading"):
        monkeypatch.setattr(f"crdt_sync.cli.{module}.SORTED_RECORDS_MAX", 2)
    assert "order of their ids" in run("list").err
    sorted_by = run("list", "--sort", "name", "--fields", "name")
    assert "order of their ids" not in sorted_by.err
    assert sorted_by.out.index("ann") < sorted_by.out.index("Bob") < sorted_by.out.index("Cid")


def test_an_export_is_sorted_and_overwrites_nothing_unasked(run, three, tmp_path):
    target = tmp_path / "out.csv"
    assert run("export", target, "--fields", "name", "--sort", "-name").code == 0
    assert target.read_text().split()[1:] == ["Cid", "Bob", "ann"]
    refused = run("export", target, "--fields", "name", "--json")
    assert (refused.code, json.loads(refused.err)["error"]) == (2, "table_not_written")
    assert target.read_text().split()[1:] == ["Cid", "Bob", "ann"]
    assert run("export", target, "--fields", "name", "--force").code == 0
    assert target.read_text().split()[1:] == ["ann", "Bob", "Cid"]


def test_columns_that_do_not_fit_are_named(run, three, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    result = run("list")
    assert "--fields birthday,visits" in result.err
    assert "--fields" not in run("list", "--fields", "name,city,visits").err


ALIKE = ["customers/" + "a" * 25 + "b", "customers/" + "a" * 25 + "c", "customers/" + "a" * 9 + "d" * 17]


def test_short_ids_are_long_enough_to_tell_records_of_the_store_apart(store, run):
    other = "customers/" + "d" * 26
    for number, record in enumerate([*ALIKE, other]):
        assert run("set", record, f"name=N{number}", "--create").code == 0
    expected = {"N0": ALIKE[0], "N1": ALIKE[1], "N2": "customers/aaaaaaaaad", "N3": "customers/dddddddd"}
    listed = dict(line.split()[1::-1] for line in run("list").out.splitlines() if line.startswith("customers/"))
    assert listed == expected
    for name, shown in expected.items():
        assert run("get", shown, "name").out.strip() == name
        assert shown in run("find", name).out  # alone on its page, too
    with Replica.open(store) as replica:
        assert shorts(replica.store, ["customers/" + "e" * 25 + end for end in "fg"]) == {
            "customers/" + "e" * 25 + end: "customers/" + "e" * 25 + end for end in "fg"
        }  # not in the store


def test_a_short_id_is_found_among_any_number_of_ids_that_people_chose(store, run):
    with Replica.open(store) as replica, replica.batch():
        for number in range(12):
            with replica.edit(f"customers/dddddddd-{number:02}", create=True) as chosen:
                chosen["name"] = "x"
        with replica.edit("customers/" + "d" * 26, create=True) as made:
            made["name"] = "made"
    assert run("get", "customers/dddddddd", "name").out.strip() == "made"


@pytest.mark.parametrize(("answer", "code"), [("yes\n", 0), ("no\n", 2), ("", 2)])
def test_whoever_sits_at_a_terminal_is_asked_before_an_export_replaces_a_file(
    run, three, tmp_path, monkeypatch, answer, code
):
    target = tmp_path / "out.csv"
    target.write_text("mine")
    monkeypatch.setattr(Output, "can_ask", True)
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    result = run("export", target)
    assert (result.code, "Replace it?" in result.err) == (code, True)
    assert (target.read_text() == "mine") == (code != 0)


@pytest.mark.parametrize("sought", ["müller", "mueller", "Muller", "MÜLLER"])
@pytest.mark.parametrize("name", ["Müller", "Mueller"])
def test_umlauts_are_found_as_people_spell_them(made, run, name, sought):
    made(f"name={name} GmbH")
    made("name=Miller")
    found = [view["fields"]["name"] for view in run("find", sought, "--json").objects]
    assert found == ([] if (name, sought) == ("Mueller", "Muller") else [f"{name} GmbH"])


def test_letters_with_accents_are_found_without_them(made, run):
    made("name=Zoé Dupré")
    assert len(run("find", "dupre", "--json").objects) == 1


def test_known_fields_are_listed_by_name_and_the_nearest_first(store, run):
    err = run("find", "xamounts_in_euro>1000").err
    listed = err.partition("Known fields: ")[2].partition(".")[0]
    names = listed.partition(" and ")[0].split(", ")
    assert names[0] == "amount"
    assert len(names) == 20
    assert all(name == name.lower() for name in names)
    assert "more" in listed


def test_fields_that_few_records_have_are_named(made, run):
    for number in range(6):
        made(f"name=Anna {number}", "city=Bonn")
    made("name=Ben", "email=b@x.example", "notes=a long one")
    listed = run("list")
    assert "E-mail" not in listed.out
    assert "Not shown, as few of these have them, or they are long: E-mail, Notes. --fields email,notes" in listed.err
    assert "Not shown" not in run("list", "--fields", "name,city").err


@pytest.mark.parametrize("width", range(38, 48))
def test_a_cell_that_is_cut_says_so(made, run, monkeypatch, width):
    for name in ("Anna", "Cleo"):
        made(f"name={name} Person", f"company=Company {name}")
    monkeypatch.setenv("COLUMNS", str(width))
    rows = [line.split("   ") for line in run("list").out.splitlines()[2:]]
    for name, row in zip(("Anna", "Cleo"), rows, strict=True):
        for whole, cell in zip((f"{name} Person", f"Company {name}"), row[1:], strict=True):
            assert cell.strip() == whole or (cell.strip().endswith("…") and whole.startswith(cell.strip()[:-1]))
