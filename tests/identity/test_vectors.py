"""What another implementation goes by says what the code says: the vectors, and the grammar in docs/identity.cddl."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cbor2
import cddl_verifier
import pytest
from hypothesis import given, settings

from crdt_sync.errors import InvalidInvite
from crdt_sync.identity import presented, rotation
from crdt_sync.identity.base64url import decoded
from crdt_sync.identity.handshake import Handshake
from crdt_sync.identity.invites import read_link
from crdt_sync.identity.keys import KeyPair, PublicKey
from crdt_sync.identity.statement import CONTEXT, Sealed, Statement, sealed
from crdt_sync.identity.statements import Statements
from crdt_sync.identity.tokens import Tokens, issue
from crdt_sync.limits import INTEGER_EXACT_MAX
from crdt_sync.strict_cbor import dumps
from tests.identity.cast import NOW, SPACE, SPACE_KEY, outcome, reason
from tests.identity.test_statement import STATEMENTS

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text("utf-8"))
GRAMMAR = Path(__file__).resolve().parents[2] / "docs" / "identity.cddl"
STRANGERS = (
    *(-1, 0, 1, 24, INTEGER_EXACT_MAX, INTEGER_EXACT_MAX + 1, None, False, True, 1.0, {}, [], cbor2.CBORTag(1, 1)),
    *("", "a", "keys", "policy", "revocations", "devices", "a\n", "é" * 64, "é" * 65, "a\u2028"),
    *(b"", b"\0", bytes(8), bytes(16), bytes(17), bytes(25), b"\1" * 32, b"\1" * 33, bytes(64)),
)


def named(kind: str) -> Any:
    return pytest.mark.parametrize("vector", VECTORS[kind], ids=lambda vector: vector["name"])


def pair_of(seed: str) -> KeyPair:
    return KeyPair(bytes.fromhex(seed))


def handshake_of(parts: dict[str, str]) -> Handshake:
    return Handshake(**{name: bytes.fromhex(value) for name, value in parts.items()})


def checker() -> Tokens:
    return Tokens(Statements(SPACE, SPACE_KEY.public, [rotation.begun(SPACE, SPACE_KEY, NOW)]))


@named("keys")
def test_ids_of_keys(vector: dict[str, str]) -> None:
    public = pair_of(vector["seed"]).public
    assert (public.raw.hex(), public.kid.hex(), public.device.hex()) == (
        vector["public"],
        vector["kid"],
        vector["device"],
    )


@named("statements")
def test_statements(vector: dict[str, Any]) -> None:
    pair, raw = pair_of(vector["signer"]), bytes.fromhex(vector["bytes"])
    statement = sealed(raw, SPACE).opened(pair.public)
    assert statement.payload.hex() == vector["payload"]
    assert (statement.body.kind, statement.version, statement.issued) == (
        vector["kind"],
        vector["version"],
        vector["issued"],
    )
    assert statement.signed_by(pair) == raw


@named("tokens")
def test_tokens(vector: dict[str, Any]) -> None:
    claims = checker().check(vector["token"], vector["now"])
    assert (claims.user, claims.device.hex(), claims.issued, claims.expires, claims.id.hex()) == (
        vector["user"],
        vector["device"],
        vector["issued"],
        vector["expires"],
        vector["id"],
    )
    assert issue(claims, SPACE_KEY) == vector["token"]


def shown_by(vector: dict[str, Any]) -> str:
    handshake, pair = handshake_of(vector["handshake"]), pair_of(vector["seed"])
    match vector["what"]:
        case "space":
            return handshake.prove_space(pair)
        case "enrol":
            return handshake.enrol(pair, bytes.fromhex(vector["secret"]))
        case "login":
            return handshake.login(pair, vector["token"])
        case "renew":
            return handshake.renew(pair)
        case "wiped":
            return handshake.confirm_wiped(pair)
        case "unsent":
            return handshake.hand_in(pair)
        case end:
            return handshake.prove_device(end, pair, vector["token"])


@named("shown")
def test_what_is_shown(vector: dict[str, Any]) -> None:
    assert shown_by(vector) == vector["text"]


@named("links")
def test_links(vector: dict[str, str]) -> None:
    link = read_link(vector["text"])
    assert (link.address, link.space.hex(), link.key.raw.hex(), link.certificate.hex(), link.secret.hex()) == (
        vector["address"],
        vector["space"],
        vector["key"],
        vector["certificate"],
        vector["secret"],
    )
    assert link.lookup.hex() == vector["lookup"]
    assert str(link) == vector["text"]


def refusal_of(vector: dict[str, Any]) -> str | None:
    match vector["what"]:
        case "statement":
            return reason(lambda: sealed(bytes.fromhex(vector["bytes"]), SPACE).opened(SPACE_KEY.public))
        case "token":
            return reason(lambda: checker().check(vector["text"], NOW))
        case "key":
            return reason(lambda: PublicKey(bytes.fromhex(vector["bytes"])))
        case "proof":
            handshake = handshake_of(vector["handshake"])
            return reason(lambda: handshake.check_device(vector["end"], vector["text"], checker(), NOW))
    try:
        read_link(vector["text"])
    except InvalidInvite as error:
        return error.code
    return None


@named("refused")
def test_what_is_refused(vector: dict[str, Any]) -> None:
    assert refusal_of(vector) == vector["reason"]


@pytest.fixture(scope="module")
def grammar() -> cddl_verifier.Validator:
    return cddl_verifier.Validator(GRAMMAR)


def variants(items: list, depth: int = 0) -> Iterator[list]:
    """`items` with one item, at any depth, replaced by a stranger, left out or doubled."""
    for index, item in enumerate(items):
        before, after = items[:index], items[index + 1 :]
        yield before + after
        yield [*before, item, item, *after]
        yield from ([*before, stranger, *after] for stranger in STRANGERS)
        if isinstance(item, list):
            yield from ([*before, inner, *after] for inner in variants(item, depth + 1))


def code_allows(payload: bytes) -> bool:
    raw = dumps((payload, SPACE_KEY.public.kid, SPACE_KEY.sign(CONTEXT + payload)))
    return reason(lambda: opened(raw)) in {None, "statement_foreign_space"}


def opened(raw: bytes) -> Statement:
    seen: Sealed = sealed(raw, SPACE)
    return seen.opened(SPACE_KEY.public)


def beyond_the_grammar(items: list) -> bool:
    """What no grammar says: that each key is there once, and how rows of devices, users and keys are ordered."""
    kind, body = items[0], items[-1]
    return kind in {"revocations", "devices"} or (kind == "keys" and len(set(body)) != len(body))


def disagreements(grammar: cddl_verifier.Validator, vector: dict[str, Any]) -> list[list]:
    found = []
    for items in variants(cbor2.loads(bytes.fromhex(vector["payload"]))):
        payload = cbor2.dumps(items)
        allowed, said = code_allows(payload), bool(grammar.validate(payload, "payload"))
        if allowed != said and (allowed or not beyond_the_grammar(items)):
            found.append(items)
    return found


@named("statements")
def test_the_grammar_and_the_code_refuse_the_same_variants_of(vector, grammar) -> None:
    assert disagreements(grammar, vector) == []


@pytest.mark.parametrize(
    ("kind", "rule", "mutant"),
    [
        ("policy", "version = 1..", "version = 0.."),
        ("policy", "text: tstr", "text: tstr / bstr"),
        ("policy", 'kind: "policy"', "kind: tstr"),
        ("policy", "microseconds = 0..9007199254740991", "microseconds = 0..9007199254740992"),
        ("keys", "[1*8 key]", "[0*8 key]"),
        ("keys", "[1*8 key]", "[1*8 bstr]"),
        ("devices", "bstr .size (32..320000)", "bstr .size (64..320000)"),
        ("revocations", "[user: user, since: microseconds]", "[user: user, ? since: 0..24]"),
    ],
)
def test_a_grammar_that_says_something_else_is_found_out(kind, rule, mutant) -> None:
    text = GRAMMAR.read_text("utf-8")
    assert text.count(rule) == 1
    wrong = cddl_verifier.Validator(text.replace(rule, mutant))
    assert any(disagreements(wrong, vector) for vector in VECTORS["statements"] if vector["kind"] == kind)


def test_real_statements_and_proofs_fit_the_grammar(grammar) -> None:
    @settings(max_examples=50)
    @given(STATEMENTS)
    def fits(statement: Statement) -> None:
        assert grammar.validate(statement.signed_by(SPACE_KEY), "statement")

    fits()
    for vector in VECTORS["shown"]:
        assert grammar.validate(cbor2.dumps(vector["text"]), "shown")
    for vector in VECTORS["links"]:
        assert grammar.validate(cbor2.dumps(vector["text"]), "link")
    for vector in VECTORS["tokens"]:
        header, claims, _ = (decoded(part) for part in vector["token"].split("."))
        assert grammar.validate(cbor2.dumps(json.loads(header or b"")), "token-header")
        assert grammar.validate(cbor2.dumps(json.loads(claims or b"")), "token-claims")


@pytest.mark.parametrize("text", ["", "proof-1.a.b.c.d", "space-1", "enrol-1.a.b.c", "renew-2.", "a-shared-token"])
def test_the_grammar_and_the_code_refuse_the_same_texts(text, grammar) -> None:
    assert outcome(partial(presented.presented, text))[0] == "proof_malformed"
    assert not grammar.validate(cbor2.dumps(text), "shown")
