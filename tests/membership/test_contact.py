"""For how long a device was without contact, whatever its clock does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.errors import KeyUnusable
from crdt_sync.membership.contact import CONTACT_FILE, DAY_US, Contact, ContactFile, Standing

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
    assert ContactFile(tmp_path).look(NOW + days * DAY_US) is standing
    assert ContactFile(tmp_path).look(NOW + (days + 1) * DAY_US - 1) is standing


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
    assert ContactFile(tmp_path).look(ahead) is Standing.OVER
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
    contact = Contact(lock_days=lock, wipe_days=wipe).seen_at(NOW)
    highest = 0
    for hour in hours:
        highest = max(highest, hour)
        now = NOW + hour * 3_600_000_000
        contact = contact.seen_at(now)
        assert contact.silent_days(now) == highest // 24
        over, locked = wipe and highest // 24 >= wipe, lock and highest // 24 >= lock
        assert contact.standing(now) is (Standing.OVER if over else Standing.LOCKED if locked else Standing.OPEN)
