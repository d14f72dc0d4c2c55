"""Wrong calls of all three commands end in one typed error with a next step: no traceback, nothing from a library."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

import crdt_bench.cli
import crdt_relay.cli
from crdt_sync.cli.main import application
from crdt_sync.starting import INTERRUPTED, start

from .conftest import every_command

PROGRAMS = {"crdt-sync": "crdt_sync", "crdt-relay": "crdt_relay", "crdt-bench": "crdt_bench"}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["nonsense"], "usage"),
        (["get"], "usage"),
        (["list", "--nonsense"], "usage"),
        (["list", "--limit", "many"], "usage"),
        (["list", "A B"], "unknown_collection"),
        (["list", "../x"], "unknown_collection"),
        (["get", "\x00"], "invalid_record_id"),
        (["get", "customers/none"], "unknown_record"),
        (["set", "cust omers", "name=x"], "invalid_record_id"),
        (["set", "customers", "name"], "usage"),
        (["set", "customers", "nme=x"], "unknown_field"),
        (["schema", "show", "Ä"], "unknown_collection"),
        (["export", "/nowhere/at/all.csv"], "table_not_written"),
        (["import", "/nowhere.csv"], "invalid_table"),
        (["conflicts", "no such"], "unknown_collection"),
    ],
)
def test_a_wrong_call_is_one_typed_error_with_a_hint(run, made, arguments, error):
    made("name=x")
    result = run(*arguments, "--json")
    said = json.loads(result.err)
    assert (result.code, said["error"]) == (2, error), said
    assert said["hint"]
    assert "Traceback" not in result.err


@pytest.mark.parametrize("main", [crdt_relay.cli.main, crdt_bench.cli.main])
def test_other_programs_say_so_too(main, capsys):
    assert main(["nonsense"]) == 2
    said = capsys.readouterr().err
    assert "Error (usage)" in said
    assert "--help" in said


@pytest.mark.parametrize("app", [application, crdt_relay.cli.app, crdt_bench.cli.app])
def test_help_shows_no_types_of_the_programming_language(app, capsys):
    for path, command in every_command(app):
        command.main(["--help"], prog_name=" ".join(path) or "x", standalone_mode=False)
        assert re.findall(r"\b(?:INTEGER|FLOAT|BOOLEAN|PATH)\b", capsys.readouterr().out) == [], path


def run_with(command, **options):
    return subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True, **options)


def interrupted() -> int:
    raise KeyboardInterrupt


def test_an_interrupt_while_a_command_is_imported_is_no_traceback(capsys):
    assert start(interrupted) == INTERRUPTED
    assert capsys.readouterr().err == "Interrupted.\n"


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("module", PROGRAMS.values())
def test_output_that_cannot_be_written_is_a_typed_error(module, unbuffered):
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full here")
    with open("/dev/full", "w") as full:
        environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
        result = run_with([sys.executable, "-m", module, "--help"], stdout=full, env=environment)
    assert result.returncode == 2
    assert "output_not_written" in result.stderr
    assert "disk is full" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_closed_standard_output_is_a_typed_error():
    command = [sys.executable, "-m", "crdt_sync", "--version"]
    result = run_with(command, preexec_fn=lambda: os.close(1))
    assert (result.returncode, "standard output is closed" in result.stderr) == (2, True)
    assert "Traceback" not in result.stderr
    assert signal.SIGINT.value == INTERRUPTED - 128
