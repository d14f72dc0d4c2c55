"""What is asked for is found, and nothing else; the sieve by bytes decides as reading does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.audit_log.asking import Asked, Sieve
from crdt_sync.audit_log.chain import LINK_FIRST, chained
from crdt_sync.audit_log.entry import Act, Entry, encode
from crdt_sync.verdicts import VerdictCode
from tests.audit_log.logs import AT, CHANGE, DEVICE


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (Asked(), True),
        (Asked(user="anna"), True),
        (Asked(user="ben"), True),
        (Asked(user="ann"), False),
        (Asked(device=DEVICE), True),
        (Asked(device=DEVICE[:3]), True),
        (Asked(device=DEVICE[1:]), False),
        (Asked(since=AT, until=AT + 1), True),
        (Asked(since=AT + 1), False),
        (Asked(until=AT), False),
        (Asked(record="customers/a"), True),
        (Asked(record="customers/"), True),
        (Asked(record="customers"), True),
        (Asked(record="customer"), False),
        (Asked(record="customers/aa"), False),
        (Asked(field="phone"), True),
        (Asked(field="phon"), False),
        (Asked(act=Act.CHANGE), True),
        (Asked(act=Act.LOGIN), False),
        (Asked(refused=True), False),
        (Asked(user="anna", record="customers/b"), False),
    ],
)
def test_an_entry_is_asked_for(asked, found):
    assert asked.matches(CHANGE) is found
    assert Sieve(asked)(value(CHANGE)) is found


def test_refused_changes_and_logins_are_asked_for_together():
    asked = Asked(refused=True)
    assert asked.matches(CHANGE._replace(verdict=VerdictCode.FORBIDDEN))
    assert asked.matches(Entry(AT, Act.LOGIN_FAILED))
    assert not asked.matches(CHANGE._replace(verdict=VerdictCode.ACCEPTED))


def test_what_cannot_be_read_is_shown():
    ((_, broken),) = chained(0, LINK_FIRST, [AT.to_bytes(8, "big") + b"broken"])
    assert Sieve(Asked())(broken)


SOME = st.sampled_from(["", "anna", "ben", "a"])
ENTRIES = st.builds(
    Entry, st.integers(0, 5), st.sampled_from(Act), SOME, st.sampled_from([b"", b"a", b"ab"]), SOME, SOME,
    st.sampled_from(["", "a/b", "a/c", "b/b"]), st.lists(SOME, max_size=2).map(tuple),
    st.just(0), st.sampled_from([None, *VerdictCode]), st.just(1), SOME,
)  # fmt: skip
ASKED = st.builds(
    Asked, SOME, st.sampled_from([b"", b"a"]), st.integers(0, 3), st.integers(2, 6),
    st.sampled_from(["", "a/b", "a/", "b/"]), SOME, st.sampled_from([None, *Act]), st.booleans(),
)  # fmt: skip


@given(ASKED, st.lists(ENTRIES, max_size=5))
def test_the_sieve_decides_as_reading_does(asked, entries):
    assert [Sieve(asked)(value(entry)) for entry in entries] == [asked.matches(entry) for entry in entries]


def value(entry: Entry) -> bytes:
    ((_, made),) = chained(0, LINK_FIRST, [encode(entry)])
    return made
