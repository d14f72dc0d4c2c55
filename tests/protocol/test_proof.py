"""Proofs of the token: what each depends on, and what is read from strangers' headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.protocol.proof import Exchange, equal, read_nonce, read_replica, space_of

NONCES = st.binary(min_size=16, max_size=16)


def test_a_proof_is_the_same_on_both_sides_and_stays_so() -> None:
    exchange = Exchange(bytes(range(16)), bytes(range(16, 32)), b"\x07" * 32)
    assert exchange.dialer("a-token-of-the-space") == (
        "4b89c9cd4114fbd9a6c734ab0e03c0b2f1380e98e92bf25daca97c57c0ac8f95"
    )
    assert space_of("a-token-of-the-space").hex() == "1d839bc25fd85a79"


@given(NONCES, NONCES, st.binary(max_size=32), st.text(min_size=1, max_size=40))
def test_a_proof_changes_with_everything_that_it_is_of(
    dialer: bytes, acceptor: bytes, binding: bytes, token: str
) -> None:
    exchange = Exchange(dialer, acceptor, binding)
    proofs = {
        exchange.dialer(token),
        exchange.acceptor(token),
        exchange.dialer(token + "x"),
        Exchange(dialer, acceptor, binding + b"x").dialer(token),
        Exchange(dialer, bytes(byte ^ 1 for byte in acceptor), binding).dialer(token),
        Exchange(bytes(byte ^ 1 for byte in dialer), acceptor, binding).dialer(token),
    }
    assert len(proofs) == 6
    assert equal(exchange.dialer(token), Exchange(dialer, acceptor, binding).dialer(token))
    assert not equal(exchange.dialer(token), exchange.acceptor(token))


@pytest.mark.parametrize("text", [None, "", "00", "zz" * 16, "00" * 17, "é" * 32, " " + "00" * 15 + "0"])
def test_what_is_no_nonce_is_none(text: str | None) -> None:
    assert read_nonce(text) is None
    assert read_replica(text) is None


def test_a_nonce_is_read() -> None:
    assert read_nonce("0a" * 16) == b"\x0a" * 16


@given(st.text())
def test_any_text_may_be_said_as_a_proof(text: str) -> None:
    assert not equal(text, Exchange(b"", b"", b"").dialer("t")) or len(text) == 64
