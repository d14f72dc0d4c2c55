"""Tokens: what they say, when they hold, and every way of making one up."""

import contextlib
import json
import subprocess
import sys
from functools import partial
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync.identity import rotation
from crdt_sync.identity.base64url import encoded
from crdt_sync.identity.claims import Claims
from crdt_sync.identity.keys import KeyPair, PublicKey
from crdt_sync.identity.revocations import Revocations, Revoked
from crdt_sync.identity.statement import sealed
from crdt_sync.identity.statements import Statements
from crdt_sync.identity.tokens import TYPE, Tokens, claims_for, issue
from crdt_sync.limits import (
    SIGNED_TOKEN_LENGTH_MAX,
    TOKEN_LIFE_US,
    TOKEN_SKEW_US,
    USER_LENGTH_MAX,
)
from tests.identity.cast import (
    DAY_US,
    FOREIGN_KEY,
    LAPTOP,
    NEXT_KEY,
    NOW,
    OTHER_SPACE,
    PHONE,
    SPACE,
    SPACE_KEY,
    flipped,
    outcome,
    reason,
    said,
    token,
)
from tests.identity.test_statement import USERS

KID = SPACE_KEY.public.kid.hex()
HEADER = {"alg": "EdDSA", "kid": KID, "typ": TYPE}
PAYLOAD: dict[str, Any] = {
    "aud": SPACE.hex(),
    "sub": "anna",
    "dev": PHONE.public.device.hex(),
    "cnf": {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": encoded(PHONE.public.raw)}},
    "iat": NOW // 1_000_000,
    "exp": (NOW + TOKEN_LIFE_US) // 1_000_000,
    "jti": "00" * 16,
}


def checker(cached_max: int = 10) -> tuple[Tokens, Statements]:
    statements = Statements(SPACE, SPACE_KEY.public, [rotation.begun(SPACE, SPACE_KEY, NOW)])
    return Tokens(statements, cached_max), statements


def made(header: object, payload: object, pair: KeyPair = SPACE_KEY) -> str:
    """A token of any content, with a signature that holds."""
    parts = [encoded(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in (header, payload)]
    signed = ".".join(parts)
    return f"{signed}.{encoded(pair.sign(signed.encode()))}"


def refusal(text: str, now: int = NOW) -> str | None:
    return reason(lambda: checker()[0].check(text, now))


@given(USERS)
def test_a_token_says_who_it_is_of(user: str) -> None:
    why, claims = outcome(lambda: checker()[0].check(token(user=user), NOW))
    assert why is None
    assert claims == claims_for(SPACE, user, PHONE.public, bytes(16), NOW)
    assert claims.device == PHONE.public.device


def test_the_longest_name_fits() -> None:
    assert len(token(user="客" * USER_LENGTH_MAX)) <= 900
    assert refusal(token(user="客" * USER_LENGTH_MAX)) is None
    assert refusal(token(user="{[" * 32)) is None
    assert reason(lambda: token(user="a" * (USER_LENGTH_MAX + 1))) == "token_malformed"


def test_what_is_written_by_hand_is_read_alike() -> None:
    assert refusal(made(HEADER, PAYLOAD)) is None
    assert len(token()) == 525


def test_it_holds_from_when_it_was_issued_until_it_expires() -> None:
    text = token()
    for now, why in (
        (NOW - TOKEN_SKEW_US, None),
        (NOW - TOKEN_SKEW_US - 1, "token_not_yet_valid"),
        (NOW + TOKEN_LIFE_US + TOKEN_SKEW_US - 1, None),
        (NOW + TOKEN_LIFE_US + TOKEN_SKEW_US, "token_expired"),
        (NOW + 400 * DAY_US, "token_expired"),
    ):
        assert refusal(text, now) == why


def test_it_is_renewed_after_half_of_its_time() -> None:
    assert claims_for(SPACE, "anna", PHONE.public, bytes(16), NOW).renewal_due == NOW + TOKEN_LIFE_US // 2


def test_tokens_of_others_do_not_hold() -> None:
    assert refusal(token(by=FOREIGN_KEY)) == "token_unknown_key"
    assert refusal(token(by=FOREIGN_KEY, space=OTHER_SPACE)) == "token_foreign_space"
    assert refusal(token(space=OTHER_SPACE)) == "token_foreign_space"  # one key for two spaces
    forged = made(HEADER, PAYLOAD, FOREIGN_KEY)  # a foreign key under the name of ours
    assert refusal(forged) == "token_forged"


@pytest.mark.parametrize("secret", [SPACE_KEY.public.raw, encoded(SPACE_KEY.public.raw).encode(), b""])
def test_a_mac_keyed_with_the_public_key_is_no_signature(secret: bytes) -> None:
    signed = ".".join(encoded(json.dumps(part).encode()) for part in ({**HEADER, "alg": "HS256"}, PAYLOAD))
    with pytest.warns(jwt.InsecureKeyLengthWarning) if len(secret) < 32 else contextlib.nullcontext():
        text = jwt.encode(PAYLOAD, secret or b"x", algorithm="HS256", headers={"kid": KID, "typ": TYPE})
    assert refusal(text) == "token_malformed"
    assert refusal(f"{signed}.{'A' * 86}") == "token_malformed"


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "", "HS256", "ES256", "RS256", "Ed25519", "eddsa", None, ["EdDSA"]]
)
def test_no_other_algorithm_is_taken_even_with_a_signature_that_holds(algorithm: object) -> None:
    assert refusal(made({**HEADER, "alg": algorithm}, PAYLOAD)) == "token_malformed"


