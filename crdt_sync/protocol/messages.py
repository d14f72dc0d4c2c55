"""Every message of the protocol, as values that are valid once they exist.

A constructor checks types and limits and raises `ValueError` that names the message and the field; the codec
turns that into `ProtocolViolation` for bytes from a partner, so each rule is written once and runs once.
`docs/protocol.cddl` says the same in CDDL. Shapes that repeat:

* a number, count or sequence is an integer from 0 to 2**53 - 1, which JavaScript holds exactly; so is a cursor or head,
  or it is a mark, see `entries.Place`;
* a time is microseconds since 1970; a record is a record id (`ids.is_record`);
* a state vector has at least one byte (`00` is the empty one) unless its field says that it may be absent;
* page 0 of `Want` and `Updates` is not tied to a page: live updates and repairs; where digests are compared, page 1
  is for what differs.
"""

import re
from dataclasses import dataclass

from crdt_sync.ids import EPOCH_BYTES, LOG_BYTES, REPLICA_BYTES, SPACE_BYTES, is_record
from crdt_sync.limits import (
    ACTOR_LENGTH_MAX,
    AGENT_LENGTH_MAX,
    CHECK_RECORDS_MAX,
    FEATURE_LENGTH_MAX,
    FEATURES_MAX,
    HELLO_BYTES_MAX,
    INTEGER_EXACT_MAX,
    PAGE_RECORDS_MAX,
    PRESENCE_ENTRIES_MAX,
    PUSH_RECORDS_MAX,
    REASON_LENGTH_MAX,
    RECONCILE_COLUMN_BYTES_MAX,
    RECONCILE_OPEN_RANGES_MAX,
    REPORT_ABOUT_LENGTH_MAX,
    REPORTS_TOLD_MAX,
    RETRY_AFTER_MS_MAX,
    SIGNED_TOKEN_LENGTH_MAX,
    STATE_VECTOR_BYTES_MAX,
    STATEMENT_BYTES_MAX,
    STATEMENTS_SAID_MAX,
    TOKEN_LENGTH_MAX,
    UPDATE_BYTES_MAX,
    UPDATES_RECORDS_MAX,
    VERSIONS_MAX,
    WANT_RECORDS_MAX,
)
from crdt_sync.protocol.checks import (
    check_bytes,
    check_flag,
    check_integer,
    check_length,
    check_place,
    check_record,
    check_refusal,
    check_standing,
    check_text,
    refuse,
)
from crdt_sync.protocol.entries import (
    Behind,
    ChangesEntry,
    CheckedEntry,
    Place,
    PresenceEntry,
    PushEntry,
    ReportEntry,
    Resume,
    Standing,
    UpdatesEntry,
    WantEntry,
)
from crdt_sync.verdicts import RetryAfter, Verdict, VerdictCode

ROOT_BYTES = 32
DONE = "done"  # the code of a bye: all that its sender was told is on its disk, and all that it pushed was answered
QUOTA_CHANGED = "quota_changed"  # the code of a bye: what was put off by a verdict is worth another try now
QUOTA_OVER = "quota_over"  # likewise, from a dialer: the next session offers what a quota refused
MODE_CHANGES = 0  # catch up by the feed, from the cursor
MODE_RECONCILE = 1  # catch up by comparing digests
PAGE_COMPARED = 1  # in that mode: what the comparison found; pages of the feed come after it
_TOKEN = re.compile(r"\A[ -~]*\Z")
_FEATURE = re.compile(r"\A[a-z][a-z0-9_]*\Z")
_BYE_CODE = re.compile(r"\A[a-z][a-z0-9_]{0,47}\Z")


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
        check_length("hello.versions", self.versions, VERSIONS_MAX, at_least=1)
        for version in self.versions:
            check_integer("hello.versions", version, at_least=1)
        check_bytes("hello.replica", self.replica, REPLICA_BYTES, REPLICA_BYTES)
        check_text("hello.token", self.token, TOKEN_LENGTH_MAX)
        if _TOKEN.match(self.token) is None:
            refuse("hello.token", "is not printable ASCII")
        check_integer("hello.now", self.now)
        if self.resume is not None:
            check_bytes("hello.resume.epoch", self.resume.epoch, EPOCH_BYTES, EPOCH_BYTES)
            check_place("hello.resume.cursor", self.resume.cursor)
            check_place("hello.resume.head", self.resume.head)
        check_flag("hello.follow", self.follow)
        check_integer("hello.count", self.count)
        check_text("hello.agent", self.agent, AGENT_LENGTH_MAX)


