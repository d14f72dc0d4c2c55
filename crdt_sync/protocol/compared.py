"""An accepting session's side of a comparison: it answers the dialer's ranges, and is asked for what differs.

Rules:

1. Ranges that come before the view is pinned wait for it: one message of them, as the dialer waits for the answer.
2. No more is asked for than was found to differ, so that nobody has records read again and again.
"""

from crdt_sync import limits
from crdt_sync.errors import ProtocolViolation
from crdt_sync.protocol.messages import Ranges
from crdt_sync.protocol.reconcile import Reconciler, View, decode, encode


class Compared:
    """See the module."""

    def __init__(self) -> None:
        self._run: Reconciler | None = None  # from the view on
        self._heard: Ranges | None = None  # ranges that came before it
        self._due = 0  # records that were found and not asked for yet

    @property
    def begun(self) -> bool:
        """Whether the view is pinned, so that it is the dialer's turn."""
        return self._run is not None

    @property
    def told(self) -> bool:
        """Whether no range is open any more."""
        return self._run is not None and self._run.done

    @property
    def done(self) -> bool:
        """Whether no range is open any more, and all that differs was asked for."""
        return self.told and not self._due

    def begin(self, view: View) -> Ranges | None:
        """The view is there; returns our turn, if it is. Raises `ProtocolViolation`."""
        self._run = Reconciler(view, initiator=False)
        heard, self._heard = self._heard, None
        return None if heard is None else self.receive(heard)

    def receive(self, ranges: Ranges) -> Ranges | None:
        """Take the dialer's turn; returns ours, if there is one. What differs, each side knows. Raises as `begin`."""
        if self._heard is not None:
            raise ProtocolViolation("ranges came out of turn")
        if self._run is None:
            self._heard = ranges
            return None
        answer = self._run.receive(decode((ranges.open, ranges.shape, ranges.names, ranges.hashes)))
        _, owe = self._run.take()
        self._due += len(owe)
        return None if answer is None else Ranges(*encode(answer))

    def wanted(self, records: int, waiting: int) -> None:
        """So many records are asked for, while so many answers wait. Raises `ProtocolViolation`."""
        if records > self._due or waiting >= limits.PAGES_IN_FLIGHT_MAX:
            raise ProtocolViolation("more is wanted of the comparison than differs, or without waiting for answers")
        self._due -= records
