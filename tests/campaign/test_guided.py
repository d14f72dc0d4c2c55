"""The coverage-guided fuzzer finds a bug that is planted behind branches, and no other."""

import re

import pytest

from crdt_bench.campaign import guided
from crdt_bench.campaign.hostile_inputs import READERS

if guided.missing():
    pytest.skip(guided.missing(), allow_module_level=True)
VECTOR = tuple(reader for reader in READERS if reader.name == "state vector")


def test_readers_take_whatever_the_fuzzer_thinks_of() -> None:
    tally = guided.run(1, 3_000, VECTOR)
    assert (tally.findings, tally.skipped) == ([], "")
    assert tally.ran >= 3_000
    branches = re.fullmatch(r"  state vector: (\d+) branches, \d+ inputs lead to them", tally.figures[0])
    assert branches is not None
    assert int(branches[1]) >= 40


def test_a_bug_that_hides_behind_a_value_is_found_and_told_with_its_input() -> None:
    tally = guided.run(1, 50_000, VECTOR, "tests.campaign.planted_reader")
    (finding,) = tally.findings
    assert "planted: three writers" in finding
    assert tally.ran < 50_000
