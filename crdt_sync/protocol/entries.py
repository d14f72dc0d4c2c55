"""What repeats inside messages: one record's line in a list, and the verdict on one pushed update."""

from enum import IntEnum
from typing import NamedTuple


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
