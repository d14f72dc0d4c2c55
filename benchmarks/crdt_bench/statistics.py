"""Medians, percentiles and spreads of repeated measurements."""

import math
from collections.abc import Sequence


def percentile(samples: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the smallest sample that at least `share` (0 to 1) of all do not exceed.

    It is always a value that was measured, never one in between. Raises `ValueError` without samples.
    """
    if not samples:
        raise ValueError("no samples")
    if not 0 <= share <= 1:
        raise ValueError(f"share {share} is not between 0 and 1")
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def median(samples: Sequence[float]) -> float:
    """The middle sample, or the mean of the two middle ones. Raises `ValueError` without samples."""
    if not samples:
        raise ValueError("no samples")
    ordered = sorted(samples)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Each numerator over the denominator measured beside it, so that a slow moment of the machine hits both."""
    return [above / below for above, below in zip(numerators, denominators, strict=True)]
