"""Who has which record open: ephemeral, opt-in, never stored."""

from collections.abc import Callable, Iterable

from crdt_sync import ids
from crdt_sync.limits import PRESENCE_ENTRIES_MAX
from crdt_sync.protocol.messages import PresenceEntry


class PresenceBoard:
    """What we have open, for partners to see, and what they say that others have open."""

    def __init__(self, actor: str) -> None:
        self._actor = actor
        self._changed: Callable[[], None] | None = None
        self.ours: tuple[PresenceEntry, ...] = ()
        self.others: tuple[PresenceEntry, ...] = ()

    def open(self, records: Iterable[str]) -> None:
        """Say that these records, and no others, are open here. Raises `InvalidRecordId`."""
        checked = sorted({ids.check_record(record) for record in records})[:PRESENCE_ENTRIES_MAX]
        self.ours = tuple(PresenceEntry(record, self._actor) for record in checked)
        if self._changed is not None:
            self._changed()

    def who(self, record: str) -> list[str]:
        """The actors elsewhere that have `record` open."""
        return [entry.actor for entry in self.others if entry.record == record]

    def listen(self, changed: Callable[[], None] | None) -> None:
        """Call `changed` when `ours` changes, from the thread that changed it; None: nobody listens."""
        self._changed = changed
