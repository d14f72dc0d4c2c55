"""A message that exists is valid: both sides of every limit, and every wrong type, at construction."""

from dataclasses import FrozenInstanceError, fields, replace
from typing import get_args

import pytest

from crdt_sync import limits
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

ID = bytes(range(16))
RECORD = "customers/a"
RECORD_LONGEST = "c" * 48 + "/" + "k" * 79
TOP = limits.INTEGER_EXACT_MAX
ACCEPTED = VerdictCode.ACCEPTED
GAP = VerdictCode.GAP

HELLO = Hello((1,), ID, "token", 1, Resume(ID, 4, 5), True, 3, "crdt-sync 0.1")
WELCOME = Welcome(1, ID, 1, ID, 9, 0, limits.FRAME_BYTES_MAX)
CHANGES = Changes(1, 9, (ChangesEntry(RECORD, 9, b"\0"),))
WANT = Want(1, (WantEntry(RECORD, b"\0"),))
UPDATES = Updates(0, None, 4, True, (UpdatesEntry(RECORD, b"u", b""),))
HAVE = Have(9, 100)
PUSH = Push(1, (PushEntry(RECORD, b"u"),))
ACK = Ack(1, None, 4, (Verdict(ACCEPTED, 5),))
RANGES = Ranges(1, b"\1\1\0", b"", b"")
RECEIPT_REQUEST = ReceiptRequest(1)
RECEIPT = Receipt(1, 9, 3, ID + ID)
PRESENCE = Presence((PresenceEntry(RECORD, "anna"),))
PING, PONG = Ping(1), Pong(1)
BYE = Bye("rejected", "why", None)
AUDIT = Audit(content=True)
CHECK = Check(1, mend=False, records=(RECORD,))
TERMS = Terms(ID, joined=True, log=ID, features=("erasure",))
CHECKED = Checked(1, (CheckedEntry(RECORD, ID, ID, Standing.AGREES),))
SAID = Said((b"statement",))
NEW_TOKEN = NewToken("a.b.c")
REPORTED = Reported(1, (ReportEntry(2, "export", "customers", 3),))
NOTED = Noted(1)
DROPPED = Dropped(9, 10, (RECORD,))
REGRANTED = Regranted(ID, settled=True)
SAMPLES = (
    SAID,
    NEW_TOKEN,
    REPORTED,
    NOTED,
    HELLO,
    WELCOME,
    CHANGES,
    WANT,
    UPDATES,
    HAVE,
    PUSH,
    ACK,
    RANGES,
    RECEIPT_REQUEST,
    RECEIPT,
    PRESENCE,
    PING,
    PONG,
    BYE,
    AUDIT,
    CHECK,
    CHECKED,
    TERMS,
    DROPPED,
    REGRANTED,
)

NUMBERS = [0, TOP], [-1, TOP + 1, True, 1.0, "1", b"1", None]
FROM_ONE = [1, TOP], [0, TOP + 1, True, 1.0, None]
FLAGS = [True, False], [0, 1, None, "true"]
SIXTEEN = [ID], [ID[:15], ID + b"x", bytearray(ID), ID.hex(), None]
OPTIONAL = [None, 0, TOP], [-1, TOP + 1, False, 1.0]
RECORDS = [RECORD, RECORD_LONGEST], ["", "customers", "Customers/a", RECORD_LONGEST + "k", "c/ü", b"c/a", None]
STATE_VECTORS = (
    [b"\0", bytes(limits.STATE_VECTOR_BYTES_MAX)],
    [b"", bytes(limits.STATE_VECTOR_BYTES_MAX + 1), bytearray(1), "", None],
)
OPTIONAL_STATE_VECTORS = [b"", *STATE_VECTORS[0]], STATE_VECTORS[1][1:]
UPDATE = [b"u", bytes(limits.UPDATE_BYTES_MAX)], [b"", bytes(limits.UPDATE_BYTES_MAX + 1), "u", None]
COLUMNS = [b"", bytes(262_112)], [bytes(262_113), bytearray(), "", None]
REASONS = ["", "ü" * limits.REASON_LENGTH_MAX], ["x" * (limits.REASON_LENGTH_MAX + 1), "\ud800", b"", None]