def test_a_token_without_a_signature_is_none() -> None:
    text = jwt.encode(PAYLOAD, "", algorithm="none", headers={"kid": KID, "typ": TYPE})
    assert text.endswith(".")
    assert refusal(text) == "token_malformed"
    assert refusal(token().rpartition(".")[0]) == "token_malformed"


@pytest.mark.parametrize(
    "header",
    [
        {**HEADER, "typ": "JWT"},
        {**HEADER, "typ": None},
        {key: value for key, value in HEADER.items() if key != "typ"},
        {key: value for key, value in HEADER.items() if key != "kid"},
        {**HEADER, "kid": KID.upper()},
        {**HEADER, "kid": 5},
        {**HEADER, "jku": "https://example.com/keys"},
        {**HEADER, "jwk": PAYLOAD["cnf"]},
        {**HEADER, "crit": ["exp"]},
        {**HEADER, "b64": False},
        [],
        "alg",
        b"",
        b"\xff",
        b'{"alg":"none","alg":"EdDSA","kid":"' + KID.encode() + b'","typ":"crdt-sync+jwt"}',
        b'{"a":' * 200,
        b"[" * 1000,
        b"9" * 1000,
    ],
)
def test_what_a_header_may_say_is_pinned(header: object) -> None:
    assert refusal(made(header, PAYLOAD)) == "token_malformed"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"sub": ""}, "token_malformed"),
        ({"sub": 5}, "token_malformed"),
        ({"sub": "an\na"}, "token_malformed"),
        ({"sub": "\ud800"}, "token_malformed"),
        ({"dev": LAPTOP.public.device.hex()}, "token_malformed"),
        ({"dev": None}, "token_malformed"),
        ({"cnf": {}}, "token_malformed"),
        ({"cnf": {"jwk": {**PAYLOAD["cnf"]["jwk"], "crv": "X25519"}}}, "token_malformed"),
        ({"cnf": {"jwk": {**PAYLOAD["cnf"]["jwk"], "d": ""}}}, "token_malformed"),
        ({"cnf": {"jwk": {**PAYLOAD["cnf"]["jwk"], "x": "é"}}}, "token_malformed"),
        ({"cnf": {"jwk": {**PAYLOAD["cnf"]["jwk"], "x": "AA"}}}, "key_malformed"),
        ({"iat": 1.5}, "token_malformed"),
        ({"iat": True}, "token_malformed"),
        ({"iat": -1}, "token_malformed"),
        ({"iat": PAYLOAD["exp"] + 1}, "token_malformed"),
        ({"exp": 1 << 60}, "token_malformed"),
        ({"exp": "never"}, "token_malformed"),
        ({"jti": "00"}, "token_malformed"),
        ({"aud": [SPACE.hex()]}, "token_malformed"),
        ({"role": "admin"}, "token_malformed"),
        ({"aud": OTHER_SPACE.hex()}, "token_foreign_space"),
    ],
)
def test_what_a_token_may_say_is_pinned(change: dict[str, object], why: str) -> None:
    assert refusal(made(HEADER, {**PAYLOAD, **change})) == why


@pytest.mark.parametrize("left_out", list(PAYLOAD))
def test_a_token_says_all_of_it(left_out: str) -> None:
    payload = {key: value for key, value in PAYLOAD.items() if key != left_out}
    assert refusal(made(HEADER, payload)) == "token_malformed"


@given(st.integers(0, 1 << 13))
def test_with_any_bit_changed_it_is_refused(bit: int) -> None:
    text = flipped(token().encode(), bit).decode("latin-1")
    assert (refusal(text) or "").startswith("token_")


def test_no_bit_of_one_can_be_changed() -> None:
    raw = token().encode()
    tokens, _ = checker()
    for bit in range(8 * len(raw)):
        assert (reason(partial(tokens.check, flipped(raw, bit).decode("latin-1"), NOW)) or "").startswith("token_")


