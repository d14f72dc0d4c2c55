"""The relay as a process: its event loop, its signals, its end.

SIGTERM, SIGINT and SIGHUP stop it gracefully; a second one ends it at once, which loses nothing that was
acknowledged either.
"""

import asyncio
import contextlib
import gc
import os
import resource
import signal
from collections.abc import Callable

import structlog
import uvloop

from crdt_relay.observability import configure_logging
from crdt_relay.server import Relay
from crdt_relay.settings import Settings

COLLECTOR_THRESHOLDS = (50_000, 20, 50)  # allocations, young and middle collections between two of the next kind
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_log = structlog.get_logger("relay")


def run(settings: Settings, ready: Callable[[Relay], None]) -> int:
    """Serve until a signal comes; `ready` is called once devices can connect. Returns the exit code.

    Raises `StoreError`, `InvalidSettings`, `WorkerUnavailable` when it cannot start.
    """
    configure_logging(settings.log_format, settings.log_level)
    _raise_descriptor_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings, ready))


async def _serve(settings: Settings, ready: Callable[[Relay], None]) -> int:
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    def stop(number: signal.Signals) -> None:
        if asked.is_set():
            _log.warning("stopped_at_once", signal=number.name)
            os._exit(128 + number)
        asked.set()

    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves it
            loop.add_signal_handler(number, stop, number)
    for warning in settings.warnings():
        _log.warning("settings", advice=warning)
    relay = await Relay.start(settings)
    _calm_collector()
    _log.info("ready", url=relay.url, records=relay.store.count(), head=relay.store.head(), pid=os.getpid())
    ready(relay)
    await asked.wait()
    _log.info("stopping", sessions=len(relay.engine.hub))
    await relay.stop()
    _log.info("stopped")
    return 0


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
