"""What an audit with a partner finds."""

from dataclasses import dataclass

from crdt_sync.protocol.entries import CheckedEntry, Standing
from crdt_sync.protocol.messages import Receipt
from crdt_sync.replica import Holding


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two receipts taken when neither side had anything left to exchange."""

    ours: Holding
    theirs: Receipt
    equal: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """One record that differs, and what each side's own log says of what that side has stored."""

    record: str
    here: CheckedEntry
    there: CheckedEntry

    @property
    def kind(self) -> str:
        """`here` or `there` only, `damaged` bytes, other operations (`state`), or the same with another `content`."""
        standings = {self.here.standing, self.there.standing}
        if Standing.UNREADABLE in standings:
            return "damaged"
        if self.there.standing is Standing.ABSENT:
            return "here"
        if self.here.standing is Standing.ABSENT:
            return "there"
        return "content" if self.here.state == self.there.state else "state"


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found. `more` differ beyond those that are named; `changing` never came to rest."""

    comparison: Comparison
    content: bool
    differences: tuple[Difference, ...] = ()
    changing: tuple[str, ...] = ()
    more: int = 0

    @property
    def equal(self) -> bool:
        """Whether both hold the same, as far as the audit looked."""
        return self.comparison.equal and not self.differences and not self.more


@dataclass(frozen=True, slots=True)
class Mended:
    """What healing did: what differed before, and what the audit after it found."""

    before: Audit
    after: Audit

    @property
    def healed(self) -> tuple[str, ...]:
        """The records that differed and do not any more."""
        left = {difference.record for difference in self.after.differences} | set(self.after.changing)
        return tuple(known.record for known in self.before.differences if known.record not in left)
