"""Every message of the protocol, as values that are valid once they exist.

A constructor checks types and limits and raises `ValueError` that names the message and the field; the codec
turns that into `ProtocolViolation` for bytes from a partner, so each rule is written once and runs once.
`docs/protocol.cddl` says the same in CDDL. Shapes that repeat:

* a number, count, sequence or cursor is an integer from 0 to 2**53 - 1, which JavaScript holds exactly;
* a time is microseconds since 1970; a record is a record id (`ids.is_record`);
* a state vector has at least one byte (`00` is the empty one) unless its field says that it may be absent;
* page 0 of `Want` and `Updates` is not tied to a page: live updates and repairs.
"""

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, NoReturn

from crdt_sync.ids import EPOCH_BYTES, REPLICA_BYTES, is_record
from crdt_sync.limits import (
    ACTOR_LENGTH_MAX,
    AGENT_LENGTH_MAX,
    HELLO_BYTES_MAX,
    INTEGER_EXACT_MAX,
    PAGE_RECORDS_MAX,
    PRESENCE_ENTRIES_MAX,
    PUSH_RECORDS_MAX,
    REASON_LENGTH_MAX,
    RETRY_AFTER_MS_MAX,
    STATE_VECTOR_BYTES_MAX,
    TOKEN_LENGTH_MAX,
    UPDATE_BYTES_MAX,
    UPDATES_RECORDS_MAX,
    VERSIONS_MAX,
    WANT_RECORDS_MAX,
)

DIGEST_BYTES = 16
ROOT_BYTES = 32
MODE_CHANGES = 0  # catch up by the feed, from the cursor
MODE_INVENTORY = 1  # catch up by comparing digests
_TOKEN = re.compile(r"\A[ -~]*\Z")
_BYE_CODE = re.compile(r"\A[a-z][a-z0-9_]{0,47}\Z")


class VerdictCode(IntEnum):
    """What became of one pushed update. Everything but `ACCEPTED` was not stored."""

    ACCEPTED = 0
    GAP = 1  # it builds on something that is missing; the verdict carries the state vector to diff against
    MALFORMED = 2
    TOO_LARGE = 3
    CLOCK_AHEAD = 4  # stamped too far in the future: stamp again and push again
    POISON = 5  # integrating it killed a worker
    QUOTA = 6
    FORBIDDEN = 7
    RETRY = 8  # not stored now (full disk, failure); the same push may succeed later


class ChangesEntry(NamedTuple):
    """A record that changed, its newest sequence in the sender's feed and the sender's state vector."""

    record: str
    seq: int
    state_vector: bytes


class WantEntry(NamedTuple):
    """A record that the sender wants, and the state vector to diff against."""

    record: str
    state_vector: bytes


class UpdatesEntry(NamedTuple):
    """One update; `state_vector` is the sender's for the whole record, empty on live updates."""

    record: str
    update: bytes
    state_vector: bytes


class PushEntry(NamedTuple):
    """One update that the sender wants stored."""

    record: str
    update: bytes


class InventoryEntry(NamedTuple):
    """A record and its 16-byte state digest."""

    record: str
    digest: bytes


class PresenceEntry(NamedTuple):
    """Somebody who has a record open."""

    record: str
    actor: str


class Verdict(NamedTuple):
    """The answer to one pushed update.

    `seq` is where it was stored (0: it brought nothing new, or was refused); `state_vector` is there exactly
    for `GAP`; `reason` is text for people, and only a refusal has one.
    """

    code: VerdictCode
    seq: int = 0
    state_vector: bytes = b""
    reason: str = ""


class Resume(NamedTuple):
    """Where the sender stopped reading the partner's feed."""

    epoch: bytes
    cursor: int


@dataclass(frozen=True, slots=True)
class Hello:
    """The dialer's first frame. `follow` asks for the feed; without it the dialer only pushes."""

    versions: tuple[int, ...]
    replica: bytes
    token: str
    now: int
    resume: Resume | None
    follow: bool
    count: int
    agent: str

    def __post_init__(self) -> None:
        _check_length("hello.versions", self.versions, VERSIONS_MAX, at_least=1)
        for version in self.versions:
            _check_integer("hello.versions", version, at_least=1)
        _check_bytes("hello.replica", self.replica, REPLICA_BYTES, REPLICA_BYTES)
        _check_text("hello.token", self.token, TOKEN_LENGTH_MAX)
        if _TOKEN.match(self.token) is None:
            _refuse("hello.token", "is not printable ASCII")
        _check_integer("hello.now", self.now)
        if self.resume is not None:
            _check_bytes("hello.resume.epoch", self.resume.epoch, EPOCH_BYTES, EPOCH_BYTES)
            _check_integer("hello.resume.cursor", self.resume.cursor)
        _check_flag("hello.follow", self.follow)
        _check_integer("hello.count", self.count)
        _check_text("hello.agent", self.agent, AGENT_LENGTH_MAX)


