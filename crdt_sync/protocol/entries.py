"""What repeats inside messages: one record's line in a list, the verdict on one pushed update, a record's standing."""

from enum import IntEnum
from typing import NamedTuple

MARK_BYTES = 36
Place = int | bytes
"""A place in the sender's log: its number, or a mark, which only the sender can read; see `marks`."""


class Behind(NamedTuple):
    """What changed after a place in the feed: so many records, with so many bytes of updates since, at most.

    Where there are many, both are reckoned from the first of them.
    """

    records: int
    bytes: int


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


class ReportEntry(NamedTuple):
    """Something that was done with so many `records`, `at` that time (µs since 1970) by the device's clock.

    `kind` is `export`, `bundle` or a later one. `about` is a collection, or whom a bundle is for.
    """

    at: int
    kind: str
    about: str
    records: int


class Standing(IntEnum):
    """What a replica's own log says of a record's stored content."""

    AGREES = 0  # the updates in the log lead to the content
    DISAGREES = 1  # they are complete and lead to another content: what is stored is wrong
    INCOMPLETE = 2  # compaction has dropped some of them, so the log cannot tell
    CHANGING = 3  # it was written while it was read: ask again
    UNREADABLE = 4  # the stored bytes are damaged
    ABSENT = 5  # the record is not held


class CheckedEntry(NamedTuple):
    """One record as it is stored: state digest (A) and content digest (B), computed from the bytes just now.

    Both are empty where the standing is `CHANGING`, `UNREADABLE` or `ABSENT`.
    """

    record: str
    state: bytes
    content: bytes
    standing: Standing


class Resume(NamedTuple):
    """Where the sender stopped reading the partner's feed, in which epoch, and the newest of its log that it knows of.

    `head` is the highest head or cursor that came with anything that the sender stored or believes, at least `cursor`.
    Where they are marks, it is the last that came.
    """

    epoch: bytes
    cursor: Place
    head: Place


class Resumed(NamedTuple):
    """A `Resume` as whose log it is of understands it: in numbers."""

    epoch: bytes
    cursor: int
    head: int
