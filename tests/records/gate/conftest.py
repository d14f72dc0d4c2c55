"""A gate over one record, and its verdicts."""

import pytest

from crdt_sync.records import Integrator
from tests.records.gate.permitting import BEGUN, RECORD, Place

__all__ = ["RECORD", "gate", "judge", "place"]


def gate(*stored):
    """An integrator that has loaded the record from what is stored of it."""
    integrator = Integrator(1)
    integrator.integrate(RECORD, stored, [], None, checked=True, snapshot=False)
    return integrator


def judge(integrator, update):
    """The verdict on one update, which is integrated where it is accepted."""
    (verdict,) = integrator.integrate(RECORD, None, [update], None, checked=True, snapshot=False).verdicts
    return verdict


@pytest.fixture
def place():
    """What is held, as the lead wrote it."""
    held = Place()
    assert held.write("chen", **BEGUN) == ""
    return held
