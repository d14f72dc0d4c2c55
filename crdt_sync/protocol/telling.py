"""What a dialing session tells, and nobody answers: confirmations, pongs, and who has which record open.

Rules:

1. Of each kind the newest says all that those before it have said. So at most one of a kind waits.
2. A partner that does not read is sent few: with the `UNREAD_FRAMES_ASKED`th that it may not have read goes a ping,
   and beyond `UNREAD_FRAMES_MAX` they wait for the pong. The room of a link shows nothing of this: it takes thousands
   of such frames that nobody reads.
"""

from collections.abc import Iterator

from crdt_sync import limits
from crdt_sync.protocol.messages import Message


class Telling:
    """See the module. What `tell` was given leaves by `next`; after that `asks` may be due."""

    def __init__(self) -> None:
        self._waiting: dict[type[Message], Message] = {}
        self._told = 0
        self._read = 0  # of them the partner has read, as it said
        self._asked: tuple[int, int] | None = None  # the number of the ping under way, and `_told` when it left

    @property
    def idle(self) -> bool:
        """Whether all that was to be told has left."""
        return not self._waiting

    @property
    def unanswered(self) -> bool:
        """Whether the partner is to say that it has read."""
        return self._asked is not None

    @property
    def asks(self) -> bool:
        """Whether the partner is to be asked now; say `asked` then."""
        return self._asked is None and self._told - self._read >= limits.UNREAD_FRAMES_ASKED

    def tell(self, message: Message) -> None:
        """This is to be told, in the place of what waits of its kind."""
        self._waiting[type(message)] = message

    def next(self) -> Iterator[Message]:
        """What may be told now, oldest first."""
        while self._waiting and self._told - self._read < limits.UNREAD_FRAMES_MAX:
            self._told += 1
            yield self._waiting.pop(next(iter(self._waiting)))

    def asked(self, ping: int) -> None:
        """The partner was asked with this ping, after all that was told."""
        self._asked = ping, self._told

    def answered(self, ping: int) -> bool:
        """A pong with this number came; whether it is the one that was waited for."""
        if self._asked is None or self._asked[0] != ping:
            return False
        self._read, self._asked = self._asked[1], None
        return True
