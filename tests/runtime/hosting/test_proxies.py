"""Who called, through proxies that are trusted and ones that are not, whatever a caller writes into the headers."""

from collections.abc import Sequence
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.runtime.hosting.proxies import ForwardedHeader, Proxies

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


def caller(
    peer: str | None, said: Sequence[str], header: ForwardedHeader = "x-forwarded-for", trusted: bool = True
) -> str | None:
    def told(name: str) -> Sequence[str]:
        return said if name == header else ["203.0.113.66"]

    return Proxies(TRUSTED if trusted else (), header).caller(peer, told)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ((), "10.0.0.1"),
        (("192.0.2.7",), "192.0.2.7"),
        (("192.0.2.7:4711",), "192.0.2.7"),
        (("203.0.113.9, 192.0.2.7",), "192.0.2.7"),
        (("203.0.113.9", "192.0.2.7"), "192.0.2.7"),
        (("192.0.2.7, 10.9.9.9",), "192.0.2.7"),
        (("203.0.113.9,192.0.2.7,10.9.9.9,10.0.0.3",), "192.0.2.7"),
        (("2001:db8::7",), "2001:db8::7"),
        (("[2001:db8::7]:443",), "2001:db8::7"),
        (("192.0.2.7, fd00::1",), "192.0.2.7"),
        (("10.1.1.1, 10.2.2.2",), "10.1.1.1"),
        (("192.0.2.7, unknown",), "10.0.0.1"),
        (("192.0.2.7, ",), "10.0.0.1"),
        (("192.0.2.7, unknown, 10.9.9.9",), "10.9.9.9"),
        (("192.0.2.777",), "10.0.0.1"),
    ],
)
def test_entries_are_read_from_the_right_as_long_as_they_are_trusted(said: Sequence[str], found: str):
    assert caller("10.0.0.1", said) == found


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (("for=192.0.2.7",), "192.0.2.7"),
        (('For="192.0.2.7:4711"; proto=https; by=10.0.0.1',), "192.0.2.7"),
        (('proto=https;for="[2001:db8:cafe::17]:4711"',), "2001:db8:cafe::17"),
        (("for=203.0.113.9, for=192.0.2.7, for=10.9.9.9",), "192.0.2.7"),
        (('for="203.0.113.9', "for=192.0.2.7"), "192.0.2.7"),
        (("for=_hidden",), "10.0.0.1"),
        (("proto=https",), "10.0.0.1"),
        (('for=192.0.2.7;host="x, for=203.0.113.9"',), "10.0.0.1"),
    ],
)
def test_the_header_of_rfc_7239_is_read_likewise(said: Sequence[str], found: str):
    assert caller("10.0.0.1", said, "forwarded") == found


def test_who_is_no_trusted_proxy_is_not_believed():
    assert caller("192.0.2.1", ["203.0.113.9"]) == "192.0.2.1"
    assert caller("10.0.0.1", ["203.0.113.9"], trusted=False) == "10.0.0.1"
    assert caller(None, ["203.0.113.9"]) is None


def test_a_proxy_by_an_address_of_ipv4_in_ipv6_is_the_same():
    assert caller("::ffff:10.0.0.1", ["192.0.2.7"]) == "192.0.2.7"


@given(st.lists(st.text(max_size=40), max_size=30), st.sampled_from(["x-forwarded-for", "forwarded"]))
def test_whatever_a_caller_writes_the_proxy_appends_who_it_is(forged: list[str], header: ForwardedHeader):
    last = "192.0.2.7" if header == "x-forwarded-for" else "for=192.0.2.7"
    assert caller("10.0.0.1", [*forged, last], header) == "192.0.2.7"
    assert caller("10.0.0.1", [f"{','.join(forged)}, {last}"], header) == "192.0.2.7"


def test_a_chain_is_followed_for_a_bounded_way():
    said = ", ".join(f"10.0.{number // 250}.{number % 250}" for number in range(3000))
    assert caller("10.0.0.1", [f"203.0.113.9, {said}"]) == "10.0.11.234"
