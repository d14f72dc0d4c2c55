"""What `conflicts` and `get` show of values that contradict each other: by whom, when, and not without bounds."""

import pytest

from crdt_sync.cli.main import main
from crdt_sync.protocol.messages import UpdatesEntry
from crdt_sync.records import Document
from crdt_sync.replica import Replica

WRITTEN_AT = 1_700_000_000_000_000


def crafted(store, records, fields, values, value="value {}"):
    """Records as anybody may send them: so many fields with so many values that nobody decided between."""
    with Replica.open(store) as replica:
        for number in range(records):
            document = Document(writer=1000 + number)
            with document.transaction() as transaction:
                for field in ("phone", *(f"x{place}" for place in range(fields - 1))):
                    entries = document.array(transaction, f"c.{field}")
                    for place in range(values):
                        entries.insert(transaction, place, [value.format(place), WRITTEN_AT + place, "mallory"])
            replica.integrate([_entry(f"customers/r{number:04}", document)], b"m" * 16, (), None)


def _entry(record, document):
    return UpdatesEntry(record, document.diff(), document.state_vector())


def test_people_are_shown_the_first_of_each_field_record_and_of_all(store, run):
    crafted(store, records=3, fields=20, values=10)
    shown = run("conflicts", "--all")
    assert shown.out.count("mallory") == 3 * 12 * 6
    assert shown.out.count("and 4 more; --json has all") == 3 * 12
    assert shown.out.count("and 8 more fields; --json has all") == 3
    assert len(shown.out.splitlines()) < 300
    assert shown.out.index("value 9") < shown.out.index("value 4"), "the latest first"
    every = run("conflicts", "--all", "--json").objects
    assert [len(conflict["entries"]) for conflict in every] == [10] * 60


def test_without_a_limit_it_ends_after_some_hundred_rows(store, run):
    crafted(store, records=80, fields=1, values=9)
    shown = run("conflicts")
    assert shown.out.count("mallory") == 300
    assert "The first 50 records; --limit 0 shows all" in shown.err
    assert run("conflicts", "--limit", "2").out.count("mallory") == 12
    assert "The first 2 records" in run("conflicts", "-n", "2").err
    assert run("conflicts", "--limit", "0").out.count("mallory") == 480
    assert len(run("conflicts", "--json").objects) == 80
    assert len(run("conflicts", "--json", "--limit", "7").objects) == 7


def test_one_long_value_is_cut(store, run):
    crafted(store, records=1, fields=1, values=2, value="{}" + "\n" * 2000 + "x" * 2000)
    for shown in (run("conflicts"), run("get", "customers/r0000")):
        assert len(shown.out.splitlines()) < 30
        assert "… (4,001 characters)" in shown.out
    assert len(run("conflicts", "--json").object["entries"][0]["value"]) == 4001


def test_records_are_read_once_each_and_no_more_than_are_shown(store, run, monkeypatch):
    crafted(store, records=8, fields=3, values=2)
    read = []
    honest = Replica.conflicts_of
    monkeypatch.setattr(
        Replica, "conflicts_of", lambda self, record, **options: read.append(record) or honest(self, record, **options)
    )
    monkeypatch.setattr(Replica, "get", lambda *_: pytest.fail("its view is here already"))
    assert main(["conflicts", "--limit", "2"]) == 0
    assert len(read) == 3, "one more, to know that there is more"


@pytest.fixture
def table(tmp_path):
    def table(text):
        path = tmp_path / "list.csv"
        path.write_text(text, "utf-8")
        return path

    return table


def test_a_text_of_people_beside_one_of_a_table_has_no_time_and_is_not_of_here(store, run, table):
    run("import", table("Nr,Name,Notes\n1,Anna,one two\n"), "--key", "Nr")
    record = run("list", "--json").object["record"]
    run("set", record, "notes=one three")
    told = run("import", table("Nr,Name,Notes\n1,Anna,one four\n"), "--key", "Nr").err
    assert "See 'crdt-sync conflicts', or correct" in told
    people, said = run("conflicts", "--json").object["entries"]
    assert (people["value"], people["by"], people["at"], people["shown"]) == ("one three", "people", None, True)
    assert (said["value"], said["by"], said["shown"]) == ("one four", "import list", False)
    assert said["at"].endswith("Z")
    shown = run("conflicts")
    assert "shown meanwhile" not in shown.err
    assert "people" in shown.out
    assert run("get", record).out.count("one three") == 1


