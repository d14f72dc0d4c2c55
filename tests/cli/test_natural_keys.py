"""Natural keys on the command line: whoever enters one is told which record it went to, or which one has it."""

import pytest

SCHEMA = """
collection = "people"
version = 1
natural_key = ["email"]
[fields.email]
label = "E-mail"
[fields.name]
[fields.phone]
kind = "review"
[fields.notes]
kind = "text"
"""


@pytest.fixture
def devices(tmp_path, run):
    """Two devices that know people; `devices(0, "get", ...)` runs a command on the first."""
    (tmp_path / "people.toml").write_text(SCHEMA, encoding="utf-8")
    for number in range(2):
        made = run("--store", tmp_path / str(number), "init", f"d{number}", "--schema", tmp_path / "people.toml")
        assert made.code == 0

    def command(number, *arguments):
        return run("--store", tmp_path / str(number), *arguments)

    return command


def entered(devices, number, *assignments):
    return devices(number, "set", "people", *assignments, "--json").object["record"]


def carry(devices, tmp_path, giver, taker):
    bundle = tmp_path / "carried.bundle"
    bundle.unlink(missing_ok=True)
    assert devices(giver, "bundle", "create", bundle).code == 0
    assert devices(taker, "bundle", "apply", bundle).code == 0


def test_entering_a_key_again_says_which_record_has_it(devices):
    ann = entered(devices, 0, "email=ann@x.example", "name=Ann")
    result = devices(0, "set", "people", "email=ANN@x.example", "phone=1")
    assert result.out == f"{ann} has that email already. Changed {ann}: email, phone\n"
    assert devices(0, "set", "people", "email=ann@x.example", "phone=1", "--json").object["created"] is False


def test_whoever_enters_the_key_of_somebody_with_another_name_is_told(devices):
    anna = entered(devices, 0, "email=z@x.example", "name=Anna Berg")
    refused = devices(0, "set", "people", "E-mail=Z@x.example", "name=Ben", "phone=2")
    assert refused.code == 2
    assert "key_taken" in refused.err
    assert "of Anna Berg" in refused.err
    assert f" set {anna} name=" in refused.err
    assert devices(0, "get", anna, "name").out == "Anna Berg\n"
    assert entered(devices, 0, "email=z@x.example", "name=berg", "phone=1") == anna, "a part of the name"
    assert entered(devices, 0, "email=z@x.example", "phone=2") == anna
    assert devices(0, "set", anna, "name=Ben").code == 0


def test_two_people_who_were_entered_under_one_key_apart_are_an_open_conflict(devices, tmp_path):
    anna = entered(devices, 0, "email=z@x.example", "name=Anna")
    assert entered(devices, 1, "email=z@x.example", "name=Ben") == anna
    carry(devices, tmp_path, 0, 1)
    assert all(part in devices(1, "conflicts").out for part in ("Anna", "Ben", "Name"))
    assert devices(1, "status", "--json").object["conflicts"] == 1
    assert "open_conflict" in devices(1, "set", anna, "name=Carl").err
    assert devices(1, "resolve", anna, "name", "Anna").code == 0
    assert devices(1, "conflicts").out == "No open conflicts.\n"


def test_a_taken_key_names_the_record_and_what_to_do(devices):
    ann = entered(devices, 0, "email=ann@x.example", "name=Ann")
    assert devices(0, "set", ann, "email=b@x.example").code == 0
    result = devices(0, "set", "people", "email=b@x.example", "name=Berta")
    assert result.code == 2
    assert result.err.startswith("Error (key_taken): ")
    assert f"edit {ann}" in result.err
    assert devices(0, "get", ann, "name").out == "Ann\n"


def test_duplicates_are_listed_and_counted(devices, tmp_path):
    ann = entered(devices, 0, "email=ann@x.example", "name=Ann")
    assert devices(0, "set", ann, "email=b@x.example").code == 0
    berta = entered(devices, 1, "email=b@x.example", "name=Berta")
    assert devices(1, "conflicts").out == "No open conflicts.\n"
    carry(devices, tmp_path, 0, 1)
    carry(devices, tmp_path, 1, 0)
    for number in range(2):
        result = devices(number, "conflicts")
        assert all(part in result.out for part in (ann, berta, "Ann", "Berta", "E-mail b@x.example"))
        assert f" set {max(ann, berta)} email=" in " ".join(result.err.split())
        assert devices(number, "conflicts", "--json").object == {
            "kind": "duplicate",
            "collection": "people",
            "key": {"email": "b@x.example"},
            "records": sorted((ann, berta)),
        }
        assert "1 natural key that several records show" in devices(number, "status").out
        assert devices(number, "status", "--json").object["duplicates"] == 1
        assert devices(number, "duplicates", "--json").object == {
            "collection": "people",
            "records": sorted((ann, berta)),
            "why": {"natural key": "b@x.example"},
            "names_agree": True,
        }
    assert devices(0, "set", berta, "email=berta@x.example").code == 0
    assert devices(0, "conflicts").out == "No open conflicts.\n"


def test_notes_that_two_people_began_apart_are_listed_until_somebody_decides(devices, tmp_path):
    ann = entered(devices, 0, "email=z@x.example", "name=Anna", "notes=Likes tea.")
    assert entered(devices, 1, "email=z@x.example", "name=Anna", "notes=Owes 300.") == ann
    carry(devices, tmp_path, 1, 0)
    listed = devices(0, "conflicts")
    assert "Likes tea." in listed.out
    assert "Owes 300." in listed.out
    assert "the field holds all of it together" in listed.err
    assert "imports" not in listed.err
    assert f" resolve {ann[:15]}" in listed.err
    (found,) = devices(0, "conflicts", "--json").objects
    assert (found["field"], found["begun"], found["open"]) == ("notes", True, True)
    assert {(entry["by"], entry["value"]) for entry in found["entries"]} == {("d0", "Likes tea."), ("d1", "Owes 300.")}
    assert devices(0, "resolve", ann, "notes", "Likes tea. Owes 300.").code == 0
    assert devices(0, "conflicts").out == "No open conflicts.\n"
    assert devices(0, "get", ann, "notes").out == "Likes tea. Owes 300.\n"
