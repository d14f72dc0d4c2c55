"""The list of devices that joined: whose each is, and its key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync import limits
from crdt_sync.errors import IdentityRefused
from crdt_sync.identity.devices import Devices
from crdt_sync.identity.keys import KeyPair, PublicKey
from crdt_sync.identity.statements import Statements
from tests.identity.cast import LAPTOP, PHONE, SPACE, SPACE_KEY, keys, reason, said

LISTED = Devices({PHONE.public.raw: "anna", LAPTOP.public.raw: "ben"})


def test_a_device_is_found_by_its_id_and_by_its_user() -> None:
    assert LISTED.user(PHONE.public.device) == "anna"
    assert LISTED.key(PHONE.public.device) == PHONE.public
    assert LISTED.of("ben") == [LAPTOP.public.device]
    assert sorted(LISTED) == sorted([PHONE.public.device, LAPTOP.public.device])


def test_who_is_not_listed_is_nobody() -> None:
    stranger = KeyPair(bytes(32)).public.device
    assert (LISTED.user(stranger), LISTED.key(stranger)) == (None, None)
    assert LISTED.of("carl") == []


def test_one_more_is_added_and_whose_a_device_is_can_change() -> None:
    one = Devices().joined(PHONE.public, "anna")
    assert one.joined(LAPTOP.public, "ben") == LISTED
    assert one.joined(PHONE.public, "ben").user(PHONE.public.device) == "ben"


def test_a_full_list_takes_no_more(monkeypatch) -> None:
    monkeypatch.setattr("crdt_sync.identity.devices.DEVICES_LISTED_MAX", 2)
    assert len(LISTED.users) == 2
    assert reason(lambda: LISTED.joined(SPACE_KEY.public, "carl")) == "statement_malformed"
    assert limits.STATEMENT_BYTES_MAX > limits.DEVICES_LISTED_MAX * 64


def test_a_key_that_is_none_is_nobodys() -> None:
    weak = bytes(32)
    with pytest.raises(IdentityRefused):
        PublicKey(weak)
    listed = Devices({weak: "anna"})
    assert [listed.key(device) for device in listed] == [None]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        ("anna",),
        *(((user, raw),) for user, raw in [("a", b""), ("a", bytes(33)), (1, bytes(32)), ("", bytes(32))]),
    ],
)
def test_what_is_no_list_is_refused(value: object) -> None:
    assert reason(lambda: Devices.read(value)) == "statement_malformed"


@given(st.dictionaries(st.binary(min_size=32, max_size=32), st.sampled_from(["anna", "ben", "陈"]), max_size=9))
def test_a_list_is_read_as_it_was_packed(users: dict[bytes, str]) -> None:
    assert Devices.read(Devices(users).packed()) == Devices(users)


def test_the_newest_list_counts_and_none_goes_back() -> None:
    statements = Statements(SPACE, SPACE_KEY.public, [said(keys(SPACE_KEY))])
    assert statements.devices == Devices()
    assert statements.take(said(LISTED, version=2))
    assert not statements.take(said(Devices(), version=1))
    assert (statements.devices, statements.versions.devices) == (LISTED, 2)
