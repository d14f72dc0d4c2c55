"""How a dialing session compares digests: what differs is asked for, or noted in the outbox.

Rules:

1. While digests are compared, nothing is pushed: what the outbox believes that the partner holds is of another
   epoch, until each record that differs was noted in it anew.
2. The partner's next ranges are taken only when all that its last ones showed was asked for, or noted in the outbox.
   So what waits is bounded, however much differs. The last ones are taken at once, as the partner goes on after them.
"""

from collections import deque
from collections.abc import Iterable, Iterator

from crdt_sync import limits
from crdt_sync.protocol.effects import Owe
from crdt_sync.protocol.messages import PAGE_COMPARED, Ranges, Updates, Want
from crdt_sync.protocol.reconcile import Reconciler, View, decode, encode
from crdt_sync.protocol.source import NOT_HELD, DialerSource
from crdt_sync.protocol.wants import want

Step = Iterator[Ranges | Want | Owe]
"""What to send and to have done, in this order; taking it may raise `ProtocolViolation`."""


class Comparing:
    """See the module. `done` says that all that differs was found and asked for; answers may still come."""

    def __init__(self, source: DialerSource) -> None:
        self._source = source
        self._run: Reconciler | None = None  # from the view on, until it is done
        self._heard: Ranges | None = None  # the partner's ranges, not taken yet
        self._wanted: deque[str] = deque()  # found, not asked for yet
        self._asked: deque[dict[str, None]] = deque()  # records of each want, until they come
        self._storing: set[int] = set()  # Integrate effects that end an answer
        self._owing = 0  # Owe effects under way
        self.done = False

    @property
    def listens(self) -> bool:
        """Whether it is the partner's turn to tell ranges."""
        return self._run is not None and self._heard is None

    @property
    def unanswered(self) -> bool:
        """Whether the partner is still at something that was asked for."""
        return bool(self._asked)

    @property
    def owing(self) -> bool:
        """Whether something is being noted in the outbox."""
        return self._owing > 0

    @property
    def unstored(self) -> bool:
        """Whether anything of what was asked for, or is to be noted in the outbox, is not on disk."""
        return bool(self._asked or self._storing or self._owing)

    def begin(self, view: View) -> Ranges:
        """The first turn, over our digests."""
        self._run = Reconciler(view, initiator=True)
        return Ranges(*encode(self._run.start()))

    def receive(self, ranges: Ranges) -> Step:
        """The partner's turn; only while this side `listens`."""
        self._heard = ranges
        yield from self._go_on()

    def unserved(self, updates: Updates) -> set[str]:
        """What the partner has left out of the answer that ends with these: it cannot read them."""
        return self._asked[0].keys() - {entry.record for entry in updates.entries} if updates.last else set()

    def answered(self, updates: Updates, number: int) -> Step:
        """A part of an answer came, and is stored by Integrate effect `number`."""
        for entry in updates.entries:
            self._asked[0].pop(entry.record, None)
        if updates.last:
            self._storing.add(number)
            # The partner passed these over, as it cannot read them: it may lack all of ours.
            ours = [record for record in self._asked.popleft() if self._source.state_vector(record) != NOT_HELD]
            yield from self._owe(ours)
            yield from self._go_on()

    def dropped(self, records: Iterable[str]) -> None:
        """The partner says that these may not be held here: nothing of them is waited for."""
        for record in records:
            for asked in self._asked:
                asked.pop(record, None)

    def stored(self, number: int) -> None:
        """Integrate effect `number`, of an answer or not, is on disk."""
        self._storing.discard(number)

    def owed(self) -> Step:
        """One `Owe` is on disk."""
        self._owing -= 1
        yield from self._go_on()

    def _go_on(self) -> Step:
        """Take the partner's ranges if rule 2 allows. Wants follow the ranges from which the partner knows of them."""
        if self._run is None:
            return
        yield from self._ask()
        if self._heard is not None and not self._wanted and not (self._owing and self._heard.open):
            heard, self._heard = self._heard, None
            answer = self._run.receive(decode((heard.open, heard.shape, heard.names, heard.hashes)))
            if answer is not None:
                yield Ranges(*encode(answer))
            found, owe = self._run.take()
            self._wanted.extend(wanted.record for wanted in found)
            # What differs comes with the partner's state vector, and is owed then.
            yield from self._owe([owed.record for owed in owe if owed.theirs is None])
            yield from self._ask()
        if self._run.done and not self._wanted:
            self._run = None
            self.done = True

    def _ask(self) -> Iterator[Want]:
        """Want what was found, a few pages ahead of their answers."""
        while self._wanted and len(self._asked) < limits.PAGES_IN_FLIGHT_MAX:
            count = min(len(self._wanted), limits.PAGE_RECORDS_MAX)
            records = [self._wanted.popleft() for _ in range(count)]
            self._asked.append(dict.fromkeys(records))
            yield want(self._source, PAGE_COMPARED, records)

    def _owe(self, records: list[str]) -> Iterator[Owe]:
        if records:
            self._owing += 1
            yield Owe(tuple(records))
