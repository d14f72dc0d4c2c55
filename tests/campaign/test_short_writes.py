"""Writes that leave a part of their bytes: a typed error, nothing acknowledged lost, and a retry succeeds."""

import pytest

from crdt_bench.campaign.nth_operations import Copy, Create, Edit, GroupCommit, Operation
from crdt_bench.campaign.short_writes import every
from crdt_bench.campaign.tally import Tally

from . import planted


@pytest.mark.parametrize("operation", [Edit, GroupCommit, Create, Copy])
def test_a_write_may_be_cut_anywhere(operation: type[Operation]) -> None:
    tally = Tally("short writes", "limits", 0)
    every(operation, tally, stride=4)
    assert tally.findings == []
    assert tally.ran >= 5
    assert any("StoreFull" in outcome for outcome in tally.outcomes)


def test_an_edit_that_is_acknowledged_and_not_on_disk_is_noticed() -> None:
    tally = Tally("short writes", "limits", 0)
    every(planted.ForgetfulEdit, tally, stride=16)
    assert "something acknowledged is lost" in tally.findings[0]
