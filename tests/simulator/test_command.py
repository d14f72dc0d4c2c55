"""The command: its exit code, and what it leaves behind for whoever looks into a failure."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from crdt_bench.simulator.command import run
from crdt_bench.simulator.mutants_device import DEVICE_MUTANTS
from crdt_bench.simulator.scenario import Scenario, draw, pinned

runner = CliRunner()


def test_one_seed_tells_its_scenario_and_the_hash_of_its_trace() -> None:
    done = runner.invoke(run, ["--seed", "3"])
    assert done.exit_code == 0
    assert "seed=3 devices=" in done.output
    assert "events" in done.output


def test_several_seeds_are_counted() -> None:
    done = runner.invoke(run, ["--seeds", "3", "--steps", "10"])
    assert done.exit_code == 0
    assert "3 histories from seed 0: 0 failed" in done.output


def test_a_failure_is_shrunk_and_its_trace_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mutant = next(mutant for mutant in DEVICE_MUTANTS if mutant.name == "outbox is not written")
    with mutant.planted():
        done = runner.invoke(run, ["--seeds", "2", "--steps", "20", "--devices", "2"])
    assert done.exit_code == 1
    assert "smallest: seed=" in done.output
    assert "Scenario(seed=" in done.output
    (trace,) = tmp_path.glob("trace-*.txt")
    assert "FAILURE" in trace.read_text().splitlines()[-1]


def test_a_campaign_goes_on_where_it_stopped(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    arguments = ["--steps", "5", "--devices", "2", "--state", str(state)]
    assert "3 histories from seed 0: 0 failed" in runner.invoke(run, ["--seeds", "3", *arguments]).output
    assert "2 histories from seed 0: 0 failed" in runner.invoke(run, ["--seeds", "5", *arguments]).output
    (part,) = json.loads(state.read_text()).values()
    assert (part["ran"], part["next_seed"], part["findings"]) == (5, 5, [])


def test_a_failure_can_be_pasted_into_the_pinned_tests() -> None:
    scenario = draw(4, steps=20, devices=2)
    assert eval(f"{{{pinned('what broke', scenario)}}}", {"Scenario": Scenario}) == {"what broke": scenario}
