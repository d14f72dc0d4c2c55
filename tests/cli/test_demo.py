"""The demo as a stranger runs it: in a pipe, interrupted, and where something is not as it should be."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from crdt_sync.cli.demo import playing, relay_process
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


def test_the_demo_converges_and_reads_well_in_a_pipe(tmp_path):
    process = _demo(tmp_path, "--keep")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "\x1b" not in out
    assert out.count("✗ SIGKILL") == 3
    assert "three devices and the relay hold the same data" in out
    (customers,) = re.findall(r"each device holds all (\d+) customers", out)
    (statements,) = re.findall(r"(\d+) statements checked", out)
    assert int(customers) > 150
    assert int(statements) >= 40
    assert out.count("holds any other name") == 3
    assert "it has confirmed that to the relay" in out
    assert "everything of hers is there again, and nothing else" in out
    (folder,) = tmp_path.iterdir()
    assert str(folder) in out
    assert {"Anna", "Bernd", "邓丽", "relay"} <= {path.name for path in folder.iterdir()}
    assert not list((folder / "people" / "anna-phone").glob("*.mdb"))
    assert not _processes_in(tmp_path)


@pytest.fixture
def played(tmp_path, monkeypatch):
    """played(failure): the demo puts a file in its folder, and converges at once, or fails as given."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def end_with(failure):
        def play(folder, stage):
            (folder / "relay.log").write_text("what the relay said")
            if failure is not None:
                raise failure
            return {"converged": True, "records": 200}

        monkeypatch.setattr(playing, "play", play)

    return end_with


def test_programs_are_told_how_it_ended_and_nothing_is_left(run, played, tmp_path):
    played(None)
    assert run("demo", "--json").object == {"converged": True, "records": 200}
    assert not list(tmp_path.glob("crdt-sync-demo-*"))


def test_on_request_what_it_left_is_kept(run, played, tmp_path):
    played(None)
    told = run("demo", "--json", "--keep").object
    assert list(tmp_path.glob("crdt-sync-demo-*/relay.log")) == [Path(told["folder"]) / "relay.log"]


def test_what_a_demo_left_that_failed_is_kept(run, played, tmp_path):
    played(DemoFailed("邓丽: the connection was lost", "Run it again."))
    result = run("demo")
    assert result.code == 1
    (log,) = tmp_path.glob("crdt-sync-demo-*/relay.log")
    assert "Run it again." in result.err
    assert str(log.parent) in result.err.replace("\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_demo_leaves_no_process_behind(tmp_path, number):
    process = _demo(tmp_path)
    for line in process.stdout:
        if "SIGKILL" in line:
            break
    process.send_signal(number)
    _, err = process.communicate(timeout=300)
    until = time.monotonic() + 60
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
