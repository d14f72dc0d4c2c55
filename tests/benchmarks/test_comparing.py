"""Two measurements are compared: what is counted and has risen is named, and fails the command."""

import json
from pathlib import Path

import pytest

from crdt_bench import comparing
from crdt_bench.cli import main
from crdt_bench.results import Measurement, write


def written(folder: Path, **medians: float) -> str:
    outcomes = [
        Measurement("latency" if metric == "seconds" else "instructions", metric, "", (value,))
        for metric, value in medians.items()
    ]
    write(outcomes, {}, folder)
    return str(folder)


@pytest.mark.parametrize(("now", "code"), [(90, 0), (104, 0), (106, 1)])
def test_what_takes_more_calls_than_the_tolerance_allows_fails(
    now: float, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = written(tmp_path / "before", gate=100, seconds=1)
    after = written(tmp_path / "after", gate=now, seconds=50)
    assert main(["compare", before, after]) == code
    assert ("risen" in capsys.readouterr().out) is bool(code)


def test_the_tolerance_can_be_told(tmp_path: Path) -> None:
    before, after = written(tmp_path / "before", gate=100), written(tmp_path / "after", gate=106)
    assert main(["compare", before, after, "--tolerance", "0.1"]) == 0


def test_a_rise_from_nothing_is_one(tmp_path: Path) -> None:
    assert main(["compare", written(tmp_path / "before", gate=0), written(tmp_path / "after", gate=1)]) == 1


def test_what_is_not_counted_any_more_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = written(tmp_path / "before", gate=100, host=5)
    assert main(["compare", before, written(tmp_path / "after", gate=100)]) == 0
    assert "not after: host" in capsys.readouterr().out


def test_without_a_second_folder_it_is_counted_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "counted", lambda: {("instructions", "gate"): 120.0})
    assert main(["compare", written(tmp_path / "before", gate=100)]) == 1


@pytest.mark.parametrize("content", ["", "{}", '{"measurements": [{}]}', '{"measurements": 5}', "[" * 100_000])
def test_what_is_no_summary_is_told(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "summary.json").write_text(content, "utf-8")
    assert main(["compare", str(tmp_path), str(tmp_path)]) == 2
    assert "no summary of measurements" in capsys.readouterr().err


def test_what_has_nothing_in_common_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = written(tmp_path / "before", gate=1)
    after = tmp_path / "after"
    after.mkdir()
    (after / "summary.json").write_text(json.dumps({"measurements": []}), "utf-8")
    assert main(["compare", before, str(after)]) == 2
    assert "nothing" not in capsys.readouterr().out
    assert main(["compare", before, str(tmp_path / "absent")]) == 2
