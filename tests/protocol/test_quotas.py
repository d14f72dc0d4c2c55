"""What is stored counts for a session, a device, a user and the space; what is beyond is refused, and others go on."""

from hypothesis import given
from hypothesis import strategies as st

from crdt_sync import limits
from crdt_sync.principal import Principal
from crdt_sync.protocol.messages import Ack
from crdt_sync.protocol.quotas import SPACE, Allowance, Bounds, Charge, Owner, Quotas, Rate
from crdt_sync.verdicts import RetryAfter, Verdict, VerdictCode

ANN, BOB = Principal(bytes(15) + b"a"), Principal(bytes(15) + b"b")
EVE, EVE_ELSEWHERE = Principal(bytes(15) + b"1", user="eve"), Principal(bytes(15) + b"2", user="eve")
DAY_US, HOUR_MS = 86_400_000_000, 3_600_000


class Relay:
    """Stores whatever a quota allows."""

    def __init__(self, **bounds):
        self.wall = 5 * DAY_US
        self.now = 0
        self.size = 0
        self.held = {"customers/old"}
        self.told = []
        self.refusal = None
        self.quotas = self.make()
        self.allow(**bounds)

    def make(self):
        return Quotas(
            lambda: self.wall,
            self.held.__contains__,
            lambda session, owner, limit: self.told.append((session, owner, limit)),
            lambda: self.size,
        )

    def allow(self, **bounds):
        self.quotas.go_by(Bounds(**bounds))

    def store(self, session, principal, record, size):
        """Whether it was allowed."""
        taken = self.quotas.take(session, principal, record, size, self.now)
        if isinstance(taken, Verdict):
            assert "can allow more" in taken.reason
            assert len(taken.reason) <= limits.REASON_LENGTH_MAX
            self.refusal = taken
            return False
        if taken is not None:
            self.quotas.settle(taken)
        self.held.add(record)
        return True

    def used(self, owner):
        return next(((each.bytes, each.records) for each in self.quotas.usage() if each.owner == owner), None)


def test_without_quotas_everything_is_allowed_and_nothing_counted():
    relay = Relay()
    assert all(relay.store(1, ANN, f"customers/{n}", 1 << 20) for n in range(1_000))
    assert relay.quotas.off
    assert relay.quotas.changed() == []


def test_bytes_of_a_session_end_with_it():
    relay = Relay(session=Allowance(bytes=100))
    assert relay.store(1, ANN, "customers/a", 100)
    assert not relay.store(1, ANN, "customers/a", 1)
    assert relay.refusal.code is VerdictCode.QUOTA
    assert relay.refusal.retry_after is None, "another session may try at once"
    assert relay.store(2, ANN, "customers/a", 1), "another session"


def test_bytes_of_a_device_are_of_the_day_and_it_is_told_when_the_next_begins():
    relay = Relay(device=Allowance(bytes=100))
    relay.wall += 22 * 60 * 60 * 1_000_000
    assert relay.store(1, ANN, "customers/a", 60)
    assert relay.store(2, ANN, "customers/b", 40)
    assert not relay.store(3, ANN, "customers/c", 1)
    assert relay.refusal.code is VerdictCode.QUOTA
    assert relay.refusal.retry_after == RetryAfter(2 * HOUR_MS + 1, True), "nothing else is stored before, either"
    assert relay.refusal.reason.startswith("this device may store 100 bytes a day (UTC); ")
    assert relay.store(4, BOB, "customers/c", 100), "another device"
    relay.wall += 2 * HOUR_MS * 1000
    assert relay.store(3, ANN, "customers/c", 100)


def test_new_records_are_counted_and_known_ones_go_on():
    relay = Relay(device=Allowance(records=2))
    assert relay.store(1, ANN, "customers/a", 1)
    assert relay.store(1, ANN, "customers/b", 1)
    assert not relay.store(1, ANN, "customers/c", 1)
    assert relay.refusal.retry_after == RetryAfter(24 * HOUR_MS, False)
    assert relay.store(1, ANN, "customers/a", 1)
    assert relay.store(1, ANN, "customers/old", 1)


def test_growth_is_of_one_record():
    relay = Relay(device=Allowance(growth=10))
    assert relay.store(1, ANN, "customers/old", 10)
    assert not relay.store(2, ANN, "customers/old", 1)
    assert relay.refusal.retry_after is not None
    assert not relay.refusal.retry_after.all
    assert relay.store(2, ANN, "customers/other", 10)
    assert relay.store(2, BOB, "customers/old", 10)


def test_a_user_has_one_quota_for_all_devices_and_each_device_one_of_its_own():
    relay = Relay(user=Allowance(bytes=10), device=Allowance(bytes=6))
    assert relay.store(1, EVE, "customers/a", 6)
    assert not relay.store(1, EVE, "customers/a", 1), "the device's"
    assert "this device may" in relay.refusal.reason
    assert relay.store(2, EVE_ELSEWHERE, "customers/a", 4)
    assert not relay.store(2, EVE_ELSEWHERE, "customers/a", 1), "the user's"
    assert "the user eve may" in relay.refusal.reason
    assert relay.store(3, ANN, "customers/a", 6), "who has no user has none of its quotas"


