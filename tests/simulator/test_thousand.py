"""A thousand histories; `crdt-bench simulate` runs as many more as there is time for."""

import pytest

from tests.simulator.histories import GROUP, check_group, long_ones


@pytest.mark.parametrize("first", range(0, 1_000, GROUP))
def test_histories_under_faults_keep_every_promise(first: int) -> None:
    check_group(first)


def test_long_histories_are_among_them() -> None:
    assert len(long_ones(range(1_000))) >= 15
