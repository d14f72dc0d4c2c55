"""An audit inside a session that goes on: one side of a reconciliation over all records, while updates flow.

Rules:

1. A session has one audit at a time. It ends when no range is open, or with the session.
2. Each side pins its own view. What is written meanwhile may show as a difference: whoever reports one checks the
   record again when both sides have settled.
3. What differs is kept up to a limit and counted beyond it, whatever a partner claims to hold.
"""

from dataclasses import dataclass

from crdt_sync.errors import ProtocolViolation
from crdt_sync.limits import AUDIT_DIFFERENCES_MAX
from crdt_sync.protocol.messages import Ranges
from crdt_sync.protocol.reconcile import Reconciler, View, decode, encode


@dataclass(frozen=True, slots=True)
class Differences:
    """Records that differ, ascending: `here` only, `there` only, or held by both and different; `more` are unnamed."""

    here: tuple[str, ...] = ()
    there: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    more: int = 0

    @property
    def named(self) -> tuple[str, ...]:
        """All that are named, ascending."""
        return tuple(sorted((*self.here, *self.there, *self.different)))


class AuditRun:
    """One side of an audit. The host pins a view and gives it to `pinned`; ranges that come before it wait for it."""

    def __init__(self, *, initiator: bool) -> None:
        self._initiator = initiator
        self._run: Reconciler | None = None
        self._heard: Ranges | None = None
        self._here: list[str] = []
        self._there: list[str] = []
        self._different: list[str] = []
        self._more = 0

    @property
    def done(self) -> bool:
        """Whether nothing is open any more."""
        return self._run is not None and self._run.done

    @property
    def differences(self) -> Differences:
        """What was found so far."""
        return Differences(
            tuple(sorted(self._here)), tuple(sorted(self._there)), tuple(sorted(self._different)), self._more
        )

    def pinned(self, view: View) -> Ranges | None:
        """The view is there; returns the message to send, if it is our turn. Raises `ProtocolViolation`."""
        assert self._run is None, "a view is pinned once"
        self._run = Reconciler(view, self._initiator)
        if self._initiator:
            return Ranges(*encode(self._run.start()))
        heard, self._heard = self._heard, None
        return None if heard is None else self.receive(heard)

    def receive(self, ranges: Ranges) -> Ranges | None:
        """Take the partner's turn; returns ours, if there is one. Raises `ProtocolViolation`."""
        if self._run is None:
            if self._initiator or self._heard is not None:
                raise ProtocolViolation("ranges came out of turn")
            self._heard = ranges
            return None
        answer = self._run.receive(decode((ranges.open, ranges.shape, ranges.names, ranges.hashes)))
        self._note(self._run)
        return None if answer is None else Ranges(*encode(answer))

    def _note(self, run: Reconciler) -> None:
        want, owe = run.take()
        ours = {owed.record for owed in owe}
        self._keep(self._there, [wanted.record for wanted in want if wanted.record not in ours])
        self._keep(self._here, [owed.record for owed in owe if owed.theirs is None])
        self._keep(self._different, [owed.record for owed in owe if owed.theirs is not None])

    def _keep(self, kept: list[str], found: list[str]) -> None:
        room = AUDIT_DIFFERENCES_MAX - len(self._here) - len(self._there) - len(self._different)
        kept += found[:room]
        self._more += max(0, len(found) - room)
