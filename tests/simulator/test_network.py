"""Links of the simulator: a slow one tells how much of a frame has come."""

import random

from crdt_bench.simulator.network import TO_DIALER, TO_HOST, Link, Weather
from crdt_bench.simulator.trace import Trace
from crdt_bench.simulator.virtual_loop import VirtualLoop

SECOND = 1_000_000


def test_the_bytes_of_a_frame_come_one_after_the_other_and_frames_too() -> None:
    loop = VirtualLoop()
    weather = Weather(delay_min=0, delay_max=0, rate=(5, 0))  # 5 kB/s to the host
    link = Link(loop, Trace(), random.Random(1), lambda: weather, "slow")
    link.send(TO_HOST, bytes(50_000))
    link.send(TO_HOST, bytes(10_000))
    came: list[tuple[int, int]] = []
    for second in (1, 5, 9, 11):
        loop.call_in(second * SECOND, lambda: came.append((link.arriving(TO_HOST), link.arriving(TO_DIALER))))
    loop.run_until(20 * SECOND)
    loop.close()
    assert came == [(5_000, 0), (25_000, 0), (45_000, 0), (5_000, 0)]
