"""The second thousand histories; each file of tests runs in one process, so there are two."""

import pytest

from tests.simulator.histories import GROUP, check_group


@pytest.mark.parametrize("first", range(1_000, 2_000, GROUP))
def test_histories_under_faults_keep_every_promise(first: int) -> None:
    check_group(first)
