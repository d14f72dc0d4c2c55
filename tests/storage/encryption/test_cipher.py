"""What is sealed opens at its place alone, no nonce is used twice, and names on disk tell nothing."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.storage.encryption.cipher import GROUP_BYTES, SEALED_BYTES, Cipher, group_of, key_id

KEY, OTHER = bytes(range(32)), bytes(32)


@given(st.binary(max_size=300), st.binary(max_size=40))
def test_what_is_sealed_is_opened_with_34_bytes_more(plain, place):
    sealed = Cipher(KEY).seal(place, plain)
    assert len(sealed) == len(plain) + SEALED_BYTES == len(plain) + 34
    assert Cipher(KEY).open(place, sealed) == plain


@pytest.mark.parametrize("bit", range(0, 8 * (SEALED_BYTES + 4), 5))
def test_no_bit_of_it_can_be_changed(bit):
    sealed = bytearray(Cipher(KEY).seal(b"heads\0ann", b"four"))
    sealed[bit // 8] ^= 1 << bit % 8
    assert Cipher(KEY).open(b"heads\0ann", bytes(sealed)) is None


def test_it_opens_nowhere_else_and_with_no_other_key():
    sealed = Cipher(KEY).seal(b"heads\0ann", b"four")
    assert Cipher(KEY).open(b"heads\0bob", sealed) is None
    assert Cipher(KEY).open(b"views\0ann", sealed) is None
    assert Cipher(OTHER).open(b"heads\0ann", sealed) is None


@pytest.mark.parametrize("length", range(SEALED_BYTES + 1))
def test_what_is_cut_short_does_not_open(length):
    assert Cipher(KEY).open(b"", Cipher(KEY).seal(b"", b"x")[:length]) is None


def nonces(*sealed):
    return {each[:18] for each in sealed}


def test_no_nonce_comes_twice_within_an_opening_nor_in_a_copy_that_goes_on_by_itself():
    original = Cipher(KEY)
    first = [original.seal(b"", b"same") for _ in range(1000)]
    copy = Cipher(KEY)  # as after a crash, from a backup, of a copied directory: nothing is carried over
    second = [copy.seal(b"", b"same") for _ in range(1000)]
    assert len(nonces(*first, *second)) == 2000
    assert len(set(first + second)) == 2000


def test_the_check_for_nonces_sees_a_salt_that_is_drawn_once_only():
    always = lambda: b"s" * 12  # noqa: E731
    assert nonces(Cipher(KEY, always).seal(b"", b"a")) == nonces(Cipher(KEY, always).seal(b"", b"b"))


def test_what_is_legible_of_a_damaged_value_is_all_but_the_damage():
    sealed = bytearray(Cipher(KEY).seal(b"", b"Mueller, 12 Main Street"))
    sealed[18 + 3] ^= 1
    assert Cipher(KEY).legible(bytes(sealed)) == b"Muemler, 12 Main Street"
    assert Cipher(KEY).legible(b"short") == b""


@given(st.text(max_size=20).map(str.encode), st.text(max_size=20).map(str.encode))
def test_names_are_found_again_and_lie_with_their_group(one, other):
    cipher = Cipher(KEY)
    assert cipher.name(one) == Cipher(KEY).name(one) != Cipher(OTHER).name(one)
    assert (cipher.name(one) == cipher.name(other)) == (one == other)
    same = cipher.name(one)[:GROUP_BYTES] == cipher.name(other)[:GROUP_BYTES]
    assert same == (group_of(one) == group_of(other))


def test_a_key_has_32_bytes_and_an_id_that_is_not_it():
    assert key_id(KEY) == Cipher(KEY).id != Cipher(OTHER).id
    assert key_id(KEY) not in KEY
    with pytest.raises(ValueError, match="32 bytes"):
        Cipher(os.urandom(16))
