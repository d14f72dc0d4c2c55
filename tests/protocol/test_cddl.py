"""docs/protocol.cddl and the codec allow the same messages."""

import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import cbor2
import cddl_verifier
import pytest
from hypothesis import given, settings

from crdt_sync import limits
from crdt_sync.errors import ProtocolViolation
from crdt_sync.protocol.codec import decode, encode
from crdt_sync.protocol.messages import Message
from crdt_sync.protocol.versions import NEWEST
from tests.protocol.conftest import messages

GRAMMAR = Path(__file__).resolve().parents[2] / "docs" / "protocol.cddl"
VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text("utf-8"))["accepted"]
RULES = (  # by message type, from 1
    *("hello", "welcome", "changes", "want", "updates", "have", "push", "ack", "ranges"),
    *("receipt-request", "receipt", "presence", "ping", "pong", "bye"),
    *("audit", "check", "checked", "terms", "said", "new-token"),
)
LATER = {24: "reported", 25: "noted", 30: "dropped", 31: "regranted"}
TOP = limits.INTEGER_EXACT_MAX
NUMBERS = (-1, 0, 1, 2, 7, 8, 9, 15, 8191, 8192, limits.RETRY_AFTER_MS_MAX, limits.RETRY_AFTER_MS_MAX + 1, TOP, TOP + 1)
STRANGERS = (
    *NUMBERS,
    *(None, False, True, 1.0, cbor2.undefined, cbor2.CBORSimpleValue(5), {}, [], cbor2.CBORTag(1, 1)),
    *("", "a", "A", "a\n", "é" * 64, "é" * 65, "x" * 48, "x" * 49, "é" * 256, "é" * 257, "c/a", "c/é", "C/a", "c/a\n"),
    *("c" * 48 + "/" + "k" * 79, "c" * 49 + "/k", "c/" + "k" * 80, "~" * 4096, "~" * 4097),
    *(b"", b"\0", bytes(15), bytes(16), bytes(17), bytes(32), bytes(33), bytes(35), bytes(36), bytes(37)),
)


@pytest.fixture(scope="module")
def grammar() -> cddl_verifier.Validator:
    return cddl_verifier.Validator(GRAMMAR)


def codec_allows(body: bytes) -> bool:
    try:
        decode(zlib.crc32(body).to_bytes(4, "big") + body, version=NEWEST)
    except ProtocolViolation:
        return False
    return True


def grammar_allows(grammar: cddl_verifier.Validator, body: bytes) -> bool:
    """By the rule of its type where it has one, which is several times faster than by the choice of all."""
    items = cbor2.loads(body)
    code = items[0] if items else None
    rule = "message"
    if type(code) is int:
        rule = RULES[code - 1] if 1 <= code <= len(RULES) else LATER.get(code, rule)
    return bool(grammar.validate(body, rule))


def variants(items: list, depth: int = 0) -> Iterator[list]:
    """`items` with one item, at any depth, replaced by a stranger, left out or doubled."""
    for index, item in enumerate(items):
        before, after = items[:index], items[index + 1 :]
        yield before + after
        yield [*before, item, item, *after]
        yield from ([*before, stranger, *after] for stranger in STRANGERS)
        if isinstance(item, list) and (depth == 0 or index < 3):  # of many entries, the first three
            yield from ([*before, inner, *after] for inner in variants(item, depth + 1))


def disagreements(grammar: cddl_verifier.Validator, bodies: list[bytes]) -> list[bytes]:
    return [body for body in bodies if grammar_allows(grammar, body) != codec_allows(body)]


def test_a_message_is_a_choice_of_the_rules_by_type() -> None:
    choice = GRAMMAR.read_text("utf-8").partition("message = ")[2].partition("\n\n")[0]
    assert tuple(choice.replace("/", " ").split()) == (*RULES, *LATER.values())


