"""One side of one reconciliation.

The initiator calls `start`; from then on each side hands the messages of the other to `receive` and sends what that
returns, in turns, until `done`. After each call the host takes the differences found so far with `take`.

A partner can make a run longer but not endless, and not large: every pair of messages answers at least one range,
this side splits ranges by its own records only, and open ranges, records kept and messages have limits.
"""

from crdt_sync.errors import ProtocolViolation
from crdt_sync.limits import (
    FRAME_BYTES_TARGET,
    RECONCILE_FAN_OUT,
    RECONCILE_FRAME_BYTES_MIN,
    RECONCILE_MESSAGES_FREE,
    RECONCILE_OPEN_RANGES_MAX,
    RECONCILE_RECORDS_PER_MESSAGE_MIN,
)
from crdt_sync.protocol.reconcile.answering import compose, opening
from crdt_sync.protocol.reconcile.messages import Ranges
from crdt_sync.protocol.reconcile.reading import read_answers
from crdt_sync.protocol.reconcile.run import Asked, AskedKind, Owed, Run, Wanted
from crdt_sync.protocol.reconcile.view import View

__all__ = ["Owed", "Reconciler", "Wanted"]

_OPEN_RANGES_MAX = RECONCILE_OPEN_RANGES_MAX - RECONCILE_FAN_OUT  # so that the answer can split the leftmost


class Reconciler:
    """Finds out in which records this side and a partner differ; both learn it.

    `view` must not change during the run: pin it together with the head of the feed, and let the feed after that
    head bring what is committed meanwhile. `frame_bytes` bounds each message sent, CBOR included.
    """

    def __init__(self, view: View, initiator: bool, frame_bytes: int = FRAME_BYTES_TARGET) -> None:
        if not RECONCILE_FRAME_BYTES_MIN <= frame_bytes <= FRAME_BYTES_TARGET:
            raise ValueError(f"a frame of {frame_bytes} bytes is not possible")
        self.done = False
        self._run = Run(view)
        self._initiator = initiator
        self._frame_bytes = frame_bytes
        self._records = view.aggregate("", None)[0]
        self._messages = 0
        self._passed = False  # whether the last message sent answered nothing
        if not initiator:
            self._run.asked.append(Asked("", None, AskedKind.OPENING))

    @property
    def want(self) -> list[Wanted]:
        """What was found since the last `take`: records to get from the partner."""
        return self._run.want

    @property
    def owe(self) -> list[Owed]:
        """What was found since the last `take`: records to give to the partner."""
        return self._run.owe

    def take(self) -> tuple[list[Wanted], list[Owed]]:
        """The differences found since the last call, each record once in the run; about two frames of them at most."""
        taken = self._run.want, self._run.owe
        self._run.want, self._run.owe = [], []
        return taken

    def start(self) -> Ranges:
        """The first message, from the initiator."""
        assert self._initiator, "the other side starts"
        assert not self._run.asked, "a run starts once"
        return Ranges(opening(self._run), self._run.open)

    def receive(self, message: Ranges) -> Ranges | None:
        """Take the partner's message; returns the one to send, or None if there is nothing more to say.

        Raises `ProtocolViolation`; then this object is of no more use. What was taken before stays true as far as
        the partner can be believed.
        """
        assert not self.want, "take the differences first: they would pile up"
        assert not self.owe, "take the differences first: they would pile up"
        self._admit(message)
        read_answers(self._run, message.answers)
        if message.open != self._run.open:
            raise ProtocolViolation(f"ranges: {message.open} open there, {self._run.open} here")
        if self._run.open > _OPEN_RANGES_MAX:
            raise ProtocolViolation(f"ranges: more than {_OPEN_RANGES_MAX} open")
        if not self._run.open:
            self.done = True
            return None
        answers = compose(self._run, self._frame_bytes)
        self._passed = not answers
        self.done = not self._run.open
        return Ranges(answers, self._run.open)

    def _admit(self, message: Ranges) -> None:
        if self.done:
            raise ProtocolViolation("ranges: a message after the end")
        if not self._run.open:
            raise ProtocolViolation("ranges: a message before the first")
        if not message.answers and self._passed:
            raise ProtocolViolation("ranges: both sides pass")
        self._messages += 1
        records = self._records + self._run.received
        if self._messages > RECONCILE_MESSAGES_FREE + records // RECONCILE_RECORDS_PER_MESSAGE_MIN:
            raise ProtocolViolation("ranges: too many messages")
