"""Which token a command that stays goes on with."""

from dataclasses import replace

import pytest

from crdt_sync import Address
from crdt_sync.cli import partners
from crdt_sync.cli.renewed_token import OwnToken, Renewal

URL = "ws://127.0.0.1:1"
FIRST, SECOND, THIRD = (f"token-number-{number}-of-all" for number in (1, 2, 3))


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "anna"
    path.mkdir()
    partners.save(path, Address(URL, FIRST))
    return path


def test_the_stored_token_is_taken_where_it_is_another_one(store):
    renewal, address = Renewal(store), Address(URL, FIRST, ping_interval_s=5)
    assert renewal.after(address) is None
    partners.save_token(store, SECOND)
    assert renewal.after(address) == replace(address, token=SECOND)


def test_no_token_is_no_other_one(store):
    (store / partners.TOKEN_FILE).unlink()
    assert Renewal(store).after(Address(URL, FIRST)) is None


def test_a_token_goes_to_no_relay_that_it_is_not_kept_for(store):
    assert Renewal(store).after(Address("ws://127.0.0.1:2", SECOND)) is None


def test_a_device_is_given_the_token_of_the_space(store):
    address = Address("wss://127.0.0.1:2", SECOND, direct=True)
    assert Renewal(store).after(address) == replace(address, token=FIRST)


def test_two_wrong_ones_do_not_take_turns(store, tmp_path):
    file = tmp_path / "file"
    file.write_text(SECOND)
    renewal = Renewal(store, file)
    first, second = Address(URL, FIRST), Address(URL, SECOND)
    assert renewal.after(Address(URL, THIRD)) == second
    assert renewal.after(second) == first
    assert renewal.after(first) is None
    renewal.accepted()
    assert renewal.after(first) == second


@pytest.mark.parametrize("content", [b"", b"\xff", b"one\ntwo"])
def test_a_file_that_holds_no_token_is_passed_over(store, tmp_path, content):
    file = tmp_path / "file"
    file.write_bytes(content)
    assert Renewal(store, file).after(Address(URL, SECOND)) == Address(URL, FIRST)
    file.unlink()
    assert Renewal(store, file).after(Address(URL, SECOND)) == Address(URL, FIRST)


def test_a_door_is_opened_with_the_token_of_now_and_never_with_none(store, tmp_path):
    stored, given = OwnToken(store, FIRST), OwnToken(store, THIRD, given=True)
    file = tmp_path / "file"
    file.write_text(THIRD)
    read = OwnToken(store, THIRD, given=True, file=file)
    partners.save_token(store, SECOND)
    assert (stored(), given(), read()) == (SECOND, THIRD, THIRD)
    file.write_text(FIRST)
    assert read() == FIRST
    for none in (f"{FIRST}\n{SECOND}\n", "Schlüssel", ""):  # nobody could prove that it knows such a one
        file.write_text(none)
        assert read() == FIRST
    file.unlink()
    (store / partners.TOKEN_FILE).write_text("")
    assert (stored(), given(), read()) == (SECOND, THIRD, FIRST)