def test_real_frames_fit_the_grammar(grammar) -> None:
    @settings(max_examples=300)
    @given(messages)
    def fits(message: Message) -> None:
        result = grammar.validate(encode(message, NEWEST)[4:])
        assert result, result.errors

    fits()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_the_grammar_and_the_codec_refuse_the_same_variants_of(vector, grammar) -> None:
    original = cbor2.loads(bytes.fromhex(vector["frame"])[4:])
    bodies = [cbor2.dumps(items) for items in variants(original)]
    assert disagreements(grammar, bodies) == []
    assert sum(map(codec_allows, bodies)) < len(bodies)


@pytest.mark.parametrize(
    ("code", "rest", "entry", "least", "most"),
    [
        (3, (1, 2), ["c/a", 1, b"\0"], 0, limits.PAGE_RECORDS_MAX),
        (4, (1,), ["c/a", b"\0"], 0, limits.WANT_RECORDS_MAX),
        (5, (1, None, 1, True), ["c/a", b"\0", b""], 0, limits.UPDATES_RECORDS_MAX),
        (7, (1,), ["c/a", b"\0"], 1, limits.PUSH_RECORDS_MAX),
        (8, (1, None, 1), [0, 1], 1, limits.PUSH_RECORDS_MAX),
        (12, (), ["c/a", "a"], 0, limits.PRESENCE_ENTRIES_MAX),
        (17, (1, False), "c/a", 1, limits.CHECK_RECORDS_MAX),
        (18, (1,), ["c/a", b"", b"", 5], 1, limits.CHECK_RECORDS_MAX),
    ],
)
def test_the_grammar_and_the_codec_count_entries_alike(grammar, code, rest, entry, least, most) -> None:
    expected = {0: least == 0, 1: True, most: True, most + 1: False}
    for count, allowed in expected.items():
        body = cbor2.dumps([code, *rest, [entry] * count])
        assert (count, bool(grammar.validate(body)), codec_allows(body)) == (count, allowed, allowed)


@pytest.mark.parametrize(
    ("items", "most"),
    [
        (lambda size: [4, 0, [["c/a", bytes(size)]]], limits.STATE_VECTOR_BYTES_MAX),
        (lambda size: [8, 1, None, 1, [[1, bytes(size), ""]]], limits.STATE_VECTOR_BYTES_MAX),
        (lambda size: [7, 1, [["c/a", bytes(size)]]], limits.UPDATE_BYTES_MAX),
        (lambda size: [9, 1, bytes(size), b"", b""], limits.RECONCILE_COLUMN_BYTES_MAX),
        (lambda size: [5, 0, None, 1, True, [["c/a", bytes(size), b""]]], limits.UPDATE_BYTES_MAX),
    ],
)
def test_the_grammar_and_the_codec_measure_large_fields_alike(grammar, items, most) -> None:
    for size, allowed in ((most, True), (most + 1, False)):
        body = cbor2.dumps(items(size))
        assert (bool(grammar.validate(body)), codec_allows(body)) == (allowed, allowed)


@pytest.mark.parametrize(
    ("name", "rule", "mutant"),
    [
        ("ping", "number = 0..9007199254740991", "number = int"),
        ("bye", "{0,256}", "{0,255}"),
        ("push", "entries: [1*512 [record: record, update", "entries: [0*512 [record: record, update"),
        ("updates, live", "state-vector / h''", "state-vector"),
        ("have", "cursor: place, received: number", "cursor: place, ? received: number"),
        ("hello, resumed", "follow: bool", "follow: bool / 1"),
        ("push", "bstr .size (1..2359296)", "bstr"),
    ],
)
def test_a_grammar_that_says_something_else_is_found_out(name, rule, mutant) -> None:
    text = GRAMMAR.read_text("utf-8")
    assert text.count(rule) == 1
    wrong = cddl_verifier.Validator(text.replace(rule, mutant))
    (frame,) = (bytes.fromhex(vector["frame"]) for vector in VECTORS if vector["name"] == name)
    assert disagreements(wrong, [cbor2.dumps(items) for items in variants(cbor2.loads(frame[4:]))])