def test_what_two_imports_count_is_neither_shown_nor_bold_and_the_field_is(store, run, table, tmp_path):
    both = [store, tmp_path / "bob"]
    run("init", "bob", "--store", both[1])
    for where, visits in zip(both, (5, 7), strict=True):
        run("import", table(f"Nr,Name,Visits\n1,Anna,{visits}\n"), "--key", "Nr", "--store", where)
    with Replica.open(both[0]) as ours, Replica.open(both[1]) as theirs:
        (record,) = ours.store.records("", 2, "customers/")
        ours.integrate([_entry(record, theirs.document(record))], b"m" * 16, (), None)
    run("set", record, "visits+=1")
    told = run("conflicts", "--json").object
    assert [(entry["value"], entry["shown"]) for entry in told["entries"]] == [(7, False), (5, False)]
    assert told["now"] == 8
    shown = run("conflicts")
    assert "shown meanwhile" not in shown.err
    assert "* stands before what is shown" in " ".join(shown.err.split())
    assert "The field becomes exactly what you decide" in " ".join(shown.err.split())
    assert _listed(shown.out) == ["* 8", "7", "5"]
    visits = run("get", record).out.split("Visits", 1)[1].split()
    assert [visits[at] for at in (1, 2, 3)] == ["*", "8", "7"]
    run("set", record, "visits-=1")
    assert _listed(run("conflicts").out) == ["* 7", "5"]


def _listed(told):
    """The values of the one conflict that a table shows, as they stand below each other."""
    rows = told.split("Visits", 1)[1].splitlines()
    return [" ".join(row.split("import", 1)[0].split()) for row in rows if row.strip()]


def test_an_import_names_the_command_only_for_what_it_lists(store, run, table):
    run("import", table("Nr,Name,Phone\n1,Anna,1\n"), "--key", "Nr")
    record = run("list", "--json").object["record"]
    run("set", record, "visits=5", "phone=9")
    told = run("import", table("Nr,Name,Phone,Visits\n1,Anna,2,3\n"), "--key", "Nr").err
    assert "See 'crdt-sync conflicts', or correct the table" in told
    assert f"column 'Visits': here '5', table '3'; crdt-sync set {record} visits=3" in told
    assert "column 'Phone', both changed: here '9', table '2'" in told
    assert [each["field"] for each in run("conflicts", "--all", "--json").objects] == ["phone"]
    told = run("import", table("Nr,Name,Calls\n1,Anna,2\n"), "--key", "Nr").err
    assert "See 'crdt-sync" not in told


def opposed(store, *entries):
    """A record with such values of its phone, as `[value, stamp, actor]`."""
    with Replica.open(store) as replica:
        document = Document(writer=1000)
        with document.transaction() as transaction:
            for place, entry in enumerate(entries):
                document.array(transaction, "c.phone").insert(transaction, place, list(entry))
        replica.integrate([_entry("customers/r1", document)], b"m" * 16, (), None)


def rows(shown):
    """The cells of the last three columns of each line below the header."""
    return [line.split()[-4:] for line in shown.out.splitlines()[2:]]


def test_a_value_that_several_wrote_is_listed_once_with_all_of_them(store, run):
    opposed(
        store,
        ("111", WRITTEN_AT, "anna"),
        ("222", WRITTEN_AT + 5_000_000, "bert"),
        ("111", WRITTEN_AT + 9_000_000, "cleo"),
    )
    shown = run("conflicts")
    assert shown.out.count("111") == 1
    assert next(row for row in rows(shown) if "cleo" in row)[0] == "111"
    assert all(name in shown.out for name in ("anna", "bert", "cleo"))
    assert len(run("conflicts", "--json").object["entries"]) == 3
    got = run("get", "customers/r1").out
    assert (got.count("111"), got.count("cleo"), got.count("anna")) == (1, 1, 1)


def test_two_devices_of_one_name_are_told_apart_by_the_time(store, run):
    opposed(store, ("111", WRITTEN_AT + 1, "laptop"), ("222", WRITTEN_AT + 2, "laptop"))
    shown = run("conflicts").out
    assert (".000001" in shown, ".000002" in shown) == (True, True)
