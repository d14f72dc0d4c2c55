"""For how long a device was without contact, whatever its clock does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.errors import KeyUnusable
from crdt_sync.membership import contact as contacts
from crdt_sync.membership.contact import CONTACT_FILE, DAY_US, SURE_US, Contact, ContactFile, Run, Standing
from crdt_sync.strict_cbor import dumps

NOW = 1_790_000_000_000_000


def file_of(folder, lock: int = 14, wipe: int = 60) -> ContactFile:
    file = ContactFile(folder)
    file.allow(lock, wipe)
    file.made(NOW)
    return file


@pytest.mark.parametrize(
    ("days", "standing"),
    [(0, Standing.OPEN), (13, Standing.OPEN), (14, Standing.LOCKED), (59, Standing.LOCKED), (60, Standing.OVER)],
)
def test_it_locks_and_is_over_on_the_day_that_is_said(tmp_path, days, standing):
    file_of(tmp_path)
    first, later = Run(b"a", 5), Run(b"a", 5 + SURE_US)
    locked = Standing.LOCKED if standing is Standing.OVER else standing
    assert ContactFile(tmp_path).look(NOW + days * DAY_US, first) is locked
    assert ContactFile(tmp_path).look(NOW + (days + 1) * DAY_US - 1, later) is standing


@pytest.mark.parametrize(
    ("later", "standing"),
    [
        (Run(b"a", 5 + SURE_US - 1), Standing.LOCKED),
        (Run(b"a", 5 + SURE_US), Standing.OVER),
        (Run(b"b", SURE_US - 1), Standing.LOCKED),  # the machine was started again
        (Run(b"b", SURE_US), Standing.OVER),
        (Run(b"a", 4), Standing.LOCKED),  # again, where nothing tells that it was
    ],
)
def test_it_takes_a_later_look_to_destroy(tmp_path, later, standing):
    file_of(tmp_path)
    assert ContactFile(tmp_path).look(NOW + 61 * DAY_US, Run(b"a", 5)) is Standing.LOCKED
    assert ContactFile(tmp_path).look(NOW + 61 * DAY_US + 1, later) is standing


def test_a_clock_that_was_ahead_for_a_moment_destroys_nothing(tmp_path):
    """It locks, until contact."""
    file_of(tmp_path)
    assert ContactFile(tmp_path).look(NOW + 61 * DAY_US, Run(b"a", 0)) is Standing.LOCKED
    for hour in range(1, 100):
        assert ContactFile(tmp_path).look(NOW + DAY_US + hour * SURE_US, Run(b"a", hour * SURE_US)) is Standing.LOCKED
    file = ContactFile(tmp_path)
    file.made(NOW + 2 * DAY_US)
    assert ContactFile(tmp_path).look(NOW + 3 * DAY_US, Run(b"a", 200 * SURE_US)) is Standing.OPEN
    assert ContactFile(tmp_path).look(NOW + 15 * DAY_US, Run(b"a", 500 * SURE_US)) is Standing.OPEN


def test_what_two_looks_have_agreed_on_a_clock_that_is_set_back_does_not_undo(tmp_path):
    file_of(tmp_path)
    ContactFile(tmp_path).look(NOW + 60 * DAY_US, Run(b"a", 0))
    assert ContactFile(tmp_path).look(NOW + 60 * DAY_US, Run(b"a", SURE_US)) is Standing.OVER
    assert ContactFile(tmp_path).look(NOW, Run(b"b", 0)) is Standing.OVER


def test_a_look_that_believes_at_once_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(contacts, "SURE_US", 0)
    with pytest.raises(AssertionError):
        test_it_takes_a_later_look_to_destroy(tmp_path, Run(b"b", 0), Standing.LOCKED)


@pytest.mark.parametrize("years", [-9, -1, 1, 9])
@pytest.mark.parametrize("put_right", [False, True])
def test_a_clock_that_was_wrong_at_a_contact_neither_locks_nor_puts_it_off(tmp_path, years, put_right):
    file = file_of(tmp_path)
    wrong = years * 365 * DAY_US
    file.made(NOW + DAY_US + wrong, NOW + DAY_US)
    off = 0 if put_right else wrong
    assert ContactFile(tmp_path).look(NOW + DAY_US + off + 60_000_000) is Standing.OPEN
    assert ContactFile(tmp_path).look(NOW + 14 * DAY_US + off) is Standing.OPEN
    assert ContactFile(tmp_path).look(NOW + 15 * DAY_US + off) is Standing.LOCKED


def test_without_the_relays_time_contact_goes_by_the_devices_own(tmp_path):
    file = file_of(tmp_path)
    file.made(NOW + 5000 * DAY_US)
    assert file.contact.last == NOW + 5000 * DAY_US


def test_what_an_earlier_release_kept_holds(tmp_path):
    (tmp_path / CONTACT_FILE).write_bytes(dumps((1, NOW, NOW + DAY_US, 14, 60)))
    assert ContactFile(tmp_path).contact == Contact(NOW, NOW + DAY_US, 14, 60)
    assert ContactFile(tmp_path).look(NOW + 14 * DAY_US) is Standing.LOCKED


@pytest.mark.parametrize("lock", [0, 14])
def test_zero_days_are_never(tmp_path, lock):
    file_of(tmp_path, lock, 0)
    expected = Standing.LOCKED if lock else Standing.OPEN
    assert ContactFile(tmp_path).look(NOW + 10_000 * DAY_US) is expected


def test_a_clock_that_is_set_back_unlocks_nothing(tmp_path):
    file_of(tmp_path)
    assert ContactFile(tmp_path).look(NOW + 20 * DAY_US) is Standing.LOCKED
    assert ContactFile(tmp_path).look(NOW) is Standing.LOCKED
    assert ContactFile(tmp_path).look(NOW - 3000 * DAY_US) is Standing.LOCKED


def test_contact_unlocks_and_begins_anew_whatever_the_clock_says(tmp_path):
    file_of(tmp_path)
    ahead = NOW + 5000 * DAY_US
    assert ContactFile(tmp_path).look(ahead) is Standing.LOCKED
    ContactFile(tmp_path).made(NOW + DAY_US)  # the clock was wrong, and is right again
    assert ContactFile(tmp_path).look(NOW + 14 * DAY_US) is Standing.OPEN
    assert ContactFile(tmp_path).look(NOW + 15 * DAY_US) is Standing.LOCKED


def test_who_never_had_contact_has_it_from_the_first_look_on(tmp_path):
    ContactFile(tmp_path).allow(14, 60)
    assert ContactFile(tmp_path).look(NOW) is Standing.OPEN
    assert ContactFile(tmp_path).look(NOW + 14 * DAY_US) is Standing.LOCKED


@pytest.mark.parametrize(
    "kept", [b"", b"\x80", b"\x85\x01\x20\x00\x00\x00", b"\x85\x01\x05\x01\x00\x00", b"\xff" * 300]
)
def test_what_cannot_be_read_begins_anew(tmp_path, kept):
    (tmp_path / CONTACT_FILE).write_bytes(kept)
    assert ContactFile(tmp_path).contact == Contact()


def test_where_nobody_asks_for_it_no_file_is_written_by_a_look(tmp_path):
    assert ContactFile(tmp_path).look(NOW) is Standing.OPEN
    assert not (tmp_path / CONTACT_FILE).exists()


def test_what_cannot_be_written_raises_and_is_not_believed(tmp_path):
    file = ContactFile(tmp_path / "gone")
    with pytest.raises(KeyUnusable, match="cannot be written"):
        file.made(NOW)
    assert file.contact == Contact()


@given(
    st.lists(st.integers(0, 200 * 24), max_size=12),
    st.integers(0, 30),
    st.integers(0, 60),
)
def test_no_run_of_the_clock_shortens_the_silence(hours, lock, wipe):
    contact = Contact(lock_days=lock, wipe_days=wipe).seen_at(NOW, Run(b"", 0))
    highest = said = sure = 0
    for look, hour in enumerate(hours, 1):
        highest = max(highest, hour)
        sure, said = (
            max(sure, said if hour >= said else 0),
            hour,
        )  # each look agrees with the one before, or is below it
        now = NOW + hour * 3_600_000_000
        contact = contact.seen_at(now, Run(b"", look * SURE_US))
        assert contact.silent_days(now) == highest // 24
        over = wipe and sure // 24 >= wipe
        locked = any(days and highest // 24 >= days for days in (lock, wipe))
        assert contact.standing(now) is (Standing.OVER if over else Standing.LOCKED if locked else Standing.OPEN)
