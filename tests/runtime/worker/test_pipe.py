"""Answers of a worker are checked as if a stranger had written them."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_sync import limits
from crdt_sync.runtime.worker import pipe
from crdt_sync.runtime.worker.values import ACCEPTED_KNOWN, ACCEPTED_NEW, Result
from crdt_sync.verdicts import Touched, VerdictCode, refused

VECTOR = b"\x01\x01\x05"


def body(message: object) -> bytes:
    return pipe.frame(message)[pipe.LENGTH.size :]


def test_a_frame_is_its_length_and_its_body() -> None:
    frame = pipe.frame([1, b"x"])
    assert frame[:4] == len(frame[4:]).to_bytes(4, "big")
    assert cbor2.loads(frame[4:]) == [1, b"x"]


def test_a_request_arrives_as_it_was_sent() -> None:
    items = [("customers/anna", None, (b"u",), True), ("customers/ben", (b"s", b"t"), (), False)]
    frame = pipe.encode_request(pipe.INTEGRATE, 7, 99, items)
    kind, number, stamp_max, _, received, _ = pipe.decode_request(frame[4:])
    assert (kind, number, stamp_max) == (pipe.INTEGRATE, 7, 99)
    assert received == items


def test_results_are_decoded_with_their_verdicts() -> None:
    answer = [
        7,
        [[[1, 0, ["gap", "operations 3 to 5 are missing"]], VECTOR, b"snapshot", 5], None, 0],
        ["customers/old"],
    ]
    results, evicted, *_ = pipe.decode_results(body(answer), 7, [3, 1, 1])
    gap = refused(VerdictCode.GAP, "operations 3 to 5 are missing")
    assert results == [Result((ACCEPTED_NEW, ACCEPTED_KNOWN, gap), VECTOR, b"snapshot", 5), None, pipe.UNREADABLE]
    assert evicted == ["customers/old"]


def test_what_updates_touch_is_decoded_with_their_verdicts() -> None:
    told = ["phone", ["accepted", "", ["a", "b"], ["ben"]], ["forbidden", "why", ["iban"], []], ["gap", "x"], 0]
    ((result,), *_) = pipe.decode_results(body([1, [[told, VECTOR, None, None, None]], []]), 1, [5], ruled=True)
    assert result is not None
    assert [verdict.touched for verdict in result.verdicts] == [
        Touched(("phone",)),
        Touched(("a", "b"), ("ben",)),
        Touched(("iban",)),
        None,
        None,
    ]
    assert [verdict.new for verdict in result.verdicts] == [True, True, False, False, False]


@pytest.mark.parametrize(
    "verdict",
    [
        "",
        "x" * 65,
        ["accepted", "", ["x"] * (limits.FIELDS_MAX + 1), []],
        ["accepted", "", [], ["x"] * (limits.AUDIT_AUTHORS_MAX + 1)],
        ["accepted", "", [5], []],
        ["accepted", "", "name", []],
        ["retry", "", ["name"], []],
    ],
)
def test_what_no_update_can_touch_is_no_answer(verdict: object) -> None:
    with pytest.raises(pipe.PipeCorrupt):
        pipe.decode_results(body([1, [[[verdict], VECTOR, None, None, None]], []]), 1, [1], ruled=True)


def test_a_reason_is_cut_to_what_the_wire_allows() -> None:
    answer = [1, [[[["gap", "x" * 1000]], VECTOR, None, None]], []]
    ((result, *_), *_) = pipe.decode_results(body(answer), 1, [1])
    assert result is not None
    assert len(result.verdicts[0].reason) == limits.REASON_LENGTH_MAX


@pytest.mark.parametrize(
    "answer",
    [
        8,
        [],
        [2, [[[1], VECTOR, None, None]], []],  # another request's number
        [1, [], []],  # a result is missing
        [1, [[[1], VECTOR, None, None]] * 2, []],  # one too many
        [1, [[[], VECTOR, None, None]], []],  # a verdict is missing
        [1, [[[1, 1], VECTOR, None, None]], []],
        [1, [[[2], VECTOR, None, None]], []],
        [1, [[[1], VECTOR, None, 5]], []],  # a lineage without its record
        [1, [[[1], VECTOR, b"s", -1]], []],
        [1, [[[True], VECTOR, None, None]], []],
        [1, [[[["poison", ""]], VECTOR, None, None]], []],  # only the parent says so
        [1, [[[["gap", 5]], VECTOR, None, None]], []],
        [1, [[[1], b"", None]], []],
        [1, [[[1], "text", None]], []],
        [1, [[[1], b"x" * (limits.STATE_VECTOR_BYTES_MAX + 1), None]], []],
        [1, [[[1], VECTOR, b"x" * (limits.RECORD_BYTES_MAX + 1)]], []],
        [1, [[[1], VECTOR, "text"]], []],
        [1, [[[1], VECTOR, None, None]], [5]],
        [1, [[[1], VECTOR, None, None]], "evicted"],
        [1, 1, []],
        [1, [1], []],
        {1: 2},
        cbor2.CBORTag(35, "(a+)+$"),
        [1, [[[1], VECTOR, None, None]], [cbor2.CBORTag(4, [10**9, 1])]],
        [[[[[[1]]]]]],
    ],
)
def test_what_is_no_answer_is_refused(answer: object) -> None:
    with pytest.raises(pipe.PipeCorrupt):
        pipe.decode_results(body(answer), 1, [1])


@given(st.binary(max_size=64))
def test_any_bytes_are_an_answer_or_refused(data: bytes) -> None:
    for decode in (
        lambda: pipe.decode_results(data, 1, [1]),
        lambda: pipe.decode_digests(data, 1, ["customers/anna"]),
        lambda: pipe.decode_ready(data),
    ):
        try:
            decode()
        except pipe.PipeCorrupt:
            continue


@pytest.mark.parametrize("digest", [b"x" * 15, b"x" * 17, "x" * 16, None])
def test_a_digest_has_sixteen_bytes(digest: object) -> None:
    ok = [1, [[VECTOR, b"x" * 16]], []]
    (found,) = pipe.decode_digests(body(ok), 1, ["customers/anna"])
    assert (found.record, found.state_vector, found.digest) == ("customers/anna", VECTOR, b"x" * 16)
    with pytest.raises(pipe.PipeCorrupt):
        pipe.decode_digests(body([1, [[VECTOR, digest]], []]), 1, ["customers/anna"])


def test_a_worker_of_another_version_is_refused() -> None:
    assert pipe.decode_ready(body([pipe.VERSION, ["system calls"]])) == ("system calls",)
    with pytest.raises(pipe.PipeCorrupt, match="version"):
        pipe.decode_ready(body([pipe.VERSION + 1, []]))
