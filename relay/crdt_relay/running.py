"""The relay as a process: its event loop, its signals, its end.

SIGTERM and SIGINT stop it gracefully; a second one ends it at once, which loses nothing that was acknowledged either.
SIGHUP has it read its settings again, with token and certificate; where its terminal was closed, that stops it.
"""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Callable

import structlog
import uvloop

from crdt_relay.observability import configure_logging
from crdt_relay.server import Relay
from crdt_relay.settings import Settings
from crdt_sync.errors import CrdtSyncError
from crdt_sync.runtime.heap import Heap

SWITCH_S = 0.0005  # that a thread waits for the interpreter while another computes
COLLECTOR_THRESHOLDS = (50_000, 20, 50)  # allocations, young and middle collections between two of the next kind
_GIVE_BACK_EVERY_S = 1.0
_GIVE_BACK_SHARE = 0.01  # of the time, at most
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_TERMINAL = "/dev/tty"  # opens as long as the process has one
_log = structlog.get_logger("relay")


def run(settings: Settings, ready: Callable[[Relay], None], again: Callable[[], Settings] | None = None) -> int:
    """Serve until a signal comes; `ready` is called once devices can connect. Returns the exit code.

    `again` reads the settings once more, at SIGHUP, and raises `InvalidSettings`; without it that stops the relay.

    Raises `StoreError`, `InvalidSettings`, `WorkerUnavailable` when it cannot start.
    """
    configure_logging(settings.log_format, settings.log_level)
    _raise_descriptor_limit()
    # The thread that commits asks for the interpreter a dozen times for one edit, and the loop of a relay that is
    # flooded never sleeps: with Python's 5 ms each time, an edit waited for 50 ms.
    sys.setswitchinterval(SWITCH_S)
    heap = Heap()
    heap.be_one()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        _give_back(runner.get_loop(), heap)
        return runner.run(_serve(settings, ready, again))


def _give_back(loop: asyncio.AbstractEventLoop, heap: Heap) -> None:
    """Every second: what a burst took and nobody uses any more is not kept.

    Another thread could do it, but the loop would wait for it with the first block that it asks for.
    """
    begun = time.perf_counter()
    heap.give_back()
    took = time.perf_counter() - begun
    loop.call_later(max(_GIVE_BACK_EVERY_S, took / _GIVE_BACK_SHARE), _give_back, loop, heap)


async def _serve(settings: Settings, ready: Callable[[Relay], None], again: Callable[[], Settings] | None) -> int:
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    def stop(number: signal.Signals) -> None:
        if asked.is_set():
            _log.warning("stopped_at_once", signal=number.name)
            os._exit(128 + number)
        asked.set()

    relay: Relay | None = None
    had_terminal = _has_terminal()
    early = False  # settings may have changed since they were read

    def hangup() -> None:
        nonlocal early
        if again is None or (had_terminal and not _has_terminal()):
            stop(signal.SIGHUP)
        elif relay is not None:
            _reload(relay, again)
        else:
            early = True

    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup leaves it
        loop.add_signal_handler(signal.SIGHUP, hangup)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # see `__main__`; workers inherit that
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves it
            loop.add_signal_handler(number, stop, number)
    for warning in settings.warnings():
        _log.warning("settings", advice=warning)
    relay = await Relay.start(settings)
    _calm_collector()
    _log.info("ready", url=relay.url, records=relay.store.count(), head=relay.store.head(), pid=os.getpid())
    ready(relay)
    if early and again is not None:
        _reload(relay, again)
    await asked.wait()
    _log.info("stopping", sessions=len(relay.engine.hub))
    await relay.stop()
    _log.info("stopped")
    return 0


def _has_terminal() -> bool:
    try:
        os.close(os.open(_TERMINAL, os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _reload(relay: Relay, again: Callable[[], Settings]) -> None:
    """Take over what the settings say now, and log what that was; with wrong ones, go on as before."""
    try:
        settings = again()
        late = relay.reload(settings)
    except CrdtSyncError as error:
        _log.error("not_reloaded", error=error.message, hint=error.hint)
        return
    configure_logging(settings.log_format, settings.log_level)
    for warning in settings.warnings():
        _log.warning("settings", advice=warning)
    if late:
        hint = "these hold as they were until the relay is started again; all else was taken over"
        _log.warning("reloaded_in_part", need_a_start=late, hint=hint)
    _log.info("reloaded", tokens=relay.tokens)


def _calm_collector() -> None:
    """Every update makes a few dozen short-lived objects and no cycles: looking for cycles as often as Python does by
    default took a quarter of the processor time."""
    gc.collect()
    gc.freeze()  # what is loaded now stays
    gc.set_threshold(*COLLECTOR_THRESHOLDS)


def _raise_descriptor_limit() -> None:
    """Each device takes a file descriptor, and many systems allow a process 1,024 unless it asks."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
