"""Keys: what follows from them, how they are written, and which are refused."""

import hashlib
from functools import partial

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.errors import IdentityRefused
from crdt_sync.identity.keys import KeyPair, PublicKey
from tests.identity.cast import outcome

SEED = bytes(range(32))
P = 2**255 - 19


def test_ids_follow_from_the_public_key() -> None:
    public = KeyPair(SEED).public
    assert public.raw.hex() == "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"  # RFC 8032
    assert public.device == hashlib.sha256(public.raw).digest()[:16]
    assert public.kid == public.device[:8]


def test_a_key_is_written_and_read() -> None:
    pair = KeyPair(SEED)
    read = KeyPair.from_pem(pair.pem)
    assert (read.public, read.pem) == (pair.public, pair.pem)
    assert pair.pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert SEED.hex() not in repr(pair)


@given(st.binary(max_size=100), st.integers(0, 511))
def test_a_signature_holds_for_one_message_alone(message: bytes, bit: int) -> None:
    pair = KeyPair(SEED)
    signature = pair.sign(message)
    assert pair.public.signed(message, signature)
    assert not pair.public.signed(message + b"x", signature)
    assert not KeyPair(bytes(32)).public.signed(message, signature)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not pair.public.signed(message, bytes(flipped))


@given(st.binary(max_size=100))
def test_any_bytes_may_be_said_as_a_signature(signature: bytes) -> None:
    assert not KeyPair(SEED).public.signed(b"message", signature)


def _doubled(point: tuple[int, int]) -> tuple[int, int]:
    """The point added to itself, on the twisted Edwards curve of RFC 8032."""
    x, y = point
    d = -121665 * pow(121666, -1, P) % P
    product = d * x * x * y * y % P
    return 2 * x * y * pow(1 + product, -1, P) % P, (y * y + x * x) * pow(1 - product, -1, P) % P


def _x(y: int) -> int | None:
    d = -121665 * pow(121666, -1, P) % P
    square = (y * y - 1) * pow(d * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    for candidate in (root, root * pow(2, (P - 1) // 4, P) % P):
        if candidate * candidate % P == square:
            return candidate
    return None


def test_keys_under_which_anybody_can_sign_are_refused() -> None:
    """Every point whose order divides 8, in each of its encodings: all that eight times itself is the neutral one."""
    eighth = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
    for y in (0, 1, eighth, P - eighth, P - 1, P, P + 1):
        x = _x(y % P)
        assert x is not None
        assert _doubled(_doubled(_doubled((x, y % P)))) == (0, 1)
        for sign in (0, 0x80):
            raw = bytearray(y.to_bytes(32, "little"))
            raw[-1] |= sign
            with pytest.raises(IdentityRefused) as refusal:
                PublicKey(bytes(raw))
            assert refusal.value.reason == "key_malformed"


def test_such_a_key_would_sign_everything() -> None:
    neutral = bytes([1, *bytes(31)])
    Ed25519PublicKey.from_public_bytes(neutral).verify(neutral + bytes(32), b"whatever is said")


@given(st.binary(max_size=40))
def test_bytes_are_a_key_or_refused(raw: bytes) -> None:
    for make in (PublicKey, KeyPair, KeyPair.from_pem):
        reason, made = outcome(partial(make, raw))
        assert reason in ({None, "key_malformed"} if len(raw) == 32 else {"key_malformed"})
        if isinstance(made, PublicKey):
            assert not made.signed(b"message", bytes(64))


def test_keys_of_another_kind_or_with_a_password_are_refused() -> None:
    other = generate_private_key(SECP256R1())
    plain = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    locked = (
        KeyPair(SEED).library_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    for pem, said in ((plain, "another kind"), (locked, "no private key in PEM"), (b"", "no private key in PEM")):
        with pytest.raises(IdentityRefused, match=said):
            KeyPair.from_pem(pem)
