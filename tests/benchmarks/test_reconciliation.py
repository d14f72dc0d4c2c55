"""The benchmark of the reconciliation at a tiny size: what it counts and writes, and that it checks what is found."""

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner

from crdt_bench.cli import app
from crdt_bench.experiments import reconciliation
from crdt_bench.experiments.comparing import METHODS, Exchange, by_list
from crdt_bench.experiments.reconciliation import NAME, Row, Study, compare
from crdt_bench.results import Measurement, Target


def test_the_command_writes_every_comparison_and_a_figure(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["reconcile", "--small", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    with (tmp_path / "reconciliation.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    cases = {(row["method"], int(row["records"]), int(row["differences"])) for row in rows}
    assert cases == {(method, *case) for method in METHODS for case in ((200, 10), (1500, 0), (1500, 10))}
    assert (tmp_path / "reconciliation.png").read_bytes().startswith(b"\x89PNG")
    assert NAME in (tmp_path / "measurements.csv").read_text("utf-8")


def test_bytes_follow_what_differs_by_ranges_and_what_is_held_by_the_others() -> None:
    few, many = ({row.method: row for row in compare(records, 6, 1)} for records in (300, 3000))
    for method in ("plain list", "state vectors"):
        assert many[method].bytes > 9 * few[method].bytes
        assert many[method].round_trips == 1
    assert many["ranges"].bytes < 3 * few["ranges"].bytes
    assert few["state vectors"].bytes > few["plain list"].bytes > 300 * (16 + len("customers/"))


def test_a_method_that_overlooks_a_record_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(here, there) -> Exchange:
        exchange = by_list(here, there)
        exchange.found[0].pop()
        return exchange

    monkeypatch.setitem(METHODS, "plain list", careless)
    with pytest.raises(AssertionError, match="found by plain list"):
        list(compare(100, 3, 1))


def test_the_targets_are_those_of_100_000_records(monkeypatch: pytest.MonkeyPatch) -> None:
    def pretended(records: int, differences: int, rounds: int) -> list[Row]:
        return [Row(method, records, differences, 0, 2, 900, 1, 2, 3) for method in METHODS]

    monkeypatch.setattr(reconciliation, "compare", pretended)
    monkeypatch.setattr(reconciliation, "upkeep", lambda sizes: [])
    targets = {
        outcome.metric: (outcome.target, outcome.reached)
        for outcome in Study().run(reconciliation.Sizes())
        if isinstance(outcome, Measurement) and outcome.target
    }
    assert targets == {
        "0 of 100,000 differ, ranges: round trips": (Target("at most", 1), False),
        "0 of 100,000 differ, ranges: bytes": (Target("at most", 1000), True),
        "10 of 100,000 differ, ranges: round trips": (Target("at most", 3), True),
        "10 of 100,000 differ, ranges: bytes": (Target("at most", 25_000), True),
        "10 of 100,000 differ, ranges: processor time, busier side": (Target("at most", 150), True),
        "1,000 of 100,000 differ, ranges: bytes": (Target("at most", 1_000_000), True),
    }
