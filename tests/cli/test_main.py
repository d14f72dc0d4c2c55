import json

import pytest
import typer

from crdt_sync import errors
from crdt_sync.cli import main
from crdt_sync.cli.main import application, hoisted
from crdt_sync.replica import Replica


def test_without_arguments_the_help_is_shown(run):
    result = run()
    assert result.code == 0
    assert "import" in result.out
    assert result.err == ""


@pytest.mark.parametrize("arguments", [["--version"], ["--version", "--json"]])
def test_the_version_is_told(run, arguments):
    result = run(*arguments)
    assert result.code == 0
    assert "0.1.0" in result.out


def test_every_command_explains_itself(run):
    commands = "init relay set delete restore resolve get list find conflicts import export sync status verify demo"
    for name in commands.split():
        result = run(name, "--help")
        assert result.code == 0, name
        assert "Usage:" in result.out


def test_global_options_may_stand_anywhere():
    assert hoisted(["list", "--json", "--store", "x"]) == ["--json", "--store", "x", "list"]
    assert hoisted(["list", "--store=x", "--debug"]) == ["--debug", "--store=x", "list"]


def test_what_follows_two_dashes_is_left_alone():
    assert hoisted(["find", "--", "--json"]) == ["find", "--", "--json"]


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["list", "--nonsense"], ["get"], ["list", "--limit", "x"], ["list", "--store"]]
)
def test_wrong_usage_is_one_message_with_a_next_step(run, arguments):
    result = run(*arguments)
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("Error (usage): ")
    assert "--help" in result.err


def test_errors_are_json_on_standard_error_when_asked(run, tmp_path):
    result = run("list", "--store", tmp_path / "nothing", "--json")
    assert result.code == 3
    assert result.out == ""
    error = json.loads(result.err)
    assert error["error"] == "store_missing"
    assert "crdt-sync init" in error["hint"]


def _all_errors(root: type[errors.CrdtSyncError]) -> list[type[errors.CrdtSyncError]]:
    return [root, *(each for child in root.__subclasses__() for each in _all_errors(child))]


@pytest.mark.parametrize(
    "kind",
    [kind for kind in _all_errors(errors.CrdtSyncError) if kind.__module__ == errors.__name__],
    ids=lambda kind: kind.__name__,
)
def test_every_error_becomes_its_exit_code(run, store, monkeypatch, kind):
    def fail(*_, **__):
        error = kind.__new__(kind)
        errors.CrdtSyncError.__init__(error, "it went wrong", "do this next")
        raise error

    monkeypatch.setattr(Replica, "list", fail)
    result = run("list")
    assert result.code == kind.exit_code
    assert result.err == f"Error ({kind.code}): it went wrong.\n  do this next\n"


class Panic(BaseException):
    """As the CRDT library raises them."""


@pytest.mark.parametrize("kind", [RuntimeError, OSError, Panic])
def test_an_unexpected_failure_has_no_traceback(run, store, monkeypatch, kind):
    def fail(*_, **__):
        raise kind("the\nunforeseen")

    monkeypatch.setattr(Replica, "list", fail)
    result = run("list")
    assert result.code == 1
    assert "the unforeseen" in result.err
    assert "--debug" in result.err
    assert "Traceback" not in result.err
    assert "Traceback" in run("list", "--debug").err


def test_an_interrupt_is_130(run, store, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Replica, "list", interrupt)
    result = run("list")
    assert result.code == 130
    assert "Traceback" not in result.err


def test_an_error_cannot_reach_the_terminal_with_escapes(run, store):
    result = run("set", "customers", "name\x1b[31m=x")
    assert result.code == 2
    assert "\x1b" not in result.err


def commands(app: typer.Typer) -> tuple[str, ...]:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    return tuple(group.commands)


@pytest.mark.parametrize("part", main._PARTS)
def test_a_command_is_found_in_the_part_that_is_imported_for_it(part):
    for command in main._PARTS[part]:
        assert commands(application(command)) == main._PARTS[part]


def test_without_a_command_all_are_there():
    everything = {command for commands in main._PARTS.values() for command in commands}
    assert set(commands(application())) == everything
    assert set(commands(application("nonsense"))) == everything


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ([], None),
        (["--store", "list"], None),
        (["--store", "list", "status"], "status"),
        (["--store=list", "--json", "sync", "list"], "sync"),
        (["--help"], "--help"),
    ],
)
def test_the_command_of_a_line_is_the_first_word_behind_the_global_options(arguments, command):
    assert main._command(hoisted(arguments)) == command
