"""A replica's store is shared with other programs: it is served to them, or what they do in it is followed.

Which of the two follows from who owns the store, and changes with that; it is begun once for each owner.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from crdt_sync import limits
from crdt_sync.errors import CrdtSyncError
from crdt_sync.replica.context import Context
from crdt_sync.storage.lmdb import LmdbStore

if TYPE_CHECKING:
    from crdt_sync.replica.owner.asking import Owner
    from crdt_sync.replica.owner.requests import Action, ServedReplica

_log = logging.getLogger(__name__)


class Sharing:
    """See the module. Calls may come from any thread."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._guard = threading.RLock()
        self._as: Callable[[], Callable[[], None]] | None = None  # begins to serve, and gives the call that ends it
        self._with: Owner | None = None  # who owned the store when this was begun
        self._end: Callable[[], None] | None = None
        self._since = (
            0  # the number in the log up to which all was told, or was there when its owner began to be followed
        )

    def begin(self, replica: "ServedReplica", role: str, actions: "Mapping[str, Action]") -> None:
        """See `Replica.share`. Beginning it again is harmless."""
        store = self._context.store
        if not isinstance(store, LmdbStore):
            return

        def serve() -> Callable[[], None]:
            from crdt_sync.replica.owner.serving import Server  # noqa: PLC0415 - most programs need none of it

            return Server.start(replica, store.path, role, actions).close

        with self._guard:
            if self._as is None:
                self._as = serve
                self.renew()

    def renew(self) -> None:
        """The store may have another owner: where it is shared, it is with that one from now on."""
        with self._guard:
            owner = self._context.known_owner
            if self._as is None or (self._end is not None and self._with is owner):
                return
            followed, since = self._end is not None and self._with is not None, self._since
            self._stop()
            try:
                if owner is not None:
                    self._since = self._context.store.head()
                self._end = self._as() if owner is None else _followed(self._context, owner, self._missed)
                self._with = owner
            except OSError as error:
                _log.warning("the store cannot be shared with other programs: %s", error)
        if followed:  # the owner that has ended may have stored what it told nobody
            _announce(self._context, since)

    def _missed(self) -> None:
        """Tell of what changed while nobody followed."""
        told = _announce(self._context, self._since)
        with self._guard:
            self._since = max(self._since, told)

    def end(self) -> None:
        """Share it no more."""
        with self._guard:
            self._as = None
            self._stop()

    def _stop(self) -> None:
        if self._end is not None:
            self._end()
            self._end = None


def _followed(context: Context, owner: "Owner", missed: Callable[[], None]) -> Callable[[], None]:
    from crdt_sync.replica.owner.following import follow  # noqa: PLC0415

    return follow(owner, context.announce, missed, lambda: _succeed(context, owner))


def _announce(context: Context, since: int) -> int:
    """Tell of all that changed after this number, and return up to where: what was told before is not known."""
    try:
        while entries := context.store.feed(since, limits.OWNER_EVENTS_MAX):
            context.announce("received", [entry.record for entry in entries])
            since = entries[-1].seq
    except CrdtSyncError as error:
        _log.warning("what other programs changed cannot be read: %s", error.message)
    return since


def _succeed(context: Context, gone: "Owner") -> None:
    try:
        context.succeed(gone)
    except CrdtSyncError as error:  # told to whoever uses the replica next
        _log.warning("the program that owned the store has ended: %s", error.message)
