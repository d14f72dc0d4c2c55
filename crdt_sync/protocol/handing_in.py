"""Handing in: a device that was shut out gives its relay what it had not sent, for an operator to look at.

| the device | the relay |
|---|---|
| `hello`, with the proof `unsent-1` | |
| | `welcome`, which tells nothing, or `bye` |
| `push`, as many as it takes | |
| `bye("done")` | |
| | `bye("unsent_kept")` once all of it is on disk, or another |

Nothing of it enters a log, and the device is told nothing of records: these are not the messages of a session.
"""

from collections.abc import Iterable, Iterator

from crdt_sync import limits
from crdt_sync.errors import ProtocolViolation
from crdt_sync.ids import EPOCH_BYTES
from crdt_sync.protocol.entries import PushEntry
from crdt_sync.protocol.messages import MODE_CHANGES, Push, Welcome
from crdt_sync.protocol.versions import PEOPLE

KEPT = "unsent_kept"  # the code of the bye to who has handed in: all of it is on disk
TAKEN = "unsent_taken"  # of the bye to who hands in once more: what came first is kept, and nothing else


def welcome(replica: bytes, now: int) -> Welcome:
    """For who hands in, or is told why it may not: nothing of what is held."""
    return Welcome(PEOPLE, replica, now, bytes(EPOCH_BYTES), 0, MODE_CHANGES, limits.FRAME_BYTES_MAX)


def pushes(entries: Iterable[PushEntry]) -> Iterator[Push]:
    """The entries in frames of about the usual size, in order."""
    number, page, size = 1, list[PushEntry](), 0
    for entry in entries:
        if page and (size + len(entry.update) > limits.FRAME_BYTES_TARGET or len(page) == limits.PUSH_RECORDS_MAX):
            yield Push(number, tuple(page))
            number, page, size = number + 1, [], 0
        page.append(entry)
        size += len(entry.update)
    if page:
        yield Push(number, tuple(page))


class HandedIn:
    """What came so far; `size` is how many bytes of updates."""

    def __init__(self) -> None:
        self.entries: list[PushEntry] = []
        self.size = 0

    def take(self, push: Push) -> None:
        """Add these. Raises `ProtocolViolation` where it is more than anybody hands in."""
        self.entries += push.entries
        self.size += sum(len(entry.update) for entry in push.entries)
        if len(self.entries) > limits.HANDED_IN_RECORDS_MAX or self.size > limits.HANDED_IN_BYTES_MAX:
            raise ProtocolViolation(
                f"more is handed in than {limits.HANDED_IN_RECORDS_MAX} records and {limits.HANDED_IN_BYTES_MAX} bytes"
            )
