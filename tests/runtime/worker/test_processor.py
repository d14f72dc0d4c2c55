"""Processor time of a process: two ways to learn it, one truth."""

import os
import time

import pytest

from crdt_sync.runtime.worker import processor


@pytest.mark.parametrize("way", [processor._listed_us, processor._asked_us])
def test_it_grows_with_the_work_and_not_with_the_clock(way) -> None:
    before, began = way(os.getpid()), time.process_time()
    while time.process_time() - began < 0.1:
        pass
    used = way(os.getpid()) - before
    assert 80_000 <= used <= (time.process_time() - began) * 1e6 + 2 * processor.TICK_US


@pytest.mark.parametrize("way", [processor._listed_us, processor._asked_us])
def test_a_process_that_has_ended_used_nothing(way) -> None:
    assert way(2**22 + 1) == 0
