"""What a relay logs of damage that it meets again and again."""

from typing import cast

import pytest
from structlog.testing import capture_logs

from crdt_sync import limits
from crdt_sync.errors import StoreCorrupt
from crdt_sync.runtime.hosting.health import Health
from crdt_sync.runtime.worker.pool import IntegrationPool
from crdt_sync.storage.port import Committer


@pytest.fixture
def health():
    """Of a store and a pool that are not asked for anything."""
    return Health(cast(Committer, None), cast(IntegrationPool, None), lambda: 1)


def met(number: int) -> StoreCorrupt:
    return StoreCorrupt(f"record {number} is damaged", "Repair it.", f"customers/{number}")


def test_damaged_records_that_are_met_in_turn_are_logged_once_each(health):
    with capture_logs() as logged:
        for _ in range(3):
            health.damaged(met(1))
            health.damaged(met(2))
    assert [line["record"] for line in logged] == ["customers/1", "customers/2"]
    assert health.reason.startswith("store_corrupt")


def test_beyond_as_many_as_are_named_each_is_logged_as_it_is_met(health):
    for number in range(limits.DAMAGED_NAMED_MAX):
        health.damaged(met(number))
    with capture_logs() as logged:
        for number in (0, -1, -1):
            health.damaged(met(number))
    assert [line["record"] for line in logged] == ["customers/-1", "customers/-1"]
