"""What is stored counts against a session and against a device's day; what is beyond is refused, and others go on."""

from crdt_sync import limits
from crdt_sync.principal import Principal
from crdt_sync.protocol.quotas import Allowance, Charge, Quotas
from crdt_sync.verdicts import Verdict, VerdictCode

ANN, BOB = Principal(bytes(15) + b"a"), Principal(bytes(15) + b"b")
DAY_US = 86_400_000_000


class Relay:
    """Stores whatever a quota allows."""

    def __init__(self, session=Allowance(), day=Allowance()):  # noqa: B008 - immutable
        self.now = 5 * DAY_US
        self.held = {"customers/old"}
        self.told = []
        self.quotas = Quotas(
            lambda: self.now, self.held.__contains__, lambda session, limit: self.told.append((session, limit))
        )
        self.quotas.session, self.quotas.day = session, day

    def store(self, session, principal, record, size):
        """Whether it was allowed."""
        taken = self.quotas.take(session, principal, record, size)
        if isinstance(taken, Verdict):
            assert taken.code is VerdictCode.QUOTA
            assert "keeps the edit" in taken.reason
            assert len(taken.reason) <= limits.REASON_LENGTH_MAX
            return False
        if taken is not None:
            self.quotas.settle(taken)
        self.held.add(record)
        return True


def test_without_quotas_everything_is_allowed():
    relay = Relay()
    assert all(relay.store(1, ANN, f"customers/{n}", 1 << 20) for n in range(1_000))


def test_bytes_of_a_session_end_with_it_and_those_of_a_day_do_not():
    relay = Relay(session=Allowance(bytes=100))
    assert relay.store(1, ANN, "customers/a", 100)
    assert not relay.store(1, ANN, "customers/a", 1)
    assert relay.store(2, ANN, "customers/a", 1), "another session"
    relay = Relay(day=Allowance(bytes=100))
    assert relay.store(1, ANN, "customers/a", 60)
    assert relay.store(2, ANN, "customers/b", 40)
    assert not relay.store(3, ANN, "customers/c", 1)
    assert relay.store(4, BOB, "customers/c", 100), "another device"
    relay.now += DAY_US
    assert relay.store(3, ANN, "customers/c", 100)


def test_new_records_are_counted_and_known_ones_go_on():
    relay = Relay(day=Allowance(records=2))
    assert relay.store(1, ANN, "customers/a", 1)
    assert relay.store(1, ANN, "customers/b", 1)
    assert not relay.store(1, ANN, "customers/c", 1)
    assert relay.store(1, ANN, "customers/a", 1)
    assert relay.store(1, ANN, "customers/old", 1)


def test_growth_is_of_one_record():
    relay = Relay(day=Allowance(growth=10))
    assert relay.store(1, ANN, "customers/old", 10)
    assert not relay.store(2, ANN, "customers/old", 1)
    assert relay.store(2, ANN, "customers/other", 10)
    assert relay.store(2, BOB, "customers/old", 10)


def test_a_user_has_one_quota_for_all_devices():
    relay = Relay(day=Allowance(bytes=10))
    assert relay.store(1, Principal(bytes(16), user="eve"), "customers/a", 10)
    assert not relay.store(2, Principal(bytes(15) + b"2", user="eve"), "customers/a", 1)


def test_the_operator_hears_once_of_each_limit_that_is_met():
    relay = Relay(day=Allowance(bytes=10))
    for _ in range(3):
        assert not relay.store(1, ANN, "customers/a", 11)
    assert relay.told == [(1, "10 bytes in one day (UTC)")]


def test_what_is_counted_is_bounded(monkeypatch):
    monkeypatch.setattr(limits, "QUOTA_USERS_MAX", 10)
    monkeypatch.setattr(limits, "QUOTA_RECORDS_MAX", 10)
    relay = Relay(Allowance(100, 100, 100), Allowance(100, 100, 100))
    for number in range(100):
        assert relay.store(number, Principal(number.to_bytes(16)), f"customers/{number}", 100)
    for counts in (relay.quotas._sessions, relay.quotas._days):
        assert len(counts.used) == len(counts.grown) == 10
    assert not relay.store(99, ANN, "customers/99", 1)


def test_what_is_under_way_counts_until_it_is_refused():
    relay = Relay(day=Allowance(bytes=10, records=1, growth=10))
    charge = relay.quotas.take(1, ANN, "customers/a", 10)
    assert isinstance(charge, Charge)
    for size, record in ((1, "customers/old"), (0, "customers/b")):
        assert isinstance(relay.quotas.take(1, ANN, record, size), Verdict)
    assert isinstance(relay.quotas.take(1, ANN, "customers/a", 0), Charge), "it is new once"
    relay.quotas.give_back(charge)
    assert relay.store(1, ANN, "customers/b", 10)
