"""Results: targets, tidy files, and a table that people can read."""

import csv
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from crdt_bench.results import Measurement, Skipped, Target, machine, number, show, write

FAST = Measurement("speed", "one thing", "s", (3.0, 1.0, 2.0), Target("at most", 2.0))
SLOW = Measurement("speed", "another", "", (0.1,), Target("at least", 0.25), "why")
PLAIN = Measurement("size", "bytes", "KiB", (12.0,))
ABSENT = Skipped("import", "the table is not here")


def test_a_measurement_is_judged_by_its_median_on_the_side_of_its_bound() -> None:
    assert (FAST.value, FAST.reached) == (2.0, True)
    assert SLOW.reached is False
    assert PLAIN.reached is None


@pytest.mark.parametrize(
    ("side", "below", "at", "above"), [("at most", True, True, False), ("at least", False, True, True)]
)
def test_a_target_includes_its_bound(side: str, below: bool, at: bool, above: bool) -> None:
    target = Target(side, 10.0)  # type: ignore[arg-type]
    assert [target.reached(value) for value in (9.9, 10.0, 10.1)] == [below, at, above]


def test_the_csv_has_a_row_for_each_sample(tmp_path: Path) -> None:
    write([FAST, SLOW, PLAIN, ABSENT], {}, tmp_path)
    with (tmp_path / "measurements.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["metric"], row["sample"], float(row["value"])) for row in rows] == [
        ("one thing", "0", 3.0),
        ("one thing", "1", 1.0),
        ("one thing", "2", 2.0),
        ("another", "0", 0.1),
        ("bytes", "0", 12.0),
    ]


def test_the_summary_has_medians_targets_and_what_was_skipped(tmp_path: Path) -> None:
    write([FAST, SLOW, ABSENT], {"processors": "2"}, tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text("utf-8"))
    assert summary["machine"] == {"processors": "2"}
    assert summary["skipped"] == {"import": "the table is not here"}
    first, second = summary["measurements"]
    assert (first["median"], first["least"], first["most"], first["samples"]) == (2.0, 1.0, 3.0, 3)
    assert (first["target"], first["reached"]) == ("at most 2", True)
    assert (second["target"], second["reached"], second["note"]) == ("at least 0.25", False, "why")


def test_the_table_shows_what_was_reached_missed_and_skipped() -> None:
    console = Console(file=io.StringIO(), width=160)
    show([FAST, SLOW, PLAIN, ABSENT], {"processors": "2"}, console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()

    def line(text: str) -> str:
        return next(line for line in lines if text in line)

    assert "reached" in line("one thing")
    assert "1 to 3" in "\n".join(lines)
    assert "missed" in line("another")
    assert "why" in "\n".join(lines)
    assert "skipped: the table is not here" in line("skipped")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(47_213.4, "47,213"), (100.0, "100"), (12.34, "12.3"), (1.234, "1.23"), (0.12345, "0.123"), (2.0, "2")],
)
def test_figures_have_as_many_digits_as_they_deserve(value: float, shown: str) -> None:
    assert number(value) == shown


def test_the_machine_is_described_with_the_libraries_that_matter() -> None:
    assert {"processors", "python", "pycrdt", "lmdb", "websockets"} <= machine().keys()
