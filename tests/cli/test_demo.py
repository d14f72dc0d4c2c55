"""The demo as a stranger runs it: in a pipe, interrupted, and where something is not as it should be."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crdt_sync.cli.demo import relay_process
from crdt_sync.cli.demo.failures import DemoFailed
from crdt_sync.cli.demo.stage import Stage
from crdt_sync.cli.output import Output

COMMAND = [sys.executable, "-m", "crdt_sync.cli.main", "demo"]


def _demo(tmp_path, *options):
    return subprocess.Popen(
        [*COMMAND, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )


def _processes_in(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            if str(folder) in command:
                found.append(command)
    return found


def test_the_demo_converges_and_cleans_up(tmp_path):
    process = _demo(tmp_path, "--json")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    told = json.loads(out)
    assert told["converged"]
    assert told["records"] > 150
    assert len(told["checks"]) >= 20
    assert not list(tmp_path.iterdir())
    assert not _processes_in(tmp_path)


def test_the_demo_reads_well_in_a_pipe(tmp_path):
    process = _demo(tmp_path, "--keep")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "\x1b" not in out
    assert out.count("✗ SIGKILL") == 3
    assert "three devices and the relay hold the same data" in out
    (folder,) = tmp_path.iterdir()
    assert {"Anna", "Bernd", "邓丽", "relay"} <= {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_demo_leaves_no_process_behind(tmp_path, number):
    process = _demo(tmp_path)
    for line in process.stdout:
        if "SIGKILL" in line:
            break
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    until = time.monotonic() + 20
    while (left := _processes_in(tmp_path)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left
    if number != signal.SIGKILL:
        assert process.returncode == 130
        assert "Traceback" not in err
        assert not list(tmp_path.iterdir())


def test_without_the_relay_the_demo_says_how_to_install_it(run, monkeypatch):
    monkeypatch.setattr(relay_process, "_NEEDED", ("a_module_that_nobody_has",))
    result = run("demo")
    assert result.code == 1
    assert "relay_missing" in result.err
    assert "crdt-sync[relay]" in result.err


def test_a_statement_that_is_not_true_ends_the_demo():
    stage = Stage(Output(as_json=True))
    stage.check(True, "this holds")
    with pytest.raises(DemoFailed) as failure:
        stage.check(False, "that holds", "something else")
    assert failure.value.exit_code == 1
    assert "that holds" in failure.value.message
    assert "something else" in failure.value.hint
    assert stage.checks == ["this holds"]
