"""How long is waited, while bytes come fast, slowly, in bursts, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync import limits
from crdt_sync.protocol.patience import Wait

SECOND = 1_000_000
FRAME_S = limits.FRAME_BYTES_MAX // limits.LINK_BYTES_PER_S_MIN


def waited_after(seconds: int, rate: float, every_s: int = 1) -> float:
    """The seconds that count as waited, where `rate` bytes a second come, seen every so often."""
    wait = Wait(0, 0)
    for second in range(every_s, seconds + 1, every_s):
        wait.look(second * SECOND, int(second * rate))
    return (seconds * SECOND - wait.since) / SECOND


@pytest.mark.parametrize("every_s", [1, 20])
@pytest.mark.parametrize(
    ("rate", "waited"), [(0, 600), (500, 300), (limits.LINK_BYTES_PER_S_MIN, 0), (5_000, 0), (6_000, 0)]
)
def test_the_clock_stands_while_bytes_come_at_the_least_rate(rate: int, waited: int, every_s: int) -> None:
    assert waited_after(600, rate, every_s) == pytest.approx(waited, abs=1)


def test_what_comes_fast_buys_no_time() -> None:
    """A frame's bytes in four seconds, and more all the time: it used to buy seventy minutes."""
    assert waited_after(600, 1 << 20) >= 600 - 4 - limits.BURST_US_MAX / SECOND


def test_what_comes_in_bursts_comes_steadily() -> None:
    wait = Wait(0, 0)
    for second in range(1, 301):
        wait.look(second * SECOND, second // 15 * 75_000)  # 5,000 a second, each 15 s
    assert (300 * SECOND - wait.since) / SECOND <= 15


def test_what_is_skipped_is_not_waited() -> None:
    wait = Wait(0, 0)
    wait.look(10, 0)
    wait.skip(20, 100)
    assert wait.look(110, 0) == 80  # 30 were waited
    wait.begin(150, 0)
    wait.skip(140, 200)
    assert wait.look(200, 0) == 200


def test_more_than_a_frame_is_not_on_its_way_before_anything() -> None:
    rate = 5_000
    line_s = limits.FRAME_BYTES_MAX // rate
    assert waited_after(line_s, rate) <= 1
    assert waited_after(line_s + 120, rate) >= 120 - 1 - limits.BURST_US_MAX / SECOND


@given(st.lists(st.tuples(st.integers(1, 60 * SECOND), st.integers(-20, 1 << 21)), max_size=60))
def test_no_wait_lasts_for_ever_and_time_never_counts_twice(steps: list[tuple[int, int]]) -> None:
    wait, now, came = Wait(0, 0), 0, 0
    for passed, arrived in steps:
        now, came = now + passed, came + arrived  # a frame has fewer bytes than came with its header
        before = wait.since
        assert before <= wait.look(now, came) <= min(now, before + passed)
    assert wait.since <= FRAME_S * SECOND
