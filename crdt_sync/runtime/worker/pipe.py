"""The frames between the relay and its worker: a 4-byte big-endian length, and one CBOR array in what the worker says.
What it is asked is written by `marshal`, in a tenth of the time: both are one interpreter.

    ready    [version, limits that cannot be had on this machine]
    request  [kind, number, stamp_max, turn, items, rules]
             turn     = null | [µs of processor time after which nothing further is begun, whether it is a short
                        turn, so that what takes longer is left out]
             rules    = null | [version of the policy, policy | null: it was told before, {collection: what is stored
                        of its definition} of those that were not told or have changed, [space, its keys] | null,
                        whether to forget whose writers are, null | {writer: user, empty for nobody}]
             INTEGRATE        item = [record, stored | null, updates, want_snapshot, users: with rules, one an update,
                                    what is stored of its record: with rules, for a companion]
             DIGEST, CONTENT  item = [record, stored]
             TRIM             item = [record, [update, state_vector]]
             FIELDS           item = the record of a definition; with rules
             MASKS            item = a collection; with rules
             MASK             item = [record, stored, writer, [[field, mask, stored of what it shows]]]; with rules, and
                                     nothing stored of a record that is not to be shown in part
    answer   [number, results, evicted, [µs] | null, writers]: the last two only where there are any
             µs       = for each result the processor time that it took; only where the turn was over
             writers  = INTEGRATE, with rules: those of which it is to be told whose they are. Then updates were not
                        reached, and are to be asked for again with that
             INTEGRATE        result = [verdicts, state_vector, snapshot | null, lineage | null], with rules
                              [..., values shown after | null, [writer, user] of each that was bound: only where
                              there are any], or null: not done,
                              because the record is not cached, the answer is full or the turn over, or 0: its stored
                              state cannot be read
                              verdict = 0 accepted and known, 1 accepted and new, 2 not reached in this turn, 3 left
                              out as it takes longer, or [code, reason]; nothing is done for the record after 2 or 3.
                              With rules also [code, reason, fields, authors], see `Touched`, or one field, of what
                              is accepted and new and touches that alone
             DIGEST, CONTENT  result = [state_vector, digest]
             TRIM             result = the update without what the state vector covers, or null: it is none
             FIELDS           result = a name for the filter fields of that collection, see `records.filtered`
             MASKS            result = [[section, field, mask]], all that the policy shows in part
             MASK             result = for each row what is to be stored of it, [update, state_vector, snapshot], or
                              null where that is there

The worker trusts its parent. The parent trusts nothing: native code that went wrong may have written anything, so
an answer is bounded in size and depth, holds no tags, and every value is checked before it is used.
"""

import marshal
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple, cast

import cbor2

from crdt_sync import limits
from crdt_sync.ids import is_collection
from crdt_sync.policy.masks import MASKS as MASKS_KNOWN
from crdt_sync.policy.packed import Packed
from crdt_sync.policy.values import Values
from crdt_sync.principal import Issuer
from crdt_sync.runtime.worker.values import (
    ACCEPTED_KNOWN,
    ACCEPTED_NEW,
    OUT_OF_TURN,
    MaskedRow,
    RecordDigest,
    Result,
    Turn,
)
from crdt_sync.verdicts import POSTPONED, Touched, Verdict, VerdictCode, refused

VERSION: Final = 8
INTEGRATE: Final = 0
DIGEST: Final = 1
CONTENT: Final = 2
TRIM: Final = 3
FIELDS: Final = 4
MASKS: Final = 5
MASK: Final = 6
LENGTH: Final = struct.Struct(">I")
DIGEST_BYTES: Final = 16
UNLOADABLE: Final = 0
NOT_REACHED: Final = 2
LEFT_OUT: Final = 3
# The worker stops taking items once its answer is larger than a full request; one record may still follow.
ANSWER_BYTES_FULL: Final = limits.INTEGRATION_BYTES_MAX
ANSWER_BYTES_MAX: Final = ANSWER_BYTES_FULL + limits.RECORD_BYTES_MAX + limits.STATE_VECTOR_BYTES_MAX + limits.MIB
REFUSALS: Final = {
    code.value: code
    for code in (
        VerdictCode.GAP,
        VerdictCode.MALFORMED,
        VerdictCode.TOO_LARGE,
        VerdictCode.CLOCK_AHEAD,
        VerdictCode.FORBIDDEN,
    )
}
_DEPTH_MAX: Final = 6
_NONE_BOUND: Final[Mapping[int, str]] = MappingProxyType({})
_is_field = lru_cache(1024)(is_collection)
_SPENT_US_MAX: Final = 1 << 40  # twelve days