def test_all_devices_together_have_the_quota_of_the_space():
    relay = Relay(space=Allowance(bytes=10))
    assert relay.store(1, ANN, "customers/a", 6)
    assert relay.store(2, EVE, "customers/a", 4)
    assert not relay.store(3, BOB, "customers/a", 1)
    assert "the space, all devices together, may" in relay.refusal.reason


def test_what_one_owner_may_not_store_counts_for_none():
    relay = Relay(space=Allowance(bytes=100), user=Allowance(bytes=10))
    assert not relay.store(1, EVE, "customers/a", 11)
    assert relay.used(SPACE) is None
    assert relay.store(1, EVE, "customers/a", 10)
    assert relay.used(SPACE) == (10, 1)


def test_the_operator_hears_once_a_day_of_each_limit_that_is_met_and_whose_it_is():
    relay = Relay(device=Allowance(bytes=10))
    for _ in range(3):
        assert not relay.store(1, ANN, "customers/a", 11)
    ann = Owner("device", ANN.device.hex())
    assert relay.told == [(1, ann, "10 bytes")]
    relay.wall += DAY_US
    assert not relay.store(1, ANN, "customers/a", 11)
    assert relay.told == [(1, ann, "10 bytes")] * 2


def test_what_is_counted_is_bounded(monkeypatch):
    monkeypatch.setattr(limits, "QUOTA_OWNERS_MAX", 10)
    monkeypatch.setattr(limits, "QUOTA_RECORDS_MAX", 10)
    relay = Relay(session=Allowance(100, 100, 100), device=Allowance(100, 100, 100), device_rate=Rate(1_000, 1_000))
    for number in range(100):
        assert relay.store(number, Principal(number.to_bytes(16)), f"customers/{number}", 100)
    for counts in (relay.quotas._sessions, relay.quotas._days):
        assert len(counts.used) == len(counts.grown) == 10
    assert len(relay.quotas._buckets) == 10
    assert not relay.store(99, ANN, "customers/99", 1)


def test_what_is_under_way_counts_until_it_is_refused():
    relay = Relay(device=Allowance(bytes=10, records=1, growth=10))
    charge = relay.quotas.take(1, ANN, "customers/a", 10, 0)
    assert isinstance(charge, Charge)
    for size, record in ((1, "customers/old"), (0, "customers/b")):
        assert isinstance(relay.quotas.take(1, ANN, record, size, 0), Verdict)
    assert isinstance(relay.quotas.take(1, ANN, "customers/a", 0, 0), Charge), "it is new once"
    relay.quotas.give_back(charge)
    assert relay.store(1, ANN, "customers/b", 10)


def test_a_rate_lets_a_burst_pass_and_says_when_half_of_it_is_there_again():
    relay = Relay(device_rate=Rate(bytes=100), burst_s=10)
    assert relay.store(1, ANN, "customers/a", 999)
    assert relay.store(1, ANN, "customers/a", 5_000), "as long as anything is left: else a large one never passes"
    assert not relay.store(1, ANN, "customers/a", 1)
    assert relay.refusal.code is VerdictCode.RATE_LIMITED
    assert relay.refusal.retry_after == RetryAfter(59_990 - 5_000 + 1, True)
    assert relay.store(1, BOB, "customers/a", 1), "another device"
    relay.now += relay.refusal.retry_after.ms * 1000
    assert relay.store(1, ANN, "customers/a", 499)
    assert relay.store(1, ANN, "customers/a", 500)
    assert not relay.store(1, ANN, "customers/a", 1)


def test_a_rate_of_updates_is_of_all_devices_of_a_user():
    relay = Relay(user_rate=Rate(updates=2), burst_s=1)
    assert relay.store(1, EVE, "customers/a", 1)
    assert relay.store(2, EVE_ELSEWHERE, "customers/a", 1)
    assert not relay.store(2, EVE_ELSEWHERE, "customers/a", 1)
    assert "the user eve may send 2 updates a second" in relay.refusal.reason


def test_who_sent_too_much_goes_on_under_other_rates():
    relay = Relay(device_rate=Rate(bytes=100, updates=100), burst_s=10)
    assert relay.store(1, ANN, "customers/a", 5_000)
    assert not relay.store(1, ANN, "customers/a", 1)
    relay.allow(device_rate=Rate(bytes=100, updates=100), burst_s=11)
    assert not relay.store(1, ANN, "customers/a", 1), "the rates are the same"
    relay.allow(device_rate=Rate(updates=100), burst_s=10)
    assert all(relay.store(1, ANN, "customers/a", 1) for _ in range(1_000))
    assert not relay.store(1, ANN, "customers/a", 1)
    assert "100 updates a second" in relay.refusal.reason


