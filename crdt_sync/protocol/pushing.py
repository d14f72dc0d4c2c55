"""What a dialing session pushes: what is ready, what is under way, and what was refused for now.

Rules:

1. A record has at most one push under way. What was edited meanwhile is pushed once the answer was noted.
2. What is under way is bounded, in pushes and in bytes: what waits, waits in the outbox.
3. What is refused for now is pushed again a little later, and by no scan of the outbox before. So is a record in which
   the partner finds one gap after the other: the whole of it closes any, so that partner is wrong, or lies.
4. While the partner takes nothing, as it said with a verdict, nothing is pushed. Beyond a while nobody waits for that:
   all is settled then that can be.
5. A companion is pushed once what its record has under way was answered: who takes it goes by what that shows.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence

from crdt_sync import ids, limits
from crdt_sync.errors import ProtocolViolation
from crdt_sync.protocol.effects import Pushed
from crdt_sync.protocol.messages import Ack, Push, PushEntry, VerdictCode
from crdt_sync.protocol.pace import Pace
from crdt_sync.protocol.source import DialerSource

_GAPS_MAX = 3  # one after the other of one record: a push by the partner's state vector has none, unless it changes
_RETRY_AFTER_US = 2_000_000  # a partner whose disk is full is asked again this much later


class Pushing:
    """See the module. `again_at` is when to call `push_again`, None where nothing waits for its time.

    `goes` tells of a record whether it is about to be dropped here.
    """

    def __init__(self, source: DialerSource, goes: Callable[[str], bool] = lambda _record: False) -> None:
        self._source = source
        self._goes = goes
        self._gone: set[str] = set()  # records that were dropped since they were pushed
        self._scan: str | None = None  # the outbox is read on after this record
        self._ready: dict[str, None] = {}  # records to push next, oldest first
        self._pushed: dict[str, tuple[int, bytes]] = {}  # record -> (edit, state vector that the push leads to)
        self._under_way: deque[tuple[int, tuple[str, ...], int]] = deque()  # number, records and bytes of each push
        self._bytes = 0
        self._pace = Pace()
        self._number = 0
        self._noting = 0  # answers that are not on disk yet
        self._gaps: dict[str, int] = {}  # how many of a record came one after the other
        self._later: dict[str, None] = {}  # refused for now
        self._behind: dict[str, None] = {}  # companions whose records are to be pushed first
        self._again_at: int | None = None  # what was refused for now
        self._held_until: int | None = None
        self._held_long = False

    @property
    def again_at(self) -> int | None:
        """See the class."""
        times = [time for time in (self._again_at, self._held_until) if time is not None]
        return min(times) if times else None

    @property
    def waits(self) -> bool:
        """Whether there may be something to push now."""
        return self._held_until is None and self._left

    @property
    def _left(self) -> bool:
        return bool(self._ready) or self._scan is not None

    @property
    def unanswered(self) -> bool:
        """Whether the partner is still at something that was pushed."""
        return bool(self._under_way)

    @property
    def settled(self) -> bool:
        """Whether everything was pushed and answered that is taken before long, and the answers are on disk."""
        if self._under_way or self._noting:
            return False
        return (self._held_until is not None and self._held_long) or not (self._left or self._later)

    @property
    def wants_room(self) -> bool:
        """Whether there may be something to push now, and more may be under way."""
        return (
            self.waits
            and len(self._under_way) < limits.PUSHES_IN_FLIGHT_MAX
            and self._bytes < min(limits.PUSH_BYTES_IN_FLIGHT_MAX, self._pace.window)
        )

    @property
    def answer_us(self) -> int:
        """How long the partner may take until it answers what is under way."""
        return limits.ANSWER_US_MAX + self._pace.time_us(self._bytes)

    def notify(self, records: Sequence[str] = ()) -> None:
        """The outbox has new entries: these, or, without names, any."""
        if records and len(self._ready) + len(records) <= limits.FOLLOW_ENTRIES_MAX:
            self._ready.update(dict.fromkeys(records))
        else:
            self._scan = ""

    def next_push(self, now: int) -> Push | None:
        """A push of ready records, now under way; None when none had anything to push."""
        entries: list[PushEntry] = []
        size = 0
        while size < self._pace.frame and len(entries) < limits.PUSH_RECORDS_MAX:
            if not self._ready and not self._read_outbox():
                break
            record = next(iter(self._ready))
            del self._ready[record]
            if record in self._pushed or self._goes(record):
                self._ready_behind()
                continue  # pushed again when its answer is noted, see `noted`
            if self._waits_for_whole(record):
                self._behind[record] = None
                continue
            owed = self._source.outgoing(record)
            if owed is None:
                self._ready_behind()
                continue
            outgoing, diff = owed
            if entries and size + len(diff.update) > limits.FRAME_BYTES_MAX // 2:
                self._ready[record] = None
                break
            self._pushed[record] = (outgoing.edit, diff.state_vector)
            entries.append(PushEntry(record, diff.update))
            size += len(diff.update)
        if not entries:
            return None
        self._number += 1
        self._under_way.append((self._number, tuple(entry.record for entry in entries), size))
        self._bytes += size
        self._pace.sent(size, now)
        return Push(self._number, tuple(entries))

    def answered(self, ack: Ack, now: int) -> tuple[Pushed, ...]:
        """What became of each update that the partner answers; `noted` is to follow. Raises `ProtocolViolation`."""
        verdicts = list(reversed(ack.verdicts))
        answers: list[Pushed] = []
        while self._under_way and self._under_way[0][0] <= ack.number:
            _, records, size = self._under_way.popleft()
            self._bytes -= size
            self._pace.answered(size, now)
            for record in records:
                if not verdicts:
                    raise ProtocolViolation("an acknowledgement lacks verdicts")
                edit, state_vector = self._pushed.pop(record)
                answers.append(Pushed(record, edit, state_vector, verdicts.pop()))
        if verdicts or not answers:
            raise ProtocolViolation("an acknowledgement answers what was not pushed")
        for answer in answers:
            gaps = self._gaps.pop(answer.record, 0) + 1
            if answer.verdict.code is VerdictCode.GAP:
                self._gaps[answer.record] = gaps
            else:
                gaps = 0
            wait = answer.verdict.retry_after
            if wait is not None and wait.all:
                self.hold(wait.ms * 1000, now)
            if answer.verdict.for_now or gaps > _GAPS_MAX:
                self._later[answer.record] = None
                self._again_at = now + (_RETRY_AFTER_US if wait is None else wait.ms * 1000)
        self._noting += 1
        return tuple(answers)

    def dropped(self, records: Collection[str]) -> None:
        """These are dropped here."""
        self._gone.update(record for record in records if record in self._pushed)

    def take_gone(self, answers: Iterable[Pushed]) -> list[str]:
        """The records of these answers that were dropped since they were pushed, and are stored there all the same: the
        partner believes that what it stored of them is here.
        """
        if not self._gone:
            return []
        answered = [answer for answer in answers if answer.record in self._gone]
        self._gone.difference_update(answer.record for answer in answered)
        return [answer.record for answer in answered if answer.verdict.code is VerdictCode.ACCEPTED]

    def noted(self, again: Sequence[str]) -> None:
        """The answers to one acknowledgement are on disk; `again` are records that still have something to push."""
        self._noting -= 1
        self._ready.update(dict.fromkeys(record for record in again if record not in self._later))
        self._ready_behind()

    def hold(self, wait_us: int, now: int) -> None:
        """Push nothing for so long."""
        self._held_until = max(self._held_until or 0, now + wait_us)
        self._held_long = self._held_until - now > limits.HOLD_US_SHORT

    def push_again(self, now: int) -> None:
        """The time has come, for what was refused for now or for the partner."""
        if self._held_until is not None and now >= self._held_until:
            self._held_until = None
        if self._again_at is not None and now >= self._again_at:
            self._ready.update(self._later)
            self._later, self._again_at = {}, None
            self._ready_behind()

    def _waits_for_whole(self, record: str) -> bool:
        whole = ids.whole_record(record)
        return whole != record and any(whole in each for each in (self._ready, self._pushed, self._later))

    def _ready_behind(self) -> None:
        """Companions whose records were answered are to be pushed, behind those that are pushed again."""
        for record in [each for each in self._behind if not self._waits_for_whole(each)]:
            del self._behind[record]
            self._ready[record] = None

    def _read_outbox(self) -> bool:
        """Read on in the outbox; whether anything became ready."""
        while self._scan is not None:
            page = self._source.outbox(self._scan, limits.PUSH_RECORDS_MAX)
            self._scan = page[-1].record if len(page) == limits.PUSH_RECORDS_MAX else None
            for outgoing in page:
                if outgoing.record not in self._pushed and outgoing.record not in self._later:
                    self._ready[outgoing.record] = None
            if self._ready:
                return True
        return False