class PipeCorrupt(Exception):
    """The worker wrote something that is no answer; it is not to be trusted any more."""


class Results(NamedTuple):
    """The answer to an INTEGRATE request: also the records evicted, µs for each result where the turn was over, and
    the writers that are to be told of.
    """

    results: list[Result | None]
    evicted: list[str]
    spent_us: list[int] | None
    asked: Sequence[int] = ()


class Told(NamedTuple):
    """What a request tells of the rules: the policy where the worker does not have it, definitions, and whose writers
    are; `anew`: what it knew of those is to be forgotten.
    """

    version: int
    policy: Packed | None
    definitions: Mapping[str, Sequence[bytes]]
    issuer: Issuer | None = None  # of the policy
    anew: bool = False
    writers: Mapping[int, str] | None = None  # None: they are not gone by


class _RefuseTags(Mapping[int, Callable[[Any], Any]]):
    """Decoders for every CBOR tag there is: each refuses."""

    def __getitem__(self, tag: int) -> Callable[[Any], Any]:
        raise PipeCorrupt(f"tag {tag} in an answer")

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 1


_REFUSE_TAGS = _RefuseTags()
UNREADABLE: Final = Result((), b"")  # stands for a record whose stored state the worker could not read


def frame(message: object) -> bytes:
    """One message as it goes through the pipe."""
    return _framed(cbor2.dumps(message))


def _framed(body: bytes) -> bytes:
    return LENGTH.pack(len(body)) + body


def encode_request(
    kind: int,
    number: int,
    stamp_max: int | None,
    items: Sequence[Sequence[object]],
    turn: Turn | None = None,
    rules: Told | None = None,
) -> bytes:
    """A request, framed."""
    told: Any = None
    if rules is not None:
        issuer = None if rules.issuer is None else tuple(rules.issuer)
        writers = None if rules.writers is None else dict(rules.writers)
        told = (rules.version, rules.policy, rules.definitions, issuer, rules.anew, writers)
    request: Any = (kind, number, stamp_max, None if turn is None else (turn.us, turn.short), items, told)
    return _framed(marshal.dumps(request))


def decode_request(body: bytes) -> tuple[int, int, int | None, Turn | None, list[Any], Told | None]:
    """What the parent asks: kind, number, stamp_max, turn, items, rules."""
    kind, number, stamp_max, turn, items, told = marshal.loads(body)
    rules: Told | None = None
    if told is not None:
        version, policy, definitions, issuer, anew, writers = told
        rules = Told(version, policy, definitions, None if issuer is None else Issuer(*issuer), anew, writers)
    return kind, number, stamp_max, None if turn is None else Turn(*turn), items, rules


def decode_ready(body: bytes) -> tuple[str, ...]:
    """The worker's first frame: which limits it lacks. Raises `PipeCorrupt`."""
    version, missing = _array(_load(body), 2)
    if version != VERSION:
        raise PipeCorrupt("the worker speaks another version")
    return tuple(_typed(limit, str)[: limits.REASON_LENGTH_MAX] for limit in _typed(missing, list))


def decode_results(
    body: bytes, number: int, counts: Sequence[int], turn: Turn | None = None, *, ruled: bool = False
) -> Results:
    """Results of an INTEGRATE request with `counts[i]` updates in item i. Raises `PipeCorrupt`."""
    results, evicted, spent, asked = _answer(body, number, len(counts))
    if asked and (not ruled or len(asked) > limits.WRITERS_ASKED_MAX or any(map(_is_no_writer, asked))):
        raise PipeCorrupt("it asks of what are no writers")
    for record in evicted:
        _typed(record, str)
    if spent is not None:
        for us in _array(spent, len(counts)):
            if not 0 <= _typed(us, int) <= _SPENT_US_MAX:
                raise PipeCorrupt("an impossible time")
    decoded = [_result(value, count, ruled) for value, count in zip(results, counts, strict=True)]
    first = decoded[0].verdicts[:1] if decoded and decoded[0] is not None else ()
    if not asked and ((turn is None and any(_stopped(result) for result in decoded)) or OUT_OF_TURN in first):
        raise PipeCorrupt("a turn that was over before it began")
    return Results(decoded, evicted, spent, asked)