def test_nobody_is_sent_away_for_longer_than_a_relay_may():
    relay = Relay(device_rate=Rate(bytes=1))
    assert relay.store(1, ANN, "customers/a", limits.UPDATE_BYTES_MAX)
    assert not relay.store(1, ANN, "customers/a", 1)
    assert relay.refusal.retry_after == RetryAfter(limits.RETRY_AFTER_MS_MAX, True)
    refusal = relay.refusal
    assert isinstance(refusal, Verdict)
    assert Ack(1, None, 0, (refusal,)).verdicts == (refusal,)


def test_a_store_that_is_as_large_as_it_may_be_takes_nothing_more():
    relay = Relay(store_bytes=1_000)
    relay.size = 999
    assert relay.store(1, ANN, "customers/a", 10)
    assert relay.quotas.full() is None
    relay.size = 1_000
    assert not relay.store(1, ANN, "customers/a", 1)
    assert relay.refusal.code is VerdictCode.QUOTA
    assert relay.refusal.retry_after == RetryAfter(limits.STORE_FULL_RETRY_MS, True)
    assert "1,000 bytes" in relay.quotas.full()
    relay.allow(store_bytes=2_000)
    assert relay.store(1, ANN, "customers/a", 1)


def test_a_raise_holds_at_once_and_what_was_stored_counts_on():
    relay = Relay(device=Allowance(bytes=10))
    assert relay.store(1, ANN, "customers/a", 10)
    relay.allow(device=Allowance(bytes=15))
    assert relay.store(1, ANN, "customers/a", 5)
    assert not relay.store(1, ANN, "customers/a", 1)


def test_an_owner_can_be_reset_or_let_go_until_the_day_is_over():
    relay = Relay(device=Allowance(bytes=10, growth=10), device_rate=Rate(bytes=1), burst_s=10)
    ann = Owner("device", ANN.device.hex())
    assert relay.store(1, ANN, "customers/a", 10)
    assert not relay.store(1, ANN, "customers/a", 1)
    relay.quotas.reset(ann)
    assert relay.store(1, ANN, "customers/a", 10)
    relay.quotas.lift(ann)
    assert relay.store(1, ANN, "customers/a", 1_000_000)
    assert relay.used(ann) == (1_000_010, 0), "it is counted all the same"
    relay.wall += DAY_US
    assert not relay.store(1, ANN, "customers/a", 11)


def test_counts_are_taken_up_again_on_the_same_day_alone():
    relay = Relay(user=Allowance(bytes=10, records=1), device=Allowance(bytes=10))
    assert relay.store(1, EVE, "customers/a", 7)
    rows = [(owner, used) for owner, used in relay.quotas.changed() if used is not None]
    assert [(owner.kind, used.bytes, used.records) for owner, used in rows] == [("device", 7, 1), ("user", 7, 1)]
    assert relay.quotas.changed() == [], "told once"
    relay.quotas.unwritten([owner for owner, _ in rows])
    assert [owner for owner, _ in relay.quotas.changed()] == [owner for owner, _ in rows]
    day, bounds = relay.quotas.day, relay.quotas.bounds
    for later, allowed in ((0, False), (DAY_US, True)):
        relay.wall += later
        relay.quotas = relay.make()
        relay.quotas.go_by(bounds)
        relay.quotas.restore(day, rows)
        assert relay.store(1, EVE, "customers/a", 4) is allowed


def test_rows_of_yesterday_are_told_as_gone():
    relay = Relay(device=Allowance(bytes=10))
    assert relay.store(1, ANN, "customers/a", 7)
    relay.quotas.changed()
    relay.wall += DAY_US
    assert relay.quotas.changed() == [(Owner("device", ANN.device.hex()), None)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([(1, ANN), (2, BOB), (3, EVE), (4, EVE_ELSEWHERE)]),
            st.sampled_from("abc"),
            st.integers(0, 40),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_nobody_ever_stores_more_than_any_of_its_owners_may(pushes):
    """Against a list of all that was stored, looked through anew each time."""
    allowed = {"session": 120, "device": 100, "user": 90, "space": 200}
    relay = Relay(**{kind: Allowance(bytes=most) for kind, most in allowed.items()})
    stored = []
    for (session, principal), record, size, accepted in pushes:
        owners = {("session", session), ("device", principal.device), ("space", "")}
        owners |= {("user", principal.user)} if principal.user else set()
        before = {owner: sum(each for each, whose in stored if owner in whose) for owner in owners}
        fits = all(before[owner] + size <= allowed[owner[0]] for owner in owners)
        taken = relay.quotas.take(session, principal, f"customers/{record}", size, 0)
        assert isinstance(taken, Charge) is fits
        if isinstance(taken, Charge) and accepted:
            relay.quotas.settle(taken)
            stored.append((size, owners))
        elif isinstance(taken, Charge):
            relay.quotas.give_back(taken)
    assert (relay.used(SPACE) or (0, 0))[0] == sum(size for size, _ in stored)
