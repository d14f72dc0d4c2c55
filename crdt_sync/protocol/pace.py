"""How much may be on its way to a partner without an answer: what its link carries in a few seconds, by its answers."""

from collections import deque

from crdt_sync import limits

_MARKS_MAX = 64
_FRAMES_PER_WINDOW = 4  # so that the next frame is under way while the last one is answered


class Pace:
    """One direction of a session, told all that is sent and answered. Sizes are bytes of updates, times microseconds.

    The window begins small. It doubles with an answer that comes soon and halves with one that comes late, each time
    once what was sent since the last change is answered. So on a slow link nothing stands in a queue for much longer
    than `ANSWER_US_TARGET`, and a fast one is used up.
    """

    def __init__(self) -> None:
        self.window = limits.WINDOW_BYTES_FIRST
        self._sent = 0
        self._answered = 0
        self._changed = 0  # what was sent when the window was changed last
        self._marks: deque[tuple[int, int]] = deque()  # (bytes sent up to here, when), unanswered

    @property
    def frame(self) -> int:
        """How large a frame should become."""
        return min(limits.FRAME_BYTES_TARGET, self.window // _FRAMES_PER_WINDOW)

    def carries(self, size: int) -> bool:
        """Whether a frame may be that large."""
        return size * _FRAMES_PER_WINDOW <= self.window and size <= limits.FRAME_BYTES_TARGET

    def sent(self, size: int, now: int) -> None:
        """So much was sent."""
        self._sent += size
        marks = self._marks
        if len(marks) < _MARKS_MAX:
            marks.append((self._sent, now))
        else:
            marks[-1] = (self._sent, marks[-1][1])

    def answered(self, size: int, now: int) -> None:
        """So much more was answered, in the order in which it was sent."""
        self._answered += size
        up_to, took = 0, 0
        while self._marks and self._marks[0][0] <= self._answered:
            up_to, sent_at = self._marks.popleft()
            took = now - sent_at
        if up_to <= self._changed:
            return
        before = self.window
        if took <= limits.ANSWER_US_TARGET // 2:
            self.window = min(2 * self.window, limits.WINDOW_BYTES_MAX)
        elif took > limits.ANSWER_US_TARGET:
            self.window = max(self.window // 2, limits.WINDOW_BYTES_MIN)
        if self.window != before:
            self._changed = self._sent

    def time_us(self, size: int) -> int:
        """The longest that so many bytes may take: a small part of the speed seen, and never less than the least."""
        slowest = max(limits.LINK_BYTES_PER_S_MIN, self.window * 1_000_000 // (8 * limits.ANSWER_US_TARGET))
        return size * 1_000_000 // slowest