def decode_digests(body: bytes, number: int, records: Sequence[str]) -> list[RecordDigest]:
    """Results of a DIGEST or CONTENT request. Raises `PipeCorrupt`."""
    results, _, _, _ = _answer(body, number, len(records))
    digests = []
    for record, value in zip(records, results, strict=True):
        state_vector, digest = _array(value, 2)
        if len(_typed(digest, bytes)) != DIGEST_BYTES:
            raise PipeCorrupt("a digest of the wrong size")
        digests.append(RecordDigest(record, _state_vector(state_vector), digest))
    return digests


def decode_fields(body: bytes, number: int, count: int) -> list[bytes]:
    """Names of a FIELDS request about that many collections. Raises `PipeCorrupt`."""
    results, _, _, _ = _answer(body, number, count)
    return [_typed(each, bytes)[:DIGEST_BYTES] for each in results]


def decode_masks(body: bytes, number: int, count: int) -> list[list[tuple[str, str, str]]]:
    """Results of a MASKS request about that many collections. Raises `PipeCorrupt`."""
    results, _, _, _ = _answer(body, number, count)
    return [[_masked_field(each) for each in _typed(result, list)] for result in results]


def _masked_field(value: object) -> tuple[str, str, str]:
    section, field, mask = _array(value, 3)
    if not _is_field(_typed(section, str)) or not _is_field(_typed(field, str)) or _typed(mask, str) not in MASKS_KNOWN:
        raise PipeCorrupt("no mask of a field")
    return section, field, mask


def decode_masked(body: bytes, number: int, counts: Sequence[int]) -> list[list[MaskedRow | None] | None]:
    """Results of a MASK request with `counts[i]` rows in item i. Raises `PipeCorrupt`."""
    results, _, _, _ = _answer(body, number, len(counts))
    return [
        None if result is None else [_masked_row(each) for each in _array(result, count)]
        for result, count in zip(results, counts, strict=True)
    ]


def _masked_row(value: object) -> MaskedRow | None:
    if value is None:
        return None
    update, state_vector, snapshot = _array(value, 3)
    if max(len(_typed(update, bytes)), len(_typed(snapshot, bytes))) > limits.RECORD_BYTES_MAX:
        raise PipeCorrupt("what a mask shows is too large")
    return MaskedRow(update, _state_vector(state_vector), snapshot)


def decode_trimmed(body: bytes, number: int, count: int) -> list[bytes | None]:
    """Results of a TRIM request. Raises `PipeCorrupt`."""
    results, _, _, _ = _answer(body, number, count)
    for value in results:
        if value is not None and len(_typed(value, bytes)) > limits.UPDATE_BYTES_MAX:
            raise PipeCorrupt("an update that is too large")
    return results


def _load(body: bytes) -> object:
    try:
        return cast(
            "object",
            cbor2.loads(
                body,
                tag_hook=None,
                object_hook=None,
                semantic_decoders=_REFUSE_TAGS,
                str_errors="strict",
                max_depth=_DEPTH_MAX,
                allow_indefinite=False,
                allow_duplicate_keys=False,
                strict_hashable_types=True,
            ),
        )
    except cbor2.CBORDecodeError as error:
        raise PipeCorrupt(str(error)) from error


def _answer(body: bytes, number: int, count: int) -> tuple[list[Any], list[Any], Any, list[Any]]:
    answer = _typed(_load(body), list)
    asked: list[Any] = []
    if len(answer) == 5:
        asked = _typed(answer.pop(), list)
    answered, results, evicted, spent = answer if len(answer) == 4 else (*_array(answer, 3), None)
    if _typed(answered, int) != number:
        raise PipeCorrupt(f"an answer to request {answered}, not {number}")
    return _array(results, count), _typed(evicted, list), spent, asked


def _result(value: object, count: int, ruled: bool) -> Result | None:
    if value is None:
        return None
    if type(value) is int and value == UNLOADABLE:
        return UNREADABLE
    shown: Values | None = None
    bound: Mapping[int, str] = _NONE_BOUND
    if ruled:
        if type(value) is list and len(value) == 6:
            bound = _bound(value.pop())
        verdicts, state_vector, snapshot, lineage, told = _array(value, 5)
        shown = _values(told)
    else:
        verdicts, state_vector, snapshot, lineage = _array(value, 4)
    if snapshot is not None and len(_typed(snapshot, bytes)) > limits.RECORD_BYTES_MAX:
        raise PipeCorrupt("a snapshot that is too large")
    if count == 1:
        judged: tuple[Verdict, ...] = (_verdict(_array(verdicts, 1)[0], ruled),)
    else:
        judged = tuple([_verdict(each, ruled) for each in _array(verdicts, count)])
    if lineage is not None and (_typed(lineage, int) < 0 or snapshot is None):
        raise PipeCorrupt("a lineage without its record")
    return Result(judged, _state_vector(state_vector), snapshot, lineage, shown, bound)