FIELDS = [
    (HELLO, "versions", [(1,), (TOP,) * 16], [(), (1,) * 17, (0,), (True,), ("1",), [1], None]),
    (HELLO, "replica", *SIXTEEN),
    (HELLO, "token", ["", "~" * limits.TOKEN_LENGTH_MAX], ["x" * 4097, "ü", "\n", "a\n", b"x", None]),
    (HELLO, "now", *NUMBERS),
    (
        HELLO,
        "resume",
        [None, Resume(ID, 0, 0), Resume(ID, TOP, TOP)],
        [Resume(ID[:15], 0, 0), Resume(ID, TOP + 1, 0), Resume(ID, 0, TOP + 1)],
    ),
    (HELLO, "follow", *FLAGS),
    (HELLO, "count", *NUMBERS),
    (HELLO, "agent", ["", "ü" * limits.AGENT_LENGTH_MAX], ["x" * 65, "\udfff", b"x", None]),
    (WELCOME, "version", *FROM_ONE),
    (WELCOME, "replica", *SIXTEEN),
    (WELCOME, "now", *NUMBERS),
    (WELCOME, "epoch", *SIXTEEN),
    (WELCOME, "head", *NUMBERS),
    (WELCOME, "mode", [0, 1], [-1, 2, True, None]),
    (WELCOME, "frame_bytes_max", [limits.HELLO_BYTES_MAX, TOP], [limits.HELLO_BYTES_MAX - 1, TOP + 1, None]),
    (
        WELCOME,
        "behind",
        [None, Behind(0, 0), Behind(TOP, TOP)],
        [Behind(-1, 0), Behind(0, -1), Behind(TOP + 1, 0), Behind(0, TOP + 1), Behind(True, 0)],
    ),
    (TERMS, "space", *SIXTEEN),
    (TERMS, "joined", *FLAGS),
    (TERMS, "log", *SIXTEEN),
    (
        TERMS,
        "features",
        [(), ("a",) * 64, ("a_1" + "x" * 29,)],
        [("a",) * 65, ("",), ("A",), ("1a",), ("a-b",), ("a\n",), ("x" * 33,), (b"a",), ["a"], None],
    ),
    (CHANGES, "page", *NUMBERS),
    (CHANGES, "cursor", *NUMBERS),
    (WANT, "page", *NUMBERS),
    (UPDATES, "page", *NUMBERS),
    (UPDATES, "cursor", *OPTIONAL),
    (UPDATES, "head", *NUMBERS),
    (UPDATES, "last", *FLAGS),
    (HAVE, "cursor", *NUMBERS),
    (HAVE, "received", *NUMBERS),
    (PUSH, "number", *NUMBERS),
    (ACK, "number", *NUMBERS),
    (ACK, "cursor", *OPTIONAL),
    (ACK, "head", *NUMBERS),
    (RANGES, "open", [0, 17_408], [-1, 17_409, True, 1.0, None]),
    (RANGES, "shape", *COLUMNS),
    (RANGES, "names", *COLUMNS),
    (RANGES, "hashes", *COLUMNS),
    (RECEIPT_REQUEST, "number", *NUMBERS),
    (RECEIPT, "number", *NUMBERS),
    (RECEIPT, "head", *NUMBERS),
    (RECEIPT, "count", *NUMBERS),
    (RECEIPT, "root", [bytes(32)], [bytes(31), bytes(33), "x" * 32, None]),
    (PING, "number", *NUMBERS),
    (PONG, "number", *NUMBERS),
    (AUDIT, "content", *FLAGS),
    (CHECK, "number", *NUMBERS),
    (CHECK, "mend", *FLAGS),
    (CHECK, "records", [(RECORD,), (RECORD_LONGEST,) * 256], [(), (RECORD,) * 257, ("c",), (b"c/a",), [RECORD], None]),
    (CHECKED, "number", *NUMBERS),
    (
        SAID,
        "statements",
        [(b"s",), (b"s",) * limits.STATEMENTS_SAID_MAX, (bytes(limits.STATEMENT_BYTES_MAX),)],
        [
            (),
            (b"s",) * (limits.STATEMENTS_SAID_MAX + 1),
            (b"",),
            (bytes(limits.STATEMENT_BYTES_MAX + 1),),
            ("s",),
            None,
        ],
    ),
    (NEW_TOKEN, "token", ["a", "~" * 2048], ["", "x" * 2049, "ü", "a\n", b"x", None]),
    (REPORTED, "number", *NUMBERS),
    (NOTED, "number", *NUMBERS),
    (DROPPED, "cursor", *OPTIONAL),
    (DROPPED, "head", *NUMBERS),
    (
        DROPPED,
        "records",
        [(RECORD,), (RECORD_LONGEST,) * 512],
        [(), (RECORD,) * 513, ("c",), (b"c/a",), [RECORD], None],
    ),
    (REGRANTED, "epoch", *SIXTEEN),
    (REGRANTED, "settled", *FLAGS),
    (BYE, "code", ["a", "a_1", "a" * 48], ["", "a" * 49, "A", "a-b", "1a", "a\n", b"a", None]),
    (BYE, "message", *REASONS),
    (BYE, "retry_after_ms", [None, 0, limits.RETRY_AFTER_MS_MAX], [-1, limits.RETRY_AFTER_MS_MAX + 1, True, 1.0]),
]

