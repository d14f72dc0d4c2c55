"""Ctrl-C while a command is still being imported: one line and exit code 130, at whatever moment it comes."""

import os
import subprocess
import sys

import pytest

from crdt_sync import Replica, bundled_schema

INTERRUPTS = """
import os, signal, sys
left = int(os.environ["INTERRUPT_AT_IMPORT"])
begun = False

def hook(event, arguments):
    global left, begun
    if event == "import":
        begun = begun or arguments[0] == "crdt_sync.cli"
        left -= begun
        if begun and left == 0:
            signal.raise_signal(signal.SIGINT)

sys.addaudithook(hook)
"""
BEGIN = "import signal\nfrom crdt_sync.starting import imported, start\n"


@pytest.mark.parametrize("module", ["crdt_sync", "crdt_relay", "crdt_bench"])
def test_an_interrupt_at_any_import_is_one_line(module, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTS)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    running = [
        subprocess.Popen(
            [sys.executable, "-m", module, "--version"],
            env={**os.environ, "PYTHONPATH": path, "INTERRUPT_AT_IMPORT": str(number)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in (1, 2, 40, 200)
    ]
    ended = [(*process.communicate(timeout=60), process.returncode) for process in running]
    assert ended == [("", "Interrupted.\n", 130)] * 4


def _ended(program):
    done = subprocess.run([sys.executable, "-c", BEGIN + program], capture_output=True, text=True, check=False)
    return done.stdout, done.stderr, done.returncode


def test_an_import_that_swallows_exceptions_is_interrupted_too():
    importing = "try: signal.raise_signal(signal.SIGINT)\n    except BaseException: return 0"
    assert _ended(f"def command():\n    {importing}\nraise SystemExit(start(command))") == ("", "Interrupted.\n", 130)


def test_a_command_that_runs_closes_what_it_opened():
    command = "imported()\n    try: signal.raise_signal(signal.SIGINT)\n    finally: print('closed')"
    found = _ended(f"def command():\n    {command}\nraise SystemExit(start(command))")
    assert found == ("closed\n", "Interrupted.\n", 130)


def test_an_interrupt_after_the_end_is_no_traceback_either():
    program = "start(imported)\nsignal.raise_signal(signal.SIGINT)"
    assert _ended(program) == ("", "Interrupted.\n", 130)


def test_an_ignored_interrupt_stays_ignored():
    program = "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    program += "start(lambda: signal.raise_signal(signal.SIGINT) or 0)\nprint('went on')"
    assert _ended(program) == ("went on\n", "", 0)


def test_garbage_is_collected_once_a_command_is_imported():
    program = "import gc\ndef command():\n    before = gc.isenabled()\n    imported()\n"
    program += (
        "    print(before, gc.isenabled(), gc.get_freeze_count() > 0)\n    return 0\nraise SystemExit(start(command))"
    )
    assert _ended(program) == ("False True True\n", "", 0)


LONG = [
    ("crdt_sync", ["sync", "--watch"]),
    ("crdt_sync", ["listen"]),
    ("crdt_sync", ["up", "--foreground"]),
    ("crdt_sync", ["up", "--foreground", "--listen"]),
    ("crdt_sync", ["import", "customers.csv"]),
    ("crdt_sync", ["bundle", "apply", "carried.bundle"]),
    ("crdt_sync", ["verify", "--deep"]),
    ("crdt_sync", ["demo"]),
    ("crdt_relay", ["serve"]),
    ("crdt_relay", ["verify"]),
]
BEGUN = f"""
import gc, importlib, sys, click
from crdt_sync import starting

run = click.Command.invoke

def begun(command, context):
    return run(command, context) if isinstance(command, click.Group) else print(command.name, gc.isenabled())

click.Command.invoke = begun
{{planted}}
for module, words in {LONG}:
    sys.argv = [module, *words]
    importlib.import_module(module + ".__main__").main()
"""


@pytest.mark.parametrize(("planted", "collected"), [("", True), ("starting._collect_garbage = lambda: None", False)])
def test_garbage_is_collected_in_commands_that_take_long(planted, collected):
    command = [sys.executable, "-c", BEGUN.format(planted=planted)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    names = [words[1] if words[0] == "bundle" else words[0] for _, words in LONG]
    assert (done.stdout.splitlines(), done.stderr) == ([f"{name} {collected}" for name in names], "")


HEAVY = {
    "anyio",
    "asyncio",
    "cryptography",
    "crdt_sync.exchange.column_reading",
    "crdt_sync.runtime.client",
    "filelock",
    "jwt",
    "pycrdt",
    "pydantic",
    "rich",
    "structlog",
    "websockets",
    "zeroconf",
}
LOADED = "import sys; from crdt_sync.cli.main import main; code = main(); print(*sys.modules); sys.exit(code)"


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["get", "customers/us"], {"rich"}),  # which draws a table
        (["get", "customers/us", "--json"], set()),
        (["list", "--json"], set()),
        (["find", "Us", "--json"], set()),
        (["status", "--json"], set()),
        (["set", "customers/us", "visits+=1"], {"pycrdt", "anyio"}),
    ],
)
def test_a_command_beside_an_owner_imports_what_it_needs_and_no_more(arguments, needed, tmp_path):
    with Replica.create(tmp_path, "anna", [bundled_schema("customers")]) as replica:
        with replica.edit("customers/us", create=True) as customer:
            customer["name"] = "Us"
        command = [sys.executable, "-c", LOADED, "--store", str(tmp_path), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert HEAVY & set(done.stdout.split()) == needed


def test_the_command_that_syncs_with_a_relay_neither_draws_nor_looks_for_devices_near():
    code = "import sys, crdt_sync.cli.syncing; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert not {"rich", "zeroconf"} & set(loaded)