def _bound(told: object) -> Mapping[int, str]:
    """Writers that were bound, and to whom."""
    bound: dict[int, str] = {}
    pairs: list[object] = _typed(told, list)
    if len(pairs) > limits.CLIENTS_MAX:
        raise PipeCorrupt("more writers than an update has")
    for pair in pairs:
        writer, user = _array(pair, 2)
        if _is_no_writer(writer) or not 0 < len(_typed(user, str)) <= limits.USER_LENGTH_MAX:
            raise PipeCorrupt("no writer of a user")
        bound[writer] = user
    return bound


def _is_no_writer(value: object) -> bool:
    return type(value) is not int or not 0 <= value < 1 << 53


def _values(told: object) -> Values | None:
    """What filter fields show: `Rules.values` cuts what is long."""
    if told is None:
        return None
    values: dict[str, object] = _typed(told, dict)
    if len(values) > limits.FIELDS_MAX:
        raise PipeCorrupt("values of more fields than there are")
    for field, value in values.items():
        if not _is_field(_typed(field, str)) or not (value is None or isinstance(value, (str, int, float))):
            raise PipeCorrupt("no value of a field")
        if type(value) is str and len(value) > limits.FILTER_VALUE_LENGTH_MAX + 1:
            raise PipeCorrupt("a value that is too long")
    return values


def _stopped(result: Result | None) -> bool:
    return result is not None and any(verdict is OUT_OF_TURN or verdict is POSTPONED for verdict in result.verdicts)


def _verdict(value: object, ruled: bool) -> Verdict:
    if type(value) is int:
        if value == 1:
            return ACCEPTED_NEW
        if value == 0:
            return ACCEPTED_KNOWN
        if value == NOT_REACHED:
            return OUT_OF_TURN
        if value == LEFT_OUT:
            return POSTPONED
        raise PipeCorrupt("an unknown verdict")
    if not ruled:
        code, reason = _array(value, 2)
        return _refused(code, reason, None)
    if type(value) is str:
        return Verdict(VerdictCode.ACCEPTED, new=True, touched=_touched([value], []))
    if type(value) is list and len(value) == 2:
        code, reason = value
        return _refused(code, reason, None)
    code, reason, fields, authors = _array(value, 4)
    touched = _touched(fields, authors)
    if code == VerdictCode.ACCEPTED:
        return Verdict(VerdictCode.ACCEPTED, new=True, touched=touched)
    return _refused(code, reason, touched)


def _refused(code: object, reason: object, touched: Touched | None) -> Verdict:
    if _typed(code, str) not in REFUSALS:
        raise PipeCorrupt("an unknown refusal")
    return refused(REFUSALS[_typed(code, str)], _typed(reason, str)[: limits.REASON_LENGTH_MAX], touched)


def _touched(fields: object, authors: object) -> Touched:
    return Touched(
        _names(fields, limits.FIELDS_MAX, limits.ACTOR_LENGTH_MAX),
        _names(authors, limits.AUDIT_AUTHORS_MAX, limits.ACTOR_LENGTH_MAX),
    )


def _names(names: object, count_max: int, length_max: int) -> tuple[str, ...]:
    told: list[Any] = _typed(names, list)
    if len(told) > count_max or any(type(name) is not str or not 0 < len(name) <= length_max for name in told):
        raise PipeCorrupt("no names")
    return tuple(told)


def _state_vector(value: object) -> bytes:
    if type(value) is not bytes or not 0 < len(value) <= limits.STATE_VECTOR_BYTES_MAX:
        raise PipeCorrupt("no state vector")
    return value


def _array(value: object, count: int) -> list[Any]:
    if type(value) is not list or len(value) != count:
        raise PipeCorrupt(f"no array of {count}")
    return value


def _typed(value: object, kind: type) -> Any:
    if type(value) is not kind:
        raise PipeCorrupt(f"no {kind.__name__}")
    return value
