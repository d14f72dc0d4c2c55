"""Frames: a message as bytes, and bytes from a partner as a message or a refusal.

A frame is a checksum (CRC-32 of the rest, 4 bytes, big-endian) and one CBOR array `[type, field, ...]` in the small
dialect of `strict_cbor`.

The checksum finds accidents; it is no defence against forgery, which is the business of TLS and of the grant.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

from crdt_sync.errors import ProtocolViolation
from crdt_sync.limits import FRAME_BYTES_MAX, FRAME_DEPTH_MAX, FRAME_ITEMS_MAX
from crdt_sync.protocol.entries import Behind
from crdt_sync.protocol.messages import (
    Ack,
    Audit,
    Bye,
    Changes,
    ChangesEntry,
    Check,
    Checked,
    CheckedEntry,
    Dropped,
    Have,
    Hello,
    Message,
    NewToken,
    Noted,
    Ping,
    Place,
    Pong,
    Presence,
    PresenceEntry,
    Push,
    PushEntry,
    Ranges,
    Receipt,
    ReceiptRequest,
    Regranted,
    Reported,
    ReportEntry,
    Resume,
    RetryAfter,
    Said,
    Standing,
    Terms,
    Updates,
    UpdatesEntry,
    Verdict,
    VerdictCode,
    Want,
    WantEntry,
    Welcome,
)
from crdt_sync.protocol.versions import GREETING, VERSIONS, known
from crdt_sync.strict_cbor import array_of, dumps, loads, uint

CHECKSUM_BYTES = 4

_Reader = Callable[[str, object], object]


class _Layout(NamedTuple):
    """How one message travels: `[code, *fields]`, with `readers` for the fields that are arrays."""

    code: int
    name: str
    message: type[Message]
    fields: Callable[[Any], tuple[object, ...]]
    arity: int
    readers: tuple[tuple[int, _Reader], ...] = ()


def encode(message: Message, version: int = GREETING) -> bytes:
    """The frame of `message` for a partner that speaks `version`.

    Raises `ValueError` if it is larger than `FRAME_BYTES_MAX`, or if that version has no such message.
    """
    layout = _BY_CLASS[type(message)]
    if layout.code not in _BY_CODE[version]:
        raise ValueError(f"{layout.name}: version {version} of the protocol has no such message")
    body = _ack_body(message) if type(message) is Ack else dumps((layout.code, *layout.fields(message)))
    if len(body) > FRAME_BYTES_MAX - CHECKSUM_BYTES:
        raise ValueError(f"{layout.name}: the frame has more than {FRAME_BYTES_MAX} bytes")
    return zlib.crc32(body).to_bytes(CHECKSUM_BYTES, "big") + body


def encode_live(cursor: Place, head: Place, entries: bytes) -> bytes:
    """The frame of live `Updates` with these entries, which `encode_entries` has made."""
    body = b"".join((_LIVE, dumps(cursor), dumps(head), _TRUE, entries))
    return zlib.crc32(body).to_bytes(CHECKSUM_BYTES, "big") + body


def encode_entries(entries: Sequence[UpdatesEntry]) -> bytes:
    """The entries of live `Updates`, for `encode_live`: the same for all whom they are sent to."""
    return dumps(tuple(entries))


def decode(frame: bytes, max_bytes: int = FRAME_BYTES_MAX, version: int = GREETING) -> Message:
    """The message in `frame`, of `version`. Raises `ProtocolViolation`, and nothing else, whatever the bytes are."""
    if type(frame) is not bytes:
        raise ProtocolViolation(f"frame: {type(frame).__name__}, not bytes")
    if len(frame) > max_bytes:
        raise ProtocolViolation(f"frame: {len(frame)} bytes, not {max_bytes} at most")
    if len(frame) <= CHECKSUM_BYTES:
        raise ProtocolViolation(f"frame: {len(frame)} bytes are too short")
    body = frame[CHECKSUM_BYTES:]
    if zlib.crc32(body) != int.from_bytes(frame[:CHECKSUM_BYTES], "big"):
        raise ProtocolViolation("frame: the checksum does not match", "It was damaged on its way; connect again.")
    try:
        return _message(_loads(body), _BY_CODE[version])
    except ValueError as error:  # it names the message and the field
        raise ProtocolViolation(str(error)) from None


def _loads(body: bytes) -> object:
    try:
        return loads(body, items_max=FRAME_ITEMS_MAX, depth_max=FRAME_DEPTH_MAX)
    except ValueError as error:
        raise ValueError(f"frame: {error}") from None


def _message(items: object, layouts: Mapping[int, _Layout]) -> Message:
    if type(items) is not tuple or not items or type(items[0]) is not int:
        raise ValueError("frame: is not an array that begins with a message type")
    layout = layouts.get(items[0])
    if layout is None:
        raise ValueError(f"frame: no message has type {items[0]}")
    if len(items) - 1 != layout.arity:
        raise ValueError(f"{layout.name}: has {len(items) - 1} fields, not {layout.arity}")
    if not layout.readers:
        return layout.message(*items[1:])
    fields = list(items[1:])
    for index, read in layout.readers:
        fields[index] = read(layout.name, fields[index])
    return layout.message(*fields)


def _read_entries(entry: type[tuple[object, ...]], arity: int, name: str, raw: object) -> tuple[object, ...]:
    """The rows of one array as entries; the constructor checks how many they are and what is in them."""
    if type(raw) is not tuple:
        raise ValueError(f"{name}.entries is {type(raw).__name__}, not an array")
    for row in raw:
        if type(row) is not tuple or len(row) != arity:
            raise ValueError(f"{name}.entries: an entry is not an array of {arity}")
    return tuple(map(partial(tuple.__new__, entry), raw))


def _read_array(field: str, name: str, raw: object) -> object:
    if type(raw) is not tuple:
        raise ValueError(f"{name}.{field} is {type(raw).__name__}, not an array")
    return raw


def _read_checked(name: str, raw: object) -> object:
    rows = _read_entries(CheckedEntry, 4, name, raw)
    return tuple(row._replace(standing=_STANDINGS.get(_integer(row.standing), row.standing)) for row in rows)  # type: ignore[attr-defined]


def _integer(value: object) -> int:
    """The value if it is an integer to the wire, which a bool is not; else one that means nothing."""
    return value if type(value) is int else -1


def _read_resume(name: str, raw: object) -> Resume | None:
    if raw is None:
        return None
    if type(raw) is not tuple or len(raw) != 3:
        raise ValueError(f"{name}.resume is neither null nor an array of 3")
    return Resume(*raw)


def _read_behind(name: str, raw: object) -> Behind | None:
    if raw is None:
        return None
    if type(raw) is not tuple or len(raw) != 2:
        raise ValueError(f"{name}.behind is neither null nor an array of 2")
    return Behind(*raw)


def _read_verdicts(name: str, raw: object) -> tuple[Verdict, ...]:
    if type(raw) is not tuple:
        raise ValueError(f"{name}.verdicts is {type(raw).__name__}, not an array")
    return tuple(map(_read_verdict, raw))


def _read_verdict(row: object) -> Verdict:
    """`[0, seq]` for an accepted update, `[code, state_vector, reason]` for a refused one, and two more fields where it
    says when to try again.
    """
    if type(row) is tuple and row and type(row[0]) is int:
        if len(row) == 2 and row[0] == _NUMBERS[VerdictCode.ACCEPTED]:
            return Verdict(VerdictCode.ACCEPTED, row[1])
        if len(row) == 3 and row[0] in _REFUSALS:
            return Verdict(_REFUSALS[row[0]], 0, row[1], row[2])
        if len(row) == 5 and row[0] in _REFUSALS:
            return Verdict(_REFUSALS[row[0]], 0, row[1], row[2], retry_after=RetryAfter(row[3], row[4]))
    raise ValueError("ack.verdicts: a verdict is neither [0, seq] nor [code, state_vector, reason] with a time or not")


def _write_verdict(verdict: Verdict) -> tuple[object, ...]:
    if verdict.code is VerdictCode.ACCEPTED:
        return _NUMBERS[verdict.code], verdict.seq
    told = _NUMBERS[verdict.code], verdict.state_vector, verdict.reason
    return told if verdict.retry_after is None else (*told, *verdict.retry_after)


def _ack_body(ack: Ack) -> bytes:
    """What `dumps` would make of the fields: it takes longer for an array of two numbers than for both of them, and
    there is one for each update.
    """
    accepted = VerdictCode.ACCEPTED
    verdicts = [
        _ACCEPTED + uint(verdict.seq) if verdict.code is accepted else dumps(_write_verdict(verdict))
        for verdict in ack.verdicts
    ]
    cursor = _NULL if ack.cursor is None else uint(ack.cursor) if type(ack.cursor) is int else dumps(ack.cursor)
    head = uint(ack.head) if type(ack.head) is int else dumps(ack.head)
    return b"".join((_ACK, uint(ack.number), cursor, head, array_of(len(verdicts)), *verdicts))


def _write_number(message: ReceiptRequest | Ping | Pong | Noted) -> tuple[object, ...]:
    return (message.number,)


def _write_presence(presence: Presence) -> tuple[object, ...]:
    return (presence.entries,)


def _write_said(said: Said) -> tuple[object, ...]:
    return (said.statements,)


def _write_token(message: NewToken) -> tuple[object, ...]:
    return (message.token,)


def _write_audit(audit: Audit) -> tuple[object, ...]:
    return (audit.content,)


def _entries(index: int, entry: type[tuple[object, ...]], arity: int) -> tuple[tuple[int, _Reader], ...]:
    return ((index, partial(_read_entries, entry, arity)),)


_NUMBERS = {code: number for number, code in enumerate(VerdictCode)}
_REFUSALS = {number: code for code, number in _NUMBERS.items() if code is not VerdictCode.ACCEPTED}
_STANDINGS = {int(standing): standing for standing in Standing}
_LAYOUTS = (
    _Layout(
        1,
        "hello",
        Hello,
        attrgetter("versions", "replica", "token", "now", "resume", "follow", "count", "agent"),
        8,
        ((0, partial(_read_array, "versions")), (4, _read_resume)),
    ),
    _Layout(
        2,
        "welcome",
        Welcome,
        attrgetter("version", "replica", "now", "epoch", "head", "mode", "frame_bytes_max", "behind"),
        8,
        ((7, _read_behind),),
    ),
    _Layout(
        3,
        "changes",
        Changes,
        attrgetter("page", "cursor", "entries"),
        3,
        _entries(2, ChangesEntry, 3),
    ),
    _Layout(4, "want", Want, attrgetter("page", "entries"), 2, _entries(1, WantEntry, 2)),
    _Layout(
        5, "updates", Updates, attrgetter("page", "cursor", "head", "last", "entries"), 5, _entries(4, UpdatesEntry, 3)
    ),
    _Layout(6, "have", Have, attrgetter("cursor", "received"), 2),
    _Layout(7, "push", Push, attrgetter("number", "entries"), 2, _entries(1, PushEntry, 2)),
    _Layout(8, "ack", Ack, attrgetter("number", "cursor", "head", "verdicts"), 4, ((3, _read_verdicts),)),
    _Layout(9, "ranges", Ranges, attrgetter("open", "shape", "names", "hashes"), 4),
    _Layout(10, "receipt_request", ReceiptRequest, _write_number, 1),
    _Layout(11, "receipt", Receipt, attrgetter("number", "head", "count", "root"), 4),
    _Layout(12, "presence", Presence, _write_presence, 1, _entries(0, PresenceEntry, 2)),
    _Layout(13, "ping", Ping, _write_number, 1),
    _Layout(14, "pong", Pong, _write_number, 1),
    _Layout(15, "bye", Bye, attrgetter("code", "message", "retry_after_ms"), 3),
    _Layout(16, "audit", Audit, _write_audit, 1),
    _Layout(17, "check", Check, attrgetter("number", "mend", "records"), 3, ((2, partial(_read_array, "records")),)),
    _Layout(18, "checked", Checked, attrgetter("number", "entries"), 2, ((1, _read_checked),)),
    _Layout(
        19,
        "terms",
        Terms,
        attrgetter("space", "joined", "log", "features"),
        4,
        ((3, partial(_read_array, "features")),),
    ),
    _Layout(20, "said", Said, _write_said, 1, ((0, partial(_read_array, "statements")),)),
    _Layout(21, "new_token", NewToken, _write_token, 1),
    _Layout(24, "reported", Reported, attrgetter("number", "entries"), 2, _entries(1, ReportEntry, 4)),
    _Layout(25, "noted", Noted, _write_number, 1),
    _Layout(
        30, "dropped", Dropped, attrgetter("cursor", "head", "records"), 3, ((2, partial(_read_array, "records")),)
    ),
    _Layout(31, "regranted", Regranted, attrgetter("epoch", "settled"), 2),
)
_ACK = array_of(5) + uint(8)  # its code and its fields
_ACCEPTED = array_of(2) + uint(_NUMBERS[VerdictCode.ACCEPTED])
_LIVE = array_of(6) + uint(5) + uint(0)  # its code and its fields up to the page
_TRUE = dumps(True)
_NULL = dumps(None)
_BY_CODE = {
    version: {layout.code: layout for layout in _LAYOUTS if known(layout.message, version)} for version in VERSIONS
}
_BY_CLASS = {layout.message: layout for layout in _LAYOUTS}
