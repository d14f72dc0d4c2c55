"""Who is let in when, by address and replica: on a clock of the test's own."""

import pytest

from crdt_sync import limits
from crdt_sync.protocol.acceptor import Refusal
from crdt_sync.protocol.messages import Hello, VerdictCode
from crdt_sync.protocol.principal import Principal, everybody
from crdt_sync.runtime.hosting.admission import Admission, Visitor

OFFICE, ELSEWhere = "203.0.113.7", "203.0.113.8"
ANNA, BEN, CEM, BAD = (bytes([number]) * 16 for number in range(1, 5))
TOKEN = "right"
FIRST_S = limits.BAN_US_FIRST // 1_000_000


class Gate:
    def __init__(self) -> None:
        self.now_s = 1_000
        self.asked = 0
        self.admission = Admission(lambda: self.now_s * 1_000_000)

    def authorise(self, hello: Hello) -> Principal | Refusal:
        self.asked += 1
        return everybody(hello) if hello.token == TOKEN else Refusal("unauthorized", "the token is not valid here")

    def come(self, replica: bytes, address: str = OFFICE, token: str = TOKEN) -> tuple[Visitor, Principal | Refusal]:
        visitor = self.admission.visitor(address)
        hello = Hello((1,), replica, token, 0, None, True, 0, "test")
        return visitor, visitor.guarded(self.authorise)(hello)

    def refused(self, replica: bytes, address: str = OFFICE, token: str = TOKEN) -> tuple[str, int | None] | None:
        """Code and seconds until it may come back; None where it is let in."""
        found = self.come(replica, address, token)[1]
        if isinstance(found, Principal):
            return None
        return found.code, None if found.retry_after_us is None else found.retry_after_us // 1_000_000

    def poison(self, replica: bytes, updates: int, address: str = OFFICE) -> None:
        """A session that leaves before it is sent away."""
        visitor, found = self.come(replica, address)
        assert isinstance(found, Principal)
        visitor.pushed({VerdictCode.POISON: updates, VerdictCode.ACCEPTED: 1})


def test_who_is_sent_away_is_not_let_in_before_its_time_and_the_token_is_not_even_looked_at() -> None:
    gate = Gate()
    visitor, _ = gate.come(BAD)
    visitor.expelled()
    visitor.pushed({VerdictCode.POISON: limits.POISON_STRIKES_MAX})
    asked = gate.asked
    assert gate.refused(BAD) == ("poisoned", FIRST_S)
    gate.now_s += FIRST_S - 1
    assert gate.refused(BAD) == ("poisoned", 1)
    assert gate.asked == asked
    gate.now_s += 1
    assert gate.refused(BAD) is None


