import pytest
from rich.cells import cell_len

from crdt_sync.protocol.messages import UpdatesEntry
from crdt_sync.records import bundled_schema
from crdt_sync.replica import Replica


@pytest.fixture
def conflict(store, made, run, tmp_path):
    """A record with two phones, written by anna and bob."""
    record = made("name=Müller", "phone=0")
    with Replica.open(store) as anna, Replica.create(tmp_path / "bob", "bob", [bundled_schema("customers")]) as bob:
        _exchange(anna, bob, record)
        for replica, phone in ((anna, "111"), (bob, "222")):
            with replica.edit(record) as editor:
                editor["phone"] = phone
        _exchange(bob, anna, record)
    return record


def _exchange(source, target, record):
    diff = source.document(record).diff()
    vector = source.document(record).state_vector()
    target.integrate([UpdatesEntry(record, diff, vector)], source.id, (), None)


def test_a_record_shows_labels_and_values(made, run):
    record = made("name=王小明", "amount=12.50", "newsletter=yes", "tags=a;b")
    out = run("get", record).out
    assert "王小明" in out
    assert "Newsletter     yes" in out or "yes" in out
    assert "a, b" in out
    assert f"{record}  local" in out


def test_one_field_is_printed_alone(made, run):
    record = made("name=x", "city=Kiel")
    assert run("get", record, "city").out == "Kiel\n"
    assert run("get", record, "city", "--json").object == {"record": record, "field": "city", "value": "Kiel"}
    assert run("get", record, "citi").code == 2


def test_json_keeps_types(made, run):
    record = made("name=x", "employees=3", "newsletter=no", "amount=0.10", "birthday=2000-02-29")
    assert run("get", record, "--json").object["fields"] == {
        "name": "x",
        "employees": 3,
        "newsletter": False,
        "amount": "0.1",
        "birthday": "2000-02-29",
    }


def test_lists_are_limited_and_say_so(made, run):
    for number in range(3):
        made(f"name=customer {number}")
    result = run("list", "--limit", 2)
    assert result.out.count("customer ") == 2
    assert "--limit 0" in result.err
    assert run("list", "--limit", 0).out.count("customer ") == 3
    assert len(run("list", "--json").objects) == 3
    assert len(run("list", "--json", "--limit", 1).objects) == 1


def test_fields_are_chosen(made, run):
    made("name=x", "city=Kiel", "phone=1")
    assert run("list", "--fields", "city,name", "--json").object["fields"] == {"city": "Kiel", "name": "x"}
    header = run("list", "--fields", "city,name").out.splitlines()[0]
    assert header.index("City") < header.index("Name")
    assert run("list", "--fields", "citi").code == 2


def test_columns_align_whatever_the_script(made, run):
    made("name=王小明", "city=x")
    made("name=Anna", "city=y")
    lines = run("list", "--fields", "name,city").out.splitlines()
    places = {
        cell_len(line[: line.rstrip().rindex(" ")]) for line in lines if line.rstrip().endswith(("x", "y", "City"))
    }
    assert len(places) == 1


def test_nothing_in_the_data_reaches_the_terminal_or_rich(made, run):
    record = made("name=[red]x[/red] \x1b[31m:smile:", "notes=a\nb\x07", "city=a\nb")
    for result in (run("list", "-f", "name,notes"), run("get", record), run("get", record, "name")):
        assert result.code == 0
        assert "[red]x[/red] \\x1b[31m:smile:" in result.out
        assert not {"\x1b", "\x07"} & set(result.out)
    assert "a⏎b" in run("list", "--fields", "name,city").out


def test_finding_by_value_by_member_and_by_word(made, run):
    made("name=Müller", "city=Berlin", "tags=vip;new", "visits=2", 'address=12 "Rose" O\'Hara \\ Street')
    made("name=Maier", "city=Kiel", "tags=vip", "notes=calls MÜLLER back")

    def names(*terms):
        return [each["fields"]["name"] for each in run("find", *terms, "--json").objects]

    assert names("city=Berlin") == ["Müller"]
    assert sorted(names("tags=vip")) == ["Maier", "Müller"]
    assert names("tags=vip;new") == ["Müller"]
    assert names("visits=2") == ["Müller"]
    assert sorted(names("müller")) == ["Maier", "Müller"]
    assert names("müller", "city=Kiel") == ["Maier"]
    assert names('"rose" o\'hara \\') == ["Müller"]
    assert names("notes=back") == ["Maier"]
    assert names("tags=") == []
    assert names("notes=") == ["Müller"]
    assert names("nobody") == []


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("tags=vip, new", ["A"]),
        ("tags=new;vip", ["A"]),
        ("tags!=vip, new", ["B"]),
        ('tags="Kiel, north"; vip', ["B"]),
        ('tags=["Kiel, north"]', ["B"]),
        ("tags=Kiel, north", []),
        ("amount=1.234,5", ["A"]),
        ("amount>1.000,50", ["A"]),
        ("birthday<06.07.1990", ["B"]),
    ],
)
def test_finding_reads_values_as_set_and_import_do(made, run, term, found):
    made("name=A", "tags=vip, new", "amount=1.234,50")
    made("name=B", 'tags=vip; "Kiel, north"', "birthday=05.07.1990")
    assert [each["fields"]["name"] for each in run("find", term, "--json").objects] == found


def test_members_with_commas_are_shown_as_they_may_be_typed(made, run):
    record = made("name=A", 'tags=["a, b", "c;d", "e", "\\"f\\" g"]')
    shown = run("get", record, "tags").out.strip()
    assert shown == '"""f"" g", "a, b", "c;d", e'
    other = made("name=B", f"tags={shown}")
    assert run("get", other, "tags").out.strip() == shown


def test_finding_by_a_field_that_is_not_there_is_an_error(store, run):
    result = run("find", "citi=Kiel")
    assert result.code == 2
    assert "unknown_field" in result.err
    assert run("find", "employees=many").code == 2


def test_an_empty_list_says_so(store, run):
    assert run("list").out == "No records.\n"
    assert run("list", "--json").out == ""


def test_a_conflict_shows_both_values_who_and_when(conflict, run):
    (found,) = run("conflicts", "--json").objects
    assert found["record"] == conflict
    assert found["field"] == "phone"
    assert [(entry["value"], entry["by"], entry["shown"]) for entry in found["entries"]] == [
        ("222", "bob", True),
        ("111", "anna", False),
    ]
    assert all(entry["at"].endswith("Z") for entry in found["entries"])
    for out in (run("conflicts").out, run("get", conflict).out):
        assert all(text in out for text in ("111", "222", "anna", "bob"))
    assert "conflict" in run("list").out


def test_a_conflict_is_resolved(conflict, run):
    assert run("resolve", conflict, "phone", "333", "--json").object["open"] == []
    assert run("conflicts").out == "No open conflicts.\n"
    assert run("get", conflict, "phone").out == "333\n"


@pytest.mark.parametrize(("field", "value"), [("fone", "1"), ("tags", "x"), ("_deleted", "perhaps"), ("stage", "won?")])
def test_a_wrong_decision_is_refused(conflict, run, field, value):
    result = run("resolve", conflict, field, value)
    assert result.code == 2
    assert len(result.err.splitlines()) == 2
    assert len(run("conflicts", "--json").objects) == 1


def test_a_collection_that_is_not_there_is_an_error(store, run):
    for arguments in (
        ["list", "sites"],
        ["find", "x", "-c", "sites"],
        ["conflicts", "sites"],
        ["export", "-", "-c", "sites"],
    ):
        result = run(*arguments)
        assert result.code == 2
        assert "customers" in result.err
