"""Names of users: one spelling each, and nothing that could forge a line of a log."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.identity.users import is_user
from crdt_sync.limits import USER_LENGTH_MAX


@pytest.mark.parametrize(
    "name", ["anna", "安娜", "José", "anna@example.com", "Anna Müller", "{[", "a" * USER_LENGTH_MAX]
)
def test_names(name: str) -> None:
    assert is_user(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", " anna", "anna ", "an\nna", "anna\n", "\x00", "\x85", "\u2028", "\u3000a", "\ud800"),
        *("a" * (USER_LENGTH_MAX + 1), unicodedata.normalize("NFD", "José"), b"anna", None, 5, ["anna"]),
    ],
)
def test_what_is_none(name: object) -> None:
    assert not is_user(name)


@given(st.text(max_size=4))
def test_of_two_spellings_of_one_name_one_is_taken_at_most(name: str) -> None:
    spellings = {unicodedata.normalize(form, name) for form in ("NFC", "NFD")}
    assert sum(map(is_user, spellings)) <= 1
    assert not is_user(name) or is_user(unicodedata.normalize("NFC", name))
