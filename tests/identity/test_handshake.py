"""Proofs: what each is of, and that none is worth anything elsewhere."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.identity import presented, rotation
from crdt_sync.identity.base64url import decoded, encoded
from crdt_sync.identity.handshake import Handshake
from crdt_sync.identity.presented import BEGINNINGS, Enrolment, LoggedIn, Renewal, SpaceProof, TokenProof, Unsent, Wiped
from crdt_sync.identity.revocations import Revocations, Revoked
from crdt_sync.identity.statements import Statements
from crdt_sync.identity.tokens import Tokens
from crdt_sync.limits import (
    HELLO_BYTES_MAX,
    ID_TOKEN_LENGTH_MAX,
    SIGNED_TOKEN_LENGTH_MAX,
    TOKEN_LENGTH_MAX,
    TOKEN_LIFE_US,
)
from crdt_sync.protocol.codec import decode, encode
from crdt_sync.protocol.messages import Hello
from crdt_sync.protocol.versions import VERSIONS
from tests.identity.cast import (
    FOREIGN_KEY,
    LAPTOP,
    NEXT_KEY,
    NOW,
    OTHER_SPACE,
    PHONE,
    SPACE,
    SPACE_KEY,
    flipped,
    keys,
    reason,
    said,
    token,
)

ID_TOKEN = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"
HERE = Handshake(SPACE, bytes(range(16)), bytes(range(16, 32)), bytes([7]) * 32)
SECRET = bytes(range(100, 116))
ELSEWHERE = {
    "replayed to a dialer's other nonce": replace(HERE, dialer_nonce=bytes(16)),
    "replayed to an acceptor's other nonce": replace(HERE, acceptor_nonce=bytes(16)),
    "the nonces are exchanged": replace(HERE, dialer_nonce=HERE.acceptor_nonce, acceptor_nonce=HERE.dialer_nonce),
    "behind another certificate": replace(HERE, binding=bytes(32)),
    "without TLS": replace(HERE, binding=b""),
    "in another space": replace(HERE, space=OTHER_SPACE),
}


def statements(*more: bytes) -> Statements:
    return Statements(SPACE, SPACE_KEY.public, [rotation.begun(SPACE, SPACE_KEY, NOW), *more])


def checked(text: str, handshake: Handshake = HERE, end: Any = "dialer", now: int = NOW, *more: bytes) -> str | None:
    return reason(lambda: handshake.check_device(end, text, Tokens(statements(*more)), now))


def test_a_device_proves_itself_at_either_end() -> None:
    for end in ("dialer", "acceptor"):
        text = HERE.prove_device(end, PHONE, token())
        claims = HERE.check_device(end, text, Tokens(statements()), NOW)
        assert (claims.user, claims.device) == ("anna", PHONE.public.device)
        assert text.isascii()
        assert text.isprintable()
        assert len(text) < 700


@pytest.mark.parametrize("elsewhere", list(ELSEWHERE.values()), ids=list(ELSEWHERE))
def test_no_proof_is_worth_anything_on_another_connection(elsewhere: Handshake) -> None:
    assert checked(elsewhere.prove_device("dialer", PHONE, token())) == "proof_invalid"
    assert reason(lambda: HERE.check_space(elsewhere.prove_space(SPACE_KEY), keys(SPACE_KEY))) == "proof_invalid"
    assert reason(lambda: HERE.check_enrolment(elsewhere.enrol(PHONE, SECRET))) == "proof_invalid"
    assert reason(lambda: HERE.check_renewal(elsewhere.renew(PHONE))) == "proof_invalid"


def test_a_proof_that_is_sent_back_is_none() -> None:
    """Whoever answers with what he was sent, or passes it on to the other end, proves nothing."""
    assert checked(HERE.prove_device("dialer", PHONE, token()), end="acceptor") == "proof_invalid"
    assert checked(HERE.prove_device("acceptor", PHONE, token()), end="dialer") == "proof_invalid"


def test_a_stolen_token_opens_nothing() -> None:
    assert checked(HERE.prove_device("dialer", LAPTOP, token())) == "proof_invalid"
    assert checked(token()) == "proof_malformed"
    assert checked(f"proof-1.{token()}.") == "proof_malformed"


def test_a_proof_belongs_to_one_token() -> None:
    """The same device with the token of another user, or with an older one of its own."""
    signature = presented.read(HERE.prove_device("dialer", PHONE, token()), TokenProof).signature
    for other in (token(user="ben"), token(now=NOW - 1_000_000)):
        assert checked(str(TokenProof(other, signature))) == "proof_invalid"
    assert checked(HERE.prove_device("dialer", PHONE, token(LAPTOP, "ben"))) == "proof_invalid"


def test_what_is_wrong_with_the_token_is_told_to_who_has_the_key_alone() -> None:
    out = said(Revocations({PHONE.public.device: Revoked(NOW, False)}))
    mine, stolen = (HERE.prove_device("dialer", pair, token()) for pair in (PHONE, LAPTOP))
    assert checked(mine, HERE, "dialer", NOW, out) == "device_revoked"
    assert checked(stolen, HERE, "dialer", NOW, out) == "proof_invalid"
    assert checked(mine, now=NOW + 2 * TOKEN_LIFE_US) == "token_expired"
    assert checked(stolen, now=NOW + 2 * TOKEN_LIFE_US) == "proof_invalid"


def test_tokens_that_the_space_did_not_issue_are_refused_whatever_the_proof() -> None:
    for text, why in (
        (token(by=FOREIGN_KEY), "token_unknown_key"),
        (token(by=FOREIGN_KEY, space=OTHER_SPACE), "token_foreign_space"),
        (token()[:-1], "token_malformed"),
    ):
        assert checked(HERE.prove_device("dialer", PHONE, text)) == why


def test_a_relay_proves_a_key_of_the_space() -> None:
    overlapping = keys(SPACE_KEY, NEXT_KEY)
    for pair in (SPACE_KEY, NEXT_KEY):
        assert HERE.check_space(HERE.prove_space(pair), overlapping) == pair.public
    assert reason(lambda: HERE.check_space(HERE.prove_space(SPACE_KEY), keys(NEXT_KEY))) == "proof_invalid"
    assert reason(lambda: HERE.check_space(HERE.prove_space(FOREIGN_KEY), overlapping)) == "proof_invalid"
    pretended = SpaceProof(SPACE_KEY.public.kid, presented.read(HERE.prove_space(FOREIGN_KEY), SpaceProof).signature)
    assert reason(lambda: HERE.check_space(str(pretended), overlapping)) == "proof_invalid"


def test_whoever_enrols_or_renews_has_the_key_that_they_bring() -> None:
    assert HERE.check_enrolment(HERE.enrol(PHONE, SECRET)).secret == SECRET
    assert HERE.check_enrolment(HERE.enrol(PHONE, SECRET)).key == PHONE.public
    assert HERE.check_renewal(HERE.renew(PHONE)) == PHONE.public
    mine = presented.read(HERE.enrol(LAPTOP, SECRET), Enrolment)
    for taken in (replace(mine, key=PHONE.public), replace(mine, secret=bytes(16))):
        assert reason(partial(HERE.check_enrolment, str(taken))) == "proof_invalid"
    assert HERE.check_wiped(HERE.confirm_wiped(PHONE)) == PHONE.public
    wiped = presented.read(HERE.confirm_wiped(LAPTOP), Wiped)
    assert reason(lambda: HERE.check_wiped(str(replace(wiped, key=PHONE.public)))) == "proof_invalid"
    asked = presented.read(HERE.renew(PHONE), Renewal)
    assert reason(lambda: HERE.check_wiped(str(Wiped(PHONE.public, asked.signature)))) == "proof_invalid"
    assert HERE.check_hand_in(HERE.hand_in(PHONE)) == PHONE.public
    handed = presented.read(HERE.hand_in(LAPTOP), Unsent)
    assert reason(lambda: HERE.check_hand_in(str(replace(handed, key=PHONE.public)))) == "proof_invalid"
    assert reason(lambda: HERE.check_hand_in(str(Unsent(PHONE.public, asked.signature)))) == "proof_invalid"
    renewal = presented.read(HERE.renew(LAPTOP), Renewal)
    assert reason(lambda: HERE.check_renewal(str(replace(renewal, key=PHONE.public)))) == "proof_invalid"


def test_no_proof_is_one_of_something_else() -> None:
    shown = {
        "device": HERE.prove_device("dialer", PHONE, token()),
        "space": HERE.prove_space(SPACE_KEY),
        "enrolment": HERE.enrol(PHONE, SECRET),
        "login": HERE.login(PHONE, ID_TOKEN),
        "renewal": HERE.renew(PHONE),
        "wiped": HERE.confirm_wiped(PHONE),
        "unsent": HERE.hand_in(PHONE),
    }
    checks: dict[str, Any] = {
        "device": partial(checked_device, "dialer"),
        "space": lambda text: HERE.check_space(text, keys(SPACE_KEY)),
        "enrolment": HERE.check_enrolment,
        "login": HERE.check_login,
        "renewal": HERE.check_renewal,
        "wiped": HERE.check_wiped,
        "unsent": HERE.check_hand_in,
    }
    for name, check in checks.items():
        for other, text in shown.items():
            assert reason(partial(check, text)) == (None if name == other else "proof_malformed")
    signature = presented.read(shown["enrolment"], Enrolment).signature
    assert reason(lambda: HERE.check_renewal(str(Renewal(PHONE.public, signature)))) == "proof_invalid"
    assert tuple(text.partition(".")[0] + "." for text in shown.values()) == BEGINNINGS


def checked_device(end: Any, text: str) -> object:
    return HERE.check_device(end, text, Tokens(statements()), NOW)


SHOWN = (
    HERE.prove_device("dialer", PHONE, token()),
    HERE.prove_space(SPACE_KEY),
    HERE.enrol(PHONE, SECRET),
    HERE.login(PHONE, ID_TOKEN),
    HERE.renew(PHONE),
    HERE.confirm_wiped(PHONE),
    HERE.hand_in(PHONE),
)


def any_check(text: str) -> object:
    """By its form, as who is shown it would check it."""
    match presented.presented(text):
        case TokenProof():
            return checked_device("dialer", text)
        case SpaceProof():
            return HERE.check_space(text, keys(SPACE_KEY))
        case Enrolment():
            return HERE.check_enrolment(text)
        case LoggedIn():
            return HERE.check_login(text)
        case Renewal():
            return HERE.check_renewal(text)
        case Wiped():
            return HERE.check_wiped(text)
        case Unsent():
            return HERE.check_hand_in(text)


@pytest.mark.parametrize("text", SHOWN, ids=BEGINNINGS)
def test_no_bit_of_a_proof_can_be_changed(text: str) -> None:
    raw = text.encode()
    for bit in range(8 * len(raw)):
        changed = flipped(raw, bit).decode("latin-1")
        assert (reason(partial(any_check, changed)) or "").startswith(("proof_", "token_", "key_"))


@given(st.text(max_size=40) | st.builds("".join, st.tuples(st.sampled_from(BEGINNINGS), st.text(max_size=40))))
def test_any_text_may_be_shown(text: str) -> None:
    assert reason(lambda: any_check(text)) in {"proof_malformed", "token_malformed"}


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64))
def test_what_has_the_form_is_read_as_it_was_written(secret: bytes, seed: bytes, signature: bytes) -> None:
    key = type(PHONE)(seed).public
    for shown in (
        TokenProof(token(), signature),
        SpaceProof(secret[:8], signature),
        Enrolment(secret, key, signature),
        LoggedIn(ID_TOKEN, key, signature),
        Renewal(key, signature),
    ):
        assert presented.presented(str(shown)) == shown
        assert reason(partial(any_check, str(shown))) == "proof_invalid"


def test_a_shared_token_has_none_of_these_forms() -> None:
    for shared in ("", "a-token-of-the-space", "0a" * 32, "a.b", "proof-1"):
        assert reason(partial(presented.presented, shared)) == "proof_malformed"


def test_both_sides_of_the_length() -> None:
    signature = encoded(bytes(64))
    most = f"proof-1.{'a' * (SIGNED_TOKEN_LENGTH_MAX - 4)}.b.c.{signature}"
    assert reason(lambda: presented.presented(most)) is None
    assert reason(lambda: presented.presented(most.replace(".b.", ".bb."))) == "proof_malformed"
    assert reason(lambda: presented.presented("a" * (TOKEN_LENGTH_MAX + 1))) == "proof_malformed"


@pytest.mark.parametrize(
    "parts", [(SPACE[:-1], 16, 16, 32), (SPACE, 15, 16, 32), (SPACE, 16, 17, 32), (SPACE, 16, 16, 31)]
)
def test_a_handshake_has_parts_of_one_size(parts: tuple[bytes, int, int, int]) -> None:
    space, dialer, acceptor, binding = parts
    with pytest.raises(ValueError, match="another size"):
        Handshake(space, bytes(dialer), bytes(acceptor), bytes(binding))


@given(st.binary(max_size=80), st.text(max_size=20))
def test_bytes_have_one_text(raw: bytes, text: str) -> None:
    assert decoded(encoded(raw)) == raw
    read = decoded(text)
    assert read is None or encoded(read) == text


@pytest.mark.parametrize("text", SHOWN, ids=BEGINNINGS)
def test_what_is_shown_fits_the_token_field_of_a_hello(text: str) -> None:
    hello = Hello(VERSIONS, bytes(16), text, NOW, None, follow=True, count=0, agent="crdt-sync")
    assert decode(encode(hello)) == hello
    for longest in (
        TokenProof(f"{'a' * (SIGNED_TOKEN_LENGTH_MAX - 4)}.b.c", bytes(64)),
        LoggedIn(f"{'a' * (ID_TOKEN_LENGTH_MAX - 4)}.b.c", PHONE.public, bytes(64)),
    ):
        assert len(encode(replace(hello, token=str(longest)))) < HELLO_BYTES_MAX
    assert reason(lambda: presented.presented(str(longest).replace(".b.", ".bb."))) == "proof_malformed"