ENTRIES = [  # message, its list, limits of its length, and both sides of each column
    (CHANGES, "entries", 0, 512, [("record", *RECORDS), ("seq", *NUMBERS), ("state_vector", *STATE_VECTORS)]),
    (WANT, "entries", 0, 512, [("record", *RECORDS), ("state_vector", *STATE_VECTORS)]),
    (
        UPDATES,
        "entries",
        0,
        512,
        [("record", *RECORDS), ("update", *UPDATE), ("state_vector", *OPTIONAL_STATE_VECTORS)],
    ),
    (PUSH, "entries", 1, 512, [("record", *RECORDS), ("update", *UPDATE)]),
    (ACK, "verdicts", 1, 512, [("seq", *NUMBERS)]),
    (
        CHECKED,
        "entries",
        1,
        256,
        [
            ("record", *RECORDS),
            ("state", *SIXTEEN),
            ("content", *SIXTEEN),
            ("standing", [Standing.DISAGREES, Standing.INCOMPLETE], [0, 6, True, None]),
        ],
    ),
    (
        REPORTED,
        "entries",
        1,
        100,
        [
            ("at", *NUMBERS),
            ("kind", ["export", "a_1", "a" * 32], ["", "a" * 33, "A", "a-b", "1a", "a\n", b"a", None]),
            ("about", ["", "ü" * 200], ["a" * 201, b"a", None]),
            ("records", *NUMBERS),
        ],
    ),
    (PRESENCE, "entries", 0, 64, [("record", *RECORDS), ("actor", ["a", "ü" * 64], ["", "a" * 65, b"a", None])]),
]


def name_of(message: Message) -> str:
    return {"ReceiptRequest": "receipt_request", "NewToken": "new_token"}.get(
        type(message).__name__, type(message).__name__.lower()
    )


def test_the_samples_cover_every_message() -> None:
    assert {type(sample) for sample in SAMPLES} == set(get_args(Message))


def test_the_tables_cover_every_field_of_every_message() -> None:
    covered = {(type(row[0]), row[1]) for row in [*FIELDS, *ENTRIES]}
    assert covered == {(type(sample), field.name) for sample in SAMPLES for field in fields(sample)}


