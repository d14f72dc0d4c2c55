"""Links of the simulator: a slow one tells how much of a frame has come."""

import random

from crdt_bench.simulator.network import TO_DIALER, TO_HOST, Link, Weather
from crdt_bench.simulator.scheduler import Scheduler
from crdt_bench.simulator.trace import Trace

SECOND = 1_000_000


def test_the_bytes_of_a_frame_come_one_after_the_other_and_frames_too() -> None:
    scheduler = Scheduler()
    weather = Weather(delay_min=0, delay_max=0, rate=(5, 0))  # 5 kB/s to the host
    link = Link(scheduler, Trace(), random.Random(1), lambda: weather, "slow")
    link.send(TO_HOST, bytes(50_000))
    link.send(TO_HOST, bytes(10_000))
    came: list[tuple[int, int]] = []
    for second in (1, 5, 9, 11):
        scheduler.after(second * SECOND, None, lambda: came.append((link.arriving(TO_HOST), link.arriving(TO_DIALER))))
    while scheduler.step():
        pass
    assert came == [(5_000, 0), (25_000, 0), (45_000, 0), (5_000, 0)]
