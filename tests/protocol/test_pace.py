"""How much a session has under way: what its link carries in a few seconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync import limits
from crdt_sync.protocol.pace import Pace


def carried(rate: int, count: int = 40) -> tuple[Pace, list[int]]:
    """Frames as large as they may become over a link that carries `rate` bytes a second, answered when they arrive."""
    pace, now, waits = Pace(), 0, []
    under_way: list[tuple[int, int]] = []
    free_at = 0
    for _ in range(count):
        while sum(size for size, _ in under_way) < pace.window:
            size = pace.frame
            pace.sent(size, now)
            free_at = max(free_at, now) + size * 1_000_000 // rate
            under_way.append((size, free_at))
        size, at = under_way.pop(0)
        waits.append(free_at - now)
        now = at
        pace.answered(size, now)
    return pace, waits


@pytest.mark.parametrize("rate", [5_000, 10_000, 100_000])
def test_on_a_slow_link_nothing_waits_for_long_once_its_speed_is_known(rate: int) -> None:
    pace, waits = carried(rate)
    assert max(waits[-10:]) <= 2 * limits.ANSWER_US_TARGET
    assert limits.WINDOW_BYTES_MIN <= pace.window <= 4 * rate * 2


def test_a_fast_link_is_used_up() -> None:
    pace, _ = carried(100_000_000)
    assert pace.window == limits.WINDOW_BYTES_MAX
    assert pace.frame == limits.FRAME_BYTES_TARGET


@given(st.lists(st.tuples(st.integers(0, 1 << 22), st.integers(0, 60_000_000), st.booleans()), max_size=300))
def test_whatever_is_sent_and_answered_the_window_keeps_its_bounds(steps: list[tuple[int, int, bool]]) -> None:
    pace, now, unanswered = Pace(), 0, 0
    for size, later, answers in steps:
        now += later
        if answers:
            answered = min(size, unanswered)
            pace.answered(answered, now)
            unanswered -= answered
        else:
            pace.sent(size, now)
            unanswered += size
        assert limits.WINDOW_BYTES_MIN <= pace.window <= limits.WINDOW_BYTES_MAX
        assert 0 < pace.frame <= limits.FRAME_BYTES_TARGET
        assert pace.time_us(size) <= size * 1000