@dataclass(frozen=True, slots=True)
class Welcome:
    """The answer to `Hello`: the chosen version, the feed's epoch and head, how to catch up, and with how much.

    `behind` is None where that is not known, because digests are compared first, or not of interest to the dialer.
    """

    version: int
    replica: bytes
    now: int
    epoch: bytes
    head: int
    mode: int
    frame_bytes_max: int
    behind: Behind | None = None

    def __post_init__(self) -> None:
        check_integer("welcome.version", self.version, at_least=1)
        check_bytes("welcome.replica", self.replica, REPLICA_BYTES, REPLICA_BYTES)
        check_integer("welcome.now", self.now)
        check_bytes("welcome.epoch", self.epoch, EPOCH_BYTES, EPOCH_BYTES)
        check_integer("welcome.head", self.head)
        check_integer("welcome.mode", self.mode, at_most=MODE_RECONCILE)
        check_integer("welcome.frame_bytes_max", self.frame_bytes_max, at_least=HELLO_BYTES_MAX)
        if self.behind is not None:
            check_integer("welcome.behind.records", self.behind.records)
            check_integer("welcome.behind.bytes", self.behind.bytes)


@dataclass(frozen=True, slots=True)
class Terms:
    """From version 2 on, each side's first frame after the welcome: whose records these are, and what it can do.

    `space` is the 16-byte id of the set of records; `joined` is false where it is the sender's own and shared with
    nobody yet. `log` names the log that the sender's cursors, epochs and heads are of, 16 bytes.
    """

    space: bytes
    joined: bool
    log: bytes
    features: tuple[str, ...]

    def __post_init__(self) -> None:
        check_bytes("terms.space", self.space, SPACE_BYTES, SPACE_BYTES)
        check_flag("terms.joined", self.joined)
        check_bytes("terms.log", self.log, LOG_BYTES, LOG_BYTES)
        check_length("terms.features", self.features, FEATURES_MAX)
        for feature in self.features:
            check_text("terms.features", feature, FEATURE_LENGTH_MAX, at_least=1)
            if _FEATURE.match(feature) is None:
                refuse("terms.features", "has a name that is not of lower-case letters, digits and underscores")


