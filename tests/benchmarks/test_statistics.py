"""The harness' statistics: exact on known samples, and the same whatever the order."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_bench.statistics import median, percentile, ratios

samples = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=50)


def test_percentiles_of_a_hundred_samples_are_their_ranks() -> None:
    hundred = [float(value) for value in range(1, 101)]
    assert [percentile(hundred, share) for share in (0, 0.01, 0.5, 0.99, 1)] == [1, 1, 50, 99, 100]


def test_a_single_sample_is_every_percentile() -> None:
    assert [percentile([7.0], share) for share in (0, 0.5, 0.99, 1)] == [7.0] * 4


def test_the_ninety_ninth_percentile_of_ten_is_the_largest() -> None:
    assert percentile([*range(9), 1000], 0.99) == 1000


@given(samples, st.floats(0, 1))
def test_a_percentile_is_a_sample_that_the_share_does_not_exceed(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)


@given(samples)
def test_the_order_of_the_samples_does_not_matter(values: list[float]) -> None:
    backwards = list(reversed(values))
    assert percentile(values, 0.9) == percentile(backwards, 0.9)
    assert median(values) == median(backwards)


@given(samples)
def test_the_median_is_that_of_the_standard_library(values: list[float]) -> None:
    assert median(values) == pytest.approx(statistics.median(values))


def test_ratios_pair_what_was_measured_side_by_side() -> None:
    assert ratios([1.0, 9.0], [2.0, 3.0]) == [0.5, 3.0]


def test_ratios_of_unequal_rounds_are_an_error() -> None:
    with pytest.raises(ValueError, match="argument 2 is longer"):
        ratios([1.0], [1.0, 2.0])


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_outside_nought_to_one_is_an_error(share: float) -> None:
    with pytest.raises(ValueError, match="between"):
        percentile([1.0], share)


def test_nothing_has_no_median_and_no_percentile() -> None:
    with pytest.raises(ValueError, match="no samples"):
        median([])
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 0.5)
