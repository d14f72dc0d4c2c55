"""A gate over one record, and its verdicts."""

from crdt_sync.records import Integrator

RECORD = "customers/a"


def gate(*stored):
    """An integrator that has loaded the record from what is stored of it."""
    integrator = Integrator(1)
    integrator.integrate(RECORD, stored, [], None, checked=True, snapshot=False)
    return integrator


def judge(integrator, update):
    """The verdict on one update, which is integrated where it is accepted."""
    (verdict,) = integrator.integrate(RECORD, None, [update], None, checked=True, snapshot=False).verdicts
    return verdict
