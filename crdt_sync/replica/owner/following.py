"""What others change in a store is told to the programs that its owner serves."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from crdt_sync.replica.owner.asking import Owner
from crdt_sync.replica.owner.link import Link, NoAnswer

_LOOK_S, _LOOK_S_MAX = 0.01, 1.0


def follow(
    owner: Owner, heard: Callable[[str, Sequence[str]], None], missed: Callable[[], None], ended: Callable[[], None]
) -> Callable[[], None]:
    """Call `heard`, in a thread of its own, with what others change, and `ended` when the owner ends.

    Who reads too slowly is sent away, and follows again: `missed` is called then. Returns the call that ends it.
    """
    return _Following(owner, heard, missed, ended).close


class _Following:
    def __init__(
        self, owner: Owner, heard: Callable[[str, Sequence[str]], None], missed: Callable[[], None],
        ended: Callable[[], None],
    ) -> None:  # fmt: skip
        self._owner = owner
        self._heard, self._missed, self._ended = heard, missed, ended
        self._guard = threading.Lock()
        self._closed = threading.Event()
        self._link: Link | None = None
        self._connect()
        threading.Thread(target=self._listen, name="store-events", daemon=True).start()

    def close(self) -> None:
        with self._guard:
            self._closed.set()
            if self._link is not None:
                self._link.close()

    def _listen(self) -> None:
        if self._link is not None:
            self._hear(self._link, lambda: None)
        while (link := self._again()) is not None:
            self._hear(link, self._missed)
        if not self._closed.is_set():
            self._ended()

    def _hear(self, link: Link, begun: Callable[[], None]) -> None:
        with suppress(OSError):
            link.ask_for_events(self._owner.about.number)
            begun()
            for kind, records in link.events():
                if self._closed.is_set():
                    break
                self._heard("received" if kind == "edited" else kind, records)
        link.close()

    def _again(self) -> Link | None:
        """Another link to this owner; None once it has ended, or nobody follows any more."""
        wait_s = _LOOK_S
        while not self._closed.is_set() and not self._owner.has_ended:
            if (link := self._connect()) is not None:
                return link
            self._closed.wait(wait_s)  # it is ending, or serves too many programs now
            wait_s = min(2 * wait_s, _LOOK_S_MAX)
        return None

    def _connect(self) -> Link | None:
        about = self._owner.about
        with suppress(OSError, NoAnswer, ValueError):
            link = Link(self._owner.path)
            found = link.about
            with self._guard:
                if not self._closed.is_set() and (found.since, found.process) == (about.since, about.process):
                    self._link = link
                    return link
            link.close()
        return None
