"""The command: its exit code, and what it leaves behind for whoever looks into a failure."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.simulator.command import app
from benchmarks.simulator.mutants_device import DEVICE_MUTANTS

runner = CliRunner()


def test_one_seed_tells_its_scenario_and_the_hash_of_its_trace() -> None:
    done = runner.invoke(app, ["--seed", "3"])
    assert done.exit_code == 0
    assert "seed=3 devices=" in done.output
    assert "events" in done.output


def test_several_seeds_are_counted() -> None:
    done = runner.invoke(app, ["--seeds", "3", "--steps", "10"])
    assert done.exit_code == 0
    assert "3 histories from seed 0: 0 failed" in done.output


def test_a_failure_is_shrunk_and_its_trace_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mutant = next(mutant for mutant in DEVICE_MUTANTS if mutant.name == "outbox is not written")
    with mutant.planted():
        done = runner.invoke(app, ["--seeds", "2", "--steps", "20", "--devices", "2"])
    assert done.exit_code == 1
    assert "smallest: seed=" in done.output
    (trace,) = tmp_path.glob("trace-*.txt")
    assert "FAILURE" in trace.read_text().splitlines()[-1]
