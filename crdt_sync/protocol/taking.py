"""What an accepting session takes: pushes, in order and bounded, and how they are acknowledged.

Rules:

1. Pushes are numbered without holes, and answered in order.
2. The host stops reading at the limit. What was under way then still arrives: twice the limit is a violation.
3. Several answers share a frame, as far as they fit.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from crdt_sync import limits
from crdt_sync.errors import ProtocolViolation
from crdt_sync.protocol.messages import Push, Verdict
from crdt_sync.protocol.source import NOT_HELD


class Acknowledgement(NamedTuple):
    """What one frame answers: pushes up to `number`, with the verdicts on their updates. `last`: no other follows."""

    number: int
    verdicts: tuple[Verdict, ...]
    last: bool


class Taking:
    """See the module."""

    def __init__(self) -> None:
        self._sizes: deque[tuple[int, int]] = deque()  # (number, bytes) of pushes that are not decided
        self._bytes = 0
        self._last = 0
        self._answered: list[tuple[int, Sequence[Verdict]]] = []  # by push, not yet acknowledged

    @property
    def congested(self) -> bool:
        """Whether the host must stop reading until pushes were answered."""
        return len(self._sizes) >= limits.PUSHES_IN_FLIGHT_MAX or self._bytes >= limits.PUSH_BYTES_IN_FLIGHT_MAX

    def take(self, push: Push) -> None:
        """A push came. Raises `ProtocolViolation`."""
        if push.number != self._last + 1:
            raise ProtocolViolation(f"push {push.number} came after push {self._last}")
        if len(self._sizes) >= 2 * limits.PUSHES_IN_FLIGHT_MAX:
            raise ProtocolViolation("too many pushes without waiting for acknowledgements")
        size = 0
        for _, update in push.entries:
            size += len(update)
        self._last = push.number
        self._sizes.append((push.number, size))
        self._bytes += size

    def answered(self, number: int, verdicts: Sequence[Verdict]) -> None:
        """The oldest push was decided and stored."""
        expected, size = self._sizes.popleft()
        assert expected == number, "pushes are answered in order"
        self._bytes -= size
        self._answered.append((number, verdicts))

    def acknowledgements(self) -> Iterator[Acknowledgement]:
        """All that was answered since the last time, in as few frames as it fits. Take them all."""
        answered, self._answered = self._answered, []
        joined: list[Verdict] = []
        size = 0
        for position, (number, verdicts) in enumerate(answered):
            for verdict in verdicts:
                size += len(verdict.state_vector)
                # A gap whose vector outgrows the frame asks for the whole record instead.
                fits = size < limits.FRAME_BYTES_MAX // 2 or not verdict.state_vector
                joined.append(verdict if fits else verdict._replace(state_vector=NOT_HELD))
            last = position + 1 == len(answered)
            if last or len(joined) + len(answered[position + 1][1]) > limits.PUSH_RECORDS_MAX:
                yield Acknowledgement(number, tuple(joined), last)
                joined, size = [], 0
