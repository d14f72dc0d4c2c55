import inspect
import json
import subprocess
import sys

import click
import pytest

from crdt_bench.cli import app as bench_app
from crdt_relay.cli import app as relay_app
from crdt_relay.cli import main as relay_main
from crdt_sync import errors
from crdt_sync.cli import main
from crdt_sync.cli.main import application, hoisted
from crdt_sync.replica import Replica

from .conftest import every_command


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
    assert f"crdt-sync --store {tmp_path / 'nothing'} init" in error["hint"]


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


def test_every_command_is_where_the_program_looks_for_it():
    context = click.Context(application)
    names = application.list_commands(context)
    assert names == list(main._COMMANDS)
    assert [application.get_command(context, name).name for name in names] == names


def test_a_command_alone_imports_nothing_of_the_others():
    loaded = "import sys; from crdt_sync.cli.main import main; main(['token', '--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert "crdt_sync.cli.listening" in done.stdout.split()
    assert "crdt_sync.cli.tables" not in done.stdout.split()


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [(["verfy"], "'verify'"), (["bundle", "crate"], "'create'"), (["list", "--lmit", "3"], "'--limit'")],
)
def test_a_slip_is_told_with_what_is_near(run, arguments, meant):
    assert f"Did you mean {meant}" in run(*arguments).err


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["--store"], "crdt-sync"),
        (["sync", "--token"], "crdt-sync sync"),
        (["bundle", "create", "x", "--token"], "crdt-sync bundle create"),
        (["bundle", "create", "x", "--plain=x"], "crdt-sync bundle create"),
    ],
)
def test_a_wrong_option_leads_to_the_help_of_its_command(run, arguments, asked):
    assert run(*arguments).err.endswith(f"  See '{asked} --help'.\n")


@pytest.mark.parametrize("program", [("sync", main.main, application), ("relay", relay_main, relay_app)])
def test_what_is_said_too_much_is_not_repeated_as_it_may_be_a_token(program, capsys):
    name, call, app = program
    for path, command in every_command(app, f"crdt-{name}"):
        arguments = [each for each in command.params if isinstance(each, click.Argument)]
        if isinstance(command, click.Group) or any(each.nargs == -1 for each in arguments):
            continue
        assert call([*path[1:], *("1" for _ in arguments), "s3cret-t0ken"]) == 2, path
        said = capsys.readouterr()
        assert "s3cret" not in said.out + said.err, path
        assert f"'{' '.join(path)}' takes" in said.err


def test_the_help_of_a_group_tells_the_whole_first_paragraph_of_each_command(run):
    told = " ".join(run("--help").out.split())
    assert "what people wrote here stays; where both changed, both are kept and shown." in told


@pytest.mark.parametrize(("program", "app"), [("sync", application), ("relay", relay_app), ("bench", bench_app)])
def test_every_command_takes_what_its_options_give(program, app):
    for path, command in every_command(app, program):
        given = {parameter.name: parameter for parameter in command.params}
        assert command.callback is not None
        taken = inspect.signature(command.callback).parameters
        assert [name for name in taken if name not in {"call", "context"}] == list(given), path
        for name, parameter in given.items():
            assert fits(parameter, str(taken[name].annotation)), (path, name)


def fits(parameter, annotation):
    """Whether a parameter of a function takes what its option gives: None where nothing has to be given."""
    if parameter.nargs == -1 or getattr(parameter, "multiple", False):
        each = "int" if parameter.type is click.INT else "str"
        each = "pathlib.Path" if isinstance(parameter.type, click.Path) else each
        return annotation == f"collections.abc.Sequence[{each}]"
    optional = not parameter.required and parameter.to_info_dict()["default"] is None
    return ("None" in annotation) == optional and (getattr(parameter, "is_flag", False) == ("bool" in annotation))


def test_a_function_that_does_not_take_what_its_options_give_is_noticed():
    @click.command()
    @click.option("--limit", type=int)
    @click.option("--all", is_flag=True)
    def wrong(limit: int, all: bool | None) -> None: ...  # noqa: A002

    taken = inspect.signature(wrong.callback).parameters  # type: ignore[arg-type]
    assert not any(fits(each, str(taken[each.name].annotation)) for each in wrong.params)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("crdt-sync li", {"plain,list", "plain,listen"}),
        ("crdt-sync bundle ", {"plain,create", "plain,apply", "plain,inspect"}),
        ("crdt-sync list --li", {"plain,--limit"}),
        ("crdt-sync export --headers ", {"plain,label", "plain,name"}),
    ],
)
def test_shells_complete_commands_options_and_choices(line, expected, monkeypatch, capsys):
    monkeypatch.setenv("_CRDT_SYNC_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    assert main.main([]) == 0
    assert set(capsys.readouterr().out.split()) == expected
