"""`crdt-bench campaign` says what was run, goes on where it stopped, and fails when something was found."""

import json

import pytest
from click.testing import CliRunner

from crdt_bench.campaign import command
from crdt_bench.campaign.tally import Tally
from crdt_bench.cli import app


def invoke(*arguments):
    return CliRunner().invoke(app, ["campaign", *arguments])


def test_a_part_goes_on_with_the_seed_after_the_last(tmp_path):
    state = tmp_path / "state.json"
    for number in (1, 2):
        result = invoke("nth-calls", "--state", str(state), "--seconds", "0")
        assert result.exit_code == 0, result.output
        assert f"from seed {number - 1}, 0 findings" in result.output
        assert json.loads(state.read_text())["nth-calls"]["next_seed"] == number


def test_findings_are_printed_kept_and_told_by_the_exit_code(tmp_path, monkeypatch):
    def planted(seed, count):
        tally = Tally("planted", "inputs", seed, ran=count)
        tally.found("a lost edit")
        return tally

    monkeypatch.setitem(command.PARTS, "hostile", command.Part(planted, 10, 10))
    state = tmp_path / "state.json"
    for _ in range(2):
        result = invoke("hostile", "--state", str(state))
        assert result.exit_code == 1
        assert json.loads(state.read_text())["hostile"]["findings"] == ["seed 0: a lost edit"]
    assert "10 of 10" in result.output


def test_what_cannot_be_run_is_said_with_its_reason(tmp_path, monkeypatch):
    missing = Tally("power cuts", "images", 0, skipped="strace is not installed")
    monkeypatch.setitem(command.PARTS, "power-cuts", command.Part(lambda seed, count: missing, 10, 10))
    assert "not run, strace is not installed" in invoke("power-cuts", "--state", str(tmp_path / "state")).output


def test_an_unknown_part_is_named(tmp_path):
    assert invoke("nonsense", "--state", str(tmp_path / "state")).exit_code != 0


@pytest.mark.parametrize("name", command.PARTS)
def test_every_part_has_a_goal_of_several_chunks(name):
    part = command.PARTS[name]
    assert part.goal >= part.chunk > 0


def test_what_takes_long_is_told_beforehand(tmp_path, monkeypatch):
    part = command.Part(lambda seed, count: Tally("planted", "sieges", seed, ran=count), 1, 25, chunk_s=120.0)
    assert part.outlook(0, 10_000) == "25 to be run, in about 50 min"
    assert part.outlook(20, 10_000) == "5 to be run, in about 10 min"
    assert part.outlook(0, 130) == "2 to be run, in about 4 min"
    assert part.outlook(25, 10_000) == ""
    monkeypatch.setitem(command.PARTS, "hostile", part)
    assert invoke("hostile", "--state", str(tmp_path / "state"), "--seconds", "0").output.startswith(
        "hostile: 1 to be run, in about 2 min\n"
    )
