"""Syncing with a partner: once, or for as long as you like; for asyncio and for plain code.

report = sync(replica, Address("ws://relay:8765", token))
with keep_syncing(replica, Address("ws://relay:8765", token)) as syncing:
    with replica.edit("customers") as customer: ...
    syncing.wait_stored(customer.record, timeout_s=10)
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple

from crdt_sync.errors import CrdtSyncError, IdentityRefused, Rejected, RemoteError, Timeout
from crdt_sync.protocol.backoff import Backoff
from crdt_sync.protocol.messages import QUOTA_CHANGED, QUOTA_OVER
from crdt_sync.replica import Event, Replica
from crdt_sync.replica.owner.message import Message
from crdt_sync.replica.owner.requests import OFFERED
from crdt_sync.runtime import auditing
from crdt_sync.runtime.address import Address
from crdt_sync.runtime.conversation import Conversation
from crdt_sync.runtime.outside import OUTSIDE, Outside
from crdt_sync.runtime.plain import run_plain
from crdt_sync.runtime.presence import PresenceBoard
from crdt_sync.runtime.progress import Progress
from crdt_sync.runtime.through_owner import AUDIT, SYNC, address_of, sync_through
from crdt_sync.runtime.worker.process import WorkerUnavailable

_ANEW_MAX = 6  # conversations: a schema that is pushed changes what may be held, a new policy has all records read
_ANEW = frozenset({"regranted", "unavailable", QUOTA_CHANGED, QUOTA_OVER})
_ANEW_US_MAX = 1_000_000  # between two of them


async def sync_once(
    replica: Replica, address: Address, on_progress: Callable[[Progress], None] | None = None
) -> Progress:
    """Exchange everything with the partner once. Raises `RemoteError`, `StoreError`.

    Where another program owns the store, that one does it, and its progress is told at the end.
    """
    if replica.owner is not None:
        progress = await sync_through(replica.owner, address)
        if on_progress is not None:
            on_progress(progress)
        return progress
    conversation = await conversed(lambda: Conversation(replica, address, on_progress), Conversation.settled)
    return conversation.progress


async def conversed(
    begin: Callable[[], Conversation], until: Callable[[Conversation], Awaitable[None]]
) -> Conversation:
    """A conversation that went on `until` then; begun anew for a new token, or where the partner asks for that within a
    moment. Raises as `Conversation.run` does.
    """
    for left in reversed(range(_ANEW_MAX)):
        conversation = begin()
        try:
            await conversation.run(until)
        except IdentityRefused:
            if not conversation.renews or not left:
                raise
        except Rejected:
            again = conversation.retry_after_us
            if conversation.ended_with not in _ANEW or again is None or again > _ANEW_US_MAX or not left:
                raise
            await asyncio.sleep(again / 1e6)
        else:
            break
    return conversation


async def keep_syncing_forever(
    replica: Replica,
    address: Address,
    on_progress: Callable[[Progress], None] | None = None,
    on_error: Callable[[CrdtSyncError, float], None] | None = None,
    presence: PresenceBoard | None = None,
    outside: Outside = OUTSIDE,
    converse: Callable[..., Conversation] = Conversation,
) -> None:
    """Stay in sync until cancelled, connecting again as often as needed, with growing, jittered delays.

    `converse` makes each conversation, and `outside` is what it finds of the world.
    `on_error` hears why a session ended and the seconds until the next attempt. Raises the `RemoteError` of a
    refusal that trying again cannot change (wrong token, no common version, a foreign relay), and `StoreError`:
    `DeviceLocked`, or `DeviceWiped`, where it was without contact to its space for longer than that allows.
    """
    backoff = Backoff(outside.rng)

    def progressed(progress: Progress) -> None:
        if progress.caught_up:
            backoff.succeeded()
        if on_progress is not None:
            on_progress(progress)

    while True:
        conversation = converse(replica, address, progressed, presence, lasting=True, outside=outside)
        try:
            await conversation.run(_for_ever)
        except (RemoteError, WorkerUnavailable) as error:
            await replica.obey_silence()
            retry_after = conversation.retry_after_us
            if not error.retryable and retry_after is None:
                raise
            delay_s = backoff.delay_us(retry_after) / 1e6
            if on_error is not None:
                on_error(error, delay_s)
            await asyncio.sleep(delay_s)


def _serve_sync(replica: Replica, request: Message) -> Message:
    """`sync_once` for another program."""
    return astuple(asyncio.run(sync_once(replica, address_of(request))))


OFFERED[SYNC] = _serve_sync
OFFERED[AUDIT] = auditing.serve


async def _for_ever(_: Conversation) -> None:
    await asyncio.Event().wait()


def sync(replica: Replica, address: Address, on_progress: Callable[[Progress], None] | None = None) -> Progress:
    """`sync_once` for plain code. Raises as that does, and `UsageError` inside a running event loop."""
    return run_plain(lambda: sync_once(replica, address, on_progress), "sync_once(replica, address)")


class Syncing:
    """A replica kept in sync by a thread of its own; made by `keep_syncing`.

    `presence` tells others what is open here, and here what others have open.
    """

    def __init__(self, replica: Replica, address: Address) -> None:
        self._replica = replica
        self._url = address.url
        self._changed = threading.Condition()
        self.progress = Progress()
        self.presence = PresenceBoard(replica.name)
        self.error: CrdtSyncError | None = None
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, args=(address,), name="crdt-sync", daemon=True)

    def wait_stored(self, record: str, timeout_s: float | None = None) -> None:
        """Return once the partner has the record on disk, with all edits made here before this call.

        Raises `Timeout`, and the error that ended the syncing for good.
        """
        self._wait(lambda: self._answered(record), timeout_s, record)

    def wait_caught_up(self, timeout_s: float | None = None) -> None:
        """Return once everything that the partner held when the session began has arrived.

        What it cannot read itself cannot arrive: `progress.missing` counts that.
        """
        self._wait(lambda: self.progress.caught_up, timeout_s, "the partner's changes")

    def _answered(self, record: str) -> bool:
        """Whether this partner, and not just any, has the record as it is here, or has refused it."""
        standing = self._replica.record_status(record)
        return self._url in standing.stored_at or self._url in standing.refused_at

    def _wait(self, reached: Callable[[], bool], timeout_s: float | None, what: str) -> None:
        def over() -> bool:
            return self.error is not None or reached()

        with self._changed:
            if not self._changed.wait_for(over, timeout_s):
                raise Timeout(
                    f"{what}: not in sync after {timeout_s} s", "Check the way to it; the edit stays safe here."
                )
        if self.error is not None and not reached():
            raise self.error

    def _run(self, address: Address) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(
            keep_syncing_forever(self._replica, address, self._progressed, presence=self.presence)
        )
        unsubscribe = self._replica.subscribe(self._committed)
        try:
            with suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._task)
        except CrdtSyncError as error:
            self.error = error
        finally:
            unsubscribe()
            self._notify()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def _progressed(self, progress: Progress) -> None:
        self.progress = progress
        self._notify()

    def _committed(self, events: Sequence[Event]) -> None:
        self._notify()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the session and the thread; what was not pushed yet goes with the next session."""
        with suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(lambda: self._task.cancel() if self._task else None)
        self._thread.join()


@contextmanager
def keep_syncing(replica: Replica, address: Address) -> Iterator[Syncing]:
    """Keep `replica` in sync in the background while the block runs."""
    syncing = Syncing(replica, address)
    syncing.start()
    try:
        yield syncing
    finally:
        syncing.stop()
