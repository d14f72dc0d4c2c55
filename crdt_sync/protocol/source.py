"""What a session reads from its replica. Reads are synchronous, cheap, and see only committed data."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from crdt_sync.ids import Space
from crdt_sync.protocol.entries import Behind, ReportEntry

NOT_HELD = b"\x00"
"""The state vector of a record that is not held."""


class Change(NamedTuple):
    """The newest change of one record: its place in the feed and the record's state vector."""

    seq: int
    record: str
    state_vector: bytes


class LogUpdate(NamedTuple):
    """One committed update, as it was received."""

    seq: int
    record: str
    update: bytes


class Outgoing(NamedTuple):
    """A record that the partner still lacks something of."""

    record: str
    edit: int


class Diff(NamedTuple):
    """What a partner lacks of a record, the state vector that it leads to, and the record's last sequence number.

    `read` is how many stored bytes it was made of. `parts` are updates to be integrated in order in the place of
    `update`, which is empty then: of a record that was rewritten often, what was stored may be too much for one.
    """

    update: bytes
    state_vector: bytes
    seq: int = 0
    read: int = 0
    parts: tuple[bytes, ...] = ()


class AcceptorSource(Protocol):
    """What the accepting side reads."""

    @property
    def replica(self) -> bytes:
        """This replica's id, 16 bytes."""

    @property
    def space(self) -> Space:
        """The space that the records belong to."""

    def join(self, space: bytes) -> None:
        """A partner is of that space: so are we, durably, from now on. Called only where `space` is not joined."""

    @property
    def epoch(self) -> bytes:
        """The epoch in which cursors are handed out, 16 bytes."""

    def reach(self, epoch: bytes) -> int | None:
        """Up to which sequence number the history of `epoch` is this one; None where the epoch is not known."""

    def head(self) -> int:
        """The newest sequence number, 0 in an empty store."""

    def followed(self) -> int:
        """How far followers may read: after it, updates are on disk, but who pushed them was not told yet."""

    def feed(self, after: int, limit: int) -> Sequence[Change]:
        """The newest change of each record changed after `after`, ascending by sequence number."""

    def behind(self, after: int) -> Behind | None:
        """How much changed after `after`, at most; None where that cannot be read."""

    def log(self, after: int, limit: int, bytes_max: int) -> Sequence[LogUpdate] | None:
        """Updates after `after` up to `followed`, without a hole; None where compaction removed some of them."""

    def is_renewed(self, record: str) -> bool:
        """Whether a record is of a lineage that only partners with that feature know."""

    def diff(self, record: str, state_vector: bytes) -> Diff | None:
        """What somebody with `state_vector` lacks; None for a record that is not held or cannot be read.

        Raises `UpdateRefused` for a state vector that is none.
        """


class DialerSource(Protocol):
    """What the dialing side reads. All of it is about one partner, which the host knows."""

    @property
    def replica(self) -> bytes:
        """This replica's id, 16 bytes."""

    @property
    def space(self) -> Space:
        """The space that the records belong to."""

    def count(self) -> int:
        """How many records are held."""

    def state_vector(self, record: str) -> bytes:
        """The record's state vector, empty (one zero byte) where the record is not held."""

    def unread(self) -> Sequence[str]:
        """Records of which an update came that could not be integrated: what the partner has of them is asked again."""

    def reports(self) -> Sequence[ReportEntry]:
        """What was done here that the partner, a relay, is to have in its audit log; `REPORTS_TOLD_MAX` at most."""

    def outbox(self, after: str, limit: int) -> Sequence[Outgoing]:
        """The next records, by id, that the partner lacks and has not refused."""

    def outgoing(self, record: str) -> tuple[Outgoing, Diff] | None:
        """What to push of `record`; None where nothing is owed, or the partner refused it."""
