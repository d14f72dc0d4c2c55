"""Marks: what stands on the wire for numbers of the log, where somebody may hold some records and not others.

The numbers tell how much is written, and when. A mark tells nobody anything but its maker. A dialer keeps the last that
it was told, and shows it again: of two it cannot know which is the later one.

Rules:

1. No two marks are equal, whatever they stand for, and all have one length.
2. A mark is of one user and one replica: it means nothing where another shows it.
3. Heads that are told as marks only rise, so that the last one is the highest.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from crdt_sync.protocol.entries import Place
from crdt_sync.protocol.messages import (
    Ack,
    Changes,
    Dropped,
    Message,
    Receipt,
    Updates,
    Welcome,
)


class Marks(Protocol):
    """The marks of one session, as its host makes and reads them."""

    def make(self, number: int) -> bytes:
        """A new mark for a number of the log, `MARK_BYTES` long."""

    def read(self, mark: bytes) -> int | None:
        """The number that a mark stands for which this user and replica were told; None for any other bytes."""


class Veil:
    """What leaves one session, with marks in the place of numbers."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._head = 0

    def over(self, message: Message) -> Message:
        """The message as it is sent."""
        match message:
            case Updates() | Dropped():
                return replace(message, cursor=self._cursor(message.cursor), head=self.head(message.head))
            case Ack():
                verdicts = tuple(verdict._replace(seq=0) for verdict in message.verdicts)
                cursor, head = self._cursor(message.cursor), self.head(message.head)
                return replace(message, cursor=cursor, head=head, verdicts=verdicts)
            case Changes():
                entries = tuple(entry._replace(seq=0) for entry in message.entries)
                return replace(message, cursor=self.cursor(message.cursor), entries=entries)
            case Welcome() | Receipt():
                return replace(message, head=0)
        return message

    def cursor(self, cursor: Place) -> bytes:
        """A cursor as it is told."""
        return self._marks.make(_number(cursor))

    def head(self, head: Place) -> bytes:
        """A head as it is told: none is lower than the one before."""
        self._head = max(self._head, _number(head))
        return self._marks.make(self._head)

    def _cursor(self, cursor: Place | None) -> bytes | None:
        return None if cursor is None else self.cursor(cursor)

    def read(self, place: Place) -> int | None:
        """The number that the partner means; None where it is no mark of its own. Before the first it stands at 0."""
        if isinstance(place, int):
            return None if place else 0
        return self._marks.read(place)


def head_of(cursor: Place) -> Place:
    """What a cursor says of heads: a number is one, and a mark stands beside the mark of the head."""
    return cursor if isinstance(cursor, int) else 0


def newest_head(heads: Iterable[Place]) -> Place:
    """The highest of these heads of one partner, in the order in which they came."""
    told = list(heads)
    marks = [head for head in told if isinstance(head, bytes)]
    return marks[-1] if marks else max(head for head in told if isinstance(head, int))


def _number(place: Place) -> int:
    assert isinstance(place, int), "what is served has numbers"
    return place