@dataclass(frozen=True, slots=True)
class Welcome:
    """The answer to `Hello`: the chosen version, the feed's epoch and head, and how to catch up."""

    version: int
    replica: bytes
    now: int
    epoch: bytes
    head: int
    mode: int
    frame_bytes_max: int

    def __post_init__(self) -> None:
        _check_integer("welcome.version", self.version, at_least=1)
        _check_bytes("welcome.replica", self.replica, REPLICA_BYTES, REPLICA_BYTES)
        _check_integer("welcome.now", self.now)
        _check_bytes("welcome.epoch", self.epoch, EPOCH_BYTES, EPOCH_BYTES)
        _check_integer("welcome.head", self.head)
        _check_integer("welcome.mode", self.mode, at_most=MODE_INVENTORY)
        _check_integer("welcome.frame_bytes_max", self.frame_bytes_max, at_least=HELLO_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class Changes:
    """A page of the feed; an empty one is its end. `cursor` is where the reader stands once it has the page."""

    page: int
    cursor: int
    entries: tuple[ChangesEntry, ...]

    def __post_init__(self) -> None:
        _check_integer("changes.page", self.page)
        _check_integer("changes.cursor", self.cursor)
        _check_length("changes.entries", self.entries, PAGE_RECORDS_MAX)
        for record, seq, state_vector in self.entries:
            _check_record("changes.entries.record", record)
            _check_integer("changes.entries.seq", seq)
            _check_bytes("changes.entries.state_vector", state_vector, 1, STATE_VECTOR_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class Want:
    """What the reader lacks of a page; may be empty, and then says that the page brought nothing new."""

    page: int
    entries: tuple[WantEntry, ...]

    def __post_init__(self) -> None:
        _check_integer("want.page", self.page)
        _check_length("want.entries", self.entries, WANT_RECORDS_MAX)
        for record, state_vector in self.entries:
            _check_record("want.entries.record", record)
            _check_bytes("want.entries.state_vector", state_vector, 1, STATE_VECTOR_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class Updates:
    """Updates, in commit order. A cursor means that the reader may stand there once they are stored.

    `last` says that the answer to a want ends here; it is true on live updates.
    """

    page: int
    cursor: int | None
    last: bool
    entries: tuple[UpdatesEntry, ...]

    def __post_init__(self) -> None:
        _check_integer("updates.page", self.page)
        if self.cursor is not None:
            _check_integer("updates.cursor", self.cursor)
        _check_flag("updates.last", self.last)
        _check_length("updates.entries", self.entries, UPDATES_RECORDS_MAX)
        for record, update, state_vector in self.entries:
            _check_record("updates.entries.record", record)
            _check_bytes("updates.entries.update", update, 1, UPDATE_BYTES_MAX)
            _check_bytes("updates.entries.state_vector", state_vector, 0, STATE_VECTOR_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class Have:
    """What the reader has on disk: its cursor, and the bytes of all `Updates` frames stored so far."""

    cursor: int
    received: int

    def __post_init__(self) -> None:
        _check_integer("have.cursor", self.cursor)
        _check_integer("have.received", self.received)


@dataclass(frozen=True, slots=True)
class Push:
    """Updates to be stored by the partner, which answers each one in the `Ack` of the same number."""

    number: int
    entries: tuple[PushEntry, ...]

    def __post_init__(self) -> None:
        _check_integer("push.number", self.number)
        _check_length("push.entries", self.entries, PUSH_RECORDS_MAX, at_least=1)
        for record, update in self.entries:
            _check_record("push.entries.record", record)
            _check_bytes("push.entries.update", update, 1, UPDATE_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class Ack:
    """Answers every push since the last ack up to that number: one verdict per entry, in order.

    Accepted means synced to disk. A cursor means what it means in `Updates`.
    """

    number: int
    cursor: int | None
    verdicts: tuple[Verdict, ...]

    def __post_init__(self) -> None:
        _check_integer("ack.number", self.number)
        if self.cursor is not None:
            _check_integer("ack.cursor", self.cursor)
        _check_length("ack.verdicts", self.verdicts, PUSH_RECORDS_MAX, at_least=1)
        for verdict in self.verdicts:
            _check_integer("ack.verdicts.seq", verdict.seq)
            if verdict.code is not VerdictCode.ACCEPTED or verdict.state_vector or verdict.reason:
                _check_refusal(verdict)


@dataclass(frozen=True, slots=True)
class Inventory:
    """A page of everything that the sender holds, by digest."""

    page: int
    entries: tuple[InventoryEntry, ...]
    more: bool

    def __post_init__(self) -> None:
        _check_integer("inventory.page", self.page)
        _check_length("inventory.entries", self.entries, PAGE_RECORDS_MAX)
        for record, digest in self.entries:
            _check_record("inventory.entries.record", record)
            _check_bytes("inventory.entries.digest", digest, DIGEST_BYTES, DIGEST_BYTES)
        _check_flag("inventory.more", self.more)


@dataclass(frozen=True, slots=True)
class ReceiptRequest:
    """Asks for a `Receipt` of the same number."""

    number: int

    def __post_init__(self) -> None:
        _check_integer("receipt_request.number", self.number)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the sender holds: the head of its feed, how many records, and their 32-byte root digest."""

    number: int
    head: int
    count: int
    root: bytes

    def __post_init__(self) -> None:
        _check_integer("receipt.number", self.number)
        _check_integer("receipt.head", self.head)
        _check_integer("receipt.count", self.count)
        _check_bytes("receipt.root", self.root, ROOT_BYTES, ROOT_BYTES)


@dataclass(frozen=True, slots=True)
class Presence:
    """Who has which record open, all of it as the sender knows it now; never stored."""

    entries: tuple[PresenceEntry, ...]

    def __post_init__(self) -> None:
        _check_length("presence.entries", self.entries, PRESENCE_ENTRIES_MAX)
        for record, actor in self.entries:
            _check_record("presence.entries.record", record)
            _check_text("presence.entries.actor", actor, ACTOR_LENGTH_MAX, at_least=1)


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks for a `Pong` of the same number."""

    number: int

    def __post_init__(self) -> None:
        _check_integer("ping.number", self.number)


@dataclass(frozen=True, slots=True)
class Pong:
    """Answers the `Ping` of the same number."""

    number: int

    def __post_init__(self) -> None:
        _check_integer("pong.number", self.number)


@dataclass(frozen=True, slots=True)
class Bye:
    """The last frame of a session: a code for programs, a message for people, and when to try again."""

    code: str
    message: str
    retry_after_ms: int | None

    def __post_init__(self) -> None:
        _check_text("bye.code", self.code, REASON_LENGTH_MAX)
        if _BYE_CODE.match(self.code) is None:
            _refuse("bye.code", "is not a lower-case name of at most 48 characters")
        _check_text("bye.message", self.message, REASON_LENGTH_MAX)
        if self.retry_after_ms is not None:
            _check_integer("bye.retry_after_ms", self.retry_after_ms, at_most=RETRY_AFTER_MS_MAX)


Message = (
    Hello
    | Welcome
    | Changes
    | Want
    | Updates
    | Have
    | Push
    | Ack
    | Inventory
    | ReceiptRequest
    | Receipt
    | Presence
    | Ping
    | Pong
    | Bye
)


def _refuse(field: str, problem: str) -> NoReturn:
    raise ValueError(f"{field} {problem}")


def _check_integer(field: str, value: object, at_least: int = 0, at_most: int = INTEGER_EXACT_MAX) -> None:
    if type(value) is not int:  # exact: a bool is an int to Python, not to the wire
        _refuse(field, f"is {type(value).__name__}, not an integer")
    if not at_least <= value <= at_most:
        _refuse(field, f"is not between {at_least} and {at_most}")


def _check_bytes(field: str, value: object, at_least: int, at_most: int) -> None:
    if type(value) is not bytes:
        _refuse(field, f"is {type(value).__name__}, not a byte string")
    if not at_least <= len(value) <= at_most:
        _refuse(field, f"has {len(value)} bytes, not {at_least} to {at_most}")


def _check_record(field: str, value: object) -> None:
    if type(value) is not str or not is_record(value):
        _refuse(field, "is not a record id")


def _check_text(field: str, value: object, at_most: int, at_least: int = 0) -> None:
    if type(value) is not str:
        _refuse(field, f"is {type(value).__name__}, not a text")
    if not at_least <= len(value) <= at_most:
        _refuse(field, f"has {len(value)} characters, not {at_least} to {at_most}")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        _refuse(field, "holds a lone surrogate")


def _check_flag(field: str, value: object) -> None:
    if type(value) is not bool:
        _refuse(field, f"is {type(value).__name__}, not true or false")


def _check_length(field: str, value: object, at_most: int, at_least: int = 0) -> None:
    if type(value) is not tuple:
        _refuse(field, f"is {type(value).__name__}, not a tuple")
    if not at_least <= len(value) <= at_most:
        _refuse(field, f"has {len(value)} entries, not {at_least} to {at_most}")


def _check_refusal(verdict: Verdict) -> None:
    """A verdict that is more than `accepted, seq`."""
    if type(verdict.code) is not VerdictCode:
        _refuse("ack.verdicts.code", "is not a verdict code")
    if verdict.code is VerdictCode.ACCEPTED:
        _refuse("ack.verdicts", "gives a reason or a state vector for an accepted update")
    if verdict.seq != 0:
        _refuse("ack.verdicts.seq", "is given for an update that was refused")
    at_least, at_most = (1, STATE_VECTOR_BYTES_MAX) if verdict.code is VerdictCode.GAP else (0, 0)
    _check_bytes("ack.verdicts.state_vector", verdict.state_vector, at_least, at_most)
    _check_text("ack.verdicts.reason", verdict.reason, REASON_LENGTH_MAX)
