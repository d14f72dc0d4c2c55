"""Hybrid logical clocks."""

from crdt_sync.clock import HybridClock
from crdt_sync.limits import STAMP_AHEAD_US_MAX, STAMP_FOLLOWED_US_MAX

NOW = 1_700_000_000_000_000


def clock(now: int = NOW) -> HybridClock:
    return HybridClock(lambda: now)


def test_stamps_rise_although_the_wall_clock_stands_still_or_goes_back() -> None:
    times = iter((NOW, NOW, NOW - 60_000_000))
    ours = HybridClock(lambda: next(times))
    assert [ours.tick(), ours.tick(), ours.tick()] == [NOW, NOW + 1, NOW + 2]


def test_what_is_written_after_a_stamp_that_was_seen_comes_after_it() -> None:
    ours = clock()
    ours.observe(NOW + STAMP_FOLLOWED_US_MAX)
    assert ours.tick() == NOW + STAMP_FOLLOWED_US_MAX + 1 < NOW + STAMP_AHEAD_US_MAX


def test_a_stamp_of_a_clock_that_is_wrong_is_not_followed() -> None:
    ours = clock()
    ours.observe(NOW + STAMP_FOLLOWED_US_MAX + 1)
    assert ours.tick() == NOW


def test_correcting_the_clock_forgets_the_stamps_of_the_wrong_time() -> None:
    ours = clock(NOW + 3_600_000_000)
    ours.tick()
    ours.correct(-3_600_000_000)
    assert ours.tick() == NOW + 1
