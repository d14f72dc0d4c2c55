import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.errors import UpdateRefused
from crdt_sync.limits import CLIENTS_MAX
from crdt_sync.records import Document
from crdt_sync.records.updates.state_vector import CLOCK_MAX, EMPTY, covers, decode, encode, merge, normalise
from crdt_sync.records.updates.varint import UINT_MAX, append_uint, read_uint

VECTORS = st.dictionaries(st.integers(0, UINT_MAX), st.integers(0, CLOCK_MAX), max_size=12)


def without_zeros(vector):
    return {writer: clock for writer, clock in vector.items() if clock}


@given(st.integers(0, UINT_MAX))
def test_an_integer_survives_its_encoding(value):
    out = bytearray()
    append_uint(out, value)
    assert read_uint(bytes(out), 0) == (value, len(out))


@pytest.mark.parametrize("value", [UINT_MAX + 1, 1 << 60, 1 << 80])
def test_an_integer_beyond_53_bits_is_refused(value):
    out = bytearray()
    append_uint(out, value)
    with pytest.raises(UpdateRefused):
        read_uint(bytes(out), 0)


@given(VECTORS)
def test_a_state_vector_survives_its_encoding_without_zero_clocks(vector):
    assert decode(encode(vector)) == without_zeros(vector)


@given(VECTORS, st.randoms())
def test_equal_vectors_have_equal_bytes_whatever_their_order(vector, random):
    shuffled = list(vector.items())
    random.shuffle(shuffled)
    assert encode(dict(shuffled)) == encode(vector)


@given(VECTORS, VECTORS)
def test_a_merge_covers_both_and_nothing_smaller_does(one, other):
    both = decode(merge(encode(one), encode(other)))
    assert covers(encode(both), encode(one))
    assert covers(encode(both), encode(other))
    for writer, clock in both.items():
        smaller = encode({**both, writer: clock - 1})
        assert not (covers(smaller, encode(one)) and covers(smaller, encode(other)))


def test_the_empty_vector_is_covered_by_all_and_covers_only_itself():
    assert covers(encode({7: 1}), EMPTY)
    assert covers(EMPTY, EMPTY)
    assert not covers(EMPTY, encode({7: 1}))


@given(st.binary(max_size=40))
def test_any_bytes_are_decoded_or_refused(data):
    try:
        vector = decode(data)
    except UpdateRefused:
        return
    assert decode(normalise(data)) == without_zeros(vector)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x01\x05",
        b"\x01\x05\x03\x00",
        bytes.fromhex("80808080 01 01 01"),
        b"\x02\x05\x03\x05\x04",
        b"\x01\x05\xff\xff\xff\xff\x7f",
    ],
    ids=["nothing", "cut", "cut clock", "trailing", "518 MB in yrs", "writer twice", "clock of 35 bits"],
)
def test_malformed_bytes_are_refused(data):
    with pytest.raises(UpdateRefused) as caught:
        decode(data)
    assert caught.value.reason == "malformed"


def test_the_limit_of_writers_holds_on_both_sides():
    assert len(decode(encode(dict.fromkeys(range(CLIENTS_MAX), 1)))) == CLIENTS_MAX
    with pytest.raises(UpdateRefused):
        decode(encode(dict.fromkeys(range(CLIENTS_MAX + 1), 1)))


def test_a_documents_state_vector_is_canonical_and_counts_every_writer(office):
    people = [office.person(writer) for writer in (900, 5, 70_000)]
    for person in people:
        person.editor["company"] = "Ann"
    office.meet(*people)
    assert {person.document.state_vector() for person in people} == {encode({5: 1, 900: 1, 70_000: 1})}
    assert Document.load([people[0].document.diff()]).state_vector() == people[0].document.state_vector()
