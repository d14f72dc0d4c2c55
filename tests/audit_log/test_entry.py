"""What an entry says is read as it was written, and nothing else is read."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync import limits
from crdt_sync.audit_log.entry import Act, Entry, accepted, administered, decode, encode, whose
from crdt_sync.strict_cbor import dumps
from crdt_sync.verdicts import VerdictCode
from tests.audit_log.logs import AT, CHANGE

ENTRIES = st.builds(
    Entry,
    st.integers(0, 2**63),
    st.sampled_from(Act),
    st.text(max_size=9),
    st.binary(max_size=16),
    st.text(max_size=9),
    st.text(max_size=9),
    st.text(max_size=9),
    st.lists(st.text(max_size=9), max_size=3).map(tuple),
    st.integers(0, 2**40),
    st.one_of(st.none(), st.sampled_from(VerdictCode)),
    st.integers(1, 2**40),
    st.text(max_size=9),
)


@given(ENTRIES)
def test_an_entry_is_read_as_it_was_written(entry):
    assert decode(encode(entry)) == entry


@given(ENTRIES)
def test_an_accepted_change_has_the_same_bytes_whoever_writes_it(entry):
    change = Entry(
        entry.at, Act.CHANGE, entry.user, entry.device, entry.address, "", entry.record, entry.fields, entry.policy,
        VerdictCode.ACCEPTED, entry.times,
    )  # fmt: skip
    begins = whose(entry.user, entry.device, entry.address)
    assert accepted(entry.at, begins, entry.record, entry.fields, entry.policy, entry.times) == encode(change)


@given(st.binary(max_size=60), st.data())
def test_other_bytes_are_an_entry_or_refused(body, data):
    written = encode(data.draw(ENTRIES))
    for hostile in (body, written[: len(body)], written + body):
        with suppress(ValueError):
            assert isinstance(decode(hostile), Entry)


@pytest.mark.parametrize("number", [-1, len(Act)])
def test_an_act_that_there_is_not_is_refused(number):
    items = (number, "", b"", "", "", "", (), 0, 0, 1, "")
    with pytest.raises(ValueError, match="says what no entry"):
        decode(bytes(8) + dumps(items))


def test_an_entry_beyond_the_limit_is_refused():
    with pytest.raises(ValueError, match="too long"):
        decode(bytes(limits.AUDIT_ENTRY_BYTES_MAX + 1))


def test_the_largest_that_is_written_is_read():
    fields = tuple(f"{number:0100}" for number in range(limits.FIELDS_MAX))
    largest = CHANGE._replace(fields=fields, about="x" * limits.AUDIT_ABOUT_LENGTH_MAX)
    assert decode(encode(largest)) == largest


def test_numbers_of_acts_and_verdicts_stay_what_they_are():
    """Logs outlast releases: new ones are added at the end."""
    assert [each.name for each in Act] == [
        "CHANGE", "LOGIN", "LOGIN_FAILED", "ENROLMENT", "READ", "EXPORT", "ADMINISTRATION", "CUT", "WIPE",
        "HAND_IN",
    ]  # fmt: skip
    assert list(VerdictCode).index(VerdictCode.RETRY) == 8
    written = encode(CHANGE._replace(verdict=VerdictCode.FORBIDDEN))
    assert written == AT.to_bytes(8, "big") + dumps(
        (0, "anna", CHANGE.device, "192.0.2.7", "ben", "customers/a", ("name", "phone"), 3, 8, 1, "")
    )


def test_what_an_operator_did_is_named_with_what_it_was_done_to():
    entry = administered(AT, "operator root", "revoke", device="0a1b", wipe=True)
    assert (entry.act, entry.user) == (Act.ADMINISTRATION, "operator root")
    assert entry.about == "revoke device=0a1b wipe=True"
    assert len(administered(AT, "x", "y" * 5000).about) == limits.AUDIT_ABOUT_LENGTH_MAX


def test_refused_is_what_was_not_taken():
    assert not CHANGE.refused
    assert not CHANGE._replace(verdict=VerdictCode.ACCEPTED).refused
    assert CHANGE._replace(verdict=VerdictCode.QUOTA).refused
    assert Entry(AT, Act.LOGIN_FAILED).refused
    assert not Entry(AT, Act.LOGIN).refused
