"""Time as sessions count it."""

from hypothesis import given
from hypothesis import strategies as st

from crdt_bench.simulator.virtual_loop import VirtualLoop
from crdt_sync.runtime.steady import steady_us


@given(st.integers(0, 10**13))
def test_a_timer_set_for_a_microsecond_finds_it_reached(when: int) -> None:
    """Where it does not, its owner sets it for the same microsecond again."""
    with VirtualLoop() as loop:
        seen: list[int] = []
        loop.call_at(when / 1e6, lambda: seen.append(steady_us(loop)))
        loop.run_until(when)
    assert seen == [when]
