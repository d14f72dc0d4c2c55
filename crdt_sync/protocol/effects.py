"""What a session asks of its host. The host drains them, in order, after every call into the session.

An effect that names an answer must be answered, once, by the method that it names; until then nothing that
depends on it is acknowledged.
"""

from dataclasses import dataclass
from typing import NamedTuple

from crdt_sync.protocol.auditing import Differences
from crdt_sync.protocol.entries import Behind, Place, ReportEntry
from crdt_sync.protocol.messages import Checked, PresenceEntry, PushEntry, Receipt, UpdatesEntry, Verdict
from crdt_sync.protocol.terms import Agreed


class Send(NamedTuple):
    """Send this frame to the partner."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The session is over; close the link. `retry_after_us` is None where trying again cannot help."""

    code: str
    message: str
    retry_after_us: int | None
    by_partner: bool


@dataclass(frozen=True, slots=True)
class Compare:
    """Pin a view of all that is held, with as many digests valid as can be. Answer: `compare` of either end."""


@dataclass(frozen=True, slots=True)
class PinDigests:
    """Pin a view of all that is held for an audit: state digests, or content digests computed from the stored bytes.

    Answer: `pinned` of either end.
    """

    content: bool


@dataclass(frozen=True, slots=True)
class SaidCame:
    """The partner passes on what the space said: nothing of it is checked yet."""

    statements: tuple[bytes, ...]


# --- dialer --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Welcomed:
    """The handshake succeeded. `clock_offset_us` is the partner's clock minus ours, good to half a round trip.

    `resumed`: the partner honours what we told it of our standing, which from now on is one of `epoch`. If it does not,
    that standing is to be forgotten before anything else is stored: it may be of a history that was lost, and may
    come back. `agreed` is what the terms led to, None with a partner whose version has none.
    """

    replica: bytes
    epoch: bytes
    clock_offset_us: int
    comparing: bool
    resumed: bool
    head: int = 0  # the newest sequence number of the partner's feed
    behind: Behind | None = None  # how much the partner has for us, at most, where it knows
    agreed: Agreed | None = None


@dataclass(frozen=True, slots=True)
class Integrate:
    """Integrate and store these updates, head, and the cursor if given, in one commit. Answer: `Dialer.integrated`.

    `head` and `cursor` are in the partner's log: nothing that is stored lies after the first; where that is 0, it says
    nothing new. Records that were `dropped` are deleted before; with an `epoch`, what is stored from here on is of that
    one.
    """

    number: int
    entries: tuple[UpdatesEntry, ...]
    cursor: Place | None
    head: Place
    owe: bool  # the partner's state vectors are given, and what it lacks must go to the outbox
    unserved: tuple[str, ...] = ()  # records that the partner has and left out of its answers: it cannot read them
    dropped: tuple[str, ...] = ()
    epoch: bytes = b""


@dataclass(frozen=True, slots=True)
class Owe:
    """The partner lacks these records: put them into the outbox. Answer: `Dialer.owed`."""

    records: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pushed:
    """One record of a push that the partner has answered."""

    record: str
    edit: int
    state_vector: bytes
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Note these verdicts in the outbox, head, and the cursor if given. Answer: `Dialer.acknowledged`."""

    number: int
    verdicts: tuple[Pushed, ...]
    cursor: Place | None
    head: Place


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """All that the partner held at the start of the session, or of this catching up, has arrived."""


@dataclass(frozen=True, slots=True)
class PresenceSeen:
    """Who has which record open, according to the partner."""

    entries: tuple[PresenceEntry, ...]


@dataclass(frozen=True, slots=True)
class ReceiptArrived:
    """The partner's receipt: count and root digest of all that it holds at `head`."""

    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Audited:
    """The audit is over: what differed when it began, or changed since."""

    differences: Differences


@dataclass(frozen=True, slots=True)
class CheckArrived:
    """The partner's answer to `Dialer.check`."""

    checked: Checked


@dataclass(frozen=True, slots=True)
class TokenCame:
    """The partner, which speaks for the space, issued our token anew: nothing of it is checked yet."""

    token: str


@dataclass(frozen=True, slots=True)
class ReportsNoted:
    """The partner has these in its audit log: they are told no more. Answer: `Dialer.reports_forgotten`."""

    entries: tuple[ReportEntry, ...]


# --- acceptor ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Greeted:
    """The partner's hello was accepted. It holds everything up to `cursor` of our log, by its own word."""

    replica: bytes
    agent: str
    cursor: int


@dataclass(frozen=True, slots=True)
class Holds:
    """The partner has everything up to `cursor` of our log on its disk, but for what it refused, by its own word."""

    cursor: int


class Accept(NamedTuple):
    """Integrate and store the partner's push. Answer: `Acceptor.accepted`, in order of the numbers.

    `hidden` are records that the partner may not hold: what it pushes of them is refused: of those in `unread`
    for now, as what they show is being read.
    """

    number: int
    entries: tuple[PushEntry, ...]
    hidden: frozenset[str] = frozenset()
    unread: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ReadReceipt:
    """Compute a receipt. Answer: `Acceptor.receipt`."""

    number: int


@dataclass(frozen=True, slots=True)
class Gave:
    """The partner was sent these companions, of which the audit log is to tell, for the first time in this session."""

    records: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """Write into the audit log what the partner says was done on its device. Answer: `Acceptor.noted`."""

    number: int
    entries: tuple[ReportEntry, ...]


@dataclass(frozen=True, slots=True)
class CheckRecords:
    """Say how these records are stored; with `mend`, mend them from the log first. Answer: `Acceptor.checked`."""

    number: int
    records: tuple[str, ...]
    mend: bool


Effect = (
    Send
    | Closed
    | Compare
    | PinDigests
    | Welcomed
    | Integrate
    | Owe
    | Acknowledge
    | CaughtUp
    | PresenceSeen
    | ReceiptArrived
    | Audited
    | CheckArrived
    | ReportsNoted
    | Greeted
    | Holds
    | Accept
    | ReadReceipt
    | CheckRecords
    | Note
    | Gave
    | SaidCame
    | TokenCame
)