@dataclass(frozen=True, slots=True)
class Changes:
    """A page of the feed; an empty one is its end. `cursor` is where the reader stands once it has the page."""

    page: int
    cursor: Place
    entries: tuple[ChangesEntry, ...]

    def __post_init__(self) -> None:
        check_integer("changes.page", self.page)
        check_place("changes.cursor", self.cursor)
        check_length("changes.entries", self.entries, PAGE_RECORDS_MAX)
        for record, seq, state_vector in self.entries:
            check_record("changes.entries.record", record)
            check_integer("changes.entries.seq", seq)
            check_bytes("changes.entries.state_vector", state_vector, 1, STATE_VECTOR_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class Want:
    """What the reader lacks of a page; may be empty, and then says that the page brought nothing new."""

    page: int
    entries: tuple[WantEntry, ...]

    def __post_init__(self) -> None:
        check_integer("want.page", self.page)
        check_length("want.entries", self.entries, WANT_RECORDS_MAX)
        for record, state_vector in self.entries:
            check_record("want.entries.record", record)
            check_bytes("want.entries.state_vector", state_vector, 1, STATE_VECTOR_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class Updates:
    """Updates, in commit order. A cursor means that the reader may stand there once they are stored.

    Nothing in them, and nothing that was compared before, is after `head` in the sender's log. `last` says that the
    answer to a want ends here; it is true on live updates.
    """

    page: int
    cursor: Place | None
    head: Place
    last: bool
    entries: tuple[UpdatesEntry, ...]

    def __post_init__(self) -> None:
        check_integer("updates.page", self.page)
        if self.cursor is not None:
            check_place("updates.cursor", self.cursor)
        check_place("updates.head", self.head)
        check_flag("updates.last", self.last)
        check_length("updates.entries", self.entries, UPDATES_RECORDS_MAX)
        for record, update, state_vector in self.entries:
            check_record("updates.entries.record", record)
            check_bytes("updates.entries.update", update, 1, UPDATE_BYTES_MAX)
            check_bytes("updates.entries.state_vector", state_vector, 0, STATE_VECTOR_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class Dropped:
    """The dialer may hold these records no more, and deletes them; `cursor` and `head` as in `Updates`."""

    cursor: Place | None
    head: Place
    records: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.cursor is not None:
            check_place("dropped.cursor", self.cursor)
        check_place("dropped.head", self.head)
        check_length("dropped.records", self.records, UPDATES_RECORDS_MAX, at_least=1)
        for record in self.records:
            check_record("dropped.records", record)


@dataclass(frozen=True, slots=True)
class Regranted:
    """What the dialer may hold has changed: from now on cursor and head are of this epoch.

    `settled`: what it may hold now, and may hold no more, was all told before.
    """

    epoch: bytes
    settled: bool

    def __post_init__(self) -> None:
        check_bytes("regranted.epoch", self.epoch, EPOCH_BYTES, EPOCH_BYTES)
        check_flag("regranted.settled", self.settled)


@dataclass(frozen=True, slots=True)
class Have:
    """What the reader has on disk: its cursor, and the bytes of all `Updates` frames stored so far."""

    cursor: Place
    received: int

    def __post_init__(self) -> None:
        check_place("have.cursor", self.cursor)
        check_integer("have.received", self.received)


@dataclass(frozen=True, slots=True)
class Push:
    """Updates to be stored by the partner, which answers each one in the `Ack` of the same number."""

    number: int
    entries: tuple[PushEntry, ...]

    def __post_init__(self) -> None:
        number, entries = self.number, self.entries
        if type(number) is not int or not 0 <= number <= INTEGER_EXACT_MAX:
            check_integer("push.number", number)  # says what is wrong
        if type(entries) is not tuple or not 0 < len(entries) <= PUSH_RECORDS_MAX:
            check_length("push.entries", entries, PUSH_RECORDS_MAX, at_least=1)
        for record, update in entries:
            if type(record) is not str or not is_record(record):
                check_record("push.entries.record", record)  # says what is wrong
            if type(update) is not bytes or not 0 < len(update) <= UPDATE_BYTES_MAX:
                check_bytes("push.entries.update", update, 1, UPDATE_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class Ack:
    """Answers every push since the last ack up to that number: one verdict per entry, in order.

    Accepted means synced to disk. Cursor and head mean what they mean in `Updates`: whatever the verdicts say that the
    sender holds is in its log, at or before `head`.
    """

    number: int
    cursor: Place | None
    head: Place
    verdicts: tuple[Verdict, ...]

    def __post_init__(self) -> None:
        check_integer("ack.number", self.number)
        if self.cursor is not None:
            check_place("ack.cursor", self.cursor)
        check_place("ack.head", self.head)
        check_length("ack.verdicts", self.verdicts, PUSH_RECORDS_MAX, at_least=1)
        for verdict in self.verdicts:
            code, seq, state_vector, reason, new, _, retry_after = verdict
            if type(seq) is not int or not 0 <= seq <= INTEGER_EXACT_MAX:
                check_integer("ack.verdicts.seq", seq)  # says what is wrong
            if new is not False:
                refuse("ack.verdicts.new", "is for one's own side")
            if code is not VerdictCode.ACCEPTED or state_vector or reason or retry_after is not None:
                check_refusal(verdict)


@dataclass(frozen=True, slots=True)
class Ranges:
    """One turn of the comparison, packed as `reconcile.encode` does; what the columns say is for the run to check."""

    open: int
    shape: bytes
    names: bytes
    hashes: bytes

    def __post_init__(self) -> None:
        check_integer("ranges.open", self.open, at_most=RECONCILE_OPEN_RANGES_MAX)
        check_bytes("ranges.shape", self.shape, 0, RECONCILE_COLUMN_BYTES_MAX)
        check_bytes("ranges.names", self.names, 0, RECONCILE_COLUMN_BYTES_MAX)
        check_bytes("ranges.hashes", self.hashes, 0, RECONCILE_COLUMN_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class ReceiptRequest:
    """Asks for a `Receipt` of the same number."""

    number: int

    def __post_init__(self) -> None:
        check_integer("receipt_request.number", self.number)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the sender holds: the head of its feed, how many records, and their 32-byte root digest."""

    number: int
    head: int
    count: int
    root: bytes

    def __post_init__(self) -> None:
        check_integer("receipt.number", self.number)
        check_integer("receipt.head", self.head)
        check_integer("receipt.count", self.count)
        check_bytes("receipt.root", self.root, ROOT_BYTES, ROOT_BYTES)


@dataclass(frozen=True, slots=True)
class Presence:
    """Who has which record open, all of it as the sender knows it now; never stored."""

    entries: tuple[PresenceEntry, ...]

    def __post_init__(self) -> None:
        check_length("presence.entries", self.entries, PRESENCE_ENTRIES_MAX)
        for record, actor in self.entries:
            check_record("presence.entries.record", record)
            check_text("presence.entries.actor", actor, ACTOR_LENGTH_MAX, at_least=1)


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks for a `Pong` of the same number."""

    number: int

    def __post_init__(self) -> None:
        check_integer("ping.number", self.number)


@dataclass(frozen=True, slots=True)
class Pong:
    """Answers the `Ping` of the same number."""

    number: int

    def __post_init__(self) -> None:
        check_integer("pong.number", self.number)


@dataclass(frozen=True, slots=True)
class Bye:
    """The last frame of a session: a code for programs, a message for people, and when to try again."""

    code: str
    message: str
    retry_after_ms: int | None

    def __post_init__(self) -> None:
        check_text("bye.code", self.code, REASON_LENGTH_MAX)
        if _BYE_CODE.match(self.code) is None:
            refuse("bye.code", "is not a lower-case name of at most 48 characters")
        check_text("bye.message", self.message, REASON_LENGTH_MAX)
        if self.retry_after_ms is not None:
            check_integer("bye.retry_after_ms", self.retry_after_ms, at_most=RETRY_AFTER_MS_MAX)


@dataclass(frozen=True, slots=True)
class Audit:
    """Begins an audit: both sides reconcile state digests, or content digests, in `Ranges`; the sender begins."""

    content: bool

    def __post_init__(self) -> None:
        check_flag("audit.content", self.content)


@dataclass(frozen=True, slots=True)
class Check:
    """Asks for `Checked` of these records; with `mend`, what its own log contradicts is mended first."""

    number: int
    mend: bool
    records: tuple[str, ...]

    def __post_init__(self) -> None:
        check_integer("check.number", self.number)
        check_flag("check.mend", self.mend)
        check_length("check.records", self.records, CHECK_RECORDS_MAX, at_least=1)
        for record in self.records:
            check_record("check.records", record)


@dataclass(frozen=True, slots=True)
class Checked:
    """How the records of a `Check` are stored. It comes after every update up to the state that it speaks of."""

    number: int
    entries: tuple[CheckedEntry, ...]

    def __post_init__(self) -> None:
        check_integer("checked.number", self.number)
        check_length("checked.entries", self.entries, CHECK_RECORDS_MAX, at_least=1)
        for entry in self.entries:
            check_record("checked.entries.record", entry.record)
            check_standing("checked.entries", entry)


@dataclass(frozen=True, slots=True)
class Said:
    """What the space said that the partner lacks: signed statements, in the order in which they can be taken."""

    statements: tuple[bytes, ...]

    def __post_init__(self) -> None:
        check_length("said.statements", self.statements, STATEMENTS_SAID_MAX, at_least=1)
        for statement in self.statements:
            check_bytes("said.statements", statement, 1, STATEMENT_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class Reported:
    """What was done on the sender's device with what it holds, for the relay's audit log; asks for `Noted`."""

    number: int
    entries: tuple[ReportEntry, ...]

    def __post_init__(self) -> None:
        check_integer("reported.number", self.number)
        check_length("reported.entries", self.entries, REPORTS_TOLD_MAX, at_least=1)
        for at, kind, about, records in self.entries:
            check_integer("reported.entries.at", at)
            check_text("reported.entries.kind", kind, FEATURE_LENGTH_MAX)
            if _FEATURE.match(kind) is None:
                refuse("reported.entries.kind", "is not a lower-case name")
            check_text("reported.entries.about", about, REPORT_ABOUT_LENGTH_MAX)
            check_integer("reported.entries.records", records)


@dataclass(frozen=True, slots=True)
class Noted:
    """What `Reported` of the same number said is on the relay's disk, or nobody there wants to know."""

    number: int

    def __post_init__(self) -> None:
        check_integer("noted.number", self.number)


@dataclass(frozen=True, slots=True)
class NewToken:
    """The partner's token, issued anew; it takes the place of the one that it showed."""

    token: str

    def __post_init__(self) -> None:
        check_text("new_token.token", self.token, SIGNED_TOKEN_LENGTH_MAX, at_least=1)
        if _TOKEN.match(self.token) is None:
            refuse("new_token.token", "is not printable ASCII")


Message = (
    Hello
    | Welcome
    | Terms
    | Changes
    | Want
    | Updates
    | Have
    | Push
    | Ack
    | Ranges
    | ReceiptRequest
    | Receipt
    | Presence
    | Ping
    | Pong
    | Bye
    | Audit
    | Check
    | Checked
    | Said
    | Reported
    | Noted
    | NewToken
    | Dropped
    | Regranted
)

__all__ = [
    "MODE_CHANGES",
    "MODE_RECONCILE",
    "PAGE_COMPARED",
    "QUOTA_CHANGED",
    "QUOTA_OVER",
    "ROOT_BYTES",
    "Ack",
    "Audit",
    "Bye",
    "Changes",
    "ChangesEntry",
    "Check",
    "Checked",
    "CheckedEntry",
    "Dropped",
    "Have",
    "Hello",
    "Message",
    "NewToken",
    "Noted",
    "Ping",
    "Place",
    "Pong",
    "Presence",
    "PresenceEntry",
    "Push",
    "PushEntry",
    "Ranges",
    "Receipt",
    "ReceiptRequest",
    "Regranted",
    "ReportEntry",
    "Reported",
    "Resume",
    "RetryAfter",
    "Said",
    "Standing",
    "Terms",
    "Updates",
    "UpdatesEntry",
    "Verdict",
    "VerdictCode",
    "Want",
    "WantEntry",
    "Welcome",
]
