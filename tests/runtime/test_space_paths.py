"""The path of an address names a space, whatever stands before it, and nothing else does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.runtime.space_paths import DEFAULT, at_space, is_name, named_in

NAMES = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?\Z")


@given(NAMES)
def test_the_address_of_a_space_names_it(name: str):
    assert is_name(name)
    for before in ("", "/", "/crm", "/crm/s/other", "/s"):
        path = at_space(f"wss://relay.example.org{before}", name).removeprefix("wss://relay.example.org")
        if name != DEFAULT:
            assert named_in(path) == named_in(f"{path}/") == named_in(f"{path}?crdt-sync=open&x=/s/other") == name


@pytest.mark.parametrize("target", ["", "/", "/s", "/s/", "/news/acme", "/crm", "?/s/acme", "x"])
def test_any_other_target_is_of_the_default(target: str):
    assert named_in(target) == DEFAULT


@pytest.mark.parametrize("target", ["/s/acme/x", "/s/Acme", "/s/../x", "/s/-a", "/s/ac_me", "/s/acme%20", "/s/acme/v1"])
def test_what_may_be_no_name_is_no_space_and_not_the_default(target: str):
    assert named_in(target) != DEFAULT
    assert not is_name(named_in(target))


@pytest.mark.parametrize("name", ["", "-", "a-", "-a", "A", "a_b", "ü", "a/b", "..", "a" * 41, "a\n"])
def test_what_may_be_no_name(name: str):
    assert not is_name(name)


def test_the_address_of_the_default_is_that_of_the_relay():
    assert at_space("ws://127.0.0.1:8765", DEFAULT) == "ws://127.0.0.1:8765"
    assert at_space("ws://127.0.0.1:8765/", "acme") == "ws://127.0.0.1:8765/s/acme"
