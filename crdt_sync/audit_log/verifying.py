"""What is wrong with an audit log, with its place. Hand all entries over in their order, and ask then.

1. Each entry matches its seal, can be read, and names the seal of the one before.
2. Numbers begin at 1 and have no holes. Where the first is another, a note of a cut, which is an entry of the log too,
   names the last that was dropped and its seal.
3. Against a checkpoint: the entry of its number has its seal. Only so it is found that the end is missing, or that the
   log was written anew from some entry on. Where that entry was cut, the note has to be signed as the checkpoint is.
"""

from dataclasses import dataclass, field

from crdt_sync.audit_log.chain import LINK_FIRST, body_of, is_sealed, link_of, seal_of
from crdt_sync.audit_log.checkpoint import Checkpoint, read_checkpoint
from crdt_sync.audit_log.entry import Act, Entry, decode
from crdt_sync.errors import InvalidCheckpoint
from crdt_sync.identity.keys import PublicKey

FLAWS_MAX = 1000  # are named; of a log that is wrong from end to end nobody reads more


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong, at the entry of that number."""

    number: int
    problem: str


@dataclass(slots=True)
class Verification:
    """See the module. `entries` counts them; `last` is the number and the seal of the last one."""

    against: Checkpoint | None = None
    entries: int = 0
    last: tuple[int, bytes] = (0, LINK_FIRST)
    flaws: list[Flaw] = field(default_factory=list)
    cut: Checkpoint | None = None  # the newest note of what was dropped
    _first: tuple[int, bytes] | None = None  # its number and its link
    _met: bool = False  # the entry of the checkpoint

    def take(self, number: int, value: bytes) -> None:
        """The next entry."""
        before, seal = self.last
        self.entries += 1
        if not is_sealed(number, value):
            self._flaw(number, "does not match its seal: it was changed after it was written")
        if self._first is None:
            self._first = (number, link_of(value))
        elif number != before + 1:
            self._flaw(number, f"entries {before + 1} to {number - 1} before it are missing")
        elif link_of(value) != seal:
            self._flaw(number, f"is not linked to entry {before}: one of the two was replaced")
        self._read(number, value)
        if self.against is not None and number == self.against.number:
            self._met = True
            if seal_of(value) != self.against.seal:
                self._flaw(number, "is not the entry of the checkpoint: the log was written anew up to here")
        self.last = (number, seal_of(value))

    def finish(self, space: bytes, trusted: PublicKey | None = None) -> list[Flaw]:
        """All that is wrong with the log of that space. `trusted` is the key of the space, where it is known."""
        first, link = self._first or (1, LINK_FIRST)
        cut = self.cut
        if cut is not None and trusted is not None and not cut.signed_by(trusted):
            self._flaw(first, f"entries 1 to {cut.number} were cut, and the space's key did not sign that")
        if cut is not None and first <= cut.number:
            pass  # cutting was interrupted: what is left of it is chained to the end all the same
        elif first == 1 and link != LINK_FIRST:
            self._flaw(1, "is linked to an entry before the first")
        elif first != 1 and (cut is None or (cut.number + 1, cut.seal) != (first, link)):
            self._flaw(first, f"entries 1 to {first - 1} before it are missing, and no note says that they were cut")
        if self.against is not None:
            self._compare(self.against, space, first, trusted)
        return sorted(self.flaws, key=lambda flaw: flaw.number)

    def _read(self, number: int, value: bytes) -> None:
        try:
            entry: Entry = decode(body_of(value))
            if entry.act is Act.CUT:
                self.cut = read_checkpoint(entry.about)
        except (ValueError, InvalidCheckpoint):
            self._flaw(number, "cannot be read")

    def _compare(self, against: Checkpoint, space: bytes, first: int, trusted: PublicKey | None) -> None:
        number, last = against.number, self.last[0]
        if not against.signed_by(trusted):
            self._flaw(number, "the checkpoint is not signed by the space's key" if trusted else _NOT_SIGNED)
        if against.space != space:
            self._flaw(number, "the checkpoint is of another space")
        if number > last:
            self._flaw(last, f"the log ends here, and had {number} entries at the checkpoint: its end is missing")
        elif number and not self._met and first <= number:
            self._flaw(number, "the entry of the checkpoint is missing")
        elif number and not self._met and trusted is None and not self._cut_signed_as(against):
            self._flaw(first, _CUT_BY_ANOTHER)

    def _cut_signed_as(self, against: Checkpoint) -> bool:
        """Whether who signed the checkpoint has signed as well that its entry was dropped: anybody can write a note."""
        key = PublicKey(against.key) if against.key else None
        return self.cut is not None and key is not None and self.cut.signed_by(key)

    def _flaw(self, number: int, problem: str) -> None:
        if len(self.flaws) < FLAWS_MAX:
            self.flaws.append(Flaw(number, problem))


_CUT_BY_ANOTHER = (
    "the entry of the checkpoint was cut, and another key signed that, or none: the log may have been written anew; "
    "name the space's key"
)
_NOT_SIGNED = "the checkpoint is not signed, or was changed after that"