@given(
    st.text(max_size=60) | st.from_regex(r"[A-Za-z0-9_-]{1,40}\.[A-Za-z0-9_-]{1,40}\.[A-Za-z0-9_-]{86}", fullmatch=True)
)
def test_any_text_may_come(text: str) -> None:
    assert refusal(text) == "token_malformed"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from([*PAYLOAD, "more"]), JSON, st.sampled_from([*HEADER, "more"]), JSON)
def test_any_content_may_come_with_a_signature_that_holds(
    claim: str, value: object, member: str, other: object
) -> None:
    said = made(HEADER, {**PAYLOAD, claim: value})
    assert (refusal(said) or "token_").startswith(("token_", "key_malformed"))
    assert (refusal(made({**HEADER, member: other}, PAYLOAD)) or "").startswith("token_")


def test_both_sides_of_the_length() -> None:
    long = token(user="a" * USER_LENGTH_MAX)
    assert refusal(long + "A" * (SIGNED_TOKEN_LENGTH_MAX - len(long))) == "token_malformed"
    assert refusal(long + "A" * SIGNED_TOKEN_LENGTH_MAX) == "token_malformed"


def test_a_revoked_device_and_a_disabled_user_are_out_though_their_token_was_checked_before() -> None:
    tokens, statements = checker()
    anna, ben = token(), token(LAPTOP, "ben")
    assert tokens.check(anna, NOW).user == "anna"
    assert tokens.check(ben, NOW).user == "ben"
    statements.take(said(Revocations({PHONE.public.device: Revoked(NOW, True)}, {"ben": NOW})))
    assert reason(lambda: tokens.check(anna, NOW)) == "device_revoked"
    assert reason(lambda: tokens.check(ben, NOW)) == "user_disabled"


def test_a_token_that_was_checked_before_expires() -> None:
    tokens, _ = checker()
    text = token()
    tokens.check(text, NOW)
    assert reason(lambda: tokens.check(text, NOW + 2 * TOKEN_LIFE_US)) == "token_expired"
    assert tokens.read(text).user == "anna"


def test_a_token_of_a_key_that_was_rotated_out_holds_no_more() -> None:
    tokens, statements = checker()
    old = token()
    begun = sealed(statements.kept()[0], SPACE).opened(SPACE_KEY.public)
    introduced = rotation.introduced(begun, SPACE_KEY, NEXT_KEY, NOW)
    for raw in introduced:
        statements.take(raw)
    assert tokens.check(old, NOW).user == "anna"
    assert tokens.check(token(by=NEXT_KEY), NOW).user == "anna"
    overlapping = sealed(introduced[1], SPACE).opened(NEXT_KEY.public)
    statements.take(rotation.retired(overlapping, NEXT_KEY, SPACE_KEY.public, [], NOW)[0])
    assert reason(lambda: tokens.check(old, NOW)) == "token_unknown_key"
    assert reason(lambda: tokens.check(token(), NOW)) == "token_unknown_key"
    assert tokens.check(token(by=NEXT_KEY), NOW).user == "anna"


def test_few_tokens_are_remembered_and_none_that_did_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[bytes] = []
    sound = PublicKey.signed
    monkeypatch.setattr(PublicKey, "signed", lambda key, *signed: checked.append(key.kid) or sound(key, *signed))
    tokens, _ = checker(cached_max=2)
    checked.clear()  # what the space said is signed, too
    texts = [token(user=f"user {number}") for number in range(3)]
    for number, counted in ((0, 1), (0, 1), (1, 2), (0, 2), (2, 3), (0, 3), (1, 4)):  # 1 was the longest unused
        tokens.check(texts[number], NOW)
        assert len(checked) == counted
    for counted in (5, 6):
        assert reason(lambda: tokens.check(made(HEADER, PAYLOAD, FOREIGN_KEY), NOW)) == "token_forged"
        assert len(checked) == counted
    tokens.check(texts[0], NOW)
    assert len(checked) == 6


def test_claims_are_of_their_device() -> None:
    assert isinstance(issue(claims_for(SPACE, "anna", PHONE.public, bytes(16), NOW, 1_500_000), SPACE_KEY), str)
    assert reason(lambda: Claims(SPACE, "anna", PHONE.public, bytes(16), 2, 1)) == "token_malformed"


def test_a_token_is_one_that_others_can_check_as_well() -> None:
    claims = jwt.decode(
        token(),
        SPACE_KEY.public.library_key(),
        algorithms=["EdDSA"],
        audience=SPACE.hex(),
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims == PAYLOAD
    assert jwt.get_unverified_header(token()) == HEADER


def test_the_library_is_loaded_by_who_issues_alone() -> None:
    code = f"""
import sys
from crdt_sync.identity.space_keys import SpaceKeys
from crdt_sync.identity.keys import PublicKey
from crdt_sync.identity.tokens import opened
opened({token()!r}, {SPACE!r}, SpaceKeys((PublicKey({SPACE_KEY.public.raw!r}),)))
print('jwt' in sys.modules)
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"