@pytest.mark.parametrize(("sample", "field", "good", "bad"), FIELDS, ids=lambda value: str(value)[:20])
def test_a_field_takes_what_lies_inside_its_limits_and_nothing_else(sample, field, good, bad) -> None:
    for value in good:
        assert getattr(replace(sample, **{field: value}), field) == value
    for value in bad:
        with pytest.raises(ValueError, match=rf"\A{name_of(sample)}\.{field}"):
            replace(sample, **{field: value})


@pytest.mark.parametrize(("sample", "field", "least", "most", "columns"), ENTRIES, ids=lambda value: str(value)[:20])
def test_a_list_takes_as_many_entries_as_its_limits_say(sample, field, least, most, columns) -> None:
    (entry,) = getattr(sample, field)
    for count in (least, most):
        assert len(getattr(replace(sample, **{field: (entry,) * count}), field)) == count
    for count in {least - 1, most + 1} - {-1}:
        with pytest.raises(ValueError, match=rf"\A{name_of(sample)}\.{field} has {count} entries"):
            replace(sample, **{field: (entry,) * count})
    for wrong in ([entry], None, "entries"):
        with pytest.raises(ValueError, match=rf"\A{name_of(sample)}\.{field} is"):
            replace(sample, **{field: wrong})


@pytest.mark.parametrize(("sample", "field", "least", "most", "columns"), ENTRIES, ids=lambda value: str(value)[:20])
def test_the_last_entry_is_checked_like_the_first(sample, field, least, most, columns) -> None:
    (entry,) = getattr(sample, field)
    for column, good, bad in columns:
        for value in good:
            replace(sample, **{field: (entry, entry._replace(**{column: value}))})
        for value in bad:
            with pytest.raises(ValueError, match=rf"\A{name_of(sample)}\.{field}\.{column}"):
                replace(sample, **{field: (entry, entry._replace(**{column: value}))})


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(ACCEPTED),
        Verdict(ACCEPTED, TOP),
        Verdict(GAP, 0, b"\0"),
        Verdict(GAP, 0, bytes(limits.STATE_VECTOR_BYTES_MAX), "ü" * limits.REASON_LENGTH_MAX),
        Verdict(VerdictCode.QUOTA),
        Verdict(VerdictCode.FORBIDDEN, 0, b"", "read only"),
    ],
)
def test_a_verdict_says_what_its_code_allows(verdict) -> None:
    assert Ack(1, None, 4, (verdict,)).verdicts == (verdict,)


@pytest.mark.parametrize(
    ("verdict", "problem"),
    [
        (Verdict(ACCEPTED, 1, b"\0"), "accepted"),
        (Verdict(ACCEPTED, 1, b"", "fine"), "accepted"),
        (Verdict(GAP), "state_vector has 0 bytes"),
        (Verdict(GAP, 0, bytes(limits.STATE_VECTOR_BYTES_MAX + 1)), "state_vector has"),
        (Verdict(GAP, 1, b"\0"), "seq"),
        (Verdict(VerdictCode.QUOTA, 1), "seq"),
        (Verdict(VerdictCode.QUOTA, 0, b"\0"), "state_vector"),
        (Verdict(VerdictCode.QUOTA, 0, b"", "x" * 257), "reason has 257"),
        (Verdict(VerdictCode.QUOTA, 0, b"", None), "reason is NoneType"),  # type: ignore[arg-type]
        (Verdict(2), "code"),  # type: ignore[arg-type]
        (Verdict(0), "code"),  # type: ignore[arg-type]
        (Verdict(9), "code"),  # type: ignore[arg-type]
        (Verdict(False), "code"),  # type: ignore[arg-type]
    ],
)
def test_a_verdict_that_contradicts_its_code_is_refused(verdict, problem) -> None:
    with pytest.raises(ValueError, match=rf"\Aack\.verdicts.*{problem}"):
        Ack(1, None, 4, (verdict,))


def test_messages_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        PING.number = 2  # type: ignore[misc]
