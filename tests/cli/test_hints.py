"""Commands in hints can be pasted as they are printed, also where --store named the store."""

import re
import shlex

import pytest

from crdt_sync.cli.hints import with_store
from crdt_sync.cli.main import main

COMMANDS = ("sync", "set", "export", "listen", "bundle", "verify", "schema")


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("Decide: crdt-sync set R a=b", "Decide: crdt-sync --store 'my store' set R a=b"),
        ("run 'crdt-sync sync' first.", "run 'crdt-sync --store 'my store' sync' first."),
        ("Or there: crdt-sync schema show x; and here: crdt-sync schema add y",
         "Or there: crdt-sync schema show x; and here: crdt-sync --store 'my store' schema add y"),
        ("On the other device: crdt-sync listen --announce", None),
        ("Next, on the other device: crdt-sync bundle apply x", None),
        ("'x' is damaged: run 'crdt-sync verify --local' there.", None),
        ("without the column 'crdt-sync base'", None),
        ("crdt-sync --store other sync", None),
    ],
)  # fmt: skip
def test_commands_for_this_device_name_its_store(text, printed):
    assert with_store(text, "my store", COMMANDS) == (printed or text)


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """call(arguments): exit code, and what was printed; no variable names a store."""
    monkeypatch.delenv("CRDT_SYNC_STORE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "nothing"))

    def run(*arguments):
        code = main(list(map(str, arguments)))
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


@pytest.mark.parametrize("place", ["front", "end"])
def test_a_hint_that_is_pasted_works(call, tmp_path, place):
    store = tmp_path / "a store"

    def on_store(*arguments):
        option = ["--store", store]
        return call(*option, *arguments) if place == "front" else call(*arguments, *option)

    assert on_store("init", "anna")[0] == 0
    table = tmp_path / "list.csv"
    table.write_text("Name,Telefon,Ort\nAnna Alt,030 1,Ulm\nBert Bau,030 2,Bonn\n")
    assert on_store("import", table)[0] == 0
    table.write_text("Name,Telefon,Ort\nAnna Alt,030 9,Ulm\nBert Bau,030 2,Bonn\n")
    code, printed = on_store("import", table)
    assert code == 2
    (hint,) = re.findall(r"\((crdt-sync --store .* set .*)\)", printed)
    assert call(*shlex.split(hint)[1:])[0] == 0
    code, printed = on_store("import", table)
    assert (code, "2 unchanged" in printed) == (0, True)


def test_errors_name_it_in_json_too(call, tmp_path):
    _, printed = call("--json", "--store", tmp_path / "none", "list")
    assert f"crdt-sync --store {tmp_path / 'none'} init" in printed


def test_without_the_option_hints_are_short(call):
    _, printed = call("list")
    assert "'crdt-sync init'" in printed
