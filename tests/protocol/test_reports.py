"""What was done on a device is told to its relay, kept until that has noted it, and told to nobody else."""

import pytest

from crdt_sync.protocol.effects import Note, ReportsNoted
from crdt_sync.protocol.messages import Bye, Changes, Noted, Reported, ReportEntry, Terms
from crdt_sync.protocol.versions import PEOPLE, REPORTS
from tests.protocol.scripted import RELAY, ScriptedLog, ScriptedOutbox, acceptor, dialer, drain, hello, say, welcome

ONE = ReportEntry(1_700_000_000_000_000, "export", "customers", 30)
TWO = ReportEntry(1_700_000_000_000_001, "bundle", "user:anna", 2)


def live(source: ScriptedOutbox, features=(REPORTS,), **options):
    """A dialer that has caught up; returns what it has said since the terms, too."""
    session = dialer(source, **options)
    say(session, welcome(version=PEOPLE))
    say(session, Terms(RELAY, joined=True, log=RELAY, features=features))
    sent, effects = say(session, Changes(1, 0, ()))
    for effect in effects:
        session.integrated(effect.number, (), 0)
    return session, [*sent, *drain(session)[0]]


def told(sent):
    return [message for message in sent if isinstance(message, Reported)]


def with_reports(*entries):
    source = ScriptedOutbox()
    source.reported = list(entries)
    return source


def test_what_is_kept_is_told_once_all_else_was_and_forgotten_when_it_is_noted() -> None:
    source = with_reports(ONE)
    session, sent = live(source)
    assert told(sent) == [Reported(1, (ONE,))]
    assert not session.settled
    assert say(session, Noted(1)) == ([], [ReportsNoted((ONE,))])
    assert not session.settled
    source.reported = []
    session.reports_forgotten(0)
    assert session.settled


def test_what_is_done_meanwhile_follows() -> None:
    source = with_reports(ONE)
    session, _ = live(source)
    source.reported = [ONE, TWO]
    session.report()
    assert drain(session)[0] == []
    say(session, Noted(1))
    source.reported = [TWO]
    session.reports_forgotten(0)
    assert drain(session)[0] == [Reported(2, (TWO,))]
    say(session, Noted(2))
    source.reported = []
    session.reports_forgotten(0)
    source.reported = [ONE]
    session.report()
    assert drain(session)[0] == [Reported(3, (ONE,))]


@pytest.mark.parametrize(("features", "options"), [((), {}), ((REPORTS,), {"direct": True})])
def test_who_takes_no_reports_and_devices_are_told_none(features, options) -> None:
    session, sent = live(with_reports(ONE), features, **options)
    assert told(sent) == []
    assert session.settled


@pytest.mark.parametrize("number", [0, 2])
def test_what_was_not_told_cannot_be_noted(number) -> None:
    session, _ = live(with_reports(ONE))
    (bye,), _ = say(session, Noted(number))
    assert bye.code == "protocol_violation"


def test_nothing_that_was_not_told_can_be_noted() -> None:
    session, _ = live(with_reports())
    (bye,), _ = say(session, Noted(0))
    assert bye.code == "protocol_violation"


def entered(features=(REPORTS,)):
    session = acceptor(ScriptedLog())
    say(session, hello(versions=(PEOPLE,)))
    say(session, Terms(RELAY, joined=True, log=RELAY, features=features))
    return session


def test_a_relay_says_that_it_noted_when_its_host_says_so() -> None:
    session = entered()
    assert say(session, Reported(7, (ONE, TWO))) == ([], [Note(7, (ONE, TWO))])
    session.noted(6, 0)
    assert drain(session)[0] == []
    session.noted(7, 0)
    assert drain(session)[0] == [Noted(7)]
    assert say(session, Reported(8, (ONE,))) == ([], [Note(8, (ONE,))])


def test_reports_come_one_by_one_and_only_where_the_terms_name_them() -> None:
    session = entered()
    say(session, Reported(1, (ONE,)))
    (bye,), _ = say(session, Reported(2, (ONE,)))
    assert isinstance(bye, Bye)
    assert bye.code == "protocol_violation"
    (bye,), _ = say(entered(()), Reported(1, (ONE,)))
    assert bye.code == "protocol_violation"
