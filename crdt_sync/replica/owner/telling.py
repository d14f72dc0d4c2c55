"""What changes in an owner's store, told to a program over a link of its own; who reads too slowly is sent away."""

import queue
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from crdt_sync.limits import OWNER_EVENTS_MAX
from crdt_sync.replica.events import Event
from crdt_sync.replica.owner.frames import receive, send
from crdt_sync.replica.owner.message import BadFrame

Subscribe = Callable[[Callable[[Sequence[Event]], None]], Callable[[], None]]
_Waiting = queue.Queue[Sequence[Event] | None]


def tell(link: socket.socket, subscribe: Subscribe, own: int, end: Callable[[], None]) -> None:
    """Tell what others change than the program whose requests the thread `own` carries out, until the link ends.

    `end` ends it. Raises `OSError`.
    """
    waiting = _Waiting(OWNER_EVENTS_MAX)

    def heard(events: Sequence[Event]) -> None:
        if threading.get_ident() != own:
            try:
                waiting.put_nowait(events)
            except queue.Full:
                end()

    unsubscribe = subscribe(heard)
    try:
        threading.Thread(target=_until_ended, args=(link, waiting), name="store-program", daemon=True).start()
        while (events := waiting.get()) is not None:
            by_kind: dict[str, list[str]] = {}
            for event in events:
                by_kind.setdefault(event.kind, []).append(event.record)
            for kind, records in by_kind.items():
                for start in range(0, len(records), OWNER_EVENTS_MAX):
                    send(link, "event", kind, tuple(records[start : start + OWNER_EVENTS_MAX]))
    finally:
        unsubscribe()


def _until_ended(link: socket.socket, waiting: _Waiting) -> None:
    with suppress(OSError, BadFrame):
        receive(link)  # nothing more is to come
    while True:
        try:
            waiting.put_nowait(None)
        except queue.Full:
            waiting.get_nowait()
        else:
            return