def test_each_time_again_is_twice_as_long_and_no_longer_than_the_most() -> None:
    gate = Gate()
    waits = []
    for _ in range(9):
        gate.poison(BAD, limits.POISON_STRIKES_MAX)
        code, wait_s = gate.refused(BAD) or ("", 0)
        assert code == "poisoned"
        waits.append(wait_s)
        gate.now_s += wait_s or 0
    assert waits == [min(FIRST_S << number, limits.BAN_US_MAX // 1_000_000) for number in range(9)]
    gate.now_s += limits.BAN_REMEMBERED_US // 1_000_000 + 1
    gate.poison(BAD, limits.POISON_STRIKES_MAX)
    assert gate.refused(BAD) == ("poisoned", FIRST_S)


def test_strikes_are_counted_over_sessions() -> None:
    gate = Gate()
    for _ in range(limits.POISON_STRIKES_MAX):
        assert gate.refused(BAD) is None
        gate.poison(BAD, 1)
    assert gate.refused(BAD) == ("poisoned", FIRST_S)


def test_strikes_for_which_one_was_sent_away_count_no_second_time() -> None:
    gate = Gate()
    gate.poison(BAD, limits.POISON_STRIKES_MAX)
    gate.now_s += FIRST_S
    gate.poison(BAD, 1)
    assert gate.refused(BAD) is None


def test_one_bad_device_keeps_out_neither_its_office_nor_its_id_elsewhere_but_ids_that_it_makes_up() -> None:
    gate = Gate()
    assert gate.refused(ANNA) is None
    gate.poison(BAD, limits.POISON_STRIKES_MAX)
    assert gate.refused(ANNA) is None
    assert gate.refused(ANNA, ELSEWhere) is None
    assert gate.refused(BAD, ELSEWhere) is None
    assert gate.refused(BEN) == ("poisoned", FIRST_S)
    gate.now_s += FIRST_S
    assert gate.refused(BEN) is None
    gate.poison(CEM, limits.POISON_STRIKES_MAX)
    assert gate.refused(BEN) is None, "it was let in before"


def test_who_proved_a_key_is_known_by_it_under_another_id_and_at_another_address() -> None:
    gate = Gate()
    key, other = b"k" * 16, b"o" * 16

    def come(replica: bytes, address: str, device: bytes) -> Principal | Refusal:
        visitor = gate.admission.visitor(address)
        hello = Hello((1,), replica, TOKEN, 0, None, True, 0, "test")
        found = visitor.guarded(lambda _: Principal(device, bytes(16), "anna"))(hello)
        if replica == BAD and isinstance(found, Principal):
            visitor.expelled()
        return found

    assert isinstance(come(BAD, OFFICE, key), Principal)
    for replica, address in ((BAD, OFFICE), (ANNA, OFFICE), (ANNA, ELSEWhere)):
        found = come(replica, address, key)
        assert isinstance(found, Refusal)
        assert (found.code, found.retry_after_us) == ("poisoned", FIRST_S * 1_000_000)
    assert isinstance(come(ANNA, OFFICE, other), Principal), "another device of that user comes in, from there too"


def test_tokens_are_guessed_slowly_from_one_address_and_who_was_let_in_notices_nothing() -> None:
    gate = Gate()
    assert gate.refused(ANNA) is None
    for _ in range(limits.TOKEN_GUESSES_MAX):
        assert gate.refused(BAD, token="wrong") == ("unauthorized", None)
    asked = gate.asked
    wait_s = limits.TOKEN_GUESS_US // 1_000_000
    assert gate.refused(BAD, token="wrong") == gate.refused(BEN) == ("unavailable", wait_s)
    assert gate.asked == asked, "a right one would not have been told apart"
    assert gate.refused(ANNA) is None
    assert gate.refused(BEN, ELSEWhere) is None
    tried = 0
    for _ in range(100):
        gate.now_s += 1
        tried += gate.refused(BAD, token="wrong") == ("unauthorized", None)
    assert tried == 100 // wait_s
    gate.now_s += wait_s
    assert gate.refused(BEN) is None


def test_an_id_that_was_let_in_is_worth_one_guess() -> None:
    gate = Gate()
    assert gate.refused(ANNA) is None
    for _ in range(limits.TOKEN_GUESSES_MAX):
        gate.refused(BAD, token="wrong")
    assert gate.refused(ANNA, token="wrong") == ("unauthorized", None)
    assert gate.refused(ANNA) is not None


@pytest.mark.parametrize("here", ["127.0.0.1", "::1", "::ffff:127.0.0.1", ""])
def test_newcomers_from_this_machine_are_not_held_against_each_other(here: str) -> None:
    gate = Gate()
    for _ in range(10 * limits.TOKEN_GUESSES_MAX):
        assert gate.refused(CEM, here, "wrong") == ("unauthorized", None)
    gate.poison(BAD, limits.POISON_STRIKES_MAX, here)
    assert gate.refused(BAD, here) == ("poisoned", FIRST_S)
    assert gate.refused(BEN, here) is None


def test_whatever_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ADMISSION_ENTRIES_MAX", 5)
    gate = Gate()
    for number in range(100):
        address, replica = f"198.51.100.{number}", bytes([number]) * 16
        gate.poison(replica, limits.POISON_STRIKES_MAX, address)
        gate.refused(CEM, address, "wrong")
    tables = [table for table in vars(gate.admission).values() if hasattr(table, "_entries")]
    assert len(tables) == 5
    assert max(map(len, tables)) == 5
    assert gate.refused(replica, address) == ("poisoned", FIRST_S)


def test_a_network_of_ipv6_counts_as_one_address() -> None:
    gate = Gate()
    gate.poison(BAD, limits.POISON_STRIKES_MAX, "2001:db8:0:1::5")
    assert (
        gate.refused(BAD, "2001:db8:0:1:ffff::9") == gate.refused(BEN, "2001:db8:0:1::6%eth0") == ("poisoned", FIRST_S)
    )
    assert gate.refused(BEN, "2001:db8:0:2::6") is None
    gate.poison(ANNA, limits.POISON_STRIKES_MAX, f"::ffff:{OFFICE}")
    assert gate.refused(ANNA, OFFICE) == ("poisoned", FIRST_S)
