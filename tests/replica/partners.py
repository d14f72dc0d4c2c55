"""A partner of a replica, and what its session says, for the tests of both."""

from crdt_sync.protocol.effects import Acknowledge, Pushed
from crdt_sync.protocol.messages import Verdict, VerdictCode

US, THEM = "customers/us", "customers/them"
RELAY, EPOCH, LATER, NONE = b"r" * 16, b"e" * 16, b"l" * 16, bytes(16)
ACCEPTED = Verdict(VerdictCode.ACCEPTED, 7)
HOUR_US = 3_600_000_000


def write(replica, record, **values):
    with replica.edit(record, create=True) as customer:
        customer.update(values)


def pushed(partner, record, verdict):
    outgoing, diff = partner.outgoing(record)
    return Pushed(record, outgoing.edit, diff.state_vector, verdict)


def answer(partner, record, verdict, cursor=None):
    return Acknowledge(1, (pushed(partner, record, verdict),), cursor, cursor or 1)


def refusal(code):
    return Verdict(code, reason="because")


def outbox(partner):
    return [outgoing.record for outgoing in partner.outbox("", 10)]
