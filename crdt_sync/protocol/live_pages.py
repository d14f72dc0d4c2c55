"""The newest pages of the log, read and encoded once for all sessions that stand at the same place.

After a commit every follower stands where the others do. What is committed never changes, so a page is true for as long
as it is kept; a new one may have more in it, so pages are kept until followers may read further.
"""

from collections.abc import Sequence

from crdt_sync import limits
from crdt_sync.errors import StoreError
from crdt_sync.policy.values import Whereabouts
from crdt_sync.protocol import codec
from crdt_sync.protocol.messages import Updates, UpdatesEntry
from crdt_sync.protocol.source import AcceptorSource, LogUpdate

_PARTS_MAX = 16  # parts of one page
_KEPT_BYTES_MAX = 4 * limits.MIB  # of updates, which are kept twice: as they are stored and as they are sent


class LivePage:
    """Committed updates in order, at least one, with nothing left out between them."""

    def __init__(self, updates: Sequence[LogUpdate], bytes_max: int) -> None:
        self.updates = updates
        self.bytes_max = bytes_max  # what it was read for
        self.cursor = updates[-1].seq
        self.update_bytes = sum(len(entry.update) for entry in updates)
        self._frame = b""  # no frame is empty
        self.places: dict[str, Whereabouts | None] = {}  # of its records, once somebody has asked
        self._parts: dict[tuple[int, ...], bytes] = {}

    def serves(self, bytes_max: int, followed: int) -> bool:
        """Whether it is what would be read for that many bytes, where followers may read up to `followed`."""
        small_enough = self.update_bytes <= bytes_max or len(self.updates) == 1  # one goes whatever its size
        return small_enough and (self.cursor >= followed or self.bytes_max >= bytes_max)

    def is_newest(self, followed: int) -> bool:
        """Whether nothing that may be followed lies behind it, and it is small."""
        return self.cursor >= followed and self.update_bytes <= limits.SHARED_BYTES_MAX

    @property
    def frame(self) -> bytes:
        """The frame for a partner that lacks all of it, encoded once; every version of the protocol has the same."""
        if not self._frame:
            self._frame = codec.encode(live_updates(self.updates, self.cursor, self.cursor))
        return self._frame

    def part(self, places: tuple[int, ...]) -> bytes:
        """What `codec.encode_live` takes for a partner that is told these of its updates and no more; sessions with one
        sight share it.
        """
        found = self._parts.get(places)
        if found is None:
            if len(self._parts) >= _PARTS_MAX:
                self._parts.clear()
            told = [self.updates[place] for place in places]
            found = self._parts[places] = codec.encode_entries(
                [UpdatesEntry(each.record, each.update, b"") for each in told]
            )
        return found


class LivePages:
    """See the module."""

    def __init__(self, source: AcceptorSource) -> None:
        self._source = source
        self._followed = 0
        self._pages: dict[int, LivePage] = {}  # by the cursor that they follow
        self._kept_bytes = 0

    def after(self, cursor: int, bytes_max: int) -> LivePage | None:
        """About `bytes_max` of updates after `cursor`; None where none are, or the log does not go back so far."""
        followed = self._source.followed()
        if followed != self._followed:
            self._followed, self._kept_bytes = followed, 0
            self._pages.clear()
        kept = self._pages.get(cursor)
        if kept is not None and kept.serves(bytes_max, followed):
            return kept
        updates = self._source.log(cursor, limits.PAGE_RECORDS_MAX, bytes_max)
        if not updates:
            return None
        page = LivePage(updates, bytes_max)
        if kept is None or kept.bytes_max < bytes_max:  # a slow link makes no page small for the others
            self._keep(cursor, page)
        return page

    def newest(self, cursor: int) -> LivePage | None:
        """All that may be followed after `cursor`, where that is a page that many may be sent at once."""
        try:
            page = self.after(cursor, limits.SHARED_BYTES_MAX) if cursor < self._source.followed() else None
        except StoreError:
            return None  # whoever reads it for itself learns why
        return page if page is not None and page.is_newest(self._followed) else None

    def _keep(self, cursor: int, page: LivePage) -> None:
        self._drop(cursor)
        self._pages[cursor] = page
        self._kept_bytes += page.update_bytes
        while self._kept_bytes > _KEPT_BYTES_MAX:
            self._drop(next(iter(self._pages)))

    def _drop(self, cursor: int) -> None:
        page = self._pages.pop(cursor, None)
        self._kept_bytes -= page.update_bytes if page is not None else 0


def live_updates(updates: Sequence[LogUpdate], cursor: int, head: int) -> Updates:
    """The message that tells these updates, and that the partner may stand at `cursor` then."""
    return Updates(0, cursor, head, True, tuple(UpdatesEntry(entry.record, entry.update, b"") for entry in updates))
